//! Paths, and how they are followed through a document.
//!
//! All steps of all paths are numbered, up to 64. While a document is read, a bit set says which
//! step each path is at: `Paths::start` at the top. `Paths::name` and `Paths::index` give those that
//! select a child; where the last of a path is among them, the child is to be redacted, and
//! otherwise `Paths::below` gives the set for the child's own children.

use serde::Deserialize;

/// Which steps are to be matched by the children of a value.
pub type Steps = u64;

#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Paths {
    selectors: Vec<Selector>,
    start: Steps,
    /// Steps that are the last of their paths.
    last: Steps,
    /// Steps that may be matched at any depth.
    anywhere: Steps,
    /// Steps that select a name, a place, any child.
    names: Steps,
    indexes: Steps,
    any: Steps,
    kinds: Names,
}

/// Which names may be among some: a bit for each of 64 kinds of names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names(u64);

impl Names {
    const ALL: Self = Self(!0);

    /// False for most names that are not. The first and last byte of an empty one are quotes.
    #[inline(always)]
    pub fn may_have(self, first: u8, last: u8, length: usize) -> bool {
        let kind = 2 * u32::from(first) + 7 * u32::from(last) + 3 * length as u32;
        (self.0 >> (kind % 64)) & 1 != 0
    }

    fn add(&mut self, name: &[u8]) {
        let [first, last] = [name.first(), name.last()].map(|it| it.copied().unwrap_or(b'"'));
        let kinds = (0..64).map(|kind| Self(1 << kind));
        let own = kinds.filter(|kind| kind.may_have(first, last, name.len()));
        self.0 |= own.fold(0, |all, kind| all | kind.0);
    }
}

#[derive(Debug)]
enum Selector {
    Name(String),
    Index(usize),
    Any,
}

/// `==` for short slices without a call.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if !(4..=8).contains(&one.len()) {
        return one == other;
    }
    one.first_chunk::<4>() == other.first_chunk() && one.last_chunk::<4>() == other.last_chunk()
}

impl Paths {
    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }

    pub fn start(&self) -> Steps {
        self.start
    }

    /// Which members these steps may select to be redacted or followed.
    pub fn wanted(&self, steps: Steps) -> Names {
        match steps {
            // Below any child the same may be matched again, but a text has nothing below.
            _ if self.redacts(self.any(steps)) => Names::ALL,
            _ if steps & self.names == 0 => Names::default(),
            _ => self.kinds,
        }
    }

    pub fn has_indexes(&self, steps: Steps) -> bool {
        steps & self.indexes != 0
    }

    /// The steps that select any child.
    #[inline(always)]
    pub fn any(&self, steps: Steps) -> Steps {
        steps & self.any
    }

    /// The steps that select a member of an object. `name` is unescaped.
    #[inline(always)]
    pub fn name(&self, steps: Steps, name: &[u8]) -> Steps {
        let [first, last] = [name.first(), name.last()].map(|it| it.copied().unwrap_or(b'"'));
        match self.kinds.may_have(first, last, name.len()) {
            true => self.named(steps, name),
            false => self.any(steps),
        }
    }

    #[inline(never)]
    fn named(&self, steps: Steps, name: &[u8]) -> Steps {
        self.selecting(steps, self.names, |selector| {
            matches!(selector, Selector::Name(wanted) if is_same(wanted.as_bytes(), name))
        })
    }

    /// The steps that select an element of an array.
    #[inline(never)]
    pub fn index(&self, steps: Steps, index: usize) -> Steps {
        self.selecting(
            steps,
            self.indexes,
            |selector| matches!(selector, Selector::Index(wanted) if *wanted == index),
        )
    }

    #[inline(always)]
    fn selecting(
        &self,
        steps: Steps,
        candidates: Steps,
        is_selecting: impl Fn(&Selector) -> bool,
    ) -> Steps {
        let mut matched = self.any(steps);
        let mut rest = steps & candidates;
        while rest != 0 {
            if is_selecting(&self.selectors[rest.trailing_zeros() as usize]) {
                matched |= rest & rest.wrapping_neg();
            }
            rest &= rest - 1;
        }
        matched
    }

    /// Whether a child is to be redacted that these steps have selected.
    #[inline(always)]
    pub fn redacts(&self, matched: Steps) -> bool {
        matched & self.last != 0
    }

    /// What the children of a child are to match that isn't to be redacted.
    #[inline(always)]
    pub fn below(&self, steps: Steps, matched: Steps) -> Steps {
        steps & self.anywhere | matched << 1
    }

    fn add(&mut self, path: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{path}: {what}");
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut is_first = true;
        while !rest.is_empty() || is_first {
            let (selects, at_any_depth, after) = step(rest, is_first).map_err(wrong)?;
            let number = self.selectors.len();
            if number == 64 {
                return Err("the paths have more than 64 steps".to_owned());
            }
            let bit = 1 << number;
            match &selects {
                Selector::Name(name) => {
                    self.names |= bit;
                    self.kinds.add(name.as_bytes());
                }
                Selector::Index(_) => self.indexes |= bit,
                Selector::Any => self.any |= bit,
            }
            if is_first {
                self.start |= bit;
            }
            if at_any_depth {
                self.anywhere |= bit;
            }
            if after.is_empty() {
                self.last |= bit;
            }
            self.selectors.push(selects);
            rest = after;
            is_first = false;
        }
        Ok(())
    }
}

