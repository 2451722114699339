//! Every imported function but those of `fetch`.

use std::sync::Arc;

use super::guest::Guest;
use super::host::{answered, ask, authorizer, context, http, lines, load_authorizer, output};
use crate::component::TransformerPlugin;
use crate::config::{Isolation, PluginSettings};
use crate::{AuthorizerCall, AuthorizerDecision, BodyNeed, ErrorKind, limits};

const AT: &str = "(i32.const 512)";

async fn says(body: &str) -> String {
    output(&authorizer(PluginSettings::default(), Guest::running(body))).await.unwrap()
}

/// Each line is what a function gave.
async fn all_say(calls: &[String], expected: &[&str]) {
    let said = says(&calls.join(" (call $line) ")).await;
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

fn text(function: &str) -> String {
    format!("(call ${function} {AT}) (call $text)")
}

fn optional(function: &str, argument: &str) -> String {
    format!("(call ${function} {{{argument}}} {AT}) (call $optional)")
}

#[tokio::test]
async fn request_tells_of_the_request() {
    let calls = [
        text("request.method"),
        text("request.path"),
        text("request.query-string"),
        text("request.resource"),
        text("request.stage"),
        text("request.api-id"),
        text("request.request-id"),
        text("request.method-arn"),
        text("request.source-address"),
        "(call $number (i64.extend_i32_u (call $request.is-tls)))".to_owned(),
        optional("request.context", "identity.sourceIp"),
        optional("request.context", "no.such"),
        format!("(call $request.body {AT}) (call $optional)"),
    ];
    let expected = [
        "GET",
        "/prod/pets/7",
        "a=1%2B1&b=x+y&a=2&flag",
        "/pets/{id}",
        "prod",
        "api1",
        "request-1",
        "arn:aws:execute-api:eu-west-1:123456789012:api1/prod/GET/pets/7",
        "192.0.2.1",
        "1",
        "192.0.2.1",
        "-",
        "-",
    ];
    all_say(&calls, &expected).await;
}

#[tokio::test]
async fn headers_are_read_without_case_and_bad_bytes_replaced() {
    let calls = [
        optional("request.header", "X-KEY"),
        optional("request.header", "x-raw"),
        optional("request.header", "accept"),
        optional("request.header", "Host"),
        optional("request.header", ":path"),
        optional("request.header", "no"),
        format!("(call $request.header-values {{Accept}} {AT}) (call $texts)"),
        format!("(call $request.header-values {{host}} {AT}) (call $texts)"),
        format!("(call $request.header-values {{no}} {AT}) (call $texts)"),
        format!("(call $request.headers {AT}) (call $pairs)"),
    ];
    let expected = [
        "secret",
        "caf\u{fffd}",
        "text/plain",
        "api.example",
        "-",
        "-",
        "text/plain;text/html;",
        "api.example;",
        "",
        "host=api.example;x-key=secret;accept=text/plain;accept=text/html;x-raw=caf\u{fffd};",
    ];
    all_say(&calls, &expected).await;
}

#[tokio::test]
async fn parameters_and_variables_are_decoded() {
    let calls = [
        optional("request.query-parameter", "a"),
        optional("request.query-parameter", "b"),
        optional("request.query-parameter", "flag"),
        optional("request.query-parameter", "c"),
        format!("(call $request.query-parameters {AT}) (call $pairs)"),
        optional("request.path-parameter", "id"),
        optional("request.path-parameter", "no"),
        format!("(call $request.path-parameters {AT}) (call $pairs)"),
        optional("request.stage-variable", "colour"),
        optional("request.stage-variable", "no"),
        format!("(call $request.stage-variables {AT}) (call $pairs)"),
    ];
    let expected = [
        "1+1",
        "x y",
        "",
        "-",
        "a=1+1;b=x y;a=2;flag=;",
        "7",
        "-",
        "id=7;kind=cat;",
        "green",
        "-",
        "colour=green;",
    ];
    all_say(&calls, &expected).await;
}

#[tokio::test]
async fn a_client_certificate_has_all_its_fields() {
    let field = |at: u32| {
        format!("(call $put (i32.load (i32.const {at})) (i32.load (i32.const {})))", at + 4)
    };
    let fields = (0..6).map(|number| field(516 + 8 * number)).collect::<Vec<_>>();
    let said = says(&format!(
        "(call $request.client-certificate {AT})
         (call $number (i64.load8_u {AT})) {}",
        fields.join(" (call $line)")
    ))
    .await;
    let expected = [
        "1PEM",
        "CN=client",
        "CN=ca",
        "1a",
        "May 28 12:30:02 2019 GMT",
        "Aug  5 09:36:04 2021 GMT",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_authorizer_gets_the_body_that_is_asked_for() {
    let guest = Guest::running(&format!("(call $request.body {AT}) (call $optional)"));
    let plugin = authorizer(PluginSettings::default(), guest);
    let ask = async |body: Option<&[u8]>| {
        let call = AuthorizerCall { http: http(), body: body.map(<[u8]>::to_vec) };
        match plugin.authorize(call).await.unwrap() {
            AuthorizerDecision::Allow { principal_id, .. } => principal_id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(Some(b"the body")).await, "the body");
    assert_eq!(ask(None).await, "-", "that of an earlier request is gone");
}

/// A transformer's guest can't return text: it sets it as the exchange's value `out`.
async fn response_says(body: &str) -> String {
    let body = format!(
        "{body} (drop (call $exchange.set {{out}} (i32.const 32768)
           (i32.sub (global.get $out) (i32.const 32768)))) (i32.const 0)"
    );
    let guest = Guest::transformer().export("on-response", &body);
    let context = context(PluginSettings::default());
    let component = super::host::component(&context, &guest.build());
    let plugin = TransformerPlugin::new(context, &component).unwrap();
    let http = answered();
    plugin.stream(http.clone()).response_headers(false).await.unwrap();
    let state = http.state.lock();
    let (_, value) = state.values.iter().find(|(key, _)| **key == *b"out").unwrap();
    String::from_utf8_lossy(value).into_owned()
}

#[tokio::test]
async fn response_tells_of_the_response() {
    let calls = [
        "(call $number (i64.extend_i32_u (call $response.status)))".to_owned(),
        optional("response.header", "Set-Cookie"),
        optional("response.header", ":status"),
        format!("(call $response.header-values {{set-cookie}} {AT}) (call $texts)"),
        format!("(call $response.headers {AT}) (call $pairs)"),
        optional("request.header", "x-key"),
    ];
    let said = response_says(&calls.join(" (call $line) ")).await;
    let expected = ["404", "a=1", "-", "a=1;b=2;", "set-cookie=a=1;set-cookie=b=2;", "secret"];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn there_is_no_status_before_the_response() {
    let guest = Guest::transformer()
        .export("on-request", "(if (call $response.status) (then unreachable)) (i32.const 0)");
    let context = context(PluginSettings::default());
    let component = super::host::component(&context, &guest.build());
    let stream = TransformerPlugin::new(context, &component).unwrap().stream(http());
    stream.request_headers(true).await.unwrap();
    assert_eq!(stream.request_body_need(), BodyNeed::None);
    assert_eq!(lines(&http().state.lock().response_headers), [""; 0]);
}

#[tokio::test]
async fn values_stay_with_the_exchange_and_have_a_bound() {
    let calls = [
        "(drop (call $exchange.set {a} {one}))".to_owned(),
        "(drop (call $exchange.set {a} {two}))".to_owned(),
        optional("exchange.get", "a"),
        optional("exchange.get", "b"),
        format!(
            "(call $number (i64.extend_i32_u (call $exchange.set {{a}} (i32.const 0) (i32.const {}))))",
            limits::EXCHANGE_VALUES
        ),
        format!(
            "(call $number (i64.extend_i32_u (call $exchange.set {{a}} (i32.const 0) (i32.const {}))))",
            limits::EXCHANGE_VALUES - 1
        ),
        "(call $number (i64.extend_i32_u (call $exchange.set {b} (i32.const 0) (i32.const 0))))"
            .to_owned(),
    ];
    all_say(&calls, &["", "", "two", "-", "0", "1", "0"]).await;
}

#[tokio::test]
async fn the_configuration_is_what_the_operator_wrote() {
    let settings =
        PluginSettings { configuration: b"{\"a\":1}".to_vec(), ..PluginSettings::default() };
    let guest = Guest::running(&text("configuration.get"));
    assert_eq!(output(&authorizer(settings, guest)).await.unwrap(), "{\"a\":1}");
    assert_eq!(says(&text("configuration.get")).await, "");
}

#[tokio::test]
async fn the_configuration_can_be_read_while_the_instance_starts() {
    let settings = PluginSettings { configuration: b"now".to_vec(), ..PluginSettings::default() };
    let start = "(func (export \"_initialize\")
                   (call $configuration.get (i32.const 512)) (call $text))";
    let plugin = authorizer(settings, Guest::running("").with(start));
    assert_eq!(output(&plugin).await.unwrap(), "now");
}

#[test]
fn there_is_no_request_while_the_instance_starts() {
    let start = "(func (export \"_initialize\") (call $request.method (i32.const 512)))";
    let context = context(PluginSettings::default());
    let error = load_authorizer(&context, Guest::running("").with(start)).err().unwrap();
    assert_eq!(error.message, "can't start: there is no request while an instance starts");
    assert_eq!(error.kind, ErrorKind::Start);
}

#[tokio::test]
async fn clocks_go_forward() {
    let said = says(
        "(call $number (call $clock.now)) (call $line)
         (call $number (i64.extend_i32_u (i64.le_u (call $clock.monotonic) (call $clock.monotonic))))",
    )
    .await;
    let (now, forward) = said.split_once('\n').unwrap();
    assert!(now.parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
    assert_eq!(forward, "1");
}

#[tokio::test]
async fn random_bytes_differ_and_have_a_bound() {
    let random = format!("(call $random.bytes (i32.const 16) {AT}) (call $text)");
    let guest = Guest::running(&random.replace("$text", "$hexadecimal")).with(
        "(func $hexadecimal (local $at i32)
           (loop $next
             (call $number (i64.load8_u (i32.add (i32.load (i32.const 512)) (local.get $at))))
             (call $byte (i32.const 32))
             (local.set $at (i32.add (local.get $at) (i32.const 1)))
             (br_if $next (i32.lt_u (local.get $at) (i32.load (i32.const 516))))))",
    );
    let plugin = authorizer(PluginSettings::default(), guest);
    let (one, other) = (output(&plugin).await.unwrap(), output(&plugin).await.unwrap());
    assert_eq!(one.split_whitespace().count(), 16);
    assert_ne!(one, other);
    let number = says("(call $number (call $random.number))").await;
    assert_ne!(number, says("(call $number (call $random.number))").await);

    let ask_for = async |bytes: u32| {
        let body = format!("(call $random.bytes (i32.const {bytes}) {AT})");
        ask(&authorizer(PluginSettings::default(), Guest::running(&body))).await
    };
    ask_for(limits::RANDOM).await.unwrap();
    let error = ask_for(limits::RANDOM + 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Trap);
    assert_eq!(error.message, "65537 random bytes; allowed: up to 65536");
}

/// `set`, or `compare-and-swap` with a version, of `key`; says the new version or the error.
fn write(call: &str) -> String {
    format!(
        "{call}
         (if (i32.load8_u (i32.const 512))
           (then
             (call $byte (i32.add (i32.const 97) (i32.load8_u (i32.const 520))))
             (if (i32.eq (i32.load8_u (i32.const 520)) (i32.const 1))
               (then (call $number (i64.load (i32.const 528))))))
           (else (call $number (i64.load (i32.const 520)))))"
    )
}

#[tokio::test]
async fn key_value_has_versions_swaps_and_deletes() {
    let forever = "(i32.const 0) (i64.const 0)";
    let get = "(call $key-value.get {k} (i32.const 512))
        (if (i32.load8_u (i32.const 512))
          (then
            (call $put (i32.load (i32.const 520)) (i32.load (i32.const 524)))
            (call $number (i64.load (i32.const 528))))
          (else (call $byte (i32.const 45))))";
    let swap = |version: u32, value: &str| {
        write(&format!(
            "(call $key-value.compare-and-swap {{k}} (i64.const {version}) {{{value}}} {forever} {AT})"
        ))
    };
    let calls = [
        get.to_owned(),
        swap(7, "early"),
        swap(0, "one"),
        swap(0, "again"),
        get.to_owned(),
        swap(1, "two"),
        write(&format!("(call $key-value.set {{k}} {{three}} {forever} {AT})")),
        get.to_owned(),
        "(call $number (i64.extend_i32_u (call $key-value.delete {k})))".to_owned(),
        "(call $number (i64.extend_i32_u (call $key-value.delete {k})))".to_owned(),
        write(&format!(
            "(call $key-value.set {{k}} (i32.const 0) (i32.const 65536) {forever} {AT})"
        )),
        write(&format!("(call $key-value.set {{k}} {{x}} (i32.const 1) (i64.const 0) {AT})")),
        get.to_owned(),
    ];
    let expected = ["-", "b0", "1", "b1", "one1", "2", "3", "three3", "1", "0", "a", "4", "-"];
    let mut settings = PluginSettings::default();
    settings.limits.shared_data = 65536;
    let plugin = authorizer(settings, Guest::running(&calls.join(" (call $line) ")));
    let said = output(&plugin).await.unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn key_value_is_shared_by_all_instances_of_a_plugin() {
    let guest = || {
        Guest::running(&write(
            "(call $key-value.set {k} {v} (i32.const 0) (i64.const 0) (i32.const 512))",
        ))
    };
    let settings = PluginSettings { isolation: Isolation::PerRequest, ..PluginSettings::default() };
    let context = context(settings);
    let plugins =
        [load_authorizer(&context, guest()).unwrap(), load_authorizer(&context, guest()).unwrap()];
    let mut said = Vec::new();
    for plugin in [&plugins[0], &plugins[0], &plugins[1]] {
        said.push(output(plugin).await.unwrap());
    }
    assert_eq!(said, ["1", "2", "3"]);
}

#[derive(Clone, Default)]
struct Lines(Arc<parking_lot::Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if !event.metadata().target().ends_with("::log") {
            return;
        }
        let mut fields = Fields(vec![event.metadata().level().to_string()]);
        event.record(&mut fields);
        self.0.lock().push(fields.0.join(" "));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Fields(Vec<String>);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push(format!("{field}={value:?}"));
    }
}

/// The lines that a guest logs, and what it puts out.
pub(super) fn logged_by(settings: PluginSettings, guest: Guest) -> (Vec<String>, String) {
    let lines = Lines::default();
    let said = tracing::subscriber::with_default(lines.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(output(&authorizer(settings, guest))).unwrap()
    });
    let lines = std::mem::take(&mut *lines.0.lock());
    (lines, said)
}

fn log(level: u32, message: &str, fields: &str) -> String {
    format!("(call $log.log (i32.const {level}) {message} {fields})")
}

#[test]
fn lines_go_to_the_log_with_level_plugin_and_request() {
    let none = "(i32.const 0) (i32.const 0)";
    let field = "(i32.const 600) (i32.const 1)";
    let body = [
        // key "id" and value "7" as a list of one pair at 600
        "(i32.store16 (i32.const 640) (i32.const 0x6469)) (i32.store8 (i32.const 642) (i32.const 55))
         (i32.store (i32.const 600) (i32.const 640)) (i32.store (i32.const 604) (i32.const 2))
         (i32.store (i32.const 608) (i32.const 642)) (i32.store (i32.const 612) (i32.const 1))"
            .to_owned(),
        log(0, "{trace}", none),
        log(1, "{debug}", none),
        log(2, "{info}", field),
        log(3, "{warn}", none),
        log(4, "{error}", none),
        "(call $number (i64.extend_i32_u (call $log.enabled (i32.const 1))))".to_owned(),
        "(call $number (i64.extend_i32_u (call $log.enabled (i32.const 2))))".to_owned(),
    ];
    let (lines, said) = logged_by(PluginSettings::default(), Guest::running(&body.concat()));
    let line = |level: &str, text: &str| {
        format!("{level} message={text} plugin=\"guest\" request_id=\"request-1\"")
    };
    let expected = [line("INFO", "info id=7"), line("WARN", "warn"), line("ERROR", "error")];
    assert_eq!(lines, expected);
    assert_eq!(said, "01");
}

#[test]
fn a_flood_of_lines_and_a_giant_line_are_cut() {
    let none = "(i32.const 0) (i32.const 0)";
    let giant = log(2, "(i32.const 32768) (i32.const 30000)", none);
    let body = format!(
        "(memory.fill (i32.const 32768) (i32.const 120) (i32.const 30000)) {giant}
         (loop $again {} (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (global.get $n) (i32.const 500))))",
        log(2, "{line}", none)
    );
    let guest = Guest::running(&body).with("(global $n (mut i32) (i32.const 0))");
    let (lines, _) = logged_by(PluginSettings::default(), guest);
    assert_eq!(lines.len(), limits::LOG_LINES);
    assert_eq!(lines[0].matches('x').count(), limits::LOG_LINE);
}
