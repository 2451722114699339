//! References and expressions.

use super::Generator;
use super::methods::{self, Argument, Method};

const TEXTS: [&str; 6] = ["s", "e", "u", "num", "js", "vtl"];
const NUMBERS: [&str; 4] = ["n", "neg", "big", "d"];
const LISTS: [&str; 5] = ["list", "names", "mixed", "none", "objs"];
const MAPS: [&str; 2] = ["map", "void"];
const OTHERS: [&str; 14] = [
    "t",
    "f",
    "nul",
    "missing",
    "x",
    "y",
    "z",
    "item",
    "foreach",
    "velocityCount",
    "m_1",
    "a-b",
    "macro",
    "bodyContent",
];
const PROPERTIES: [&str; 21] = [
    "k",
    "n",
    "nested",
    "nested.deep",
    "size",
    "missing",
    "a-b",
    "length",
    "empty",
    "bytes",
    "class",
    "id",
    "name",
    "index",
    "count",
    "hasNext",
    "first",
    "last",
    "key",
    "value",
    "parent",
];
const LITERALS: [&str; 27] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "7",
    "10",
    "100",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    "0.1",
    "-2.5",
    "2.0",
    "1.0e3",
    "1.5e-3",
    ".5",
    "5.",
    "00",
    "007",
    "true",
    "false",
];
const SMALL: [&str; 9] = ["0", "1", "2", "3", "4", "5", "-1", "12", "100"];
const PATTERNS: [&str; 22] = [
    ",",
    ", ",
    "",
    "l",
    "[a-z]+",
    "(l+)(o)",
    "\\s",
    "\\.",
    ".",
    "\\|",
    "|",
    "^H",
    "d$",
    "(?i)hello",
    "[",
    "(",
    "*",
    "\\d+",
    "a|b",
    "o{2}",
    "(.)\\1",
    "\\\\",
];
const REPLACEMENTS: [&str; 9] = ["", "x", "$1", "<$0>", "$2", "\\$", "\\\\", "$", "\\"];
const PATHS: [&str; 14] = [
    "$",
    "$.name",
    "$.tags",
    "$.tags[0]",
    "$.address",
    "$.Items",
    "$.Items[*].id.S",
    "$..id",
    "$.missing",
    "$.list",
    "$.text",
    "$[0]",
    "$[1].name",
    "$.errorMessage",
];
const KEYS: [&str; 11] =
    ["k", "n", "a-b", "nested", "missing", "id", "Accept", "q", "X-Trace-Id", "path", "header"];
const OPERATORS: [&str; 21] = [
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "eq", "ne", "lt", "le",
    "gt", "ge", "and", "or",
];

impl Generator {
    /// A reference as a statement or within a double-quoted string.
    pub(super) fn reference(&mut self) -> String {
        let inner = self.reference_body();
        let start = self.pick(&["$", "$", "$", "$!", "${", "${", "$!{", "$$", "$!!"]);
        let close = if start.ends_with('{') { "}" } else { "" };
        let backslashes = if self.chance(8) { "\\".repeat(self.below(5)) } else { String::new() };
        format!("{backslashes}{start}{inner}{close}")
    }

    /// `$name…` in an expression.
    pub(super) fn operand_reference(&mut self) -> String {
        let inner = self.reference_body();
        match self.below(8) {
            0 => format!("${{{inner}}}"),
            1 => format!("$!{inner}"),
            _ => format!("${inner}"),
        }
    }

    fn reference_body(&mut self) -> String {
        match self.below(14) {
            0..=3 => self.chain(&TEXTS, methods::OF_TEXT),
            4 | 5 => self.chain(&LISTS, methods::OF_LIST),
            6 | 7 => self.chain(&MAPS, methods::OF_MAP),
            8 => self.chain(&NUMBERS, methods::OF_NUMBER),
            9 => self.chain(&["t", "f"], methods::OF_BOOLEAN),
            10 => self.service(),
            _ => self.chain(&OTHERS, methods::OF_TEXT),
        }
    }

