use super::ContentError::{NotBase64, TemplateNeedsText};
use super::*;
use crate::api::ContentHandling::{ConvertToBinary, ConvertToText};

const NONE: Option<ContentHandling> = None;
const TO_TEXT: Option<ContentHandling> = Some(ConvertToText);
const TO_BINARY: Option<ContentHandling> = Some(ConvertToBinary);

/// Not UTF-8, and not base64.
const BYTES: &[u8] = b"\xffPNG";
/// What text makes of [`BYTES`].
const REPLACED: &str = "\u{FFFD}PNG";
/// [`BYTES`] in base64.
const ENCODED: &str = "/1BORw==";
/// [`ENCODED`] in base64.
const TWICE: &str = "LzFCT1J3PT0=";

fn types(entries: &[&str]) -> BinaryMediaTypes {
    BinaryMediaTypes::compile(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
}

/// The three lists a payload of type `image/png` may meet.
fn lists() -> [(&'static str, BinaryMediaTypes); 3] {
    [
        ("empty", types(&[])),
        ("not matching", types(&["audio/*"])),
        ("matching", types(&["image/*"])),
    ]
}

type Passed = Result<&'static [u8], ContentError>;

/// The results for [`BYTES`] and for [`ENCODED`].
type Row = (Option<ContentHandling>, Passed, Passed);

const AS_TEXT: (Passed, Passed) = (Ok(REPLACED.as_bytes()), Ok(ENCODED.as_bytes()));
const AS_BYTES: (Passed, Passed) = (Ok(BYTES), Ok(ENCODED.as_bytes()));
const DECODED: (Passed, Passed) = (Err(NotBase64), Ok(BYTES));
const AS_BASE64: (Passed, Passed) = (Ok(ENCODED.as_bytes()), Ok(TWICE.as_bytes()));

fn row(handling: Option<ContentHandling>, (bytes, encoded): (Passed, Passed)) -> Row {
    (handling, bytes, encoded)
}

#[test]
fn a_request_passes_as_the_documented_table_says() {
    let text = [row(NONE, AS_TEXT), row(TO_TEXT, AS_TEXT), row(TO_BINARY, DECODED)];
    let binary = [row(NONE, AS_BYTES), row(TO_TEXT, AS_BASE64), row(TO_BINARY, AS_BYTES)];
    for ((name, list), rows) in lists().into_iter().zip([text, text, binary]) {
        let class = list.class(Some(b"image/png"));
        for (handling, bytes, encoded) in rows {
            for (body, expected) in [(BYTES, bytes), (ENCODED.as_bytes(), encoded)] {
                let passed = request_passed(body, class, handling);
                assert_eq!(passed.as_deref(), expected.as_deref(), "list {name}, {handling:?}");
            }
        }
    }
}

#[test]
fn a_response_passes_as_the_recorded_table_says() {
    let text = [row(NONE, AS_TEXT), row(TO_TEXT, AS_TEXT), row(TO_BINARY, DECODED)];
    let text_wanted_binary = [row(NONE, DECODED), row(TO_TEXT, AS_TEXT), row(TO_BINARY, DECODED)];
    let binary_wanted_text =
        [row(NONE, AS_BASE64), row(TO_TEXT, AS_BASE64), row(TO_BINARY, AS_BYTES)];
    let binary = [row(NONE, AS_BYTES), row(TO_TEXT, AS_BASE64), row(TO_BINARY, AS_BYTES)];
    let image = Some("image/png");
    let json = Some("application/json");
    let [(_, empty), (_, other), (_, images)] = lists();
    for (list, content_type, accept, rows) in [
        (&empty, json, json, text),
        (&empty, image, json, text),
        (&empty, json, image, text),
        (&empty, image, image, text),
        (&other, json, json, text),
        (&other, image, json, text),
        (&other, json, image, text),
        (&other, image, image, text),
        (&images, json, json, text),
        (&images, json, image, text_wanted_binary),
        (&images, image, json, binary_wanted_text),
        (&images, image, image, binary),
        (&images, None, None, text),
        (&images, image, None, binary_wanted_text),
    ] {
        let class = list.response_class(content_type.map(str::as_bytes), accept.map(str::as_bytes));
        for (handling, bytes, encoded) in rows {
            for (body, expected) in [(BYTES, bytes), (ENCODED.as_bytes(), encoded)] {
                let passed = response_passed(body, class, handling);
                assert_eq!(
                    passed.as_deref(),
                    expected.as_deref(),
                    "{content_type:?} for {accept:?} among {list:?}, {handling:?}"
                );
            }
        }
    }
}

#[test]
fn a_request_template_sees_text_or_nothing() {
    let refused = Err(TemplateNeedsText(Direction::Request));
    for (class, handling, expected) in [
        (Class::Text, NONE, Ok(REPLACED)),
        (Class::Text, TO_TEXT, Ok(REPLACED)),
        (Class::Text, TO_BINARY, refused),
        (Class::Binary, NONE, refused),
        (Class::Binary, TO_TEXT, Ok(ENCODED)),
        (Class::Binary, TO_BINARY, refused),
    ] {
        let seen = request_for_template(BYTES, class, handling);
        assert_eq!(seen.as_deref(), expected.as_ref().copied(), "{class:?}, {handling:?}");
    }
    // Whether the text is base64 makes no difference to a template.
    let decodable = request_for_template(ENCODED.as_bytes(), Class::Text, TO_BINARY);
    assert_eq!(decodable, Err(TemplateNeedsText(Direction::Request)));
}

#[test]
fn a_response_template_sees_text_or_nothing() {
    use Class::{Binary, Text};
    let refused = Err(TemplateNeedsText(Direction::Response));
    for (payload, accept, handling, expected) in [
        (Text, Text, NONE, Ok(REPLACED)),
        (Text, Text, TO_TEXT, Ok(REPLACED)),
        (Text, Text, TO_BINARY, refused),
        (Text, Binary, NONE, Ok(REPLACED)),
        (Text, Binary, TO_TEXT, Ok(REPLACED)),
        (Text, Binary, TO_BINARY, refused),
        (Binary, Text, NONE, Ok(ENCODED)),
        (Binary, Text, TO_TEXT, Ok(ENCODED)),
        (Binary, Text, TO_BINARY, refused),
        (Binary, Binary, NONE, refused),
        (Binary, Binary, TO_TEXT, Ok(ENCODED)),
        (Binary, Binary, TO_BINARY, refused),
    ] {
        let class = ResponseClass { payload, accept };
        let seen = response_for_template(BYTES, class, handling);
        assert_eq!(seen.as_deref(), expected.as_ref().copied(), "{class:?}, {handling:?}");
    }
}

#[test]
fn types_match_whole_or_by_wildcard_in_any_case_without_parameters() {
    for (entries, header, binary) in [
        (&["image/png"][..], Some("image/png"), true),
        (&["image/png"], Some("IMAGE/PNG; q=1"), true),
        (&["Image/PNG; charset=x"], Some(" image/png ;a=b"), true),
        (&["image/png"], Some("image/pngx"), false),
        (&["image/png"], Some("image/*"), false),
        (&["image/png"], Some("image/png, text/html"), true),
        (&["image/png"], Some("text/html, image/png"), false),
        (&["image/png", "audio/*"], Some("audio/ogg"), true),
        (&["image/*"], Some("image/*"), true),
        (&["image/*"], Some("images/png"), false),
        (&["image/*"], Some("image"), false),
        (&["*/*"], Some("*/*"), true),
        (&["*/*"], Some("text/plain"), true),
        (&["*/*"], None, true),
        (&["image/*"], Some("*/*"), false),
        (&["application/json"], None, true),
        (&["application/json"], Some(""), true),
        (&["image/*"], None, false),
        (&["multipart/form-data"], Some("multipart/form-data; boundary=x"), true),
        (&["png"], Some("image/png"), false),
        (&[""], Some("image/png"), false),
        (&[], Some("image/png"), false),
        (&[], None, false),
    ] {
        let class = types(entries).class(header.map(str::as_bytes));
        assert_eq!(class == Class::Binary, binary, "{header:?} among {entries:?}");
    }
}

#[test]
fn base64_is_read_with_or_without_padding_and_nothing_else() {
    for (text, expected) in [
        ("aGk=", Some("hi")),
        ("aGk", Some("hi")),
        ("", Some("")),
        ("aGl=", Some("hi")),
        ("aGk=\n", None),
        ("aG k=", None),
        ("a", None),
        ("aGk==", None),
        ("-_-_", None),
        ("{\"a\":1}", None),
    ] {
        let decoded = request_passed(text.as_bytes(), Class::Text, TO_BINARY);
        let expected = expected.map(str::as_bytes).ok_or(NotBase64);
        assert_eq!(decoded.as_deref(), expected.as_ref().copied(), "{text:?}");
    }
}

#[test]
fn what_does_not_change_is_not_copied() {
    for (class, handling) in [(Class::Text, NONE), (Class::Text, TO_TEXT), (Class::Binary, NONE)] {
        assert!(matches!(request_passed(b"text", class, handling), Ok(Cow::Borrowed(b"text"))));
    }
    let seen = request_for_template(b"text", Class::Text, NONE);
    assert!(matches!(seen, Ok(Cow::Borrowed("text"))));
}

#[test]
fn a_proxied_request_is_converted_only_between_text_and_binary() {
    for (class, handling, expected) in [
        (Class::Text, NONE, None),
        (Class::Text, TO_TEXT, None),
        (Class::Text, TO_BINARY, Some(Conversion::DecodeBase64)),
        (Class::Binary, NONE, None),
        (Class::Binary, TO_TEXT, Some(Conversion::EncodeBase64)),
        (Class::Binary, TO_BINARY, None),
    ] {
        let conversion = proxy_request_conversion(class, handling);
        assert_eq!(conversion, expected, "{class:?}, {handling:?}");
        for list in [types(&[]), types(&["image/*"])] {
            let possible =
                [Some(&b"image/png"[..]), None].map(|content_type| list.class(content_type));
            if possible.contains(&class) && conversion.is_some() {
                assert!(proxy_may_convert(&list, handling), "{class:?}, {handling:?}, {list:?}");
            }
        }
    }
    assert!(!proxy_may_convert(&types(&["*/*"]), NONE));
    assert!(!proxy_may_convert(&types(&[]), TO_TEXT));
}

#[test]
fn errors_say_what_the_logs_of_aws_say() {
    let refused = request_for_template(b"", Class::Binary, NONE).expect_err("bytes");
    assert_eq!(
        refused.to_string(),
        "Execution failed due to configuration error: Unable to transform request"
    );
}
