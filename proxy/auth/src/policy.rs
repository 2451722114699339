//! Policies and their evaluation.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::condition::Condition;
use crate::date;
use crate::pattern::Text;
use crate::principal::{Principal, Principals};

/// A policy, ready to be evaluated. [`Policy::parse`] makes one.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) statements: Box<[Statement]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// Without: everyone. Policies that authorizers return name nobody.
    pub(crate) principal: Option<Scope<Principals>>,
    pub(crate) action: Scope<Box<[Text]>>,
    pub(crate) resource: Scope<Box<[Text]>>,
    pub(crate) conditions: Box<[Condition]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// `Resource` or `NotResource`, and so on.
#[derive(Clone, Debug)]
pub(crate) enum Scope<T> {
    Only(T),
    AllBut(T),
}

/// Who wants to do what.
pub struct Request<'a> {
    /// `execute-api:Invoke`.
    pub action: &'a str,
    /// The method's ARN.
    pub resource: &'a str,
    pub principal: Principal<'a>,
    /// `aws:CurrentTime` and `aws:EpochTime`.
    pub time: SystemTime,
    /// All other condition keys.
    pub keys: &'a dyn ConditionKeys,
}

/// Values of condition keys for one request. Evaluation asks for those that the policy names, for
/// each statement again, on its own thread.
pub trait ConditionKeys {
    /// Calls `f` with each value of a key, and not at all for an absent one. `key` is in lower
    /// case: `aws:sourceip`, `aws:principaltag/team`. Values are as AWS writes them: addresses
    /// without port, `true` or `false`, numbers in digits.
    fn each_value(&self, key: &str, f: &mut dyn FnMut(&str));
}

/// No condition key has a value, but for the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl ConditionKeys for NoKeys {
    fn each_value(&self, _: &str, _: &mut dyn FnMut(&str)) {}
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evaluation {
    /// A statement denies: whatever else allows doesn't count.
    ExplicitDeny,
    Allow,
    /// No statement applies.
    ImplicitDeny,
}

impl Evaluation {
    /// With another policy of the same account: one of both has to allow (auth §3.1, table A).
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::ExplicitDeny, _) | (_, Self::ExplicitDeny) => Self::ExplicitDeny,
            (Self::Allow, _) | (_, Self::Allow) => Self::Allow,
            (Self::ImplicitDeny, Self::ImplicitDeny) => Self::ImplicitDeny,
        }
    }

    /// With a policy of another account: both have to allow (auth §3.1, table B).
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::ExplicitDeny, _) | (_, Self::ExplicitDeny) => Self::ExplicitDeny,
            (Self::Allow, Self::Allow) => Self::Allow,
            _ => Self::ImplicitDeny,
        }
    }
}

impl Policy {
    /// What the policy says of a request.
    pub fn evaluate(&self, request: &Request<'_>) -> Evaluation {
        let mut evaluation = Evaluation::ImplicitDeny;
        for statement in &self.statements {
            let decided = evaluation == Evaluation::Allow && statement.effect == Effect::Allow;
            if decided || !statement.applies(request) {
                continue;
            }
            match statement.effect {
                Effect::Allow => evaluation = Evaluation::Allow,
                Effect::Deny => return Evaluation::ExplicitDeny,
            }
        }
        evaluation
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        let principal = self.principal.as_ref().is_none_or(|scope| match scope {
            Scope::Only(principals) => principals.include(&request.principal),
            Scope::AllBut(principals) => !principals.include(&request.principal),
        });
        principal
            && self.covers(&self.action, request.action, request)
            && self.covers(&self.resource, request.resource, request)
            && self.conditions.iter().all(|condition| condition.holds(request, self.effect))
    }

    fn covers(&self, scope: &Scope<Box<[Text]>>, value: &str, request: &Request<'_>) -> bool {
        match scope {
            Scope::Only(texts) => any_matches(texts, value, request) == Some(true),
            Scope::AllBut(texts) => match any_matches(texts, value, request) {
                Some(matches) => !matches,
                None => self.effect == Effect::Deny,
            },
        }
    }
}

/// None: no text matches, and at least one has a variable without a value.
pub(crate) fn any_matches(texts: &[Text], value: &str, request: &Request<'_>) -> Option<bool> {
    let mut known = true;
    for text in texts {
        match text.matches(value, request) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

impl Request<'_> {
    /// The values of a key in lower case.
    pub(crate) fn each_value(&self, key: &str, f: &mut dyn FnMut(&str)) {
        let seconds = || match self.time.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        };
        let mut buffer = [0; 32];
        match key {
            "aws:currenttime" => f(date::write(seconds(), &mut buffer)),
            "aws:epochtime" => {
                let mut rest = &mut buffer[..];
                let written = write!(rest, "{}", seconds()).is_ok();
                let length = 32 - rest.len();
                let text = std::str::from_utf8(&buffer[..length]);
                if let (true, Ok(text)) = (written, text) {
                    f(text);
                }
            }
            _ => self.keys.each_value(key, f),
        }
    }
}
