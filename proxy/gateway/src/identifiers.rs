//! Identifiers and dates that every request carries: `x-amzn-RequestId`, `x-amz-apigw-id`,
//! `X-Amzn-Trace-Id`, the `Date` header and `$context.requestTime`.
//!
//! All of them are made without a system call and without an allocation. The random ones come from
//! a generator of each thread. It isn't a cryptographic one: these identifiers are printed in every
//! response and log, so that knowing or guessing one must never give anybody anything. What they
//! must be is unique, for years and over a fleet; that is why the generator has 256 bits of state.
//! (The 64 bits of the usual small generators put all threads of all hosts on one cycle of 2⁶⁴
//! steps, where some thousands of workers with 10¹⁰ requests each are likely to meet.)
//!
//! Whether a client may choose its request id (AWS lets it, with `x-amzn-requestid`) is decided by
//! the caller; nothing here reads it.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The two ids of one request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestIds {
    /// A version 4 UUID in text: `$context.requestId` and `x-amzn-RequestId`. ASCII.
    pub request_id: [u8; 36],
    /// 88 random bits in URL-safe base64 with its `=`: `$context.extendedRequestId` and
    /// `x-amz-apigw-id`. ASCII.
    pub extended_request_id: [u8; 16],
}

impl RequestIds {
    /// Ids that no other request has.
    pub fn generate() -> Self {
        let [high, low, extended_high, extended_low] =
            with_generator(|random| std::array::from_fn(|_| random.next()));
        Self {
            request_id: uuid_v4(high, low),
            extended_request_id: base64_of_88_bits(extended_high, extended_low),
        }
    }

    pub fn request_id(&self) -> &str {
        ascii(&self.request_id)
    }

    pub fn extended(&self) -> &str {
        ascii(&self.extended_request_id)
    }
}

impl std::fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestIds")
            .field("request_id", &self.request_id())
            .field("extended", &self.extended())
            .finish()
    }
}

/// Appends the `X-Amzn-Trace-Id` that goes upstream: `Root=…;Parent=…;Sampled=…`.
///
/// `Root`, `Parent` and `Sampled` of the incoming header are kept when they are well formed, so
/// that nothing else a client writes there reaches an upstream. Otherwise `Root` is made from the
/// time (seconds since 1970) and chance, `Parent` from chance, and `Sampled` is 1 with a given
/// `Parent` and 0 without, as AWS does.
pub fn write_trace_id(incoming: Option<&[u8]>, now_unix_seconds: u64, out: &mut Vec<u8>) {
    let given = incoming.map(GivenTrace::read).unwrap_or_default();

    out.extend_from_slice(b"Root=");
    match given.root {
        Some(root) => out.extend_from_slice(root),
        None => {
            let [first, second] = with_generator(|random| [random.next(), random.next()]);
            out.extend_from_slice(b"1-");
            // The epoch has eight hexadecimal digits until the year 2106.
            out.extend_from_slice(&hex(now_unix_seconds)[8..]);
            out.push(b'-');
            out.extend_from_slice(&hex(first));
            out.extend_from_slice(&hex(second)[8..]);
        }
    }

    out.extend_from_slice(b";Parent=");
    match given.parent {
        Some(parent) => out.extend_from_slice(parent),
        None => out.extend_from_slice(&hex(with_generator(Generator::next))),
    }

    out.extend_from_slice(b";Sampled=");
    out.push(given.sampled.unwrap_or(if given.parent.is_some() { b'1' } else { b'0' }));
}

/// The HTTP date of a time in seconds since 1970: `Sun, 22 Nov 2026 17:46:00 GMT`. ASCII.
///
/// Each thread keeps the text of the last second it was asked for.
pub fn http_date(now_unix_seconds: u64) -> [u8; 29] {
    with_dates(now_unix_seconds, |dates| dates.http)
}

/// `$context.requestTime` of a time in seconds since 1970: `22/Nov/2026:17:46:00 +0000`. ASCII.
///
/// Each thread keeps the text of the last second it was asked for.
pub fn request_time(now_unix_seconds: u64) -> [u8; 26] {
    with_dates(now_unix_seconds, |dates| dates.request)
}

/// A small number for the calling thread, counted from zero in the order in which threads first ask:
/// what picks a thread's own shard of a counter or its own buffer.
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// The parts of an incoming trace header that are well formed.
#[derive(Default)]
struct GivenTrace<'a> {
    root: Option<&'a [u8]>,
    parent: Option<&'a [u8]>,
    sampled: Option<u8>,
}

