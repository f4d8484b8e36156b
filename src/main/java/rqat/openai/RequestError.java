package rqat.openai;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A request that is refused, as the interface says it: an HTTP status and an error object.
final class RequestError extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int status;
    private final String type;
    private final @Nullable String parameter;
    private final @Nullable String code;

    private RequestError(int status, String type, @Nullable String parameter, @Nullable String code, String message) {
        super(message, null, false, false);
        this.status = status;
        this.type = type;
        this.parameter = parameter;
        this.code = code;
    }

    /// 400: a field has a value that cannot be served.
    static RequestError invalid(@Nullable String parameter, String message) {
        return new RequestError(400, "invalid_request_error", parameter, null, message);
    }

    /// 400: the prompt does not fit.
    static RequestError tooLong(String parameter, String message) {
        return new RequestError(400, "invalid_request_error", parameter, "context_length_exceeded", message);
    }

    /// 401: no key, or another.
    static RequestError unauthorised() {
        return new RequestError(401, "invalid_request_error", null, "invalid_api_key", "the API key is missing or wrong; send it as `Authorization: Bearer KEY`");
    }

    /// 404: there is no such thing.
    static RequestError notFound(@Nullable String parameter, @Nullable String code, String message) {
        return new RequestError(404, "invalid_request_error", parameter, code, message);
    }

    /// 429: the queue is full.
    static RequestError busy(String message) {
        return new RequestError(429, "rate_limit_error", null, "queue_full", message);
    }

    /// 503: the server is stopping.
    static RequestError stopping() {
        return new RequestError(503, "server_error", null, "shutting_down", "the server is shutting down");
    }

    /// 500: the model failed.
    static RequestError failed(String message) {
        return new RequestError(500, "server_error", null, null, message);
    }

    /// Whatever else HTTP has a status for.
    static RequestError of(int status, String message) {
        return new RequestError(status, status >= 500 ? "server_error" : "invalid_request_error", null, null, message);
    }

    int status() {
        return status;
    }

    /// `{"error": {...}}`.
    ObjectNode json() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putObject("error").put("message", getMessage()).put("type", type).put("param", parameter).put("code", code);
        return json;
    }
}
