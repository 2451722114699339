//! Security schemes: which of them are authorizers, API keys or SigV4, and what that makes of an
//! operation's `security`.

use indexmap::IndexMap;

use super::ImportError;
use super::document::{Kind, Node};
use super::reader::{Dialect, Reader, Target};
use super::root;
use crate::api::{Authorization, Authorizer, AuthorizerType, Protocol};

/// Seconds an authorizer's answer may be kept.
const MAX_TTL: u32 = 3_600;
pub(super) const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
pub(super) const AUTHTYPE: &str = "x-amazon-apigateway-authtype";
/// The header name in schemes of authorizers that have none, as API Gateway exports them.
pub(super) const NO_HEADER: &str = "Unused";

/// Keys of `x-amazon-apigateway-authorizer`.
const AUTHORIZER_KEYS: [&str; 10] = [
    "type",
    "authorizerUri",
    "authorizerCredentials",
    "authorizerResultTtlInSeconds",
    "identitySource",
    "identityValidationExpression",
    "providerARNs",
    "jwtConfiguration",
    "authorizerPayloadFormatVersion",
    "enableSimpleResponses",
];

/// The security schemes of a document, by name.
pub(super) struct Schemes {
    schemes: IndexMap<String, Scheme>,
}

enum Scheme {
    /// `x-api-key`: the method wants an API key.
    ApiKey,
    /// SigV4.
    AwsIam,
    Authorizer(Box<Authorizer>),
    /// Nothing here or on AWS checks it.
    Unchecked,
}

/// What an operation's `security` comes to.
pub(super) struct Requirement {
    pub(super) authorization: Authorization,
    pub(super) api_key_required: bool,
}

impl Schemes {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ImportError> {
        let mut schemes = IndexMap::new();
        let declared = root::component(reader, "securityDefinitions", "securitySchemes")?;
        // Definitions grown from 2.0 still have them there, and API Gateway reads them.
        let older = match reader.dialect {
            Dialect::Swagger20 => None,
            Dialect::OpenApi3 => reader.map(reader.root, "securityDefinitions")?,
        };
        for (name, node) in [declared, older].into_iter().flatten().flatten() {
            if let Target::Here(node) = reader.follow(node)? {
                schemes.insert(name.to_string(), scheme(reader, node)?);
            }
        }
        Ok(Self { schemes })
    }

    pub(super) fn into_authorizers(self) -> IndexMap<String, Authorizer> {
        let authorizer = |(name, scheme)| match scheme {
            Scheme::Authorizer(authorizer) => Some((name, *authorizer)),
            _ => None,
        };
        self.schemes.into_iter().filter_map(authorizer).collect()
    }

    /// The operation's own `security`, or else the document's, which API Gateway is documented
    /// to ignore and recorded to apply.
    pub(super) fn requirement<'d>(
        &self,
        reader: &mut Reader<'d>,
        operation: &'d Node<'d>,
    ) -> Result<Requirement, ImportError> {
        let mut requirement =
            Requirement { authorization: Authorization::None, api_key_required: false };
        let holder = match operation.get("security") {
            Some(_) => operation,
            None => {
                if let Some(inherited) = reader.root.get("security") {
                    reader.charge(inherited, 1)?;
                }
                reader.root
            }
        };
        for alternative in reader.list(holder, "security")? {
            for (name, scopes) in reader.as_map(alternative)? {
                let Some(scheme) = self.schemes.get(name.as_ref()) else {
                    let names: Vec<_> = self.schemes.keys().map(String::as_str).collect();
                    let message = format!(
                        "\"{name}\" is not a security scheme of this document; allowed: {}",
                        names.join(", ")
                    );
                    return Err(reader.error(scopes, message));
                };
                self.apply(reader, name, scheme, scopes, &mut requirement)?;
            }
        }
        if let Some(auth) = operation.get("x-amazon-apigateway-auth") {
            override_by_auth(reader, auth, &mut requirement)?;
        }
        Ok(requirement)
    }

    fn apply<'d>(
        &self,
        reader: &mut Reader<'d>,
        name: &str,
        scheme: &Scheme,
        scopes_node: &'d Node<'d>,
        requirement: &mut Requirement,
    ) -> Result<(), ImportError> {
        let scopes = scopes(reader, scopes_node)?;
        let authorization = match scheme {
            Scheme::ApiKey => {
                requirement.api_key_required = true;
                return Ok(());
            }
            Scheme::Unchecked => {
                let message = "nothing checks this scheme: it is no authorizer, no x-api-key and \
                               not awsSigv4";
                reader.warn(scopes_node, format!("security scheme {name}"), message);
                return Ok(());
            }
            Scheme::AwsIam => Authorization::AwsIam,
            Scheme::Authorizer(authorizer) => of_authorizer(name, authorizer, &scopes),
        };
        let takes_scopes = matches!(
            authorization,
            Authorization::CognitoUserPools { .. } | Authorization::Jwt { .. }
        );
        if !takes_scopes && !scopes.is_empty() {
            let message = format!("{name} does not check scopes; ignored");
            reader.warn(scopes_node, "scopes", message);
        }
        if requirement.authorization == Authorization::None {
            requirement.authorization = authorization;
        } else {
            let message = "a method has one authorizer; the first is taken";
            reader.warn(scopes_node, format!("security scheme {name}"), message);
        }
        Ok(())
    }
}

