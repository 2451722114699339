//! `x-amazon-apigateway-integration`: how the gateway reaches the backend.

use indexmap::IndexMap;

use super::document::{Kind, Node};
use super::reader::{Reader, Target};
use super::{ImportError, responses};
use crate::api::{
    Connection, ContentHandling, HttpMethod, Integration, IntegrationResponse, IntegrationType,
    PassthroughBehavior, Protocol,
};

/// Milliseconds, the shortest timeout.
const MIN_TIMEOUT: u32 = 50;
/// Milliseconds, the longest timeout with the quota as it comes.
const MAX_TIMEOUT: u32 = 29_000;
/// Milliseconds, the longest timeout of an HTTP API.
const MAX_HTTP_API_TIMEOUT: u32 = 30_000;
/// Milliseconds, the longest timeout with a raised quota (regional and private APIs).
const MAX_RAISED_TIMEOUT: u32 = 300_000;

const KNOWN: [&str; 22] = [
    "type",
    "uri",
    "httpMethod",
    "connectionType",
    "connectionId",
    "integrationTarget",
    "credentials",
    "passthroughBehavior",
    "contentHandling",
    "requestParameters",
    "requestTemplates",
    "responses",
    "responseParameters",
    "cacheKeyParameters",
    "cacheNamespace",
    "timeoutInMillis",
    "responseTransferMode",
    "tlsConfig",
    "integrationSubtype",
    "payloadFormatVersion",
    "description",
    "$ref",
];

const TYPES: [(&str, IntegrationType); 5] = [
    ("http", IntegrationType::Http),
    ("http_proxy", IntegrationType::HttpProxy),
    ("aws", IntegrationType::Aws),
    ("aws_proxy", IntegrationType::AwsProxy),
    ("mock", IntegrationType::Mock),
];
const METHODS: [(&str, HttpMethod); 8] = [
    ("GET", HttpMethod::Get),
    ("POST", HttpMethod::Post),
    ("PUT", HttpMethod::Put),
    ("DELETE", HttpMethod::Delete),
    ("PATCH", HttpMethod::Patch),
    ("HEAD", HttpMethod::Head),
    ("OPTIONS", HttpMethod::Options),
    ("ANY", HttpMethod::Any),
];
const PASSTHROUGH: [(&str, PassthroughBehavior); 3] = [
    ("when_no_match", PassthroughBehavior::WhenNoMatch),
    ("when_no_templates", PassthroughBehavior::WhenNoTemplates),
    ("never", PassthroughBehavior::Never),
];
const CONTENT_HANDLING: [(&str, ContentHandling); 2] = [
    ("CONVERT_TO_TEXT", ContentHandling::ConvertToText),
    ("CONVERT_TO_BINARY", ContentHandling::ConvertToBinary),
];

/// The method an integration belongs to, for AWS's messages.
struct Owner<'p> {
    path: &'p str,
    method: HttpMethod,
}

pub(super) fn read<'d>(
    reader: &mut Reader<'d>,
    path: &str,
    method: HttpMethod,
    node: &'d Node<'d>,
) -> Result<Integration, ImportError> {
    let node = match reader.follow(node)? {
        Target::Here(node) => node,
        Target::Elsewhere(reference) => {
            let message = format!(
                "\"{reference}\" lies in another document; only references within this one are allowed"
            );
            return Err(reader.error(node, message));
        }
    };
    let keys = reader.as_map(node)?;
    reader.warn_unknown_keys(keys, &KNOWN);
    if let Some(text) = node.get("description") {
        reader.warn(text, "description", "documentation only; not kept");
    }
    let owner = Owner { path, method };
    let Some(integration_type) = reader.word(node, "type", "an integration type", &TYPES)? else {
        return Err(
            reader.error(node, "has no type; allowed: http, http_proxy, aws, aws_proxy, mock")
        );
    };
    let tls = node.get("tlsConfig").filter(|node| !node.is_null()).unwrap_or(node);
    let modes = [("BUFFERED", false), ("STREAM", true)];
    let stream = reader.word(node, "responseTransferMode", "a response transfer mode", &modes)?;
    let passthrough =
        reader.word(node, "passthroughBehavior", "a passthrough behavior", &PASSTHROUGH)?;
    let mut integration = Integration {
        integration_type,
        uri: reader.text(node, "uri")?,
        http_method: reader.word(node, "httpMethod", "an HTTP method", &METHODS)?,
        connection: connection(reader, node)?,
        credentials: reader.text(node, "credentials")?,
        passthrough_behavior: passthrough.unwrap_or_default(),
        content_handling: content_handling(reader, node)?,
        request_parameters: parameters(reader, node, "requestParameters", &owner)?,
        request_templates: templates(reader, node, "requestTemplates")?,
        responses: integration_responses(reader, node, &owner)?,
        cache_key_parameters: reader.texts(node, "cacheKeyParameters")?,
        cache_namespace: reader.text(node, "cacheNamespace")?,
        timeout_in_millis: timeout(reader, node)?,
        insecure_skip_verification: reader.flag(tls, "insecureSkipVerification")?.unwrap_or(false),
        server_name_to_verify: reader.text(tls, "serverNameToVerify")?,
        stream_response: stream.unwrap_or(false),
        payload_format_version: reader.text(node, "payloadFormatVersion")?,
        integration_subtype: reader.text(node, "integrationSubtype")?,
        response_parameters: status_parameters(reader, node, &owner)?,
    };
    if let Some(tls) = reader.map(node, "tlsConfig")? {
        reader.warn_unknown_keys(tls, &["insecureSkipVerification", "serverNameToVerify"]);
    }
    finish_method(reader, node, &mut integration);
    check_uri(reader, node, &mut integration)?;
    Ok(integration)
}

