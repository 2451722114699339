//! From a definition's file to a stage that can be served: read, import, compile; each refusal
//! is one line that starts with the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_model::api::{Api, ApiId, EndpointType, HttpMethod, Protocol};
use tollgate_model::compile::stage::{
    CompiledIntegration, CompiledStage, Target, UpstreamConnection,
};
use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

/// AWS: integrations may take up to 29 s unless the quota is raised.
pub const MAXIMUM_INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

/// A definition's file and what its stage adds.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: PathBuf,
    pub api_id: ApiId,
    /// Instead of the definition's own.
    pub name: Option<String>,
    /// Instead of the definition's own.
    pub description: Option<String>,
    pub stage: String,
    pub stage_variables: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    pub region: String,
    pub account_id: String,
    pub maximum_integration_timeout: Duration,
    pub attached: Attached,
}

/// Plugins that a stage has in addition to those its definition names.
#[derive(Clone, Debug, Default)]
pub struct Attached {
    pub transformers: Vec<String>,
    /// By method, as in `GET /pets`.
    pub method_transformers: BTreeMap<String, Vec<String>>,
    /// URIs that take the place of authorizers' own.
    pub authorizer_uris: BTreeMap<String, String>,
    /// The plugin that authorizes every method.
    pub authorizer_of_all: Option<String>,
}

/// A definition that has been read and is known to compile.
#[derive(Clone, Debug)]
pub struct Definition {
    pub file: PathBuf,
    pub api: Api,
    pub warnings: Vec<Warning>,
    /// VPC links that integrations of this stage go through.
    pub vpc_links: BTreeSet<String>,
    /// Plugins that this stage asks for, and what they have to be.
    pub plugins: BTreeSet<PluginUse>,
    settings: StageSettings,
}

/// A plugin that a definition or its stage names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PluginUse {
    Authorizer(String),
    Transformer(String),
}

/// Something in a definition that is not served as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub file: PathBuf,
    pub line: Option<usize>,
    /// `GET /pets`; several are parted by commas. May be empty.
    pub location: String,
    /// The construct's name. May be empty.
    pub construct: String,
    pub message: String,
}

/// Why a definition cannot be served: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {problem}", file.display(), Line(*line))]
pub struct DefinitionError {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub problem: String,
}

/// Reads a definition and makes sure that it compiles.
pub fn load(source: &Source) -> Result<Definition, DefinitionError> {
    let refuse = |line, problem| DefinitionError { file: source.file.clone(), line, problem };
    let text = std::fs::read_to_string(&source.file)
        .map_err(|error| refuse(None, format!("cannot be read: {}", reason(&error))))?;
    let options = ImportOptions {
        parameters: source.parameters.clone(),
        region: source.region.clone(),
        account_id: source.account_id.clone(),
        ..ImportOptions::default()
    };
    let imported = import(&text, &options).map_err(|error| {
        let problem = match error.path() {
            "" => error.message().to_owned(),
            path => format!("{path}: {}", error.message()),
        };
        refuse(error.line(), problem)
    })?;
    let mut api = imported.api;
    if let Some(name) = &source.name {
        api.name.clone_from(name);
    }
    if source.description.is_some() {
        api.description.clone_from(&source.description);
    }
    let settings = StageSettings {
        api_id: source.api_id.clone(),
        stage_name: source.stage.clone(),
        deployment_id: short_hash(text.as_bytes(), 6),
        account_id: source.account_id.clone(),
        region: source.region.clone(),
        stage_variables: source.stage_variables.clone(),
        maximum_integration_timeout: source.maximum_integration_timeout,
        transformers: source.attached.transformers.clone(),
        method_transformers: source.attached.method_transformers.clone(),
        authorizer_uris: source.attached.authorizer_uris.clone(),
        authorizer_of_all: source.attached.authorizer_of_all.clone(),
    };
    let compiled = compile(&api, &settings).map_err(|error| refuse(None, error.to_string()))?;
    let mut warnings: Vec<Warning> = imported
        .warnings
        .into_iter()
        .map(|warning| Warning {
            file: source.file.clone(),
            line: warning.line,
            location: warning.location,
            construct: warning.construct,
            message: warning.message,
        })
        .collect();
    warnings.extend(compiled.warnings.into_iter().map(|unserved| Warning {
        file: source.file.clone(),
        line: None,
        location: places(&unserved.places),
        construct: unserved.construct,
        message: unserved.message,
    }));
    Ok(Definition {
        file: source.file.clone(),
        vpc_links: vpc_links(&compiled.stage),
        plugins: plugins(&compiled.stage),
        api,
        warnings,
        settings,
    })
}

impl Definition {
    pub fn api_id(&self) -> &ApiId {
        &self.settings.api_id
    }

