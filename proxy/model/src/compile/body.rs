//! Which request template, if any, makes the integration's body
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html>).

use tollgate_template::Template;

use crate::api::PassthroughBehavior;

/// The media type of a request that doesn't say, and the preferred one of responses.
pub(crate) const DEFAULT_MEDIA_TYPE: &str = "application/json";

/// The key of the template for all other media types.
const ANY_MEDIA_TYPE: &str = "$default";

/// The request templates of an integration.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBody {
    /// Media type in lower case, or `$default` → template.
    pub(crate) templates: Vec<(Box<str>, Template)>,
    pub(crate) passthrough: PassthroughBehavior,
}

/// What becomes of a request's body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selected<'t> {
    Template(&'t Template),
    Passthrough,
    /// 415
    Unsupported,
}

impl RequestBody {
    /// `content_type` is the request's header, if it has one. A request without a body has a
    /// template selected all the same.
    pub fn select(&self, content_type: Option<&[u8]>) -> Selected<'_> {
        let media_type = content_type.map_or(DEFAULT_MEDIA_TYPE.as_bytes(), media_type);
        let media_type =
            if media_type.is_empty() { DEFAULT_MEDIA_TYPE.as_bytes() } else { media_type };
        let of = |wanted: &[u8]| {
            let matches =
                |(key, _): &&(Box<str>, Template)| key.as_bytes().eq_ignore_ascii_case(wanted);
            self.templates.iter().find(matches).map(|(_, template)| template)
        };
        match (of(media_type).or_else(|| of(ANY_MEDIA_TYPE.as_bytes())), self.passthrough) {
            (Some(template), _) => Selected::Template(template),
            (None, PassthroughBehavior::WhenNoMatch) => Selected::Passthrough,
            (None, PassthroughBehavior::WhenNoTemplates) if self.templates.is_empty() => {
                Selected::Passthrough
            }
            (None, _) => Selected::Unsupported,
        }
    }
}

/// The first media type of a `Content-Type` or `Accept` header, without its parameters.
pub(crate) fn media_type(header: &[u8]) -> &[u8] {
    header.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use PassthroughBehavior::{Never, WhenNoMatch, WhenNoTemplates};

    fn select(
        templates: &[&str],
        passthrough: PassthroughBehavior,
        content_type: Option<&str>,
    ) -> String {
        let templates = templates.iter().map(|key| ((*key).into(), Template::parse(""))).collect();
        let body = RequestBody { templates, passthrough };
        match body.select(content_type.map(str::as_bytes)) {
            Selected::Template(template) => {
                let (key, _) = body
                    .templates
                    .iter()
                    .find(|(_, known)| std::ptr::eq(known, template))
                    .expect("one of the templates");
                key.trim_start_matches('$').to_owned()
            }
            Selected::Passthrough => "passthrough".to_owned(),
            Selected::Unsupported => "415".to_owned(),
        }
    }

    #[test]
    fn the_template_of_the_content_type_is_chosen_then_the_default_one() {
        for (content_type, expected) in [
            (None, "application/json"),
            (Some(""), "application/json"),
            (Some("application/json; charset=utf-8"), "application/json"),
            (Some("APPLICATION/JSON"), "application/json"),
            (Some(" text/xml "), "text/xml"),
            (Some("text/plain"), "default"),
        ] {
            let templates = ["application/json", "text/xml", "$default"];
            assert_eq!(select(&templates, Never, content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn passthrough_behavior_decides_about_what_no_template_matches() {
        for (passthrough, no_templates, no_match) in [
            (WhenNoMatch, "passthrough", "passthrough"),
            (WhenNoTemplates, "passthrough", "415"),
            (Never, "415", "415"),
        ] {
            assert_eq!(
                select(&[], passthrough, Some("text/plain")),
                no_templates,
                "{passthrough:?}"
            );
            assert_eq!(
                select(&["application/json"], passthrough, Some("text/plain")),
                no_match,
                "{passthrough:?}"
            );
        }
    }

    #[test]
    fn a_get_without_content_type_passes_never_when_there_is_a_json_template() {
        assert_eq!(select(&["application/json"], Never, None), "application/json");
        assert_eq!(select(&["text/xml"], Never, None), "415");
    }
}
