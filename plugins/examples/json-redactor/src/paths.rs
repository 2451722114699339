//! Paths, and how they are followed through a document.
//!
//! All steps of all paths are numbered, up to 64. While a document is read, a bit set says which
//! step each path is at: `Paths::start` at the top, and at each child what `Paths::name` or
//! `Paths::index` makes of its parent's set. Bit `n` in the result means that step `n` is to be
//! matched next below that child; a path that has no step left has matched.

use serde::Deserialize;

/// Which steps are to be matched by the children of a value.
pub type Steps = u64;

/// Steps below a child, and whether the child itself is to be redacted.
#[derive(Clone, Copy)]
pub struct Below {
    pub steps: Steps,
    pub redact: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Paths {
    steps: Vec<Step>,
    start: Steps,
    /// Steps that may be matched at any depth.
    anywhere: Steps,
    /// Steps that select a name, and those that select any child.
    names: Steps,
    any: Steps,
    /// Lengths that names of steps have, as bits: most members are known by theirs not to be meant.
    lengths: u64,
}

#[derive(Debug)]
struct Step {
    selects: Selector,
    is_last: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Selector {
    Name(String),
    Index(usize),
    Any,
}

impl Paths {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn start(&self) -> Steps {
        self.start
    }

    /// Goes to a member of an object. `name` is unescaped.
    #[inline(always)]
    pub fn name(&self, steps: Steps, name: &[u8]) -> Below {
        let is_length_wanted = self.lengths & length_bit(name) != 0;
        let candidates = self.any | if is_length_wanted { self.names } else { 0 };
        if steps & candidates == 0 {
            return self.nothing_selected(steps);
        }
        self.below(steps, candidates, |selector| match selector {
            Selector::Name(wanted) => wanted.as_bytes() == name,
            Selector::Any => true,
            Selector::Index(_) => false,
        })
    }

    /// Goes to an element of an array.
    #[inline(always)]
    pub fn index(&self, steps: Steps, index: usize) -> Below {
        let candidates = !self.names;
        if steps & candidates == 0 {
            return self.nothing_selected(steps);
        }
        self.below(steps, candidates, |selector| match selector {
            Selector::Index(wanted) => *wanted == index,
            Selector::Any => true,
            Selector::Name(_) => false,
        })
    }

    fn nothing_selected(&self, steps: Steps) -> Below {
        Below { steps: steps & self.anywhere, redact: false }
    }

    #[inline(never)]
    fn below(
        &self,
        steps: Steps,
        candidates: Steps,
        selected: impl Fn(&Selector) -> bool,
    ) -> Below {
        let mut below = self.nothing_selected(steps);
        let mut rest = steps & candidates;
        while rest != 0 {
            let number = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let step = &self.steps[number];
            if selected(&step.selects) {
                if step.is_last {
                    below.redact = true;
                } else {
                    below.steps |= 1 << (number + 1);
                }
            }
        }
        below
    }

    fn add(&mut self, path: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{path}: {what}");
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut is_first = true;
        while !rest.is_empty() || is_first {
            let (selects, at_any_depth, after) = step(rest, is_first).map_err(wrong)?;
            let number = self.steps.len();
            if number == 64 {
                return Err("the paths have more than 64 steps".to_owned());
            }
            if is_first {
                self.start |= 1 << number;
            }
            if at_any_depth {
                self.anywhere |= 1 << number;
            }
            match &selects {
                Selector::Name(name) => {
                    self.names |= 1 << number;
                    self.lengths |= length_bit(name.as_bytes());
                }
                Selector::Any => self.any |= 1 << number,
                Selector::Index(_) => {}
            }
            self.steps.push(Step { selects, is_last: after.is_empty() });
            rest = after;
            is_first = false;
        }
        Ok(())
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << (name.len() % 64)
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
