//! Makes templates: by the grammar, and by damaging those and a corpus. The same seed makes the
//! same template.

mod methods;
mod expressions;
mod mutate;

pub use mutate::mutate;

/// How deep statements and expressions nest.
const MAX_DEPTH: u32 = 5;

/// Text that looks like a reference or a directive.
const ODD_TEXT: [&str; 63] = [
    "$5",
    "#1",
    "$.x",
    "#[",
    "#end-of-x ",
    "$x-b",
    "$s.",
    "$map.k.",
    "$s..b",
    "a@example.com",
    "{\"a\": \"b\"}",
    "color: #fff;",
    "if",
    "#iffy",
    "#ifx",
    "#foreachx",
    "#sets",
    "#elsewhere",
    "#ended",
    "\\",
    "\\\\",
    "$$",
    "# ",
    "$ ",
    "!",
    "$!5",
    "${5}",
    "#{x}",
    "$ {",
    "[0]",
    "(1)",
    ".x",
    ".length()",
    "{",
    "}",
    "]]#",
    "#@",
    "#@x",
    "'",
    "\"",
    ",",
    ":",
    "é",
    "😀",
    "\\#",
    "\\##",
    "\\#if",
    "\\\\#if($t)a#end",
    "\\#end",
    "\\#set($x = 1)",
    "#break",
    "#stopped",
    "$foreach",
    "$velocityCount",
    "${nul}x",
    "#m()",
    "#undefined(1 2)",
    "$s$n",
    "\\$s\\$missing",
    "$!",
    "$s[0].x(",
    "#m",
    "a#b$c",
];
/// Text that most likely breaks the template.
const BREAKING: [&str; 22] = [
    "${",
    "#{",
    "*#",
    "$!{",
    "${s",
    "$!{s",
    "${s.",
    "$s.length(",
    "$s[",
    "$s[0",
    "$s.x(",
    "#end",
    "#else",
    "#elseif(true)",
    "#if(",
    "#set($x = )",
    "#*",
    "#[[",
    "#foreach($x in",
    "#macro(",
    "#parse('a.vm')",
    "#include('a.txt')",
];
const WHITE_SPACE: [&str; 12] =
    ["", "", "", " ", "  ", "\t", "\n", "\n\n", "\r\n", " \n", "\n  ", "\n\t "];
const WORDS: [&str; 10] =
    ["text", "a b", "Hello", "{\"k\": ", "}", "x=1&y=2", "100%", "-", "<p>", "end of line"];

pub struct Generator {
    random: fastrand::Rng,
    depth: u32,
    /// Name and number of parameters of the macros made so far.
    macros: Vec<(&'static str, usize)>,
    text: String,
}

impl Generator {
    pub fn template(random: fastrand::Rng) -> String {
        let mut generator = Self { random, depth: 0, macros: Vec::new(), text: String::new() };
        generator.statements(6);
        generator.text
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.usize(..bound.max(1))
    }

