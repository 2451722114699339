use super::text_of;
use crate::value::Value;

#[test]
fn format_is_javas() {
    let table: [(&str, Vec<Value<'_>>, &str); 18] = [
        ("%s %S %n", vec!["a".into(), "b".into()], "a B \n"),
        ("%,d|%(d|%+d", vec![1_234_567.into(), (-5).into(), 5.into()], "1,234,567|(5)|+5"),
        ("%05d|%-5d|", vec![(-42).into(), 42.into()], "-0042|42   |"),
        ("%x|%#x|%o", vec![(-1).into(), 255.into(), 8.into()], "ffffffff|0xff|10"),
        (
            "%.1f %.1f %.0f %.2f",
            vec![0.15.into(), 0.25.into(), 0.5.into(), 1.005.into()],
            "0.2 0.3 1 1.01",
        ),
        ("%e|%.0e", vec![12345.678.into(), 1.5.into()], "1.234568e+04|2e+00"),
        ("%g|%g", vec![12345.678.into(), 1e-5.into()], "12345.7|1.00000e-05"),
        ("%,.2f|%010.2f", vec![1_234_567.891.into(), (-2.71499).into()], "1,234,567.89|-000002.71"),
        ("%b %c %%", vec![Value::Null, Value::Character('x')], "false x %"),
        ("%2$s %1$s %<s %s", vec!["a".into(), "b".into()], "b a a a"),
        ("%10s|%-4s|%.2s", vec!["r".into(), "l".into(), "cut".into()], "         r|l   |cu"),
        ("%d", vec![Value::Null], "null"),
        ("%f", vec![f64::NAN.into()], "NaN"),
        (
            "%d",
            vec!["x".into()],
            "java.util.IllegalFormatConversionException: d != java.lang.String",
        ),
        ("%s", vec![], "java.util.MissingFormatArgumentException: Format specifier '%s'"),
        ("%q", vec![1.into()], "java.util.UnknownFormatConversionException: Conversion = 'q'"),
        ("%-d", vec![1.into()], "java.util.MissingFormatWidthException: %-d"),
        ("%.2d", vec![1.into()], "java.util.IllegalFormatPrecisionException: 2"),
    ];
    for (pattern, values, expected) in table {
        let mut arguments = vec![Value::from(pattern)];
        arguments.extend(values);
        assert_eq!(text_of(&"".into(), "format", &arguments), expected, "{pattern}");
    }
}

#[test]
fn a_wide_format_is_refused() {
    for pattern in ["%999999999d", "%.999999999f", "%99999999999999999999s"] {
        let result = text_of(&"".into(), "format", &[pattern.into(), 1.5.into()]);
        assert_ne!(result, "no method");
        assert!(result.len() < 200, "{pattern}");
    }
}
