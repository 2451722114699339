import com.jayway.jsonpath.Configuration;
import com.jayway.jsonpath.JsonPath;
import com.jayway.jsonpath.PathNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import net.minidev.json.JSONStyle;
import net.minidev.json.JSONValue;

/** JSON and JSONPath with the libraries that API Gateway's answers point to: json-smart and Jayway. */
final class Json {
    private static final JSONStyle STYLE = new PlainStyle();

    private static final Map<String, JsonPath> PATHS = new HashMap<>();

    static {
        // For the toString of arrays.
        JSONValue.COMPRESSION = STYLE;
    }

    private Json() {}

    @SuppressWarnings("unchecked")
    static Map<String, Object> read(String text) {
        return (Map<String, Object>) Configuration.defaultConfiguration().jsonProvider().parse(text);
    }

    /** The value of a text that is JSON by RFC 8259; fails for any other. */
    static Object parse(String text) {
        if (!new Strict(text).isJson()) {
            throw new IllegalArgumentException("not JSON");
        }
        return Configuration.defaultConfiguration().jsonProvider().parse(text);
    }

    /** What a path finds; null if it finds nothing, or there is no document. */
    static Object find(Object document, String path) {
        JsonPath compiled = PATHS.get(path);
        if (compiled == null) {
            compiled = JsonPath.compile(path);
            PATHS.put(path, compiled);
        }
        try {
            return document == null ? null : compiled.read(document, Configuration.defaultConfiguration());
        } catch (PathNotFoundException nothing) {
            return null;
        }
    }

    static String write(Object value) {
        return JSONValue.toJSONString(value, STYLE);
    }

    /** Escapes what JSON must have escaped, and nothing else. */
    private static final class PlainStyle extends JSONStyle {
        PlainStyle() {
            super(FLAG_PROTECT_4WEB);
        }

        @Override
        public void escape(String text, Appendable out) {
            try {
                for (int i = 0; i < text.length(); i++) {
                    escape(text.charAt(i), out);
                }
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        private static void escape(char c, Appendable out) throws IOException {
            switch (c) {
                case '"', '\\' -> out.append('\\').append(c);
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < ' ') {
                        out.append(String.format("\\u%04X", (int) c));
                    } else {
                        out.append(c);
                    }
                    if (c == '/' || c < ' ' || c >= 0x7f && c <= 0x9f || c >= 0x2000 && c <= 0x20ff) {
                        Departures.note("json-escapes-only-what-it-must");
                    }
                }
            }
        }
    }

    /** json-smart takes more than JSON; this decides what is. */
    private static final class Strict {
        private final String text;
        private int at;

        Strict(String text) {
            this.text = text;
        }

        boolean isJson() {
            return value() && atEnd();
        }

        private boolean atEnd() {
            space();
            return at == text.length();
        }

        private boolean value() {
            space();
            if (at == text.length()) {
                return false;
            }
            switch (text.charAt(at)) {
                case '{':
                    return members('}', true);
                case '[':
                    return members(']', false);
                case '"':
                    return match("\"([^\"\\\\\\x00-\\x1f]|\\\\([\"\\\\/bfnrt]|u[0-9a-fA-F]{4}))*+\"");
                default:
                    return match("true|false|null|-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?");
            }
        }

        private boolean members(char close, boolean keyed) {
            at++;
            space();
            if (take(close)) {
                return true;
            }
            while (true) {
                if (keyed) {
                    space();
                    if (at == text.length() || text.charAt(at) != '"' || !value()) {
                        return false;
                    }
                    space();
                    if (!take(':')) {
                        return false;
                    }
                }
                if (!value()) {
                    return false;
                }
                space();
                if (take(close)) {
                    return true;
                }
                if (!take(',')) {
                    return false;
                }
            }
        }

        private boolean take(char wanted) {
            if (at < text.length() && text.charAt(at) == wanted) {
                at++;
                return true;
            }
            return false;
        }

        private boolean match(String pattern) {
            var matcher = java.util.regex.Pattern.compile(pattern).matcher(text).region(at, text.length());
            if (!matcher.lookingAt()) {
                return false;
            }
            at = matcher.end();
            return true;
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }
    }
}
