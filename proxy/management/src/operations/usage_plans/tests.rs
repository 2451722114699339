use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, patches};

fn create(fixture: &Fixture, uri: &str, body: Value) -> String {
    fixture.ok("POST", uri, body)["id"].as_str().unwrap().to_owned()
}

fn plan(fixture: &Fixture, stages: &[&str]) -> String {
    let stage = |text: &&str| {
        let (api, stage) = text.split_once(':').unwrap();
        json!({"apiId": api, "stage": stage})
    };
    let stages: Vec<Value> = stages.iter().map(stage).collect();
    create(fixture, "/usageplans", json!({"name": "plan", "apiStages": stages}))
}

fn key(fixture: &Fixture, name: &str) -> String {
    create(fixture, "/apikeys", json!({"name": name}))
}

fn put_key(fixture: &Fixture, plan: &str, key: &str) -> Value {
    let body = json!({"keyId": key, "keyType": "API_KEY"});
    fixture.ok("POST", &format!("/usageplans/{plan}/keys"), body)
}

/// An API with the stages `prod` and `test`.
fn api(fixture: &Fixture) -> String {
    let (api, _) = fixture.api();
    for name in ["prod", "test"] {
        let stage = json!({"stageName": name, "deploymentId": "d1", "createdDate": 1, "lastUpdatedDate": 1});
        fixture.put(&api, "stages", name, stage);
    }
    api
}

#[test]
fn a_plan_lives() {
    let fixture = fixture();
    let api = api(&fixture);
    let mut plan = json!({
        "name": "gold",
        "description": "for the best",
        "apiStages": [{"apiId": api, "stage": "prod", "throttle": {"/pets/GET": {"burstLimit": 2, "rateLimit": 0.5}}}],
        "throttle": {"burstLimit": 20, "rateLimit": 10.0},
        "quota": {"limit": 1000, "offset": 1, "period": "WEEK"},
        "tags": {"a": "b"},
    });
    let created = fixture.ok("POST", "/usageplans", plan.clone());
    let id = created["id"].as_str().unwrap();
    assert_eq!(id.len(), 6);
    plan["id"] = json!(id);
    assert_eq!(created, plan);
    let uri = format!("/usageplans/{id}");
    assert_eq!(fixture.ok("GET", &uri, Value::Null), plan);
    assert_eq!(fixture.ok("GET", "/usageplans", Value::Null), json!({"item": [plan]}));

    let stage = format!("{api}:prod");
    assert_eq!(
        fixture.refused("DELETE", &uri, Value::Null),
        format!(
            "400 BadRequestException: Cannot delete Usage Plan {id} because there are API Stages associated with it, including {stage}"
        )
    );
    fixture.ok("PATCH", &uri, patches(&[("remove", "/apiStages", &stage)]));
    put_key(&fixture, id, &key(&fixture, "a"));
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    assert_eq!(
        fixture.refused("GET", &uri, Value::Null),
        "404 NotFoundException: Invalid Usage Plan ID specified"
    );
}

#[test]
fn what_is_left_out_of_a_throttle_is_the_accounts() {
    let fixture = fixture();
    let plan =
        fixture.ok("POST", "/usageplans", json!({"name": "a", "throttle": {"rateLimit": 2}}));
    assert_eq!(plan["throttle"], json!({"burstLimit": 5000, "rateLimit": 2.0}));
    assert_eq!(plan["apiStages"], json!([]));
    assert!(plan["quota"].is_null());
}

