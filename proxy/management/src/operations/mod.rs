//! The operations, by what they are about. Each file lists its own.

pub(crate) mod rest_apis;
pub(crate) mod resources;
pub(crate) mod methods;
pub(crate) mod method_responses;
pub(crate) mod integrations;
pub(crate) mod integration_responses;
mod method_parts;
pub(crate) mod import;
pub(crate) mod export;
pub(crate) mod deployments;
pub(crate) mod stages;
pub(crate) mod models;
pub(crate) mod request_validators;
pub(crate) mod authorizers;
pub(crate) mod gateway_responses;
pub(crate) mod documentation;
pub(crate) mod api_keys;
pub(crate) mod usage_plans;
pub(crate) mod domain_names;
pub(crate) mod base_path_mappings;
pub(crate) mod vpc_links;
pub(crate) mod client_certificates;
pub(crate) mod account;
pub(crate) mod tags;
pub(crate) mod sdk;
pub(crate) mod test_invoke;
mod uses;

use crate::router::Operation;

pub(crate) const ALL: &[&[Operation]] = &[
    rest_apis::OPERATIONS,
    resources::OPERATIONS,
    methods::OPERATIONS,
    method_responses::OPERATIONS,
    integrations::OPERATIONS,
    integration_responses::OPERATIONS,
    import::OPERATIONS,
    export::OPERATIONS,
    deployments::OPERATIONS,
    stages::OPERATIONS,
    models::OPERATIONS,
    request_validators::OPERATIONS,
    authorizers::OPERATIONS,
    gateway_responses::OPERATIONS,
    documentation::OPERATIONS,
    api_keys::OPERATIONS,
    usage_plans::OPERATIONS,
    domain_names::OPERATIONS,
    base_path_mappings::OPERATIONS,
    vpc_links::OPERATIONS,
    client_certificates::OPERATIONS,
    account::OPERATIONS,
    tags::OPERATIONS,
    sdk::OPERATIONS,
    test_invoke::OPERATIONS,
];
