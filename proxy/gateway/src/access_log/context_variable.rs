//! The `$context` variables of a REST API, by name.
//!
//! One enum serves access log formats and parameter mappings (`context.identity.sourceIp`): names are
//! read once, when a format or a deployment is compiled, and a request only meets the enum.
//! `requestOverride.*` and `responseOverride.*` aren't here: they are state of a mapping template,
//! not facts of a request.
//!
//! AWS: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html>

use std::borrow::Cow;
use std::fmt;

macro_rules! context_variables {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $uses:ident,)*) => {
        /// One `$context` variable.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum ContextVariable {
            $($(#[$doc])* $variant,)*
            /// `authorizer.{key}`: an entry of a Lambda authorizer's context.
            AuthorizerProperty(Box<str>),
            /// `authorizer.claims.{claim}`: a claim of the token a Cognito or JWT authorizer accepted.
            AuthorizerClaim(Box<str>),
        }

        impl ContextVariable {
            /// All names without a free part, for messages.
            pub(super) const NAMES: &[&str] = &[$($name),*];

            fn parse_fixed(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name without `$context.`.
            pub fn name(&self) -> Cow<'_, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($name),)*
                    Self::AuthorizerProperty(key) => Cow::Owned(format!("authorizer.{key}")),
                    Self::AuthorizerClaim(claim) => Cow::Owned(format!("authorizer.claims.{claim}")),
                }
            }

            /// Whether templates and parameter mappings have it too; the others exist in access logs only.
            pub fn is_in_mappings(&self) -> bool {
                match self {
                    $(Self::$variant => uses::$uses,)*
                    Self::AuthorizerProperty(_) | Self::AuthorizerClaim(_) => uses::ALL,
                }
            }
        }
    };
}

/// Where a variable exists.
mod uses {
    /// In templates, mappings and access logs.
    pub(super) const ALL: bool = true;
    /// In access logs.
    pub(super) const LOG: bool = false;
}

context_variables! {
    AccountId = "accountId" ALL,
    ApiId = "apiId" ALL,
    AwsEndpointRequestId = "awsEndpointRequestId" ALL,
    DeploymentId = "deploymentId" ALL,
    DomainName = "domainName" ALL,
    DomainPrefix = "domainPrefix" ALL,
    /// The `x-amz-apigw-id` header.
    ExtendedRequestId = "extendedRequestId" ALL,
    HttpMethod = "httpMethod" ALL,
    /// `true` or `false` on a stage with a canary.
    IsCanaryRequest = "isCanaryRequest" ALL,
    /// With the stage on the default host name, with the base path on a custom domain name.
    Path = "path" ALL,
    Protocol = "protocol" ALL,
    RequestId = "requestId" ALL,
    /// `dd/MMM/yyyy:HH:mm:ss +0000`.
    RequestTime = "requestTime" ALL,
    /// Milliseconds since 1970.
    RequestTimeEpoch = "requestTimeEpoch" ALL,
    ResourceId = "resourceId" ALL,
    ResourcePath = "resourcePath" ALL,
    Stage = "stage" ALL,
    WafResponseCode = "wafResponseCode" ALL,
    WebaclArn = "webaclArn" ALL,

    AuthorizerPrincipalId = "authorizer.principalId" ALL,
    AuthorizerError = "authorizer.error" LOG,
    AuthorizerIntegrationLatency = "authorizer.integrationLatency" LOG,
    AuthorizerIntegrationStatus = "authorizer.integrationStatus" LOG,
    AuthorizerLatency = "authorizer.latency" LOG,
    AuthorizerRequestId = "authorizer.requestId" LOG,
    AuthorizerStatus = "authorizer.status" LOG,
    AuthenticateError = "authenticate.error" LOG,
    AuthenticateLatency = "authenticate.latency" LOG,
    AuthenticateStatus = "authenticate.status" LOG,
    AuthorizeError = "authorize.error" LOG,
    AuthorizeLatency = "authorize.latency" LOG,
    AuthorizeStatus = "authorize.status" LOG,

    IdentityAccessKey = "identity.accessKey" ALL,
    IdentityAccountId = "identity.accountId" ALL,
    IdentityApiKey = "identity.apiKey" ALL,
    IdentityApiKeyId = "identity.apiKeyId" ALL,
    IdentityCaller = "identity.caller" ALL,
    IdentityCognitoAuthenticationProvider = "identity.cognitoAuthenticationProvider" ALL,
    IdentityCognitoAuthenticationType = "identity.cognitoAuthenticationType" ALL,
    IdentityCognitoIdentityId = "identity.cognitoIdentityId" ALL,
    IdentityCognitoIdentityPoolId = "identity.cognitoIdentityPoolId" ALL,
    IdentityPrincipalOrgId = "identity.principalOrgId" ALL,
    IdentitySourceIp = "identity.sourceIp" ALL,
    IdentityUser = "identity.user" ALL,
    IdentityUserAgent = "identity.userAgent" ALL,
    IdentityUserArn = "identity.userArn" ALL,
    IdentityVpcId = "identity.vpcId" ALL,
    IdentityVpceId = "identity.vpceId" ALL,
    ClientCertPem = "identity.clientCert.clientCertPem" ALL,
    ClientCertSubjectDn = "identity.clientCert.subjectDN" ALL,
    ClientCertIssuerDn = "identity.clientCert.issuerDN" ALL,
    ClientCertSerialNumber = "identity.clientCert.serialNumber" ALL,
    ClientCertNotBefore = "identity.clientCert.validity.notBefore" ALL,
    ClientCertNotAfter = "identity.clientCert.validity.notAfter" ALL,

    ErrorMessage = "error.message" ALL,
    /// The message as a JSON string, with its quotes.
    ErrorMessageString = "error.messageString" ALL,
    ErrorResponseType = "error.responseType" ALL,
    ErrorValidationErrorString = "error.validationErrorString" ALL,

    IntegrationErrorMessage = "integrationErrorMessage" LOG,
    /// Milliseconds.
    IntegrationLatency = "integrationLatency" LOG,
    IntegrationStatus = "integrationStatus" LOG,
    IntegrationObjectError = "integration.error" LOG,
    IntegrationObjectIntegrationStatus = "integration.integrationStatus" LOG,
    IntegrationObjectLatency = "integration.latency" LOG,
    IntegrationObjectRequestId = "integration.requestId" LOG,
    IntegrationObjectStatus = "integration.status" LOG,
    IntegrationResponseTransferMode = "integration.responseTransferMode" LOG,
    IntegrationTimeToAllHeaders = "integration.timeToAllHeaders" LOG,
    IntegrationTimeToFirstContent = "integration.timeToFirstContent" LOG,

    CustomDomainBasePathMatched = "customDomain.basePathMatched" LOG,
    CustomDomainRoutingRuleIdMatched = "customDomain.routingRuleIdMatched" LOG,
    CipherSuite = "cipherSuite" LOG,
    EndpointType = "endpointType" LOG,
    TlsVersion = "tlsVersion" LOG,
    /// Milliseconds.
    ResponseLatency = "responseLatency" LOG,
    /// Bytes of the response body.
    ResponseLength = "responseLength" LOG,
    Status = "status" LOG,
    /// Tollgate's own: which limit refused the request.
    ThrottleLevel = "throttle.level" LOG,
    WafError = "waf.error" LOG,
    WafLatency = "waf.latency" LOG,
    WafStatus = "waf.status" LOG,
    XrayTraceId = "xrayTraceId" LOG,
}

