//! Days, weeks and months, counted in UTC.

/// Days since 1 January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

/// How long a quota lasts before it begins again. AWS does not say when a week begins: here on
/// Monday, as in ISO 8601. A day, a week and a month begin at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Day,
    Week,
    Month,
}

impl Day {
    /// The day of a time in seconds since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        // The year 11,761,191 at the latest.
        Self(u32::try_from(seconds / 86_400).unwrap_or(u32::MAX))
    }

    /// Its first second, since 1970.
    pub fn seconds(self) -> u64 {
        u64::from(self.0) * 86_400
    }

    /// The day of a date in the Gregorian calendar; none where it has none, and before 1970.
    pub fn of_date(year: u32, month: u32, day: u32) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        // A year begins in March, so that the day a leap year adds is its last (Howard Hinnant,
        // "chrono-compatible low-level date algorithms").
        let (shifted, month_of_year) =
            if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, year_of_era) = (shifted / 400, shifted % 400);
        let day_of_year = (153 * month_of_year + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let found = Self(era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_1970);
        (found.date() == (year, month, day)).then_some(found)
    }

    /// The day of a text such as `2026-01-31`; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let is_form = (year.len(), month.len(), day.len()) == (4, 2, 2)
            && parts.next().is_none()
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        is_form
            .then(|| Self::of_date(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))?
    }

    /// Year, month from 1, day from 1.
    pub fn date(self) -> (u32, u32, u32) {
        let days = self.0.saturating_add(DAYS_BEFORE_1970);
        let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_of_year = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_of_year + 2) / 5 + 1;
        let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
        (era * 400 + year_of_era + u32::from(month <= 2), month, day)
    }
}

/// 400 years of the Gregorian calendar.
const DAYS_OF_ERA: u32 = 146_097;
/// From 1 March of the year 0.
const DAYS_BEFORE_1970: u32 = 719_468;

impl Period {
    /// The first day of the period that a day is in.
    #[inline]
    pub fn first_day(self, day: Day) -> Day {
        match self {
            Self::Day => day,
            // 1 January 1970 was a Thursday: its week began three days before.
            Self::Week => Day(day.0.saturating_sub((day.0.wrapping_add(3)) % 7)),
            Self::Month => Day(day.0 + 1 - day.date().2),
        }
    }

    /// The first day of the period after the one that a day is in.
    pub fn next_first_day(self, day: Day) -> Day {
        let first = self.first_day(day).0;
        match self {
            Self::Day => Day(first.saturating_add(1)),
            // The first week of all lacks its first three days.
            Self::Week if first == 0 => Day(4),
            Self::Week => Day(first.saturating_add(7)),
            // No month has more than 31 days, and none less than 28.
            Self::Month => self.first_day(Day(first.saturating_add(31))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: u32, month: u32, day: u32) -> Day {
        Day::of_date(year, month, day).unwrap()
    }

    #[test]
    fn a_day_has_the_date_it_was_made_of() {
        assert_eq!(day(1970, 1, 1), Day(0));
        assert_eq!(day(2026, 11, 23), Day::of_seconds(1_795_402_459));
        for number in (0..100_000).step_by(13) {
            let (year, month, of_month) = Day(number).date();
            assert_eq!(Day::of_date(year, month, of_month), Some(Day(number)));
        }
        for (year, month, of_month) in [
            (2026, 2, 29),
            (2100, 2, 29),
            (2026, 4, 31),
            (2026, 13, 1),
            (2026, 0, 1),
            (1969, 1, 1),
            (2026, 1, 0),
        ] {
            assert_eq!(Day::of_date(year, month, of_month), None);
        }
        assert!(Day::of_date(2024, 2, 29).is_some());
    }

    #[test]
    fn a_period_begins_at_its_first_day_and_ends_before_the_next() {
        for (period, within, first, next) in [
            (Period::Day, (2026, 11, 23), (2026, 11, 23), (2026, 11, 24)),
            // 22 November 2026 is a Sunday.
            (Period::Week, (2026, 11, 22), (2026, 11, 16), (2026, 11, 23)),
            (Period::Week, (2026, 11, 23), (2026, 11, 23), (2026, 11, 30)),
            (Period::Week, (2027, 1, 1), (2026, 12, 28), (2027, 1, 4)),
            (Period::Month, (2026, 11, 30), (2026, 11, 1), (2026, 12, 1)),
            (Period::Month, (2028, 2, 29), (2028, 2, 1), (2028, 3, 1)),
            (Period::Month, (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ] {
            let date = |(y, m, d)| day(y, m, d);
            assert_eq!(period.first_day(date(within)), date(first), "{period:?} {within:?}");
            assert_eq!(period.next_first_day(date(within)), date(next), "{period:?} {within:?}");
        }
        assert_eq!(Period::Week.first_day(Day(2)), Day(0));
        assert_eq!(Period::Week.next_first_day(Day(2)), Day(4));
    }

    #[test]
    fn no_day_is_out_of_reach() {
        for period in [Period::Day, Period::Week, Period::Month] {
            for number in [0, 3, 4, u32::MAX / 2, 20_000_000] {
                assert!(period.first_day(Day(number)) <= Day(number));
                assert!(period.next_first_day(Day(number)) > Day(number));
            }
        }
    }
}