fn of_authorizer(name: &str, authorizer: &Authorizer, scopes: &[String]) -> Authorization {
    let (authorizer_name, scopes) = (name.to_owned(), scopes.to_vec());
    match authorizer.authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request => {
            Authorization::Custom { authorizer: authorizer_name }
        }
        AuthorizerType::CognitoUserPools => {
            Authorization::CognitoUserPools { authorizer: authorizer_name, scopes }
        }
        AuthorizerType::Jwt => Authorization::Jwt { authorizer: authorizer_name, scopes },
    }
}

fn scopes<'d>(reader: &Reader<'d>, node: &'d Node<'d>) -> Result<Vec<String>, ImportError> {
    match &node.kind {
        Kind::Null => Ok(Vec::new()),
        Kind::Seq(items) => {
            items.iter().map(|item| reader.as_text(item).map(str::to_owned)).collect()
        }
        _ => Err(reader.error(node, format!("is {}; a list of scopes is allowed", node.what()))),
    }
}

/// `x-amazon-apigateway-auth` says outright what `security` says by schemes.
fn override_by_auth<'d>(
    reader: &mut Reader<'d>,
    auth: &'d Node<'d>,
    requirement: &mut Requirement,
) -> Result<(), ImportError> {
    const TYPES: [(&str, Option<bool>); 5] = [
        ("NONE", Some(false)),
        ("AWS_IAM", Some(true)),
        ("CUSTOM", None),
        ("COGNITO_USER_POOLS", None),
        ("JWT", None),
    ];
    let map = reader.as_map(auth)?;
    reader.warn_unknown_keys(map, &["type"]);
    match reader.word(auth, "type", "an authorization type", &TYPES)? {
        Some(Some(true)) => requirement.authorization = Authorization::AwsIam,
        Some(Some(false)) => requirement.authorization = Authorization::None,
        // The authorizer itself is named by `security`.
        Some(None) if requirement.authorization == Authorization::None => {
            return Err(reader.error(
                auth,
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or \
                 COGNITO_USER_POOLS requires a valid authorizer.",
            ));
        }
        _ => {}
    }
    Ok(())
}

fn scheme<'d>(reader: &mut Reader<'d>, node: &'d Node<'d>) -> Result<Scheme, ImportError> {
    reader.as_map(node)?;
    reader.warn_extensions(node, &[AUTHORIZER, AUTHTYPE]);
    let label = reader.text(node, AUTHTYPE)?;
    if let Some(authorizer) = node.get(AUTHORIZER) {
        return Ok(Scheme::Authorizer(Box::new(self::authorizer(
            reader, node, authorizer, label,
        )?)));
    }
    if label.is_some_and(|label| label.eq_ignore_ascii_case("awsSigv4")) {
        return Ok(Scheme::AwsIam);
    }
    let is_key = reader.text(node, "type")?.as_deref() == Some("apiKey");
    let name = reader.text(node, "name")?.unwrap_or_default();
    if is_key && name.eq_ignore_ascii_case("x-api-key") {
        return Ok(Scheme::ApiKey);
    }
    Ok(Scheme::Unchecked)
}

