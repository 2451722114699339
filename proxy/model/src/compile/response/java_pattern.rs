//! From Java's regular expressions to the `regex` crate's.
//!
//! The two agree on nearly all that selection patterns use. Put right here: `\Q…\E`, and `\d`,
//! `\w`, `\s`, which Java reads as ASCII. Refused here: possessive quantifiers, which `regex`
//! would read as something else. Look-around and back-references, which take time that the
//! backend's text decides, are refused by `regex` itself.

/// The pattern in the syntax of the `regex` crate, or what it can't have.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class_depth = 0usize;
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            rest = escape(rest, &mut out)?;
            continue;
        }
        match c {
            '[' => class_depth += 1,
            ']' => class_depth = class_depth.saturating_sub(1),
            '*' | '+' | '?' | '}' if class_depth == 0 && rest[1..].starts_with('+') => {
                return Err("possessive quantifiers are not supported".to_owned());
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Ok(out)
}

/// At a `\`: gives what follows the escape.
fn escape<'p>(text: &'p str, out: &mut String) -> Result<&'p str, String> {
    let Some(escaped) = text[1..].chars().next() else {
        return Err("it ends with a backslash".to_owned());
    };
    let after = &text[1 + escaped.len_utf8()..];
    match escaped {
        'Q' => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(after);
        }
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[a-zA-Z_0-9]"),
        'W' => out.push_str("[^a-zA-Z_0-9]"),
        's' => out.push_str("[ \\t\\n\\x0B\\f\\r]"),
        'S' => out.push_str("[^ \\t\\n\\x0B\\f\\r]"),
        '1'..='9' => return Err("backreferences are not supported".to_owned()),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Ok(after)
}
