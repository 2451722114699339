//! Reads `%[argument$][flags][width][.precision]conversion`.

use super::raise;
use crate::methods::MethodError;

pub(super) struct Specifier<'f> {
    pub(super) argument: Argument,
    flags: &'f str,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    /// In lower case.
    pub(super) conversion: char,
    pub(super) upper: bool,
    /// Without the `%`.
    pub(super) written: &'f str,
}

pub(super) enum Argument {
    /// The next of those without an index.
    Next,
    /// `%<s`: the one before.
    Same,
    /// `%2$s`, starting with 1.
    At(usize),
}

impl Specifier<'_> {
    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
}

/// At what follows a `%`; gives the rest too.
pub(super) fn parse(text: &str) -> Result<(Specifier<'_>, &str), MethodError> {
    let mut rest = text;
    let argument = argument(&mut rest);
    let flags = take(&mut rest, |c| "-#+ 0,(<".contains(c));
    let argument = if flags.contains('<') { Argument::Same } else { argument };
    let width = number(take(&mut rest, |c| c.is_ascii_digit()));
    let precision = match rest.strip_prefix('.') {
        Some(after) => {
            rest = after;
            let digits = take(&mut rest, |c| c.is_ascii_digit());
            match number(digits) {
                Some(precision) => Some(precision),
                None => return raise("IllegalFormatPrecisionException", digits),
            }
        }
        None => None,
    };
    let Some(written) = rest.chars().next() else {
        let last = text.chars().next().unwrap_or('%');
        return raise("UnknownFormatConversionException", format_args!("Conversion = '{last}'"));
    };
    let after = rest.get(written.len_utf8()..).unwrap_or("");
    let upper = matches!(written, 'B' | 'C' | 'E' | 'G' | 'H' | 'S' | 'X');
    let specifier = Specifier {
        argument,
        flags,
        width,
        precision,
        conversion: if upper { written.to_ascii_lowercase() } else { written },
        upper,
        written: text.get(..text.len() - after.len()).unwrap_or(text),
    };
    check(&specifier)?;
    Ok((specifier, after))
}

fn argument(rest: &mut &str) -> Argument {
    let mut after = *rest;
    let digits = take(&mut after, |c| c.is_ascii_digit());
    match (number(digits), after.strip_prefix('$')) {
        (Some(index), Some(after)) if !digits.starts_with('0') => {
            *rest = after;
            Argument::At(index)
        }
        _ => Argument::Next,
    }
}

fn take<'f>(rest: &mut &'f str, wanted: impl Fn(char) -> bool) -> &'f str {
    let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

/// `None` without digits; a number too large is the largest.
fn number(digits: &str) -> Option<usize> {
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
}

fn check(specifier: &Specifier<'_>) -> Result<(), MethodError> {
    let Specifier { flags, conversion, width, precision, .. } = specifier;
    let conversion = *conversion;
    let allowed = match conversion {
        'b' | 'h' | 'c' => "-<",
        's' => "-<",
        'd' => "-+ 0,(<",
        'x' | 'o' => "-#+ 0(<",
        'e' => "-#+ 0(<",
        'f' => "-#+ 0,(<",
        'g' => "-+ 0,(<",
        '%' => "-<",
        'n' => "",
        other => {
            let message = format!("Conversion = '{other}'");
            return raise("UnknownFormatConversionException", message);
        }
    };
    if conversion == 'n' && width.is_some() {
        return raise("IllegalFormatWidthException", width.unwrap_or(0));
    }
    if precision.is_some() && matches!(conversion, 'c' | 'd' | 'x' | 'o' | 'n' | '%') {
        return raise("IllegalFormatPrecisionException", precision.unwrap_or(0));
    }
    if let Some(flag) = flags.chars().find(|flag| !allowed.contains(*flag)) {
        let message = format!("Conversion = {conversion}, Flags = {flag}");
        return raise("FormatFlagsConversionMismatchException", message);
    }
    if width.is_none() && flags.contains(['-', '0']) {
        return raise("MissingFormatWidthException", format_args!("%{}", specifier.written));
    }
    for (a, b) in [('-', '0'), ('+', ' ')] {
        if specifier.has(a) && specifier.has(b) {
            return raise("IllegalFormatFlagsException", format_args!("Flags = '{a}{b}'"));
        }
    }
    Ok(())
}
