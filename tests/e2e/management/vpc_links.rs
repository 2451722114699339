//! VPC links that the management API knows: what is served follows them.

use serde_json::json;
use tollgate_tests::{Api, Serve, Upstream, eventually, get, http_proxy, mock};

#[test]
fn a_vpc_link_that_gets_another_name_leads_elsewhere() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let gateway = Serve::new(Api::new().route("GET /", mock(200, "file")))
        .with(&format!(
            "vpc_links: {{one: {{addresses: ['{}']}}, two: {{addresses: ['{}']}}}}",
            one.address, two.address
        ))
        .managed()
        .start();
    let management = gateway.management_client();
    let target = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/one/50dc6c";
    let link = json!({ "name": "one", "targetArns": [target] });
    let link = management.post("/vpclinks", &link)["id"].as_str().expect("an id").to_owned();
    let mut integration = http_proxy("http://inside.example/x");
    integration["connectionType"] = "VPC_LINK".into();
    integration["connectionId"] = link.as_str().into();
    let id = management.import(Api::new().title("linked").route("GET /", integration));
    management.deploy(&id, &json!({}));

    let request = get("/prod").host(&gateway.host_of(&id));
    let leads_to = |upstream: &Upstream| {
        eventually("it leads there", || {
            let before = upstream.requests().len();
            let response = gateway.call(request.clone());
            (response.status == 200 && upstream.requests().len() > before).then_some(())
        });
    };
    leads_to(&one);
    let change = json!([{ "op": "replace", "path": "/name", "value": "two" }]);
    management.patch(&format!("/vpclinks/{link}"), &change);
    leads_to(&two);
}
