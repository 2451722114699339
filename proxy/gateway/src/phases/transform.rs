//! Transformers: plugins that change the request before it is validated and mapped, and the
//! gateway's own answers before they are compressed. Responses that pass through, and bodies
//! that stream, meet them in [`crate::transformation`].

use std::sync::Arc;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledIntegration;
use tollgate_plugin_host::{BodyNeed, Transformation};

use super::request_body::{self, BodyReader};
use crate::exchange::Exchange;
use crate::head::{Framing, Known, RequestHead};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request_info;
use crate::respond::{self, LocalResponse};
use crate::snapshot::AttachedTransformers;
use crate::transformation::{
    self, BackendRequest, Side, Transforming, heads, response_status, settle, write_request_back,
};

/// Whether the method has transformers.
pub fn is_needed(exchange: &Exchange) -> bool {
    let (Some(stage), Some(route)) = (&exchange.stage, exchange.route) else { return false };
    !matches!(stage.transformers(route.method), AttachedTransformers::None)
}

/// Takes the request through the method's transformers: its head, and its body unless that
/// streams. `body` is there if it was read already. Gives the body if it was read.
pub async fn request(
    limits: &Limits,
    head: &mut RequestHead,
    exchange: &mut Exchange,
    body: Option<Vec<u8>>,
    reader: &mut impl BodyReader,
) -> Result<Option<Vec<u8>>, Refusal> {
    let transformation = begin(head, exchange)?;
    let empty = match &body {
        Some(body) => body.is_empty(),
        None => matches!(head.framing, Framing::None | Framing::Length(0)),
    };
    settle(transformation.request_headers(empty).await, Side::Request)?;
    let body = match (transformation.request_body_need(), body) {
        (BodyNeed::None, body) => body,
        (BodyNeed::Streamed, None) if streams(head, exchange) => {
            if let Some(transforming) = &mut exchange.transformation {
                transforming.request_body = true;
            }
            None
        }
        (_, Some(body)) => Some(whole_body(&transformation, body).await?),
        (_, None) => {
            let body = reader.read(limits, head).await?;
            Some(whole_body(&transformation, body).await?)
        }
    };
    write_request_back(head, exchange)?;
    Ok(body)
}

fn begin(head: &RequestHead, exchange: &mut Exchange) -> Result<Arc<Transformation>, Refusal> {
    let (Some(stage), Some(route)) = (&exchange.stage, exchange.route) else {
        return Err(Refusal::NotLocated);
    };
    let attached = match stage.transformers(route.method) {
        AttachedTransformers::None => &[],
        AttachedTransformers::All(attached) => &**attached,
        AttachedTransformers::Missing(name) => {
            return Err(Refusal::caused(
                GatewayResponseType::ApiConfigurationError,
                format!("the plugin {name} is not loaded"),
            ));
        }
    };
    let http = request_info::http(head, exchange);
    if head.known(Known::ContentEncoding).is_some() {
        // They see the body decoded.
        http.state.lock().request_headers.remove(b"content-encoding");
    }
    let transformation = Arc::new(Transformation::new(http, attached));
    exchange.transformation = Some(Transforming {
        transformation: transformation.clone(),
        request_body: false,
        to_head: head.method() == b"HEAD",
        backend: BackendRequest::default(),
        compression: super::response_compression(head, exchange),
    });
    Ok(transformation)
}

/// Whether the body goes to the backend in pieces.
fn streams(head: &RequestHead, exchange: &Exchange) -> bool {
    let small = head.framing == Framing::None || transformation::is_small(head.framing);
    let Some(method) = exchange.method() else { return false };
    match &method.integration {
        CompiledIntegration::HttpProxy(http) => {
            !small && !request_body::is_needed(head, exchange, method, http)
        }
        _ => false,
    }
}

async fn whole_body(
    transformation: &Transformation,
    mut body: Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    transformation.http().state.lock().request_size = body.len() as u64;
    settle(transformation.request_body(&mut body, true).await, Side::Request)?;
    Ok(body)
}

/// Takes a body through the transformers that was to stream and had to be read whole after all.
pub async fn late_body(exchange: &Exchange, body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    match transformation::of_request_body(exchange) {
        None => Ok(body),
        Some(transformation) => Box::pin(whole_body(&transformation, body)).await,
    }
}

/// Takes an answer of the gateway's own through the transformers.
pub async fn response(
    exchange: &Exchange,
    response: LocalResponse,
) -> Result<LocalResponse, Refusal> {
    match &exchange.transformation {
        None => Ok(response),
        Some(transforming) => {
            Box::pin(transform_response(&transforming.transformation, response)).await
        }
    }
}

async fn transform_response(
    transformation: &Transformation,
    mut response: LocalResponse,
) -> Result<LocalResponse, Refusal> {
    let http = transformation.http();
    heads::read_local(&response, &mut http.state.lock().response_headers);
    let bodiless = matches!(response.status, 204 | 304);
    let empty = bodiless || response.body.is_empty();
    settle(transformation.response_headers(empty).await, Side::Response)?;
    if !bodiless && transformation.response_body_need() != BodyNeed::None {
        http.state.lock().response_size = response.body.len() as u64;
        let verdict = transformation.response_body(&mut response.body, true).await;
        settle(verdict, Side::Response)?;
    }
    let mut state = http.state.lock();
    if state.response_headers.is_modified() {
        response.status = response_status(&state.response_headers)?;
        heads::write_local(&mut response, &state.response_headers);
    }
    state.response_sent = true;
    Ok(response)
}

/// The answer to a refused request, on its way through the transformers that saw the request.
/// None: the client gets no answer.
pub async fn refusal(
    head: &RequestHead,
    exchange: &mut Exchange,
    refusal: Refusal,
) -> Option<LocalResponse> {
    let mut refusal = refusal;
    // Each round has fewer transformers ahead: one that answers or fails is behind the next.
    loop {
        if matches!(refusal, Refusal::Reset) {
            exchange.refusal = Some(refusal);
            return None;
        }
        let answer = respond::refusal(head, exchange, refusal);
        match response(exchange, answer).await {
            Ok(answer) => return Some(answer),
            Err(other) => refusal = other,
        }
    }
}
