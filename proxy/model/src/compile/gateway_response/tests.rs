//! Gateway responses as `rest-api.md` §12 has them.

use super::*;
use GatewayResponseType as T;

struct Values {
    message: Option<&'static str>,
}

impl GatewayResponseValues for Values {
    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "error.message" => self.message.map(Cow::Borrowed),
            "error.messageString" => self.message.map(|message| format!("\"{message}\"").into()),
            "stage" => Some("prod".into()),
            _ => None,
        }
    }
    fn path_parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "id").then_some("7".into())
    }
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "q").then_some("a\r\nb".into())
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "X-Id").then_some("h".into())
    }
}

fn custom(
    status: Option<u16>,
    headers: &[(&str, &str)],
    templates: &[(&str, &str)],
) -> GatewayResponse {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    GatewayResponse {
        status_code: status,
        response_parameters: owned(headers),
        response_templates: owned(templates),
    }
}

fn compile(declared: &[(T, GatewayResponse)]) -> GatewayResponses {
    let variables = BTreeMap::from([("color".to_owned(), "blue".to_owned())]);
    GatewayResponses::compile(&declared.iter().cloned().collect(), &variables).expect("compiles")
}

/// `status content-type [header=value…] body`.
fn render(
    responses: &GatewayResponses,
    response_type: T,
    status: Option<u16>,
    accept: Option<&str>,
) -> String {
    let values = Values { message: responses.built_in(response_type).message };
    let mut body = b"left over".to_vec();
    let rendered =
        responses.render(response_type, status, accept.map(str::as_bytes), &values, &mut body);
    let headers: String =
        rendered.headers.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    format!(
        "{} {} {headers}{}",
        rendered.status,
        rendered.content_type,
        String::from_utf8_lossy(&body)
    )
}

