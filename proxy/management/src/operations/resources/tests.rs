use serde_json::{Value, json};

use crate::testing::{ACCOUNT_ID, Fixture, fixture, patch, replace};

/// Creates a resource and gives its id.
fn create(fixture: &Fixture, api: &str, parent: &str, part: &str) -> String {
    let uri = format!("/restapis/{api}/resources/{parent}");
    let resource = fixture.ok("POST", &uri, json!({ "pathPart": part }));
    resource["id"].as_str().unwrap().to_owned()
}

fn paths(fixture: &Fixture, api: &str) -> Vec<String> {
    let listed = fixture.ok("GET", &format!("/restapis/{api}/resources?limit=500"), Value::Null);
    let items = listed["item"].as_array().unwrap().iter();
    let mut paths: Vec<String> =
        items.map(|item| item["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

#[test]
fn a_resource_is_below_its_parent() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let pets = create(&fixture, &api, &root, "pets");
    let uri = format!("/restapis/{api}/resources/{pets}");
    let created = fixture.ok("POST", &uri, json!({ "pathPart": "{id}" }));
    let id = created["id"].as_str().unwrap();
    assert_eq!(id.len(), 6);
    assert_eq!(
        created,
        json!({ "id": id, "parentId": pets, "pathPart": "{id}", "path": "/pets/{id}" })
    );
    let root_uri = format!("/restapis/{api}/resources/{root}");
    assert_eq!(fixture.ok("GET", &root_uri, Value::Null), json!({ "id": root, "path": "/" }));
    assert_eq!(paths(&fixture, &api), ["/", "/pets", "/pets/{id}"]);
}

#[test]
fn a_new_resource_is_refused_in_awss_words() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let pets = create(&fixture, &api, &root, "pets");
    create(&fixture, &api, &pets, "{id}");
    let proxy = create(&fixture, &api, &pets, "{rest+}");
    let below_root = create(&fixture, &api, &root, "{any+}");
    let only = "400 BadRequestException: Resource's path part only allow a-zA-Z0-9._-:, and curly braces at the beginning and the end and an optional plus sign before the closing brace: ";
    let sibling = |part: &str| {
        format!(
            "400 BadRequestException: A sibling ({part}) of this resource already has a variable path part -- only one is allowed"
        )
    };
    let greedy = |part: &str| {
        format!(
            "400 BadRequestException: Cannot create a child of a resource with a greedy path variable: {part}"
        )
    };
    for (parent, part, expected) in [
        (
            &root,
            "pets",
            "409 ConflictException: Another resource with the same parent already has this name: pets"
                .to_owned(),
        ),
        (&root, "{id}", sibling("{any+}")),
        (&pets, "{other}", sibling("{id}")),
        (&pets, "{other+}", sibling("{rest+}")),
        (&proxy, "a", greedy("{rest+}")),
        (&below_root, "{a}", greedy("{any+}")),
        (&root, "a b", format!("{only}a b")),
        (&root, "a{b}", format!("{only}a{{b}}")),
        (&root, "{}", format!("{only}{{}}")),
        (&root, "{a+b}", format!("{only}{{a+b}}")),
        (
            &root,
            "",
            "400 BadRequestException: Resource's path part must be specified".to_owned(),
        ),
        (
            &"nobody".to_owned(),
            "a",
            "404 NotFoundException: Invalid Resource identifier specified".to_owned(),
        ),
    ] {
        let uri = format!("/restapis/{api}/resources/{parent}");
        assert_eq!(fixture.refused("POST", &uri, json!({ "pathPart": part })), expected, "{part}");
    }
    for part in ["a.b", "a_b-c:d,e", "A1"] {
        create(&fixture, &api, &root, part);
    }
}

#[test]
fn an_unknown_api_or_resource_is_not_found() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let unknown =
        format!("404 NotFoundException: Invalid API identifier specified {ACCOUNT_ID}:nobody");
    assert_eq!(fixture.refused("GET", "/restapis/nobody/resources", Value::Null), unknown);
    let invalid = "404 NotFoundException: Invalid Resource identifier specified";
    for (method, uri) in [
        ("GET", format!("/restapis/{api}/resources/nobody")),
        ("GET", format!("/restapis/nobody/resources/{root}")),
        ("PATCH", format!("/restapis/{api}/resources/nobody")),
        ("DELETE", format!("/restapis/{api}/resources/nobody")),
        ("GET", format!("/restapis/nobody/resources/{root}/methods/GET")),
        ("GET", format!("/restapis/{api}/resources/nobody/methods/GET/integration")),
    ] {
        assert_eq!(fixture.refused(method, &uri, Value::Null), invalid, "{method} {uri}");
    }
}