    /// True once in `times`.
    fn chance(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Goes a level deeper, if that is allowed; the caller comes back with `depth -= 1`.
    fn dig(&mut self) -> bool {
        let may = self.depth < MAX_DEPTH;
        self.depth += u32::from(may);
        may
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn white_space(&mut self) {
        let space = self.pick(&WHITE_SPACE);
        self.push(space);
    }

    fn space(&mut self) -> &'static str {
        match self.below(30) {
            // Not everything may stand on a line of its own.
            0 => self.pick(&["\n", " \n ", "\r\n"]),
            1..=4 => self.pick(&["  ", "\t", " \t "]),
            5..=14 => "",
            _ => " ",
        }
    }

    fn statements(&mut self, most: usize) {
        self.white_space();
        for _ in 0..self.below(most) + 1 {
            self.statement();
            self.white_space();
        }
    }

    fn block(&mut self) {
        if self.chance(2) {
            self.white_space();
        }
        self.statements(3);
    }

    fn statement(&mut self) {
        if !self.dig() {
            let word = self.pick(&WORDS);
            return self.push(word);
        }
        match self.below(32) {
            0..=3 => {
                let word = self.pick(&WORDS);
                self.push(word);
            }
            4 | 5 => {
                let odd = if self.chance(16) { self.pick(&BREAKING) } else { self.pick(&ODD_TEXT) };
                self.push(odd);
            }
            6..=13 => {
                let reference = self.reference();
                self.push(&reference);
            }
            14..=17 => self.set(),
            18..=20 => self.if_statement(),
            21..=23 => self.foreach(),
            24 => self.comment(),
            25 => self.define(),
            26 => self.macro_definition(),
            27 | 28 => self.macro_call(),
            29 => self.evaluate(),
            30 => {
                let directive = self.pick(&[
                    "#break",
                    "#break ",
                    "#stop",
                    "#break($foreach)",
                    "#{break}",
                    "#stop()",
                    "#break($x)",
                ]);
                if self.chance(2) {
                    self.push(directive);
                }
            }
            _ => {
                let literal = self.pick(&[
                    "#[[$s #if ]]#",
                    "#[[]]#",
                    "#[[a]b]]#",
                    "#[[ $x",
                    "#literal()$s#end",
                    "#[[\n#end]]#\n",
                ]);
                self.push(literal);
            }
        }
        self.depth -= 1;
    }

    /// `#name`, `#{name}`, and white space before the parenthesis; the prefix its `#end` takes.
    fn directive(&mut self, name: &str) -> &'static str {
        let (prefix, text) = match self.below(40) {
            0..=3 => ("", format!("#{{{name}}}(")),
            4..=7 => ("", format!("#{name} (")),
            8 => ("\\", format!("#{name}(")),
            9 => ("\\\\", format!("#{name}(")),
            _ => ("", format!("#{name}(")),
        };
        self.push(prefix);
        self.push(&text);
        if prefix.len() == 1 { prefix } else { "" }
    }

    fn set(&mut self) {
        self.directive("set");
        let target = match self.below(17) {
            0..=9 => format!("${}", self.pick(&["x", "y", "z", "item", "s", "list", "n"])),
            10 => format!("${{{}}}", self.pick(&["x", "y"])),
            11 => format!("$map.{}", self.pick(&["k", "new", "nested.more"])),
            12 => format!("$map[{}]", self.pick(&["'k'", "\"x y\"", "$s", "1"])),
            13 => format!("$list[{}]", self.pick(&["0", "1", "-1", "9", "$n"])),
            15 => self
                .pick(&[
                    "$context.responseOverride.status",
                    "$context.requestOverride.header.X",
                    "$context.requestOverride.header['X']",
                    "$context.mine",
                    "$stageVariables.mine",
                ])
                .to_owned(),
            14 => self
                .pick(&["$objs[0].name", "$x.y", "$missing.a", "$s.k", "$!x", "x", "$map.get('k')"])
                .to_owned(),
            _ => self.operand_reference(),
        };
        let (before, after) = (self.space(), self.space());
        let value = if self.chance(3) { self.expression() } else { self.operand() };
        self.push(&format!("{before}{target}{after}={before}{value}{after})"));
    }

    fn end(&mut self, prefix: &str) {
        self.push(prefix);
        match self.below(80) {
            0..=5 => self.push("#{end}"),
            6 => {}
            _ => self.push("#end"),
        }
    }

    fn if_statement(&mut self) {
        let prefix = self.directive("if");
        let condition = self.condition();
        self.push(&format!("{condition})"));
        self.block();
        for _ in 0..self.below(if prefix.is_empty() { 3 } else { 1 }) {
            let condition = self.condition();
            let word = self.pick(&["#elseif(", "#elseif (", "#{elseif}("]);
            self.push(&format!("{word}{condition})"));
            self.block();
        }
        if prefix.is_empty() && self.chance(2) {
            let word = self.pick(&["#else", "#{else}", "#else ", "#{else}text", "#else\n"]);
            self.push(word);
            self.block();
        }
        self.end(prefix);
    }

