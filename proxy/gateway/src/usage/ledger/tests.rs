use super::*;

const QUOTA: Quota = Quota { limit: 100, period: Period::Day };
const MONDAY: Day = Day(20_780);

fn subscriber(key: u64) -> Subscriber {
    Subscriber { plan: Id::of_number(7), key: Id::of_number(key) }
}

fn counted(key: u64, requests: u64) -> Counted {
    Counted { subscriber: subscriber(key), requests, quota: Some(QUOTA) }
}

fn resumed(ledger: &Ledger, key: u64, quota: Quota, offset: u64, today: Day) -> Left {
    ledger.resume(&[(subscriber(key), PlanQuota { quota, offset })], today).unwrap()[0]
}

fn left(first_day: Day, remaining: u64) -> Left {
    Left { first_day, remaining }
}

#[test]
fn what_was_counted_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let ledger = Ledger::open(Some(folder.path())).unwrap();
        let written = ledger.add(&[counted(1, 5), counted(2, 1)], MONDAY).unwrap();
        assert_eq!(written[0], Some(left(MONDAY, 100 - 5 * round)));
    }
    let ledger = Ledger::open(Some(folder.path())).unwrap();
    assert_eq!(resumed(&ledger, 1, QUOTA, 0, MONDAY), left(MONDAY, 85));
    let days = ledger.days(subscriber(1), MONDAY, Day(MONDAY.0 + 1)).unwrap();
    assert_eq!(days, [(MONDAY, DayOfUse { used: 15, remaining: Some(85) })]);
}

#[test]
fn two_processes_count_together() {
    let folder = tempfile::tempdir().unwrap();
    let old = Ledger::open(Some(folder.path())).unwrap();
    old.add(&[counted(1, 10)], MONDAY).unwrap();
    let new = Ledger::open(Some(folder.path())).unwrap();
    old.add(&[counted(1, 1)], MONDAY).unwrap();
    let written = new.add(&[counted(1, 2)], MONDAY).unwrap();
    assert_eq!(written, [Some(left(MONDAY, 87))]);
    old.add(&[counted(1, 1)], MONDAY).unwrap();
    drop(old);
    assert_eq!(new.add(&[counted(1, 0)], MONDAY).unwrap(), [Some(left(MONDAY, 86))]);
}

#[test]
fn an_offset_counts_in_the_first_period_only() {
    let ledger = Ledger::open(None).unwrap();
    assert_eq!(resumed(&ledger, 1, QUOTA, 30, MONDAY), left(MONDAY, 70));
    assert_eq!(resumed(&ledger, 1, QUOTA, 30, MONDAY), left(MONDAY, 70));
    ledger.add(&[counted(1, 10)], MONDAY).unwrap();
    assert_eq!(resumed(&ledger, 1, QUOTA, 30, MONDAY), left(MONDAY, 60));
    let tuesday = Day(MONDAY.0 + 1);
    assert_eq!(QUOTA.left(resumed(&ledger, 1, QUOTA, 30, tuesday), tuesday), left(tuesday, 100));
}

#[test]
fn a_limit_that_changes_counts_from_now_on() {
    let ledger = Ledger::open(None).unwrap();
    ledger.add(&[counted(1, 80)], MONDAY).unwrap();
    let more = Quota { limit: 150, ..QUOTA };
    assert_eq!(resumed(&ledger, 1, more, 0, MONDAY), left(MONDAY, 70));
    let less = Quota { limit: 40, ..QUOTA };
    assert_eq!(resumed(&ledger, 1, less, 0, MONDAY), left(MONDAY, 0));
}

#[test]
fn another_period_has_what_its_days_have_left() {
    let ledger = Ledger::open(None).unwrap();
    let first = Day::of_date(2026, 11, 1).unwrap();
    for day in [Day(first.0 - 1), first, Day(first.0 + 5)] {
        ledger.add(&[counted(1, 80)], day).unwrap();
    }
    let month = Quota { limit: 1_000, period: Period::Month };
    assert_eq!(resumed(&ledger, 1, month, 0, Day(first.0 + 5)), left(first, 840));
}

#[test]
fn days_older_than_ninety_are_forgotten() {
    let ledger = Ledger::open(None).unwrap();
    for day in 0..=DAYS_KEPT + 5 {
        ledger.add(&[counted(1, 1)], Day(MONDAY.0 + day)).unwrap();
    }
    let today = Day(MONDAY.0 + DAYS_KEPT + 5);
    assert_eq!(ledger.prune(today, 3).unwrap(), 3);
    assert_eq!(ledger.prune(today, 100).unwrap(), 2);
    let days = ledger.days(subscriber(1), MONDAY, today).unwrap();
    assert_eq!((days.len() as u32, days[0].0), (DAYS_KEPT + 1, Day(MONDAY.0 + 5)));
}

#[test]
fn quotas_of_keys_that_are_gone_are_forgotten_when_their_period_is_long_over() {
    let ledger = Ledger::open(None).unwrap();
    ledger.add(&[counted(1, 1), counted(2, 1)], MONDAY).unwrap();
    let later = Day(MONDAY.0 + DAYS_KEPT + 1);
    ledger.add(&[counted(3, 1)], later).unwrap();
    ledger.forget_quotas(later, |it| it == subscriber(1)).unwrap();
    let known = |key| resumed(&ledger, key, QUOTA, 0, later);
    assert_eq!((known(1), known(2), known(3)), (left(MONDAY, 99), UNTOUCHED, left(later, 99)));
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    for bytes in [b"hello, this is no ledger at all".repeat(1000), vec![0; 100_000]] {
        std::fs::write(&file, &bytes).unwrap();
        let error = Ledger::open(Some(folder.path())).err().unwrap().to_string();
        assert!(error.contains("usage.redb: cannot be used: "), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(folder.path())).unwrap();
    let many: Vec<_> = (0..5_000).map(|key| counted(key, 1)).collect();
    ledger.add(&many, MONDAY).unwrap();
    drop(ledger);
    let file = folder.path().join(FILE);
    let intact = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for page in 1..40 {
        let mut damaged = intact.clone();
        damaged[page * 4096 + 100..page * 4096 + 200].fill(0xa5);
        std::fs::write(&file, &damaged).unwrap();
        refused += usize::from(Ledger::open(Some(folder.path())).is_err());
    }
    // Some pages hold nothing.
    assert!(refused >= 20, "{refused}");
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(folder.path())).unwrap();
    let transaction = ledger.database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(ledger);
    let error = Ledger::open(Some(folder.path())).err().unwrap().to_string();
    assert!(error.contains("was written by a newer version of Tollgate (layout 2"), "{error}");
}
