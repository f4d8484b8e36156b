package rqat.text;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// One turn of a conversation in the common case; anything richer (tool calls, names) is a plain map, as templates take.
///
/// @param reasoning what the assistant thought, where the template wants it apart from `content`; null when it does not
public record Message(String role, String content, @Nullable String reasoning) {

    public Message {
        Objects.requireNonNull(role, "role");
        Objects.requireNonNull(content, "content");
    }

    /// A turn without separate reasoning.
    public Message(String role, String content) {
        this(role, content, null);
    }

    /// The map that chat templates read: `role`, `content`, and `reasoning_content` when there is some.
    public Map<String, @Nullable Object> asMap() {
        Map<String, @Nullable Object> map = new LinkedHashMap<>();
        map.put("role", role);
        map.put("content", content);
        if (reasoning != null) {
            map.put("reasoning_content", reasoning);
        }
        return map;
    }

    /// Several turns as maps.
    public static List<Map<String, @Nullable Object>> maps(Message... messages) {
        return Stream.of(messages).map(Message::asMap).toList();
    }
}