    fn foreach(&mut self) {
        let prefix = self.directive("foreach");
        let element = self.pick(&["$item", "$item", "$x", "${item}", "$s", "$i", "$y"]);
        let collection = match self.below(10) {
            0 if self.chance(12) => "[1..1001]".to_owned(),
            0..=2 => self.range(),
            3 | 4 => self.pick(&["$list", "$names", "$mixed", "$objs", "$none"]).to_owned(),
            5 => self
                .pick(&["$map", "$map.keySet()", "$map.entrySet()", "$map.values()", "$map.nested"])
                .to_owned(),
            6 => self
                .pick(&[
                    "$s",
                    "$missing",
                    "$n",
                    "$s.split(',')",
                    "$d",
                    "'abc'",
                    "$input.path('$.tags')",
                ])
                .to_owned(),
            7 => self.operand(),
            _ => self.operand_reference(),
        };
        let (before, after) = (self.space(), self.space());
        self.push(&format!("{before}{element} in {collection}{after})"));
        self.block();
        if self.chance(2) {
            let shown = self.pick(&[
                "$item",
                "$foreach.index",
                "$foreach.count",
                "$velocityCount",
                "$velocityHasNext",
                "$foreach.hasNext",
                "$foreach.first$foreach.last",
                "#if($foreach.hasNext),#end",
                "#if($foreach.count == 2)#break#end",
                "$item.key=$item.value;",
                "$foreach.parent.index",
                "$foreach.topmost.index",
                "$foreach.stop()",
                "$foreach.info.depth",
                "$list.add(1)",
            ]);
            self.push(shown);
        }
        self.end(prefix);
    }

    fn comment(&mut self) {
        let comment = self.pick(&[
            "## to the end of the line\n",
            "##\n",
            "## last",
            "#* block *#",
            "#* two\nlines *#\n",
            "#** documentation $s *#",
            "#**#",
            "#* #* *#",
            "##*x*#\r\n",
            "#*#",
            "# # ",
        ]);
        self.push(comment);
    }

    fn define(&mut self) {
        let prefix = self.directive("define");
        let name = self.pick(&["$x", "$y", "$block", "$z", "${x}"]);
        self.push(&format!("{name})"));
        self.block();
        self.end(prefix);
        let shown = self.pick(&["", "$x", "$block$block", "#set($y = \"$x\")$y", "$x.length()"]);
        self.push(shown);
    }

    fn macro_definition(&mut self) {
        const NAMES: [&str; 4] = ["m", "show", "wrap", "m_1"];
        const PARAMETERS: [&str; 5] = ["", " $p", " $p $q", " $p, $q", " $p $q $s"];
        let name = self.pick(&NAMES);
        let count = self.below(PARAMETERS.len());
        let prefix = self.directive("macro");
        self.push(&format!("{name}{})", PARAMETERS[count]));
        self.macros.push((name, [0, 1, 2, 2, 3][count]));
        self.block();
        let shown = self.pick(&[
            "<$p>",
            "$!p|$q",
            "$bodyContent",
            "$!bodyContent.x",
            "#set($p = 1)$p",
            "#set($z = $p)",
            "#foreach($i in $p)$i#end",
            "$macro.depth",
            "#if($p)#m($q)#end",
            "${p.length()}$q.k",
            "\\$p",
        ]);
        self.push(shown);
        self.end(prefix);
    }

    fn macro_call(&mut self) {
        let (name, count) = match self.macros.len() {
            0 => ("m", 1),
            known => self.macros[self.random.usize(..known)],
        };
        let count = if self.chance(5) { self.below(4) } else { count };
        let arguments: Vec<_> = (0..count)
            .map(|_| {
                if self.chance(12) {
                    self.pick(&["word", "$s.x", "[1..3]", "\"$s\"", "{'a':1}", "$list[0]"])
                        .to_owned()
                } else {
                    self.operand()
                }
            })
            .collect();
        let separator = self.pick(&[" ", " ", ", ", ","]);
        let text = arguments.join(separator);
        if self.chance(4) {
            self.push(&format!("#@{name}({text})"));
            self.block();
            self.end("");
        } else {
            let (open, close) = if self.chance(8) { ("{", "}") } else { ("", "") };
            self.push(&format!("#{open}{name}{close}({text})"));
        }
    }

    fn evaluate(&mut self) {
        self.directive("evaluate");
        let argument = match self.below(4) {
            0 => self.text_literal(),
            1 => self
                .pick(&[
                    "$vtl",
                    "'#set($x = 5)$x'",
                    "\"\\$s\"",
                    "'$s#stop'",
                    "'#macro(m)M#end#m()'",
                    "$missing",
                    "1",
                ])
                .to_owned(),
            _ => self.operand_reference(),
        };
        self.push(&format!("{argument})"));
    }
}
