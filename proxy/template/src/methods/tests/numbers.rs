use super::{check, printed};
use crate::value::Value;

fn decimal(text: &str) -> Value<'_> {
    Value::from(text.parse::<bigdecimal::BigDecimal>().unwrap_or_default())
}

fn integer(text: &str) -> Value<'_> {
    Value::from(text.parse::<num_bigint::BigInt>().unwrap_or_default())
}

#[test]
fn doubles_print_as_java_does() {
    for (value, expected) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (9.99e-4, "9.99E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1e10, "1.0E10"),
        (123.456, "123.456"),
        (5e-324, "4.9E-324"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(printed(&value.into()), expected);
    }
}

#[test]
fn decimals_print_as_java_does() {
    for (text, expected) in
        [("1.50", "1.50"), ("1E+3", "1E+3"), ("0.000001", "0.000001"), ("0.0000001", "1E-7")]
    {
        assert_eq!(printed(&decimal(text)), expected);
    }
}

#[test]
fn numbers_answer_as_java_does() {
    let refused = "java.lang.NumberFormatException: For input string: \"x\"";
    let endless = "java.lang.ArithmeticException: Non-terminating decimal expansion; no exact representable decimal result.";
    check(&[
        (1.into(), "parseInt", &["-12".into()], "-12"),
        (1.into(), "parseInt", &["x".into()], refused),
        (1.into(), "parseInt", &["ff".into(), 16.into()], "255"),
        (1.into(), "compareTo", &[2.into()], "-1"),
        (1.into(), "equals", &[Value::from(1i64)], "false"),
        (1.into(), "toHexString", &[(-1).into()], "ffffffff"),
        (3.99.into(), "intValue", &[], "3"),
        (1e30.into(), "intValue", &[], "2147483647"),
        (f64::NAN.into(), "isNaN", &[], "true"),
        (Value::from(-5i64), "hashCode", &[], "4"),
        (1.5.into(), "hashCode", &[], "1073217536"),
        (decimal("-1.5"), "hashCode", &[], "-464"),
        (decimal("1.00"), "divide", &[decimal("8")], "0.125"),
        (decimal("1"), "divide", &[decimal("3")], endless),
        (decimal("1"), "divide", &[decimal("3"), 2.into(), 4.into()], "0.33"),
        (decimal("1E+1000000000"), "longValue", &[], "0"),
        (integer("-7"), "mod", &[integer("3")], "2"),
        (integer("2"), "pow", &[100.into()], "1267650600228229401496703205376"),
        (true.into(), "compareTo", &[false.into()], "1"),
        (Value::Character('a'), "isDigit", &[Value::Character('1')], "true"),
    ]);
}

#[test]
fn huge_numbers_are_refused() {
    let huge = integer("2");
    let result = super::text_of(&huge, "pow", &[i32::MAX.into()]);
    assert!(result.starts_with("java.lang.ArithmeticException"), "{result}");
    let exponent = decimal("1E+1000000000");
    let result = super::text_of(&exponent, "add", &[decimal("1")]);
    assert!(result.starts_with("java.lang.ArithmeticException"), "{result}");
}
