import java.io.Writer;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.event.ReferenceInsertionEventHandler;
import org.apache.velocity.context.InternalContextAdapter;
import org.apache.velocity.exception.VelocityException;
import org.apache.velocity.runtime.directive.Block;
import org.apache.velocity.runtime.directive.Foreach;
import org.apache.velocity.runtime.directive.Include;
import org.apache.velocity.runtime.directive.Parse;
import org.apache.velocity.runtime.parser.node.ASTEQNode;
import org.apache.velocity.runtime.parser.node.ASTNENode;
import org.apache.velocity.runtime.parser.node.ASTReference;
import org.apache.velocity.runtime.parser.node.Node;
import org.apache.velocity.runtime.parser.node.SimpleNode;
import org.apache.velocity.util.introspection.Info;
import org.apache.velocity.util.introspection.UberspectImpl;
import org.apache.velocity.util.introspection.VelMethod;
import org.apache.velocity.util.introspection.VelPropertyGet;

/**
 * Where API Gateway's templates, or Tollgate's, depart from stock Velocity on purpose. Each has its
 * name and reason in departures.rs, and is noted here whenever it makes a difference.
 */
public final class Departures {
    private static final int MAX_LOOP_ITERATIONS = 1000;

    private static final Set<String> seen = new TreeSet<>();
    private static int iterations;
    /** #foreach takes its variables away. */
    private static boolean loopEnds;

    static void begin() {
        seen.clear();
        iterations = 0;
        loopEnds = false;
    }

    static void note(String name) {
        seen.add(name);
    }

    static String seen() {
        return seen.isEmpty() ? "-" : String.join(",", seen);
    }

    /** What a reference renders. */
    public static final class Insertion implements ReferenceInsertionEventHandler {
        @Override
        public Object referenceInsert(String reference, Object value) {
            if (value == null) {
                if (!reference.contains("$!")) {
                    note("null-is-empty-text");
                }
                return null;
            }
            if (value.getClass().isArray()) {
                note("java-array-is-a-list");
                return elements(value).toString();
            }
            return value;
        }
    }

    private static List<Object> elements(Object array) {
        List<Object> list = new ArrayList<>();
        for (int i = 0; i < Array.getLength(array); i++) {
            list.add(Array.get(array, i));
        }
        return list;
    }

    /** #set with null makes a variable null; the property is set where the runtime is made. */
    public static final class Context extends VelocityContext {
        Context(Map<String, Object> variables) {
            super(variables);
        }

        @Override
        public Object internalRemove(Object name) {
            Object old = super.internalRemove(name);
            if (old != null && !loopEnds) {
                note("null-can-be-set");
            }
            return old;
        }
    }

    /** Puts nodes that depart in place of the stock ones of a parsed template. */
    static void rewrite(Node node) {
        for (int i = 0; i < node.jjtGetNumChildren(); i++) {
            Node child = node.jjtGetChild(i);
            if (child == null) {
                continue;
            }
            rewrite(child);
            if (child.getClass() == ASTEQNode.class) {
                replace(node, i, new Equal((ASTEQNode) child));
            } else if (child.getClass() == ASTNENode.class) {
                replace(node, i, new NotEqual((ASTNENode) child));
            } else if (child.getClass() == ASTReference.class) {
                replace(node, i, new Quiet((ASTReference) child));
            }
        }
    }

    private static void replace(Node parent, int index, SimpleNode with) {
        Node old = parent.jjtGetChild(index);
        for (int i = 0; i < old.jjtGetNumChildren(); i++) {
            with.jjtAddChild(old.jjtGetChild(i), i);
            old.jjtGetChild(i).jjtSetParent(with);
        }
        parent.jjtAddChild(with, index);
        with.jjtSetParent(parent);
    }

    /** Any reference as if it were written with "$!". */
    private static final class Quiet extends ASTReference {
        private static final int QUIET = 3;
        private static final int RUNT = 4;

        Quiet(ASTReference stock) {
            super(stock.getType());
            first = stock.getFirstToken();
            last = stock.getLastToken();
        }

        @Override
        public Object init(InternalContextAdapter context, Object data) {
            super.init(context, data);
            try {
                Field type = field("referenceType");
                if (!field("escaped").getBoolean(this) && type.getInt(this) != RUNT) {
                    type.setInt(this, QUIET);
                    field("nullString").set(this, "");
                }
            } catch (ReflectiveOperationException error) {
                throw new IllegalStateException(error);
            }
            return data;
        }

        private static Field field(String name) throws ReflectiveOperationException {
            Field field = ASTReference.class.getDeclaredField(name);
            field.setAccessible(true);
            return field;
        }
    }

    /** A value computed already. */
    private static final class Computed extends SimpleNode {
        private final Object value;

        Computed(Object value) {
            super(0);
            this.value = value;
        }

        @Override
        public Object value(InternalContextAdapter context) {
            return value;
        }

        @Override
        public String literal() {
            return "computed";
        }
    }

