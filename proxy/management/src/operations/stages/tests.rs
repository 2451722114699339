use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, replace};

/// An API with a method and a deployment, whose stage is `prod`. Gives the URI of its stages and
/// the deployment's id.
fn deployed() -> (Fixture, String, String) {
    let fixture = fixture();
    let (api, root) = fixture.api();
    let method = format!("/restapis/{api}/resources/{root}/methods/GET");
    fixture.ok("PUT", &method, json!({"authorizationType": "NONE"}));
    fixture.ok("PUT", &format!("{method}/integration"), json!({"type": "MOCK"}));
    let deployments = format!("/restapis/{api}/deployments");
    let made = fixture.ok("POST", &deployments, json!({"stageName": "prod"}));
    (fixture, format!("/restapis/{api}/stages"), made["id"].as_str().unwrap().to_owned())
}

#[test]
fn minus_one_takes_a_throttle_away() {
    let (fixture, stages, _) = deployed();
    let prod = format!("{stages}/prod");
    fixture.ok("PATCH", &prod, replace("/*/*/throttling/burstLimit", "-1"));
    // As Terraform writes it.
    let stage = fixture.ok("PATCH", &prod, replace("/*/*/throttling/rateLimit", "-1.000000"));
    let setting = &stage["methodSettings"]["*/*"];
    assert_eq!(setting["throttlingBurstLimit"], json!(-1));
    assert_eq!(setting["throttlingRateLimit"], json!(-1.0));
    assert_eq!(fixture.ok("GET", &prod, Value::Null), stage);
}

#[test]
fn a_throttle_that_cannot_be_served_is_refused() {
    let (fixture, stages, _) = deployed();
    let rate = ("/*/*/throttling/rateLimit", "a number from 0 to 10000000, or -1 for none");
    let burst =
        ("/*/*/throttling/burstLimit", "a whole number from 0 to 2147483647, or -1 for none");
    for ((path, allowed), value) in [
        (rate, "1e300"),
        (rate, "-2"),
        (rate, "NaN"),
        (burst, "2147483648"),
        (burst, "-2"),
        (burst, "1.5"),
    ] {
        let text =
            format!("Invalid patch value '{value}' specified for path '{path}'. Must be {allowed}");
        fixture.refuses_patches(&format!("{stages}/prod"), &[("replace", path, value, &text)]);
    }
}

#[test]
fn a_method_setting_is_a_methods() {
    let (fixture, stages, _) = deployed();
    let prod = format!("{stages}/prod");
    for key in ["*/*", "~1pets/GET", "~1pets/ANY", "~1pets/*"] {
        let path = format!("/{key}/metrics/enabled");
        let stage = fixture.ok("PATCH", &prod, replace(&path, "true"));
        assert_eq!(stage["methodSettings"][key]["metricsEnabled"], true, "{stage}");
    }
    let path = "/~1pets/FETCH/metrics/enabled";
    let refused = fixture.refused("PATCH", &prod, replace(path, "true"));
    let start =
        format!("400 BadRequestException: Invalid method setting path: {path}. Must be one of: [");
    assert!(refused.starts_with(&start), "{refused}");
}

#[test]
fn a_stage_that_is_made_with_a_cache_has_one() {
    let (fixture, stages, deployment) = deployed();
    let body = |name: &str| json!({"stageName": name, "deploymentId": deployment, "cacheClusterEnabled": true});
    let stage = fixture.ok("POST", &stages, body("test"));
    assert_eq!(stage["cacheClusterSize"], "0.5");
    assert_eq!(stage["cacheClusterStatus"], "AVAILABLE");
    let mut sized = body("other");
    sized["cacheClusterSize"] = json!("6.1");
    assert_eq!(fixture.ok("POST", &stages, sized)["cacheClusterSize"], "6.1");

    let off =
        fixture.ok("PATCH", &format!("{stages}/test"), replace("/cacheClusterEnabled", "false"));
    assert_eq!(off["cacheClusterStatus"], "NOT_AVAILABLE");
    assert_eq!(off.get("cacheClusterSize"), None);
}

#[test]
fn what_a_stage_names_has_to_be_there() {
    let (fixture, stages, deployment) = deployed();
    let prod = format!("{stages}/prod");
    for (path, message) in [
        ("/clientCertificateId", "Invalid Client Certificate identifier specified"),
        ("/documentationVersion", "Invalid Documentation version identifier specified"),
    ] {
        let refused = fixture.refused("PATCH", &prod, replace(path, "nosuch"));
        assert_eq!(refused, format!("404 NotFoundException: {message}"));
        fixture.ok("PATCH", &prod, replace(path, ""));
    }
    let create = json!({
        "stageName": "beta", "deploymentId": deployment, "documentationVersion": "nosuch",
    });
    assert_eq!(
        fixture.refused("POST", &stages, create),
        "404 NotFoundException: Invalid Documentation version identifier specified"
    );
}
