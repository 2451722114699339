import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import net.minidev.json.JSONValue;
import org.apache.velocity.Template;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.event.EventCartridge;
import org.apache.velocity.app.event.ReferenceInsertionEventHandler;
import org.apache.velocity.runtime.RuntimeInstance;

/**
 * Renders the templates in shapes/ with Apache Velocity 1.7, and takes the same commands as
 * src/main.rs. $input, $util and JSON are those of the template tests' oracle. Each render has a
 * context of its own and parses the payload anew; templates and JSONPaths are parsed once.
 */
public final class TemplateBench {
    private static final OperatingSystemMXBean SYSTEM =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    /** A null prints nothing on API Gateway. */
    private static final ReferenceInsertionEventHandler NULL_IS_EMPTY =
        (reference, value) -> value == null ? "" : value;

    private final RuntimeInstance velocity = new RuntimeInstance();
    private final Map<String, Shape> shapes = new HashMap<>();
    private final Path folder;

    private TemplateBench(Path folder) {
        this.folder = folder;
        Properties properties = new Properties();
        properties.setProperty("runtime.log.logsystem.class", "org.apache.velocity.runtime.log.NullLogChute");
        properties.setProperty("runtime.log.invalid.references", "false");
        velocity.init(properties);
    }

    public static void main(String[] arguments) throws Exception {
        Variables.parser = JSONValue::parseKeepingOrder;
        TemplateBench bench = new TemplateBench(Path.of(arguments[0]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        String line;
        while ((line = in.readLine()) != null) {
            String[] words = line.split(" ");
            Shape shape = bench.shape(words[1]);
            switch (words[0]) {
                case "render" -> out.println(JSONValue.toJSONString(shape.render()));
                case "measure" -> out.println(shape.measure(Integer.parseInt(words[2])));
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    private Shape shape(String name) throws Exception {
        Shape shape = shapes.get(name);
        if (shape == null) {
            shape = new Shape(name);
            shapes.put(name, shape);
        }
        return shape;
    }

    private final class Shape {
        private final Template template = new Template();
        private final Map<String, Object> request;

        Shape(String name) throws Exception {
            String[] parts = name.split(":");
            String text = Files.readString(folder.resolve(parts[0] + ".vtl"));
            template.setRuntimeServices(velocity);
            template.setName(name);
            template.setData(velocity.parse(new StringReader(text), name));
            template.initDocument();
            request = Json.read(Files.readString(folder.resolve("request.json")));
            request.put("variables", Map.of());
            request.put("body", Files.readString(folder.resolve(parts[1] + ".json")).stripTrailing());
        }

        String render() {
            VelocityContext context = new VelocityContext(Variables.from(request));
            EventCartridge handlers = new EventCartridge();
            handlers.addReferenceInsertionEventHandler(NULL_IS_EMPTY);
            handlers.attachToContext(context);
            StringWriter out = new StringWriter(2048);
            template.merge(context, out);
            return out.toString();
        }

        /** The CPU time of all of this process's threads, so of the garbage collector's as well. */
        long measure(int count) {
            long start = SYSTEM.getProcessCpuTime();
            long length = 0;
            for (int i = 0; i < count; i++) {
                length += render().length();
            }
            long spent = SYSTEM.getProcessCpuTime() - start;
            if (length == 0) {
                throw new IllegalStateException("nothing was rendered");
            }
            return spent;
        }
    }
}
