//! Host, path and method to API, stage and method, seen from the wire.

use tollgate_tests::{
    Api, Dev, Gateway, Response, Serve, Upstream, get, greedy, http_proxy, mock, request,
};

use crate::support::{assert_forbidden, assert_missing_token};

/// An API whose methods answer with their own route.
fn api(routes: &[&str]) -> Api {
    routes.iter().fold(Api::new(), |api, route| api.route(route, mock(200, route)))
}

#[track_caller]
fn assert_routes(routes: &[&str], table: &[(&str, &str)]) {
    let mut client = Gateway::dev(api(routes)).into_connection();
    for (sent, expected) in table {
        let (method, path) = sent.split_once(' ').expect("METHOD /path");
        let response = client.call(request(method, path));
        match *expected {
            "none" => assert_missing_token(&response),
            expected => assert_eq!(response.summary(), (200, expected.to_owned()), "{sent}"),
        }
    }
}

#[test]
fn a_greedy_path_takes_all_below_it_but_not_the_path_itself() {
    assert_routes(
        &["ANY /{proxy+}"],
        &[("GET /a", "ANY /{proxy+}"), ("PUT /a/b/c", "ANY /{proxy+}"), ("GET /", "none")],
    );
}

#[test]
fn static_beats_a_parameter_and_a_parameter_beats_greedy() {
    assert_routes(
        &["GET /pets/cats", "GET /pets/{id}", "GET /{proxy+}"],
        &[
            ("GET /pets/cats", "GET /pets/cats"),
            ("GET /pets/7", "GET /pets/{id}"),
            ("GET /pets/7/toys", "GET /{proxy+}"),
            ("GET /other", "GET /{proxy+}"),
        ],
    );
}

#[test]
fn an_exact_method_beats_any_on_the_same_resource() {
    assert_routes(
        &["GET /pets", "ANY /pets"],
        &[("GET /pets", "GET /pets"), ("POST /pets", "ANY /pets")],
    );
}

#[test]
fn a_method_that_the_best_match_lacks_is_looked_for_on_less_specific_ones() {
    assert_routes(
        &["POST /test", "OPTIONS /{proxy+}"],
        &[
            ("POST /test", "POST /test"),
            ("OPTIONS /test", "OPTIONS /{proxy+}"),
            ("GET /test", "none"),
        ],
    );
}

#[test]
fn any_on_a_static_resource_beats_an_explicit_method_on_a_greedy_sibling() {
    assert_routes(&["ANY /test", "GET /{proxy+}"], &[("GET /test", "ANY /test")]);
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    assert_routes(
        &["GET /part1/hardcoded", "GET /{param+}"],
        &[("GET /part1/random", "GET /{param+}"), ("GET /part1/hardcoded", "GET /part1/hardcoded")],
    );
}

#[test]
fn a_trailing_slash_does_not_count() {
    assert_routes(&["GET /pets"], &[("GET /pets/", "GET /pets"), ("GET /pets", "GET /pets")]);
}

#[test]
fn paths_are_compared_decoded_and_case_sensitively() {
    assert_routes(
        &["GET /pets"],
        &[("GET /p%65ts", "GET /pets"), ("GET /Pets", "none"), ("GET /pets%2F", "none")],
    );
}

#[test]
fn any_covers_the_seven_methods_and_no_others() {
    let any = "ANY /pets";
    assert_routes(
        &[any],
        &[
            ("DELETE /pets", any),
            ("GET /pets", any),
            ("OPTIONS /pets", any),
            ("PATCH /pets", any),
            ("POST /pets", any),
            ("PUT /pets", any),
            ("TRACE /pets", "none"),
            ("PROPFIND /pets", "none"),
            ("get /pets", "none"),
        ],
    );
}

#[test]
fn head_is_a_method_of_its_own() {
    let gateway = Gateway::dev(api(&["GET /get", "HEAD /head", "ANY /any"]));
    let status = |path| gateway.call(request("HEAD", path)).status;
    assert_eq!([status("/get"), status("/head"), status("/any")], [403, 200, 200]);
}

