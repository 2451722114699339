//! The cases of the reference that were recorded on AWS.

use super::Request;
use crate::{ContextWrites, Template};

#[test]
fn recorded_templates_render_as_recorded() {
    for (body, template, expected) in [
        (r#"{"a":[{"b":1}]}"#, "$input.path('$.a')", r#"[{"b":1}]"#),
        (r#"{"a":{"b":1}}"#, "$input.path('$.a')", "{b=1}"),
        (r#"{"a":"x"}"#, "$input.json('$.a')", r#""x""#),
        (r#"{"a":"x"}"#, "$input.path('$.a')", "x"),
        ("", "Action=S&M=$input.body", "Action=S&M={}"),
        ("", "$util.urlEncode($input.body)", "%7B%7D"),
        ("some raw data", "$util.urlEncode($input.body)", "some+raw+data"),
        ("", "[$undefinedVar]", "[]"),
        (
            r#"{"errorMessage":"{\"k\":{\"arr\":[1,2]}}"}"#,
            "#set($o=$util.parseJson($input.path('$.errorMessage')))$o.k.arr[0]",
            "1",
        ),
        (r#"{"things":{"1":{},"2":{}}}"#, "$input.path('$.things').size()", "2"),
    ] {
        let request = Request { body, ..Request::default() };
        assert_eq!(request.render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn a_status_set_by_the_request_template_is_the_clients() {
    let mut context = ContextWrites::default();
    let template =
        Template::parse("#set($context.responseOverride.status = 444){\"statusCode\":200}");
    let rendered = template.render(&Request::default(), &mut context);
    assert_eq!(rendered.as_deref(), Ok("{\"statusCode\":200}"));
    assert_eq!(context.response_status(), Some(444));
}

#[test]
fn objects_print_as_java_has_them_and_arrays_as_json() {
    let body = r#"{"foo":"bar","a":[{"nested":"bar"}],"n":1.5,"t":true,"e":[],"o":{"l":[1]}}"#;
    let request = Request { body, ..Request::default() };
    for (template, expected) in [
        ("$input.path('$.a')", r#"[{"nested":"bar"}]"#),
        ("$input.path('$.o')", "{l=[1]}"),
        ("$input.path('$.a')[0]", "{nested=bar}"),
        ("$input.path('$.a').toString()", r#"[{"nested":"bar"}]"#),
        ("#set($m = {\"k\": \"v\"})$m", "{k=v}"),
        ("$input.path('$.missing')", ""),
        ("$input.path('$.e')", "[]"),
        ("$input.path('$.foo') $input.path('$.n') $input.path('$.t')", "bar 1.5 true"),
    ] {
        assert_eq!(request.render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn null_is_empty_and_equals_the_empty_string() {
    let request = Request { body: r#"{"empty":[]}"#, ..Request::default() };
    for (template, expected) in [
        ("#set($x = $input.path('$.none'))#if($x == $null)a#end#if($x == \"\")b#end", "ab"),
        ("#set($x = $input.path('$.none'))#if($x != \"\")a#end#if(\"\" == $x)b#end", "b"),
        ("#set($x = $input.path('$.empty'))#if($x == $null)a#end#if($x == \"\")b#end", ""),
        ("#if($null == \"a\")a#end#if($null == 0)b#end#if($null == false)c#end", ""),
        ("#set($x = \"$undefined\")[$x]", "[]"),
        ("[$!undefined][${undefined}][$!{undefined}][$undefined.a.b()]", "[][][][]"),
        ("#set($x = 1)#set($x = $null)[$x]", "[]"),
        ("#set($x = 'a' + $null)[$x]", "[a]"),
    ] {
        assert_eq!(request.render(template).as_deref(), Ok(expected), "{template}");
    }
}
