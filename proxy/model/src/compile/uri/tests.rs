//! Backend URLs as `rest-api.md` §3 and §4 have them.

use super::*;
use crate::compile::stage::UpstreamConnection;
use std::time::Duration;

struct Request {
    captured: &'static str,
    query: &'static str,
}

impl RequestValues for Request {
    fn captured_path_parameter(&self, name: &str) -> Option<&str> {
        (name == "proxy").then_some(self.captured)
    }
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "q").then_some(self.query.into())
    }
    fn each_querystring(&self, name: &str, f: &mut dyn FnMut(&str)) {
        if name == "q" {
            f("1 2");
            f(self.query);
        }
    }
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn each_header(&self, _: &str, _: &mut dyn FnMut(&str)) {}
    fn body(&self) -> &[u8] {
        b""
    }
    fn context(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

fn map(destination: Destination, source: RequestSource) -> RequestMapping {
    RequestMapping { destination, source, reserved: false }
}

/// An integration with `proxy` mapped from the path, `q` from the query string.
fn integration(uri: &str, more: Vec<RequestMapping>) -> HttpIntegration {
    let parsed = ParsedUri::parse(uri).expect(uri);
    let mut request_parameters = vec![
        map(Destination::Path("proxy".into()), RequestSource::PathParameter("proxy".into())),
        map(Destination::Path("q".into()), RequestSource::Querystring("q".into())),
    ];
    request_parameters.extend(more);
    HttpIntegration {
        http_method: None,
        target: Target::Dynamic { scheme: parsed.scheme, connection: UpstreamConnection::Internet },
        uri: parsed.template,
        host_header: parsed.host_header,
        request_parameters,
        timeout: Duration::from_secs(29),
        insecure_skip_verification: false,
    }
}

fn target(
    integration: &HttpIntegration,
    request: &Request,
    client_query: &str,
) -> Result<String, MappingError> {
    let mut out = Vec::new();
    integration.render_target(
        request,
        &RequestOverrides::default(),
        client_query.as_bytes(),
        &mut out,
    )?;
    Ok(String::from_utf8(out).expect("ASCII"))
}

#[test]
fn values_go_into_the_url_encoded_for_their_place() {
    let request = Request { captured: "a%2Fb//c;d+e", query: "x/y&z ?" };
    for (uri, expected) in [
        ("http://h", "/"),
        ("http://h?a=1", "/?a=1"),
        ("http://h/fixed/path", "/fixed/path"),
        ("http://h/{proxy}", "/a%2Fb//c%3Bd+e"),
        ("http://h/{proxy+}", "/a%2Fb//c%3Bd+e"),
        ("http://h/v1/{q}/end", "/v1/x%2Fy&z%20%3F/end"),
        ("http://h/p?k={q}&l={proxy}", "/p?k=x%2Fy%26z%20%3F&l=a%2Fb%2F%2Fc%3Bd%2Be"),
        ("http://h/sp ace/é", "/sp%20ace/%C3%A9"),
        ("http://h/a#fragment", "/a"),
    ] {
        assert_eq!(
            target(&integration(uri, vec![]), &request, ""),
            Ok(expected.to_owned()),
            "{uri}"
        );
    }
}

#[test]
fn mapped_query_values_follow_the_client_s() {
    let more = vec![
        map(Destination::Querystring("m".into()), RequestSource::MultiValueQuerystring("q".into())),
        map(Destination::Querystring("c$".into()), RequestSource::Constant("v".into())),
        map(Destination::Querystring("none".into()), RequestSource::Querystring("none".into())),
        map(Destination::Header("h".into()), RequestSource::Constant("v".into())),
    ];
    let request = Request { captured: "p", query: "3" };
    let with_query = integration("http://h/p?u=0", more.clone());
    assert_eq!(
        target(&with_query, &request, "a=b&a=c"),
        Ok("/p?u=0&a=b&a=c&m=1%202&m=3&c%24=v".to_owned())
    );
    let without = integration("http://h/p", more);
    assert_eq!(target(&without, &request, ""), Ok("/p?m=1%202&m=3&c%24=v".to_owned()));
    assert_eq!(target(&integration("http://h/p", vec![]), &request, "a"), Ok("/p?a".to_owned()));
}

#[test]
fn a_value_cannot_climb_out_of_its_segment() {
    for query in ["..", ".", "../admin", "a/../../b", "..\\x", "..;x"] {
        let request = Request { captured: "p", query };
        let outcome = target(&integration("http://h/users/{q}/x", vec![]), &request, "");
        assert_eq!(outcome, Err(MappingError::UnsafeUriValue), "{query}");
    }
    let request = Request { captured: "p", query: "..a" };
    assert_eq!(
        target(&integration("http://h/users/{q}", vec![]), &request, ""),
        Ok("/users/..a".to_owned())
    );
}

#[test]
fn an_authority_with_a_parameter_is_rendered_for_each_request() {
    for (uri, query, expected) in [
        ("https://{q}.example.com/", "eu", Ok(("eu.example.com".to_owned(), 443))),
        ("http://{q}:8080/", "10.0.0.1", Ok(("10.0.0.1".to_owned(), 8080))),
        ("http://{q}/", "Backend:81", Ok(("backend".to_owned(), 81))),
        ("http://{q}/", "", Err(MappingError::UnsafeUriValue)),
        ("http://{q}.example.com/", "evil.com/", Err(MappingError::UnsafeUriValue)),
        ("http://{q}.example.com/", "evil.com#", Err(MappingError::UnsafeUriValue)),
        ("http://{q}.example.com/", "user@evil", Err(MappingError::UnsafeUriValue)),
        ("http://{q}/", "host:0", Err(MappingError::UnsafeUriValue)),
        ("http://{q}/", "host:+80", Err(MappingError::UnsafeUriValue)),
    ] {
        let request = Request { captured: "p", query };
        assert_eq!(
            integration(uri, vec![]).render_authority(&request, &RequestOverrides::default()),
            expected,
            "{uri} with {query}"
        );
    }
}

#[test]
fn an_endpoint_is_scheme_host_and_port() {
    for (uri, scheme, host, port, header) in [
        ("http://Example.com/x", Scheme::Http, "example.com", 80, "example.com"),
        ("HTTPS://h:443", Scheme::Https, "h", 443, "h"),
        ("https://h:80/", Scheme::Https, "h", 80, "h:80"),
        ("http://127.0.0.1:9000", Scheme::Http, "127.0.0.1", 9000, "127.0.0.1:9000"),
        ("http://[::1]:81/", Scheme::Http, "::1", 81, "[::1]:81"),
        ("http://[::1]", Scheme::Http, "::1", 80, "[::1]"),
    ] {
        let parsed = ParsedUri::parse(uri).expect(uri);
        let authority = parsed.authority.expect(uri);
        assert_eq!(
            (parsed.scheme, &*authority.host, authority.port, &*parsed.host_header),
            (scheme, host, port, header)
        );
    }
}

#[test]
fn uris_that_are_no_http_endpoints_are_refused() {
    for uri in [
        "",
        "example.com",
        "ftp://h/",
        "http://",
        "http:///p",
        "http://user@h/",
        "http://h:99999/",
        "http://h:/",
        "http://h:0/",
        "http://h:x/",
        "http://a b/",
        "http://h/{",
        "http://h/}",
        "http://h/{}",
        "http://[::1/",
        "http://[zz]/",
        "arn:aws:apigateway:us-east-1:sqs:action/Send",
        "{scheme}://h/",
    ] {
        assert!(ParsedUri::parse(uri).is_none(), "{uri}");
    }
}

#[test]
fn stage_variables_are_put_in_and_missing_ones_are_empty() {
    let variables = BTreeMap::from([("host".to_owned(), "h:81".to_owned())]);
    for (text, expected) in [
        ("http://${stageVariables.host}/x", "http://h:81/x"),
        ("http://h/${stageVariables.none}/x${stageVariables.host}", "http://h//xh:81"),
        ("http://h/${stageVariables.host", "http://h/${stageVariables.host"),
        ("http://h/${other}", "http://h/${other}"),
    ] {
        assert_eq!(substitute_stage_variables(text, &variables), expected);
    }
}

#[test]
fn constants_keep_their_slashes_and_unmapped_names_stay() {
    let mut template =
        ParsedUri::parse("http://h/{base}/{proxy}/{none}?b={base}").expect("parses").template;
    template.fix(|name| match name {
        "base" => Fixed::Constant("v 1/api".into()),
        "proxy" => Fixed::Mapped,
        _ => Fixed::Unmapped,
    });
    let mut out = Vec::new();
    template.render(|_| Ok(Some(UriValue::Captured("x"))), &mut out).expect("renders");
    assert_eq!(String::from_utf8_lossy(&out), "/v%201/api/x/%7Bnone%7D?b=v%201%2Fapi");
    assert_eq!(template.parameters().collect::<Vec<_>>(), ["proxy"]);
}

#[test]
fn a_uri_is_checked_whatever_its_stage_variables_are() {
    for uri in [
        "http://${stageVariables.host}:${stageVariables.port}/${stageVariables.path}/{id}?a={a}",
        "https://{name}.example.com",
        "HTTP://localhost:8081/a b",
    ] {
        assert_eq!(check_http_uri(uri), Ok(()), "{uri}");
    }
    for uri in ["", "${stageVariables.url}", "ftp://a", "http://", "http://a/{b", "http://a:0/"] {
        assert_eq!(check_http_uri(uri), Err(INVALID_URI), "{uri}");
    }
}
