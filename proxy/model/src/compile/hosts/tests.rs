//! Addressing as `rest-api.md` §2 and §2.1 have it.

use super::*;

/// `base path = api/stage`, `base path = api` (stage in the path) or `(none) = …`.
fn domain(name: &str, mappings: &[&str]) -> CustomDomain {
    let mapping = |text: &&str| {
        let (base_path, target) = text.split_once(" = ").expect("base path = target");
        let (api_id, stage) =
            target.split_once('/').map_or((target, None), |(api, stage)| (api, Some(stage)));
        BasePathMapping {
            base_path: (base_path != "(none)").then(|| base_path.to_owned()),
            api_id: api_id.to_owned(),
            stage: stage.map(str::to_owned),
        }
    };
    CustomDomain { name: name.to_owned(), mappings: mappings.iter().map(mapping).collect() }
}

fn with_domains(domains: &[CustomDomain]) -> Hosts<&'static str> {
    let domains = Domains::new(domains.to_vec()).expect("they differ");
    Hosts::new(Arc::new(domains))
        .stage("aaa", "prod", "aaa/prod")
        .stage("aaa", "dev", "aaa/dev")
        .stage("bbb", "v1", "bbb/v1")
        .default_endpoint("aaa.execute-api.us-east-1.localhost", "aaa")
}

/// `host path` → `stage path`, with the base path in brackets if there is one.
fn check(hosts: &Hosts<&'static str>, cases: &[(&str, &str)]) {
    for (request, expected) in cases {
        let (host, path) = request.split_once(' ').expect("host path");
        let host = (host != "-").then_some(host);
        let located = match hosts.locate(host, path) {
            None => "-".to_owned(),
            Some(located) => {
                let base_path = match located.addressing {
                    Addressing::CustomDomain { base_path: Some(base_path), .. } => {
                        format!(" [{base_path}]")
                    }
                    _ => String::new(),
                };
                format!("{} {}{base_path}", located.stage, located.path)
            }
        };
        assert_eq!(located, *expected, "{request}");
    }
}

#[test]
fn a_default_host_has_the_stage_in_the_path() {
    let hosts = with_domains(&[]).fallback("bbb", "v1");
    check(
        &hosts,
        &[
            ("aaa.execute-api.us-east-1.localhost /prod/pets", "aaa/prod /pets"),
            ("aaa.execute-api.us-east-1.localhost //dev//pets/", "aaa/dev //pets/"),
            ("aaa.execute-api.us-east-1.localhost /prod", "aaa/prod /"),
            ("aaa.execute-api.us-east-1.localhost /prod/", "aaa/prod /"),
            ("aaa.execute-api.us-east-1.localhost /Prod/pets", "-"),
            ("aaa.execute-api.us-east-1.localhost /", "-"),
            ("other.execute-api.us-east-1.localhost /x", "bbb/v1 /x"),
        ],
    );
    let located = hosts.locate_api("aaa", "/prod/pets").expect("located");
    assert_eq!(
        (*located.stage, located.path, located.addressing),
        ("aaa/prod", "/pets", Addressing::DefaultEndpoint)
    );
    assert_eq!(hosts.locate_api("zzz", "/prod/pets"), None);
}

#[test]
fn single_level_mappings_compare_whole_segments() {
    let mappings = ["orders = aaa/prod", "any-stage = aaa", "(none) = bbb/v1"];
    let hosts = with_domains(&[domain("API.example.com", &mappings)]);
    check(
        &hosts,
        &[
            ("api.example.com /orders/7", "aaa/prod /7 [orders]"),
            ("api.example.com /orders", "aaa/prod / [orders]"),
            ("api.example.com //orders/7", "aaa/prod /7 [orders]"),
            ("api.example.com /ordersandmore", "bbb/v1 /ordersandmore"),
            ("api.example.com /Orders", "bbb/v1 /Orders"),
            ("api.example.com /any-stage/dev/x", "aaa/dev /x [any-stage]"),
            ("api.example.com /any-stage/none/x", "-"),
            ("api.example.com /", "bbb/v1 /"),
        ],
    );
}

#[test]
fn a_domain_without_a_catch_all_forbids_other_paths() {
    let hosts =
        with_domains(&[domain("api.example.com", &["orders = aaa/prod"])]).fallback("bbb", "v1");
    check(
        &hosts,
        &[("api.example.com /other", "-"), ("other.example.com /other", "bbb/v1 /other")],
    );
}

#[test]
fn one_multi_level_mapping_makes_its_domain_match_string_prefixes() {
    let mappings = [
        "orders = aaa/prod",
        "orders/v2 = aaa/dev",
        "orders/v2/items = bbb/v1",
        "p = aaa",
        "(none) = bbb/v1",
    ];
    let hosts = with_domains(&[domain("api.example.com", &mappings)]);
    check(
        &hosts,
        &[
            ("api.example.com /orders/v2/items/7", "bbb/v1 /7 [orders/v2/items]"),
            ("api.example.com /orders/v2/item", "aaa/dev /item [orders/v2]"),
            ("api.example.com /orders/v3", "aaa/prod /v3 [orders]"),
            ("api.example.com /orders/v2", "aaa/dev / [orders/v2]"),
            ("api.example.com /ordersandmore", "aaa/prod andmore [orders]"),
            ("api.example.com /orders/zz", "aaa/prod /zz [orders]"),
            ("api.example.com /p/dev/x", "aaa/dev /x [p]"),
            ("api.example.com /order", "bbb/v1 /order"),
            ("api.example.com /zzz", "bbb/v1 /zzz"),
            ("api.example.com /", "bbb/v1 /"),
        ],
    );
}

