//! Arithmetic.

use super::{check, check_failures};

#[test]
fn integers_widen_when_they_overflow() {
    check(&[
        ("#set($x = 2147483647 + 1)$x", "2147483648"),
        ("#set($x = -2147483648 - 1)$x", "-2147483649"),
        ("#set($x = 9223372036854775807 + 1)$x", "9223372036854775808"),
        ("#set($x = 9223372036854775807 * 2)$x #set($x = $x % 5)$x", "184467440737095516144"),
        ("#set($x = 9223372036854775807 + 1)#set($x = $x - 1)$x", "9223372036854775807"),
    ]);
}

#[test]
fn division_of_integers_drops_the_fraction() {
    check(&[
        ("#set($x = 7 / 2)$x #set($x = -7 / 2)$x #set($x = -7 % 3)$x", "3-3-1"),
        ("#set($x = 7.0 / 2)$x #set($x = 7.5 % 2)$x", "3.51.5"),
        ("#set($x = 1.5 + 1)$x #set($x = 2 - 0.5)$x #set($x = 2 * 1.5)$x", "2.51.53.0"),
        ("#set($x = 1.0 / 3)$x", "0.3333333333333333"),
    ]);
}

#[test]
fn division_by_zero_is_null() {
    check(&[
        ("#set($x = 1 / 0)[$x]", "[]"),
        ("#set($x = 1.0 / 0)[$x]", "[]"),
        ("#set($x = 5 % 0)[$x]", "[]"),
    ]);
}

#[test]
fn large_integers_and_fractions_make_decimals() {
    check(&[
        ("#set($x = 9223372036854775807 + 1)#set($y = $x * 1.5)$y", "13835058055282163712.0"),
        (
            "#set($x = 9223372036854775807 + 1)#set($y = $x * 1.5)#set($z = $y / 7)$z",
            "1976436865040309101.7",
        ),
        ("#set($x = 9223372036854775807 + 1)#set($y = $x * 1.5)#if($y > $x)gt#end", "gt"),
    ]);
    check_failures(&[
        (
            "#set($x = 9223372036854775807 + 1)#set($y = -5)#set($x = $x % $y)",
            "modulus not positive",
        ),
        (
            "#set($x = 9223372036854775807 + 1)#set($x = $x * 1.5)#set($x = $x % 3)",
            "modulo of BigDecimals",
        ),
    ]);
}
