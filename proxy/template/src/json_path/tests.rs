use super::{JsonBody, JsonBodyError, JsonPath};
use crate::json;
use crate::limits::{Budget, LimitExceeded};
use crate::value::Value;

const STORE: &str = r#"{
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "title": "Sayings", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword", "price": 12.99},
            {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553", "price": 8.99, "tags": ["sea", "whale"]},
            {"category": "fiction", "author": "J. R. R. Tolkien", "title": "Rings", "isbn": "0-395", "price": 22.99, "tags": []}
        ],
        "bicycle": {"color": "red", "price": 19.95}
    },
    "expensive": 10,
    "n": [1, 2, 3, 4, 5],
    "odd names": {"a.b": 1, "a b": 2, "it's": 3, "é-ü": 4, "": 5, "0": 6, "*": 7, "a\"b": 8},
    "mixed": [1, "1", 1.0, true, null, "x", [1], {"a": 1}],
    "nothing": null
}"#;

/// What a path finds, as JSON; `none` for a definite path that finds nothing.
fn find(document: &str, path: &str) -> String {
    let mut budget = Budget::default();
    let root = json::parse(document, &mut budget).expect("no limit").expect("JSON");
    let path = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    match path.evaluate(&root, &mut budget).expect("no limit") {
        None => "none".to_owned(),
        Some(value) => {
            let mut out = String::new();
            json::write(&value, &mut out, &mut budget).expect("no limit");
            out
        }
    }
}

fn check(document: &str, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(find(document, path), *expected, "{path}");
    }
}

