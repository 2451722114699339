//! Makes JSON documents, and paths that find something in them more often than not.

use fastrand::Rng;
use serde_json::{Map, Number, Value};

const KEYS: [&str; 12] =
    ["a", "b", "c", "id", "name", "a-b", "a.b", "x y", "0", "é", "length", "a'b"];
const TEXTS: [&str; 8] = ["", "x", "it", "say \"hi\"", "a/b", "é😀", "10", "line\nbreak"];

pub fn document(random: &mut Rng) -> Value {
    value(random, 4)
}

fn value(random: &mut Rng, depth: u32) -> Value {
    match random.u8(..if depth == 0 { 7 } else { 14 }) {
        0 => Value::Null,
        1 => Value::Bool(random.bool()),
        2 => Value::from(random.i64(-3..12)),
        3 => Value::from([2_147_483_648_i64, -2_147_483_649, i64::MAX][random.usize(..3)]),
        4 => Number::from_f64([0.5, 1.0, -2.25, 1e10, 1e-7, 1e30][random.usize(..6)])
            .map_or(Value::Null, Value::Number),
        5 | 6 => Value::from(TEXTS[random.usize(..TEXTS.len())]),
        7..=9 => (0..random.usize(..4)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let mut map = Map::new();
            for _ in 0..random.usize(..5) {
                map.insert(KEYS[random.usize(..KEYS.len())].to_owned(), value(random, depth - 1));
            }
            Value::Object(map)
        }
    }
}

pub fn path(document: &Value, random: &mut Rng) -> String {
    let mut path = String::from("$");
    let mut here = Some(document);
    for _ in 0..random.usize(..5) {
        here = step(&mut path, here, random);
    }
    if random.u8(..12) == 0 {
        damage(&mut path, random);
    }
    path
}

/// Goes one step on; `None` where it can't be said what is found.
fn step<'v>(path: &mut String, here: Option<&'v Value>, random: &mut Rng) -> Option<&'v Value> {
    let (key, next) = match here {
        Some(Value::Object(map)) if !map.is_empty() && random.u8(..6) > 0 => {
            let (key, next) = map.iter().nth(random.usize(..map.len()))?;
            (key.clone(), Some(next))
        }
        _ => (KEYS[random.usize(..KEYS.len())].to_owned(), None),
    };
    if let Some(Value::Array(items)) = here
        && random.u8(..3) > 0
    {
        return index_step(path, items, random);
    }
    match random.u8(..12) {
        0..=4 if plain(&key) => path.push_str(&format!(".{key}")),
        5 if plain(&key) => path.push_str(&format!("..{key}")),
        6 => {
            path.push_str(["[*]", ".*", "..*"][random.usize(..3)]);
            return None;
        }
        7 => {
            let other = KEYS[random.usize(..KEYS.len())];
            path.push_str(&format!("['{key}','{other}']"));
            return None;
        }
        8 => {
            path.push_str(&filter(random));
            return None;
        }
        9 => return index_step(path, &[], random),
        _ => path.push_str(&format!("['{}']", key.replace('\'', "\\'"))),
    }
    next
}

fn index_step<'v>(path: &mut String, items: &'v [Value], random: &mut Rng) -> Option<&'v Value> {
    match random.u8(..9) {
        0..=3 => {
            let index = random.usize(..items.len() + 1);
            path.push_str(&format!("[{index}]"));
            return items.get(index);
        }
        4 => path.push_str(["[-1]", "[-2]", "[-9]"][random.usize(..3)]),
        5 => path.push_str(["[*]", "[0,1]", "[1,0]", "[0,9]", "[-1,0]"][random.usize(..5)]),
        6 => path.push_str(
            ["[1:]", "[:2]", "[-2:]", "[0:1]", "[1:9]", "[:-1]", "[:]"][random.usize(..7)],
        ),
        _ => path.push_str(&filter(random)),
    }
    None
}

fn filter(random: &mut Rng) -> String {
    const OPERATORS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
    const OPERANDS: [&str; 12] =
        ["1", "0", "5", "'x'", "''", "'it'", "true", "null", "0.5", "-2.25", "@.b", "$.a"];
    let mut condition = || {
        let key = ["a", "b", "c", "id", "name", "a.b", "b[0]"][random.usize(..7)];
        if random.u8(..4) == 0 {
            return format!("@.{key}");
        }
        let operator = OPERATORS[random.usize(..OPERATORS.len())];
        let operand = OPERANDS[random.usize(..OPERANDS.len())];
        let space = ["", " "][random.usize(..2)];
        format!("@.{key}{space}{operator}{space}{operand}")
    };
    let (one, two) = (condition(), condition());
    match random.u8(..6) {
        0 => format!("[?({one} && {two})]"),
        1 => format!("[?({one} || {two})]"),
        _ => format!("[?({one})]"),
    }
}

fn plain(key: &str) -> bool {
    key.chars().all(|c| c.is_alphanumeric() || c == '-')
}

/// Deletes a character or puts one in.
fn damage(path: &mut String, random: &mut Rng) {
    let boundaries: Vec<_> = path.char_indices().map(|(at, _)| at).collect();
    let at = boundaries[random.usize(..boundaries.len())];
    if random.bool() {
        path.remove(at);
    } else {
        path.insert(
            at,
            ['.', '[', ']', '\'', '*', '$', ' ', '@', '(', '1', 'x', '?'][random.usize(..12)],
        );
    }
}
