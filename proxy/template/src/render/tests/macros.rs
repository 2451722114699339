//! Macros: arguments by name, bodies, and what they set.

use super::{check, check_failures};

#[test]
fn arguments_are_evaluated_each_time_they_are_used() {
    check(&[
        ("#macro(m1 $a)$a#set($q=2)$a#end#set($q=1)#m1($q)#m1(\"$q+\")", "122+2+"),
        ("#macro(foo $x)#set($y=1)$x#end#foo(\"$y\")#foo(\"$y\")", "11"),
        // In the macro's own frame what it set stands before what the caller sets.
        ("#macro(foo $x)#set($y=1)$x$y#end#foo(\"#set($y=2)\")$y", "12"),
        ("#macro(foo $a)$a.size()#set($a[0]=7)$a#end#foo([1,2])", "2[1, 2]"),
        ("#macro(foo $a)#foo2($a)#end#macro(foo2 $a)$a#end#foo('k')#foo($nul)", "k"),
        ("#macro(m $a)#foreach($i in [1..2])$a#end#end#m($i)", "12"),
    ]);
}

#[test]
fn what_a_macro_sets_is_set_for_its_callers() {
    check(&[
        ("#macro(m1 $a)#set($a=9)$a#end#set($q=1)#m1($q)$q $a", "91 9"),
        ("#macro(foo $a)#bar($a)#end#macro(bar $b)$b#set($b=3)$b#end#set($q=1)#foo($q)$q", "131"),
        ("#macro(m $a)#set($a='n')$a#end#m($s)$s", "nstr"),
        ("#macro(m $a)#set($a=$nul)[$a]#end#m($s)$s", "[]str"),
        ("#macro(foo $a)#foreach($a in [1..2])$a#end$a#end#set($z=5)#foo($z)$z", "1255"),
    ]);
}

#[test]
fn missing_arguments_are_the_callers_variables_and_further_ones_are_ignored() {
    check(&[
        ("#macro(m1 $a $b)[$a,$b]#end#m1('x')#set($b = 1)#m1('x')", "[x,][x,1]"),
        ("#macro(m1 $a $b)$a,$b#end#m1('x' 'y' 'z')", "x,y"),
        ("#macro(m1 $a $b)[$a,$b]#end#m1($q 'x')", "[,x]"),
    ]);
}

#[test]
fn the_first_definition_counts_wherever_it_stands() {
    check(&[
        ("#macro(q)A#end#macro(q)B#end#q()", "A"),
        ("#q()#macro(q)A#end", "A"),
        ("#undefinedmacro($x 'a') z", "#undefinedmacro($x 'a') z"),
        ("#@undef('x') body #end z", "#@undef('x') body #end z"),
    ]);
}

#[test]
fn a_body_renders_in_the_macro() {
    check(&[
        ("#macro(m1)#@m2()B#end#end#macro(m2)<$bodyContent>#end#m1()", "<B>"),
        (
            "#macro(m2 $x)<$bodyContent$x$bodyContent>#end#set($v=0)#@m2('k')B#set($v=$v+1)$v#end",
            "<B1kB2>",
        ),
        (
            "#macro(bm $x)<$bodyContent>#end#@bm('k')[$x$y]#end#set($bodyContent='z')#@bm('k')$x#end$bodyContent",
            "<[k]><k>z",
        ),
    ]);
}

#[test]
fn macro_is_no_scope() {
    check(&[("#macro(m1 $a)[$macro.a]#set($macro.z=$a)[$macro.z]#end#m1(1)[$macro]", "[][][]")]);
}

#[test]
fn an_escaped_parameter_shows_as_the_argument() {
    check(&[
        (r"#macro(m $a)\$a \${a} \\$a#end#m($s)", r"$s ${a} \str"),
        (r"#macro(m $a)\$a#end#m($nul)", r"\$nul"),
        (r"#macro(m $a)\$a#end#m('k')", "'k'"),
    ]);
}

#[test]
fn a_bare_word_is_no_argument() {
    check_failures(&[("#macro(foo $a)$a#end#foo(bar)", "bar")]);
}