/// A Lambda function is always invoked with POST.
fn finish_method<'d>(reader: &mut Reader<'d>, node: &'d Node<'d>, integration: &mut Integration) {
    let is_lambda = integration.integration_type == IntegrationType::AwsProxy
        && integration.integration_subtype.is_none();
    if !is_lambda {
        return;
    }
    if let Some(other) = integration.http_method.filter(|method| *method != HttpMethod::Post) {
        let at = node.get("httpMethod").unwrap_or(node);
        let message = format!("{other} is taken as POST, with which functions are invoked");
        reader.warn(at, "httpMethod", message);
    }
    integration.http_method = Some(HttpMethod::Post);
}

fn connection<'d>(reader: &Reader<'d>, node: &'d Node<'d>) -> Result<Connection, ImportError> {
    let kinds = [("INTERNET", false), ("VPC_LINK", true)];
    let through_link =
        reader.word(node, "connectionType", "a connection type", &kinds)?.unwrap_or(false);
    if !through_link {
        return Ok(Connection::Internet);
    }
    let Some(id) = reader.text(node, "connectionId")? else {
        return Err(reader.error(node, "connectionType VPC_LINK needs a connectionId"));
    };
    let integration_target = reader.text(node, "integrationTarget")?;
    Ok(Connection::VpcLink { id, integration_target })
}

fn content_handling<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
) -> Result<Option<ContentHandling>, ImportError> {
    reader.word(node, "contentHandling", "a content handling", &CONTENT_HANDLING)
}

fn timeout<'d>(reader: &mut Reader<'d>, node: &'d Node<'d>) -> Result<Option<u32>, ImportError> {
    let key = "timeoutInMillis";
    let Some((millis, value)) = reader.number(node, key, 0..=u32::MAX)? else { return Ok(None) };
    let longest = match reader.protocol {
        Protocol::Rest => MAX_TIMEOUT,
        Protocol::Http => MAX_HTTP_API_TIMEOUT,
    };
    if !(MIN_TIMEOUT..=MAX_RAISED_TIMEOUT).contains(&millis) {
        let message = format!(
            "{millis} is not allowed; allowed: {MIN_TIMEOUT} to {longest} milliseconds, to \
             {MAX_RAISED_TIMEOUT} where the quota is raised"
        );
        return Err(reader.error(value, message));
    }
    if millis > longest {
        let message = format!("{millis} is over {longest}, the quota as it comes; kept");
        reader.warn(value, key, message);
    }
    Ok(Some(millis))
}

/// A map of mapping expressions. What is not text is dropped in AWS's words.
fn parameters<'d>(
    reader: &mut Reader<'d>,
    node: &'d Node<'d>,
    key: &str,
    owner: &Owner<'_>,
) -> Result<IndexMap<String, String>, ImportError> {
    let mut parameters = IndexMap::new();
    for (name, value) in reader.map(node, key)?.into_iter().flatten() {
        match &value.kind {
            Kind::String(text) => {
                parameters.insert(name.to_string(), text.to_string());
            }
            Kind::Bool(_) | Kind::Number(_) => {
                let message = format!(
                    "Invalid format for '{key}'. Expected type string for property '{name}' of \
                     resource '{}' and method '{}' but got '{}'",
                    owner.path,
                    owner.method,
                    reader.as_text(value)?
                );
                reader.charge_bytes(value, message.len())?;
                reader.warn(value, key, message);
            }
            _ => {
                let message = format!("is {}; a string is allowed", value.what());
                return Err(reader.error(value, message));
            }
        }
    }
    Ok(parameters)
}

/// Media type → template. An object in a template's place stands for its JSON text.
fn templates<'d>(
    reader: &mut Reader<'d>,
    node: &'d Node<'d>,
    key: &str,
) -> Result<IndexMap<String, String>, ImportError> {
    let mut templates = IndexMap::new();
    for (media_type, value) in reader.map(node, key)?.into_iter().flatten() {
        let text = match &value.kind {
            Kind::String(text) => text.to_string(),
            Kind::Null => {
                let message = format!("the template for {media_type} is empty and left out");
                reader.warn(value, key, message);
                continue;
            }
            _ => value.to_value().to_string(),
        };
        templates.insert(media_type.to_string(), text);
    }
    Ok(templates)
}

