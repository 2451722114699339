//! `$context`, what templates write there, and `$stageVariables`.

use super::{Request, check, check_failures};
use crate::{ContextWrites, ParameterLocation, Template};

/// Renders the templates of one exchange, in order.
fn exchange<const N: usize>(templates: [&str; N]) -> ([String; N], ContextWrites) {
    let mut context = ContextWrites::default();
    let rendered = templates.map(|template| {
        Template::parse(template).render(&Request::default(), &mut context).expect(template)
    });
    (rendered, context)
}

fn headers(context: &ContextWrites) -> Vec<(String, String)> {
    let pairs = context.request_overrides(ParameterLocation::Header);
    pairs.map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

#[test]
fn entries_are_read_by_path() {
    check(&[
        (
            "$context.requestId ${context.stage} $context['stage'] $context.get('stage')",
            "r-1 prod prod prod",
        ),
        ("$context.identity.sourceIp $context['identity'].get('user')", "192.0.2.1 ada"),
        ("[$context.none][$context.none.of.these][$context.stage.none]", "[][][]"),
        ("#set($k = 'stage')$context[$k] $context.get($k)", "prod prod"),
        ("$context.stage.length() $context.stage.toUpperCase()", "4 PROD"),
        (
            "$context.authorizer.count $context.authorizer.groups[1] $context.authorizer.groups",
            "3 b [a, b]",
        ),
    ]);
}

#[test]
fn objects_are_maps_that_print_nothing() {
    check(&[
        (
            "#foreach($k in $context.keySet())$k #end",
            "requestId stage identity authorizer requestOverride responseOverride ",
        ),
        ("[$context.identity]", "[]"),
        (
            "#foreach($e in $context.identity.entrySet())$e.key=$e.value #end",
            "sourceIp=192.0.2.1 user=ada ",
        ),
        (
            "#foreach($k in $context.keySet())#if($k == 'stage' || $k == 'identity')[$context.get($k)]#end#end",
            "[prod][]",
        ),
        ("#set($c = $context)$c.stage $c.identity.user", "prod ada"),
        ("$context.identity.containsKey('user') $context.authorizer.size()", "true 3"),
    ]);
}

#[test]
fn overrides_are_set_by_every_spelling() {
    for template in [
        "#set($context.requestOverride.header.a = 'v')",
        "#set($context.requestOverride.header[\"a\"] = 'v')",
        "#set($context[\"requestOverride\"].header['a'] = \"v\")",
        "#set($context['requestOverride']['header']['a'] = 'v')",
        "#set($context.get('requestOverride').header.a = 'v')",
        "#set($ignore = $context.requestOverride.header.put('a', 'v'))",
        "#set($h = $context.requestOverride.header)#set($h.a = 'v')",
        "#set($o = $context.requestOverride)#set($o.header.a = 'v')",
        "#set($c = $context)#set($c.requestOverride.header.a = 'v')",
        "#set($k = 'header')#set($context.requestOverride[$k].a = 'v')",
        "$context.requestOverride.header.putAll({'a': 'v'})",
    ] {
        let (_, context) = exchange([template]);
        assert_eq!(headers(&context), [("a".to_owned(), "v".to_owned())], "{template}");
    }
}

#[test]
fn overrides_keep_their_order_and_join_lists() {
    let (_, context) = exchange(["#set($context.requestOverride.header.b = ['x', 'y', 1])\
         #set($context.requestOverride.header.a = 5)\
         #set($context.requestOverride.header.n = $null)\
         #set($context.requestOverride.querystring['q'] = true)\
         #set($context.requestOverride.path.p = {'k': 1})\
         #set($context.responseOverride.header.X = \"$context.stage\")"]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers(&context), [pair("b", "x,y,1"), pair("a", "5")]);
    let one = |location| {
        let pairs = context.request_overrides(location);
        pairs.map(|(name, value)| pair(name, &value)).collect::<Vec<_>>()
    };
    assert_eq!(one(ParameterLocation::Querystring), [pair("q", "true")]);
    assert_eq!(one(ParameterLocation::Path), [pair("p", "{k=1}")]);
    let response: Vec<_> = context.response_headers().collect();
    assert_eq!(response, [("X", "prod".into())]);
}

#[test]
fn the_status_is_an_integer_from_100_to_599() {
    for (value, expected) in [
        ("444", Some(444)),
        ("'404'", Some(404)),
        ("100", Some(100)),
        ("599", Some(599)),
        ("600", None),
        ("99", None),
        ("-200", None),
        ("200.0", None),
        ("'abc'", None),
        ("true", None),
        ("[200]", None),
    ] {
        let template = format!("#set($context.responseOverride.status = {value})");
        let (_, context) = exchange([&template]);
        assert_eq!(context.response_status(), expected, "{value}");
    }
}

#[test]
fn a_second_value_for_an_override_fails() {
    check_failures(&[
        (
            "#set($context.requestOverride.header.a = 1)\n #set($context.requestOverride.header['a'] = 2)",
            "$context.requestOverride.header.a is set twice",
        ),
        (
            "#set($context.responseOverride.status = 1)#set($context.responseOverride.status = 2)",
            "$context.responseOverride.status is set twice",
        ),
        (
            "#set($h = $context.responseOverride.header)#set($h.X = 1)$h.put('X', 2)",
            "$context.responseOverride.header.X is set twice",
        ),
    ]);
    // A later template of the exchange may.
    let (_, context) = exchange([
        "#set($context.responseOverride.status = 400)",
        "#set($context.responseOverride.status = 401)",
    ]);
    assert_eq!(context.response_status(), Some(401));
}

#[test]
fn later_templates_read_what_earlier_ones_wrote() {
    let (rendered, _) = exchange([
        "#set($context.mine = 'kept')#set($context.list = [1, {'a': 'b'}])\
         #set($context.requestOverride.header.h = 'v')#set($context.n = 7)",
        "$context.mine $context.list $context.list[1].a $context.requestOverride.header.h",
        "#set($n = $context.n + 1)$n #foreach($k in $context.keySet())$k #end",
    ]);
    assert_eq!(rendered[1], "kept [1, {a=b}] b v");
    assert_eq!(
        rendered[2],
        "8 requestId stage identity authorizer requestOverride mine list n responseOverride "
    );
}

#[test]
fn written_keys_stand_before_the_gateways() {
    let (rendered, _) = exchange([
        "#set($context.stage = 'mine')$context.stage #set($c = $context)$c.stage",
        "$context.stage#set($context.identity.extra = 1)$context.identity.user $context.identity.extra",
        "$context.identity.extra $context.identity.sourceIp",
        "#set($c = $context)#set($c.late = 2)$context.late",
        "$context.late#set($ignore = $context.put('put', 3))",
        "$context.put",
    ]);
    assert_eq!(rendered, ["minemine", "mineada 1", "1 192.0.2.1", "2", "2", "3"]);
}

#[test]
fn a_failed_rendering_writes_nothing() {
    let mut context = ContextWrites::default();
    let template = Template::parse("#set($context.mine = 1)$s.substring(9)");
    assert!(template.render(&Request::default(), &mut context).is_err());
    assert_eq!(context, ContextWrites::default());
}

#[test]
fn reading_writes_nothing() {
    let (_, context) =
        exchange(["$context.stage $context.requestOverride.header.x $context.keySet()"]);
    assert_eq!(context, ContextWrites::default());
}

#[test]
fn json_arrays_stay_json_between_templates() {
    let mut context = ContextWrites::default();
    let request = Request { body: r#"[{"a":1}]"#, ..Request::default() };
    let set = Template::parse("#set($context.all = $input.path('$'))");
    set.render(&request, &mut context).expect("renders");
    let read = Template::parse("$context.all").render(&request, &mut context);
    assert_eq!(read.as_deref(), Ok(r#"[{"a":1}]"#));
}

#[test]
fn stage_variables_are_read_by_every_spelling() {
    check(&[
        (
            "$stageVariables.host $stageVariables['a-b'] ${stageVariables['host']} $stageVariables.get('a-b')",
            "example.org c example.org c",
        ),
        ("[$stageVariables.none][$stageVariables['none'].length()]", "[][]"),
        (
            "#foreach($k in $stageVariables.keySet())$k=$stageVariables[$k] #end",
            "host=example.org a-b=c ",
        ),
        ("$stageVariables", "{host=example.org, a-b=c}"),
        ("#macro(m $stageVariables)$stageVariables#end#m('own')", "own"),
        ("#set($context = 'own')$context.length()", "3"),
    ]);
}
