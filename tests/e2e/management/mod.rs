//! The management API, as the clients that exist use it: `boto3`, `aws apigateway`, and requests
//! that no client makes. The scenarios are Python, in `tests/clients/scenarios`; each runs
//! against a gateway of its own.

mod canary;
mod clients;
mod concurrency;
mod coverage;
mod deploy;
mod domains;
mod durability;
mod serve;
mod upgrade;
mod vpc_links;

use clients::{Clients, run, script};

#[test]
fn every_operation_is_tested_or_listed_with_a_reason() {
    script("coverage.py");
}

#[test]
fn the_strict_client_refuses_what_the_service_model_does_not_allow() {
    script("selftest.py");
}

#[test]
fn apis_are_made_changed_cloned_imported_exported_and_deleted() {
    run("rest_api");
}

#[test]
fn resources_methods_and_integrations_behave_as_on_aws() {
    run("resources");
}

#[test]
fn models_and_request_validators_behave_as_on_aws() {
    run("models_validators");
}

#[test]
fn authorizers_and_gateway_responses_behave_as_on_aws() {
    run("authorizers_gateway_responses");
}

#[test]
fn deployments_stages_and_canaries_behave_as_on_aws() {
    run("deployments_stages");
}

#[test]
fn api_keys_usage_plans_and_quotas_behave_as_on_aws() {
    run("keys_plans");
}

#[test]
fn domain_names_and_base_path_mappings_behave_as_on_aws() {
    run("domains");
}

#[test]
fn vpc_links_certificates_account_and_tags_behave_as_on_aws() {
    run("vpclinks_certificates_account_tags");
}

#[test]
fn documentation_behaves_as_on_aws() {
    run("documentation");
}

#[test]
fn lists_come_in_pages() {
    run("pagination");
}

#[test]
fn wrong_requests_get_awss_errors() {
    run("errors");
}

#[test]
fn boto3_leads_an_api_through_its_whole_life_under_traffic() {
    run("lifecycle");
}

#[test]
fn the_aws_command_line_leads_an_api_through_its_whole_life() {
    run("aws_cli");
}

#[test]
fn hostile_imports_harm_nobody() {
    let mut gateway = Clients::start();
    gateway.run("hostile_imports");
    assert!(gateway.process.is_running(), "the gateway outlives its imports");
}
