//! Routing as recorded on AWS (`rest-api.md` §2), and its cost.

use super::*;
use HttpMethod::{Any, Get, Head, Options, Post};

/// The resources of an API by path; method indices are given in order.
fn router(resources: &[(&str, &[HttpMethod])]) -> Router {
    try_router(resources).expect("routes")
}

fn try_router(resources: &[(&str, &[HttpMethod])]) -> Result<Router, RouteError> {
    let mut next = 0..;
    Router::build(resources.iter().map(|(path, methods)| {
        let methods: Vec<_> =
            methods.iter().map(|method| (*method, next.next().unwrap_or(0))).collect();
        (*path, methods)
    }))
}

/// `METHOD path` → the resource's path and its parameters, or `-`.
fn check(resources: &[(&str, &[HttpMethod])], cases: &[(&str, &str)]) {
    let router = router(resources);
    for (request, expected) in cases {
        let (method, path) = request.split_once(' ').expect("METHOD path");
        let mut params = PathParameters::default();
        let found = match router.find(method.as_bytes(), path, &mut params) {
            None => "-".to_owned(),
            Some(found) => {
                let values: Vec<_> =
                    params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("{}{}", resources[found.resource].0, values.concat())
            }
        };
        assert_eq!(found, *expected, "{request}");
    }
}

#[test]
fn static_beats_parameter_beats_greedy_in_each_segment() {
    check(
        &[
            ("/", &[Get]),
            ("/pets", &[Get]),
            ("/pets/{id}", &[Get]),
            ("/pets/mine", &[Get]),
            ("/pets/{id}/toys", &[Get]),
            ("/pets/{proxy+}", &[Get]),
            ("/{proxy+}", &[Get]),
        ],
        &[
            ("GET /", "/"),
            ("GET /pets", "/pets"),
            ("GET /pets/mine", "/pets/mine"),
            ("GET /pets/7", "/pets/{id} id=7"),
            ("GET /pets/mine/toys", "/pets/{id}/toys id=mine"),
            ("GET /pets/7/toys/1", "/pets/{proxy+} proxy=7/toys/1"),
            ("GET /other", "/{proxy+} proxy=other"),
            ("GET /Pets", "/{proxy+} proxy=Pets"),
        ],
    );
}

#[test]
fn a_path_without_a_usable_method_falls_back_to_less_specific_resources() {
    check(
        &[("/test", &[Post]), ("/{proxy+}", &[Options])],
        &[
            ("OPTIONS /test", "/{proxy+} proxy=test"),
            ("POST /test", "/test"),
            ("GET /test", "-"),
            ("POST /other", "-"),
        ],
    );
}

#[test]
fn any_on_a_static_resource_beats_an_explicit_method_on_a_greedy_sibling() {
    check(
        &[("/a", &[Any]), ("/{proxy+}", &[Get])],
        &[("GET /a", "/a"), ("GET /b", "/{proxy+} proxy=b")],
    );
}

#[test]
fn the_search_leaves_a_branch_that_leads_nowhere() {
    check(
        &[("/part1", &[]), ("/part1/hardcoded", &[Get]), ("/{param+}", &[Get])],
        &[
            ("GET /part1/random", "/{param+} param=part1/random"),
            ("GET /part1/hardcoded", "/part1/hardcoded"),
            ("GET /part1", "/{param+} param=part1"),
        ],
    );
    check(
        &[("/a/b/c", &[Get]), ("/{x}/b/{y}", &[Get]), ("/{x}/{z}/d", &[Get])],
        &[
            ("GET /a/b/d", "/{x}/b/{y} x=a y=d"),
            ("GET /a/e/d", "/{x}/{z}/d x=a z=e"),
            ("GET /a/e/f", "-"),
        ],
    );
}

#[test]
fn an_exact_method_beats_any_on_the_same_resource() {
    let router = router(&[("/a", &[Any, Get])]);
    let mut params = PathParameters::default();
    assert_eq!(router.find(b"GET", "/a", &mut params), Some(Found { method: 1, resource: 0 }));
    assert_eq!(router.find(b"PUT", "/a", &mut params), Some(Found { method: 0, resource: 0 }));
}

#[test]
fn any_covers_seven_methods_and_head_is_not_derived_from_get() {
    check(
        &[("/any", &[Any]), ("/get", &[Get]), ("/head", &[Head])],
        &[
            ("DELETE /any", "/any"),
            ("GET /any", "/any"),
            ("HEAD /any", "/any"),
            ("OPTIONS /any", "/any"),
            ("PATCH /any", "/any"),
            ("POST /any", "/any"),
            ("PUT /any", "/any"),
            ("ANY /any", "-"),
            ("get /any", "-"),
            ("TRACE /any", "-"),
            ("CONNECT /any", "-"),
            ("HEAD /get", "-"),
            ("HEAD /head", "/head"),
        ],
    );
}