    private static boolean isNullAndEmpty(Object left, Object right) {
        boolean departs = left == null && "".equals(right) || right == null && "".equals(left);
        if (departs) {
            note("null-equals-empty-text");
        }
        return departs;
    }

    private static final class Equal extends ASTEQNode {
        private Object[] operands;

        Equal(ASTEQNode stock) {
            super(stock.getType());
            first = stock.getFirstToken();
            last = stock.getLastToken();
        }

        @Override
        public boolean evaluate(InternalContextAdapter context) {
            Object left = super.jjtGetChild(0).value(context);
            Object right = super.jjtGetChild(1).value(context);
            if (isNullAndEmpty(left, right)) {
                return true;
            }
            operands = new Object[] {left, right};
            try {
                return super.evaluate(context);
            } finally {
                operands = null;
            }
        }

        @Override
        public Node jjtGetChild(int index) {
            return operands == null ? super.jjtGetChild(index) : new Computed(operands[index]);
        }
    }

    private static final class NotEqual extends ASTNENode {
        private Object[] operands;

        NotEqual(ASTNENode stock) {
            super(stock.getType());
            first = stock.getFirstToken();
            last = stock.getLastToken();
        }

        @Override
        public boolean evaluate(InternalContextAdapter context) {
            Object left = super.jjtGetChild(0).value(context);
            Object right = super.jjtGetChild(1).value(context);
            if (isNullAndEmpty(left, right)) {
                return false;
            }
            operands = new Object[] {left, right};
            try {
                return super.evaluate(context);
            } finally {
                operands = null;
            }
        }

        @Override
        public Node jjtGetChild(int index) {
            return operands == null ? super.jjtGetChild(index) : new Computed(operands[index]);
        }
    }

    /** Directives put in place of stock ones by the property "userdirective". */
    public static final class Directives {
        static String names() {
            return CountingForeach.class.getName()
                + "," + RefusedParse.class.getName()
                + "," + RefusedInclude.class.getName();
        }

        public static final class CountingForeach extends Foreach {
            @Override
            protected void put(InternalContextAdapter context, String key, Object value) {
                // Once for each iteration, whatever the element is called.
                if (key.equals("velocityHasNext") && ++iterations > MAX_LOOP_ITERATIONS) {
                    note("loop-iterations-are-bounded");
                    throw new VelocityException("more than " + MAX_LOOP_ITERATIONS + " iterations");
                }
                super.put(context, key, value);
            }

            @Override
            protected void clean(InternalContextAdapter context, Object element, Object counter, Object hasNext) {
                loopEnds = true;
                super.clean(context, element, counter, hasNext);
                loopEnds = false;
            }
        }

        public static final class RefusedParse extends Parse {
            @Override
            public boolean render(InternalContextAdapter context, Writer writer, Node node) {
                note("parse-and-include-are-refused");
                throw new VelocityException("#parse");
            }
        }

        public static final class RefusedInclude extends Include {
            @Override
            public boolean render(InternalContextAdapter context, Writer writer, Node node) {
                note("parse-and-include-are-refused");
                throw new VelocityException("#include");
            }
        }
    }

    /** Classes and what leads to them are not served. */
    public static final class Introspection extends UberspectImpl {
        @Override
        public VelMethod getMethod(Object object, String name, Object[] arguments, Info info) throws Exception {
            if (isRefused(name)) {
                note("java-classes-are-not-served");
                return null;
            }
            if (name.equals("hashCode") && arguments.length == 0) {
                if (object instanceof Block.Reference) {
                    note("java-addresses");
                    return null;
                }
                if (object.getClass().isArray()) {
                    note("java-addresses");
                    return new ArrayHash();
                }
            }
            return super.getMethod(object, name, arguments, info);
        }

        @Override
        public VelPropertyGet getPropertyGet(Object object, String name, Info info) throws Exception {
            if (isRefused(name)) {
                note("java-classes-are-not-served");
                return object instanceof Map ? new Entry(name) : null;
            }
            return super.getPropertyGet(object, name, info);
        }

        /** An array's hash code is that of a list of its elements. */
        private static final class ArrayHash implements VelMethod {
            @Override
            public Object invoke(Object array, Object[] arguments) {
                return elements(array).hashCode();
            }

            @Override
            public boolean isCacheable() {
                return false;
            }

            @Override
            public String getMethodName() {
                return "hashCode";
            }

            @Override
            public Class<?> getReturnType() {
                return Integer.class;
            }
        }

        /** "$map.class" is the map's entry. */
        private record Entry(String name) implements VelPropertyGet {
            @Override
            public Object invoke(Object map) {
                return ((Map<?, ?>) map).get(name);
            }

            @Override
            public boolean isCacheable() {
                return false;
            }

            @Override
            public String getMethodName() {
                return "get";
            }
        }

        private static boolean isRefused(String name) {
            return switch (name) {
                case "class", "getClass", "wait", "notify", "notifyAll" -> true;
                default -> false;
            };
        }
    }
}