fn authorizer<'d>(
    reader: &mut Reader<'d>,
    scheme: &'d Node<'d>,
    node: &'d Node<'d>,
    auth_type: Option<String>,
) -> Result<Authorizer, ImportError> {
    const TYPES: [(&str, AuthorizerType); 4] = [
        ("token", AuthorizerType::Token),
        ("request", AuthorizerType::Request),
        ("cognito_user_pools", AuthorizerType::CognitoUserPools),
        ("jwt", AuthorizerType::Jwt),
    ];
    let map = reader.as_map(node)?;
    reader.warn_unknown_keys(map, &AUTHORIZER_KEYS);
    let authorizer_type = reader.word(node, "type", "an authorizer type", &TYPES)?;
    let authorizer_type = authorizer_type.ok_or_else(|| {
        reader.error(node, "has no type; allowed: token, request, cognito_user_pools, jwt")
    })?;
    let header_name = match reader.text(scheme, "type")?.as_deref() {
        Some("apiKey") => reader.text(scheme, "name")?.filter(|name| name != NO_HEADER),
        _ => None,
    };
    let ttl = reader.number(node, "authorizerResultTtlInSeconds", 0..=MAX_TTL)?;
    let mut authorizer = Authorizer {
        authorizer_type,
        auth_type,
        uri: reader.text(node, "authorizerUri")?,
        credentials: reader.text(node, "authorizerCredentials")?,
        result_ttl_in_seconds: ttl.map(|(seconds, _)| seconds),
        identity_source: identity_source(reader, node, authorizer_type, header_name.as_deref())?,
        identity_validation_expression: reader.text(node, "identityValidationExpression")?,
        provider_arns: reader.texts(node, "providerARNs")?,
        header_name,
        jwt_issuer: None,
        jwt_audience: Vec::new(),
        jwt_configuration: None,
        payload_format_version: reader.text(node, "authorizerPayloadFormatVersion")?,
        enable_simple_responses: reader.flag(node, "enableSimpleResponses")?,
    };
    jwt_configuration(reader, node, &mut authorizer)?;
    require_parts(reader, node, &authorizer)?;
    Ok(authorizer)
}

/// Where the caller's identity is; by default the header that the scheme itself names.
fn identity_source<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
    authorizer_type: AuthorizerType,
    header_name: Option<&str>,
) -> Result<Option<String>, ImportError> {
    let sources = reader.texts(node, "identitySource")?;
    let sources: Vec<_> = sources.into_iter().filter(|source| !source.is_empty()).collect();
    if !sources.is_empty() {
        return Ok(Some(sources.join(",")));
    }
    let by_header =
        matches!(authorizer_type, AuthorizerType::Token | AuthorizerType::CognitoUserPools);
    match header_name {
        Some(name) if by_header && reader.protocol == Protocol::Rest => {
            Ok(Some(format!("method.request.header.{name}")))
        }
        _ => Ok(None),
    }
}

fn jwt_configuration<'d>(
    reader: &mut Reader<'d>,
    node: &'d Node<'d>,
    authorizer: &mut Authorizer,
) -> Result<(), ImportError> {
    let Some(jwt) = node.get("jwtConfiguration").filter(|jwt| !jwt.is_null()) else {
        return Ok(());
    };
    let keys = reader.as_map(jwt)?;
    let issuers = reader.list(jwt, "issuers")?;
    if let Some(first) = issuers.first() {
        // REST: a list of issuers, kept as written beside what the first of them says.
        authorizer.jwt_issuer = reader.text(first, "issuer")?;
        authorizer.jwt_audience = reader.texts(first, "audiences")?;
        authorizer.jwt_configuration = Some(jwt.to_value());
        return Ok(());
    }
    reader.warn_unknown_keys(keys, &["issuer", "audience"]);
    authorizer.jwt_issuer = reader.text(jwt, "issuer")?;
    authorizer.jwt_audience = reader.texts(jwt, "audience")?;
    Ok(())
}

/// What an authorizer of its type cannot do without.
fn require_parts<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
    authorizer: &Authorizer,
) -> Result<(), ImportError> {
    let missing = match authorizer.authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request if authorizer.uri.is_none() => {
            "authorizerUri"
        }
        AuthorizerType::CognitoUserPools if authorizer.provider_arns.is_empty() => "providerARNs",
        AuthorizerType::Jwt if authorizer.jwt_issuer.is_none() => "jwtConfiguration.issuer",
        _ => return Ok(()),
    };
    Err(reader.error(node, format!("an authorizer of this type needs {missing}")))
}
