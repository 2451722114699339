//! The operations that deploying takes, and the members of their answers that it reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{Answer, Call, CallError, Client};

/// What is left as it is in a query: RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Items of a page: AWS's maximum.
const PAGE: usize = 500;
/// So that a server that never comes to an end is left.
const MAXIMUM_PAGES: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestApi {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub disable_execute_api_endpoint: bool,
    /// Of an import.
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    pub stage_name: String,
    pub deployment_id: String,
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    pub canary_settings: Option<Canary>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The stage's own, where a canary only has other variables.
    pub deployment_id: Option<String>,
    #[serde(default)]
    pub percent_traffic: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub id: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub created_date: f64,
    pub description: Option<String>,
}

/// `item` is the wire's name of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
    position: Option<String>,
}

/// The management API.
pub struct Management {
    client: Client,
}

impl Management {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn rest_apis(&self) -> Result<Vec<RestApi>, CallError> {
        self.pages("GetRestApis", "/restapis")
    }

    pub fn rest_api(&self, id: &str) -> Result<Option<RestApi>, CallError> {
        self.found("GetRestApi", format!("/restapis/{id}"))
    }

    /// `query` is what both imports know: `failonwarnings`, `basepath`.
    pub fn import_rest_api(&self, body: Bytes, query: &str) -> Result<RestApi, CallError> {
        let target = format!("/restapis?mode=import{query}");
        self.import("ImportRestApi", Method::POST, target, body)
    }

    pub fn put_rest_api(
        &self,
        id: &str,
        mode: &str,
        body: Bytes,
        query: &str,
    ) -> Result<RestApi, CallError> {
        let target = format!("/restapis/{id}?mode={mode}{query}");
        self.import("PutRestApi", Method::PUT, target, body)
    }

    pub fn rename_rest_api(&self, id: &str, name: &str) -> Result<(), CallError> {
        let patches = json!([{ "op": "replace", "path": "/name", "value": name }]);
        self.patch("UpdateRestApi", format!("/restapis/{id}"), &patches).map(drop)
    }

    pub fn delete_rest_api(&self, id: &str) -> Result<(), CallError> {
        self.json("DeleteRestApi", Method::DELETE, format!("/restapis/{id}"), None).map(drop)
    }

    pub fn create_deployment(
        &self,
        api_id: &str,
        input: &Value,
    ) -> Result<(Deployment, Vec<String>), CallError> {
        let target = format!("/restapis/{api_id}/deployments");
        let operation = "CreateDeployment";
        let answer = self.json(operation, Method::POST, target, Some(input))?;
        Ok((self.read(operation, answer.body)?, answer.warnings))
    }

    pub fn deployments(&self, api_id: &str) -> Result<Vec<Deployment>, CallError> {
        self.pages("GetDeployments", &format!("/restapis/{api_id}/deployments"))
    }

    /// All of an API: they don't come in pages.
    pub fn stages(&self, api_id: &str) -> Result<Vec<Stage>, CallError> {
        let operation = "GetStages";
        let target = format!("/restapis/{api_id}/stages");
        let answer = self.json(operation, Method::GET, target, None)?;
        Ok(self.read::<Page<Stage>>(operation, answer.body)?.item)
    }

    pub fn update_stage(
        &self,
        api_id: &str,
        stage: &str,
        patches: &Value,
    ) -> Result<(Stage, Vec<String>), CallError> {
        let operation = "UpdateStage";
        let answer =
            self.patch(operation, format!("/restapis/{api_id}/stages/{stage}"), patches)?;
        Ok((self.read(operation, answer.body)?, answer.warnings))
    }

    /// Where the stage is, by its default endpoint: an export knows it.
    pub fn invoke_url(&self, api_id: &str, stage: &str) -> Option<String> {
        let target = format!("/restapis/{api_id}/stages/{stage}/exports/oas30");
        let answer = self.json("GetExport", Method::GET, target, None).ok()?;
        let url = answer.body["servers"][0]["url"].as_str()?;
        Some(url.replace("{basePath}", stage))
    }

    fn import(
        &self,
        operation: &'static str,
        method: Method,
        target: String,
        body: Bytes,
    ) -> Result<RestApi, CallError> {
        let content_type = "application/octet-stream";
        let call = Call { operation, method, target, content_type, body };
        self.read(operation, self.client.call(call)?.body)
    }

    fn patch(
        &self,
        operation: &'static str,
        target: String,
        patches: &Value,
    ) -> Result<Answer, CallError> {
        let input = json!({ "patchOperations": patches });
        self.json(operation, Method::PATCH, target, Some(&input))
    }

    fn found<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        target: String,
    ) -> Result<Option<T>, CallError> {
        match self.json(operation, Method::GET, target, None) {
            Ok(answer) => self.read(operation, answer.body).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn pages<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<Vec<T>, CallError> {
        let mut all = Vec::new();
        let mut position = String::new();
        for _ in 0..MAXIMUM_PAGES {
            let target = format!("{path}?limit={PAGE}{position}");
            let answer = self.json(operation, Method::GET, target, None)?;
            let page: Page<T> = self.read(operation, answer.body)?;
            all.extend(page.item);
            let Some(next) = page.position else { return Ok(all) };
            position = format!("&position={}", utf8_percent_encode(&next, QUERY));
        }
        Err(self.client.lost(operation, format!("more than {MAXIMUM_PAGES} pages")))
    }

    fn json(
        &self,
        operation: &'static str,
        method: Method,
        target: String,
        input: Option<&Value>,
    ) -> Result<Answer, CallError> {
        let body = input.map(|input| Bytes::from(input.to_string())).unwrap_or_default();
        let content_type = "application/json";
        self.client.call(Call { operation, method, target, content_type, body })
    }

    fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: Value,
    ) -> Result<T, CallError> {
        serde_json::from_value(body)
            .map_err(|error| self.client.lost(operation, format!("the answer: {error}")))
    }
}
