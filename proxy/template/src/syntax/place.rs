//! Lines and columns.

/// Line and column of an offset that only grows.
#[derive(Debug)]
pub(super) struct Place {
    offset: usize,
    line: u32,
    column: u32,
    after_return: bool,
}

impl Place {
    pub(super) fn new(line: u32, column: u32) -> Self {
        Self { offset: 0, line, column, after_return: false }
    }

    /// Tells the line and the column of `offset`, which is never less than before.
    pub(super) fn advance(&mut self, text: &str, offset: usize) -> (u32, u32) {
        for character in text.get(self.offset..offset).unwrap_or_default().chars() {
            let joined = self.after_return && character == '\n';
            self.after_return = character == '\r';
            match character {
                '\n' if joined => {}
                '\n' | '\r' => {
                    self.line += 1;
                    self.column = 1;
                }
                _ => self.column += 1,
            }
        }
        self.offset = self.offset.max(offset);
        (self.line, self.column)
    }
}
