//! CloudFormation's functions and `${NAME}`, with and without values.

use tollgate_model::openapi::{ImportOptions, import};

use crate::{assert_warns, document};

/// The title that a value (YAML) gives with the parameters Name=pets, Fn.Arn=arn:x, Yes=true,
/// No=false.
fn title(value: &str) -> String {
    let text = format!("openapi: 3.0.1\ninfo: {{title: {value}}}\npaths: {{}}\n");
    let given = [("Name", "pets"), ("Fn.Arn", "arn:x"), ("Yes", "true"), ("No", "false")];
    let options = ImportOptions {
        parameters: given.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..ImportOptions::default()
    };
    import(&text, &options).unwrap_or_else(|error| panic!("{error}\n{text}")).api.name
}

#[test]
fn functions_are_resolved_in_their_long_and_short_forms() {
    for (value, expected) in [
        ("{Ref: Name}", "pets"),
        ("!Ref Name", "pets"),
        ("{Ref: 'AWS::Region'}", "us-east-1"),
        ("{'Fn::Sub': '${Name}-api'}", "pets-api"),
        ("!Sub '${Name}-${AWS::AccountId}'", "pets-000000000000"),
        ("!Sub 'arn:${AWS::Partition}:x.${AWS::URLSuffix}'", "arn:aws:x.amazonaws.com"),
        ("!Sub ['${a}-${Name}', {a: !Ref Name}]", "pets-pets"),
        ("!Sub '${!Literal} ${stageVariables.x}'", "${Literal} ${stageVariables.x}"),
        ("!GetAtt Fn.Arn", "arn:x"),
        ("{'Fn::GetAtt': [Fn, Arn]}", "arn:x"),
        ("!Join ['-', [a, !Ref Name, 3]]", "a-pets-3"),
        ("!Select [1, [a, b]]", "b"),
        ("!Select [1, !Split [',', 'a,b,c']]", "b"),
        ("!If [Yes, a, b]", "a"),
        ("!If [No, a, !Ref Name]", "pets"),
        ("!Base64 pets", "cGV0cw=="),
        ("!Select [0, !GetAZs '']", "us-east-1a"),
        ("'Fn::Name'", "Fn::Name"),
    ] {
        assert_eq!(title(value), expected, "{value}");
    }
}

#[test]
fn names_in_plain_text_are_replaced_when_they_have_a_value() {
    for (value, expected) in [
        ("'${AWS::Region} ${AWS::AccountId} ${AWS::Partition}'", "us-east-1 000000000000 aws"),
        ("'${Name}'", "pets"),
        ("'${stageVariables.Name}'", "${stageVariables.Name}"),
        ("'${unknown} ${'", "${unknown} ${"),
        ("'${AWS::StackName}'", "${AWS::StackName}"),
    ] {
        assert_eq!(title(value), expected, "{value}");
    }
}

#[test]
fn what_has_no_value_becomes_a_placeholder_of_its_kind_and_a_warning() {
    let uri = "!Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations'";
    let text = document(&format!(
        "paths: {{/pets: {{get: {{x-amazon-apigateway-integration: \
         {{type: aws_proxy, uri: {uri}, credentials: !GetAtt Role.Arn}}}}}}}}\n"
    ));
    let integration = crate::method(&text).integration.expect("an integration");
    assert_eq!(
        integration.uri.as_deref(),
        Some(
            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
             arn:aws:lambda:us-east-1:000000000000:function:F/invocations"
        )
    );
    let role = "arn:aws:iam::000000000000:role/Role";
    assert_eq!(integration.credentials.as_deref(), Some(role));
    assert_warns(&text, &["GET /pets", "Fn::Sub ${F.Arn}", "--param F.Arn=VALUE"]);
    assert_warns(&text, &["GET /pets", "Fn::GetAtt Role.Arn", "--param Role.Arn=VALUE"]);
}

#[test]
fn a_uri_without_any_value_still_has_the_form_its_type_needs() {
    let uri = |keys: &str| crate::integration(keys).uri.unwrap_or_default();
    assert_eq!(uri("type: http_proxy, uri: !Ref Backend"), "http://Backend");
    assert_eq!(uri("type: http_proxy, uri: !Sub 'https://${Backend}/x'"), "https://Backend/x");
    assert_eq!(
        uri("type: aws_proxy, uri: !Ref F"),
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
         arn:aws:lambda:us-east-1:000000000000:function:F/invocations"
    );
}

#[test]
fn a_terraform_name_stays_and_warns_where_it_matters() {
    let text = crate::with_integration("type: aws_proxy, uri: '${lambda_arn}'");
    let integration = crate::method(&text).integration.expect("an integration");
    assert_eq!(integration.uri.as_deref(), Some("${lambda_arn}"));
    assert_warns(&text, &["GET /pets", "${lambda_arn}", "--param lambda_arn=VALUE"]);
    let elsewhere = document("paths: {}\nx-note: '${lambda_arn}'\n");
    assert!(!crate::warnings(&elsewhere).iter().any(|warning| warning.contains("no value")));
}

#[test]
fn a_variable_that_a_template_sets_is_no_missing_name() {
    let set = "type: mock, requestTemplates: {a/b: '#set($x = 1)${x} ${input.body}'}";
    assert!(crate::warnings(&crate::with_integration(set)).is_empty());
    let unset = "type: mock, requestTemplates: {a/b: '${queue_url}'}";
    assert_warns(&crate::with_integration(unset), &["${queue_url}", "no value"]);
}

#[test]
fn no_value_removes_its_key() {
    let keys = "type: mock, credentials: !Ref 'AWS::NoValue', contentHandling: !If [Yes, !Ref 'AWS::NoValue', x]";
    let integration = crate::integration(keys);
    assert_eq!((integration.credentials, integration.content_handling), (None, None));
}

#[test]
fn an_unknown_condition_is_taken_as_true_with_a_warning() {
    let text = crate::with_integration("type: mock, cacheNamespace: !If [IsProd, a, b]");
    let integration = crate::method(&text).integration.expect("an integration");
    assert_eq!(integration.cache_namespace.as_deref(), Some("a"));
    assert_warns(&text, &["Fn::If IsProd", "--param IsProd=true or false"]);
}

#[test]
fn a_malformed_function_stays_with_a_warning() {
    let text = document("paths: {}\nx-amazon-apigateway-documentation: {a: !Join [x]}\n");
    assert_warns(&text, &["x-amazon-apigateway-documentation", "Fn::Join", "left as it is"]);
}

#[test]
fn an_unknown_tag_is_dropped_with_a_warning() {
    assert_warns(&document("paths: {}\nx-a: !Foo b\n"), &["line 4", "!Foo", "unknown YAML tag"]);
}

#[test]
fn a_schema_property_called_ref_is_no_function() {
    let schema = "{type: object, properties: {Ref: {type: string}}}";
    let text = document(&format!("paths: {{}}\ncomponents: {{schemas: {{Pet: {schema}}}}}\n"));
    let properties = &crate::api(&text).models["Pet"].schema["properties"];
    assert_eq!(properties["Ref"]["type"], "string");
}