#[test]
fn methods_are_named_and_shown_whole_when_asked_for() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let uri = format!("/restapis/{api}/resources/{root}");
    let method =
        fixture.ok("PUT", &format!("{uri}/methods/GET"), json!({ "authorizationType": "NONE" }));
    let mock = json!({ "type": "MOCK" });
    let integration = fixture.ok("PUT", &format!("{uri}/methods/GET/integration"), mock);
    let named = json!({ "id": root, "path": "/", "resourceMethods": { "GET": {} } });
    assert_eq!(fixture.ok("GET", &uri, Value::Null), named);
    let all = format!("/restapis/{api}/resources");
    assert_eq!(fixture.ok("GET", &all, Value::Null), json!({ "item": [named] }));
    let mut whole = method;
    whole["methodIntegration"] = integration;
    let whole = json!({ "id": root, "path": "/", "resourceMethods": { "GET": whole } });
    assert_eq!(fixture.ok("GET", &format!("{uri}?embed=methods"), Value::Null), whole);
    let listed = fixture.ok("GET", &format!("{all}?embed=methods"), Value::Null);
    assert_eq!(listed, json!({ "item": [whole] }));
}

#[test]
fn lists_have_pages() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    for part in ["a", "b", "c"] {
        create(&fixture, &api, &root, part);
    }
    let all = format!("/restapis/{api}/resources");
    let first = fixture.ok("GET", &format!("{all}?limit=3"), Value::Null);
    assert_eq!(first["item"].as_array().unwrap().len(), 3);
    let position = first["position"].as_str().unwrap();
    let rest = fixture.ok("GET", &format!("{all}?limit=3&position={position}"), Value::Null);
    assert_eq!(rest["item"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("position"), None);
}

#[test]
fn a_resource_moves_with_all_below_it() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let pets = create(&fixture, &api, &root, "pets");
    let id = create(&fixture, &api, &pets, "{id}");
    create(&fixture, &api, &id, "toys");
    create(&fixture, &api, &root, "petshop");
    let animals = create(&fixture, &api, &root, "animals");
    let uri = format!("/restapis/{api}/resources/{pets}");
    let none = json!({ "authorizationType": "NONE" });
    fixture.ok("PUT", &format!("/restapis/{api}/resources/{id}/methods/GET"), none);

    let renamed = fixture.ok("PATCH", &uri, replace("/pathPart", "dogs"));
    assert_eq!(
        renamed,
        json!({ "id": pets, "parentId": root, "pathPart": "dogs", "path": "/dogs" })
    );
    let moved = fixture.ok("PATCH", &uri, replace("/parentId", &animals));
    assert_eq!(moved["path"], "/animals/dogs");
    assert_eq!(
        paths(&fixture, &api),
        [
            "/",
            "/animals",
            "/animals/dogs",
            "/animals/dogs/{id}",
            "/animals/dogs/{id}/toys",
            "/petshop"
        ]
    );
    // Its methods stay.
    fixture.ok("GET", &format!("/restapis/{api}/resources/{id}/methods/GET"), Value::Null);
}

