//! An authorizer for API keys that are kept in a file.
//!
//! The plugin's configuration *is* the database: name the file as `configuration_file`, and a
//! changed file is in use a moment later, with no request lost. It holds digests, so whoever reads
//! it has no keys. Either lines,
//!
//! ```text
//! # SHA-256 of the key, principal, usage identifier key, context…
//! 0cde12bf…6d4f,alice,,tier=gold,beta=true
//! ```
//!
//! where all after the principal may be left out, or JSON, where the header can be named too:
//!
//! ```json
//! {"header": "x-api-key",
//!  "keys": [{"sha256": "0cde12bf…6d4f", "principal": "alice", "usageIdentifierKey": "…",
//!            "context": {"tier": "gold", "beta": true}, "expires": 1798761600}]}
//! ```
//!
//! `printf %s "$KEY" | sha256sum` makes a digest; keys have to be long and random, as those of
//! `openssl rand -hex 20` are, because digests of guessable ones can be tried. `expires` is in
//! seconds since 1970.
//!
//! No key: 401. An unknown or expired one: 403. A known one: the principal is
//! `$context.authorizer.principalId`, the context `$context.authorizer.…`, and the usage identifier
//! key counts against a usage plan where the API's key source is `AUTHORIZER`.

mod database;

use sha2::{Digest, Sha256};
use tollgate_plugin_sdk::{Configuration, Decision, Request, authorizer, clock};

use crate::database::Database;

static DATABASE: Configuration<Database> = Configuration::new(Database::parse);

authorizer!(authorize);

fn authorize(request: &Request) -> Decision {
    let database: &Database = &DATABASE;
    let Some(presented) = request.header(&database.header) else { return Decision::Unauthorized };
    let Some(key) = database.find(&Sha256::digest(presented).into()) else {
        return Decision::deny();
    };
    if key.expires.is_some_and(|expires| clock::now().as_secs() >= expires) {
        return Decision::deny();
    }
    let mut allow = Decision::allow(&*key.principal);
    allow.usage_identifier_key.clone_from(&key.usage_identifier_key);
    allow.context.clone_from(&key.context);
    // Decided by the key alone, but not for longer than the key lives.
    allow.time_to_live =
        key.expires.map(|expires| expires.saturating_sub(clock::now().as_secs()).min(3600) as u32);
    allow.into()
}

#[cfg(test)]
mod tests {
    use tollgate_plugin_sdk::testing::{Exchange, Gateway};
    use tollgate_plugin_sdk::{Allow, ContextValue};

    use super::*;

    /// Of some key.
    const ALICE: &str = "78cb25670068db732b666acc160a6fc90b66ba60ec2e2a2b6119771c89d81957";

    fn digest(key: &str) -> String {
        Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn ask(gateway: &Gateway, key: &str) -> Decision {
        gateway.authorize(authorize, &Exchange::get("/pets").header("x-api-key", key))
    }

    fn allowed(decision: Decision) -> Allow {
        match decision {
            Decision::Allow(allow) => allow,
            other => panic!("not allowed: {other:?}"),
        }
    }

    #[test]
    fn a_line_gives_principal_usage_identifier_key_and_context() {
        let lines = format!("# keys\n\n{},alice,plan-key,tier=gold,beta=true\r\n", digest("k1"));
        let allow = allowed(ask(&Gateway::new().configuration(lines), "k1"));
        assert_eq!(allow.principal_id, "alice");
        assert_eq!(allow.usage_identifier_key.as_deref(), Some("plan-key"));
        let expected = [("tier", "gold"), ("beta", "true")];
        assert_eq!(allow.context, expected.map(|(k, v)| (k.to_owned(), ContextValue::from(v))));
    }

    #[test]
    fn no_key_is_unauthorized_and_another_one_denied() {
        let gateway = Gateway::new().configuration(format!("{ALICE},alice"));
        let nobody = gateway.authorize(authorize, &Exchange::get("/pets"));
        assert_eq!(nobody, Decision::Unauthorized);
        assert_eq!(ask(&gateway, "mallorys-key"), Decision::deny());
    }

    #[test]
    fn json_names_the_header_and_when_a_key_expires() {
        let gateway = Gateway::new();
        let expires = gateway.now().as_secs() + 60;
        let json = format!(
            r#"{{"header": "x-key", "keys": [{{"sha256": "{}", "principal": "bob", "expires": {expires},
                "context": {{"level": 3, "beta": true}}}}]}}"#,
            digest("k2")
        );
        let gateway = gateway.configuration(json);
        let exchange = Exchange::get("/").header("X-Key", "k2");
        let allow = allowed(gateway.authorize(authorize, &exchange));
        assert_eq!((allow.principal_id.as_str(), allow.time_to_live), ("bob", Some(60)));
        assert!(allow.context.contains(&("level".to_owned(), 3.0.into())));

        gateway.advance(std::time::Duration::from_secs(60));
        assert_eq!(gateway.authorize(authorize, &exchange), Decision::deny());
    }

    #[test]
    fn a_key_is_found_among_many() {
        let lines: Vec<_> =
            (0..2000).map(|it| format!("{},user-{it}", digest(&format!("key-{it}")))).collect();
        let gateway = Gateway::new().configuration(lines.join("\n"));
        for number in [0, 999, 1999] {
            let allow = allowed(ask(&gateway, &format!("key-{number}")));
            assert_eq!(allow.principal_id, format!("user-{number}"));
        }
    }
}
