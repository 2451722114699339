//! References, expressions and conditions.

use super::{check, check_failures};

#[test]
fn references_follow_properties_methods_and_indexes() {
    check(&[
        ("$s ${s} $!s $!{s} ${s}x", "str str str str strx"),
        ("$m.a $m['a'] $m.get('a') ${m.a}", "1 1 1 1"),
        ("$l[0] $l[-1] $l.get(0)", "x z x"),
        ("[$m[-1]] [$m.b.c] [$s.foo()] [$s[0]]", "[] [] [] []"),
        ("$s.length().toString().length()", "1"),
        ("#set($k = 'a')$m[$k] $m[\"$k\"]", "1 1"),
    ]);
}

#[test]
fn what_java_throws_fails_the_template() {
    check_failures(&[
        ("$l[5]", "line 1, column 3"),
        ("$l[-7]", ""),
        ("a\n $l.get(7)", "line 2, column 5"),
        ("$s.substring(9)", ""),
        ("$s[-1]", "without size()"),
        ("#set($l[9] = 'Q')", ""),
    ]);
}

#[test]
fn escapes_depend_on_whether_the_reference_is_null() {
    check(&[
        (r"\$s", "$s"),
        (r"\\$s", r"\str"),
        (r"\$nul", r"\$nul"),
        (r"\\$nul", r"\\"),
        (r"\$!nul", r"\$!nul"),
        ("$$s", "$str"),
        ("[$$nul]", "[$]"),
        (r"\$$s", "$s"),
        (r##"#set($t = "\$s \\$s \$nul")$t"##, r"$s \str \$nul"),
    ]);
}

#[test]
fn set_writes_variables_entries_and_items() {
    check(&[
        ("#set($x = 'a')$x", "a"),
        ("#set($m['k']=2)$m", "{a=1, k=2}"),
        ("#set($m.j = 3)$m.j", "3"),
        ("#set($m[1] = 'n')$m[1]", "n"),
        ("#set($l[0]='Q')$l[0] #set($l[-1]='W')$l[2]", "QW"),
        // Nothing happens where there is nothing to set.
        ("#set($m.a.b=3)#set($foo.bar=1)#set($s.x=1)#set($s[0]=1)#set($l['a']=2)$m.a", "1"),
        // One list by two names.
        ("#set($a = [1])#set($b = $a)#set($ignore = $b.add(2))$a.size()", "2"),
        ("$m.put('k', 'v')#set($ignore = $m.put('k', 'w'))$m.k", "w"),
    ]);
}

#[test]
fn a_map_is_never_put_into_itself() {
    check_failures(&[
        ("#set($m.self = $m)", "itself"),
        ("#set($n = {'a': [$m]})#set($m.n = $n)", "itself"),
        ("#foreach($x in [1])#set($foreach.me = $foreach)#end", "itself"),
        ("#foreach($x in [1])#set($ignore = $foreach.put('me', [$foreach]))#end", "itself"),
        ("#set($context.mine = $context)", "itself"),
    ]);
}

#[test]
fn conditions_are_false_for_null_false_and_what_is_no_reference() {
    check(&[
        ("#if($s)y#{else}n#end", "y"),
        ("#if($nul)y#{else}n#end", "n"),
        ("#set($e = '')#if($e)y#{else}n#end", "y"),
        ("#set($e = 0)#if($e)y#{else}n#end", "y"),
        ("#set($e = [])#if($e)y#{else}n#end", "y"),
        ("#set($e = false)#if($e)y#{else}n#end", "n"),
        ("#if($bt)y#end", "y"),
        ("#if(1)y#{else}n#end", "n"),
        ("#if(\"a\")y#{else}n#end", "n"),
        ("#if(!1)y#{else}n#end", "y"),
        ("#if([1])y#{else}n#end", "n"),
        ("#if(true)y#end", "y"),
        ("#if($nul)a#elseif($s)b#{else}c#end", "b"),
        ("#if($nul || $s)o#end#if($nul && $s)a#end#if(!$nul)n#end", "on"),
        ("#if($s && \"x\")x#end", ""),
        ("#if($s and not $nul or $nul)y#end", "y"),
        ("#set($b = 1 && true)$b #set($b = $i && true)$b #set($b = 1 < 2)$b", "falsetruetrue"),
    ]);
}

#[test]
fn equality_compares_numbers_by_value_and_different_classes_by_text() {
    check(&[
        ("#if(1 == '1')y#end", "y"),
        ("#if(1 == 1.0)y#end", "y"),
        ("#if('a' == 'a')y#end#if('a' eq 'b')n#end#if('a' ne 'b')m#end", "ym"),
        ("#if($bt == 'true')y#end", "y"),
        ("#if([1,2] == [1,2])L#end#if({'a':1} == {'a':1})M#end#if([1] != [2])N#end", "LMN"),
        ("#set($c = $s.charAt(0))#if($c == 's')a#end#if('s' == $c)b#end", "ab"),
        ("#if($l == '[x, null, z]')y#end", "y"),
    ]);
}

#[test]
fn comparisons_are_for_numbers_only() {
    check(&[
        ("#if(1 < 2.5)y#end#if(2 le 2)y#end#if(3 gt 2)y#end#if(2 >= 2)y#end", "yyyy"),
        ("#if('a' < 'b')y#{else}n#end", "n"),
        ("#if($nul < 1)y#{else}n#end#if(1 > $nul)y#{else}n#end", "nn"),
        ("#if('2' > 1)y#{else}n#end", "n"),
    ]);
}

#[test]
fn literals_make_values() {
    check(&[
        ("#set($x={'a':1,'b':[1,2]})$x $x.b[1]", "{a=1, b=[1, 2]} 2"),
        ("#set($x=[1..-2])$x", "[1, 0, -1, -2]"),
        ("#set($x=[1..$nul])[$x]", "[]"),
        ("#set($q=1.9)#set($x=[$q..3])$x", "[1, 2, 3]"),
        ("#set($x = [])$x #set($x = {})$x", "[]{}"),
        ("#set($x = '$s')$x #set($x = \"$s\")$x", "$sstr"),
        ("#set($x = \"a#if($s)b#{else}c#end\")$x", "ab"),
        ("#set($a=\"x#set($q=1)y$q\")$a$q", "xy11"),
        ("#set($a = \"$l\")$a.length()", "12"),
    ]);
}

#[test]
fn plus_joins_strings() {
    check(&[
        ("#set($x = 1 + 'a')$x", "1a"),
        ("#set($x = 'a' + 1 + 2)$x", "a12"),
        ("#set($x = 1 + 2 + 'a')$x", "3a"),
        ("#set($x = $l + '')$x", "[x, null, z]"),
        ("#set($x = 5 - '3')[$x]", "[]"),
        ("#set($x = $m + 1)[$x]", "[]"),
        ("#set($x = $nul + 1)[$x]", "[]"),
    ]);
}
