//! Damages a template: tokens are deleted, doubled, swapped, replaced and put in.

const INTRUDERS: [&str; 37] = [
    "$",
    "#",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "\"",
    "'",
    "\\",
    "!",
    "#end",
    "#else",
    "#if(",
    "#set(",
    "#foreach(",
    "##",
    "#*",
    "*#",
    "#[[",
    "]]#",
    " ",
    "\n",
    "..",
    "=",
    "==",
    "&&",
    ":",
    "-",
    "$s",
    "1",
    "in",
    "#macro(",
    "|",
];

/// The template with one to four tokens changed.
pub fn mutate(template: &str, random: &mut fastrand::Rng) -> String {
    let mut tokens = tokens(template);
    for _ in 0..random.usize(1..=4) {
        if tokens.is_empty() {
            break;
        }
        let at = random.usize(..tokens.len());
        let other = random.usize(..tokens.len());
        match random.u8(..6) {
            0 | 1 => {
                tokens.remove(at);
            }
            2 => tokens.insert(at, tokens[at]),
            3 => tokens.swap(at, other),
            4 => tokens.insert(at, INTRUDERS[random.usize(..INTRUDERS.len())]),
            _ => tokens[at] = INTRUDERS[random.usize(..INTRUDERS.len())],
        }
    }
    tokens.concat()
}

/// Words, and single characters between them; `#` begins a word.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let start = first.len_utf8();
        let length = if word(first) || first == '#' {
            rest[start..].find(|c| !word(c)).map_or(rest.len(), |end| start + end)
        } else {
            start
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after;
    }
    tokens
}