#[test]
fn what_is_no_plan_is_refused() {
    let fixture = fixture();
    let api = api(&fixture);
    for (body, refused) in [
        (
            json!({}),
            "400 ValidationException: 1 validation error detected: Value null at 'createUsagePlanInput.name' failed to satisfy constraint: Member must not be null",
        ),
        (json!({"name": " "}), "400 BadRequestException: Usage Plan name cannot be blank"),
        (
            json!({"name": "a", "apiStages": [{"apiId": "", "stage": "b"}]}),
            "400 BadRequestException: Invalid API Stage specified",
        ),
        (
            json!({"name": "a", "quota": {"limit": 1, "period": "YEAR"}}),
            "400 ValidationException: 1 validation error detected: Value 'YEAR' at 'createUsagePlanInput.quota.period' failed to satisfy constraint: Member must satisfy enum value set: [DAY, WEEK, MONTH]",
        ),
        (
            json!({"name": "a", "quota": {"limit": 1, "period": "DAY", "offset": 2}}),
            "400 BadRequestException: Invalid quota offset 2. Must be a whole number from 0 to 1",
        ),
        (
            json!({"name": "a", "throttle": {"rateLimit": -1}}),
            "400 BadRequestException: Invalid rateLimit -1. Must be a number from 0 to 10000000",
        ),
        (
            json!({"name": "a", "throttle": {"burstLimit": -1}}),
            "400 BadRequestException: Invalid burstLimit -1. Must be a whole number from 0 to 2147483647",
        ),
        (
            json!({"name": "a", "apiStages": [{"apiId": api, "stage": "prod", "throttle": {"pets": {}}}]}),
            "400 BadRequestException: Invalid method 'pets' specified for throttle. Must be a resource's path and a method, as in /pets/GET",
        ),
    ] {
        assert_eq!(fixture.refused("POST", "/usageplans", body), refused);
    }
    let unknown = json!({"name": "a", "apiStages": [{"apiId": api, "stage": "none"}]});
    let refused = fixture.refused("POST", "/usageplans", unknown);
    let start = format!(
        "404 NotFoundException: Invalid API Stage {{api: {api}, stage: none}} specified for usageplan "
    );
    assert!(refused.starts_with(&start), "{refused}");
    let throttles: BTreeMap<String, Value> =
        (0..21).map(|number| (format!("/{number}/GET"), json!({}))).collect();
    let many =
        json!({"name": "a", "apiStages": [{"apiId": api, "stage": "prod", "throttle": throttles}]});
    assert_eq!(
        fixture.refused("POST", "/usageplans", many),
        format!(
            "429 LimitExceededException: API Stage {api}:prod has throttles for 21 methods; allowed: up to 20"
        )
    );
}

