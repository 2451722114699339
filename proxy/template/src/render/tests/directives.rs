//! `#foreach`, `#break`, `#stop`, `#define` and `#evaluate`.

use super::{check, check_failures};

#[test]
fn foreach_runs_over_lists_maps_and_ranges() {
    check(&[
        ("#foreach($x in [1..3])$x#end", "123"),
        ("#foreach($x in [3..1])$x$foreach.hasNext #end", "3true 2true 1false "),
        ("#foreach($x in ['a', 'b'])$x#end", "ab"),
        ("#foreach($x in $m)$x#end", "1"),
        ("#foreach($k in $m.keySet())$k=$m.get($k)#end", "a=1"),
        ("#foreach($e in $m.entrySet())$e.key:$e.value#end", "a:1"),
        ("#foreach($x in 'abc')$x#end|#foreach($x in $nul)x#end|#foreach($x in {})x#end|", "|||"),
        ("#foreach($x in $s.split('t'))<$x>#end", "<s><r>"),
    ]);
}

#[test]
fn foreach_gives_each_object_of_a_text_as_itself() {
    const LIST: &str = r#"#set($l = $util.parseJson('[{"n":1},{"n":2},[3],{"n":4},{"n":5}]'))"#;
    let kept = "#set($kept = [])#foreach($x in $l)#set($done = $kept.add($x))#end";
    check(&[
        (
            &format!("{LIST}#foreach($x in $l)$x.n;#end $l"),
            "1;2;;4;5; [{\"n\":1},{\"n\":2},[3],{\"n\":4},{\"n\":5}]",
        ),
        (&format!("{LIST}{kept}$kept"), "[{n=1}, {n=2}, [3], {n=4}, {n=5}]"),
        (&format!("{LIST}#foreach($x in $l)#if($x.n == 2)#set($two = $x)#end#end$two.n$x.n"), "2"),
        (
            &format!("{LIST}#foreach($x in $l)#if($x.n == 2)#set($x.n = 7)#end#end$l"),
            r#"[{"n":1},{"n":7},[3],{"n":4},{"n":5}]"#,
        ),
        (&format!("{LIST}#set($one = $l[0])$l[1].n$l[3].n$l[4].n$one.n$l[0].n"), "24511"),
    ]);
}

#[test]
fn foreach_tells_where_it_is() {
    check(&[
        (
            "#foreach($x in [1..2])$foreach.index $foreach.count $foreach.hasNext $foreach.first \
             $foreach.last $velocityCount $velocityHasNext;#end[$foreach][$velocityCount]",
            "0 1 true true false 1 true;1 2 false false true 2 false;[][]",
        ),
        (
            "#foreach($x in [1,2])#foreach($y in [1])$foreach.parent.index,$foreach.parent.parent,$foreach.info.depth #end#end",
            "0,,2 1,,2 ",
        ),
        (
            "#foreach($x in [1])#foreach($y in [1])$foreach.topmost.hasNext()$foreach.getIndex()#end#end",
            "false0",
        ),
        ("#foreach($x in [1])$foreach.info.line,$foreach.info.column#end", "1,1"),
        // Its `stop()` isn't public.
        ("#foreach($x in [1..2])$foreach.stop()A#end B", "AA B"),
    ]);
}

#[test]
fn foreach_scopes_hold_what_the_template_puts_there() {
    check(&[
        (
            "#foreach($x in [1..2])$foreach $foreach.size()#set($foreach.k='v')$foreach.k $foreach;#end",
            "{} 0v {k=v};{k=v} 1v {k=v};",
        ),
        (
            "#foreach($x in [1,2])$x#set($foreach.k=$x)$foreach.k #foreach($y in [1])$foreach.k #end#end",
            "11 1 22 2 ",
        ),
        (
            "#set($foreach=3)#foreach($x in [1])$foreach.replaced $foreach.topmost#end$foreach",
            "3 {}3",
        ),
        ("#set($foreach=3)#foreach($x in [1])#set($foreach=4)$foreach#end$foreach", "44"),
    ]);
}

#[test]
fn foreach_gives_variables_back() {
    check(&[
        ("#set($x=5)#foreach($x in [1..2])$x#end $x", "12 5"),
        ("#foreach($x in [1..2])#set($x=8)$x#end[$x]", "88[]"),
        ("#foreach($i in [1..3])$i#end$i", "1237"),
        // A null element stays null, whatever is set.
        ("#foreach($x in $l)[$x]#set($x='new')[$x]#end[$x]", "[x][new][][][z][new][]"),
        ("#foreach($x in $l)[$x]#set($x=$nul)#set($x='n')[$x]#end", "[x][n][][n][z][n]"),
    ]);
}

