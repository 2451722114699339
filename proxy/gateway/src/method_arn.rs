//! The ARN of a method as policies name it (auth §3, §4):
//! `arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/{METHOD}/{path}`, with the path
//! of the request, not the template.

use std::fmt;

use smallvec::SmallVec;
use tollgate_model::compile::{CompiledStage, partition};

/// Largest method ARN that an authorizer is asked with, in bytes; a longer one is answered with
/// 414 (auth §4).
pub const MAXIMUM_METHOD_ARN: usize = 1_600;

/// At least the bytes of an ARN that are the partition's, the service's and separators.
const OTHER_PARTS: usize = 64;

/// Displayed, the whole ARN.
#[derive(Clone, Copy)]
pub struct MethodArn<'a>([&'a str; 15]);

impl<'a> MethodArn<'a> {
    /// `method` is the one that was routed, `resource_path` what the router saw.
    pub fn new(stage: &'a CompiledStage, method: &'a [u8], resource_path: &'a str) -> Self {
        Self::of_account(stage, ["", &stage.account_id], method, resource_path)
    }

    /// As refusals show it: only the end of the account's number.
    pub fn hiding_account(
        stage: &'a CompiledStage,
        method: &'a [u8],
        resource_path: &'a str,
    ) -> Self {
        let account = &stage.account_id;
        let end = account.get(account.len().saturating_sub(4)..).unwrap_or_default();
        Self::of_account(stage, ["********", end], method, resource_path)
    }

    fn of_account(
        stage: &'a CompiledStage,
        [hidden, account]: [&'a str; 2],
        method: &'a [u8],
        resource_path: &'a str,
    ) -> Self {
        let path = resource_path.strip_prefix('/').unwrap_or(resource_path);
        Self([
            "arn:",
            partition(&stage.region),
            ":execute-api:",
            &stage.region,
            ":",
            hidden,
            account,
            ":",
            &stage.api_id.0,
            "/",
            &stage.stage_name,
            "/",
            // A method that was routed is ASCII.
            std::str::from_utf8(method).unwrap_or_default(),
            "/",
            path.trim_end_matches('/'),
        ])
    }

    /// Whether the ARN is longer than [`MAXIMUM_METHOD_ARN`]. Hardly any is, which its parts' own
    /// lengths tell without making it.
    pub fn is_too_long(stage: &CompiledStage, method: &[u8], resource_path: &str) -> bool {
        let CompiledStage { region, account_id, api_id, stage_name, .. } = stage;
        let names = [&**region, account_id, &api_id.0, stage_name, resource_path];
        let parts = names.iter().fold(method.len(), |sum, name| sum + name.len());
        parts + OTHER_PARTS > MAXIMUM_METHOD_ARN
            && MethodArn::new(stage, method, resource_path).len() > MAXIMUM_METHOD_ARN
    }

    /// Bytes of the text.
    fn len(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    /// Runs `f` with the text, which is on the stack as a rule.
    pub fn with_text<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        let mut text = SmallVec::<[u8; 256]>::new();
        self.0.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        f(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Display for MethodArn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| f.write_str(part))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::phases::authorize::test_support::stage;

    #[test]
    fn an_arn_names_the_path_without_the_slash_at_its_end() {
        let stage = stage("{}", "type: token, authorizerUri: 'plugin:p'", &BTreeMap::new());
        let table = [
            ("/", "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/"),
            ("/pets/1", "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/pets/1"),
            ("/pets/1/", "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/pets/1"),
            (
                "/a//b%2Fc",
                "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/a//b%2Fc",
            ),
        ];
        for (path, expected) in table {
            let arn = MethodArn::new(&stage.compiled, b"GET", path);
            assert_eq!(arn.to_string(), expected);
            assert_eq!(arn.len(), expected.len());
            assert_eq!(arn.with_text(str::to_owned), expected);
            let hidden = MethodArn::hiding_account(&stage.compiled, b"GET", path);
            assert_eq!(hidden.to_string(), expected.replace("111122223333", "********3333"));
        }
    }
}