#[test]
fn every_path_of_a_plan_can_be_patched() {
    let fixture = fixture();
    let api = api(&fixture);
    let id = plan(&fixture, &[]);
    let uri = format!("/usageplans/{id}");
    let stage = format!("{api}:prod");
    let throttle = format!("/apiStages/{stage}/throttle");
    let patched = |body| fixture.ok("PATCH", &uri, body);

    let after = patched(patches(&[
        ("replace", "/name", "silver"),
        ("replace", "/description", "d"),
        ("add", "/productCode", "p"),
        ("replace", "/quota/limit", "5"),
        ("replace", "/quota/period", "MONTH"),
        ("replace", "/throttle/rateLimit", "1.5"),
        ("add", "/throttle/burstLimit", "3"),
        ("add", "/apiStages", &stage),
        // Terraform's form, AWS's documented form, the root, and a whole throttle.
        ("replace", &format!("{throttle}//pets/{{id}}/GET/rateLimit"), "2"),
        ("replace", &format!("{throttle}/~1pets~1{{id}}/GET/burstLimit"), "4"),
        ("replace", &format!("{throttle}/~1/ANY/burstLimit"), "6"),
        ("add", &format!("{throttle}/~1a/PUT"), r#"{"rateLimit": 7, "burstLimit": 8}"#),
    ]));
    assert_eq!(
        after,
        json!({
            "id": id, "name": "silver", "description": "d", "productCode": "p",
            "quota": {"limit": 5, "offset": 0, "period": "MONTH"},
            "throttle": {"burstLimit": 3, "rateLimit": 1.5},
            "apiStages": [{"apiId": api, "stage": "prod", "throttle": {
                "/pets/{id}/GET": {"burstLimit": 4, "rateLimit": 2.0},
                "//ANY": {"burstLimit": 6, "rateLimit": 10000.0},
                "/a/PUT": {"burstLimit": 8, "rateLimit": 7.0},
            }}],
        })
    );
    let after = patched(patches(&[
        ("remove", &format!("{throttle}/~1a/PUT"), ""),
        ("remove", "/quota", ""),
        ("remove", "/throttle", ""),
        ("remove", "/productCode", ""),
    ]));
    assert_eq!(after["apiStages"][0]["throttle"].as_object().unwrap().len(), 2);
    let after = patched(patches(&[("remove", &throttle, "")]));
    assert_eq!(
        after,
        json!({"id": id, "name": "silver", "description": "d", "apiStages": [{"apiId": api, "stage": "prod"}]})
    );
    assert_eq!(fixture.ok("GET", &uri, Value::Null), after);
}

#[test]
fn a_patch_that_cannot_be_is_refused() {
    let fixture = fixture();
    let api = api(&fixture);
    let stage = format!("{api}:prod");
    let id = plan(&fixture, &[&stage]);
    let bad = "400 BadRequestException";
    for (patch, refused) in [
        (
            ("remove", &*format!("/apiStages/{stage}"), ""),
            format!(
                "{bad}: Invalid patch path  '/apiStages/{stage}' specified for op 'remove'. Must be one of: [/apiStages, /quota, /throttle, /productCode, /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>, /apiStages/<apidId:stageName>/throttle]"
            ),
        ),
        (("remove", "/apiStages", ""), format!("{bad}: Invalid API Stage specified")),
        (
            ("add", "/apiStages", &*stage),
            format!(
                "409 ConflictException: API Stage {{api: {api}, stage: prod}} is in the usage plan already"
            ),
        ),
        (
            ("add", "/apiStages", "a:b"),
            format!(
                "404 NotFoundException: Invalid API Stage {{api: a, stage: b}} specified for usageplan {id}"
            ),
        ),
        (
            ("remove", "/apiStages", "a:b"),
            format!(
                "404 NotFoundException: Invalid API Stage {{api: a, stage: b}} specified for usageplan {id}"
            ),
        ),
        (
            ("replace", "/quota/limit", "5"),
            format!("{bad}: A quota must have a limit and a period"),
        ),
        (
            ("replace", "/throttle/rateLimit", "NaN"),
            format!("{bad}: Invalid rateLimit NaN. Must be a number from 0 to 10000000"),
        ),
        (
            ("move", "/name", "a"),
            format!(
                "{bad}: Invalid patch path  '/name' specified for op 'move'. Please choose supported operations"
            ),
        ),
    ] {
        let uri = format!("/usageplans/{id}");
        assert_eq!(fixture.refused("PATCH", &uri, patches(&[patch])), refused);
    }
}

#[test]
fn keys_come_and_go() {
    let fixture = fixture();
    let (gold, silver) = (plan(&fixture, &[]), plan(&fixture, &[]));
    let (one, two) = (key(&fixture, "one"), key(&fixture, "two"));
    let entry = put_key(&fixture, &gold, &one);
    let value = fixture.ok("GET", &format!("/apikeys/{one}?includeValue=true"), Value::Null);
    assert_eq!(
        entry,
        json!({"id": one, "type": "API_KEY", "name": "one", "value": value["value"]})
    );
    put_key(&fixture, &gold, &two);
    put_key(&fixture, &silver, &one);
    let keys = format!("/usageplans/{gold}/keys");
    assert_eq!(fixture.ok("GET", &format!("{keys}/{one}"), Value::Null), entry);
    assert_eq!(fixture.ok("GET", &format!("{keys}?name=o"), Value::Null), json!({"item": [entry]}));
    assert_eq!(fixture.ok("GET", &keys, Value::Null)["item"].as_array().unwrap().len(), 2);
    let plans = |key: &str| {
        let list = fixture.ok("GET", &format!("/usageplans?keyId={key}"), Value::Null);
        list["item"].as_array().unwrap().len()
    };
    assert_eq!((plans(&one), plans(&two)), (2, 1));

    let missing = "404 NotFoundException: Invalid Usage Plan Key identifier specified";
    assert_eq!(
        fixture.refused("POST", &keys, json!({"keyId": one, "keyType": "API_KEY"})),
        format!("409 ConflictException: API Key {one} is in Usage Plan {gold} already")
    );
    assert_eq!(
        fixture.refused("POST", &keys, json!({"keyId": "none", "keyType": "API_KEY"})),
        "404 NotFoundException: Invalid API Key identifier specified"
    );
    assert_eq!(
        fixture.refused("POST", &keys, json!({"keyId": one, "keyType": "TOKEN"})),
        "400 BadRequestException: Invalid keyType 'TOKEN' specified. Must be API_KEY"
    );
    assert_eq!(fixture.call("DELETE", &format!("{keys}/{two}"), Value::Null).status, 202);
    assert_eq!(fixture.refused("GET", &format!("{keys}/{two}"), Value::Null), missing);
    // A key that is deleted is in no plan any more.
    fixture.ok("DELETE", &format!("/apikeys/{one}"), Value::Null);
    for plan in [&gold, &silver] {
        let keys = fixture.ok("GET", &format!("/usageplans/{plan}/keys"), Value::Null);
        assert_eq!(keys, json!({"item": []}));
    }
}

#[test]
fn a_key_has_each_stage_by_one_plan() {
    let fixture = fixture();
    let api = api(&fixture);
    let (prod, test) = (format!("{api}:prod"), format!("{api}:test"));
    let (gold, silver) = (plan(&fixture, &[&prod]), plan(&fixture, &[&test]));
    let key = key(&fixture, "a");
    put_key(&fixture, &gold, &key);
    put_key(&fixture, &silver, &key);
    let refused = |stage: &str, plan: &str| {
        format!(
            "409 ConflictException: API Key {key} has API Stage {stage} by Usage Plan {plan} already; allowed: one plan for each stage"
        )
    };
    let add = patches(&[("add", "/apiStages", &prod)]);
    let uri = format!("/usageplans/{silver}");
    assert_eq!(fixture.refused("PATCH", &uri, add), refused(&prod, &gold));
    let third = plan(&fixture, &[&test]);
    let body = json!({"keyId": key, "keyType": "API_KEY"});
    assert_eq!(
        fixture.refused("POST", &format!("/usageplans/{third}/keys"), body),
        refused(&test, &silver)
    );
}

/// One puts a key into a plan, the other gives the key's other plan a stage of that plan: each is
/// allowed while the other has not happened.
#[test]
fn two_changes_at_once_do_not_give_a_key_a_stage_twice() {
    let fixture = fixture();
    let api = api(&fixture);
    let prod = format!("{api}:prod");
    for _ in 0..40 {
        let (one, other) = (plan(&fixture, &[&prod]), plan(&fixture, &[]));
        let key = key(&fixture, "a");
        put_key(&fixture, &other, &key);
        let start = std::sync::Barrier::new(2);
        let both = std::thread::scope(|scope| {
            let put_key = scope.spawn(|| {
                start.wait();
                let body = json!({"keyId": key, "keyType": "API_KEY"});
                fixture.call("POST", &format!("/usageplans/{one}/keys"), body).status
            });
            let add_stage = scope.spawn(|| {
                start.wait();
                let add = patches(&[("add", "/apiStages", &prod)]);
                fixture.call("PATCH", &format!("/usageplans/{other}"), add).status
            });
            let mut both = [put_key.join().unwrap(), add_stage.join().unwrap()];
            both.sort_unstable();
            both
        });
        assert!(both == [200, 409] || both == [201, 409], "{both:?}");
        for plan in [&one, &other] {
            fixture.call(
                "PATCH",
                &format!("/usageplans/{plan}"),
                patches(&[("remove", "/apiStages", &prod)]),
            );
            fixture.ok("DELETE", &format!("/usageplans/{plan}"), Value::Null);
        }
    }
}

#[test]
fn plans_and_plans_of_a_key_are_bounded() {
    let fixture = fixture();
    let key = key(&fixture, "a");
    let plans: Vec<String> = (0..300).map(|_| plan(&fixture, &[])).collect();
    assert_eq!(
        fixture.refused("POST", "/usageplans", json!({"name": "a"})),
        "429 LimitExceededException: There are 300 usage plans; allowed: up to 300"
    );
    fixture.ok("DELETE", &format!("/usageplans/{}", plans[299]), Value::Null);
    plan(&fixture, &[]);
    plans[..10].iter().for_each(|plan| drop(put_key(&fixture, plan, &key)));
    let body = json!({"keyId": key, "keyType": "API_KEY"});
    assert_eq!(
        fixture.refused("POST", &format!("/usageplans/{}/keys", plans[10]), body),
        format!(
            "429 LimitExceededException: API Key {key} is in 10 usage plans; allowed: up to 10"
        )
    );
}

#[test]
fn usage_is_what_the_gateway_says() {
    let fixture = fixture();
    let plan = create(
        &fixture,
        "/usageplans",
        json!({"name": "a", "quota": {"limit": 10, "period": "DAY"}}),
    );
    let key = key(&fixture, "a");
    put_key(&fixture, &plan, &key);
    let uri = format!("/usageplans/{plan}/keys/{key}/usage");
    let granted = fixture.ok("PATCH", &uri, patches(&[("replace", "/remaining", "100")]));
    assert_eq!(granted["values"], json!({key.clone(): [[0, 100]]}));
    assert_eq!(granted["startDate"], granted["endDate"]);
    assert_eq!(
        fixture.refused("PATCH", &uri, patches(&[("replace", "/remaining", "-1")])),
        "400 BadRequestException: Invalid patch value '-1' specified for path '/remaining'. Must be a whole number from 0 to 1000000000000"
    );

    let uri = format!("/usageplans/{plan}/usage");
    let dates = "startDate=2026-01-01&endDate=2026-01-31";
    let usage = json!({"usagePlanId": plan, "startDate": "2026-01-01", "endDate": "2026-01-31", "values": {key: [[0, 100]]}});
    assert_eq!(fixture.ok("GET", &format!("{uri}?{dates}"), Value::Null), usage);
    for (query, refused) in [
        (
            "startDate=2026-01-01",
            "400 ValidationException: 1 validation error detected: Value null at 'getUsageInput.endDate' failed to satisfy constraint: Member must not be null",
        ),
        (
            "startDate=2026-02-30&endDate=2026-03-01",
            "400 BadRequestException: Invalid startDate '2026-02-30'. Must be a date as in 2026-01-31",
        ),
    ] {
        assert_eq!(fixture.refused("GET", &format!("{uri}?{query}"), Value::Null), refused);
    }
}

#[test]
fn a_stage_that_is_deleted_leaves_its_plans() {
    let fixture = fixture();
    let (api, other) = (api(&fixture), api(&fixture));
    let stages = [(&api, "prod"), (&api, "test"), (&other, "prod")];
    let texts = stages.map(|(api, stage)| format!("{api}:{stage}"));
    let both = plan(&fixture, &texts.each_ref().map(String::as_str));
    let none = plan(&fixture, &[]);
    let left =
        || fixture.ok("GET", &format!("/usageplans/{both}"), Value::Null)["apiStages"].clone();

    fixture.ok("DELETE", &format!("/restapis/{api}/stages/prod"), Value::Null);
    let of_other = json!({"apiId": other, "stage": "prod"});
    assert_eq!(left(), json!([{"apiId": api, "stage": "test"}, of_other]));
    fixture.ok("DELETE", &format!("/restapis/{api}"), Value::Null);
    assert_eq!(left(), json!([of_other]));
    fixture.ok("DELETE", &format!("/restapis/{other}"), Value::Null);
    for plan in [both, none] {
        fixture.ok("DELETE", &format!("/usageplans/{plan}"), Value::Null);
    }
}
