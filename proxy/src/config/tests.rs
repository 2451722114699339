//! What is wrong with a configuration file is one line: file, line, key, what is allowed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tollgate_gateway::config::{AccessLogDestination, Visibility};
use tollgate_gateway::limits::Limits;
use tollgate_gateway::usage::{PlanQuota, Throttle};
use tollgate_plugin_host::config::PluginSettings;
use tollgate_throttle::{Period, Quota};

use super::checked::Config;
use super::plugins::PluginPlace;
use super::{read, schema};

#[test]
fn a_file_with_one_listener_is_enough() {
    let config = accepted("listeners: [{address: '127.0.0.1:80'}]\n");
    assert_eq!(config.listeners.len(), 1);
    assert!(!config.listeners[0].tls);
    assert_eq!(config.listeners[0].visibility, Visibility::Public);
    assert_eq!(config.management.to_string(), "127.0.0.1:9080");
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.account_id, "000000000000");
    assert_eq!(config.host_suffix, "localhost");
    assert_eq!(config.access_log, AccessLogDestination::Stdout);
    assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
}

#[test]
fn every_key_can_be_given() {
    let config = accepted(EVERYTHING);
    assert_eq!(config.workers, 2);
    assert_eq!(config.certificates[0].certificate, Path::new("/etc/tollgate/tls/cert.pem"));
    assert_eq!(config.certificates[0].names, ["api.example.com"]);
    assert_eq!(config.apis[0].definition, Path::new("/etc/tollgate/petstore.yaml"));
    assert_eq!(config.apis[0].stage_variables["backend"], "10.0.0.7:8080");
    assert_eq!(config.apis[1].definition, Path::new("/srv/petstore.yaml"));
    assert_eq!(config.domain_names[0].mappings[1].base_path, None);
    assert_eq!(config.vpc_links["abc123"].health_check.interval, Duration::from_secs(5));
    assert_eq!(config.vpc_links["abc123"].health_check.healthy_threshold, 2);
    assert_eq!(
        config.access_log,
        AccessLogDestination::File(PathBuf::from("/etc/tollgate/access.log"))
    );
    assert_eq!(config.account_id, "000000000042");
    assert_eq!(config.limits.maximum_payload, 5 << 20);
    assert_eq!(config.limits.drain_timeout, Duration::ZERO);
    assert_eq!(config.limits.upstream_idle_connections, 0);
    assert_eq!(config.maximum_integration_timeout, Duration::from_secs(60));
    assert_eq!(
        config.listeners[2].visibility,
        Visibility::Private { vpc_id: "vpc-0a".to_owned(), vpc_endpoint_id: "vpce-0b".to_owned() }
    );
}

#[test]
fn a_generated_api_id_does_not_depend_on_the_folder() {
    let id = |folder: &str| {
        let text = with("apis:\n  - {definition: pets.yaml, stage: prod}\n");
        read(&text, &Path::new(folder).join("tollgate.yaml")).unwrap().apis[0].api_id.clone()
    };
    assert_eq!(id("/a"), id("/b"));
}

