//! A transformer that sends clients to the variants of an experiment, each always to the same.
//!
//! ```json
//! {"experiment": "checkout",
//!  "buckets": [{"name": "control", "weight": 90},
//!              {"name": "new", "weight": 10, "pathPrefix": "/next"}]}
//! ```
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `experiment` | its name; another name deals anew | wanted |
//! | `buckets` | `name`, `weight` (its share of the sum; 0: nobody new), and `pathPrefix`, put before the path that the backend sees | two or more are wanted |
//! | `keyHeader` | a header that names the client, such as `x-user-id`: the same value gets the same bucket everywhere, without a cookie | none |
//! | `header` | the request header that tells the backend the bucket | `x-bucket` |
//! | `cookie` | the cookie that keeps the bucket where there is no key | `ab-EXPERIMENT` |
//! | `maxAgeSeconds` | how long the cookie is kept | 2592000 (30 days) |
//! | `stripPrefix` | with `pathPrefix`: what the paths that the backend sees lack | the stage: `/prod` |
//!
//! A bucket that a cookie names and that isn't there any more is dealt anew. With `keyHeader`, a
//! changed weight moves only as many clients as it has to.

use serde::Deserialize;
use tollgate_plugin_sdk::{
    Configuration, Request, RequestAction, RequestEdits, Response, ResponseAction, ResponseEdits,
    Transformer, exchange, random, transformer,
};

static SETTINGS: Configuration<Settings> = Configuration::json();

/// Keeps the bucket that a cookie has to be set for, from request to response.
const DEALT: &str = "ab-router dealt ";

#[derive(Deserialize)]
#[serde(try_from = "Wire")]
struct Settings {
    experiment: String,
    buckets: Vec<Bucket>,
    key_header: Option<String>,
    header: String,
    cookie: String,
    max_age_seconds: u64,
    strip_prefix: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bucket {
    name: String,
    weight: u32,
    path_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    experiment: String,
    buckets: Vec<Bucket>,
    key_header: Option<String>,
    header: Option<String>,
    cookie: Option<String>,
    max_age_seconds: Option<u64>,
    strip_prefix: Option<String>,
}

impl TryFrom<Wire> for Settings {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        if wire.buckets.len() < 2 {
            return Err("buckets: two or more are wanted".to_owned());
        }
        if wire.buckets.iter().all(|bucket| bucket.weight == 0) {
            return Err("buckets: one has to have a weight".to_owned());
        }
        let cookie = wire.cookie.unwrap_or_else(|| format!("ab-{}", wire.experiment));
        let names = wire.buckets.iter().map(|bucket| bucket.name.as_str()).chain([cookie.as_str()]);
        for name in names {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(format!("{name}: letters, digits, -, _ and . are allowed"));
            }
        }
        for prefix in wire.buckets.iter().filter_map(|bucket| bucket.path_prefix.as_deref()) {
            if !prefix.starts_with('/') || prefix.ends_with('/') {
                return Err(format!(
                    "{prefix}: a pathPrefix begins with a slash and doesn't end so"
                ));
            }
        }
        Ok(Self {
            experiment: wire.experiment,
            buckets: wire.buckets,
            key_header: wire.key_header,
            header: wire.header.unwrap_or_else(|| "x-bucket".to_owned()),
            cookie,
            max_age_seconds: wire.max_age_seconds.unwrap_or(30 * 86_400),
            strip_prefix: wire.strip_prefix,
        })
    }
}

struct Router;

transformer!(Router);

impl Transformer for Router {
    fn on_request(request: &Request) -> RequestAction {
        let settings: &Settings = &SETTINGS;
        let bucket = settings.bucket(request);
        let mut edits = RequestEdits::new().set_header(&settings.header, &bucket.name);
        if let Some(prefix) = &bucket.path_prefix {
            edits = edits.path(prefixed(settings, request, prefix));
        }
        edits.into()
    }

    fn on_response(_: &Request, _: &Response) -> ResponseAction {
        let Some(bucket) = exchange::get(&SETTINGS.dealt()) else { return ResponseAction::Pass };
        let cookie = format!(
            "{}={}; Path=/; Max-Age={}; SameSite=Lax; HttpOnly",
            SETTINGS.cookie,
            String::from_utf8_lossy(&bucket),
            SETTINGS.max_age_seconds,
        );
        ResponseEdits::new().append_header("set-cookie", cookie).into()
    }
}

impl Settings {
    /// The client's bucket; one that is dealt now is kept for the cookie.
    fn bucket(&self, request: &Request) -> &Bucket {
        if let Some(key) = self.key_header.as_deref().and_then(|name| request.header(name)) {
            return self.bucket_of_key(&key);
        }
        let kept = request.cookie(&self.cookie);
        if let Some(bucket) = self.buckets.iter().find(|it| Some(&it.name) == kept.as_ref()) {
            return bucket;
        }
        let bucket = self.bucket_at(random::number());
        // Without room for it the client is dealt anew next time.
        exchange::set(&self.dealt(), bucket.name.as_bytes());
        bucket
    }

    /// The bucket with the largest score of those that the key gives each: a changed weight
    /// moves clients to or from that bucket only (weighted rendezvous hashing).
    fn bucket_of_key(&self, key: &str) -> &Bucket {
        let score = |bucket: &&Bucket| {
            let hash = hash(&[&self.experiment, &bucket.name, key]);
            // In (0, 1), from the upper 53 bits.
            let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -f64::from(bucket.weight) / uniform.ln()
        };
        let best = self.buckets.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
        best.expect("there are buckets")
    }

