use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tollgate_model::control_plane::DomainName;

use crate::keys;
use crate::testing::{Fixture, fixture, patches};

const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/c";

/// A certificate for a name and its key, as PEM.
fn certificate(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn kept(fixture: &Fixture, name: &str) -> DomainName {
    let get = |unit: &mut crate::unit::Unit| unit.get(&keys::domain_name(name));
    fixture.management.context.carry_out(get).unwrap().unwrap()
}

#[test]
fn a_regional_domain_name_lives() {
    let fixture = fixture();
    let body = json!({
        "domainName": "API.example.com",
        "regionalCertificateArn": ARN,
        "endpointConfiguration": {"types": ["REGIONAL"]},
        "securityPolicy": "TLS_1_2",
        "tags": {"a": "b"},
    });
    let created = fixture.ok("POST", "/domainnames", body.clone());
    let target = created["regionalDomainName"].as_str().unwrap();
    let id = target.strip_prefix("d-").unwrap().strip_suffix(".execute-api.us-east-1.localhost");
    assert_eq!(id.unwrap().len(), 10);
    assert_eq!(
        created,
        json!({
            "domainName": "api.example.com",
            "regionalDomainName": target,
            "regionalHostedZoneId": "Z1UJRXOUMOOFQ8",
            "regionalCertificateArn": ARN,
            "endpointConfiguration": {"types": ["REGIONAL"], "ipAddressType": "ipv4"},
            "domainNameStatus": "AVAILABLE",
            "securityPolicy": "TLS_1_2",
            "tags": {"a": "b"},
            "routingMode": "BASE_PATH_MAPPING_ONLY",
        })
    );
    let uri = "/domainnames/api.example.com";
    assert_eq!(fixture.ok("GET", uri, Value::Null), created);
    assert_eq!(fixture.ok("GET", "/domainnames", Value::Null), json!({"item": [created]}));
    assert_eq!(
        fixture.refused("POST", "/domainnames", body),
        "400 BadRequestException: The domain name you provided already exists."
    );
    assert_eq!(fixture.call("DELETE", uri, Value::Null).status, 202);
    assert_eq!(
        fixture.refused("GET", uri, Value::Null),
        "404 NotFoundException: Invalid domain name identifier specified"
    );
}

#[test]
fn an_uploaded_certificate_is_kept_and_its_key_not_told() {
    let fixture = fixture();
    let (body, key) = certificate("*.example.com");
    let created = fixture.ok(
        "POST",
        "/domainnames",
        json!({"domainName": "api.example.com", "certificateName": "mine", "certificateBody": body, "certificatePrivateKey": key}),
    );
    assert!(created["certificateUploadDate"].is_i64());
    assert_eq!(created["certificateName"], "mine");
    assert_eq!(created["distributionHostedZoneId"], "Z2FDTNDATAQYW2");
    assert!(!created.to_string().contains("PRIVATE"), "{created}");
    let certificate_kept = kept(&fixture, "api.example.com").certificate.unwrap();
    assert_eq!(certificate_kept.private_key, key);
    assert_eq!(certificate_kept.chain.trim(), body.trim());

    let (body, key) = certificate("api.example.com");
    let uri = "/domainnames/api.example.com";
    let renewal = patches(&[
        ("replace", "/certificateBody", &body),
        ("replace", "/certificatePrivateKey", &key),
    ]);
    fixture.ok("PATCH", uri, renewal);
    assert_eq!(kept(&fixture, "api.example.com").certificate.unwrap().private_key, key);
    fixture.ok("PATCH", uri, patches(&[("replace", "/certificateArn", ARN)]));
    assert_eq!(kept(&fixture, "api.example.com").certificate, None);
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let fixture = fixture();
    let ((body, key), (_, other)) = (certificate("*.example.com"), certificate("b.example.com"));
    for (name, body, key, refused) in [
        (
            "a.example.com",
            &*body,
            &*other,
            "Invalid certificate: certificatePrivateKey is not the key of the certificate",
        ),
        ("example.com", &body, &key, "Invalid certificate: it does not cover example.com"),
        ("a.example.com", "x", &key, "Invalid certificate: certificateBody holds no certificate"),
        (
            "a.example.com",
            &body,
            "x",
            "Invalid certificate: certificatePrivateKey holds no private key that is not encrypted",
        ),
    ] {
        let body =
            json!({"domainName": name, "certificateBody": body, "certificatePrivateKey": key});
        let refused = format!("400 BadRequestException: {refused}");
        assert_eq!(fixture.refused("POST", "/domainnames", body), refused);
    }
    assert_eq!(
        fixture.refused(
            "POST",
            "/domainnames",
            json!({"domainName": "a.example.com", "certificateBody": body})
        ),
        "400 BadRequestException: certificateBody and certificatePrivateKey must be given together"
    );
    let wildcard = json!({"domainName": "*.example.com", "certificateBody": body, "certificatePrivateKey": key});
    fixture.ok("POST", "/domainnames", wildcard);
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let fixture = fixture();
    let with = |member: &str, value: Value| {
        let mut body = json!({"domainName": "a.example.com", "certificateArn": ARN});
        body[member] = value;
        fixture.refused("POST", "/domainnames", body)
    };
    for (member, value, refused) in [
        (
            "mutualTlsAuthentication",
            json!({"truststoreUri": "s3://a/b"}),
            "mutualTlsAuthentication is not supported by Tollgate: domain names ask clients for no certificates. Leave it out, or check client certificates before Tollgate",
        ),
        (
            "securityPolicy",
            json!("TLS_1_0"),
            "securityPolicy TLS_1_0 is not supported by Tollgate: every listener speaks TLS 1.2 and 1.3, which is TLS_1_2",
        ),
        (
            "routingMode",
            json!("ROUTING_RULE_ONLY"),
            "routingMode ROUTING_RULE_ONLY is not supported by Tollgate: it has no routing rules; use BASE_PATH_MAPPING_ONLY",
        ),
        (
            "endpointAccessMode",
            json!("STRICT"),
            "endpointAccessMode STRICT is not supported by Tollgate: clients are not held to the endpoint they came by; use BASIC",
        ),
        (
            "policy",
            json!("{}"),
            "policy is not supported by Tollgate: it belongs to private domain names. Give the API a resource policy",
        ),
        (
            "endpointConfiguration",
            json!({"types": ["PRIVATE"]}),
            "Endpoint type PRIVATE of a domain name is not supported by Tollgate: domain names are REGIONAL or EDGE",
        ),
        (
            "certificateArn",
            Value::Null,
            "A certificate was not provided for the endpoint type EDGE.",
        ),
        (
            "endpointConfiguration",
            json!({"types": ["REGIONAL"]}),
            "A certificate was not provided for the endpoint type REGIONAL.",
        ),
        (
            "domainName",
            json!("a_b.com"),
            "Invalid domain name 'a_b.com'. Must be a name such as api.example.com or *.example.com",
        ),
        (
            "domainName",
            json!("x.execute-api.us-east-1.localhost"),
            "Invalid domain name 'x.execute-api.us-east-1.localhost'. The names under execute-api.us-east-1.localhost are the default endpoints of APIs",
        ),
    ] {
        assert_eq!(with(member, value), format!("400 BadRequestException: {refused}"));
    }
    let refused = with("securityPolicy", json!("SSL_3"));
    assert!(refused.starts_with("400 ValidationException: 1 validation error detected: Value 'SSL_3' at 'createDomainNameInput.securityPolicy'"), "{refused}");
}

#[test]
fn a_domain_name_moves_from_edge_to_regional() {
    let fixture = fixture();
    let body = json!({"domainName": "a.example.com", "certificateArn": ARN});
    let edge = fixture.ok("POST", "/domainnames", body);
    assert!(edge["distributionDomainName"].is_string() && edge["regionalDomainName"].is_null());
    let uri = "/domainnames/a.example.com";
    let both = fixture.ok(
        "PATCH",
        uri,
        patches(&[
            ("add", "/endpointConfiguration/types", "REGIONAL"),
            ("add", "/regionalCertificateArn", ARN),
        ]),
    );
    assert_eq!(both["endpointConfiguration"]["types"], json!(["EDGE", "REGIONAL"]));
    assert_eq!(both["distributionDomainName"], edge["distributionDomainName"]);
    let regional =
        fixture.ok("PATCH", uri, patches(&[("remove", "/endpointConfiguration/types/EDGE", "")]));
    assert_eq!(regional["regionalDomainName"], both["regionalDomainName"]);
    assert!(regional["distributionDomainName"].is_null());
    let back = fixture.ok(
        "PATCH",
        uri,
        patches(&[("replace", "/endpointConfiguration/types/REGIONAL", "EDGE")]),
    );
    assert_eq!(back["endpointConfiguration"]["types"], json!(["EDGE"]));
    let refusals = [
        (
            "remove",
            "/endpointConfiguration/types/EDGE",
            "",
            "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
        ),
        (
            "replace",
            "/routingMode",
            "ROUTING_RULE_ONLY",
            "routingMode ROUTING_RULE_ONLY is not supported by Tollgate: it has no routing rules; use BASE_PATH_MAPPING_ONLY",
        ),
        (
            "add",
            "/mutualTlsAuthentication/truststoreUri",
            "s3://a/b",
            "mutualTlsAuthentication is not supported by Tollgate: domain names ask clients for no certificates. Leave it out, or check client certificates before Tollgate",
        ),
        (
            "remove",
            "/certificateArn",
            "",
            "A certificate was not provided for the endpoint type EDGE.",
        ),
        (
            "add",
            "/x",
            "",
            "Invalid patch path  '/x' specified for op 'add'. Must be one of: [/certificateName, /certificateArn, /regionalCertificateName, /regionalCertificateArn, /endpointConfiguration/types]",
        ),
    ];
    fixture.refuses_patches(uri, &refusals);
}

#[test]
fn a_certificate_by_its_arn_is_warned_of() {
    use crate::http::{Handler as _, Request};
    let fixture = fixture();
    let response = fixture.management.call(Request {
        method: http::Method::POST,
        path: "/domainnames".to_owned(),
        query: None,
        headers: http::HeaderMap::new(),
        body: json!({"domainName": "a.example.com", "certificateArn": ARN}).to_string().into(),
    });
    let warning = response.headers.iter().find(|(name, _)| name == "x-tollgate-warning").unwrap();
    assert!(warning.1.to_str().unwrap().contains("a.example.com is served with the certificate"));
}