/// Each case: what is added to a file that holds a listener in its first two lines, and the
/// line that comes back.
#[test]
fn what_is_wrong_is_one_clear_line() {
    let cases = [
        // Structure.
        (
            "limit:\n  connections: 1\n",
            "tollgate.yaml:3: limit: unknown key; allowed: listeners, management, management_api, workers, region, account_id, host_suffix, certificates, apis, domain_names, vpc_links, upstream_ca_file, plugins, plugin_upstreams, plugin_cache_directory, account, usage_plans, api_keys, api_keys_file, data_directory, control_socket, throttle, access_log, log, limits",
        ),
        (
            "log:\n  levle: info\n",
            "tollgate.yaml:4: log.levle: unknown key; allowed: level, format",
        ),
        ("log: {levle: info}\n", "tollgate.yaml:3: log.levle: unknown key; allowed: level, format"),
        ("apis:\n  - definition: a.yaml\n", "tollgate.yaml:4: apis[0].stage: is missing"),
        (
            "apis:\n  - definition: a.yaml\n    stage: a\n  - stage: b\n    api_id: petstore01\n",
            "tollgate.yaml:6: apis[1].definition: is missing",
        ),
        ("region: a\nregion: b\n", "tollgate.yaml:4: region: stands here a second time"),
        ("region:\n", "tollgate.yaml:3: region: has no value; give it one or leave the key out"),
        (
            "workers: ~\n",
            "tollgate.yaml:3: workers: has no value; give it one or leave the key out",
        ),
        (
            "log:\n  format: xml\n",
            "tollgate.yaml:4: log.format: \"xml\" is not allowed; allowed: text, json",
        ),
        // Values.
        (
            "limits:\n  maximum_payload: 10 elephants\n",
            "tollgate.yaml:4: limits.maximum_payload: \"10 elephants\" is not a size; allowed: a number of bytes, or a number with B, KB, KiB, MB, MiB, GB or GiB, from 1 to 1GiB",
        ),
        (
            "limits:\n  maximum_payload: 0\n",
            "tollgate.yaml:4: limits.maximum_payload: \"0\" is out of range; allowed: a number of bytes, or a number with B, KB, KiB, MB, MiB, GB or GiB, from 1 to 1GiB",
        ),
        (
            "limits:\n  drain_timeout: 30\n",
            "tollgate.yaml:4: limits.drain_timeout: \"30\" has no unit; allowed: a number with ms, s, m or h, from 0ms to 1h",
        ),
        (
            "limits:\n  connections: none\n",
            "tollgate.yaml:4: limits.connections: \"none\" is not a whole number; allowed: a whole number from 1 to 10000000",
        ),
        (
            "limits:\n  maximum_integration_timeout: 1h\n",
            "tollgate.yaml:4: limits.maximum_integration_timeout: \"1h\" is out of range; allowed: a number with ms, s, m or h, from 50ms to 5m",
        ),
        (
            "workers: 0\n",
            "tollgate.yaml:3: workers: \"0\" is out of range; allowed: a whole number from 1 to 1024",
        ),
        (
            "management: localhost:9080\n",
            "tollgate.yaml:3: management: \"localhost:9080\" is not an address to listen on; allowed: IP:PORT, such as 127.0.0.1:8080, 0.0.0.0:443 or [::]:443 (port 0 takes a free one)",
        ),
        (
            "account_id: 12\n",
            "tollgate.yaml:3: account_id: \"12\" is not an account id; allowed: 12 digits (in YAML, in quotes)",
        ),
        (
            "region: US East\n",
            "tollgate.yaml:3: region: \"US East\" is not a region; allowed: a-z, 0-9 and -, such as us-east-1",
        ),
        (
            "log:\n  level: loud\n",
            "tollgate.yaml:4: log.level: \"loud\" is not a log level; allowed: off, error, warn, info, debug or trace, or a filter such as info,tollgate_gateway=debug",
        ),
        (
            "access_log:\n  format: $context.status\n",
            "tollgate.yaml:4: access_log.format: does not name the request; it must hold $context.requestId or $context.extendedRequestId",
        ),
        (
            "apis:\n  - definition: ''\n    stage: a\n",
            "tollgate.yaml:4: apis[0].definition: is empty; allowed: a file",
        ),
        (
            "apis:\n  - definition: a.yaml\n    stage: a/b\n",
            "tollgate.yaml:5: apis[0].stage: \"a/b\" is not a stage name; allowed: 1 to 128 of a-z, A-Z, 0-9, _ and -",
        ),
        (
            "apis:\n  - definition: a.yaml\n    stage: a\n    api_id: Pets\n",
            "tollgate.yaml:6: apis[0].api_id: \"Pets\" is not an API id; allowed: 10 characters of a-z and 0-9",
        ),
        (
            "apis:\n  - definition: a.yaml\n    stage: a\n    stage_variables: {url: a b}\n",
            "tollgate.yaml:6: apis[0].stage_variables.url: \"a b\" is not the value of a stage variable; allowed: up to 512 of a-z, A-Z, 0-9 and -._~:/?#&=,",
        ),
        (
            "vpc_links:\n  abc:\n    addresses: [10.0.0.7]\n",
            "tollgate.yaml:5: vpc_links.abc.addresses[0]: \"10.0.0.7\" is not an upstream address; allowed: HOST:PORT, such as 10.0.0.7:8080 or [fd00::7]:8080",
        ),
        (
            "vpc_links:\n  abc:\n    addresses: []\n",
            "tollgate.yaml:5: vpc_links.abc.addresses: has no entry; allowed: at least one HOST:PORT",
        ),
        (
            "vpc_links:\n  abc:\n    addresses: ['a:1']\n    health_check: {timeout: 1h}\n",
            "tollgate.yaml:6: vpc_links.abc.health_check.timeout: \"1h\" is out of range; allowed: a number with ms, s, m or h, from 10ms to 1m",
        ),
        // What has to fit together.
        (
            "  - address: 127.0.0.1:80\n",
            "tollgate.yaml:3: listeners[1].address: 127.0.0.1:80 has a listener already",
        ),
        (
            "  - address: 127.0.0.1:443\n    tls: true\n",
            "tollgate.yaml:3: listeners[1].tls: true, but there are no certificates; add one under certificates",
        ),
        (
            "  - address: 127.0.0.1:81\n    tls: yes please\n",
            "tollgate.yaml:4: listeners[1].tls: \"yes please\" is not allowed; allowed: true or false",
        ),
        (
            "  - address: 127.0.0.1:81\n    visibility: private\n    vpc_id: vpc-1\n",
            "tollgate.yaml:3: listeners[1].vpc_endpoint_id: is missing; a private listener has one",
        ),
        (
            "  - address: 127.0.0.1:81\n    vpc_id: vpc-1\n",
            "tollgate.yaml:4: listeners[1].vpc_id: only a listener with visibility: private has one",
        ),
        (
            "  - address: 127.0.0.1:81\n    visibility: secret\n",
            "tollgate.yaml:4: listeners[1].visibility: \"secret\" is not allowed; allowed: public, private",
        ),
        (
            "apis:\n  - {definition: a.yaml, stage: a}\n  - {definition: a.yaml, stage: a, api_id: petstore01}\n  - {definition: b.yaml, stage: a, api_id: petstore01}\n",
            "tollgate.yaml:6: apis[2].stage: API petstore01 has a stage a already; give this one another name, or another api_id",
        ),
        (
            "domain_names:\n  - name: a.example.com\n    base_path_mappings:\n      - api_id: petstore01\n",
            "tollgate.yaml:6: domain_names[0].base_path_mappings[0].api_id: there is no API petstore01; allowed: none is configured under apis",
        ),
        (
            "apis:\n  - {definition: a.yaml, stage: prod, api_id: petstore01}\ndomain_names:\n  - name: a.example.com\n    base_path_mappings:\n      - {api_id: petstore01, stage: dev}\n",
            "tollgate.yaml:8: domain_names[0].base_path_mappings[0].stage: API petstore01 has no stage dev; allowed: prod",
        ),
        (
            "apis:\n  - {definition: a.yaml, stage: prod, api_id: petstore01}\ndomain_names:\n  - name: a.example.com\n    base_path_mappings:\n      - {api_id: petstore01}\n      - {api_id: petstore01, base_path: (none)}\n",
            "tollgate.yaml:9: domain_names[0].base_path_mappings[1].base_path: (none) has a mapping already",
        ),
        (
            "domain_names:\n  - name: a_b.example.com\n    base_path_mappings: []\n",
            "tollgate.yaml:4: domain_names[0].name: \"a_b.example.com\" is not a domain name; allowed: a name such as api.example.com or *.example.com",
        ),
    ];
    for (added, expected) in cases {
        assert_eq!(refused(&with(added)), expected);
    }
}