    pub fn stage_name(&self) -> &str {
        &self.settings.stage_name
    }

    /// Whether the definition itself says where the plugin belongs.
    pub fn names_plugin(&self, plugin: &str) -> bool {
        let attached = |names: &[String]| names.iter().any(|name| name == plugin);
        let added = self.settings.authorizer_of_all.as_deref() == Some(plugin)
            || attached(&self.settings.transformers);
        !added
            && self.plugins.iter().any(|wanted| match wanted {
                PluginUse::Authorizer(name) | PluginUse::Transformer(name) => name == plugin,
            })
    }

    /// The stage to publish. A published stage is given away, so each publication compiles
    /// again; that costs microseconds a method.
    pub fn stage(&self) -> Result<CompiledStage, DefinitionError> {
        compile(&self.api, &self.settings).map(|compiled| compiled.stage).map_err(|error| {
            DefinitionError { file: self.file.clone(), line: None, problem: error.to_string() }
        })
    }

    /// Each method, as path, method and integration type (`none` where it has none), in the
    /// definition's order.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &'static str, &'static str)> {
        self.api.resources.iter().flat_map(|(path, resource)| {
            resource.methods.iter().map(move |(http_method, method)| {
                let integration =
                    method.integration.as_ref().map_or("none", |it| it.integration_type.as_str());
                (path.as_str(), http_method.as_str(), integration)
            })
        })
    }

    /// Whether there is such a method.
    pub fn has_method(&self, http_method: HttpMethod, path: &str) -> bool {
        let resource = self.api.resources.get(path);
        resource.is_some_and(|resource| resource.methods.contains_key(&http_method))
    }

    /// The methods that want an API key, as in `GET /pets`.
    pub fn methods_with_api_key(&self) -> impl Iterator<Item = String> {
        self.api.resources.iter().flat_map(|(path, resource)| {
            let methods = resource.methods.iter().filter(|(_, method)| method.api_key_required);
            methods.map(move |(http_method, _)| format!("{http_method} {path}"))
        })
    }

    /// `7 methods on 3 paths: 4 MOCK, 3 HTTP_PROXY`.
    pub fn summary(&self) -> String {
        let by_type = self.integrations();
        let methods: usize = by_type.values().sum();
        let paths =
            self.api.resources.values().filter(|resource| !resource.methods.is_empty()).count();
        let mut summary = format!("{} on {}", counted(methods, "method"), counted(paths, "path"));
        for (index, (integration, number)) in by_type.iter().enumerate() {
            summary.push_str(if index == 0 { ": " } else { ", " });
            summary.push_str(&format!("{number} {integration}"));
        }
        summary
    }

    /// What was found, as `tollgate check --output json` prints it.
    pub fn to_json(&self) -> Value {
        let paths: Vec<Value> = self
            .api
            .resources
            .iter()
            .filter(|(_, resource)| !resource.methods.is_empty())
            .map(|(path, _)| {
                let methods: Vec<Value> = self
                    .methods()
                    .filter(|(of, ..)| of == path)
                    .map(|(_, method, integration)| json!({"method": method, "integration": integration}))
                    .collect();
                json!({"path": path, "methods": methods})
            })
            .collect();
        json!({
            "file": self.file,
            "api_id": self.api_id().0,
            "name": self.api.name,
            "protocol": match self.api.protocol { Protocol::Rest => "REST", Protocol::Http => "HTTP" },
            "endpoint_type": match self.api.endpoint_type {
                EndpointType::Edge => "EDGE",
                EndpointType::Regional => "REGIONAL",
                EndpointType::Private => "PRIVATE",
            },
            "stage": self.stage_name(),
            "paths": paths,
            "integrations": self.integrations(),
            "warnings": self.warnings.iter().map(Warning::to_json).collect::<Vec<_>>(),
        })
    }

    fn integrations(&self) -> BTreeMap<&'static str, usize> {
        let mut by_type = BTreeMap::new();
        for (_, _, integration) in self.methods() {
            *by_type.entry(integration).or_default() += 1;
        }
        by_type
    }
}

impl Warning {
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "line": self.line,
            "location": self.location,
            "construct": self.construct,
            "message": self.message,
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.file.display(), Line(self.line))?;
        for part in [&self.location, &self.construct, &self.message] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        Ok(())
    }
}

/// An API id that stays the same for the same file: 10 characters of `[a-z0-9]`.
pub fn generated_api_id(path: &Path) -> ApiId {
    use std::os::unix::ffi::OsStrExt;
    ApiId(short_hash(path.as_os_str().as_bytes(), 10))
}