#[test]
fn greedy_needs_a_segment_and_keeps_inner_slashes() {
    check(
        &[("/{proxy+}", &[Get]), ("/a", &[]), ("/a/{rest+}", &[Get])],
        &[
            ("GET /", "-"),
            ("GET //", "-"),
            ("GET /proxy-value//double-slash", "/{proxy+} proxy=proxy-value//double-slash"),
            ("GET /a/", "/{proxy+} proxy=a"),
            ("GET /a/b/c", "/a/{rest+} rest=b/c"),
        ],
    );
}

#[test]
fn trailing_slashes_and_leading_duplicates_do_not_count() {
    check(
        &[("/pets", &[Get]), ("/pets/{id}", &[Get]), ("/{proxy+}", &[Get])],
        &[
            ("GET /pets/", "/pets"),
            ("GET //pets", "/pets"),
            ("GET /pets/7/", "/pets/{id} id=7"),
            ("GET /proxy-value/", "/{proxy+} proxy=proxy-value"),
        ],
    );
}

#[test]
fn a_parameter_does_not_take_an_empty_segment() {
    check(
        &[("/a/{x}/b", &[Get]), ("/{x}", &[Get])],
        &[("GET /a//b", "-"), ("GET /a/1/b", "/a/{x}/b x=1")],
    );
}

#[test]
fn segments_compare_decoded_and_an_encoded_slash_does_not_separate() {
    check(
        &[("/a:b", &[Get]), ("/a/b", &[Get]), ("/{x}", &[Get]), ("/caf%C3%A9", &[Get])],
        &[
            ("GET /a%3Ab", "/a:b"),
            ("GET /a:b", "/a:b"),
            ("GET /a%2Fb", "/{x} x=a%2Fb"),
            ("GET /a;v=1", "/{x} x=a;v=1"),
            ("GET /caf%C3%A9", "/caf%C3%A9"),
        ],
    );
}

#[test]
fn siblings_are_refused_as_aws_refuses_them() {
    for (resources, message) in [
        (
            &["/{a}", "/{b}"][..],
            "A sibling ({a}) of this resource already has a variable path part -- only one is allowed",
        ),
        (
            &["/{a+}", "/{b+}"],
            "A sibling ({a+}) of this resource already has a variable path part -- only one is allowed",
        ),
        (
            &["/x", "/x/{proxy+}/y"],
            "Cannot create a child of a resource with a greedy path variable: {proxy+}",
        ),
    ] {
        let error =
            Router::build(resources.iter().map(|path| (*path, [(Get, 0)]))).expect_err(message);
        assert_eq!((error.resource, error.message.as_str()), (1, message));
    }
    assert!(try_router(&[("/x/{a}", &[Get]), ("/x/{proxy+}", &[Get])]).is_ok());
}

#[test]
fn a_lookup_takes_as_many_steps_with_100_000_routes_as_with_10() {
    let steps = |routes: usize| {
        let paths: Vec<String> =
            (0..routes).map(|n| format!("/service-{n}/items/{{id}}")).collect();
        let router = Router::build(paths.iter().enumerate().map(|(n, path)| (&**path, [(Get, n)])))
            .expect("routes");
        let mut params = PathParameters::default();
        let (found, hit) = router.find_counting(b"GET", "/service-7/items/42", &mut params);
        assert_eq!(found, Some(Found { method: 7, resource: 7 }));
        let (found, miss) = router.find_counting(b"GET", "/service-7/nothing/42", &mut params);
        assert_eq!(found, None);
        (hit, miss)
    };
    assert_eq!(steps(10), (4, 2));
    assert_eq!(steps(100_000), (4, 2));
}

#[test]
fn going_back_visits_a_node_once_however_hostile_the_path() {
    // Each of 8 levels can be `a` or `{p}`, in all combinations.
    let mut paths = vec![String::new()];
    for _ in 0..8 {
        paths =
            paths.iter().flat_map(|path| [format!("{path}/a"), format!("{path}/{{p}}")]).collect();
    }
    let router = Router::build(paths.iter().map(|path| (&**path, [(Get, 0)]))).expect("routes");
    let path = "/a".repeat(5_000);
    let mut params = PathParameters::default();
    let (found, steps) = router.find_counting(b"GET", &path, &mut params);
    assert_eq!((found, steps), (None, 511));
    assert!(params.is_empty());
}

#[test]
fn resources_that_could_take_too_many_steps_are_refused() {
    let mut paths = vec![String::new()];
    for _ in 0..10 {
        paths =
            paths.iter().flat_map(|path| [format!("{path}/a"), format!("{path}/{{p}}")]).collect();
    }
    let error =
        Router::build(paths.iter().map(|path| (&**path, [(Get, 0)]))).expect_err("too many");
    assert!(error.message.contains("2047 steps, at most 1024"), "{error}");
    let deep = "/a".repeat(MAX_SEGMENTS + 1);
    let error = Router::build([(&*deep, [(Get, 0)])]).expect_err("too deep");
    assert!(error.message.contains("513 segments, at most 512"), "{error}");
}
