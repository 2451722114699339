//! No template runs for long, takes much memory or overflows the stack.

use super::{Request, check, check_failures};

#[test]
fn loops_run_a_thousand_times_together() {
    check(&[("#foreach($i in [1..1000])#end", "")]);
    check_failures(&[
        ("#foreach($i in [1..1001])#end", "1000 times"),
        ("#foreach($i in [1..100])#foreach($j in [1..100])#end#end", "1000 times"),
        ("#foreach($i in [-2147483648..2147483647])#end", "1000 times"),
    ]);
}

#[test]
fn memory_is_bounded() {
    check_failures(&[
        ("#set($x = [1..2147483647])", "bytes"),
        ("#set($x = 'aaaaaaaa')#foreach($i in [1..100])#set($x = $x + $x)#end", "bytes"),
        ("#set($x = 'aaaaaaaa')#foreach($i in [1..100])#set($x = \"$x$x\")#end", "bytes"),
        (
            "#set($x = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')\
             #foreach($i in [1..14])#set($x = $x + $x)#end#foreach($i in [1..100])$x#end",
            "bytes",
        ),
        ("#set($x = 9)#foreach($i in [1..100])#set($x = $x * $x)#end", "steps"),
    ]);
}

#[test]
fn recursion_is_bounded() {
    check_failures(&[
        ("#macro(r $n)#set($k=$n+1)#r($k)#end#r(1)", "20 macros"),
        ("#set($t = '#evaluate($t)')#evaluate($t)", "20 macros"),
        ("#define($a)$b#end#define($b)$c#end#macro(m)$a#m()#end#m()", "20 macros"),
    ]);
}

#[test]
fn lists_within_lists_are_freed_without_recursion() {
    let line = "#set($x=[$x])".repeat(30);
    let template = format!("#foreach($i in [1..1000]){line}#end$x.size()");
    assert_eq!(Request::default().render(&template).as_deref(), Ok("1"));
}

/// The deepest template that can be written, as deep as macros call each other.
#[test]
fn nesting_is_bounded_while_rendering() {
    let open = "#if($s)".repeat(60);
    let close = "#end".repeat(60);
    let template = format!("#macro(r){open}#r(){close}#end#r()");
    let error = Request::default().render(&template).expect_err("too deep");
    assert!(error.message.contains("within each other"), "{error}");
    let open = "$m.get(".repeat(40);
    let close = ")".repeat(40);
    let template = format!("#macro(r $a)#r({open}$a{close})#end#r($s)");
    let error = Request::default().render(&template).expect_err("too deep");
    assert!(error.message.contains("within each other"), "{error}");
}

#[test]
fn steps_are_bounded() {
    let body = "$s".repeat(3_000);
    let template = format!("#foreach($i in [1..1000]){body}#end");
    let error = Request::default().render(&template).expect_err("too long");
    assert!(error.message.contains("steps"), "{error}");
}

#[test]
fn many_evaluated_texts_are_freed_without_recursion() {
    let template = format!("#foreach($i in [1..1000]){}#end", "#evaluate('')".repeat(20));
    assert_eq!(Request::default().render(&template).as_deref(), Ok(""));
}
