import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.IOException;
import java.io.PrintStream;
import java.io.Reader;
import java.io.StringReader;
import java.io.Writer;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.Deque;
import java.util.Map;
import java.util.Properties;
import org.apache.velocity.Template;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.event.EventCartridge;
import org.apache.velocity.runtime.ParserPool;
import org.apache.velocity.runtime.RuntimeInstance;
import org.apache.velocity.runtime.RuntimeServices;
import org.apache.velocity.runtime.VelocimacroFactory;
import org.apache.velocity.runtime.parser.ParseException;
import org.apache.velocity.runtime.parser.Parser;
import org.apache.velocity.runtime.parser.node.SimpleNode;

/**
 * Renders templates with Apache Velocity 1.7, one for each line of standard input:
 *
 * <pre>TEMPLATE VALUES</pre>
 *
 * both in base64, the values as JSON. Each is answered with a line
 *
 * <pre>rendered|failed TEXT DEPARTURES</pre>
 *
 * with the text or the error's message in base64, and the names of the departures from stock
 * Velocity (Departures.java) that made a difference, joined with commas, or "-".
 */
public final class Oracle {
    /** The largest text our limits let a template render. */
    private static final int MAX_OUTPUT = 10 * 1024 * 1024;

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, "US-ASCII");
        Runtime runtime = new Runtime();
        String line;
        while ((line = in.readLine()) != null) {
            String[] words = line.split(" ", -1);
            out.print(answer(runtime, decode(words[0]), decode(words[1])));
            out.print('\n');
            out.flush();
        }
    }

    private static String answer(Runtime runtime, String template, String values) {
        Departures.begin();
        String kind = "rendered";
        String text;
        try {
            text = runtime.render(template, Json.read(values));
        } catch (Throwable thrown) {
            // StackOverflowError and OutOfMemoryError too: ours must fail as well.
            kind = "failed";
            text = String.valueOf(thrown);
        }
        return kind + " " + encode(text) + " " + Departures.seen();
    }

    private static String decode(String text) {
        return new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
    }

    /** As UTF-8; half a surrogate pair becomes U+FFFD, as in Rust. */
    private static String encode(String string) {
        String text = string.replaceAll("[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]", "\ufffd");
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Velocity with the departures built in. Forgets all macros between templates. */
    private static final class Runtime extends RuntimeInstance {
        private static final String NAME = "template";

        private final Field macros;

        Runtime() throws Exception {
            Properties properties = new Properties();
            properties.setProperty("runtime.log.logsystem.class", "org.apache.velocity.runtime.log.NullLogChute");
            properties.setProperty("parser.pool.class", Parsers.class.getName());
            properties.setProperty("userdirective", Departures.Directives.names());
            properties.setProperty("directive.set.null.allowed", "true");
            properties.setProperty("runtime.introspector.uberspect", Departures.Introspection.class.getName());
            init(properties);
            macros = RuntimeInstance.class.getDeclaredField("vmFactory");
            macros.setAccessible(true);
        }

        String render(String text, Map<String, Object> values) throws Exception {
            VelocimacroFactory fresh = new VelocimacroFactory(this);
            fresh.initVelocimacro();
            macros.set(this, fresh);
            Parsers.IDLE.clear();

            Template template = new Template();
            template.setRuntimeServices(this);
            template.setName(NAME);
            template.setData(parse(new StringReader(text), NAME));
            template.initDocument();
            VelocityContext context = new Departures.Context(Variables.from(values));
            EventCartridge handlers = new EventCartridge();
            handlers.addEventHandler(new Departures.Insertion());
            handlers.attachToContext(context);
            Bounded out = new Bounded();
            template.merge(context, out);
            return out.text.toString();
        }

        /** Strings that interpolate and #evaluate come here as well. */
        @Override
        public SimpleNode parse(Reader reader, String name, boolean forget) throws ParseException {
            SimpleNode tree = super.parse(reader, name, forget);
            Departures.rewrite(tree);
            return tree;
        }
    }

    /** Parsers for one template: they remember the names of macros for good. */
    public static final class Parsers implements ParserPool {
        static final Deque<Parser> IDLE = new ArrayDeque<>();

        private RuntimeServices services;

        @Override
        public void initialize(RuntimeServices services) {
            this.services = services;
        }

        @Override
        public Parser get() {
            return IDLE.isEmpty() ? services.createNewParser() : IDLE.pop();
        }

        @Override
        public void put(Parser parser) {
            IDLE.push(parser);
        }
    }

    private static final class Bounded extends Writer {
        final StringBuilder text = new StringBuilder();

        @Override
        public void write(char[] chars, int start, int length) throws IOException {
            if (text.length() + length > MAX_OUTPUT) {
                throw new IOException("too much output");
            }
            text.append(chars, start, length);
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    }
}
