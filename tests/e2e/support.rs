//! What several modules assert.

use tollgate_tests::Response;

/// A UUID, in lower case.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => matches!(c, '0'..='9' | 'a'..='f'),
        })
}

/// An answer of the gateway itself: status, `x-amzn-ErrorType`, and the message in its body.
#[track_caller]
pub fn assert_error(response: &Response, status: u16, error_type: &str, message: &str) {
    let body: serde_json::Value = serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {:?}", response.text()));
    assert_eq!(
        (response.status, response.header("x-amzn-ErrorType"), body),
        (status, Some(error_type), serde_json::json!({ "message": message })),
    );
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_ids(response);
}

/// What every answer carries.
#[track_caller]
pub fn assert_ids(response: &Response) {
    let id = response.header("x-amzn-RequestId").expect("a request id");
    assert!(is_uuid(id), "{id}");
    let extended = response.header("x-amz-apigw-id").expect("an extended request id");
    assert!(extended.ends_with('=') && extended.len() >= 12, "{extended}");
}

#[track_caller]
pub fn assert_missing_token(response: &Response) {
    assert_error(
        response,
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
    assert_eq!(response.text(), r#"{"message":"Missing Authentication Token"}"#);
}

#[track_caller]
pub fn assert_forbidden(response: &Response) {
    assert_error(response, 403, "ForbiddenException", "Forbidden");
    assert_eq!(response.text(), r#"{"message":"Forbidden"}"#);
}

#[track_caller]
pub fn assert_internal_error(response: &Response) {
    assert_error(response, 500, "InternalServerErrorException", "Internal server error");
}
