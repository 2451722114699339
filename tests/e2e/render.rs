//! `tollgate render`: a mapping template by itself.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

/// Files of a rendering: `t.vtl`, `in.json` and `ctx.json`.
struct Rendering {
    folder: TempDir,
    arguments: Vec<String>,
}

impl Rendering {
    fn of(template: impl AsRef<[u8]>, input: impl AsRef<[u8]>) -> Self {
        let rendering = Self { folder: tempfile::tempdir().unwrap(), arguments: Vec::new() };
        let rendering = rendering.file("t.vtl", template).file("in.json", input);
        rendering.arguments(&["--template", "t.vtl", "--input", "in.json"])
    }

    fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
        self
    }

    fn context(self, bytes: impl AsRef<[u8]>) -> Self {
        self.file("ctx.json", bytes).arguments(&["--context", "ctx.json"])
    }

    fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().copied().map(str::to_owned));
        self
    }

    /// Instead of what was given before.
    fn argument(mut self, name: &str, value: &str) -> Self {
        let at = self.arguments.iter().position(|known| known == name).unwrap();
        self.arguments[at + 1] = value.to_owned();
        self
    }

    /// With a file of the folder as standard input.
    fn run_with(&self, standard_input: &str) -> Output {
        let path = self.folder.path().join(standard_input);
        Command::new(tollgate_tests::binary())
            .arg("render")
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(File::open(path).unwrap())
            .output()
            .unwrap()
    }

    fn run(&self) -> Output {
        self.run_with("in.json")
    }

    #[track_caller]
    fn assert_prints(&self, expected: &[u8]) {
        assert_prints(&self.run(), expected);
    }

    /// Asserts that it fails with one line, which starts like this, and prints nothing.
    #[track_caller]
    fn assert_fails(&self, expected: &str) {
        let output = self.run();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{stderr}");
        assert!(
            stderr.starts_with(expected)
                && stderr.lines().count() == 1
                && !stderr.contains("panicked"),
            "{stderr:?} does not start with {expected:?}"
        );
    }
}

