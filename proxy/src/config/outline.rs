//! Finds the key that stands on a line of a YAML file written in block style, so that a
//! refusal by the YAML reader, which knows lines only, can name the key's path.
//!
//! Best effort: inside `{…}` and `[…]` it names the key that holds them.

/// The path of the key on a line (counted from 1): `listeners[1].tls`; empty when there is none.
pub fn path_at(text: &str, line: u64) -> String {
    // Keys and list items that hold what comes next, outermost first, by their column.
    let mut open: Vec<(usize, Step)> = Vec::new();
    for content in text.lines().take(usize::try_from(line).unwrap_or(usize::MAX)) {
        let mut column = content.len() - content.trim_start().len();
        let mut rest = content.trim_start();
        if rest.is_empty() || rest.starts_with('#') || rest.starts_with("---") {
            continue;
        }
        while let Some(item) = rest.strip_prefix("- ").or((rest == "-").then_some("")) {
            // A list may stand at the column of its key: only keys further right end here.
            open.retain(|(at, step)| {
                *at < column || (*at == column && matches!(step, Step::Item(_) | Step::Key(_)))
            });
            match open.last_mut() {
                Some((at, Step::Item(index))) if *at == column => *index += 1,
                _ => open.push((column, Step::Item(0))),
            }
            column += rest.len() - item.len();
            let indent = item.len() - item.trim_start().len();
            column += indent;
            rest = item.trim_start();
        }
        if let Some(key) = key_of(rest) {
            open.retain(|(at, _)| *at < column);
            open.push((column, Step::Key(key.to_owned())));
        }
    }
    let mut path = String::new();
    for (_, step) in open {
        match step {
            Step::Key(key) if path.is_empty() => path = key,
            Step::Key(key) => path = format!("{path}.{key}"),
            Step::Item(index) => path = format!("{path}[{index}]"),
        }
    }
    path
}

enum Step {
    Key(String),
    Item(usize),
}

fn key_of(text: &str) -> Option<&str> {
    let end = text.find(": ").or_else(|| text.trim_end().strip_suffix(':').map(str::len))?;
    let key = text[..end].trim().trim_matches(['"', '\'']);
    (!key.is_empty() && !key.contains(['{', '[', '#', ' '])).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::path_at;

    #[test]
    fn a_line_has_the_path_of_its_key() {
        let text = "\
listeners:
- address: a
- address: b
  tls: true
# a comment
limits:
  connections: 1

apis:
  - definition: x
    stage_variables:
      a: 1
  -
    definition: y
log: {level: info}
";
        for (line, path) in [
            (1, "listeners"),
            (2, "listeners[0].address"),
            (4, "listeners[1].tls"),
            (7, "limits.connections"),
            (10, "apis[0].definition"),
            (12, "apis[0].stage_variables.a"),
            (14, "apis[1].definition"),
            (15, "log"),
        ] {
            assert_eq!(path_at(text, line), path, "line {line}");
        }
    }
}
