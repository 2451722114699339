//! Who calls, and whom a resource policy speaks of.

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// No credentials of AWS: everyone whom an authorizer of another kind let in, too.
    Anonymous,
    /// A user, a role's session or an account's root.
    Aws {
        /// `arn:aws:iam::123456789012:user/name`, `arn:aws:sts::…:assumed-role/role/session`.
        arn: &'a str,
        account_id: &'a str,
    },
    /// `lambda.amazonaws.com`.
    Service(&'a str),
}

/// The value of `Principal` or `NotPrincipal`.
#[derive(Clone, Debug)]
pub(crate) enum Principals {
    Everyone,
    Listed(Box<[Listed]>),
}

#[derive(Clone, Debug)]
pub(crate) enum Listed {
    /// `"AWS": "*"`: everyone, in a resource policy.
    Everyone,
    /// An account id, or its root's ARN: everyone in the account.
    Account(Box<str>),
    /// A user, a role, a session.
    Arn(Box<str>),
    Service(Box<str>),
    /// `Federated` or `CanonicalUser`: nobody who calls an API here is one.
    Other,
}

impl Principals {
    pub(crate) fn include(&self, principal: &Principal<'_>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Listed(listed) => listed.iter().any(|listed| listed.is(principal)),
        }
    }
}

impl Listed {
    fn is(&self, principal: &Principal<'_>) -> bool {
        match (self, principal) {
            (Self::Everyone, _) => true,
            (Self::Account(account), Principal::Aws { account_id, .. }) => {
                **account == **account_id
            }
            (Self::Arn(listed), Principal::Aws { arn, .. }) => {
                **listed == **arn || is_session_of(arn, listed)
            }
            (Self::Service(listed), Principal::Service(name)) => **listed == **name,
            _ => false,
        }
    }

    /// An entry of `"AWS"`; none for what AWS takes for none.
    pub(crate) fn aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if is_account(text) {
            return Some(Self::Account(text.into()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", _, "iam" | "sts", "", account, name] = *parts else { return None };
        // Part of a principal's name can't be a wildcard.
        if !is_account(account) || name.is_empty() || text.contains(['*', '?']) {
            return None;
        }
        Some(if name == "root" { Self::Account(account.into()) } else { Self::Arn(text.into()) })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `session`, `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, is one of `role`,
/// `arn:aws:iam::ACCOUNT:role/PATH/ROLE`. Sessions don't tell the role's path.
fn is_session_of(session: &str, role: &str) -> bool {
    let (Some((account, name)), Some((role_account, role_name))) =
        (split(session, ":sts::"), split(role, ":iam::"))
    else {
        return false;
    };
    let assumed = name.strip_prefix("assumed-role/").and_then(|name| name.split('/').next());
    let role = role_name.strip_prefix("role/").and_then(|name| name.rsplit('/').next());
    account == role_account && assumed.is_some() && assumed == role
}

/// Partition with account, and name, of an ARN of that service.
fn split<'a>(arn: &'a str, service: &str) -> Option<((&'a str, &'a str), &'a str)> {
    let (partition, rest) = arn.split_once(service)?;
    let (account, name) = rest.split_once(':')?;
    Some(((partition, account), name))
}
