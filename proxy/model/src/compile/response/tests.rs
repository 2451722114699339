//! Selection as `rest-api.md` §5 and §6 have it.

use super::*;

fn response(status: u16) -> CompiledResponse {
    CompiledResponse {
        status,
        parameters: Vec::new(),
        templates: Vec::new(),
        content_handling: None,
    }
}

/// Responses with status 1, 2, … in the order of the patterns.
fn responses(patterns: &[Option<&str>]) -> (IntegrationResponses, Vec<UnservedPattern>) {
    let responses = patterns
        .iter()
        .zip(1..)
        .map(|(pattern, status)| (pattern.map(str::to_owned), response(status)));
    PatternCompiler::default().responses(responses)
}

fn select(patterns: &[Option<&str>], text: &str) -> Option<u16> {
    responses(patterns).0.select(text).map(|response| response.status)
}

#[test]
fn the_first_pattern_that_matches_the_whole_text_wins_then_the_default() {
    for (patterns, text, expected) in [
        (&[Some("200"), Some("4\\d{2}"), None][..], "200", Some(1)),
        (&[Some("200"), Some("4\\d{2}"), None], "404", Some(2)),
        (&[Some("200"), Some("4\\d{2}"), None], "500", Some(3)),
        (&[None, Some("500")], "500", Some(2)),
        (&[Some(""), Some("500")], "200", Some(1)),
        (&[Some("4.."), Some("404")], "404", Some(1)),
        (&[Some("20")], "200", None),
        (&[Some("2\\d\\d")], "2000", None),
        (&[Some("200|201")], "201", Some(1)),
        (&[Some("Error")], "An Error", None),
        (&[Some(".*Error.*")], "An Error occurred", Some(1)),
        (&[Some(".*Error.*")], "An\nError", None),
        (&[Some("[\\s\\S]*Error[\\s\\S]*")], "An\nError\n", Some(1)),
        (&[Some("(\\n|.)+")], "a\nb", Some(1)),
        (&[Some("^4\\d\\d$")], "404", Some(1)),
        (&[Some("(?i)error")], "ERROR", Some(1)),
        (&[Some("\\QA.B\\E.*")], "A.B!", Some(1)),
        (&[Some("\\QA.B\\E.*")], "AxB!", None),
        (&[Some("\\d+")], "٣", None),
        (&[Some("[\\d.]+")], "1.5", Some(1)),
        (&[Some("[^\\d]+")], "abc", Some(1)),
        (&[Some("(?!200)\\d+"), Some("200")], "404", Some(1)),
        (&[Some("(?!200)\\d+"), Some("200")], "200", Some(2)),
        (&[], "200", None),
    ] {
        assert_eq!(select(patterns, text), expected, "{patterns:?} with {text:?}");
    }
}

#[test]
fn patterns_that_are_not_served_say_why_and_match_nothing() {
    for (pattern, reason) in [
        ("(", "Unclosed group"),
        ("(\\d{900}){900}", "it is too large"),
        ("4\\", "it ends with a backslash"),
    ] {
        let (compiled, unserved) = responses(&[Some(pattern), None]);
        assert_eq!(compiled.select("404").map(|response| response.status), Some(2), "{pattern}");
        assert_eq!(unserved.len(), 1, "{pattern}");
        assert_eq!((&*unserved[0].pattern, &*unserved[0].reason), (pattern, reason));
    }
}

#[test]
fn the_response_template_follows_accept_then_json_then_order() {
    let with = |media_types: &[&str]| CompiledResponse {
        templates: media_types
            .iter()
            .map(|media_type| ResponseTemplate {
                media_type: (*media_type).into(),
                template: Template::parse(""),
            })
            .collect(),
        ..response(200)
    };
    for (media_types, accept, expected) in [
        (
            &["text/xml", "application/json"][..],
            Some("text/xml, application/json"),
            Some("text/xml"),
        ),
        (&["text/xml", "application/json"], Some("TEXT/XML;q=0.9"), Some("text/xml")),
        (&["text/xml", "application/json"], Some("text/html, text/xml"), Some("application/json")),
        (&["text/xml", "application/json"], None, Some("application/json")),
        (&["text/xml", "text/plain"], Some("*/*"), Some("text/xml")),
        (&[], Some("application/json"), None),
    ] {
        let response = with(media_types);
        let selected = response.select_template(accept.map(str::as_bytes));
        assert_eq!(
            selected.map(|template| &*template.media_type),
            expected,
            "{media_types:?} {accept:?}"
        );
    }
}