#[test]
fn plans_keys_and_throttles_are_read() {
    let config = accepted(EVERYTHING);
    let throttle = |per_second, burst| Throttle::new(per_second, burst).unwrap();
    assert_eq!(config.account, throttle(2_000.0, 5_000));
    // What a throttle leaves out it has from the one around it.
    let of_stage = &config.apis[0].throttles;
    assert_eq!(of_stage.default, Some(throttle(100.5, 5_000)));
    assert_eq!(of_stage.methods[0].throttle, throttle(100.5, 7));
    assert_eq!(of_stage.methods[0].path, "/pets/{id}");
    assert!(config.apis[0].method_transformers.is_empty());
    let plan = &config.usage_plans[0];
    assert_eq!((&*plan.name, plan.throttle), ("Gold", Some(throttle(2_000.0, 20))));
    let quota = Quota { limit: 1_000, period: Period::Week };
    assert_eq!(plan.quota, Some(PlanQuota { quota, offset: 10 }));
    assert_eq!(plan.stages[0].methods[0].throttle, throttle(5.0, 20));
    assert_eq!(config.usage_plans[1].name, "silver");
    let [key, other] = &config.api_keys[..] else { panic!("{:?}", config.api_keys) };
    assert_eq!((key.id.to_string(), key.enabled), ("a1b2c3d4e5".to_owned(), false));
    assert_eq!(key.plans.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gold00", "silver"]);
    assert!(other.enabled && other.id != key.id);
    assert_eq!(config.api_keys_file.as_deref(), Some(Path::new("/etc/tollgate/keys.csv")));
    assert_eq!(config.control_socket.as_deref(), Some(Path::new("/var/lib/tollgate/control.sock")));
}

#[test]
fn what_is_wrong_about_plans_keys_and_throttles_is_one_clear_line() {
    const API: &str = "apis:\n  - {definition: a.yaml, stage: prod, api_id: petstore01}\n";
    let cases = [
        (
            "account: {throttle: {rate: -1}}\n".to_owned(),
            "tollgate.yaml:3: account.throttle.rate: \"-1\" is not a rate; allowed: a number from 0 to 10000000",
        ),
        (
            "account: {throttle: {burst: 1.5}}\n".to_owned(),
            "tollgate.yaml:3: account.throttle.burst: \"1.5\" is not a whole number; allowed: a whole number from 0 to 4294967295",
        ),
        (
            "apis:\n  - definition: a.yaml\n    stage: prod\n    methods:\n      GET pets: {throttle: {rate: 1}}\n".to_owned(),
            "tollgate.yaml:7: apis[0].methods.GET pets: \"GET pets\" is no method; written as in GET /pets/{id}",
        ),
        (
            "usage_plans:\n  - {name: Gold}\n".to_owned(),
            "tollgate.yaml:4: usage_plans[0].id: is missing",
        ),
        (
            "usage_plans:\n  - {id: gold}\n".to_owned(),
            "tollgate.yaml:4: usage_plans[0].id: \"gold\" is not the id of a usage plan; allowed: 6 characters of a-z and 0-9",
        ),
        (
            "usage_plans:\n  - {id: gold00}\n  - {id: gold00}\n".to_owned(),
            "tollgate.yaml:5: usage_plans[1].id: gold00 is the id of another plan already",
        ),
        (
            "usage_plans:\n  - {id: gold00, quota: {limit: 5}}\n".to_owned(),
            "tollgate.yaml:4: usage_plans[0].quota.period: is missing",
        ),
        (
            "usage_plans:\n  - {id: gold00, quota: {limit: 5, period: day, offset: 6}}\n".to_owned(),
            "tollgate.yaml:4: usage_plans[0].quota.offset: \"6\" is out of range; allowed: a whole number from 0 to 5",
        ),
        (
            format!("{API}usage_plans:\n  - id: gold00\n    api_stages: [{{api_id: petstore01, stage: test}}]\n"),
            "tollgate.yaml:7: usage_plans[0].api_stages[0]: Invalid API Stage {api: petstore01, stage: test} specified for usageplan gold00",
        ),
        (
            format!("{API}usage_plans:\n  - id: gold00\n    api_stages:\n      - {{api_id: petstore01, stage: prod, methods: {{GET /x: {{}}}}}}\n"),
            "tollgate.yaml:8: usage_plans[0].api_stages[0].methods.GET /x.throttle: is missing",
        ),
        (
            "api_keys:\n  - {name: a}\n".to_owned(),
            "tollgate.yaml:4: api_keys[0].value: is missing",
        ),
        (
            "api_keys:\n  - {value: short}\n".to_owned(),
            "tollgate.yaml:4: api_keys[0].value: API Key value should be at least 20 characters",
        ),
        (
            "api_keys:\n  - {value: long-enough-for-a-key, id: A}\n".to_owned(),
            "tollgate.yaml:4: api_keys[0].id: \"A\" is not the id of an API key; allowed: 10 characters of a-z and 0-9",
        ),
    ];
    for (added, expected) in cases {
        assert_eq!(refused(&with(&added)), expected);
    }
}

#[test]
fn what_is_wrong_about_plugins_is_one_clear_line() {
    let cases = [
        ("plugins:\n  - name: a\n", "tollgate.yaml:4: plugins[0].file: is missing"),
        (
            "plugins:\n  - file: a b.wasm\n",
            "tollgate.yaml:4: plugins[0].file: \"a b\" is not a plugin's name; allowed: 1 to 64 of a-z, A-Z, 0-9, _, - and .; give the plugin a name",
        ),
        (
            "plugins:\n  - file: a.wasm\n  - {file: b.wasm, name: a}\n",
            "tollgate.yaml:5: plugins[1].name: there is a plugin a already; give this one another name",
        ),
        (
            "plugins:\n  - directory: a\n    sha256: 12\n",
            "tollgate.yaml:5: plugins[0].sha256: a directory of plugins has none",
        ),
        (
            "plugins:\n  - {file: a.wasm, sha256: 12}\n",
            "tollgate.yaml:4: plugins[0].sha256: \"12\" is not a SHA-256; allowed: 64 hexadecimal digits",
        ),
        (
            "plugins:\n  - {file: a.wasm, configuration: x, configuration_file: y}\n",
            "tollgate.yaml:4: plugins[0].configuration_file: stands beside configuration; allowed: one of the two",
        ),
        (
            "plugins:\n  - {file: a.wasm, upstreams: [b]}\n",
            "tollgate.yaml:4: plugins[0].upstreams[0]: there is no upstream \"b\" in plugin_upstreams; allowed: none, plugin_upstreams is empty",
        ),
        (
            "plugins:\n  - {file: a.wasm, upstreams: [b]}\nplugin_upstreams:\n  c: {address: '127.0.0.1:1'}\n",
            "tollgate.yaml:4: plugins[0].upstreams[0]: there is no upstream \"b\" in plugin_upstreams; allowed: c",
        ),
        (
            "plugins:\n  - {file: a.wasm, limits: {stack: 2MiB}}\n",
            "tollgate.yaml:4: plugins[0].limits.stack: \"2MiB\" is out of range; allowed: a number of bytes, or a number with B, KB, KiB, MB, MiB, GB or GiB, from 64KiB to 1MiB",
        ),
        (
            "plugin_upstreams:\n  c: {tls: true}\n",
            "tollgate.yaml:4: plugin_upstreams.c.address: is missing",
        ),
    ];
    for (added, expected) in cases {
        assert_eq!(refused(&with(added)), expected);
    }
}

#[test]
fn a_plugins_configuration_is_text_or_json() {
    let config = |value: &str| {
        let config =
            accepted(&with(&format!("plugins:\n  - {{file: x/a.wasm, configuration: {value}}}\n")));
        String::from_utf8(config.plugins[0].settings.configuration.clone()).unwrap()
    };
    assert_eq!(config("open sesame"), "open sesame");
    assert_eq!(config("{a: [1, 2.5, true, null, '3']}"), r#"{"a":[1,2.5,true,null,"3"]}"#);
    assert_eq!(config("[a]"), r#"["a"]"#);
    let plain = accepted(&with("plugins:\n  - file: x/a.wasm\n"));
    assert_eq!(plain.plugins[0].settings, PluginSettings::default());
    let place = &plain.plugins[0].place;
    assert!(matches!(place, PluginPlace::File { name, .. } if name == "a"), "{place:?}");
}

#[test]
fn a_file_that_is_no_configuration_is_one_line() {
    for (text, expected) in [
        ("", "tollgate.yaml: listeners: has no entry; allowed: at least one listener"),
        (
            "management: 127.0.0.1:1\n",
            "tollgate.yaml: listeners: has no entry; allowed: at least one listener",
        ),
        (
            "listeners: []\n",
            "tollgate.yaml: listeners: has no entry; allowed: at least one listener",
        ),
    ] {
        assert_eq!(refused(text), expected);
    }
    for text in [
        "[]",
        "hello",
        "listeners: [\n",
        "a: b: c",
        "\t- x",
        "listeners: {}\n",
        "\u{0}",
        "listeners: 5",
    ] {
        let line = refused(text);
        assert!(line.starts_with("tollgate.yaml:") && !line.contains('\n'), "{text:?}: {line}");
    }
}

#[test]
fn a_missing_file_is_one_line() {
    assert_eq!(
        super::load(Path::new("/nowhere/tollgate.yaml")).unwrap_err().to_string(),
        "/nowhere/tollgate.yaml: cannot be read: No such file or directory"
    );
}

#[test]
fn the_schema_describes_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&schema::json_schema()).unwrap();
    assert_eq!(schema["title"], "Tollgate configuration");
    let definitions =
        schema["$defs"].as_object().unwrap().iter().map(|(name, it)| (name.as_str(), it));
    for (name, definition) in definitions.chain([("file", &schema)]) {
        let Some(properties) = definition["properties"].as_object() else { continue };
        assert_eq!(definition["additionalProperties"], false, "{name}");
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn the_schemas_defaults_are_the_ones_in_force() {
    let schema: serde_json::Value = serde_json::from_str(&schema::json_schema()).unwrap();
    let mut limits = String::from("limits:\n");
    for (key, property) in schema["$defs"]["Limits"]["properties"].as_object().unwrap() {
        limits.push_str(&format!("  {key}: {}\n", property["default"]));
    }
    let explicit = accepted(&with(&limits));
    assert_eq!(format!("{:?}", explicit.limits), format!("{:?}", Limits::default()));
    let mut plugin = String::from("plugins:\n  - file: a.wasm\n    limits:\n");
    for (key, property) in schema["$defs"]["PluginLimits"]["properties"].as_object().unwrap() {
        plugin.push_str(&format!("      {key}: {}\n", property["default"]));
    }
    assert_eq!(accepted(&with(&plugin)).plugins[0].settings, PluginSettings::default());
    assert_eq!(
        explicit.maximum_integration_timeout,
        crate::definitions::MAXIMUM_INTEGRATION_TIMEOUT
    );
}

#[test]
fn the_documentation_says_what_the_schema_says() {
    let documentation = include_str!("../../../docs/configuration.md");
    let schema: serde_json::Value = serde_json::from_str(&schema::json_schema()).unwrap();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for definition in definitions.chain([&schema]) {
        let Some(properties) = definition["properties"].as_object() else { continue };
        for (key, property) in properties {
            let words = property["description"].as_str().unwrap().split_whitespace();
            let required = definition["required"]
                .as_array()
                .is_some_and(|it| it.contains(&key.as_str().into()));
            let required = if required { " Required." } else { "" };
            let row = format!("| `{key}` | {}{required} |", words.collect::<Vec<_>>().join(" "));
            assert!(documentation.contains(&row), "docs/configuration.md lacks the row\n{row}");
        }
    }
}

#[test]
fn the_sample_configuration_is_valid() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/tollgate.yaml"));
    super::load(file).unwrap();
}

const EVERYTHING: &str = "
listeners:
  - address: 0.0.0.0:80
  - {address: '[::]:443', tls: true, visibility: public}
  - address: 10.0.0.1:443
    tls: true
    visibility: private
    vpc_id: vpc-0a
    vpc_endpoint_id: vpce-0b
management: 127.0.0.1:9090
workers: 2
region: eu-central-1
account_id: 000000000042
host_suffix: edge.example.com
certificates:
  - certificate: tls/cert.pem
    key: tls/key.pem
    names: [Api.example.com]
apis:
  - definition: petstore.yaml
    api_id: petstore01
    name: Pets
    description: All of them
    stage: prod
    stage_variables: {backend: '10.0.0.7:8080', number: 1}
    parameters: {Environment: prod}
    throttle: {rate: 100.5}
    methods:
      GET /pets/{id}: {throttle: {burst: 7}}
  - {definition: /srv/petstore.yaml, api_id: petstore01, stage: beta}
domain_names:
  - name: api.example.com
    base_path_mappings:
      - {base_path: pets, api_id: petstore01, stage: prod}
      - {api_id: petstore01}
vpc_links:
  abc123:
    addresses: ['10.0.0.7:8080', 'pets.internal:80']
    health_check: {interval: 5s, timeout: 500ms, unhealthy_threshold: 3}
upstream_ca_file: ca.pem
account:
  throttle: {rate: 2000}
usage_plans:
  - id: gold00
    name: Gold
    description: For those who pay
    product_code: abc
    throttle: {burst: 20}
    quota: {limit: 1000, period: week, offset: 10}
    api_stages:
      - api_id: petstore01
        stage: prod
        methods:
          GET /pets/{id}: {throttle: {rate: 5}}
  - {id: silver}
api_keys:
  - {id: a1b2c3d4e5, name: A, value: the-first-key-of-all, enabled: false, usage_plans: [gold00, silver]}
  - value: the-second-key-of-all
api_keys_file: keys.csv
data_directory: /var/lib/tollgate
access_log: {destination: access.log, format: '$context.requestId $context.status'}
log: {level: 'info,tollgate_gateway=debug', format: json}
limits:
  maximum_payload: 5MiB
  drain_timeout: 0s
  upstream_idle_connections: 0
  maximum_integration_timeout: 60s
";

fn with(added: &str) -> String {
    format!("listeners:\n  - address: 127.0.0.1:80\n{added}")
}

fn accepted(text: &str) -> Config {
    read(text, Path::new("/etc/tollgate/tollgate.yaml")).unwrap()
}

fn refused(text: &str) -> String {
    read(text, Path::new("tollgate.yaml")).expect_err(text).to_string()
}