#[track_caller]
fn assert_prints(output: &Output, expected: &[u8]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(expected),
        "{stderr}"
    );
    assert_eq!(output.stdout, expected, "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn the_output_is_the_templates_byte_for_byte() {
    for (template, input, expected) in [
        ("", "{}", ""),
        ("no newline", "{}", "no newline"),
        ("one\n\ntwo\n", "{}", "one\n\ntwo\n"),
        ("one\r\ntwo\r\n", "{}", "one\r\ntwo\r\n"),
        ("\u{feff}tab\t \0 \u{1f600}", "{}", "\u{feff}tab\t \0 \u{1f600}"),
        ("$input.json('$')", "{\"a\" : [1,  2]}\r\n", "{\"a\":[1,2]}"),
        ("$input.path('$.a')", r#"{"a": [{"b": 1}]}"#, r#"[{"b":1}]"#),
        ("$input.path('$.a')", r#"{"a": {"b": 1}}"#, "{b=1}"),
        ("<$input.body>", "line\r\n\n", "<line\r\n\n>"),
        ("$input.body", "", "{}"),
        ("[$unknown]", "{}", "[]"),
        ("#set($x = 1)\n#foreach($n in [1..3])$n#if($foreach.hasNext),#end#end", "", "1,2,3"),
    ] {
        Rendering::of(template, input).assert_prints(expected.as_bytes());
    }
}

#[test]
fn a_payload_that_is_not_utf_8_is_rendered_as_the_gateway_does() {
    Rendering::of("$input.body", b"a\xffb").assert_prints("a\u{fffd}b".as_bytes());
}

#[test]
fn every_part_of_the_context_file_can_be_read() {
    let context = json!({
        "params": {
            "path": { "id": "7", "both": "path" },
            "querystring": { "tag": ["a", "b"], "both": "querystring" },
            "header": { "X-Request-Id": "r-1", "accept": "*/*" },
        },
        "context": {
            "stage": "prod",
            "identity": { "sourceIp": "192.0.2.1" },
            "authorizer": { "claims": { "sub": "me" }, "number": 5 },
        },
        "stageVariables": { "backend": "a.example", "with-dash": "yes" },
        "variables": { "name": "Jo", "list": [1, "two"], "map": { "k": "v" } },
    })
    .to_string();
    for (template, expected) in [
        ("$input.params('id')", "7"),
        ("$input.params('both')", "path"),
        ("$input.params('tag')", "b"),
        ("$input.params().querystring.both", "querystring"),
        ("$input.params('X-Request-Id') $input.params('x-request-id')", "r-1 "),
        ("$input.params().header.get('accept')", "*/*"),
        ("$input.params().path", "{id=7, both=path}"),
        ("#foreach($name in $input.params().querystring.keySet())$name;#end", "tag;both;"),
        ("$input.params('none')", ""),
        ("$context.stage", "prod"),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$context.authorizer.claims.sub", "me"),
        ("$context.authorizer.number", "5"),
        ("$context.none$context.identity.none", ""),
        ("$stageVariables.backend", "a.example"),
        ("${stageVariables['with-dash']}", "yes"),
        ("$stageVariables.none", ""),
        ("$name $list[1] $map.k", "Jo two v"),
        ("$backend", ""),
    ] {
        Rendering::of(template, "{}").context(&context).assert_prints(expected.as_bytes());
    }
}

#[test]
fn without_a_context_file_nothing_is_known() {
    let template = "[$input.params('id')$context.stage$stageVariables.backend$name]";
    Rendering::of(template, "{}").assert_prints(b"[]");
    Rendering::of(template, "{}").context("{}").assert_prints(b"[]");
}

#[test]
fn errors_name_the_line_and_the_column() {
    for (template, expected) in [
        ("ok\n  #if($x == )\n#end", "t.vtl:2:"),
        ("#foreach($x in [1])\n", "t.vtl:"),
        ("ok\n\n $util.parseJson('{')", "t.vtl:3:"),
        ("\n#foreach($x in [1..1001])#end", "t.vtl:2:"),
        (
            "#set($context.responseOverride.status = 400)\n\
             #set($context.responseOverride.status = 404)",
            "t.vtl:2:",
        ),
        ("#include('/etc/hostname')", "t.vtl:1:1: "),
    ] {
        let rendering = Rendering::of(template, "{}");
        rendering.assert_fails(expected);
        let stderr = String::from_utf8(rendering.run().stderr).unwrap();
        let mut parts = stderr.splitn(4, ':').skip(1);
        for what in ["line", "column"] {
            let number = parts.next().unwrap();
            assert!(number.parse().is_ok_and(|number: u32| number > 0), "{what}: {stderr}");
        }
        assert!(parts.next().is_some_and(|message| message.trim().len() > 3), "{stderr}");
    }
}

#[test]
fn an_error_leaves_nothing_on_standard_output() {
    Rendering::of("already rendered $util.parseJson('{')", "{}").assert_fails("t.vtl:1:");
}

#[test]
fn the_template_is_utf_8_and_not_larger_than_aws_allows() {
    let largest = 300 * 1024;
    Rendering::of(vec![b'x'; largest], "").assert_prints(&vec![b'x'; largest]);
    Rendering::of(vec![b'x'; largest + 1], "")
        .assert_fails("t.vtl: more than 307200 bytes long; allowed: up to 307200");
    Rendering::of(b"\xc3\xa4\n\xc3\xa4\xff", "")
        .assert_fails("t.vtl:2:2: not valid UTF-8; allowed: UTF-8 text");
}

#[test]
fn a_payload_beyond_the_quota_is_refused() {
    let largest = 10 * 1024 * 1024;
    Rendering::of("ok", vec![b'x'; largest]).assert_prints(b"ok");
    Rendering::of("ok", vec![b'x'; largest + 1])
        .assert_fails("in.json: more than 10485760 bytes long; allowed: up to 10485760");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let rendering =
        |name: &str, file: &str| Rendering::of("", "").context("{}").argument(name, file);
    for name in ["--template", "--input", "--context"] {
        rendering(name, "missing").assert_fails("missing: cannot be read: No such file");
        rendering(name, ".").assert_fails(".: cannot be read: Is a directory");
    }
}

#[test]
fn a_context_file_that_cannot_be_meant_is_one_clear_line() {
    for (context, expected) in [
        ("", "ctx.json:1:1: not valid JSON: "),
        ("{\n  \"params\": {,}\n}", "ctx.json:2:14: not valid JSON: "),
        ("[]", "ctx.json: a list cannot stand here; allowed: an object"),
        (
            r#"{"parameters": {}}"#,
            "ctx.json: parameters: unknown key; allowed: params, context, stageVariables, variables",
        ),
        (
            r#"{"params": {"query": {}}}"#,
            "ctx.json: params.query: unknown key; allowed: path, querystring, header",
        ),
        (
            r#"{"params": {"path": {"id": 7}}}"#,
            "ctx.json: params.path.id: a number cannot stand here; allowed: a string",
        ),
        (
            r#"{"stageVariables": {"a": null}}"#,
            "ctx.json: stageVariables.a: null cannot stand here; allowed: a string",
        ),
        (
            r#"{"variables": {"input": 1}}"#,
            "ctx.json: variables.input: $input has its own meaning; allowed: any other name",
        ),
        (r#"{"variables": {"util": 1}}"#, "ctx.json: variables.util: "),
        (r#"{"variables": {"context": 1}}"#, "ctx.json: variables.context: "),
        (r#"{"variables": {"stageVariables": 1}}"#, "ctx.json: variables.stageVariables: "),
    ] {
        Rendering::of("", "").context(context).assert_fails(expected);
    }
}

#[test]
fn one_file_can_be_standard_input() {
    let rendering = |name| {
        Rendering::of("<$input.body $context.stage>", "x")
            .context(r#"{"context": {"stage": "prod"}}"#)
            .argument(name, "-")
    };
    for (name, file) in [("--template", "t.vtl"), ("--input", "in.json"), ("--context", "ctx.json")]
    {
        assert_prints(&rendering(name).run_with(file), b"<x prod>");
    }
    let output = rendering("--input").argument("--template", "-").run();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{stderr}");
    assert!(stderr.contains("standard input (-) can be read once"), "{stderr}");
    Rendering::of("", b"\xff")
        .argument("--template", "-")
        .assert_fails("standard input:1:1: not valid UTF-8");
}

#[test]
fn what_a_template_overrides_is_told_when_asked_for() {
    let template = "#set($context.requestOverride.header.X-A = 'a')\
        #set($context.requestOverride.querystring.q = 1)\
        #set($context.requestOverride.path.id = ['b', 'c'])\
        #set($context.responseOverride.status = 404)\
        #set($context.responseOverride.header['Content-Type'] = 'text/plain')\
        #set($context.own = 'kept')ok $context.own $context.responseOverride.status";
    let rendering = Rendering::of(template, "{}");
    rendering.assert_prints(b"ok kept 404");
    let output = rendering.arguments(&["--overrides"]).run();
    assert_eq!(output.stdout, b"ok kept 404");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = json!({
        "requestOverride": {
            "path": { "id": "b,c" },
            "querystring": { "q": "1" },
            "header": { "X-A": "a" },
        },
        "responseOverride": { "status": 404, "header": { "Content-Type": "text/plain" } },
    });
    assert_eq!(stderr, format!("{expected}\n"));
    let output = Rendering::of("ok", "{}").arguments(&["--overrides"]).run();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"ok"[..], &b"{}\n"[..]));
}

/// docs/mapping-templates.md shows files with `$ cat NAME` and ends with the rendering.
#[test]
fn the_documentations_example_prints_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("docs/mapping-templates.md")).unwrap();
    let (_, block) = text.split_once("\n```\n$ cat ").expect("an example");
    let (block, _) = block.split_once("\n```\n").expect("its end");
    let (files, rendering) = block.split_once("\n$ tollgate render ").expect("a rendering");
    let folder = tempfile::tempdir().unwrap();
    for file in files.split("\n$ cat ") {
        let (name, content) = file.split_once('\n').unwrap();
        std::fs::write(folder.path().join(name), format!("{content}\n")).unwrap();
    }
    let (arguments, expected) = rendering.split_once('\n').unwrap();
    let arguments: Vec<_> = ["render"].into_iter().chain(arguments.split(' ')).collect();
    let finished = tollgate_tests::tollgate(folder.path(), &arguments);
    assert_eq!((finished.code, finished.stdout), (0, format!("{expected}\n")));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["render"][..],
        &["render", "--template", "t.vtl"],
        &["render", "--input", "in.json"],
        &["render", "t.vtl", "in.json"],
    ] {
        let finished = tollgate_tests::tollgate(folder.path(), arguments);
        assert_eq!((finished.code, &*finished.stdout), (2, ""), "{}", finished.stderr);
    }
    let help = tollgate_tests::tollgate(folder.path(), &["render", "--help"]).stdout;
    for option in ["--template <FILE>", "--input <FILE>", "--context <FILE>", "--overrides"] {
        assert!(help.contains(option), "{option}");
    }
}

/// The names of the reference for REST APIs and for WebSocket APIs, those of access logs included.
const CONTEXT_NAMES: [&str; 2] = [
    "accountId apiId stage resourceId resourcePath httpMethod deploymentId path protocol requestId \
     extendedRequestId requestTime requestTimeEpoch domainName domainPrefix isCanaryRequest \
     authorizer.principalId authorizer.tier authorizer.claims.sub identity.accountId \
     identity.caller identity.user identity.userArn identity.accessKey identity.principalOrgId \
     identity.cognitoAuthenticationProvider identity.cognitoAuthenticationType \
     identity.cognitoIdentityId identity.cognitoIdentityPoolId identity.apiKey identity.apiKeyId \
     identity.sourceIp identity.userAgent identity.vpcId identity.vpceId \
     identity.clientCert.clientCertPem identity.clientCert.subjectDN identity.clientCert.issuerDN \
     identity.clientCert.serialNumber identity.clientCert.validity.notBefore \
     identity.clientCert.validity.notAfter error.message error.messageString error.responseType \
     error.validationErrorString awsEndpointRequestId wafResponseCode webaclArn \
     authenticate.error authenticate.latency authenticate.status authorize.error \
     authorize.latency authorize.status authorizer.error authorizer.latency authorizer.status \
     authorizer.integrationLatency authorizer.integrationStatus authorizer.requestId \
     integration.error integration.integrationStatus integration.latency integration.requestId \
     integration.status integration.responseTransferMode integration.timeToAllHeaders \
     integration.timeToFirstContent integrationErrorMessage integrationLatency integrationStatus \
     customDomain.basePathMatched customDomain.routingRuleIdMatched endpointType tlsVersion \
     cipherSuite responseLatency responseLength status waf.error waf.latency waf.status xrayTraceId",
    "apiId connectedAt connectionId domainName eventType extendedRequestId requestId messageId \
     requestTime requestTimeEpoch routeKey stage status authorizer.principalId authorizer.tier \
     error.message error.messageString error.responseType error.validationErrorString \
     identity.accountId identity.apiKey identity.apiKeyId identity.caller \
     identity.cognitoAuthenticationProvider identity.cognitoAuthenticationType \
     identity.cognitoIdentityId identity.cognitoIdentityPoolId identity.principalOrgId \
     identity.sourceIp identity.user identity.userAgent identity.userArn authenticate.error \
     authenticate.latency authenticate.status authorize.error authorize.latency authorize.status \
     authorizer.error authorizer.latency authorizer.status authorizer.integrationLatency \
     authorizer.integrationStatus authorizer.requestId integration.error \
     integration.integrationStatus integration.latency integration.requestId integration.status \
     integrationLatency waf.error waf.latency waf.status",
];

#[test]
fn every_name_of_context_can_be_given() {
    for names in CONTEXT_NAMES {
        let mut context = json!({});
        let mut template = String::new();
        let mut expected = String::new();
        for name in names.split_whitespace() {
            // No two have the same value.
            let value = format!("the {name} of this request");
            context[format!("/context/{name}")] = value.clone().into();
            template.push_str(&format!("{name}: $context.{name} ${{context.{name}}}\n"));
            expected.push_str(&format!("{name}: {value} {value}\n"));
        }
        Rendering::of(&template, "{}")
            .context(nested(&context).to_string())
            .assert_prints(expected.as_bytes());
        // What isn't in the file has no value.
        for name in names.split_whitespace() {
            let rendering = Rendering::of(format!("<$context.{name}>"), "{}");
            rendering.context(r#"{"context": {}}"#).assert_prints(b"<>");
        }
    }
}

/// Objects inside each other, of `/a/b.c`.
fn nested(flat: &serde_json::Value) -> serde_json::Value {
    let mut nested = json!({});
    for (path, value) in flat.as_object().expect("an object") {
        let keys: Vec<&str> = path.split(['/', '.']).filter(|key| !key.is_empty()).collect();
        let place = keys.iter().fold(&mut nested, |object, key| &mut object[*key]);
        *place = value.clone();
    }
    nested
}

#[test]
fn numbers_and_booleans_of_context_are_text_in_templates() {
    let context = json!({ "context": { "requestTimeEpoch": 1_583_348_638_390_u64, "connectedAt": 1,
        "isCanaryRequest": false, "authorizer": { "level": 3, "claims": { "sub": "me" } } } });
    Rendering::of(
        "$context.requestTimeEpoch $context.connectedAt $context.isCanaryRequest \
         $context.authorizer.level $context.authorizer.claims.sub",
        "{}",
    )
    .context(context.to_string())
    .assert_prints(b"1583348638390 1 false 3 me");
}
