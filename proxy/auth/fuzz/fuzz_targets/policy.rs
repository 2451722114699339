//! Any text is a policy or says why not, whatever it is taken for, and any policy decides on any
//! request, the same each time.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use tollgate_auth::{ConditionKeys, Policy, PolicyKind, Principal, Request};

/// Each key has all values.
struct Keys<'f>(&'f [&'f str]);

impl ConditionKeys for Keys<'_> {
    fn each_value(&self, _: &str, f: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|value| f(value));
    }
}

fuzz_target!(|input: (&str, [&str; 5], u64)| {
    let (text, [action, resource, arn, key, other_key], time) = input;
    let values = [key, other_key];
    for kind in [PolicyKind::Authorizer, PolicyKind::Resource { api_arn: "arn:aws:a:b:c:d" }] {
        let Ok(policy) = Policy::parse(text, kind) else { continue };
        for principal in [Principal::Anonymous, Principal::Aws { arn, account_id: "123456789012" }]
        {
            for keys in [&values[..], &values[..1], &[]] {
                let time = UNIX_EPOCH + Duration::from_secs(time >> 16);
                let keys = Keys(keys);
                let request = Request { action, resource, principal, time, keys: &keys };
                assert_eq!(policy.evaluate(&request), policy.evaluate(&request));
            }
        }
    }
});
