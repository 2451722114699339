//! Security schemes, and the requirement of a method.

use serde_json::{Value, json};

use super::{ExportFormat, Object, put, put_list, put_object};
use crate::api::{Api, Authorization, Authorizer, AuthorizerType, Method};
use crate::openapi::security::{AUTHORIZER, AUTHTYPE, NO_HEADER};

/// The names of the schemes that are not authorizers, chosen so that they are no authorizer's.
pub(super) struct Schemes {
    api_key: String,
    sigv4: String,
}

impl Schemes {
    pub(super) fn of(api: &Api) -> Self {
        let free = |wanted: &str| {
            let mut name = wanted.to_owned();
            while api.authorizers.contains_key(&name) {
                name.push('_');
            }
            name
        };
        Self { api_key: free("api_key"), sigv4: free("sigv4") }
    }

    /// All schemes that the API's methods and authorizers need.
    pub(super) fn write(&self, api: &Api, format: ExportFormat) -> Object {
        let mut schemes = Object::new();
        let mut methods = api.resources.values().flat_map(|resource| resource.methods.values());
        if methods.clone().any(|method| method.api_key_required) {
            let scheme = json!({"type": "apiKey", "name": "x-api-key", "in": "header"});
            schemes.insert(self.api_key.clone(), scheme);
        }
        if methods.any(|method| method.authorization == Authorization::AwsIam) {
            let mut scheme = api_key_scheme("Authorization");
            scheme.insert(AUTHTYPE.to_owned(), json!("awsSigv4"));
            schemes.insert(self.sigv4.clone(), Value::Object(scheme));
        }
        for (name, authorizer) in &api.authorizers {
            schemes.insert(name.clone(), scheme(authorizer, format));
        }
        schemes
    }

    /// `security` of a method.
    pub(super) fn requirement(&self, method: &Method) -> Vec<Value> {
        let mut requirement = Vec::new();
        let mut need = |name: &str, scopes: &[String]| {
            requirement.push(Value::Object(Object::from_iter([(name.to_owned(), json!(scopes))])));
        };
        match &method.authorization {
            Authorization::None => {}
            Authorization::AwsIam => need(&self.sigv4, &[]),
            Authorization::Custom { authorizer } => need(authorizer, &[]),
            Authorization::CognitoUserPools { authorizer, scopes }
            | Authorization::Jwt { authorizer, scopes } => need(authorizer, scopes),
        }
        if method.api_key_required {
            need(&self.api_key, &[]);
        }
        requirement
    }
}

fn api_key_scheme(header: &str) -> Object {
    Object::from_iter([
        ("type".to_owned(), json!("apiKey")),
        ("name".to_owned(), json!(header)),
        ("in".to_owned(), json!("header")),
    ])
}

fn scheme(authorizer: &Authorizer, format: ExportFormat) -> Value {
    let is_jwt = authorizer.authorizer_type == AuthorizerType::Jwt;
    let mut scheme = match (&authorizer.header_name, format) {
        (Some(header), _) => api_key_scheme(header),
        (None, ExportFormat::Oas30) if is_jwt => Object::from_iter([
            ("type".to_owned(), json!("oauth2")),
            ("flows".to_owned(), json!({})),
        ]),
        (None, _) => api_key_scheme(NO_HEADER),
    };
    put(&mut scheme, AUTHTYPE, authorizer.auth_type.as_ref());
    scheme.insert(AUTHORIZER.to_owned(), Value::Object(extension(authorizer)));
    Value::Object(scheme)
}

fn extension(authorizer: &Authorizer) -> Object {
    let name = match authorizer.authorizer_type {
        AuthorizerType::Token => "token",
        AuthorizerType::Request => "request",
        AuthorizerType::CognitoUserPools => "cognito_user_pools",
        AuthorizerType::Jwt => "jwt",
    };
    let mut written = Object::from_iter([("type".to_owned(), json!(name))]);
    put(&mut written, "authorizerUri", authorizer.uri.as_ref());
    put(&mut written, "authorizerCredentials", authorizer.credentials.as_ref());
    put(&mut written, "authorizerResultTtlInSeconds", authorizer.result_ttl_in_seconds);
    put(&mut written, "identitySource", authorizer.identity_source.as_ref());
    let expression = authorizer.identity_validation_expression.as_ref();
    put(&mut written, "identityValidationExpression", expression);
    let arns = authorizer.provider_arns.iter().map(|arn| json!(arn)).collect();
    put_list(&mut written, "providerARNs", arns);
    match &authorizer.jwt_configuration {
        Some(configuration) => {
            written.insert("jwtConfiguration".to_owned(), configuration.clone());
        }
        None => {
            let mut jwt = Object::new();
            put(&mut jwt, "issuer", authorizer.jwt_issuer.as_ref());
            let audience = authorizer.jwt_audience.iter().map(|entry| json!(entry)).collect();
            put_list(&mut jwt, "audience", audience);
            put_object(&mut written, "jwtConfiguration", jwt);
        }
    }
    let version = authorizer.payload_format_version.as_ref();
    put(&mut written, "authorizerPayloadFormatVersion", version);
    put(&mut written, "enableSimpleResponses", authorizer.enable_simple_responses);
    written
}
