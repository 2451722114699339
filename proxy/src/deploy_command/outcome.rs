//! What was done, and how to undo it, for people and for programs.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::operations::{self, RestApi, Stage};
use crate::cli::Output;
use crate::cli::deploy::EndpointArgs;

/// What a stage serves now.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub api_id: String,
    pub api_name: String,
    /// The API was made.
    pub is_new: bool,
    pub stage: String,
    /// What all requests get, or all that the canary doesn't.
    pub deployment_id: String,
    /// `None`: the stage is new, or serves what it served.
    pub previous_deployment_id: Option<String>,
    pub canary: Option<Canary>,
    pub invoke_url: Option<String>,
    #[serde(skip)]
    pub is_default_endpoint_disabled: bool,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Canary {
    pub deployment_id: String,
    /// 0 to 100.
    pub percent_traffic: f64,
}

impl Outcome {
    pub fn of_deployment(api: &RestApi, stage: &str, deployment_id: String) -> Self {
        Self {
            api_id: api.id.clone(),
            api_name: api.name.clone(),
            is_new: false,
            stage: stage.to_owned(),
            deployment_id,
            previous_deployment_id: None,
            canary: None,
            invoke_url: None,
            is_default_endpoint_disabled: api.disable_execute_api_endpoint,
            warnings: Vec::new(),
        }
    }

    pub fn of(api: &RestApi, stage: &Stage) -> Self {
        let outcome = Self::of_deployment(api, &stage.stage_name, stage.deployment_id.clone());
        let canary = stage.canary_settings.clone().map(|canary| {
            let operations::Canary { deployment_id, percent_traffic } = canary;
            let deployment_id = deployment_id.unwrap_or_else(|| stage.deployment_id.clone());
            Canary { deployment_id, percent_traffic }
        });
        Self { canary, ..outcome }
    }

    /// What the stage served before.
    pub fn after(self, before: &Stage) -> Self {
        let previous = Some(before.deployment_id.clone());
        Self { previous_deployment_id: previous.filter(|id| *id != self.deployment_id), ..self }
    }

    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self
    }

    pub fn print(&self, output: Output, endpoint: &EndpointArgs) -> anyhow::Result<ExitCode> {
        crate::print(&match output {
            Output::Json => format!("{}\n", serde_json::to_string(self)?),
            Output::Text => self.text(endpoint),
        })
    }

    fn text(&self, endpoint: &EndpointArgs) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let mut line = |name: &str, value: &str| {
            // Names and warnings come from elsewhere, and this may go to a terminal.
            let _ = writeln!(text, "{name:<10}  {}", value.replace(char::is_control, " "));
        };
        let new = if self.is_new { " (new)" } else { "" };
        line("API", &format!("{}, {}{new}", self.api_name, self.api_id));
        line("stage", &self.stage);
        line("deployment", &self.deployment_id);
        if let Some(previous) = &self.previous_deployment_id {
            line("before", previous);
        }
        if let Some(Canary { deployment_id, percent_traffic }) = &self.canary {
            line("canary", &format!("{deployment_id}, {percent_traffic} % of the requests"));
        }
        if let Some(url) = &self.invoke_url {
            line("invoke URL", url);
            if url.contains(".localhost/") {
                let (id, stage) = (&self.api_id, &self.stage);
                let path = format!("/_aws/execute-api/{id}/{stage}");
                line("", &format!("tollgate dev: http://127.0.0.1:8080{path}"));
            }
        } else if self.is_default_endpoint_disabled {
            line("invoke URL", "only by custom domain names: the default endpoint is disabled");
        }
        for warning in &self.warnings {
            line("warning", warning);
        }
        if let Some(previous) = &self.previous_deployment_id {
            line("go back", &self.command(&format!("rollback --to {}", word(previous)), endpoint));
        }
        if self.canary.is_some() {
            line("promote", &self.command("canary promote", endpoint));
            line("abandon", &self.command("canary abandon", endpoint));
        }
        text
    }

    /// A command about the same stage, in the same place.
    fn command(&self, what: &str, endpoint: &EndpointArgs) -> String {
        let ca_file = endpoint.ca_file.as_ref().map(|file| file.display().to_string());
        let options = [
            ("--api-id", Some(&self.api_id)),
            ("--stage", Some(&self.stage)),
            ("--endpoint-url", endpoint.endpoint_url.as_ref()),
            ("--region", endpoint.region.as_ref()),
            ("--ca-file", ca_file.as_ref()),
        ];
        let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let options: String =
            options.map(|(name, value)| format!(" {name} {}", word(value))).collect();
        format!("tollgate {what}{options}")
    }
}

/// One word for a shell.
fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let table = [("a1b2", "a1b2"), ("/a b", "'/a b'"), ("it's", r"'it'\''s'"), ("", "''")];
        for (text, expected) in table {
            assert_eq!(word(text), expected);
        }
    }
}
