//! Signatures of AWS's documentation and of botocore, and what is refused in whose words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{
    AmzDate, Authorization, Headers, PayloadHash, RequestParts, Scope, SecretKey, SignatureError,
    Signer, hex,
};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SCOPE: Scope<'static> = Scope { region: "us-east-1", service: "service" };
/// 2015-08-30T12:36:00Z
const NOW: u64 = 1_440_938_160;
const DATE: (&str, &str) = ("x-amz-date", "20150830T123600Z");
const HOST: (&str, &str) = ("host", "example.amazonaws.com");
const VANILLA: &str = "AWS4-HMAC-SHA256 \
    Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
    SignedHeaders=host;x-amz-date, \
    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

struct Fields(Vec<(String, Vec<u8>)>);

impl Headers for Fields {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        values.nth(at).map(|(_, value)| value.as_slice())
    }
}

fn fields(headers: &[(&str, &str)]) -> Fields {
    Fields(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A GET of `/` with this query, at the time of AWS's examples.
fn check(query: &str, headers: &[(&str, &str)], now: u64) -> Result<(), SignatureError> {
    let headers = fields(headers);
    let request = RequestParts { method: "GET", path: "/", query, headers: &headers };
    let authorization = Authorization::parse(&request)?.ok_or(SignatureError::Missing)?;
    authorization.verify(&request, PayloadHash::of(b""), &SecretKey::new(SECRET), SCOPE, at(now))
}

/// What is refused when the header says this.
fn refusal(authorization: &str) -> String {
    let headers = [HOST, DATE, ("authorization", authorization)];
    check("", &headers, NOW).map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn signatures_of_aws_own_examples_are_right() {
    let secret = SecretKey::new(SECRET);
    for (method, query, signature) in [
        ("GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ] {
        let headers = fields(&[HOST, DATE]);
        let request = RequestParts { method, path: "/", query, headers: &headers };
        let signer = Signer { access_key_id: "AKIDEXAMPLE", secret: &secret, scope: SCOPE };
        let names = ["X-Amz-Date", "Host"];
        let signed = signer.authorization(&request, &names, PayloadHash::of(b""), at(NOW));
        assert_eq!(signed.rsplit('=').next(), Some(signature), "{method} {query}");
    }
    let headers = fields(&[
        ("host", "iam.amazonaws.com"),
        DATE,
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
    ]);
    let query = "Action=ListUsers&Version=2010-05-08";
    let request = RequestParts { method: "GET", path: "/", query, headers: &headers };
    let scope = Scope { region: "us-east-1", service: "iam" };
    let signer = Signer { access_key_id: "AKIDEXAMPLE", secret: &secret, scope };
    let names = ["content-type", "host", "x-amz-date"];
    assert_eq!(
        signer.authorization(&request, &names, PayloadHash::of(b""), at(NOW)),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn what_botocore_signs_is_accepted_and_nothing_else() {
    let table: Vec<Value> = serde_json::from_str(include_str!("botocore_requests.json")).unwrap();
    assert!(table.len() > 50);
    for entry in table {
        let text = |name: &str| entry[name].as_str().unwrap();
        let pairs = entry["headers"].as_array().unwrap().iter();
        let pair = |pair: &Value| {
            (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().as_bytes().to_vec())
        };
        let headers = Fields(pairs.map(pair).collect());
        let request = RequestParts {
            method: text("method"),
            path: text("path"),
            query: text("query"),
            headers: &headers,
        };
        let body = BASE64_STANDARD.decode(text("body")).unwrap();
        let scope = Scope { region: "eu-central-1", service: text("service") };
        // 2026-11-22T10:00:00Z
        let now = at(1_795_341_600);
        let authorization = Authorization::parse(&request).unwrap().unwrap();
        let verify = |request: &RequestParts<'_>, body: &[u8], secret: &str| {
            let secret = SecretKey::new(secret);
            authorization.verify(request, PayloadHash::of(body), &secret, scope, now)
        };
        assert_eq!(authorization.access_key_id(), "AKIDEXAMPLE");
        assert_eq!(verify(&request, &body, SECRET), Ok(()), "{}", text("name"));
        let refused = |outcome: Result<(), SignatureError>| {
            assert!(
                matches!(outcome, Err(SignatureError::Mismatch { .. })),
                "{}: {outcome:?}",
                text("name")
            );
        };
        refused(verify(&request, &body, "another secret"));
        refused(verify(&RequestParts { method: "HEAD", ..request }, &body, SECRET));
        let path = format!("{}/x", request.path);
        refused(verify(&RequestParts { path: &path, ..request }, &body, SECRET));
        let query = format!("{}&x=", request.query);
        refused(verify(&RequestParts { query: &query, ..request }, &body, SECRET));
        if !authorization.is_payload_unsigned(&request) {
            refused(verify(&request, b"another body", SECRET));
        }
    }
}

#[test]
fn a_body_goes_unsigned_only_if_a_signed_header_says_so() {
    let secret = SecretKey::new(SECRET);
    let signer = Signer { access_key_id: "AKIDEXAMPLE", secret: &secret, scope: SCOPE };
    let outcome = |names: &[&str], signed: PayloadHash, known: PayloadHash| {
        let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let mut headers = fields(&[HOST, DATE, unsigned]);
        let request = RequestParts { method: "PUT", path: "/", query: "", headers: &headers };
        let authorization = signer.authorization(&request, names, signed, at(NOW));
        headers.0.push(("authorization".into(), authorization.into()));
        let request = RequestParts { method: "PUT", path: "/", query: "", headers: &headers };
        let authorization = Authorization::parse(&request).unwrap().unwrap();
        authorization.verify(&request, known, &secret, SCOPE, at(NOW)).is_ok()
    };
    let all = ["host", "x-amz-content-sha256"];
    let body = PayloadHash::of(b"body");
    assert!(outcome(&all, PayloadHash::Unsigned, body));
    assert!(outcome(&all, PayloadHash::Unsigned, PayloadHash::Unsigned));
    assert!(!outcome(&["host"], PayloadHash::Unsigned, body));
    assert!(outcome(&["host"], body, body));
    assert!(!outcome(&["host"], body, PayloadHash::Unsigned));
}

#[test]
fn a_signature_is_valid_for_five_minutes_either_way() {
    let headers = [HOST, DATE, ("authorization", VANILLA)];
    for now in [NOW, NOW - 300, NOW + 300] {
        assert_eq!(check("", &headers, now), Ok(()));
    }
    for (now, message) in [
        (
            NOW + 301,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
             (20150830T124101Z - 5 min.)",
        ),
        (
            NOW - 301,
            "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
             (20150830T123059Z + 5 min.)",
        ),
    ] {
        let error = check("", &headers, now).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.error_type(), "InvalidSignatureException");
    }
}

#[test]
fn a_presigned_request_is_valid_until_it_expires() {
    let query = |expires: &str| {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20150830T123600Z&X-Amz-Expires={expires}\
             &X-Amz-Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "0".repeat(64)
        )
    };
    let message = |expires: &str, now: u64| check(&query(expires), &[HOST], now).unwrap_err();
    for (expires, now) in [("90", NOW + 90), ("90", NOW - 300), ("604800", NOW + 604_800)] {
        assert!(matches!(message(expires, now), SignatureError::Mismatch { .. }), "{expires}");
    }
    assert_eq!(
        message("90", NOW + 91).to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
         (20150830T123731Z - 90 sec.)"
    );
    for expires in ["0", "-1", "604801", "", "x", "99999999999"] {
        assert_eq!(
            message(expires, NOW).to_string(),
            "X-Amz-Expires must be a number of seconds from 1 to 604800"
        );
    }
}

#[test]
fn refusals_have_the_texts_of_aws() {
    let hash = |text: &str| BASE64_STANDARD.encode(super::sha256(text.as_bytes()));
    let missing = |list: &str, header: &str| {
        format!(
            "{list} (Hashed with SHA-256 and encoded with Base64) Authorization={}",
            hash(header)
        )
    };
    for (header, expected) in [
        (
            "Bearer x",
            format!(
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with \
                 SHA-256 and encoded with Base64): '{}'.",
                hash("Bearer x")
            ),
        ),
        (
            "x-api-key=abc",
            "Authorization header must begin with the algorithm name, which cannot include an \
             equal-sign"
                .into(),
        ),
        (
            "Basic dXNlcjpwYXM=",
            missing(
                "Authorization header requires 'Credential' parameter. Authorization header \
                 requires 'Signature' parameter. Authorization header requires 'SignedHeaders' \
                 parameter.",
                "Basic dXNlcjpwYXM=",
            ),
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=",
            missing(
                "Authorization header requires 'Signature' parameter.",
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=",
            ),
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00",
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got 'a/b/c/d'"
                .into(),
        ),
        (
            "AWS4-HMAC-SHA1 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00",
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1' (only AWS4-HMAC-SHA256 for now). "
                .into(),
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=x-amz-date, Signature=00",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into(),
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20150829/c/d/e, SignedHeaders=host, Signature=00",
            "Credential should be scoped to a valid region, not 'c'. Credential should be scoped \
             to correct service: 'service'. Credential should be scoped with a valid terminator: \
             'aws4_request', not 'e'. Date in Credential scope does not match YYYYMMDD from \
             ISO-8601 version of date from HTTP: '20150829' != '20150830', from \
             '20150830T123600Z'. "
                .into(),
        ),
    ] {
        assert_eq!(refusal(header), expected, "{header}");
    }
}

#[test]
fn a_wrong_signature_is_told_what_should_have_been_signed() {
    let wrong = VANILLA.replace("5fa00fa3", "00000000");
    assert_eq!(
        refusal(&wrong),
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details.\n\nThe Canonical String for this request should have been\n'GET\n/\n\n\
         host:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n\nThe String-to-Sign \
         should have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n\
         20150830/us-east-1/service/aws4_request\n\
         bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63'\n"
    );
    for signature in ["00", "zz", &"é".repeat(32), &"0".repeat(63), &"0".repeat(65)] {
        let header = VANILLA.split("Signature=").next().unwrap().to_owned();
        assert!(refusal(&format!("{header}Signature={signature}")).starts_with("The request sign"));
    }
}

#[test]
fn a_date_has_one_of_two_forms() {
    let vanilla = ("authorization", VANILLA);
    let date = |name, value| check("", &[HOST, vanilla, (name, value)], NOW);
    for text in ["Sun, 30 Aug 2015 12:36:00 GMT", "Sun, 30 Aug 2015 12:36:00 -0000"] {
        // What is signed differs, since there is no X-Amz-Date; the date itself is right.
        assert!(matches!(date("date", text), Err(SignatureError::Mismatch { .. })), "{text}");
    }
    for text in [
        "2015",
        "20150830T123600",
        "2015-08-30T12:36:00Z",
        "20151330T123600Z",
        "20150830T996000Z",
        "00000000T000000Z",
        "Sun, 30 Aug 2015 12:36:00 +0100",
        "Sun, 30 Foo 2015 12:36:00 GMT",
        "Sun, é",
        ", ",
    ] {
        assert_eq!(
            date("x-amz-date", text).unwrap_err().to_string(),
            format!(
                "Date must be in ISO-8601 'basic format'. Got '{text}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            )
        );
    }
    assert!(date("other", "x").unwrap_err().to_string().starts_with(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (H"
    ));
}

#[test]
fn credentials_stand_in_one_place() {
    let headers = [HOST, DATE, ("authorization", VANILLA)];
    assert_eq!(check("", &headers[..2], NOW), Err(SignatureError::Missing));
    assert_eq!(check("X-Amz-Algorithm=a", &headers, NOW), Err(SignatureError::Ambiguous));
    assert_eq!(
        check("X-Amz-Algorithm=&X-Amz-Date=1", &headers[..2], NOW).unwrap_err().to_string(),
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters \
         must include 'X-Amz-Credential'. AWS query-string parameters must include \
         'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. \
         Re-examine the query-string parameters."
    );
}

#[test]
fn what_is_parsed_has_bounds() {
    let names = |count: usize| {
        let names: String = (0..count).map(|at| format!(";n{at}")).collect();
        refusal(&VANILLA.replace("host;x-amz-date", &format!("host{names}")))
    };
    assert!(names(127).starts_with("The request signature we calculated"));
    assert_eq!(names(128), "names in SignedHeaders: at most 128");
    let long = format!("{VANILLA}, Other={}", "x".repeat(8 * 1024));
    assert_eq!(refusal(&long), "bytes of an Authorization header: at most 8192");
}

#[test]
fn a_secret_does_not_print_itself() {
    assert_eq!(format!("{:?}", SecretKey::new(SECRET)), "SecretKey(..)");
}

#[test]
fn any_clock_has_a_date() {
    assert_eq!(AmzDate::new(at(NOW)).text(), "20150830T123600Z");
    assert_eq!(AmzDate::new(UNIX_EPOCH - Duration::from_secs(1)).text(), "19700101T000000Z");
    assert_eq!(AmzDate::new(at(1 << 40)).text(), "99991231T235959Z");
    assert_eq!(hex(&[0, 0xa5, 0xff]), "00a5ff");
}