impl<'a> GivenTrace<'a> {
    fn read(header: &'a [u8]) -> Self {
        let mut given = Self::default();
        for field in header.split(|byte| *byte == b';') {
            let field = field.trim_ascii();
            if let Some(root) = field.strip_prefix(b"Root=") {
                given.root = is_trace_root(root).then_some(root);
            } else if let Some(parent) = field.strip_prefix(b"Parent=") {
                given.parent = is_hex(parent, 16).then_some(parent);
            } else if let Some(sampled) = field.strip_prefix(b"Sampled=") {
                // `?` asks the next one that traces to decide.
                given.sampled = match sampled {
                    [decision @ (b'0' | b'1' | b'?')] => Some(*decision),
                    _ => None,
                };
            }
        }
        given
    }
}

/// `1-{8 hex}-{24 hex}`.
fn is_trace_root(root: &[u8]) -> bool {
    root.len() == 35
        && root.starts_with(b"1-")
        && is_hex(&root[2..10], 8)
        && root[10] == b'-'
        && is_hex(&root[11..], 24)
}

fn is_hex(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(u8::is_ascii_hexdigit)
}

fn uuid_v4(high: u64, low: u64) -> [u8; 36] {
    let high = hex((high & !0xf000) | 0x4000); // version 4
    let low = hex((low & !(0b11 << 62)) | (0b10 << 62)); // variant 1
    let mut text = [b'-'; 36];
    text[0..8].copy_from_slice(&high[0..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..16]);
    text[19..23].copy_from_slice(&low[0..4]);
    text[24..36].copy_from_slice(&low[4..16]);
    text
}

/// Eleven bytes: all of `high` and the first three of `low`.
fn base64_of_88_bits(high: u64, low: u64) -> [u8; 16] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = (u128::from(high) << 64) | u128::from(low);
    let mut text = [b'='; 16];
    for (place, character) in text[..15].iter_mut().enumerate() {
        let mut six = (bits >> (128 - 6 * (place + 1))) as u8 & 0x3f;
        if place == 14 {
            six &= 0x3c; // the last one has only the four bits left over from eleven bytes
        }
        *character = ALPHABET[usize::from(six)];
    }
    text
}

fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|place| DIGITS[(number >> (60 - 4 * place)) as usize & 0xf])
}

fn ascii(text: &[u8]) -> &str {
    // Both fields are public, so somebody might have put something else there.
    std::str::from_utf8(text).unwrap_or_default()
}

/// xoshiro256++ of Blackman and Vigna (<https://prng.di.unimi.it>).
struct Generator([u64; 4]);

impl Generator {
    /// `RandomState` holds a 128-bit key of the operating system's randomness; what it makes of
    /// four different inputs is the seed.
    fn from_operating_system() -> Self {
        let key = RandomState::new();
        let seed = std::array::from_fn(|place| key.hash_one(place));
        Self(if seed == [0; 4] { [1, 2, 3, 4] } else { seed })
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let number = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        number
    }
}

fn with_generator<T>(draw: impl FnOnce(&mut Generator) -> T) -> T {
    thread_local! {
        static GENERATOR: RefCell<Generator> = RefCell::new(Generator::from_operating_system());
    }
    GENERATOR.with_borrow_mut(draw)
}

#[derive(Clone, Copy)]
struct Dates {
    second: u64,
    http: [u8; 29],
    request: [u8; 26],
}

fn with_dates<T>(now_unix_seconds: u64, read: impl FnOnce(&Dates) -> T) -> T {
    thread_local! {
        static DATES: Cell<Dates> = const { Cell::new(Dates { second: u64::MAX, http: [0; 29], request: [0; 26] }) };
    }
    DATES.with(|kept| {
        let mut dates = kept.get();
        if dates.second != now_unix_seconds {
            dates = Dates::of(now_unix_seconds);
            kept.set(dates);
        }
        read(&dates)
    })
}

