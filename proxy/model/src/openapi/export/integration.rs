//! `x-amazon-apigateway-integration`.

use serde_json::{Value, json};

use super::{Object, put, put_list, put_object, texts};
use crate::api::{
    Connection, ContentHandling, Integration, IntegrationResponse, PassthroughBehavior,
};

pub(super) fn write(integration: &Integration) -> Object {
    let name = integration.integration_type.as_str().to_ascii_lowercase();
    let mut written = Object::from_iter([("type".to_owned(), json!(name))]);
    put(&mut written, "integrationSubtype", integration.integration_subtype.as_ref());
    put(&mut written, "httpMethod", integration.http_method.map(|method| method.as_str()));
    put(&mut written, "uri", integration.uri.as_ref());
    put(&mut written, "credentials", integration.credentials.as_ref());
    put_connection(&mut written, &integration.connection);
    let passthrough = match integration.passthrough_behavior {
        PassthroughBehavior::WhenNoMatch => "when_no_match",
        PassthroughBehavior::WhenNoTemplates => "when_no_templates",
        PassthroughBehavior::Never => "never",
    };
    written.insert("passthroughBehavior".to_owned(), json!(passthrough));
    put_content_handling(&mut written, integration.content_handling);
    put_object(&mut written, "requestParameters", texts(&integration.request_parameters));
    put_object(&mut written, "requestTemplates", texts(&integration.request_templates));
    let responses = integration.responses.iter().map(|response| {
        let pattern = response.selection_pattern.as_deref().unwrap_or("default");
        (pattern.to_owned(), Value::Object(response_object(response)))
    });
    put_object(&mut written, "responses", responses.collect());
    let by_status = integration.response_parameters.iter();
    let by_status = by_status.map(|(status, keys)| (status.clone(), Value::Object(texts(keys))));
    put_object(&mut written, "responseParameters", by_status.collect());
    let keys = integration.cache_key_parameters.iter().map(|key| json!(key)).collect();
    put_list(&mut written, "cacheKeyParameters", keys);
    put(&mut written, "cacheNamespace", integration.cache_namespace.as_ref());
    put(&mut written, "timeoutInMillis", integration.timeout_in_millis);
    put(&mut written, "responseTransferMode", integration.stream_response.then_some("STREAM"));
    put_object(&mut written, "tlsConfig", tls(integration));
    put(&mut written, "payloadFormatVersion", integration.payload_format_version.as_ref());
    written
}

fn put_connection(written: &mut Object, connection: &Connection) {
    let Connection::VpcLink { id, integration_target } = connection else { return };
    written.insert("connectionType".to_owned(), json!("VPC_LINK"));
    written.insert("connectionId".to_owned(), json!(id));
    put(written, "integrationTarget", integration_target.as_ref());
}

fn put_content_handling(written: &mut Object, handling: Option<ContentHandling>) {
    let name = handling.map(|handling| match handling {
        ContentHandling::ConvertToText => "CONVERT_TO_TEXT",
        ContentHandling::ConvertToBinary => "CONVERT_TO_BINARY",
    });
    put(written, "contentHandling", name);
}

fn response_object(response: &IntegrationResponse) -> Object {
    let status = response.status_code.to_string();
    let mut written = Object::from_iter([("statusCode".to_owned(), json!(status))]);
    put_object(&mut written, "responseParameters", texts(&response.response_parameters));
    put_object(&mut written, "responseTemplates", texts(&response.response_templates));
    put_content_handling(&mut written, response.content_handling);
    written
}

fn tls(integration: &Integration) -> Object {
    let mut tls = Object::new();
    if integration.insecure_skip_verification {
        tls.insert("insecureSkipVerification".to_owned(), json!(true));
    }
    put(&mut tls, "serverNameToVerify", integration.server_name_to_verify.as_ref());
    tls
}