#[test]
fn a_move_is_refused_in_awss_words() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let pets = create(&fixture, &api, &root, "pets");
    let dogs = create(&fixture, &api, &root, "dogs");
    let below = create(&fixture, &api, &pets, "dogs");
    let puppies = create(&fixture, &api, &below, "puppies");
    let conflict =
        "409 ConflictException: Another resource with the same parent already has this name: dogs";
    for (resource, path, value, expected) in [
        (&pets, "/parentId", &*puppies, "400 BadRequestException: Resources cannot be cyclical."),
        (&pets, "/parentId", &*pets, "400 BadRequestException: Resources cannot be cyclical."),
        (
            &pets,
            "/parentId",
            "nobody",
            "404 NotFoundException: Invalid Resource identifier specified",
        ),
        (&pets, "/pathPart", "dogs", conflict),
        (&below, "/parentId", &*root, conflict),
        (
            &root,
            "/pathPart",
            "a",
            "400 BadRequestException: Root resource cannot update its pathPart.",
        ),
        (
            &root,
            "/parentId",
            &*dogs,
            "400 BadRequestException: Root resource cannot update its parentId.",
        ),
        (
            &pets,
            "/pathPart",
            "{pets+}",
            "400 BadRequestException: Cannot create a child of a resource with a greedy path variable: {pets+}",
        ),
        (
            &pets,
            "/invalid",
            "a",
            "400 BadRequestException: Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]",
        ),
    ] {
        let uri = format!("/restapis/{api}/resources/{resource}");
        assert_eq!(
            fixture.refused("PATCH", &uri, replace(path, value)),
            expected,
            "{path} {value}"
        );
    }
    let add = patch("add", "/pathPart", "a");
    assert_eq!(
        fixture.refused("PATCH", &format!("/restapis/{api}/resources/{pets}"), add),
        "400 BadRequestException: Invalid patch path  '/pathPart' specified for op 'add'. Please choose supported operations"
    );
    assert_eq!(paths(&fixture, &api), ["/", "/dogs", "/pets", "/pets/dogs", "/pets/dogs/puppies"]);
}

#[test]
fn a_path_has_a_bound_wherever_it_comes_from() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let long = create(&fixture, &api, &root, &"a".repeat(1_000));
    let other = create(&fixture, &api, &root, "b");
    create(&fixture, &api, &other, &"c".repeat(1_000));
    let expected =
        "400 BadRequestException: the path has 2004 bytes; at most 1600 are allowed".to_owned();
    let below = format!("/restapis/{api}/resources/{long}");
    let refused = fixture.refused("POST", &below, json!({ "pathPart": "d".repeat(1_002) }));
    assert_eq!(refused, expected);
    // The resource itself would be short enough there, the one below it not.
    let uri = format!("/restapis/{api}/resources/{other}");
    let refused = fixture.refused("PATCH", &uri, replace("/parentId", &long));
    assert_eq!(refused, expected);
    assert_eq!(fixture.ok("GET", &uri, Value::Null)["path"], "/b");
}

#[test]
fn a_resource_is_deleted_with_all_below_it() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let pets = create(&fixture, &api, &root, "pets");
    let id = create(&fixture, &api, &pets, "{id}");
    create(&fixture, &api, &root, "petshop");
    let uri = format!("/restapis/{api}/resources/{pets}");
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    assert_eq!(paths(&fixture, &api), ["/", "/petshop"]);
    let gone = format!("/restapis/{api}/resources/{id}");
    assert_eq!(fixture.call("DELETE", &gone, Value::Null).status, 404);
    let root = format!("/restapis/{api}/resources/{root}");
    assert_eq!(fixture.call("DELETE", &root, Value::Null).status, 400);
}

#[test]
fn an_id_that_comes_up_again_is_given_to_nobody_else() {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let seeded = |part: &str| {
        fastrand::seed(7);
        create(&fixture, &api, &root, part)
    };
    assert_ne!(seeded("pets"), seeded("toys"));
    assert_eq!(paths(&fixture, &api), ["/", "/pets", "/toys"]);
}