#[test]
fn definite_paths_find_one_value() {
    check(
        STORE,
        &[
            ("$.expensive", "10"),
            ("expensive", "10"),
            (" $.expensive ", "10"),
            ("@.expensive", "10"),
            ("$['expensive']", "10"),
            ("$[\"expensive\"]", "10"),
            ("$[ 'expensive' ]", "10"),
            ("['expensive']", "10"),
            ("$.['expensive']", "10"),
            ("$.store.book[0].title", "\"Sayings\""),
            ("$.store.book[-1].title", "\"Rings\""),
            ("$.store.book[-4]['title']", "\"Sayings\""),
            ("$.store.book[4]", "none"),
            ("$.store.book[-5]", "none"),
            ("$.store.book.title", "none"),
            ("$.store[0]", "none"),
            ("$.expensive.x", "none"),
            ("$.none", "none"),
            ("$.none.x[1]", "none"),
            ("$.nothing", "null"),
            ("$.nothing.x", "none"),
            ("$.n", "[1,2,3,4,5]"),
            ("$.store.bicycle['color','price']", r#"{"color":"red","price":19.95}"#),
            ("$.store.bicycle['color','none']", r#"{"color":"red"}"#),
            ("$.expensive['a','b']", "none"),
        ],
    );
    assert_eq!(find("[[1, [2]]]", "$[0][1][0]"), "2");
    assert_eq!(find("[7]", "[0]"), "7");
    assert_eq!(find("7", "$"), "7");
    assert_eq!(find("null", "$"), "none");
    assert_eq!(find("null", "$.*"), "none");
}

#[test]
fn names_may_hold_anything_in_brackets() {
    check(
        STORE,
        &[
            ("$['odd names']['a.b']", "1"),
            ("$['odd names'][\"a b\"]", "2"),
            ("$['odd names']['it\\'s']", "3"),
            ("$['odd names'][\"it's\"]", "3"),
            ("$['odd names'].é-ü", "4"),
            ("$['odd names']['\\u00e9-\\u00fc']", "4"),
            ("$['odd names']['']", "5"),
            ("$['odd names'].0", "6"),
            ("$['odd names']['*']", "7"),
            ("$['odd names']['a\"b']", "8"),
            ("$['odd names']['a b','0']", r#"{"a b":2,"0":6}"#),
        ],
    );
}

#[test]
fn wildcards_slices_and_unions_find_lists() {
    check(
        STORE,
        &[
            ("$.n[*]", "[1,2,3,4,5]"),
            ("$.n.*", "[1,2,3,4,5]"),
            ("$.n[ * ]", "[1,2,3,4,5]"),
            ("$.n[0,2]", "[1,3]"),
            ("$.n[0, -1, 9]", "[1,5]"),
            ("$.n[1:3]", "[2,3]"),
            ("$.n[:2]", "[1,2]"),
            ("$.n[2:]", "[3,4,5]"),
            ("$.n[-2:]", "[4,5]"),
            ("$.n[:-2]", "[1,2,3]"),
            ("$.n[-3:-1]", "[3,4]"),
            ("$.n[1:-1]", "[]"),
            ("$.n[3:1]", "[]"),
            ("$.n[3:99]", "[4,5]"),
            ("$.n[-99:]", "[1,2,3,4,5]"),
            ("$.n[9:]", "[]"),
            ("$.n[0:4:2]", "[1,2,3,4]"),
            ("$.none[*]", "[]"),
            ("$.none", "none"),
            ("$.store.none[?(@.a)]", "[]"),
            ("$.store.book[*].none[*]", "[]"),
            ("$.expensive[*]", "[]"),
            ("$.expensive[0,1]", "none"),
            ("$.store.bicycle.*", r#"["red",19.95]"#),
            ("$.store.book[*].price", "[8.95,12.99,8.99,22.99]"),
            ("$.store.book[*].isbn", r#"["0-553","0-395"]"#),
            ("$.store.book[0:2]['title']", r#"["Sayings","Sword"]"#),
            (
                "$.store.book[0:2]['title','price']",
                r#"[{"title":"Sayings","price":8.95},{"title":"Sword","price":12.99}]"#,
            ),
            ("$.store.book[*].tags[0]", r#"["sea"]"#),
            ("$['store','none'].bicycle.color", r#"["red"]"#),
            ("$.mixed[*].a", "[1]"),
        ],
    );
}

#[test]
fn deep_scans_find_all_below() {
    check(
        STORE,
        &[
            ("$..price", "[8.95,12.99,8.99,22.99,19.95]"),
            ("$..['price']", "[8.95,12.99,8.99,22.99,19.95]"),
            (".price", "[8.95,12.99,8.99,22.99,19.95]"),
            ("$.store..color", r#"["red"]"#),
            ("$..none", "[]"),
            ("$..book[0].title", r#"["Sayings"]"#),
            ("$..tags[1]", r#"["whale"]"#),
            ("$..tags..*", r#"["sea","whale"]"#),
            ("$..bicycle['color','price']", r#"[{"color":"red","price":19.95}]"#),
        ],
    );
    check(
        r#"{"a": [[1, 2], {"b": [3]}], "c": 4}"#,
        &[
            ("$..*", r#"[[[1,2],{"b":[3]}],4,[1,2],{"b":[3]},1,2,[3],3]"#),
            ("$..[0]", "[[1,2],1,3]"),
            ("$..[*]", r#"[[[1,2],{"b":[3]}],4,[1,2],{"b":[3]},1,2,[3],3]"#),
            ("$..[0:1]", "[[1,2],1,3]"),
            ("$.a..b[0]", "[3]"),
        ],
    );
    // Jayway tries what follows an index on every item.
    assert_eq!(find(r#"[{"a": 1}, {"a": 2}]"#, "$..[0].a"), "[1,2]");
}

#[test]
fn filters_choose_items() {
    const ITEMS: &str = r#"[
        {"id": 1, "s": "abc", "t": ["x", "y"], "b": true, "o": {"k": 1}},
        {"id": 2.0, "s": "ABC", "t": [], "b": false, "z": null},
        {"id": "3", "s": "", "o": {}},
        {"id": 40, "s": "it's", "t": ["y"]},
        5
    ]"#;
    for (filter, ids) in [
        ("@.id == 1", "[1]"),
        ("@.id==2", "[2.0]"),
        ("@.id == 3", r#"["3"]"#),
        ("@.id === 3", "[]"),
        ("@.id == '1'", "[1]"),
        ("1 == @.id", "[1]"),
        ("@.id != 1", r#"[2.0,"3",40]"#),
        ("@.id > 1", "[2.0,40]"),
        ("@.id >= 2 && @.id < 40", "[2.0]"),
        ("@.id <= 2", "[1,2.0]"),
        ("@.id < 2 || @.id > 2", "[1,40]"),
        ("(@.id < 2 || @.id > 2) && @.b", "[1]"),
        ("@.id < 2 || @.id > 2 && @.none", "[1]"),
        ("@.s > 'B'", "[1,40]"),
        ("@.s == \"abc\"", "[1]"),
        ("@.s == 'it\\'s'", "[40]"),
        ("@.s =~ /a.*/", "[1]"),
        ("@.s =~ /A.C/i", "[1,2.0]"),
        ("@.s =~ /b/", "[]"),
        ("@.t =~ /y/", "[1,40]"),
        ("@.b == true", "[1]"),
        ("@.b == false", "[2.0]"),
        ("@.b", "[1,2.0]"),
        ("!@.b", r#"["3",40]"#),
        ("!(@.b == true)", r#"[2.0,"3",40]"#),
        ("@.z", "[2.0]"),
        ("@.z == null", "[2.0]"),
        ("@['s'] == 'abc'", "[1]"),
        ("@.s in ['abc', 'it\\'s']", "[1,40]"),
        ("@.s nin ['abc', '']", "[2.0,40]"),
        ("@.id in [1, 40]", "[1,40]"),
        ("@.s in [abc]", "[1]"),
        ("@.t contains 'x'", "[1]"),
        ("@.s contains 'b'", "[1]"),
        ("@.t subsetof ['x','y','z']", "[1,2.0,40]"),
        ("@.t anyof ['x','z']", "[1]"),
        ("@.t noneof ['x','z']", "[2.0,40]"),
        ("@.t all ['y']", "[1,40]"),
        ("@.t size 2", "[1]"),
        ("@.s size 3", "[1,2.0]"),
        ("@.t empty true", "[2.0]"),
        ("@.s empty false", "[1,2.0,40]"),
        ("@.o empty true", r#"["3"]"#),
        ("@.o == {'k': 1}", "[1]"),
        ("@.t == ['x', 'y']", "[1]"),
        ("@.t[0] == 'x'", "[1]"),
        ("@.t[?(@ == 'y')] size 1", "[1,40]"),
        ("@.t.length() > 1", "[1]"),
        ("@.o.k", "[1]"),
        ("@.id == $[0].id", "[1]"),
        ("@.id > $[0].id", "[2.0,40]"),
        ("@.none == @.none", "[]"),
        ("@.none != 1", r#"[1,2.0,"3",40]"#),
    ] {
        assert_eq!(find(ITEMS, &format!("$[?({filter})].id")), ids, "{filter}");
    }
    assert_eq!(find("[1, 5, \"5\", null]", "$[?(@ > 1)]"), "[5]");
    assert_eq!(find("[1, 5, \"5\", null]", "$[?(@ == null)]"), "[null]");
    assert_eq!(find(r#"{"a": 1}"#, "$[?(@.a == 1)]"), r#"[{"a":1}]"#);
    assert_eq!(
        find(STORE, "$..book[?(@.price < $.expensive)].title"),
        r#"["Sayings","Moby Dick"]"#
    );
    assert_eq!(find(STORE, "$..[?(@.isbn)].price"), "[8.99,22.99]");
    assert_eq!(find(STORE, "$.expensive[?(@.a)]"), "none");
}

#[test]
fn functions_end_a_path() {
    check(
        STORE,
        &[
            ("$.n.sum()", "15.0"),
            ("$.n.min()", "1.0"),
            ("$.n.max()", "5.0"),
            ("$.n.avg()", "3.0"),
            ("$.n.stddev()", "1.4142135623730951"),
            ("$.n.length()", "5"),
            ("$.n.size()", "5"),
            ("$.store.length()", "2"),
            ("$.expensive.length()", "null"),
            ("$.store.bicycle.keys()", r#"["color","price"]"#),
            ("$.n.keys()", "null"),
            ("$..price.sum()", "73.87"),
            ("$..price.max()", "22.99"),
            ("$.store.book[*].tags.length()", "[2,0]"),
            ("$.mixed.max()", "1.0"),
            ("$.store.max()", "none"),
            ("$.mixed[5].max()", "none"),
            ("$.concat($.store.bicycle.color, '-', \"x\")", r#""red-x""#),
            ("$.store.book[2].tags.concat()", r#""seawhale""#),
            ("$.sum($.expensive, 5, $.n[*])", "30.0"),
            ("$.length($.n)", "5"),
        ],
    );
}

#[test]
fn definite_is_what_names_at_most_one_value() {
    for (path, definite) in [
        ("$", true),
        ("$.a[0]['b']", true),
        ("a.b", true),
        ("$['a','b']", true),
        ("$['a','b'].c", false),
        ("$.a.length()", true),
        ("$..a.sum()", true),
        ("$.a[*].sum()", false),
        ("$.a[*]", false),
        ("$.*", false),
        ("$..a", false),
        ("$[0,1]", false),
        ("$[1:]", false),
        ("$[?(@.a)]", false),
    ] {
        assert_eq!(JsonPath::parse(path).expect(path).is_definite(), definite, "{path}");
    }
}

#[test]
fn a_path_that_is_wrong_is_refused_with_its_place() {
    for (path, position) in [
        ("", 1),
        ("  ", 1),
        ("$.", 3),
        ("$..", 4),
        ("$...a", 4),
        ("$a", 2),
        ("$é", 2),
        ("a.", 3),
        ("$.a b", 4),
        ("$.a..", 6),
        ("$[", 2),
        ("$[]", 2),
        ("$[a]", 2),
        ("$['a", 3),
        ("$['a'", 6),
        ("$['a' 'b']", 7),
        ("$['a',]", 7),
        ("$['é'", 6),
        ("$[1", 3),
        ("$[:]", 3),
        ("$[1,a]", 3),
        ("$[99999999999]", 3),
        ("$[*", 4),
        ("$[?]", 4),
        ("$[?(", 5),
        ("$[?()]", 5),
        ("$[?(@.a]", 9),
        ("$[?(@.a)", 9),
        ("$[?(@.a = 1)]", 9),
        ("$[?(@.a == )]", 12),
        ("$[?(@.a like 1)]", 9),
        ("$[?(@.a == 'x)]", 12),
        ("$[?(@.a =~ /x)]", 12),
        ("$[?(@.a =~ /(/)]", 12),
        ("$[?(@.a =~ /x/q)]", 12),
        ("$[?(1)]", 5),
        ("$[?(@.a && )]", 12),
        ("$[?(@.a == 1) || (@.b)]", 15),
        ("$.a.none()", 5),
        ("$.a.sum().b", 10),
        ("$.a.sum(", 9),
        ("$.sum($.a", 10),
        ("$.sum($.a $.b)", 11),
        ("$..sum()", 9),
    ] {
        let error = JsonPath::parse(path).expect_err(path);
        assert_eq!(error.position, position, "{path}: {error}");
    }
    let error = JsonPath::parse("$.a b").expect_err("an error").to_string();
    assert_eq!(error, "a name with a space must be written as ['my name'] at character 4");
}

#[test]
fn long_and_deep_paths_are_refused() {
    for path in [
        "a".repeat(20_000),
        "$".to_owned() + &".a".repeat(5_000),
        "$".to_owned() + &"[?(@".repeat(3_000),
        format!("$[?({})]", "(".repeat(10_000)),
        format!("$[?({}@.a)]", "!(".repeat(5_000)),
        format!("$[?({}(@.a))]", "!".repeat(10_000)),
        format!("$[?(@.a in {})]", "[".repeat(10_000)),
        format!("${}", ".sum($".repeat(2_000)),
    ] {
        assert!(JsonPath::parse(&path).is_err(), "{}", &path[..40]);
    }
}

#[test]
fn what_is_found_is_the_roots_own() {
    let mut budget = Budget::default();
    let root = json::parse(r#"{"a": {"b": [1]}}"#, &mut budget).expect("no limit").expect("JSON");
    let path = JsonPath::parse("$..b").expect("a path");
    let found = path.evaluate(&root, &mut budget).expect("no limit");
    let Some(Value::List(found)) = found else { panic!("a list") };
    let Some(Value::List(found)) = found.items.borrow().first().cloned() else { panic!("a list") };
    found.items.borrow_mut().push(Value::Null);
    let mut text = String::new();
    json::write(&root, &mut text, &mut budget).expect("no limit");
    assert_eq!(text, r#"{"a":{"b":[1,null]}}"#);
}

#[test]
fn evaluation_is_bounded() {
    let evaluate = |document: &str, path: &str| {
        let mut budget = Budget::default();
        let root = json::parse(document, &mut budget).expect("no limit").expect("JSON");
        JsonPath::parse(path).expect(path).evaluate(&root, &mut budget).map(|_| ())
    };
    let deep = "[".repeat(512) + &"]".repeat(512);
    let wide = format!("[{}]", vec!["[1,[2,[3]]]"; 300].join(","));
    let long = format!("[\"{}\"]", "a".repeat(40));
    for (document, path) in [
        (&deep, "$..*..*..*..*..*"),
        (&deep, "$..*..*[?(@..*..*)]..*"),
        (&wide, "$..*[?(1 in $..*)]"),
        (&wide, "$..[?($..[?(@..[?(@..*)] != $..*)])]"),
    ] {
        assert_eq!(evaluate(document, path), Err(LimitExceeded::Steps), "{path}");
    }
    assert_eq!(
        evaluate(&long, "$[?(@ =~ /(?=a)(a|aa)+\\1b/)]"),
        Err(LimitExceeded::RegexBacktracking)
    );
    assert_eq!(evaluate(&deep, &format!("$..*{}", "[*]".repeat(190))), Ok(()));
}

#[test]
fn a_payload_gives_text_for_parameter_mappings() {
    let body = JsonBody::parse(STORE).expect("JSON");
    for (path, expected) in [
        ("expensive", Some("10")),
        ("$.store.bicycle.color", Some("red")),
        ("store.bicycle", Some(r#"{"color":"red","price":19.95}"#)),
        ("n[0:2]", Some("[1,2]")),
        ("n[?(@ > 4)]", Some("[5]")),
        ("$..none", Some("[]")),
        ("mixed[3]", Some("true")),
        ("nothing", None),
        ("none", None),
    ] {
        let path = JsonPath::parse(path).expect(path);
        assert_eq!(path.text_in(&body).as_ref().map(Option::as_deref), Ok(expected), "{path:?}");
    }
    assert_eq!(JsonBody::parse("{").map(|_| ()), Err(JsonBodyError::NotJson));
}
