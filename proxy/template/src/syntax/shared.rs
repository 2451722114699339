//! What a template and the templates in its string literals have in common: names and macros.

use std::collections::HashMap;

use super::ast::{Block, Macro, Node, Program, Symbol};

/// How often the body of most loops runs.
const EXPECTED_PASSES: usize = 8;

#[derive(Debug)]
pub(super) struct Shared {
    symbols: Vec<Box<str>>,
    by_name: HashMap<Box<str>, Symbol>,
    pub(super) macros: HashMap<Box<str>, Macro>,
    pub(super) counts: bool,
    pub(super) writes_payload: bool,
}

impl Default for Shared {
    fn default() -> Self {
        let mut shared = Self {
            symbols: Vec::new(),
            by_name: HashMap::new(),
            macros: HashMap::new(),
            counts: false,
            writes_payload: false,
        };
        for name in Symbol::KNOWN {
            shared.symbol(name);
        }
        shared
    }
}

impl Shared {
    pub(super) fn symbol(&mut self, name: &str) -> Symbol {
        if let Some(&symbol) = self.by_name.get(name) {
            self.counts |= [Symbol::VELOCITY_COUNT, Symbol::VELOCITY_HAS_NEXT].contains(&symbol);
            return symbol;
        }
        // A name takes a byte at least, and a template has fewer than u32::MAX of them.
        let symbol = Symbol(u32::try_from(self.symbols.len()).unwrap_or(u32::MAX));
        self.symbols.push(name.into());
        self.by_name.insert(name.into(), symbol);
        symbol
    }

    /// Of several macros with one name, Velocity keeps the first.
    pub(super) fn define(&mut self, name: &str, definition: Macro) {
        self.macros.entry(name.into()).or_insert(definition);
    }

    pub(super) fn into_program(self, body: Block) -> Program {
        Program {
            expected_length: expected_length(&body),
            body,
            symbols: self.symbols,
            macros: self.macros,
            counts: self.counts,
            writes_payload: self.writes_payload,
        }
    }
}

/// What the nodes of a template write, about, in bytes.
fn expected_length(block: &[Node]) -> usize {
    let text = |node: &Node| if let Node::Text(text) = node { text.len() } else { 16 };
    let expected = |node: &Node| match node {
        Node::Text(text) => text.len(),
        Node::Foreach(directive) => {
            EXPECTED_PASSES * directive.body.iter().map(text).sum::<usize>().min(512)
        }
        Node::MacroCall(_) => 256,
        _ => 32,
    };
    block.iter().map(expected).sum()
}