impl Dates {
    fn of(second: u64) -> Self {
        /// 9999-12-31T23:59:59: a clock beyond it is wrong, and a year of five digits doesn't fit.
        const LAST: u64 = 253_402_300_799;
        const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
        const MONTHS: [&[u8; 3]; 12] = [
            b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
            b"Dec",
        ];

        let shown = second.min(LAST);
        let days = shown / 86_400;
        let (year, month, day) = civil_date(days);
        let (hours, minutes, seconds) = (shown / 3600 % 24, shown / 60 % 60, shown % 60);

        let mut time = *b"00:00:00";
        time[0..2].copy_from_slice(&two_digits(hours));
        time[3..5].copy_from_slice(&two_digits(minutes));
        time[6..8].copy_from_slice(&two_digits(seconds));
        let mut year_text = [0; 4];
        year_text[0..2].copy_from_slice(&two_digits(year / 100));
        year_text[2..4].copy_from_slice(&two_digits(year % 100));
        let month = MONTHS[month as usize - 1];

        let mut http = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        http[0..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
        http[5..7].copy_from_slice(&two_digits(day));
        http[8..11].copy_from_slice(month);
        http[12..16].copy_from_slice(&year_text);
        http[17..25].copy_from_slice(&time);

        let mut request = *b"01/Jan/1970:00:00:00 +0000";
        request[0..2].copy_from_slice(&two_digits(day));
        request[3..6].copy_from_slice(month);
        request[7..11].copy_from_slice(&year_text);
        request[12..20].copy_from_slice(&time);

        Self { second, http, request }
    }
}

fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Year, month and day of a number of days since 1970, by Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>) for dates from 1970 on.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::{Duration, UNIX_EPOCH};

    fn trace(incoming: Option<&str>) -> String {
        let mut out = Vec::new();
        write_trace_id(incoming.map(str::as_bytes), 0x6740_c1a8, &mut out);
        String::from_utf8(out).expect("a trace id is ASCII")
    }

    #[test]
    fn a_request_id_is_a_version_4_uuid() {
        for _ in 0..1000 {
            let ids = RequestIds::generate();
            let parts: Vec<&str> = ids.request_id().split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts.iter().all(|part| is_hex(part.as_bytes(), part.len())), "{ids:?}");
            assert!(
                parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']),
                "{ids:?}"
            );
        }
    }

    #[test]
    fn an_extended_request_id_is_the_base64_of_eleven_bytes() {
        assert_eq!(&base64_of_88_bits(0, 0), b"AAAAAAAAAAAAAAA=");
        assert_eq!(&base64_of_88_bits(u64::MAX, u64::MAX), b"______________8=");
        // Python: base64.urlsafe_b64encode(bytes(range(1, 12)))
        assert_eq!(
            &base64_of_88_bits(0x0102_0304_0506_0708, 0x090a_0b00_0000_0000),
            b"AQIDBAUGBwgJCgs="
        );
        assert_eq!(RequestIds::generate().extended().len(), 16);
    }

    #[test]
    fn no_two_requests_of_several_threads_share_an_id() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    (0..20_000).map(|_| RequestIds::generate()).collect::<Vec<_>>()
                })
            })
            .collect();
        let ids: Vec<RequestIds> =
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(ids.iter().map(|ids| ids.request_id).collect::<HashSet<_>>().len(), 80_000);
        assert_eq!(
            ids.iter().map(|ids| ids.extended_request_id).collect::<HashSet<_>>().len(),
            80_000
        );
    }

    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        // The first outputs of the reference implementation for the state 1, 2, 3, 4.
        let mut generator = Generator([1, 2, 3, 4]);
        let numbers: [u64; 4] = std::array::from_fn(|_| generator.next());
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn a_trace_id_is_made_when_none_came() {
        let made = trace(None);
        let (root, rest) = made.split_once(";Parent=").expect("a parent");
        assert!(is_trace_root(root.strip_prefix("Root=").expect("a root").as_bytes()), "{made}");
        assert!(root.starts_with("Root=1-6740c1a8-"), "{made}");
        let (parent, sampled) = rest.split_once(";Sampled=").expect("a sampling decision");
        assert!(is_hex(parent.as_bytes(), 16) && sampled == "0", "{made}");
        assert_ne!(made, trace(None));
    }

    #[test]
    fn a_complete_trace_id_is_kept() {
        let complete = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
        assert_eq!(trace(Some(complete)), complete);
    }

    #[test]
    fn a_given_parent_means_sampled_unless_said_otherwise() {
        let given = "Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8";
        assert!(trace(Some(given)).ends_with(";Parent=53995c3f42cd8ad8;Sampled=1"));
        assert!(trace(Some("Root=1-5759e988-bd862e3fe1be46a994272793")).ends_with(";Sampled=0"));
        assert!(trace(Some("Sampled=1")).ends_with(";Sampled=1"));
    }

    #[test]
    fn malformed_and_foreign_parts_of_a_trace_id_do_not_reach_the_upstream() {
        for foreign in [
            "Root=1-5759e988-zzzz;Parent=zz;Sampled=yes",
            "Self=1;Lineage=a:0|b:0",
            "",
            ";;;=",
            "Root=",
            "\u{ff}",
        ] {
            let made = trace(Some(foreign));
            assert!(
                made.starts_with("Root=1-6740c1a8-") && made.len() == 35 + 5 + 8 + 16 + 9 + 1,
                "{foreign}: {made}"
            );
        }
    }

    #[test]
    fn dates_are_those_of_httpdate() {
        let mut second = 0;
        while second < 253_402_300_799 {
            let expected = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!(std::str::from_utf8(&http_date(second)), Ok(expected.as_str()));
            second += 86_400 * 11 + 12_345;
        }
    }

    #[test]
    fn a_request_time_is_in_common_log_form() {
        assert_eq!(&request_time(1_795_369_561), b"22/Nov/2026:17:46:01 +0000");
        assert_eq!(&request_time(951_782_399), b"28/Feb/2000:23:59:59 +0000");
        assert_eq!(&request_time(951_782_400), b"29/Feb/2000:00:00:00 +0000");
    }

    #[test]
    fn a_clock_beyond_the_year_9999_still_gives_a_date() {
        assert_eq!(&http_date(u64::MAX - 1), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