/// The first step of a path, whether it may be matched at any depth, and the steps after it.
fn step(path: &str, is_first: bool) -> Result<(Selector, bool, &str), &'static str> {
    if let Some(inside) = path.strip_prefix('[') {
        let (selector, after) = bracket(inside)?;
        return Ok((selector, false, after));
    }
    let (at_any_depth, after_dots) = match (path.strip_prefix(".."), path.strip_prefix('.')) {
        (Some(after), _) => (true, after),
        (None, Some(after)) => (false, after),
        (None, None) if is_first => (false, path),
        (None, None) => return Err("a dot or a bracket is wanted between steps"),
    };
    if let Some(inside) = after_dots.strip_prefix('[').filter(|_| at_any_depth) {
        let (selector, after) = bracket(inside)?;
        return Ok((selector, true, after));
    }
    let end = after_dots.find(['.', '[']).unwrap_or(after_dots.len());
    match &after_dots[..end] {
        "" => Err("a name is wanted"),
        "*" => Ok((Selector::Any, at_any_depth, &after_dots[end..])),
        name => Ok((Selector::Name(name.to_owned()), at_any_depth, &after_dots[end..])),
    }
}

fn bracket(inside: &str) -> Result<(Selector, &str), &'static str> {
    for quote in ["'", "\""] {
        if let Some(name) = inside.strip_prefix(quote) {
            let end = [quote, "]"].concat();
            let (name, after) = name.split_once(&end).ok_or("the quoted name has no end")?;
            return Ok((Selector::Name(name.to_owned()), after));
        }
    }
    let (text, after) = inside.split_once(']').ok_or("the bracket has no end")?;
    match text {
        "*" => Ok((Selector::Any, after)),
        number => match number.parse() {
            Ok(index) => Ok((Selector::Index(index), after)),
            Err(_) => Err("in brackets are a number, * or a quoted name"),
        },
    }
}

impl TryFrom<Vec<String>> for Paths {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let mut paths = Self::default();
        texts.iter().try_for_each(|text| paths.add(text))?;
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_path_is_said() {
        let table = [
            ("$", "$: a name is wanted"),
            ("", ": a name is wanted"),
            ("$.", "$.: a name is wanted"),
            ("a..", "a..: a name is wanted"),
            ("a[", "a[: the bracket has no end"),
            ("a['b", "a['b: the quoted name has no end"),
            ("a[x]", "a[x]: in brackets are a number, * or a quoted name"),
            ("a[0]b", "a[0]b: a dot or a bracket is wanted between steps"),
        ];
        for (path, expected) in table {
            assert_eq!(Paths::try_from(vec![path.to_owned()]).unwrap_err(), expected);
        }
    }

    #[test]
    fn there_are_64_steps_at_most() {
        let path = |steps: usize| vec![vec!["a"; steps].join(".")];
        assert!(Paths::try_from(path(64)).is_ok());
        assert!(Paths::try_from(path(65)).is_err());
    }
}
