import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.commons.lang.StringEscapeUtils;

/** The variables of a mapping template, made anew for each. */
public final class Variables {
    /** Reads a payload; fails for one that isn't JSON. */
    static Function<String, Object> parser = Json::parse;

    private Variables() {}

    @SuppressWarnings("unchecked")
    static Map<String, Object> from(Map<String, Object> values) {
        Map<String, Object> variables = new HashMap<>();
        ((Map<String, Object>) values.get("variables")).forEach((name, value) -> variables.put(name, plain(value)));
        Map<String, Object> parameters = (Map<String, Object>) values.get("parameters");
        variables.put("input", new Input((String) values.get("body"), parameters));
        variables.put("util", new Util());
        variables.put("context", context((Map<String, Object>) values.get("context")));
        variables.put("stageVariables", new LinkedHashMap<>((Map<String, Object>) values.get("stageVariables")));
        return variables;
    }

    private static Map<String, Object> context(Map<String, Object> given) {
        Map<String, Object> context = new ContextMap();
        given.forEach((key, value) -> context.put(key, nested(value)));
        Map<String, Object> request = new ContextMap();
        for (String location : new String[] {"header", "path", "querystring"}) {
            request.put(location, new OverrideMap(null));
        }
        context.put("requestOverride", request);
        Map<String, Object> response = new OverrideMap("status");
        response.put("header", new OverrideMap(null));
        context.put("responseOverride", response);
        return context;
    }

    private static Object nested(Object value) {
        if (!(value instanceof Map)) {
            return value;
        }
        ContextMap map = new ContextMap();
        ((Map<?, ?>) value).forEach((key, element) -> map.put((String) key, nested(element)));
        return map;
    }

    /** $context and the maps below it. */
    public static class ContextMap extends LinkedHashMap<String, Object> {
        @Override
        public String toString() {
            Departures.note("maps-in-context-print-nothing");
            return "";
        }
    }

    /** Takes each key once, or only the one named. */
    public static final class OverrideMap extends ContextMap {
        private final String once;

        OverrideMap(String once) {
            this.once = once;
        }

        @Override
        public Object put(String key, Object value) {
            if (containsKey(key) && (once == null || once.equals(key))) {
                Departures.note("overrides-are-set-once");
                throw new IllegalArgumentException(key + " is set twice");
            }
            return super.put(key, value);
        }
    }

    /** Java's own lists in place of JSON arrays. */
    private static Object plain(Object value) {
        if (value instanceof Map) {
            Map<Object, Object> map = new LinkedHashMap<>();
            ((Map<?, ?>) value).forEach((key, element) -> map.put(key, plain(element)));
            return map;
        }
        if (value instanceof List) {
            List<Object> list = new ArrayList<>();
            ((List<?>) value).forEach(element -> list.add(plain(element)));
            return list;
        }
        return value;
    }

    /** $input */
    public static final class Input {
        private static final String[] LOCATIONS = {"path", "querystring", "header"};

        private final String body;
        private final Map<String, Object> parameters;
        private Object document;
        private boolean parsed;

        Input(String body, Map<String, Object> parameters) {
            this.body = body.isEmpty() ? "{}" : body;
            this.parameters = parameters;
        }

        public String getBody() {
            return body;
        }

        public Object path(String path) {
            return Json.find(document(), path);
        }

        public Object path() {
            return path("$");
        }

        public String json(String path) {
            Object found = path(path);
            return found == null ? "\"\"" : Json.write(found);
        }

        public String json() {
            return json("$");
        }

        public Map<String, Object> params() {
            return parameters;
        }

        public Object params(String name) {
            for (String location : LOCATIONS) {
                Object value = ((Map<?, ?>) parameters.get(location)).get(name);
                if (value != null) {
                    return value;
                }
            }
            return "";
        }

        @Override
        public String toString() {
            Departures.note("input-and-util-print-nothing");
            return "";
        }

        private Object document() {
            if (!parsed) {
                parsed = true;
                try {
                    document = parser.apply(body);
                } catch (RuntimeException notJson) {
                    document = null;
                }
            }
            return document;
        }
    }

    /** $util */
    public static final class Util {
        @Override
        public String toString() {
            Departures.note("input-and-util-print-nothing");
            return "";
        }

        public String escapeJavaScript(Object value) {
            if (value instanceof String && ((String) value).isBlank()) {
                Departures.note("escaped-blank-is-an-object");
                return "{}";
            }
            return StringEscapeUtils.escapeJavaScript(String.valueOf(value));
        }

        public Object parseJson(String text) {
            return Json.parse(text);
        }

        public String urlEncode(Object value) {
            return value == null ? "" : URLEncoder.encode(value.toString(), StandardCharsets.UTF_8);
        }

        public String urlDecode(Object value) {
            return value == null ? "" : URLDecoder.decode(value.toString(), StandardCharsets.UTF_8);
        }

        public String base64Encode(Object value) {
            return value == null ? "" : Base64.getEncoder().encodeToString(value.toString().getBytes(StandardCharsets.UTF_8));
        }

        public String base64Decode(Object value) {
            return value == null ? "" : new String(Base64.getDecoder().decode(value.toString()), StandardCharsets.UTF_8);
        }
    }
}
