//! Prints syntax trees on a line, without locations.

use std::fmt::Write;

use crate::syntax::ast::*;
use crate::value::Number;

pub(crate) fn program(program: &Program) -> String {
    let printer = Printer { symbols: &program.symbols };
    let mut printed = printer.block(&program.body);
    let mut macros: Vec<_> = program.macros.iter().collect();
    macros.sort_by_key(|(name, _)| *name);
    for (name, definition) in macros {
        let parameters = join(&definition.parameters, ",", |symbol| printer.name(*symbol));
        let body = printer.block(&definition.body);
        let _ = write!(printed, " MACRO {name}({parameters}){body}");
    }
    printed
}

struct Printer<'p> {
    symbols: &'p [Box<str>],
}

fn join<T>(items: &[T], separator: &str, print: impl FnMut(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(separator)
}

fn quoted(text: &str) -> String {
    let mut printed = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => printed.extend(['\\', character]),
            '\n' => printed.push_str("\\n"),
            '\r' => printed.push_str("\\r"),
            '\t' => printed.push_str("\\t"),
            '\0'..' ' => {
                let _ = write!(printed, "\\x{:02x}", u32::from(character));
            }
            _ => printed.push(character),
        }
    }
    printed + "\""
}

impl Printer<'_> {
    fn name(&self, symbol: Symbol) -> String {
        self.symbols[symbol.0 as usize].to_string()
    }

    fn block(&self, block: &[Node]) -> String {
        format!("[{}]", join(block, " ", |node| self.node(node)))
    }

    fn node(&self, node: &Node) -> String {
        match node {
            Node::Text(text) => format!("T{}", quoted(text)),
            Node::Reference(reference) => self.statement(reference),
            Node::Set(set) => {
                let target = if set.target.accessors.is_empty() {
                    format!("V({})", self.name(set.target.root))
                } else {
                    self.reference(&set.target)
                };
                format!("SET({target}, {})", self.expression(&set.value))
            }
            Node::If(node) => self.branches(node),
            Node::Foreach(foreach) => format!(
                "FOREACH({} {} {})",
                self.name(foreach.element),
                self.expression(&foreach.collection),
                self.block(&foreach.body)
            ),
            Node::Break(_, scope) => {
                let scope = scope.as_ref().map(|scope| self.expression(scope));
                format!("BREAK({})", scope.unwrap_or_default())
            }
            Node::Stop => "STOP()".to_owned(),
            Node::Define(name, block) => {
                format!("DEFINE({} {})", self.name(*name), self.block(block))
            }
            Node::MacroCall(call) => self.call(call),
            Node::Evaluate(evaluate) => format!("EVALUATE({})", self.expression(&evaluate.1)),
        }
    }

    fn branches(&self, node: &If) -> String {
        let mut printed = "IF(".to_owned();
        for (index, (condition, block)) in node.branches.iter().enumerate() {
            let branch = format!("{} {}", self.expression(condition), self.block(block));
            printed += &if index == 0 { branch } else { format!(" ELIF({branch})") };
        }
        if let Some(block) = &node.otherwise {
            printed += " ELSE";
            printed += &self.block(block);
        }
        printed + ")"
    }

    fn call(&self, call: &MacroCall) -> String {
        let mut arguments = call.arguments.iter();
        let arguments = join(&call.argument_literals, ", ", |literal| {
            let argument = arguments.next().map(|argument| self.expression(argument));
            format!("{}={}", argument.unwrap_or_default(), quoted(literal))
        });
        let sign = if call.body.is_some() { "@" } else { "" };
        let body = call.body.as_ref().map(|body| self.block(body)).unwrap_or_default();
        format!("CALL {sign}{}({arguments}){}{body}", call.name, quoted(&call.literal))
    }

    fn statement(&self, reference: &Reference) -> String {
        let escaped = if reference.escaped { " esc" } else { "" };
        let quiet = if reference.quiet { " quiet" } else { "" };
        let inner = self.reference(reference);
        format!("R({}{escaped}{quiet} {}", quoted(&reference.prefix), &inner[2..])
    }

    fn reference(&self, reference: &Reference) -> String {
        let name = self.name(reference.root);
        if name == "\0" {
            return "NULLREF".to_owned();
        }
        let mut printed = format!("R({name}");
        for accessor in &reference.accessors {
            printed += &match accessor {
                Accessor::Property(name, _) => format!(" .{name}"),
                Accessor::Method(method) => {
                    format!(" .{}({})", method.name, self.expressions(&method.arguments))
                }
                Accessor::Index(index, _) => format!(" [{}]", self.expression(index)),
            };
        }
        format!("{printed} {})", quoted(&reference.literal))
    }

    fn expressions(&self, expressions: &[Expression]) -> String {
        join(expressions, ", ", |expression| self.expression(expression))
    }

    fn expression(&self, expression: &Expression) -> String {
        match expression {
            Expression::String(text) => format!("S{}", quoted(text)),
            Expression::Interpolated(block) => format!("I{}", self.block(block)),
            Expression::Number(number) => match number {
                Number::Integer(number) => format!("Integer:{number}"),
                Number::Long(number) => format!("Long:{number}"),
                Number::BigInteger(number) => format!("BigInteger:{number}"),
                Number::Double(number) => format!("Double:{:x}", number.to_bits()),
                Number::BigDecimal(number) => format!("BigDecimal:{number}"),
            },
            Expression::Boolean(value) => value.to_string(),
            Expression::Reference(reference) => self.reference(reference),
            Expression::List(items) => format!("ObjectArray({})", self.expressions(items)),
            Expression::Map(entries) => {
                let entries = join(entries, ", ", |(key, value)| {
                    format!("{}, {}", self.expression(key), self.expression(value))
                });
                format!("Map({entries})")
            }
            Expression::Range(range) => {
                let (from, to) = (self.expression(&range.0), self.expression(&range.1));
                format!("IntegerRange({from}, {to})")
            }
            Expression::Not(operand) => format!("Not({})", self.expression(operand)),
            Expression::Binary(binary) => {
                let mut operands = Vec::new();
                self.operands(binary.operator, expression, &mut operands);
                format!("{}({})", operator(binary.operator), operands.join(", "))
            }
            Expression::Word(word) => format!("W{word}"),
        }
    }

    /// The operands of a row of `&&` or `||`, which is printed flat.
    fn operands(&self, outer: Operator, expression: &Expression, operands: &mut Vec<String>) {
        match expression {
            Expression::Binary(binary)
                if binary.operator == outer
                    && (operands.is_empty() || matches!(outer, Operator::And | Operator::Or)) =>
            {
                if matches!(outer, Operator::And | Operator::Or) {
                    self.operands(outer, &binary.left, operands);
                    self.operands(outer, &binary.right, operands);
                } else {
                    operands.push(self.expression(&binary.left));
                    operands.push(self.expression(&binary.right));
                }
            }
            _ => operands.push(self.expression(expression)),
        }
    }
}

fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::Or => "Or",
        Operator::And => "And",
        Operator::Equal => "EQ",
        Operator::NotEqual => "NE",
        Operator::Less => "LT",
        Operator::LessOrEqual => "LE",
        Operator::Greater => "GT",
        Operator::GreaterOrEqual => "GE",
        Operator::Add => "Add",
        Operator::Subtract => "Subtract",
        Operator::Multiply => "Mul",
        Operator::Divide => "Div",
        Operator::Remainder => "Mod",
    }
}