impl ContextVariable {
    /// The variable of this name, which comes without `$context.`.
    ///
    /// A key of an authorizer's context has letters, digits and `_` only, as AWS says; a claim also
    /// has what claims have (`cognito:username`).
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(fixed) = Self::parse_fixed(name) {
            return Some(fixed);
        }
        let key = name.strip_prefix("authorizer.")?;
        let is_key = |text: &str, others: &[u8]| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        match key.strip_prefix("claims.") {
            Some(claim) => is_key(claim, b"_-:./").then(|| Self::AuthorizerClaim(claim.into())),
            None => is_key(key, b"_").then(|| Self::AuthorizerProperty(key.into())),
        }
    }
}

impl fmt::Display for ContextVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for name in ContextVariable::NAMES {
            let variable = ContextVariable::parse(name).expect("a variable");
            assert_eq!(variable.name(), *name);
            assert!(!matches!(variable, ContextVariable::AuthorizerProperty(_)), "{name}");
        }
    }

    #[test]
    fn an_authorizer_has_properties_of_any_name_and_claims() {
        let cases = [
            ("authorizer.tenant_id", Some(ContextVariable::AuthorizerProperty("tenant_id".into()))),
            ("authorizer.claims.sub", Some(ContextVariable::AuthorizerClaim("sub".into()))),
            (
                "authorizer.claims.cognito:username",
                Some(ContextVariable::AuthorizerClaim("cognito:username".into())),
            ),
            ("authorizer.principalId", Some(ContextVariable::AuthorizerPrincipalId)),
            ("authorizer.ten-ant", None),
            ("authorizer.a.b", None),
            ("authorizer.", None),
            ("authorizer.claims.", None),
            ("authorizer", None),
        ];
        for (name, variable) in cases {
            assert_eq!(ContextVariable::parse(name), variable, "{name}");
            if let Some(variable) = variable {
                assert_eq!(variable.to_string(), name);
            }
        }
    }

    #[test]
    fn unknown_names_and_template_state_are_no_variables() {
        for name in [
            "",
            "Status",
            "identity",
            "requestOverride.header.x",
            "responseOverride.status",
            "routeKey",
        ] {
            assert_eq!(ContextVariable::parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_known_only_at_the_end_is_not_in_mappings() {
        for name in
            ["status", "responseLength", "integration.status", "authorizer.latency", "tlsVersion"]
        {
            assert_eq!(
                ContextVariable::parse(name).map(|variable| variable.is_in_mappings()),
                Some(false),
                "{name}"
            );
        }
        for name in [
            "requestId",
            "identity.sourceIp",
            "authorizer.claims.sub",
            "error.message",
            "webaclArn",
        ] {
            assert_eq!(
                ContextVariable::parse(name).map(|variable| variable.is_in_mappings()),
                Some(true),
                "{name}"
            );
        }
    }
}
