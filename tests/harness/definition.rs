//! OpenAPI definitions as short as a test's point allows.

use serde_json::{Map, Value, json};

/// An OpenAPI 3 definition in the making. What a mapping names is declared by itself: path,
/// query-string and header parameters, and the headers of responses.
#[derive(Clone, Debug)]
pub struct Api(Value);

impl Api {
    pub fn new() -> Self {
        Self(
            json!({ "openapi": "3.0.1", "info": { "title": "test", "version": "1" }, "paths": {} }),
        )
    }

    /// Another title: what metrics and access logs call the API.
    pub fn title(mut self, title: &str) -> Self {
        self.0["info"]["title"] = title.into();
        self
    }

    /// Adds a method: `GET /pets/{id}`.
    pub fn route(self, route: &str, integration: Value) -> Self {
        self.method(route, json!({ "x-amazon-apigateway-integration": integration }))
    }

    /// Adds a method with more than an integration.
    pub fn method(mut self, route: &str, mut operation: Value) -> Self {
        let (method, path) = route.split_once(' ').expect("a route is METHOD /path");
        let key = match method {
            "ANY" => "x-amazon-apigateway-any-method".to_owned(),
            method => method.to_ascii_lowercase(),
        };
        declare(path, &mut operation);
        self.0["paths"][path][key] = operation;
        self
    }

    /// Sets a key at the top level.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.0[key] = value;
        self
    }

    pub fn text(&self) -> String {
        format!("{:#}", self.0)
    }
}

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Api> for String {
    fn from(api: Api) -> Self {
        api.text()
    }
}

/// Everything goes to the same path of a backend.
pub fn greedy(url: &str) -> Api {
    Api::new()
        .route("ANY /{proxy+}", http_proxy(&format!("{url}/{{proxy}}")))
        .route("ANY /", http_proxy(url))
}

/// HTTP_PROXY with the client's method; `{name}` in the URI is the path parameter `name`.
pub fn http_proxy(uri: &str) -> Value {
    let mut integration = json!({ "type": "http_proxy", "httpMethod": "ANY", "uri": uri });
    let parameters: Map<String, Value> = names_in_braces(uri)
        .map(|name| {
            (
                format!("integration.request.path.{name}"),
                format!("method.request.path.{name}").into(),
            )
        })
        .collect();
    integration["requestParameters"] = parameters.into();
    integration
}

/// HTTP with the client's method, and everything passed from a backend's 200.
pub fn http(uri: &str) -> Value {
    let mut integration = http_proxy(uri);
    integration["type"] = "http".into();
    integration["responses"] = json!({ "default": { "statusCode": "200" } });
    integration
}

/// MOCK that answers with a status and a body.
pub fn mock(status: u16, body: &str) -> Value {
    json!({
        "type": "mock",
        "requestTemplates": { "application/json": format!("{{\"statusCode\": {status}}}") },
        "responses": { "default": {
            "statusCode": status.to_string(),
            "responseTemplates": { "application/json": body },
        } },
    })
}

fn names_in_braces(text: &str) -> impl Iterator<Item = &str> {
    // `${stageVariables.x}` isn't a parameter.
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains('.'))
}

fn declare(path: &str, operation: &mut Value) {
    let mut parameters: Vec<Value> =
        names_in_braces(path).map(|name| parameter("path", name.trim_end_matches('+'))).collect();
    let integration = &operation["x-amazon-apigateway-integration"];
    for source in strings(&integration["requestParameters"]) {
        for (prefix, place) in [
            ("method.request.querystring.", "query"),
            ("method.request.multivaluequerystring.", "query"),
            ("method.request.header.", "header"),
            ("method.request.multivalueheader.", "header"),
        ] {
            if let Some(name) = source.strip_prefix(prefix) {
                parameters.push(parameter(place, name));
            }
        }
    }
    let mut responses = Map::new();
    for response in integration["responses"].as_object().into_iter().flat_map(Map::values) {
        let status = response["statusCode"].as_str().unwrap_or("200").to_owned();
        let headers: Map<String, Value> = response["responseParameters"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter_map(|key| key.strip_prefix("method.response.header."))
            .map(|name| (name.to_owned(), json!({ "schema": { "type": "string" } })))
            .collect();
        responses.insert(status, json!({ "description": "", "headers": headers }));
    }
    for (key, value) in [("parameters", json!(parameters)), ("responses", Value::from(responses))] {
        if operation[key].is_null() {
            operation[key] = value;
        }
    }
}

fn strings(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_str)
}

fn parameter(place: &str, name: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } })
}
