//! Private APIs and the listeners that serve them.

use serde_json::json;
use tollgate_tests::{Api, Gateway, Serve, get, mock};

use crate::support::{assert_error, assert_forbidden};

const HOST: &str = "privateapi.execute-api.us-east-1.localhost";

fn private(endpoints: &[&str]) -> Api {
    Api::new().route("GET /", mock(200, "private")).with(
        "x-amazon-apigateway-endpoint-configuration",
        json!({ "types": ["PRIVATE"], "vpcEndpointIds": endpoints }),
    )
}

/// `http` is public, `https` the private listener (without TLS).
fn gateway(endpoints: &[&str]) -> Gateway {
    Serve::new(Api::new().route("GET /", mock(200, "public")))
        .api("privateapi", "prod", private(endpoints))
        .listener("address: '127.0.0.1:0', visibility: private, vpc_id: vpc-0123456789abcdef0, vpc_endpoint_id: vpce-0123456789abcdef0")
        .start()
}

fn call(address: std::net::SocketAddr, host: &str) -> tollgate_tests::Response {
    tollgate_tests::Http1::connect(address).call(get("/prod").host(host))
}

#[test]
fn a_private_api_is_on_private_listeners_only() {
    let gateway = gateway(&[]);
    assert_eq!(call(gateway.https, HOST).text(), "private");
    assert_forbidden(&call(gateway.http, HOST));
}

#[test]
fn a_public_api_is_on_public_listeners_only() {
    let gateway = gateway(&[]);
    assert_eq!(call(gateway.http, &gateway.default_host()).text(), "public");
    assert_forbidden(&call(gateway.https, &gateway.default_host()));
}

#[test]
fn a_private_api_is_reached_through_its_vpc_endpoints_only() {
    assert_eq!(call(gateway(&["vpce-0123456789abcdef0"]).https, HOST).text(), "private");
    assert_forbidden(&call(gateway(&["vpce-0fedcba9876543210"]).https, HOST));
}

#[test]
fn a_private_api_is_known_by_the_host_name_of_its_vpc_endpoint() {
    let gateway = gateway(&[]);
    let host = |endpoint: &str| format!("privateapi-{endpoint}.execute-api.us-east-1.localhost");
    let own = host("vpce-0123456789abcdef0");
    assert_eq!(call(gateway.https, &own).text(), "private");
    assert_forbidden(&call(gateway.http, &own));
    assert_forbidden(&call(gateway.https, &host("vpce-0fedcba9876543210")));
}

#[test]
fn a_header_names_a_private_api_and_no_public_one() {
    let gateway = gateway(&[]);
    let named = |address, id: &str| {
        let request = get("/prod").host("vpce.example").header("x-apigw-api-id", id);
        tollgate_tests::Http1::connect(address).call(request)
    };
    assert_eq!(named(gateway.https, "privateapi").text(), "private");
    assert_forbidden(&named(gateway.https, "petstore01"));
    assert_forbidden(&named(gateway.http, "privateapi"));
    assert_forbidden(&named(gateway.http, "petstore01"));
}

#[test]
fn a_private_api_takes_smaller_headers() {
    let gateway = gateway(&[]);
    let sent = |address, host: &str| {
        let request = get("/prod").host(host).header("X-Padding", &"x".repeat(8_000));
        tollgate_tests::Http1::connect(address).call(request)
    };
    let refused = sent(gateway.https, HOST);
    assert_error(
        &refused,
        431,
        "RequestHeaderFieldsTooLargeException",
        "Request Header Fields Too Large",
    );
    assert_eq!(sent(gateway.http, &gateway.default_host()).status, 200);
}
