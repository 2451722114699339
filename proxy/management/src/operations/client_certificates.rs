//! Client certificates, which stages show to their backends: GenerateClientCertificate,
//! GetClientCertificate, GetClientCertificates, UpdateClientCertificate, DeleteClientCertificate.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_GenerateClientCertificate.html>

use std::time::Duration;

use http::Method;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use tollgate_model::control_plane::{ClientCertificate, RestApi, Stage, Timestamp, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::names::{ID, keys};
use crate::operations::tags;
use crate::page;
use crate::patch::{Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "GenerateClientCertificate",
        method: Method::POST,
        uri: "/clientcertificates",
        status: 201,
        run: generate,
    },
    Operation {
        name: "GetClientCertificates",
        method: Method::GET,
        uri: "/clientcertificates",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetClientCertificate",
        method: Method::GET,
        uri: "/clientcertificates/{clientcertificate_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateClientCertificate",
        method: Method::PATCH,
        uri: "/clientcertificates/{clientcertificate_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteClientCertificate",
        method: Method::DELETE,
        uri: "/clientcertificates/{clientcertificate_id}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable = Patchable { replace: &["/description"], add: &[], remove: &[] };

/// 365 days (<https://docs.aws.amazon.com/apigateway/latest/developerguide/getting-started-client-side-ssl-authentication.html>).
const SECONDS_VALID: Timestamp = 365 * 86_400;

fn generate(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let description = input.text("description")?;
    let tags = tags::given(&input)?;
    let created_date = context.now();
    let expiration_date = created_date.saturating_add(SECONDS_VALID);
    let (certificate, key) = self_signed(created_date, expiration_date).map_err(|error| {
        tracing::error!(%error, "a client certificate can't be made");
        ApiError::new(ErrorKind::ServiceUnavailable, "The certificate can't be made.")
    })?;
    context.carry_out(|unit| {
        let certificate = ClientCertificate {
            client_certificate_id: unit.new_id(ID, keys::client_certificate)?,
            description: description.clone(),
            pem_encoded_certificate: certificate.clone(),
            created_date,
            expiration_date,
            tags: tags.clone(),
            private_key: Some(key.clone()),
        };
        unit.put(keys::client_certificate(&certificate.client_certificate_id), &certificate);
        Ok(Answer::Json(wire(&certificate)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let keep = |_: &ClientCertificate| true;
        page::list(call, unit, &keys::client_certificates(), keep, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(wire(&certificate(unit, call)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut certificate = certificate(unit, call)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            certificate.description = patch.optional_text();
        }
        unit.put(keys::client_certificate(&certificate.client_certificate_id), &certificate);
        Ok(Answer::Json(wire(&certificate)))
    })
}

/// AWS refuses one that a stage uses; the text is ours.
fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let id = certificate(unit, call)?.client_certificate_id;
        for api in unit.list::<RestApi>(&keys::rest_apis())? {
            let stages: Vec<Stage> = unit.list(&keys::of_api(&api.id, "stages"))?;
            let uses = |stage: &&Stage| stage.client_certificate_id.as_ref() == Some(&id);
            if let Some(stage) = stages.iter().find(uses) {
                return Err(ApiError::bad_request(format!(
                    "Cannot delete client certificate {id} because it is in use by stage {}:{}",
                    api.id, stage.stage_name
                )));
            }
        }
        unit.delete(keys::client_certificate(&id));
        Ok(Answer::Empty)
    })
}

fn certificate(unit: &mut Unit, call: &Call) -> Result<ClientCertificate, ApiError> {
    with_id(unit, call.part("clientcertificate_id"))
}

/// # Errors
/// There is none with that id, or the store can't be read.
pub(crate) fn with_id(unit: &mut Unit, id: &str) -> Result<ClientCertificate, ApiError> {
    let found = unit.get(&keys::client_certificate(id))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Client Certificate identifier specified"))
}

/// A certificate and its key, as PEM. It is no authority: backends trust it alone.
fn self_signed(from: Timestamp, to: Timestamp) -> Result<(String, String), rcgen::Error> {
    let moment = |seconds: Timestamp| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.unsigned_abs())
    };
    let mut parameters = CertificateParams::default();
    parameters.not_before = moment(from);
    parameters.not_after = moment(to);
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "ApiGateway");
    parameters.distinguished_name.push(DnType::OrganizationName, "Tollgate");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio_rustls::rustls;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tollgate_model::control_plane::ClientCertificate;

    use crate::keys;
    use crate::testing::{fixture, replace};

    #[test]
    fn a_certificate_is_valid_for_a_year_and_its_key_stays_here() {
        let fixture = fixture();
        let body = json!({"description": "for the warehouse", "tags": {"a": "b"}});
        let mut made = fixture.ok("POST", "/clientcertificates", body);
        let id = made["clientCertificateId"].as_str().unwrap().to_owned();
        assert_eq!(
            made["expirationDate"].as_i64().unwrap() - made["createdDate"].as_i64().unwrap(),
            365 * 86_400
        );
        assert!(!made.to_string().contains("PRIVATE"), "{made}");

        let read = |unit: &mut crate::unit::Unit| unit.get(&keys::client_certificate(&id));
        let kept: Option<ClientCertificate> = fixture.management.context.carry_out(read).unwrap();
        let kept = kept.unwrap();
        let chain = CertificateDer::pem_slice_iter(kept.pem_encoded_certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(kept.private_key.unwrap().as_bytes()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();

        let uri = format!("/clientcertificates/{id}");
        made["description"] = json!("other");
        assert_eq!(fixture.ok("PATCH", &uri, replace("/description", "other")), made);
        assert_eq!(fixture.ok("GET", &uri, Value::Null), made);
        let all = fixture.ok("GET", "/clientcertificates", Value::Null);
        assert_eq!(all, json!({"item": [made]}));
    }

    #[test]
    fn one_that_a_stage_uses_stays() {
        let fixture = fixture();
        let (api, _) = fixture.api();
        let made = fixture.ok("POST", "/clientcertificates", json!({}));
        let id = made["clientCertificateId"].as_str().unwrap();
        let uri = format!("/clientcertificates/{id}");
        let mut stage = json!({"stageName": "prod", "deploymentId": "d1", "createdDate": 1, "lastUpdatedDate": 1, "clientCertificateId": id});
        fixture.put(&api, "stages", "prod", stage.clone());
        assert_eq!(
            fixture.refused("DELETE", &uri, Value::Null),
            format!(
                "400 BadRequestException: Cannot delete client certificate {id} because it is in use by stage {api}:prod"
            )
        );
        stage["clientCertificateId"] = Value::Null;
        fixture.put(&api, "stages", "prod", stage);
        assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
        assert_eq!(
            fixture.refused("GET", &uri, Value::Null),
            "404 NotFoundException: Invalid Client Certificate identifier specified"
        );
    }
}
