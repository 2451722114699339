//! Times of `Date…` conditions: ISO 8601 in W3C's profile, or seconds since 1970.

use std::io::Write;

/// Milliseconds since 1970. `2026`, `2026-11`, `2026-11-22`, `2026-11-22T10:00Z`,
/// `2026-11-22T10:00:00.5+01:00`, or digits (but not four) of seconds.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.len() != 4 && is_digits(text.strip_prefix('-').unwrap_or(text)) {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let year = digits(fields.next()?, 4)?;
    let month = fields.next().map_or(Some(1), |month| digits(month, 2))?;
    let day = fields.next().map_or(Some(1), |day| digits(day, 2))?;
    let whole = date.len() == 10;
    if fields.next().is_some()
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || (time.is_some() && !whole)
    {
        return None;
    }
    let midnight = days_since_1970(year, month, day) * 86_400_000;
    Some(midnight + time.map_or(Some(0), milliseconds)?)
}

/// `hh:mm[:ss[.fraction]]` and `Z` or `±hh:mm`, as milliseconds since midnight UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let zone = text.find(['Z', '+', '-'])?;
    let (time, zone) = text.split_at(zone);
    let offset = match zone {
        "Z" => 0,
        zone => {
            let minutes = clock(&zone[1..])?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let (minutes, seconds) = time.split_at_checked(5)?;
    let milliseconds = match seconds.strip_prefix(':') {
        None if seconds.is_empty() => 0,
        None => return None,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let whole = digits(whole, 2).filter(|second| *second < 61)?;
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let fraction = fraction.bytes().chain([b'0'; 3]).take(3);
            whole * 1000 + fraction.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
        }
    };
    Some((clock(minutes)? - offset) * 60_000 + milliseconds)
}

/// `hh:mm` in minutes.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let hours = digits(hours, 2).filter(|hours| *hours < 24)?;
    Some(hours * 60 + digits(minutes, 2).filter(|minutes| *minutes < 60)?)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    let fits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the leap day is
/// the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2026-11-22T10:00:00Z`.
pub(crate) fn write(seconds: i64, buffer: &mut [u8; 32]) -> &str {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut rest = &mut buffer[..];
    let written = write!(
        rest,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    let length = 32 - rest.len();
    // A year of more digits than fit is no time that a request is made at.
    written.ok().and_then(|()| std::str::from_utf8(&buffer[..length]).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_documented_form() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2013-06-30T00:00:00Z", Some(1_372_550_400_000)),
            ("2013-06-30", Some(1_372_550_400_000)),
            ("2013-06-30T02:00:00.25+02:00", Some(1_372_550_400_250)),
            ("2013-06-29T22:30-01:30", Some(1_372_550_400_000)),
            ("2000-02-29T00:00Z", Some(951_782_400_000)),
            ("1372550400", Some(1_372_550_400_000)),
            ("-1", Some(-1000)),
            ("2013", Some(1_356_998_400_000)),
            ("2013-06", Some(1_370_044_800_000)),
            ("0001-01-01", Some(-62_135_596_800_000)),
            ("2013-02-29", None),
            ("2013-13-01", None),
            ("2013-06-30T24:00:00Z", None),
            ("2013-06-30T00:00:00", None),
            ("2013-06T00:00:00Z", None),
            ("2013-06-30T0é:00Z", None),
            ("99999999999999999999", None),
            ("9223372036854775807", None),
            ("yesterday", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_written_time_is_read_back() {
        for seconds in [0, -1, 951_782_399, 951_782_400, 1_372_550_400, 4_107_542_399, -62e9 as i64]
        {
            let mut buffer = [0; 32];
            let text = write(seconds, &mut buffer);
            assert_eq!(parse(text), Some(seconds * 1000), "{text}");
        }
        let mut buffer = [0; 32];
        assert_eq!(write(1_372_550_401, &mut buffer), "2013-06-30T00:00:01Z");
        write(i64::MAX / 1000, &mut buffer);
        write(i64::MIN / 1000, &mut buffer);
    }
}