    fn bucket_at(&self, random: u64) -> &Bucket {
        let total: u64 = self.buckets.iter().map(|bucket| u64::from(bucket.weight)).sum();
        let mut left = random % total;
        let drawn = self.buckets.iter().find(|bucket| {
            let weight = u64::from(bucket.weight);
            let is_drawn = left < weight;
            left = left.saturating_sub(weight);
            is_drawn
        });
        drawn.expect("less than the sum of all weights")
    }

    fn dealt(&self) -> String {
        [DEALT, &self.experiment].concat()
    }
}

fn prefixed(settings: &Settings, request: &Request, prefix: &str) -> String {
    let path = request.path();
    let strip = settings.strip_prefix.clone().unwrap_or_else(|| format!("/{}", request.stage()));
    let rest = path.strip_prefix(&strip).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    [prefix, rest.unwrap_or(&path)].concat()
}

/// FNV-1a, with the bits mixed at the end (Murmur's finaliser), so that similar keys differ much.
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use tollgate_plugin_sdk::testing::{Answer, Exchange, Gateway};

    use super::*;

    const SETTINGS: &str = r#"{"experiment": "checkout", "keyHeader": "x-user",
        "buckets": [{"name": "control", "weight": 3}, {"name": "new", "weight": 1, "pathPrefix": "/next"}]}"#;

    fn bucket(gateway: &Gateway, exchange: &Exchange) -> String {
        let forwarded = gateway.request::<Router>(exchange).unwrap();
        forwarded.header("x-bucket").unwrap().to_owned()
    }

    #[test]
    fn a_new_client_gets_a_cookie_and_keeps_its_bucket() {
        let gateway = Gateway::new().configuration(SETTINGS);
        let exchange = Exchange::get("/").header("x-bucket", "mine");
        let first = bucket(&gateway, &exchange);
        let answer = gateway.response::<Router>(&exchange, Answer::new(200, ""));
        let cookie = answer.header("set-cookie").unwrap();
        let expected =
            format!("ab-checkout={first}; Path=/; Max-Age=2592000; SameSite=Lax; HttpOnly");
        assert_eq!(cookie, expected);

        for _ in 0..20 {
            let again = Exchange::get("/").header("cookie", &format!("a=b; ab-checkout={first}"));
            assert_eq!(bucket(&gateway, &again), first);
            let answer = gateway.response::<Router>(&again, Answer::new(200, ""));
            assert_eq!(answer.header("set-cookie"), None);
        }
    }

    #[test]
    fn a_bucket_that_is_gone_is_dealt_anew() {
        let gateway = Gateway::new().configuration(SETTINGS);
        let exchange = Exchange::get("/").header("cookie", "ab-checkout=old");
        bucket(&gateway, &exchange);
        let answer = gateway.response::<Router>(&exchange, Answer::new(200, ""));
        assert!(answer.header("set-cookie").is_some());
    }

    #[test]
    fn a_prefix_goes_before_the_path_of_the_backend() {
        let gateway = Gateway::new().configuration(SETTINGS);
        for (path, expected) in
            [("/test/pay", "/next/pay"), ("/test", "/next"), ("/testpay", "/next/testpay")]
        {
            let exchange = Exchange::get(path).header("cookie", "ab-checkout=new");
            assert_eq!(gateway.request::<Router>(&exchange).unwrap().path, expected);
        }
        let control = Exchange::get("/test/pay").header("cookie", "ab-checkout=control");
        assert_eq!(gateway.request::<Router>(&control).unwrap().path, "/test/pay");
    }

    #[test]
    fn keys_are_dealt_by_weight_and_stay() {
        let gateway = Gateway::new().configuration(SETTINGS);
        let dealt = |number: u32| {
            bucket(&gateway, &Exchange::get("/").header("x-user", &format!("user-{number}")))
        };
        let new = (0..4000).filter(|number| dealt(*number) == "new").count();
        assert!((900..1100).contains(&new), "{new} of 4000 for a quarter");
        assert_eq!(dealt(7), dealt(7));
    }

    #[test]
    fn a_changed_weight_moves_clients_one_way_only() {
        let of = |text: &str| serde_json::from_str::<Settings>(text).unwrap();
        let before = of(SETTINGS);
        let after = of(&SETTINGS.replace(r#""weight": 1"#, r#""weight": 3"#));
        for number in 0..2000 {
            let key = format!("user-{number}");
            if before.bucket_of_key(&key).name == "new" {
                assert_eq!(after.bucket_of_key(&key).name, "new");
            }
        }
    }

    #[test]
    fn draws_follow_the_weights() {
        let settings: Settings = serde_json::from_str(SETTINGS).unwrap();
        let drawn = [0, 2, 3, 4, u64::MAX].map(|it| settings.bucket_at(it).name.clone());
        assert_eq!(drawn, ["control", "control", "new", "control", "new"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let buckets = |text: &str| format!(r#"{{"experiment": "x", "buckets": [{text}]}}"#);
        let table = [
            (r#"{"name": "a", "weight": 1}"#, "buckets: two or more are wanted"),
            (
                r#"{"name": "a", "weight": 0}, {"name": "b", "weight": 0}"#,
                "buckets: one has to have a weight",
            ),
            (
                r#"{"name": "a;", "weight": 1}, {"name": "b", "weight": 0}"#,
                "a;: letters, digits, -, _ and . are allowed",
            ),
            (
                r#"{"name": "a", "weight": 1, "pathPrefix": "x"}, {"name": "b", "weight": 0}"#,
                "x: a pathPrefix begins with a slash and doesn't end so",
            ),
        ];
        for (text, expected) in table {
            let found = serde_json::from_str::<Settings>(&buckets(text)).err().unwrap().to_string();
            assert_eq!(found, expected);
        }
    }
}