#[test]
fn a_client_may_override_its_method() {
    let gateway = Gateway::dev(api(&["GET /pets", "DELETE /pets"]));
    let deleted = gateway.call(get("/pets").header("X-HTTP-Method-Override", "DELETE"));
    assert_eq!(deleted.text(), "DELETE /pets");
}

#[test]
fn an_overriding_method_cannot_write_a_request_line_of_its_own() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    for method in ["GET /evil", "GET /evil HTTP/1.1", "G(T", ""] {
        let response = gateway.call(get("/pets").header("X-HTTP-Method-Override", method));
        assert_ne!(response.status, 200, "{method:?} gave {response:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_unknown_route_is_a_missing_authentication_token() {
    let response = Gateway::dev(api(&["GET /pets"])).get("/dogs");
    assert_missing_token(&response);
}

#[test]
fn the_default_host_has_the_stage_in_its_path() {
    let gateway = Gateway::dev(api(&["GET /pets", "GET /"]));
    let call = |path| gateway.call(get(path).host(&gateway.default_host()));
    assert_eq!(call("/dev/pets").text(), "GET /pets");
    assert_eq!(call("/dev").text(), "GET /");
    assert_eq!(call("//dev/pets").text(), "GET /pets");
    assert_missing_token(&call("/dev/dogs"));
    assert_forbidden(&call("/pets"));
    assert_forbidden(&call("/"));
}

#[test]
fn host_names_are_compared_without_case_and_port() {
    let gateway = Gateway::dev(api(&["GET /pets"]));
    let host = gateway.default_host().to_uppercase();
    assert_eq!(gateway.call(get("/dev/pets").host(&format!("{host}:8080"))).status, 200);
}

#[test]
fn the_development_path_reaches_every_api_on_any_host() {
    let gateway = Dev::new(api(&["GET /first"])).and(api(&["GET /second"])).start();
    let id = |number: usize| gateway.announced[number]["api_id"].as_str().unwrap();
    let call = |api: &str, path: &str| gateway.get(&format!("/_aws/execute-api/{api}/{path}"));
    assert_eq!(call(id(0), "dev/first").text(), "GET /first");
    assert_eq!(call(id(1), "dev/second").text(), "GET /second");
    assert_missing_token(&call(id(1), "dev/first"));
    assert_forbidden(&call(id(1), "prod/second"));
    assert_forbidden(&call("nosuchapi0", "dev/second"));
}

#[test]
fn only_the_first_definition_is_at_the_root_of_every_host() {
    let gateway = Dev::new(api(&["GET /first"])).and(api(&["GET /second"])).start();
    assert_eq!(gateway.call(get("/first").host("anything.example")).text(), "GET /first");
    assert_missing_token(&gateway.get("/second"));
}

#[test]
fn the_stage_has_the_name_that_was_asked_for() {
    let gateway = Dev::new(api(&["GET /pets"])).argument("--stage=test").start();
    let call = |path| gateway.call(get(path).host(&gateway.default_host())).status;
    assert_eq!([call("/test/pets"), call("/dev/pets")], [200, 403]);
}

fn domains(yaml: &str) -> Gateway {
    Serve::new(api(&["GET /pets"]))
        .api("petstore01", "test", Api::new().route("GET /pets", mock(200, "test stage")))
        .api("ordersapi1", "prod", api(&["GET /orders", "GET /more"]))
        .with(&format!("domain_names:\n{yaml}"))
        .start()
}

fn at(gateway: &Gateway, host: &str, path: &str) -> Response {
    gateway.call(get(path).host(host))
}

#[test]
fn a_custom_domain_name_maps_base_paths_to_stages() {
    let gateway = domains(
        "- {name: api.example.com, base_path_mappings: [\
         {base_path: store, api_id: petstore01, stage: prod}, {api_id: ordersapi1, stage: prod}]}",
    );
    let call = |path| at(&gateway, "api.example.com", path);
    assert_eq!(call("/store/pets").text(), "GET /pets");
    assert_eq!(call("/orders").text(), "GET /orders");
    assert_missing_token(&call("/Store/pets"));
    assert_missing_token(&call("/store/orders"));
}

#[test]
fn a_mapping_without_a_stage_leaves_it_to_the_path() {
    let gateway = domains(
        "- {name: api.example.com, base_path_mappings: [{base_path: store, api_id: petstore01}]}",
    );
    let call = |path| at(&gateway, "api.example.com", path);
    assert_eq!(call("/store/prod/pets").text(), "GET /pets");
    assert_eq!(call("/store/test/pets").text(), "test stage");
    assert_forbidden(&call("/store/pets"));
}

#[test]
fn a_path_that_no_mapping_takes_is_forbidden() {
    let gateway = domains(
        "- {name: api.example.com, base_path_mappings: [{base_path: store, api_id: petstore01, stage: prod}]}",
    );
    for path in ["/", "/pets", "/stores/pets"] {
        assert_forbidden(&at(&gateway, "api.example.com", path));
    }
}

#[test]
fn a_multi_level_mapping_makes_its_domain_match_by_prefix() {
    let gateway = domains(
        "- {name: api.example.com, base_path_mappings: [\
         {base_path: store/pets, api_id: petstore01, stage: prod}, {base_path: shop, api_id: ordersapi1, stage: prod}]}",
    );
    let call = |path| at(&gateway, "api.example.com", path).text();
    assert_eq!(call("/store/pets/pets"), "GET /pets");
    assert_eq!(call("/shop/orders"), "GET /orders");
    assert_eq!(call("/shopmore"), "GET /more");
}

#[test]
fn a_wildcard_domain_name_covers_one_level() {
    let gateway = domains(
        "- {name: '*.example.com', base_path_mappings: [{api_id: petstore01, stage: prod}]}",
    );
    assert_eq!(at(&gateway, "a.example.com", "/pets").status, 200);
    assert_eq!(at(&gateway, "B.EXAMPLE.com:443", "/pets").status, 200);
    assert_forbidden(&at(&gateway, "example.com", "/pets"));
}

#[test]
fn in_production_an_unknown_host_is_forbidden() {
    let gateway = Serve::new(api(&["GET /pets"])).start();
    assert_eq!(gateway.call(get("/prod/pets").host(&gateway.default_host())).status, 200);
    assert_forbidden(&at(&gateway, "unknown.example.com", "/pets"));
    assert_forbidden(&at(&gateway, "localhost", "/_aws/execute-api/petstore01/prod/pets"));
}

#[test]
fn what_a_path_parameter_takes_reaches_the_backend() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .route("GET /pets/{id}", http_proxy(&upstream.url("/animals/{id}/details")))
        .route("GET /{proxy+}", http_proxy(&upstream.url("/all/{proxy}")));
    let mut client = Gateway::dev(api).into_connection();
    for (sent, received) in [
        ("/pets/7", "/animals/7/details"),
        ("/pets/a%2Fb", "/animals/a%2Fb/details"),
        ("/pets/a%2fb", "/animals/a%2Fb/details"),
        ("/pets/caf%C3%A9%20au%2520lait", "/animals/caf%C3%A9%20au%2520lait/details"),
        ("/pets/a%3Fb%23c", "/animals/a%3Fb%23c/details"),
        ("/pets/a;v=1", "/animals/a%3Bv=1/details"),
        ("/pets/a+b", "/animals/a+b/details"),
        ("/proxy-value/", "/all/proxy-value"),
        ("/proxy-value//double-slash", "/all/proxy-value//double-slash"),
        ("/a/b%2Fc/d", "/all/a/b%2Fc/d"),
    ] {
        assert_eq!(client.get(sent).echoed_target(), format!("GET {received}"), "{sent}");
    }
}