    fn chain(&mut self, names: &[&str], of: &[Method]) -> String {
        let mut text = self.pick(names).to_owned();
        let mut of = of;
        while self.chance(2) && text.len() < 120 {
            match self.below(8) {
                0 | 1 => {
                    text.push('.');
                    text.push_str(self.pick(&PROPERTIES));
                }
                2 => {
                    let index = self.index();
                    text = format!("{text}[{index}]");
                }
                _ => {
                    let call = self.call(of);
                    text = format!("{text}.{call}");
                }
            }
            if self.chance(3) {
                of = self.pick(&[
                    methods::OF_TEXT,
                    methods::OF_LIST,
                    methods::OF_MAP,
                    methods::OF_NUMBER,
                ]);
            }
        }
        text
    }

    /// `$input`, `$util`, `$context`, `$stageVariables`.
    fn service(&mut self) -> String {
        match self.below(8) {
            0..=2 => {
                let call = self.call(methods::OF_INPUT);
                format!(
                    "input.{call}{}",
                    self.pick(&["", "", ".size()", ".get('header').get('Accept')", "[0]"])
                )
            }
            3 | 4 => {
                let call = self.call(methods::OF_UTIL);
                format!("util.{call}")
            }
            5 => self
                .pick(&[
                    "input.body",
                    "input.params().path",
                    "input.params('id')",
                    "input.nothing",
                    "input.body.attr",
                ])
                .to_owned(),
            6 => self
                .pick(&[
                    "context.stage",
                    "context.identity.sourceIp",
                    "context.missing",
                    "context.authorizer.claims.email",
                    "context.identity.keySet()",
                    "context.get('stage')",
                ])
                .to_owned(),
            _ => self
                .pick(&[
                    "stageVariables.version",
                    "stageVariables['url']",
                    "stageVariables.missing",
                    "stageVariables.get('version').length()",
                ])
                .to_owned(),
        }
    }

    fn index(&mut self) -> String {
        match self.below(6) {
            0 => format!("'{}'", self.pick(&KEYS)),
            1 => format!("\"{}\"", self.pick(&KEYS)),
            2 => self
                .pick(&["$n", "$missing", "$num", "$foreach.index", " 1 ", "99", "$s"])
                .to_owned(),
            _ => self.pick(&SMALL).to_owned(),
        }
    }

    fn call(&mut self, of: &[Method]) -> String {
        let (name, takes) = of[self.below(of.len())];
        let mut arguments: Vec<_> = takes.iter().map(|&kind| self.argument(kind)).collect();
        if self.chance(25) {
            arguments.pop();
        }
        if self.chance(30) {
            let extra = self.argument(Argument::Any);
            arguments.push(extra);
        }
        let comma = self.pick(&[",", ", ", ", ", " , "]);
        let text = arguments.join(comma);
        if self.chance(15) && !text.is_empty() {
            format!("{name}( {text} )")
        } else {
            format!("{name}({text})")
        }
    }

    fn argument(&mut self, kind: Argument) -> String {
        if self.chance(12) {
            return self.operand();
        }
        match kind {
            Argument::Integer => self.pick(&SMALL).to_owned(),
            Argument::Path => format!("'{}'", self.pick(&PATHS)),
            Argument::Pattern => format!("'{}'", self.pick(&PATTERNS)),
            Argument::Text => match self.below(7) {
                0 => format!("'{}'", self.pick(&KEYS)),
                1 => format!("'{}'", self.pick(&PATHS)),
                2 => format!("\"{}\"", self.pick(&PATHS)),
                3 => format!("'{}'", self.pick(&REPLACEMENTS)),
                4 => format!("${}", self.pick(&TEXTS)),
                5 => self
                    .pick(&["'%s'", "'%d'", "'%5.2f|%s'", "'l'", "'o, W'", "'HELLO, world'"])
                    .to_owned(),
                _ => self.text_literal(),
            },
            Argument::List => format!("${}", self.pick(&LISTS)),
            Argument::Map => format!("${}", self.pick(&MAPS)),
            Argument::Any => self.operand(),
        }
    }

    /// A literal or a reference.
    pub(super) fn operand(&mut self) -> String {
        match self.below(10) {
            0 | 1 => self.pick(&LITERALS).to_owned(),
            2 | 3 => self.text_literal(),
            4 if self.dig() => {
                let text = self.list_or_map();
                self.depth -= 1;
                text
            }
            5 => format!("${}", self.pick(&NUMBERS)),
            _ if self.dig() => {
                let text = self.operand_reference();
                self.depth -= 1;
                text
            }
            _ => self.pick(&LITERALS).to_owned(),
        }
    }

