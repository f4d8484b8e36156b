package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;

/// What people take for a model directory, and what they are told.
class FoundFilesTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "\"\"                                          | the directory is empty",
        "config.json pytorch_model.bin                 | found `pytorch_model.bin`: PyTorch pickles",
        "pytorch_model-00001-of-00002.bin              | found `pytorch_model-00001-of-00002.bin`: PyTorch pickles",
        "consolidated.00.pth params.json               | found `consolidated.00.pth`: PyTorch pickles",
        "README.md Qwen3-0.6B-Q4_0.gguf                | found `Qwen3-0.6B-Q4_0.gguf`; give the GGUF file itself",
        "model-00001-of-00002.safetensors              | found 1 of 2 shards (`model-00001-of-00002.safetensors`) and no index, model.safetensors.index.json; download the others and the index",
        "model-00001-of-00002.safetensors model-00002-of-00002.safetensors | found 2 of 2 shards (`model-00001-of-00002.safetensors`) and no index, model.safetensors.index.json; download the index",
        "model-00001-of-00001.safetensors              | rename the file to model.safetensors",
        "adapter_config.json adapter_model.safetensors | found `adapter_config.json`: an adapter (LoRA)",
        "model.fp16.safetensors                        | found `model.fp16.safetensors` under a name of its own",
        "tf_model.h5                                   | found `tf_model.h5`: weights of another framework",
        "global_step100 latest                         | found `global_step100`: the state of a distributed training",
        "a.incomplete                                  | found `a.incomplete`: a download that did not end",
        "models--Qwen--Qwen3-0.6B version.txt          | found `models--Qwen--Qwen3-0.6B`: this is the Hub's cache",
        "notes.txt a b c                               | found `a`, `b`, `c` and 1 more",
    })
    void saysWhatIsThere(String names, String sentence) throws IOException {
        for (String name : names.split(" ")) {
            if (!name.isEmpty()) Files.writeString(directory.resolve(name), "");
        }
        assertThat(FoundFiles.in(directory)).contains(sentence);
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
                .hasMessageContaining(directory.toString()).hasMessageContaining(sentence);
    }

    @Test
    void namesTheSnapshotOfACacheFolder() throws IOException {
        Path folder = directory.resolve("models--Qwen--Qwen3-0.6B");
        for (String revision : new String[] {"c1899d", "e8f3aa", "f00baa"}) Files.createDirectories(folder.resolve("snapshots").resolve(revision));
        Files.createDirectories(folder.resolve("refs"));
        assertThat(FoundFiles.in(folder)).contains("folder of the Hub's cache").contains(folder.resolve("snapshots").resolve("f00baa").toString());
        Files.writeString(folder.resolve("refs").resolve("main"), "e8f3aa\n");
        assertThat(FoundFiles.in(folder)).contains(folder.resolve("snapshots").resolve("e8f3aa").toString());
    }

    @Test
    void namesAModelBelow() throws IOException {
        Files.createDirectories(directory.resolve("checkpoint-500"));
        Files.writeString(directory.resolve("checkpoint-500").resolve("config.json"), "{}");
        Files.writeString(directory.resolve("trainer_state.json"), "{}");
        assertThat(FoundFiles.in(directory)).isEqualTo("found `checkpoint-500` below it; give that folder");
        assertThat(FoundFiles.in(directory.resolve("nowhere"))).isEqualTo("there is no such directory");
        assertThat(FoundFiles.in(directory.resolve("trainer_state.json"))).contains("a file, not a directory");
    }

    @Test
    void namesCannotPaintTheTerminal() throws IOException {
        Files.writeString(directory.resolve("\u001b[2J.bin"), "");
        assertThat(FoundFiles.in(directory)).contains("`\\u001b[2J.bin`").doesNotContain("\u001b");
    }
}