#[test]
fn a_list_must_not_change_while_it_is_iterated() {
    check_failures(&[
        ("#foreach($x in $l)#set($r=$l.add('n'))#end", "changed"),
        ("#set($o = {'a': 1, 'b': 2})#foreach($x in $o)#set($o.c = 3)#end", "changed"),
    ]);
    check(&[
        ("#foreach($x in $m)#set($m.z = 1)$x#end", "1"),
        ("#set($o = {'a': 1, 'b': 2})#foreach($x in $o)#set($o.b = 3)$x#end", "13"),
    ]);
}

#[test]
fn break_ends_the_nearest_loop_or_what_it_names() {
    check(&[
        ("#foreach($x in [1..3])$x#if($x==2)#break#end#end|after", "12|after"),
        ("a#break b", "a"),
        ("#foreach($x in [1..3])#foreach($y in [1..2])$x$y#break($foreach.parent)#end#end|", "11|"),
        ("#foreach($x in [1..2])#foreach($y in [1..2])$x$y #break($foreach)#end#end|", "11 21 |"),
        ("#foreach($x in [1..3])#set($t=\"#if($x==2)#break#{end}v$x\")$t#end|", "v1|"),
        ("#set($t=\"A#break B\")C", ""),
        ("#macro(m1)A#break B#end#m1()C", "AC"),
        ("#define($d)A#break B#end$d C", "A C"),
        ("#evaluate('a#break b')c", "ac"),
    ]);
    check_failures(&[
        ("#break($s)", "#break"),
        ("#break($foreach)", "#break"),
        ("#foreach($x in [1..2])#set($k=$foreach)#end#break($k)Q", "isn't running"),
    ]);
}

#[test]
fn stop_ends_the_template() {
    check(&[
        ("a#stop b", "a"),
        ("#foreach($x in [1..3])$x#stop#end b", "1"),
        ("#macro(m1)A#stop B#end#m1()C", "A"),
        ("#define($d)A#stop B#end$d C", "A"),
        // Of an evaluated text only that.
        ("#evaluate('a#stop b')c", "ac"),
    ]);
}

#[test]
fn define_renders_where_it_is_referred_to() {
    check(&[
        ("#define($d)[$y]#end#set($y=1)$d#set($y=2)$d", "[1][2]"),
        ("#define($d)[$d]#end$d", "[[]]"),
        ("#define($d)x#end[$d.length()]", "[]"),
        ("#set($z=\"#define($d)x#end$d\")$z$d", "xx"),
        (
            "#define($d)x#end#if($d == \"x\")eq#end #if($d)t#end #set($e=\"$d,$d\")$e #set($e=$d)$e",
            "eq tx,xx",
        ),
        ("#define($d)#set($v=7)x#end#set($k=\"$d\")$v", "7"),
        ("#define($d)#define($d)x#end$d#end$d", "x"),
        ("#define($d)x#end#set($k = $d + 'y')$k", "xy"),
    ]);
}

#[test]
fn evaluate_renders_text_with_the_templates_variables() {
    check(&[
        ("#evaluate('$s #set($n=4)$n')$n", "str44"),
        ("#set($t = '$new')#set($new = 'N')#evaluate($t)", "N"),
        ("#evaluate('#set($fresh = 1)')#evaluate('$fresh')", "1"),
        ("#evaluate($nul)x", "x"),
        ("#set($n=1)#evaluate('#macro(q)Q$n#end#q()')#q()", "Q1Q1"),
        // The first definition stays.
        ("#macro(q)A#end#evaluate('#macro(q)B#end#q()')#q()", "AA"),
        ("#evaluate('#macro(q)B#end#q()')#evaluate('#macro(q)C#end#q()')#q()", "BBB"),
        ("#evaluate('#define($d)$unheard$s#end')#set($unheard = 'of')$d", "ofstr"),
        ("#macro(m $a)#evaluate('$a')#end#m('k')", "k"),
        ("#foreach($x in [1..3])#evaluate('$foreach.count$x ')#end", "11 22 33 "),
        ("#evaluate('$context.stage $input.params(\"id\")')", "prod 7"),
    ]);
    check_failures(&[
        ("ab#evaluate('#if(')", "line 1, column 3: in the evaluated text: line 1"),
        ("ab#evaluate('\n$l[9]')", "line 1, column 3: in the evaluated text: line 2, column 3"),
    ]);
}
