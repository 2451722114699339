//! Any request has credentials or says why not, the same each time, and nobody's signature fits
//! without the secret; what we sign ourselves, we accept.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use tollgate_auth::sigv4::{
    AmzDate, Authorization, Headers, PayloadHash, RequestParts, Scope, SecretKey, Signer,
};

struct Fields<'f>(Vec<(&'f str, &'f [u8])>);

impl Headers for Fields<'_> {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        let mut values = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.nth(at).map(|(_, value)| *value)
    }
}

fuzz_target!(|input: ([&str; 3], Vec<(&str, &[u8])>, &[u8], u32)| {
    let ([method, path, query], headers, body, time) = input;
    let now = UNIX_EPOCH + Duration::from_secs(u64::from(time) + 1);
    let secret = SecretKey::new("secret");
    let scope = Scope { region: "us-east-1", service: "apigateway" };
    let payload = PayloadHash::of(body);
    let mut headers = Fields(headers);

    let request = RequestParts { method, path, query, headers: &headers };
    assert_eq!(
        format!("{:?}", Authorization::parse(&request)),
        format!("{:?}", Authorization::parse(&request))
    );
    if let Ok(Some(authorization)) = Authorization::parse(&request) {
        assert!(authorization.verify(&request, payload, &secret, scope, now).is_err());
    }

    if query.contains("X-Amz-") || query.contains('%') {
        return;
    }
    let ours = ["authorization", "x-amz-date", "date", "host", "x-amz-content-sha256"];
    headers.0.retain(|(name, _)| !ours.iter().any(|our| our.eq_ignore_ascii_case(name)));
    let date = AmzDate::new(now);
    headers.0.extend([("host", &b"localhost"[..]), ("x-amz-date", date.text().as_bytes())]);
    let request = RequestParts { method, path, query, headers: &headers };
    let signer = Signer { access_key_id: "id", secret: &secret, scope };
    let names = ["host", "x-amz-date", "x-a", "x-b"];
    let authorization = signer.authorization(&request, &names, payload, now);
    headers.0.push(("authorization", authorization.as_bytes()));
    let request = RequestParts { method, path, query, headers: &headers };
    let authorization = Authorization::parse(&request).unwrap().unwrap();
    authorization.verify(&request, payload, &secret, scope, now).unwrap();
});
