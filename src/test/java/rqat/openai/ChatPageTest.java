package rqat.openai;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import rqat.generate.Scheduler;
import rqat.recipe.Engines;
import rqat.tensor.Torch;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;

/// The page to talk to the model, in a browser, with the embedded model behind it. `-Drqat.picture=FILE` keeps a picture of it.
@Tag("slow")
class ChatPageTest {
    private static final Path MODEL = Path.of("models/embedded");

    @TempDir(cleanup = CleanupMode.NEVER)
    private Path profile;

    @Test
    void aQuestionIsAnsweredWithItsThinkingFolded() throws Exception {
        Tokenizer tokenizer = Tokenizer.load(MODEL);
        try (var engine = Engines.open(MODEL, Torch.Compute.FLOAT32);
                var server = new Server(
                        new Server.Settings("127.0.0.1", 0, null, 8, Duration.ZERO),
                        new ServedModel("embedded <b>", tokenizer, ChatTemplate.load(MODEL), engine.config().maxPositions(), true),
                        new Scheduler(engine.steps(1), 4));
                var browser = new Browser(URI.create("http://127.0.0.1:%d/".formatted(server.port())), profile, 900, 700, Boolean.getBoolean("rqat.dark"))) {
            browser.await("document.getElementById('status').textContent.includes('512 tokens of context')");
            assertThat(browser.evaluate("document.getElementById('model').textContent").asString()).isEqualTo("embedded <b>");
            browser.evaluate("document.getElementById('temperature').value = 0");
            browser.evaluate("document.getElementById('question').value = 'Mia has 15 cards. Then she triples the pile. She doubles the pile. How many cards does Mia own now?'");
            browser.evaluate("document.getElementById('send').click()");
            browser.await("document.querySelector('.measure') !== null");
            assertThat(browser.evaluate("document.querySelector('article.assistant > .text').textContent").asString()).isEqualTo("\\boxed{90}");
            assertThat(browser.evaluate("document.querySelector('article.assistant details .text').textContent").asString()).isEqualTo("15*3=45\n45*2=90\n");
            assertThat(browser.evaluate("document.querySelector('details').open").asBoolean()).isFalse();
            assertThat(browser.evaluate("document.querySelector('.measure').textContent").asString()).matches("26 tokens · [0-9.]+ tokens/s · first after [0-9.]+ s");
            // What a person says is text, never markup.
            browser.evaluate("document.getElementById('question').value = '<img src=x onerror=\"document.title=1\">'");
            browser.evaluate("document.getElementById('send').click()");
            browser.await("document.querySelectorAll('.measure, .error').length === 2");
            assertThat(browser.evaluate("document.querySelectorAll('img').length").asInt()).isZero();
            assertThat(browser.evaluate("document.title").asString()).isEqualTo("embedded <b>");
            // Nothing is asked of any other address.
            assertThat(browser.evaluate("performance.getEntriesByType('resource').every(entry => entry.name.startsWith(location.origin))").asBoolean()).isTrue();
            if (System.getProperty("rqat.picture") != null) {
                browser.evaluate("document.querySelector('details').open = true");
                Files.write(Path.of(System.getProperty("rqat.picture")), browser.picture());
            }
            browser.evaluate("document.getElementById('clear').click()");
            assertThat(browser.evaluate("document.querySelectorAll('article').length").asInt()).isZero();
        }
    }
}
