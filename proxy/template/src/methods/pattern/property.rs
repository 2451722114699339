//! `\p{…}`: Java's names of character classes as the inside of a bracket expression.

/// The inside of `[…]` for a property's name, or `None` for a name Java has and this has not.
pub(super) fn property(name: &str) -> Option<String> {
    if let Some(posix) = posix(name) {
        return Some(posix.to_owned());
    }
    if let Some(script) = name.strip_prefix("script=").or_else(|| name.strip_prefix("sc=")) {
        return Some(format!(r"\p{{Script={script}}}"));
    }
    if let Some(category) =
        name.strip_prefix("general_category=").or_else(|| name.strip_prefix("gc="))
    {
        return Some(format!(r"\p{{gc={category}}}"));
    }
    let name = match name.strip_prefix("Is") {
        Some(name) => name,
        // Without `Is` only general categories.
        None if name.len() <= 2 => name,
        None => return None,
    };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && !name.is_empty()).then(|| format!(r"\p{{{name}}}"))
}

fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => r"!-/:-@\[-`\{-~",
        "Graph" => "!-~",
        "Print" => r"\x20-~",
        "Blank" => r"\x20\t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => r"\x20\t\n\x0B\f\r",
        "L1" => r"\x00-\x{FF}",
        "all" | "ALL" => r"\x00-\x{10FFFF}",
        "LD" => r"\p{L}\p{Nd}",
        "javaLowerCase" => r"\p{Lowercase}",
        "javaUpperCase" => r"\p{Uppercase}",
        "javaTitleCase" => r"\p{Lt}",
        "javaAlphabetic" => r"\p{Alphabetic}",
        "javaLetter" => r"\p{L}",
        "javaDigit" => r"\p{Nd}",
        "javaLetterOrDigit" => r"\p{L}\p{Nd}",
        "javaSpaceChar" => r"\p{Z}",
        "javaWhitespace" => {
            r"\t\n\x0B\f\r\x1C-\x20\x{1680}\x{2000}-\x{2006}\x{2008}-\x{200A}\x{2028}\x{2029}\x{205F}\x{3000}"
        }
        "javaISOControl" => r"\x00-\x1F\x7F-\x{9F}",
        "javaIdeographic" | "IsIdeographic" => r"\p{Ideographic}",
        "IsDigit" => r"\p{Nd}",
        "IsLetter" => r"\p{L}",
        "IsPunctuation" => r"\p{P}",
        "IsControl" => r"\p{Cc}",
        "IsAssigned" => r"\P{Cn}",
        _ => return None,
    })
}
