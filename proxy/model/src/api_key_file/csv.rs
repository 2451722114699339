//! Comma-separated values: fields may stand in double or single quotes, where a doubled quote is
//! one, and may then hold commas and line ends (RFC 4180, and AWS's single quotes).

/// The rows of a text that aren't empty, each with the line it begins at, counted from 1.
pub struct Rows<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Rows<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn row(&mut self) -> Result<Vec<String>, (usize, String)> {
        let mut fields = Vec::new();
        loop {
            let (field, end) = self.field()?;
            fields.push(field);
            if end != Some(',') {
                return Ok(fields);
            }
        }
    }

    /// A field, and what ends it: a comma, the line's end, or the text's.
    fn field(&mut self) -> Result<(String, Option<char>), (usize, String)> {
        let opened = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let mut field = String::new();
        if let Some(quote) = opened {
            let line = self.line;
            self.take();
            loop {
                match self.take() {
                    None => {
                        return Err((line, "a quote that is opened here is never closed".into()));
                    }
                    Some(c) if c != quote => field.push(c),
                    Some(_) if self.rest.starts_with(quote) => field.extend(self.take()),
                    Some(_) => break,
                }
            }
        }
        loop {
            match self.take() {
                Some('\r') if self.rest.starts_with('\n') => {}
                end @ (None | Some(',' | '\n')) => return Ok((field, end)),
                Some(c) => field.push(c),
            }
        }
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<(usize, Vec<String>), (usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            match self.row() {
                Ok(row) if row.iter().all(|field| field.trim().is_empty()) => {}
                row => return Some(row.map(|row| (line, row))),
            }
        }
    }
}

/// A field as it is written.
pub fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\'', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let fields = ["plain", "a,b", "with \"quotes\"", "two\nlines", "it's", ""];
        let line = fields.map(quoted).join(",");
        let text = format!("\n{line}\r\nlast,one");
        let rows: Vec<_> = Rows::new(&text).map(Result::unwrap).collect();
        let owned = |row: &[&str]| row.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        assert_eq!(rows, [(2, owned(&fields)), (4, owned(&["last", "one"]))]);
    }
}
