//! Text → tree, as Velocity 1.7 reads it; text → where it can't be read and why.

mod print;

use super::parse;

fn trees(table: &[(&str, &str)]) {
    for (text, tree) in table {
        let printed = match parse(text) {
            Ok(program) => print::program(&program),
            Err(error) => error.to_string(),
        };
        assert_eq!(printed, *tree, "{text:?}");
    }
}

fn errors(table: &[(&str, &str)]) {
    for (text, message) in table {
        let error = parse(text).map(|program| print::program(&program)).unwrap_err();
        assert_eq!(error.to_string(), *message, "{text:?}");
    }
}

#[test]
fn references_are_names_with_members_calls_and_indexes() {
    trees(&[
        ("$a", r#"[R("" a "$a")]"#),
        ("${a}b", r#"[R("" a "${a}") T"b"]"#),
        ("$!a$!{b}", r#"[R("" quiet a "$!a") R("" quiet b "$!{b}")]"#),
        ("$a-b_1.c d", r#"[R("" a-b_1 .c "$a-b_1.c") T" d"]"#),
        (
            "$a.b.c(1, 'x')[0].d",
            r#"[R("" a .b .c(Integer:1, S"x") [Integer:0] .d "$a.b.c(1, 'x')[0].d")]"#,
        ),
        ("${a.b[$i]}", r#"[R("" a .b [R(i "$i")] "${a.b[$i]}")]"#),
        (r#"$a["k"][true]"#, r#"[R("" a [S"k"] [true] "$a[\"k\"][true]")]"#),
    ]);
}

#[test]
fn a_name_without_a_dollar_is_null_as_a_method_argument() {
    trees(&[("$a.b(c)", r#"[R("" a .b(NULLREF) "$a.b(c)")]"#)]);
}

#[test]
fn what_only_looks_like_a_reference_is_text() {
    trees(&[
        ("$ 1 $1 $. $[0] $-", r#"[T"$ 1 $1 $. $[0] $-"]"#),
        ("$a. b", r#"[R("" a "$a") T". b"]"#),
        ("$a.1", r#"[R("" a "$a") T".1"]"#),
        ("${", r#"[T"${"]"#),
        ("${ a}", r#"[T"${ a}"]"#),
        ("$a.b(", r#"[R("" a .b "$a.b") T"("]"#),
        ("$a(1)", r#"[R("" a "$a") T"(1)"]"#),
        ("$!.a", r#"[T".a"]"#),
        ("$! a", r#"[T"$ a"]"#),
    ]);
}

#[test]
fn backslashes_before_a_reference_are_halved_and_an_odd_one_escapes() {
    trees(&[
        (r"\$a", r#"[R("" esc a "$a")]"#),
        (r"\\$a", r#"[R("\\" a "$a")]"#),
        (r"\\\${a}", r#"[R("\\" esc a "${a}")]"#),
        (r"\$!a", r#"[R("" esc quiet a "$!a")]"#),
        (r"$\!a", r#"[T"$!a"]"#),
        (r"$\\!a.b", r#"[T"$\\!a"]"#),
        ("$$a", r#"[R("$" a "$a")]"#),
        ("#$a", r##"[R("#" a "$a")]"##),
        (r"\ \\ \x", r#"[T"\\ \\\\ \\x"]"#),
    ]);
}

#[test]
fn backslashes_before_a_directive_are_halved_and_an_odd_one_escapes() {
    trees(&[
        (r"\#if", r##"[T"#if"]"##),
        (r"\\\#foreach(", r##"[T"\\#foreach("]"##),
        (r"\#{else}", r##"[T"#{else}"]"##),
        (r"\#other \\#other", r##"[T"\\#other \\\\" CALL other()"#other"]"##),
        (r"\\#if($a)#end", r#"[T"\\" IF(R(a "$a") [])]"#),
        (r"#macro(m)#end\#m", r##"[T"#m"] MACRO m()[]"##),
        (r"\#m#macro(m)#end", r##"[T"\\#m"] MACRO m()[]"##),
    ]);
}

#[test]
fn directives_take_the_blanks_and_the_line_end_after_them() {
    trees(&[
        ("a\n  #if( $a ) \t\nb\n  #end  \nc", r#"[T"a\n  " IF(R(a "$a") [T"b\n  "]) T"c"]"#),
        ("#if($a)\r\nb#else\r\nc#end\r\n\r\n", r#"[IF(R(a "$a") [T"b"] ELSE[T"c"]) T"\r\n"]"#),
        ("#if($a) b#{else}c#{end}d", r#"[IF(R(a "$a") [T" b"] ELSE[T"c"]) T"d"]"#),
        ("#foo()  \n\nb", r##"[CALL foo()"#foo()  \n" T"\nb"]"##),
        ("#foo  \nb", r##"[CALL foo()"#foo" T"  \nb"]"##),
    ]);
}

#[test]
fn set_takes_blanks_before_it_unless_they_belong_to_a_text() {
    trees(&[
        ("  #set($a = 1)  \nb", r#"[SET(V(a), Integer:1) T"b"]"#),
        ("x  #set($a = 1)b", r#"[T"x  " SET(V(a), Integer:1) T"b"]"#),
        ("$x  #set($a = 1)", r#"[R("" x "$x") SET(V(a), Integer:1)]"#),
        ("#if($x)\n  #set  (\n$a\n=\n1\n)\n#end", r#"[IF(R(x "$x") [SET(V(a), Integer:1)])]"#),
        (
            "#{set}($a.b = 1)#set($a['k'] = 2)",
            concat!(
                r#"[SET(R(a .b "$a.b"), Integer:1) "#,
                r#"SET(R(a [S"k"] "$a['k']"), Integer:2)]"#
            ),
        ),
        // Velocity sets a variable that no reference names.
        ("#set(${a} = 1)#set($!a = 1)", "[SET(V({), Integer:1) SET(V(!a), Integer:1)]"),
    ]);
}

#[test]
fn comments_go_and_text_blocks_stay_as_they_are() {
    trees(&[
        ("a ## b $c #if\nd", r#"[T"a d"]"#),
        ("a##", r#"[T"a"]"#),
        ("a #* b\n #if ## *#\nc", r#"[T"a \nc"]"#),
        ("a #** b *# c", r#"[T"a  c"]"#),
        ("a #* not closed", r#"[T"a "]"#),
        ("#[[$a #if ## \\]]#b", r###"[T"$a #if ## \\b"]"###),
        ("#literal()$a #if($b)\n#end x#end", r##"[T"$a #if($b)\n#end x"]"##),
    ]);
}

#[test]
fn operators_bind_as_in_java() {
    trees(&[
        ("#if($a || $b && !$c)#end", r#"[IF(Or(R(a "$a"), And(R(b "$b"), Not(R(c "$c")))) [])]"#),
        (
            "#if(1 + 2 * 3 - 4 == 5)#end",
            concat!(
                "[IF(EQ(Subtract(Add(Integer:1, Mul(Integer:2, Integer:3)), ",
                "Integer:4), Integer:5) [])]"
            ),
        ),
        (
            "#if((1 + 2) % 3 ne 4 / 5)#end",
            concat!(
                "[IF(NE(Mod(Add(Integer:1, Integer:2), Integer:3), ",
                "Div(Integer:4, Integer:5)) [])]"
            ),
        ),
        (
            "#if(1 lt 2 and not 3 ge 4)#end",
            concat!("[IF(And(LT(Integer:1, Integer:2), ", "GE(Not(Integer:3), Integer:4)) [])]"),
        ),
        (
            "#if($a)1#elseif($b)2#elseif($c)3#else 4#end",
            concat!(
                r#"[IF(R(a "$a") [T"1"] ELIF(R(b "$b") [T"2"]) "#,
                r#"ELIF(R(c "$c") [T"3"]) ELSE[T" 4"])]"#
            ),
        ),
    ]);
}

#[test]
fn literals_are_java_values() {
    trees(&[
        (
            "#set($a = [1, -2147483649, 9223372036854775808])",
            "[SET(V(a), ObjectArray(Integer:1, Long:-2147483649, BigInteger:9223372036854775808))]",
        ),
        (
            "#set($a = [1.5, .5, 1e400])",
            "[SET(V(a), ObjectArray(Double:3ff8000000000000, Double:3fe0000000000000, Double:7ff0000000000000))]",
        ),
        (
            "#set($a = {'k': $b, \"l\" : [] })",
            r#"[SET(V(a), Map(S"k", R(b "$b"), S"l", ObjectArray()))]"#,
        ),
        (
            "#set($a = {})#set($a = { })#set($a = {'k':$b})",
            r#"[SET(V(a), Map()) SET(V(a), Map()) SET(V(a), Map(S"k", R(b "$b")))]"#,
        ),
        (
            "#set($a = [1..$n])#set($a = [ $b .. -1 ])",
            concat!(
                r#"[SET(V(a), IntegerRange(Integer:1, R(n "$n"))) "#,
                r#"SET(V(a), IntegerRange(R(b "$b"), Integer:-1))]"#
            ),
        ),
        ("#set($a = true)#set($a = false)", "[SET(V(a), true) SET(V(a), false)]"),
    ]);
}

#[test]
fn double_quoted_strings_with_references_or_directives_are_templates() {
    trees(&[
        (r#"#set($a = "a b")"#, r#"[SET(V(a), S"a b")]"#),
        (r#"#set($a = '$b #c \n it''s "x"')"#, r##"[SET(V(a), S"$b #c \\n it's \"x\"")]"##),
        (r#"#set($a = "$b c ")"#, r#"[SET(V(a), I[R("" b "$b") T" c "])]"#),
        (r#"#set($a = "$")"#, r#"[SET(V(a), S"$")]"#),
        (r#"#set($a = "say ""$b""")"#, r#"[SET(V(a), I[T"say \"" R("" b "$b") T"\""])]"#),
        (r##"#set($a = "#if($b)c#end")"##, r#"[SET(V(a), I[IF(R(b "$b") [T"c"])])]"#),
        (r#"#set($a = "bc#* d")"#, r#"[SET(V(a), S"b")]"#),
        (r#"#set($a = "b ## c")"#, r#"[SET(V(a), S"b ")]"#),
        (r#"#set($a = "\u0041\u00e9\uD83D\uDE00\uD83D!")"#, "[SET(V(a), S\"Aé😀\u{fffd}!\")]"),
        (r#"#set($a = "\u0024b \n \")"#, r#"[SET(V(a), S"$b \\n \\")]"#),
    ]);
}

#[test]
fn velocitys_directives_have_nodes_of_their_own() {
    trees(&[
        ("#foreach($i in $l)\n$i#end", r#"[FOREACH(i R(l "$l") [R("" i "$i")])]"#),
        (
            "#foreach( ${i} in [1..2] )#break#end",
            "[FOREACH(i IntegerRange(Integer:1, Integer:2) [BREAK()])]",
        ),
        ("#break($foreach)#stop#stop()", r#"[BREAK(R(foreach "$foreach")) STOP() STOP()]"#),
        ("#define($d)x$y#end", r#"[DEFINE(d [T"x" R("" y "$y")])]"#),
        ("#evaluate('$a')#evaluate($b)", r#"[EVALUATE(S"$a") EVALUATE(R(b "$b"))]"#),
    ]);
}

#[test]
fn macros_are_collected_wherever_they_stand_and_the_first_of_a_name_stays() {
    trees(&[
        ("a#macro(m $p, $q)\nx$p#end\nb", r#"[T"ab"] MACRO m(p,q)[T"x" R("" p "$p")]"#),
        ("#macro(m)1#end#macro(m)2#end", r#"[] MACRO m()[T"1"]"#),
        (
            "#if($a)#macro(m)#macro(n)1#end#end#end",
            r#"[IF(R(a "$a") [])] MACRO m()[] MACRO n()[T"1"]"#,
        ),
        (r##"#set($a = "#macro(m)1#end")"##, r#"[SET(V(a), S"")] MACRO m()[T"1"]"#),
    ]);
}

#[test]
fn calls_keep_their_text() {
    trees(&[
        ("#m#{n}o", r##"[CALL m()"#m" CALL n()"#{n}" T"o"]"##),
        (
            "#m( $a, 'b' 1 w)",
            concat!(
                r##"[CALL m(R(a "$a")="$a", S"b"="'b'", Integer:1="1", Ww="w")"##,
                r##""#m( $a, 'b' 1 w)"]"##
            ),
        ),
        ("#@m($a)x#end\ny", r##"[CALL @m(R(a "$a")="$a")"#@m($a)x#end\n"[T"x"] T"y"]"##),
        ("#@m x #1 # #{1}", r##"[T"#@m x #1 # #{1}"]"##),
    ]);
}

#[test]
fn errors_say_where_and_what() {
    errors(&[
        ("a\n #end", "line 2, column 2: found `#end` without a directive that it closes"),
        ("#else", "line 1, column 1: found `#else` without `#if`"),
        ("é #if($a) b", "line 1, column 3: `#if` is not closed by `#end`"),
        ("#foreach($a in $b)#else#end", "line 1, column 19: found `#else` without `#if`"),
        (
            "#if($a",
            "line 1, column 7: found the end of the template where an operator or `)` is expected",
        ),
        ("#if $a", "line 1, column 5: found `$a` where `(` is expected"),
        ("#if()#end", "line 1, column 5: found `)` where a value is expected"),
        ("#set($a = \"b)\r\n\r\n", "line 1, column 11: the string that starts here is not closed"),
        ("#set($a == 1)", "line 1, column 9: found `==` where `=` is expected"),
        ("#set(a = 1)", "line 1, column 6: found `a` where a reference is expected"),
        ("#set($a = 1-2)", "line 1, column 12: found `-2` where an operator or `)` is expected"),
        ("#set($a = ;)", "line 1, column 11: `;` is not allowed here"),
        ("$a.b( )", "line 1, column 7: found `)` where a value is expected"),
        (
            "$a[1.5]",
            "line 1, column 4: found `1.5` where a string, an integer or a reference is expected",
        ),
        ("#parse('a')", "line 1, column 1: #parse is not available in mapping templates"),
        ("#include('a')", "line 1, column 1: #include is not available in mapping templates"),
        (
            "#macro('m')#end",
            "line 1, column 8: found `'m'` where the macro's name, without quotes, is expected",
        ),
        ("#macro", "line 1, column 1: `#macro` needs arguments: `(`"),
        (
            "#break(a)",
            "line 1, column 8: found `a` where a value as an argument of `#break` is expected",
        ),
        (
            "#foreach($a)#end",
            "line 1, column 1: `#foreach` needs a reference, `in` and a collection",
        ),
        ("#[[a", "line 1, column 1: `#[[` is not closed by `]]#`"),
        ("a $", "line 1, column 3: text can't end with `$` or `#`, or right after `#*`"),
        ("#set($a = \"\n#if($b)\")", "line 2, column 1: `#if` is not closed by `#end`"),
        ("#set($a = \"$b.c( )\")", "line 1, column 18: found `)` where a value is expected"),
        (
            r#"#set($a = "\u12")"#,
            "line 1, column 11: in this string, `\\u` is not followed by four hexadecimal digits",
        ),
    ]);
}

#[test]
fn nesting_has_a_bound() {
    let nested = |count: usize, open: &str, inner: &str, close: &str| {
        parse(&[&open.repeat(count), inner, &close.repeat(count)].concat()).is_ok()
    };
    assert!(nested(100, "#if($a)", "x", "#end"));
    assert!(!nested(101, "#if($a)", "x", "#end"));
    assert!(nested(49, "$a.b([", "1", "])") && !nested(51, "$a.b([", "1", "])"));
    for open in
        ["#if($a)", "$a.b(", "#set($a = (", "#set($a = [", "#set($a = {'k':", "$a[$", "#@m()"]
    {
        assert!(!nested(40_000, open, "", ""), "{open}");
    }
    let chain = |operator: &str, count| {
        parse(&format!("#set($a = {}1)", format!("1{operator}").repeat(count))).is_ok()
    };
    assert!(chain(" + ", 150) && !chain(" + ", 50_000));
    assert!(chain(" && ", 50_000) && chain(" || ", 50_000));
}

#[test]
fn parsing_takes_time_by_the_length_of_the_text() {
    let runs = [
        "$",
        "#",
        "\\",
        "(",
        "\"",
        "'",
        "$!",
        "${",
        "#{",
        "#foo   ",
        "\\\\#{a",
        "$a.b",
        "$a#**#",
        "$\\",
        "#m(1)",
        "#set($a = 1)",
        "##\n",
        "#foreach($x in $y)",
        "#literal()",
        "$a.b\t#set",
    ];
    for unit in runs {
        let _ = parse(&unit.repeat(300_000 / unit.len()));
    }
    for mixed in [
        "$a.b".repeat(40_000) + &" ".repeat(140_000),
        "\\".repeat(150_000) + "#{" + &"a".repeat(149_000),
    ] {
        assert!(parse(&mixed).is_ok());
    }
}