    fn list_or_map(&mut self) -> String {
        let space = self.space();
        match self.below(5) {
            0 => self.range(),
            1 | 2 => {
                let items: Vec<_> = (0..self.below(4)).map(|_| self.operand()).collect();
                let around = if items.is_empty() { "" } else { space };
                format!("[{around}{}{around}]", items.join(&format!(",{space}")))
            }
            _ => {
                let items: Vec<_> = (0..self.below(3))
                    .map(|_| format!("{}{space}:{space}{}", self.operand(), self.operand()))
                    .collect();
                let around = if items.is_empty() { "" } else { space };
                format!("{{{around}{}{around}}}", items.join(","))
            }
        }
    }

    pub(super) fn range(&mut self) -> String {
        let ends = [
            "0",
            "1",
            "3",
            "5",
            "-2",
            "$n",
            "$neg",
            "$d",
            "$missing",
            "$foreach.index",
            "$num",
            "$list.size()",
        ];
        let (from, to, space) = (self.pick(&ends), self.pick(&ends), self.space());
        format!("[{from}{space}..{space}{to}]")
    }

    pub(super) fn text_literal(&mut self) -> String {
        let quote = self.pick(&["\"", "'"]);
        let mut text = String::new();
        for _ in 0..self.below(4) {
            match self.below(12) {
                0 if self.dig() => {
                    let reference = self.reference();
                    self.depth -= 1;
                    // A quote of the same kind would end the literal: rarely wanted.
                    if !reference.contains(quote) || self.chance(4) {
                        text.push_str(&reference);
                    }
                }
                1 => text.push_str(self.pick(&[
                    "$s",
                    "${s}",
                    "$!missing",
                    "$missing",
                    "$map.k",
                    "$n",
                ])),
                2 => text.push_str(
                    self.pick(&["\\\"", "\\\\", "\\n", "\\t", "\\u0041", "\\'", "\\$s", "\\"]),
                ),
                3 => text.push_str(self.pick(&[
                    "\"\"",
                    "''",
                    "#",
                    "$",
                    "##",
                    "#if($t)a#end",
                    "#[[b]]#",
                    "#end",
                    "\n",
                ])),
                4 => text.push_str(self.pick(&[
                    "#foreach($i in $list)$i#end",
                    "#set($y = 1)",
                    "{",
                    "}",
                    "(",
                    "]",
                ])),
                _ => text.push_str(self.pick(&[
                    "a",
                    "b c",
                    "Hello",
                    "é",
                    "1",
                    "-",
                    "/",
                    "%20",
                    ", ",
                    "{\"a\": 1}",
                ])),
            }
        }
        if quote == "\"" && !self.chance(6) {
            text = text.replace('"', "'");
        }
        format!("{quote}{text}{quote}")
    }

    pub(super) fn expression(&mut self) -> String {
        if self.chance(2) || !self.dig() {
            return self.operand();
        }
        let left = self.expression();
        let text = match self.below(10) {
            0 => format!("!{left}"),
            1 => format!("not {left}"),
            2 | 3 => {
                let space = self.space();
                format!("({space}{left}{space})")
            }
            4 if self.chance(6) => format!("-{left}"),
            _ => {
                let (right, operator) = (self.expression(), self.pick(&OPERATORS));
                let space =
                    if operator.starts_with(char::is_alphabetic) { " " } else { self.space() };
                format!("{left}{space}{operator}{space}{right}")
            }
        };
        self.depth -= 1;
        text
    }

    /// An expression that is a condition more often than not.
    pub(super) fn condition(&mut self) -> String {
        let space = self.space();
        match self.below(4) {
            0 => self.operand_reference(),
            1 => {
                let (left, right) = (self.operand_reference(), self.operand());
                let operator = self.pick(&["==", "!=", "<", ">=", "eq", "gt"]);
                format!("{left} {operator} {right}")
            }
            _ => format!("{space}{}{space}", self.expression()),
        }
    }
}
