//! Makes JSON texts in every way JSON can be written, and some that are none.

use fastrand::Rng;

const STRINGS: [&str; 16] = [
    "\"\"",
    "\"a\"",
    "\"a\"",
    "\"b\"",
    "\"a\\\"b\"",
    "\"\\\\\"",
    "\"\\/\"",
    "\"/\"",
    "\"\\u0041\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\n\\t\\b\\f\\r\"",
    "\"é😀\"",
    "\"\\u0000\\u001f\\u007f\"",
    "\"\\u2028\\u2019\"",
    "\"\\ud83d\"",
    "\"<b>&'\"",
];
const NUMBERS: [&str; 26] = [
    "0",
    "-0",
    "1",
    "-1",
    "12",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "0.0",
    "-0.0",
    "1.0",
    "1.50",
    "0.1",
    "1e3",
    "1E+3",
    "1.5e-7",
    "1e22",
    "123456.789",
    "0.1234567890123456789",
    "1e400",
    "1e-400",
];
/// Not JSON, though lenient parsers take some of it.
const WRONG: [&str; 16] = [
    "'a'", "a", "01", "+1", ".5", "1.", "1e", "tru", "nan", "NaN", "-", "\"a", "\"\\x\"", "\"\t\"",
    "[1,]", "{a:1}",
];
const SPACES: [&str; 6] = ["", "", "", " ", "\n  ", "\t"];

pub fn text(random: &mut Rng) -> String {
    let mut out = String::new();
    value(&mut out, random, 4);
    if random.u8(..15) == 0 {
        out.push_str(["x", " ", "\n", ",", "}", " 1"][random.usize(..6)]);
    }
    out
}

fn value(out: &mut String, random: &mut Rng, depth: u32) {
    let pick = |from: &[&'static str], random: &mut Rng| from[random.usize(..from.len())];
    let space = pick(&SPACES, random);
    match random.u8(..if depth == 0 { 10 } else { 20 }) {
        0 if random.u8(..4) == 0 => out.push_str(pick(&WRONG, random)),
        0..=1 => out.push_str(pick(&["true", "false", "null"], random)),
        2..=5 => out.push_str(pick(&NUMBERS, random)),
        6..=9 => out.push_str(pick(&STRINGS, random)),
        10..=13 => {
            out.push('[');
            for index in 0..random.usize(..4) {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(space);
                value(out, random, depth - 1);
            }
            out.push_str(space);
            out.push(']');
        }
        _ => {
            out.push('{');
            for index in 0..random.usize(..4) {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(space);
                out.push_str(pick(&STRINGS, random));
                out.push_str(space);
                out.push(':');
                value(out, random, depth - 1);
            }
            out.push_str(space);
            out.push('}');
        }
    }
}
