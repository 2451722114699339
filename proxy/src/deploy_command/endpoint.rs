//! Where the management API is, and who asks it: options first, then the environment, by the
//! names that the AWS tools know.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use http::Uri;
use http::uri::{Authority, Scheme};
use tollgate_auth::sigv4::SecretKey;

use crate::cli::deploy::EndpointArgs;
use crate::config::values;

const DEFAULT_URL: &str = "http://127.0.0.1:9081";
const DEFAULT_REGION: &str = "us-east-1";

/// A management API.
#[derive(Debug)]
pub struct Endpoint {
    pub url: String,
    pub tls: bool,
    /// As `Host` has it.
    pub authority: Authority,
    /// What comes before the operations' paths, without a `/` at its end.
    pub path: String,
    pub region: String,
    pub ca_file: Option<PathBuf>,
    /// `None`: requests aren't signed, which only a loopback listener takes.
    pub credentials: Option<Credentials>,
}

/// An access key.
#[derive(Debug)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret: SecretKey,
    pub session_token: Option<String>,
}

impl Endpoint {
    /// `variable` gives the environment's variables. An empty one is none.
    pub fn new(
        args: &EndpointArgs,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let url = args
            .endpoint_url
            .clone()
            .or_else(|| variable("AWS_ENDPOINT_URL_API_GATEWAY"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| DEFAULT_URL.to_owned());
        let region = match &args.region {
            Some(region) => region.clone(),
            None => match variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
                Some(region) => values::region(&region)
                    .map_err(anyhow::Error::msg)
                    .context("environment variable AWS_REGION or AWS_DEFAULT_REGION")?,
                None => DEFAULT_REGION.to_owned(),
            },
        };
        let ca_file = args.ca_file.clone().or_else(|| variable("AWS_CA_BUNDLE").map(PathBuf::from));
        let (tls, authority, path) = parse(&url).with_context(|| {
            format!("{url:?} is no endpoint; allowed: a URL such as {DEFAULT_URL}")
        })?;
        let credentials = credentials(&variable)?;
        ensure!(
            credentials.is_some() || is_loopback(&authority),
            "{url}: needs an access key; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
        );
        Ok(Self { url, tls, authority, path, region, ca_file, credentials })
    }

    /// Without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        bare(&self.authority)
    }

    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }
}

fn parse(url: &str) -> Option<(bool, Authority, String)> {
    let parts = url.parse::<Uri>().ok()?.into_parts();
    let scheme = parts.scheme?;
    if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
        return None;
    }
    let authority = parts.authority.filter(|it| !it.as_str().contains('@'))?;
    let path = parts.path_and_query.filter(|it| it.query().is_none())?;
    Some((scheme == Scheme::HTTPS, authority, path.path().trim_end_matches('/').to_owned()))
}

fn credentials(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Credentials>> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let (access_key_id, secret) = match (variable(ID), variable(SECRET)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => bail!("{ID} is set, {SECRET} is not; allowed: both or neither"),
        (None, Some(_)) => bail!("{SECRET} is set, {ID} is not; allowed: both or neither"),
    };
    let secret = SecretKey::new(&secret);
    Ok(Some(Credentials { access_key_id, secret, session_token: variable("AWS_SESSION_TOKEN") }))
}

fn is_loopback(authority: &Authority) -> bool {
    let host = bare(authority);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn bare(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_comes_before_the_environment() {
        let environment = [
            ("AWS_ENDPOINT_URL_API_GATEWAY", "https://gateway.internal/apis/"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE00001"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let found = endpoint(None, &environment).unwrap();
        assert_eq!((found.tls, found.host(), found.port()), (true, "gateway.internal", 443));
        assert_eq!((&*found.path, &*found.region), ("/apis", "eu-central-1"));
        assert!(!format!("{found:?}").contains("secret\""), "{found:?}");

        let typed = endpoint(Some("http://[::1]:9081"), &environment).unwrap();
        assert_eq!((typed.tls, typed.host(), typed.port()), (false, "::1", 9081));
        assert_eq!(endpoint(None, &[]).unwrap().url, DEFAULT_URL);
        assert_eq!(endpoint(None, &[("AWS_ENDPOINT_URL", "")]).unwrap().region, DEFAULT_REGION);
        let general = endpoint(None, &environment[1..]).unwrap();
        assert_eq!(general.url, "http://127.0.0.1:1");
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_is_sent() {
        let id = ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE00001");
        for (url, environment, message) in [
            ("127.0.0.1:9081", &[][..], "allowed: a URL"),
            ("ftp://127.0.0.1", &[], "allowed: a URL"),
            ("http://user@127.0.0.1", &[], "allowed: a URL"),
            ("http://127.0.0.1?x", &[], "allowed: a URL"),
            ("http://10.0.0.7:9081", &[], "needs an access key"),
            ("http://localhost:9081", &[id], "AWS_SECRET_ACCESS_KEY is not; allowed: both"),
            ("http://localhost:9081", &[("AWS_REGION", "US East")], "AWS_DEFAULT_REGION"),
        ] {
            let error = format!("{:#}", endpoint(Some(url), environment).unwrap_err());
            assert!(error.contains(message), "{url}: {error}");
        }
    }

    fn endpoint(url: Option<&str>, environment: &[(&str, &str)]) -> anyhow::Result<Endpoint> {
        let args =
            EndpointArgs { endpoint_url: url.map(str::to_owned), region: None, ca_file: None };
        Endpoint::new(&args, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }
}