#[test]
fn the_exact_domain_then_the_longest_wildcard_wins() {
    let hosts = with_domains(&[
        domain("api.example.com", &["(none) = aaa/prod"]),
        domain("*.example.com", &["(none) = aaa/dev"]),
        domain("*.eu.example.com", &["(none) = bbb/v1"]),
    ]);
    check(
        &hosts,
        &[
            ("api.example.com /x", "aaa/prod /x"),
            ("www.example.com /x", "aaa/dev /x"),
            ("www.eu.example.com /x", "bbb/v1 /x"),
            ("example.com /x", "-"),
            ("example.org /x", "-"),
        ],
    );
    let located = hosts.locate(Some("www.example.com"), "/x").expect("located");
    assert_eq!(
        located.addressing,
        Addressing::CustomDomain { name: "*.example.com", base_path: None }
    );
}

#[test]
fn development_paths_are_served_on_hosts_that_match_nothing_else() {
    let hosts = with_domains(&[domain("api.example.com", &["(none) = bbb/v1"])])
        .development_paths()
        .fallback("bbb", "v1");
    check(
        &hosts,
        &[
            ("127.0.0.1 /_aws/execute-api/aaa/prod/pets", "aaa/prod /pets"),
            ("- /_aws/execute-api/aaa/dev", "aaa/dev /"),
            ("127.0.0.1 /_aws/execute-api/aaa/none", "-"),
            ("127.0.0.1 /_aws/execute-api/zzz/prod", "-"),
            (
                "api.example.com /_aws/execute-api/aaa/prod/pets",
                "bbb/v1 /_aws/execute-api/aaa/prod/pets",
            ),
            ("- /pets", "bbb/v1 /pets"),
        ],
    );
    let off = with_domains(&[]).fallback("bbb", "v1");
    check(
        &off,
        &[("127.0.0.1 /_aws/execute-api/aaa/prod/pets", "bbb/v1 /_aws/execute-api/aaa/prod/pets")],
    );
}

#[test]
fn nothing_matches_without_a_fallback() {
    check(&with_domains(&[]), &[("127.0.0.1 /x", "-"), ("- /x", "-")]);
}

#[test]
fn what_leads_to_a_stage_that_is_not_there_is_not_found_until_it_comes() {
    let domain = domain("d", &["a = zzz/prod", "b = aaa/none", "c = zzz", "(none) = aaa/prod"]);
    let hosts = with_domains(&[domain]).fallback("zzz", "prod");
    let nowhere = [("d /a/x", "-"), ("d /b/x", "-"), ("d /c/prod/x", "-"), ("e /x", "-")];
    check(&hosts, &nowhere);
    check(&hosts, &[("d /x", "aaa/prod /x")]);
    let hosts = hosts.stage("zzz", "prod", "zzz/prod").stage("aaa", "none", "aaa/none");
    let found = [
        ("d /a/x", "zzz/prod /x [a]"),
        ("d /b/x", "aaa/none /x [b]"),
        ("d /c/prod/x", "zzz/prod /x [c]"),
        ("e /x", "zzz/prod /x"),
    ];
    check(&hosts, &found);
}

#[test]
fn what_is_there_twice_is_refused() {
    let message =
        |domains: Vec<CustomDomain>| Domains::new(domains).expect_err("refused").to_string();
    assert_eq!(
        message(vec![domain("d", &["a = aaa", "a = bbb"])]),
        "domain d, base path mapping a is configured twice"
    );
    assert_eq!(
        message(vec![domain("d", &["(none) = aaa", "(none) = bbb"])]),
        "domain d, base path mapping (none) is configured twice"
    );
    assert_eq!(message(vec![domain("d", &[]), domain("D", &[])]), "domain d is configured twice");
}

#[test]
fn the_longest_prefix_is_found_among_neighbours_in_order() {
    let texts = ["a", "a/b", "a/b/c", "a/bb", "a/c", "b", "b/z"];
    let prefixes = linked(
        texts
            .iter()
            .zip(0..)
            .map(|(text, mapping)| Prefix { text: (*text).into(), mapping, shorter: None })
            .collect(),
    );
    for path in
        ["a", "a/b/d", "a/b/c/d", "a/bz", "a/bc", "a/d", "ab", "b/y", "c", "", "a/b!", "a/bb/c"]
    {
        let naive = texts
            .iter()
            .filter(|text| path.starts_with(**text))
            .max_by_key(|text| text.len())
            .copied();
        assert_eq!(longest_prefix(&prefixes, path).map(|prefix| &*prefix.text), naive, "{path}");
    }
}