#[test]
fn each_type_has_its_built_in_answer() {
    let responses = compile(&[]);
    for (response_type, status, error_type, body) in [
        (T::AccessDenied, 403, "AccessDeniedException", r#"{"Message":null}"#),
        (
            T::ApiConfigurationError,
            500,
            "InternalServerErrorException",
            r#"{"message":"Internal server error"}"#,
        ),
        (
            T::AuthorizerConfigurationError,
            500,
            "AuthorizerConfigurationException",
            r#"{"message":null}"#,
        ),
        (T::AuthorizerFailure, 500, "AuthorizerFailureException", r#"{"message":null}"#),
        (T::BadRequestBody, 400, "BadRequestException", r#"{"message":"Invalid request body"}"#),
        (T::BadRequestParameters, 400, "BadRequestException", r#"{"message":null}"#),
        (T::Default4xx, 400, "BadRequestException", r#"{"message":null}"#),
        (
            T::Default5xx,
            500,
            "InternalServerErrorException",
            r#"{"message":"Internal server error"}"#,
        ),
        (
            T::ExpiredToken,
            403,
            "ExpiredTokenException",
            r#"{"message":"The security token included in the request is expired"}"#,
        ),
        (
            T::IntegrationFailure,
            500,
            "InternalServerErrorException",
            r#"{"message":"Internal server error"}"#,
        ),
        (
            T::IntegrationTimeout,
            504,
            "InternalServerErrorException",
            r#"{"message":"Endpoint request timed out"}"#,
        ),
        (T::InvalidApiKey, 403, "ForbiddenException", r#"{"message":"Forbidden"}"#),
        (T::InvalidSignature, 403, "InvalidSignatureException", r#"{"message":null}"#),
        (
            T::MissingAuthenticationToken,
            403,
            "MissingAuthenticationTokenException",
            r#"{"message":"Missing Authentication Token"}"#,
        ),
        (T::QuotaExceeded, 429, "LimitExceededException", r#"{"message":"Limit Exceeded"}"#),
        (T::ResourceNotFound, 404, "ResourceNotFoundException", r#"{"message":null}"#),
        (T::Throttled, 429, "TooManyRequestsException", r#"{"message":"Too Many Requests"}"#),
        (T::Unauthorized, 401, "UnauthorizedException", r#"{"message":"Unauthorized"}"#),
        (
            T::UnsupportedMediaType,
            415,
            "BadRequestException",
            r#"{"message":"Unsupported Media Type"}"#,
        ),
        (T::WafFiltered, 403, "ForbiddenException", r#"{"message":"Forbidden"}"#),
    ] {
        assert_eq!(
            responses.built_in(response_type).error_type,
            Some(error_type),
            "{response_type:?}"
        );
        let rendered = render(&responses, response_type, None, None);
        assert_eq!(rendered, format!("{status} application/json {body}"), "{response_type:?}");
    }
}

#[test]
fn a_request_that_is_too_large_is_answered_in_plain_text_whatever_is_customised() {
    let cors =
        custom(Some(400), &[("gatewayresponse.header.A", "'*'")], &[("application/json", "{}")]);
    let responses = compile(&[(T::RequestTooLarge, cors.clone()), (T::Default4xx, cors)]);
    assert_eq!(responses.built_in(T::RequestTooLarge).error_type, None);
    assert_eq!(
        render(&responses, T::RequestTooLarge, None, None),
        "413 text/plain HTTP content length exceeded 10485760 bytes."
    );
}

#[test]
fn a_type_falls_back_to_its_default_type() {
    let responses = compile(&[
        (T::Default4xx, custom(Some(418), &[("gatewayresponse.header.X-Cors", "'*'")], &[])),
        (T::Throttled, custom(None, &[], &[("application/json", "slow down")])),
    ]);
    for (response_type, expected) in [
        (T::InvalidApiKey, r#"418 application/json X-Cors=* {"message":"Forbidden"}"#),
        (T::Default4xx, r#"418 application/json X-Cors=* {"message":null}"#),
        (T::Throttled, "429 application/json slow down"),
        (T::IntegrationTimeout, r#"504 application/json {"message":"Endpoint request timed out"}"#),
    ] {
        assert_eq!(render(&responses, response_type, None, None), expected, "{response_type:?}");
    }
}

#[test]
fn a_default_type_without_a_status_keeps_the_status_of_each_type() {
    let responses = compile(&[(T::Default4xx, custom(None, &[], &[("application/json", "no")]))]);
    assert_eq!(render(&responses, T::Throttled, None, None), "429 application/json no");
    assert_eq!(render(&responses, T::Default4xx, Some(414), None), "414 application/json no");
    assert_eq!(
        render(&responses, T::Default5xx, Some(502), None),
        r#"502 application/json {"message":"Internal server error"}"#
    );
}

#[test]
fn integration_failure_is_500_until_it_is_customised() {
    let default = compile(&[(T::Default5xx, custom(None, &[], &[]))]);
    assert_eq!(
        render(&default, T::IntegrationFailure, None, None),
        r#"500 application/json {"message":"Internal server error"}"#
    );
    let own = compile(&[(T::IntegrationFailure, custom(None, &[], &[]))]);
    assert_eq!(
        render(&own, T::IntegrationFailure, None, None),
        r#"504 application/json {"message":"Network error communicating with endpoint"}"#
    );
    let status = compile(&[(T::IntegrationFailure, custom(Some(503), &[], &[]))]);
    assert!(render(&status, T::IntegrationFailure, None, None).starts_with("503 "));
}

#[test]
fn templates_substitute_variables_as_text_and_nothing_else() {
    for (template, expected) in [
        ("$context.error.message", "Forbidden"),
        (r#"{"m":$context.error.messageString}"#, r#"{"m":"Forbidden"}"#),
        ("$context.stage.", "prod."),
        ("[$context.none]", "[]"),
        ("$stageVariables.color-$stageVariables.none!", "blue-!"),
        (
            "$method.request.header.X-Id $method.request.path.id $method.request.querystring.none.",
            "h 7 .",
        ),
        (
            "$5 $context $method.request.cookie.a ${context.stage} #set($x = 1)",
            "$5 $context $method.request.cookie.a ${context.stage} #set($x = 1)",
        ),
        ("é$context.stage$", "éprod$"),
    ] {
        let responses =
            compile(&[(T::InvalidApiKey, custom(None, &[], &[("application/json", template)]))]);
        assert_eq!(
            render(&responses, T::InvalidApiKey, None, None),
            format!("403 application/json {expected}")
        );
    }
}

#[test]
fn the_template_of_the_accepted_media_type_is_chosen() {
    let responses = compile(&[(
        T::InvalidApiKey,
        custom(None, &[], &[("text/XML", "<e/>"), ("application/json", "{}")]),
    )]);
    assert_eq!(
        render(&responses, T::InvalidApiKey, None, Some("Text/xml;q=1")),
        "403 text/xml <e/>"
    );
    assert_eq!(
        render(&responses, T::InvalidApiKey, None, Some("image/png")),
        "403 application/json {}"
    );
}

#[test]
fn headers_come_from_the_request_the_context_and_literals() {
    let responses = compile(&[(
        T::InvalidApiKey,
        custom(
            None,
            &[
                ("gatewayresponse.header.A", "'x'"),
                ("gatewayresponse.header.B", "method.request.header.X-Id"),
                ("gatewayresponse.header.C", "method.request.querystring.q"),
                ("gatewayresponse.header.D", "context.stage"),
                ("gatewayresponse.header.E", "stageVariables.color"),
                ("gatewayresponse.header.F", "method.request.header.None"),
                ("gatewayresponse.header.Content-Length", "'0'"),
                ("gatewayresponse.header.content-type", "'text/plain'"),
            ],
            &[],
        ),
    )]);
    assert_eq!(
        render(&responses, T::InvalidApiKey, None, None),
        r#"403 text/plain A=x B=h C=a  b D=prod E=blue {"message":"Forbidden"}"#
    );
}

#[test]
fn expressions_aws_does_not_know_are_refused() {
    for (destination, expression) in [
        ("gatewayresponse.header.A", "x"),
        ("gatewayresponse.header.A", "method.request.cookie.a"),
        ("gatewayresponse.header.A", "integration.response.header.a"),
        ("gatewayresponse.header.a b", "'x'"),
        ("method.response.header.A", "'x'"),
    ] {
        let declared =
            BTreeMap::from([(T::Throttled, custom(None, &[(destination, expression)], &[]))]);
        let (response_type, message) =
            GatewayResponses::compile(&declared, &BTreeMap::new()).expect_err(expression);
        assert_eq!(response_type, T::Throttled);
        assert!(message.starts_with("Invalid mapping expression specified: "), "{message}");
    }
}
