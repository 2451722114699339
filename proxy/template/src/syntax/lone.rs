//! `$` and `#` that begin nothing.

use super::scan;

/// What remains of `$` and `#` that began nothing. Velocity keeps those two characters and drops
/// a `!` after them.
#[derive(Default)]
pub(super) struct Lone {
    kept: String,
    /// Velocity drops all of it if the last such piece begins with `##`.
    dropped: bool,
}

impl Lone {
    pub(super) fn add(&mut self, image: &str) {
        self.dropped = image.starts_with("##");
        let bytes = image.as_bytes();
        let mut position = 0;
        while let Some(&byte) = bytes.get(position) {
            match byte {
                b'$' | b'#' => self.kept.push(char::from(byte)),
                b'\\' => {
                    let dollar = scan::backslashes(bytes, position);
                    if bytes.get(dollar) == Some(&b'$') {
                        self.kept.push_str(&image[position..=dollar]);
                        // Velocity passes over the character after an escaped `$` as well.
                        position = dollar + 1;
                    }
                }
                _ => {}
            }
            position += 1;
        }
    }

    pub(super) fn finish(self) -> Option<Box<str>> {
        (!self.dropped && !self.kept.is_empty()).then(|| self.kept.into_boxed_str())
    }
}