/// An operating system's reason without its number: `No such file or directory`.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// `1 method`, `2 methods`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// FNV-1a, since ids must not change with the compiler's or a library's hash.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn short_hash(bytes: &[u8], length: usize) -> String {
    let mut hash = stable_hash(bytes);
    (0..length)
        .map(|_| {
            let digit = b"abcdefghijklmnopqrstuvwxyz0123456789"[(hash % 36) as usize];
            hash /= 36;
            char::from(digit)
        })
        .collect()
}

pub fn places(places: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = places[..places.len().min(SHOWN)].join(", ");
    if places.len() > SHOWN {
        text.push_str(&format!(" and {} more", places.len() - SHOWN));
    }
    text
}

/// The plugins that a stage asks for.
pub fn plugins(stage: &CompiledStage) -> BTreeSet<PluginUse> {
    let authorizers = stage.authorizers.iter().map(|it| PluginUse::Authorizer(it.plugin.clone()));
    let transformers = stage
        .methods
        .iter()
        .flat_map(|method| method.transformers.iter())
        .map(|name| PluginUse::Transformer(name.clone()));
    authorizers.chain(transformers).collect()
}

/// The VPC links that a stage's backends are behind.
pub fn vpc_links(stage: &CompiledStage) -> BTreeSet<String> {
    let fixed = stage.upstreams.iter().map(|upstream| &upstream.connection);
    let dynamic = stage.methods.iter().filter_map(|method| match &method.integration {
        CompiledIntegration::HttpProxy(http) | CompiledIntegration::Http { http, .. } => {
            match &http.target {
                Target::Dynamic { connection, .. } => Some(connection),
                Target::Fixed(_) => None,
            }
        }
        _ => None,
    });
    fixed
        .chain(dynamic)
        .filter_map(|connection| match connection {
            UpstreamConnection::VpcLink(id) => Some(id.clone()),
            UpstreamConnection::Internet => None,
        })
        .collect()
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_id_depends_on_the_path_only() {
        let id = generated_api_id(Path::new("/srv/petstore.yaml"));
        assert_eq!(id, generated_api_id(Path::new("/srv/petstore.yaml")));
        assert_ne!(id, generated_api_id(Path::new("/srv/orders.yaml")));
        assert!(crate::config::values::api_id(&id.0).is_ok(), "{id}");
    }

    #[test]
    fn a_missing_file_is_one_line_without_numbers() {
        let error = load(&source("/nowhere/pets.yaml".as_ref())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/nowhere/pets.yaml: cannot be read: No such file or directory"
        );
    }

    #[test]
    fn a_definition_says_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        std::fs::write(&file, PETS).unwrap();
        let definition = load(&source(&file)).unwrap();
        assert_eq!(definition.api.name, "Pets");
        assert_eq!(definition.summary(), "3 methods on 2 paths: 1 HTTP_PROXY, 2 MOCK");
        let json = definition.to_json();
        assert_eq!(json["integrations"], json!({"HTTP_PROXY": 1, "MOCK": 2}));
        assert_eq!(json["paths"][0]["path"], "/pets");
        assert!(definition.stage().is_ok());
    }

    #[test]
    fn name_and_description_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        std::fs::write(&file, PETS).unwrap();
        let renamed = Source {
            name: Some("Mine".to_owned()),
            description: Some("Text".to_owned()),
            ..source(&file)
        };
        let definition = load(&renamed).unwrap();
        assert_eq!(definition.api.name, "Mine");
        assert_eq!(definition.stage().unwrap().api_name, "Mine");
        assert_eq!(definition.api.description.as_deref(), Some("Text"));
    }

    #[test]
    fn a_broken_definition_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        std::fs::write(&file, "openapi: 3.0.1\npaths: [\n").unwrap();
        let message = load(&source(&file)).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}:", file.display())), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn long_lists_of_places_are_cut() {
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(places(&names), "a, b, c and 2 more");
        assert_eq!(places(&names[..1]), "a");
    }

    const PETS: &str = r#"
openapi: 3.0.1
info: {title: Pets, version: "1"}
paths:
  /pets:
    get:
      responses: {"200": {description: ok}}
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses: {default: {statusCode: "200"}}
    post:
      responses: {"200": {description: ok}}
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses: {default: {statusCode: "200"}}
  /echo:
    get:
      responses: {"200": {description: ok}}
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: "http://127.0.0.1:1/"}
"#;

    fn source(file: &Path) -> Source {
        Source {
            file: file.to_owned(),
            api_id: ApiId("petstore01".to_owned()),
            name: None,
            description: None,
            stage: "dev".to_owned(),
            stage_variables: BTreeMap::new(),
            parameters: BTreeMap::new(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            maximum_integration_timeout: MAXIMUM_INTEGRATION_TIMEOUT,
            attached: Attached::default(),
        }
    }
}
