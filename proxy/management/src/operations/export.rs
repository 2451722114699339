//! Definitions out: GetExport, what a stage serves as an OpenAPI document.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html>

use http::Method;
use serde_json::{Value, json};
use tollgate_model::api::Api;
use tollgate_model::control_plane::{Deployment, DocumentationVersion, RestApi, Stage, Timestamp};
use tollgate_model::openapi::{self, ExportFormat};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::keys;
use crate::operations::{rest_apis, stages};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    name: "GetExport",
    method: Method::GET,
    uri: "/restapis/{restapi_id}/stages/{stage_name}/exports/{export_type}",
    status: 200,
    run: export,
}];

/// The name of an extension may not only say something of a method, but be the method.
const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

fn export(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let export_type = call.part("export_type");
    let format = match export_type {
        "oas30" => ExportFormat::Oas30,
        "swagger" => ExportFormat::Swagger20,
        other => {
            return Err(ApiError::bad_request(format!(
                "Invalid export type specified: '{other}'. Must be one of: [oas30, swagger]"
            )));
        }
    };
    let extensions = Extensions::asked(call)?;
    let writing = Writing::accepted(call)?;
    let exported = context.carry_out(|unit| Exported::read(context, unit, call))?;
    let document = exported.document(context, format, extensions);
    let day = &iso_8601(exported.deployment.created_date)[..10];
    let name = format!("{}-{export_type}-{day}", exported.stage.stage_name);
    writing.answer(&document, &name)
}

/// A stage, and what its deployment froze.
struct Exported {
    api: Api,
    rest_api: RestApi,
    stage: Stage,
    deployment: Deployment,
    /// That of the stage, if there is one of that name.
    documentation: Option<DocumentationVersion>,
}

impl Exported {
    fn read(context: &Context, unit: &mut Unit, call: &Call) -> Result<Self, ApiError> {
        let rest_api = rest_apis::api(context, unit, call)?;
        let stage = stages::stage(unit, &rest_api, call)?;
        let missing = || ApiError::not_found("Invalid Deployment identifier specified");
        let id = &stage.deployment_id;
        let deployment = unit.get(&keys::deployment(&rest_api.id, id))?.ok_or_else(missing)?;
        let api = unit.get(&keys::definition(&rest_api.id, id))?.ok_or_else(missing)?;
        let documentation = match &stage.documentation_version {
            Some(version) => unit.get(&keys::documentation_version(&rest_api.id, version))?,
            None => None,
        };
        Ok(Self { api, rest_api, stage, deployment, documentation })
    }

    fn document(&self, context: &Context, format: ExportFormat, kept: Extensions) -> Value {
        let mut api = self.api.clone();
        api.base_path = None;
        api.documentation = self.documented(api.documentation.take());
        if kept != Extensions::All {
            api.tags.clear();
        }
        let created = || iso_8601(self.deployment.created_date);
        api.version = Some(api.version.unwrap_or_else(created));
        let mut document = openapi::export(&api, format);
        kept.strip(&mut document);
        self.put_endpoint(context, format, &mut document);
        document
    }

    /// Documentation is exported when the stage has a version of it.
    fn documented(&self, documentation: Option<Value>) -> Option<Value> {
        let version = self.documentation.as_ref()?;
        let mut documentation = documentation?;
        documentation["version"] = json!(version.version);
        documentation["createdDate"] = json!(iso_8601(version.created_date));
        Some(documentation)
    }

    /// Where the stage is, after `info`.
    fn put_endpoint(&self, context: &Context, format: ExportFormat, document: &mut Value) {
        let settings = &context.settings;
        let (region, suffix) = (&settings.region, &settings.host_suffix);
        let host = format!("{}.execute-api.{region}.{suffix}", self.rest_api.id);
        let base_path = json!(format!("/{}", self.stage.stage_name));
        let members = match format {
            ExportFormat::Swagger20 => {
                vec![("host", json!(host)), ("basePath", base_path), ("schemes", json!(["https"]))]
            }
            ExportFormat::Oas30 => {
                let server = json!({
                    "url": format!("https://{host}/{{basePath}}"),
                    "variables": { "basePath": { "default": base_path } },
                });
                vec![("servers", json!([server]))]
            }
        };
        let Value::Object(document) = document else { return };
        for (index, (name, value)) in members.into_iter().enumerate() {
            // After the version and `info`.
            document.shift_insert(2 + index, name.to_owned(), value);
        }
    }
}

/// Which of API Gateway's extensions stay in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extensions {
    None,
    /// Those of security schemes.
    Authorizers,
    All,
}

impl Extensions {
    /// `extensions` of a call, repeated or with commas. Postman reads a document without any.
    fn asked(call: &Call) -> Result<Self, ApiError> {
        let mut asked = Self::None;
        let names = call.queries("extensions").flat_map(|names| names.split(','));
        for name in names.map(str::trim) {
            match name {
                "integrations" | "apigateway" => asked = Self::All,
                "authorizers" if asked == Self::None => asked = Self::Authorizers,
                "authorizers" | "postman" | "" => {}
                other => {
                    return Err(ApiError::bad_request(format!(
                        "Invalid extensions specified: '{other}'. Must be of: [integrations, \
                         apigateway, authorizers, postman]"
                    )));
                }
            }
        }
        Ok(asked)
    }

    fn keeps(self, key: &str) -> bool {
        let extension = key.starts_with("x-amazon-apigateway-") || key.starts_with("x-tollgate-");
        let of_authorizers =
            ["x-amazon-apigateway-authorizer", "x-amazon-apigateway-authtype"].contains(&key);
        match self {
            Self::All => true,
            Self::Authorizers if of_authorizers => true,
            _ => !extension || key == ANY_METHOD,
        }
    }

    fn strip(self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|key, _| self.keeps(key));
                members.values_mut().for_each(|member| self.strip(member));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.strip(item)),
            _ => {}
        }
    }
}

/// What a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Json,
    Yaml,
}

impl Writing {
    /// The first of `Accept` that there is.
    fn accepted(call: &Call) -> Result<Self, ApiError> {
        let accept = call.header("accept").unwrap_or("*/*");
        let media_types =
            accept.split(',').map(|range| range.split(';').next().unwrap_or_default());
        let mut known = media_types.filter_map(|media_type| match media_type.trim() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            _ => None,
        });
        known.next().ok_or_else(|| {
            ApiError::bad_request(format!(
                "Invalid Accept header specified: '{accept}'. Must be one of: [application/json, \
                 application/yaml]"
            ))
        })
    }

    fn answer(self, document: &Value, name: &str) -> Result<Answer, ApiError> {
        let (content_type, extension, text) = match self {
            Self::Json => {
                let text = serde_json::to_string_pretty(document);
                ("application/json", "json", text.map_err(|error| error.to_string()))
            }
            Self::Yaml => ("application/yaml", "yaml", yaml(document)),
        };
        let text = text.map_err(|error| {
            ApiError::bad_request(format!("The definition can't be written: {error}"))
        })?;
        let file_name = format!("{name}.{extension}");
        Ok(Answer::Document { content_type, file_name, bytes: text.into_bytes() })
    }
}

/// Texts of several lines are written as they are, long lines too: templates stay readable.
fn yaml(document: &Value) -> Result<String, String> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(document, options).map_err(|error| error.to_string())
}

/// `2026-11-23T06:21:11Z`
fn iso_8601(seconds: Timestamp) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 1 March of the year 0, so that a leap day is the last of its year:
    // https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