fn integration_responses<'d>(
    reader: &mut Reader<'d>,
    node: &'d Node<'d>,
    owner: &Owner<'_>,
) -> Result<Vec<IntegrationResponse>, ImportError> {
    const KNOWN: [&str; 4] =
        ["statusCode", "responseParameters", "responseTemplates", "contentHandling"];
    let mut read = Vec::new();
    for (pattern, response) in reader.map(node, "responses")?.into_iter().flatten() {
        let keys = reader.as_map(response)?;
        reader.warn_unknown_keys(keys, &KNOWN);
        let Some(status_code) = responses::status_code(reader, response)? else {
            return Err(reader.error(response, "has no statusCode; allowed: 100 to 599"));
        };
        read.push(IntegrationResponse {
            selection_pattern: (pattern != "default").then(|| pattern.to_string()),
            status_code,
            response_parameters: parameters(reader, response, "responseParameters", owner)?,
            response_templates: templates(reader, response, "responseTemplates")?,
            content_handling: content_handling(reader, response)?,
        });
    }
    Ok(read)
}

/// HTTP APIs: `responseParameters` by status.
fn status_parameters<'d>(
    reader: &mut Reader<'d>,
    node: &'d Node<'d>,
    owner: &Owner<'_>,
) -> Result<IndexMap<String, IndexMap<String, String>>, ImportError> {
    const KEY: &str = "responseParameters";
    let Some(holder) = node.get(KEY).filter(|holder| !holder.is_null()) else {
        return Ok(IndexMap::new());
    };
    if reader.protocol == Protocol::Rest {
        reader.warn(holder, KEY, "only integrations of HTTP APIs have this; ignored");
        return Ok(IndexMap::new());
    }
    let statuses = reader.as_map(holder)?.keys();
    statuses
        .map(|status| Ok((status.to_string(), parameters(reader, holder, status, owner)?)))
        .collect()
}

/// Whether the URI has the form its type needs. Names left for others to fill in (`${name}`) are
/// not looked into, and a placeholder is given the form.
fn check_uri<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
    integration: &mut Integration,
) -> Result<(), ImportError> {
    let Some(uri) = integration.uri.as_deref() else {
        let needs_none = integration.integration_type == IntegrationType::Mock
            || integration.integration_subtype.is_some();
        return match needs_none {
            true => Ok(()),
            false => Err(reader.error(node, "has no uri, which integrations of this type need")),
        };
    };
    let at = node.get("uri").unwrap_or(node);
    if uri.contains("${") {
        return Ok(());
    }
    match uri_fault(reader.protocol, integration.integration_type, uri) {
        None => Ok(()),
        Some(_) if at.unresolved => {
            integration.uri = Some(uri_around(reader, integration.integration_type, uri));
            Ok(())
        }
        Some(message) => Err(reader.error(at, message)),
    }
}

/// What is wrong with a URI for integrations of a type.
fn uri_fault(protocol: Protocol, kind: IntegrationType, uri: &str) -> Option<&'static str> {
    let starts_with =
        |scheme: &str| uri.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    let is_arn = uri.starts_with("arn:");
    match kind {
        IntegrationType::Mock => None,
        IntegrationType::Http | IntegrationType::HttpProxy => {
            // An HTTP API reaches a VPC link's listener by its ARN.
            let allowed = starts_with("http://")
                || starts_with("https://")
                || (is_arn && protocol == Protocol::Http);
            (!allowed).then_some("Invalid HTTP endpoint specified for URI")
        }
        IntegrationType::Aws | IntegrationType::AwsProxy if !is_arn => {
            Some("Invalid ARN specified in the request")
        }
        // An HTTP API may name a function by its own ARN.
        IntegrationType::Aws | IntegrationType::AwsProxy => {
            let allowed =
                protocol == Protocol::Http || uri.contains(":path/") || uri.contains(":action/");
            (!allowed).then_some("AWS ARN for integration must contain path or action")
        }
    }
}

/// A URI of the form that a type needs, around a placeholder.
fn uri_around(reader: &Reader<'_>, kind: IntegrationType, name: &str) -> String {
    let options = reader.options;
    let (partition, region) = (&options.partition, &options.region);
    match kind {
        IntegrationType::Aws | IntegrationType::AwsProxy => {
            let function = match name.starts_with("arn:") {
                true => name.to_owned(),
                false => {
                    let account = &options.account_id;
                    format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
                }
            };
            format!(
                "arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{function}\
                 /invocations"
            )
        }
        _ => format!("http://{name}"),
    }
}
