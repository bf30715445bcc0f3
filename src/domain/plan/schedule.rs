//! Offsets and repeated times are turned into instants here.
//!
//! There are two kinds of offset, which differ on two days a year: `1d` and `1w` are **civil
//! days**, the same hour of the clock on another date; `24h`, `90m` and `30s` are **exact**. A
//! civil time that falls in the gap of a DST change means the first instant after the gap; one that
//! occurs twice means the first occurrence.

use std::str::FromStr;

use chrono::TimeZone as _;
use jiff::{
    SignedDuration, Span, Timestamp, ZonedDateTime,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};
use thiserror::Error;

/// A distance from the opening of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Civil days in the plan's zone.
    Days(i64),
    /// Exact seconds.
    Exact(i64),
}

#[derive(Debug, Error, PartialEq)]
pub enum ScheduleError {
    #[error(
        "'{0}' is not an offset; write a sign, a number and a unit, such as -7d, -24h, +30m (d and w are civil days, h, m and s are exact)"
    )]
    Offset(String),
    #[error("'{0}' is not a length of time; write a number and a unit, such as 10m, 48h or 90s")]
    Length(String),
    #[error("'{0}' is not a cron expression of five fields (minute hour day month weekday): {1}")]
    Cron(String, String),
    #[error(
        "weekdays in '{0}' must be named (Mon-Fri, Sat), since numbers mean different days in different crons"
    )]
    Weekday(String),
}

impl FromStr for Offset {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ScheduleError::Offset(text.to_owned());
        let (sign, rest) = match text.trim().split_at_checked(1) {
            Some(("-", rest)) => (-1, rest),
            Some(("+", rest)) => (1, rest),
            _ if text.trim() == "0" => return Ok(Self::Exact(0)),
            _ => return Err(bad()),
        };
        let (number, unit) = number_and_unit(rest).ok_or_else(bad)?;
        let scaled = |by: i64| {
            number
                .checked_mul(by)
                .and_then(|n| n.checked_mul(sign))
                .ok_or_else(bad)
        };
        match unit {
            "w" => Ok(Self::Days(scaled(7)?)),
            "d" => Ok(Self::Days(scaled(1)?)),
            "h" => Ok(Self::Exact(scaled(3600)?)),
            "m" => Ok(Self::Exact(scaled(60)?)),
            "s" => Ok(Self::Exact(scaled(1)?)),
            _ => Err(bad()),
        }
    }
}

impl Offset {
    /// Returns the instant at this distance from `from`, or `None` outside of the calendar.
    pub fn from(self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Exact(seconds) => from.checked_add(SignedDuration::from_secs(seconds)).ok(),
            Self::Days(days) => {
                let civil = zone.to_datetime(from);
                let moved = civil.checked_add(Span::new().try_days(days).ok()?).ok()?;
                civil_instant(moved, zone)
            }
        }
    }
}

/// Reads an exact length of time, not a date: `10m`, `48h`, `90s`, `2d` (exactly 48 hours).
pub fn parse_length(text: &str) -> Result<SignedDuration, ScheduleError> {
    let bad = || ScheduleError::Length(text.to_owned());
    let (number, unit) = number_and_unit(text.trim()).ok_or_else(bad)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(bad()),
    };
    number
        .checked_mul(seconds)
        .filter(|s| *s < 400 * 86_400)
        .map(SignedDuration::from_secs)
        .ok_or_else(bad)
}

fn number_and_unit(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((
        number.parse::<i64>().ok().filter(|n| *n < 100_000_000)?,
        unit,
    ))
}

/// A length as people write it: `2h`, `90s`.
pub fn short_length(seconds: i64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A time as people write it: `2026-12-01 14:00` in the plan's zone, or `2026-12-01T13:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanTime {
    Instant(Timestamp),
    Civil(DateTime),
}

/// The reason why a text is no time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TimeError {
    #[error("is not a time")]
    Form,
    #[error("is a day that no calendar has")]
    NoSuchDay,
    #[error("has no hour")]
    NoHour,
    #[error("has a second that no clock of ours shows")]
    LeapSecond,
    #[error("has an offset that its zone doesn't have then, or a zone that nobody knows")]
    Contradiction,
    #[error("has an offset that no place has: clocks differ from UTC by -12:00 to +14:00")]
    NoSuchOffset,
    #[error("is outside of the calendar")]
    BeyondCalendar,
}

impl FromStr for PlanTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (date, clock) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
        let is_date = date.len() == 10 && date.bytes().all(|b| b == b'-' || b.is_ascii_digit());
        match date.parse::<Date>() {
            Err(_) if is_date && has_form(date) => return Err(TimeError::NoSuchDay),
            Ok(_) if is_date && clock.is_empty() => return Err(TimeError::NoHour),
            _ if has_leap_second(clock) => return Err(TimeError::LeapSecond),
            _ if has_strange_offset(clock) => return Err(TimeError::NoSuchOffset),
            _ => {}
        }
        match (text.parse(), text.split_once('[')) {
            (Ok(_), Some(_)) if text.parse::<ZonedDateTime>().is_err() => {
                Err(TimeError::Contradiction)
            }
            (Ok(instant), _) => Ok(Self::Instant(instant)),
            // A time that names a zone is in that zone, whatever the plan's is.
            (Err(_), Some((civil, name))) => {
                let zone = TimeZone::get(name.strip_suffix(']').unwrap_or_default());
                let zone = zone.map_err(|_| TimeError::Contradiction)?;
                let civil = civil.parse().map_err(|_| TimeError::Form)?;
                let instant = civil_instant(civil, &zone).ok_or(TimeError::BeyondCalendar)?;
                Ok(Self::Instant(instant))
            }
            (Err(_), None) => text.parse().map(Self::Civil).map_err(|_| TimeError::Form),
        }
    }
}

/// Tells whether a text of the form 2027-02-29 names a month and a day that a month can have.
fn has_form(date: &str) -> bool {
    let mut parts = date.split('-').skip(1).map(str::parse::<u8>);
    let within = |part: Option<Result<u8, _>>, most: u8| {
        part.is_some_and(|part| part.is_ok_and(|part| (1..=most).contains(&part)))
    };
    within(parts.next(), 12) && within(parts.next(), 31)
}

/// Tells whether an offset from UTC stands behind a time of day that no place on earth has.
fn has_strange_offset(clock: &str) -> bool {
    let clock = clock.split('[').next().unwrap_or_default();
    let Some(at) = clock.rfind(['+', '-']) else {
        return false;
    };
    let (sign, offset) = clock.split_at(at).1.split_at(1);
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let number = |digits: Option<&str>| digits.and_then(|d| d.parse::<u32>().ok());
    let hours = number(digits.get(..2)).unwrap_or_default();
    let minutes = hours * 60 + number(digits.get(2..4)).unwrap_or_default();
    minutes > if sign == "+" { 14 * 60 } else { 12 * 60 }
}

/// Tells whether a time of day has 60 seconds, with colons or without.
fn has_leap_second(clock: &str) -> bool {
    let digits = clock.chars().filter(|c| *c != ':');
    let digits: String = digits.take_while(char::is_ascii_digit).collect();
    digits.get(4..6) == Some("60")
}

impl std::fmt::Display for PlanTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{at}"),
            Self::Civil(at) if at.second() == 0 => write!(f, "{}", at.strftime("%Y-%m-%d %H:%M")),
            Self::Civil(at) => write!(f, "{}", at.strftime("%Y-%m-%d %H:%M:%S")),
        }
    }
}

impl PlanTime {
    /// `None` outside of the calendar.
    pub fn at(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Instant(at) => Some(at),
            Self::Civil(civil) => civil_instant(civil, zone),
        }
    }
}

/// Returns the instant of a civil time, or the first one after a gap; in an overlap the first.
pub fn civil_instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        // The gap ends where the new offset begins to hold: the last transition before the later reading.
        AmbiguousOffset::Gap { before, .. } => {
            let inside = before.to_timestamp(civil).ok()?;
            zone.preceding(inside.checked_add(SignedDuration::from_nanos(1)).ok()?)
                .next()
                .map(|t| t.timestamp())
        }
        _ => ambiguous.earlier().ok(),
    }
}

/// A cron expression between two offsets of the window, in a named zone.
#[derive(Clone, Debug)]
pub struct CronRule {
    schedule: cron::Schedule,
    expression: String,
    pub zone: TimeZone,
    pub from: Offset,
    pub until: Offset,
}

impl PartialEq for CronRule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
            && self.zone == other.zone
            && self.from == other.from
            && self.until == other.until
    }
}

/// The fields of a cron expression, in their order, with what each may be.
const CRON_FIELDS: [(&str, &str); 5] = [
    (
        "minute",
        "0 to 59, *, a list such as 0,30 or a step such as */15",
    ),
    (
        "hour",
        "0 to 23, *, a list such as 9,17 or a span such as 9-17",
    ),
    (
        "day of the month",
        "1 to 31, *, a list such as 1,15 or a span such as 1-7",
    ),
    (
        "month",
        "1 to 12, *, a name such as Jan or a span such as Jan-Mar",
    ),
    (
        "weekday",
        "*, a name such as Mon, a list such as Mon,Thu or a span such as Mon-Fri",
    ),
];

/// Tells whether one field of a cron expression can be read by itself.
fn is_cron_field(text: &str, name: &str) -> bool {
    let field = |(other, _): (&'static str, _)| if other == name { text } else { "*" };
    let all = CRON_FIELDS.map(field).join(" ");
    cron::Schedule::from_str(&format!("0 {all}")).is_ok()
}

impl CronRule {
    pub fn new(
        expression: &str,
        zone: TimeZone,
        from: Offset,
        until: Offset,
    ) -> Result<Self, ScheduleError> {
        let bad = |why: &str| ScheduleError::Cron(expression.to_owned(), why.to_owned());
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(bad(&format!("it has {} fields", fields.len())));
        };
        if weekday.chars().any(|c| c.is_ascii_digit()) {
            return Err(ScheduleError::Weekday(expression.to_owned()));
        }
        let seconds_first = format!("0 {minute} {hour} {day} {month} {weekday}");
        let Ok(schedule) = cron::Schedule::from_str(&seconds_first) else {
            let (field, (name, range)) = fields
                .iter()
                .zip(CRON_FIELDS)
                .find(|(field, (name, _))| !is_cron_field(field, name))
                .unwrap_or((&expression, ("expression", "five fields")));
            return Err(bad(&format!("`{field}` is no {name}, which is {range}")));
        };
        Ok(Self {
            schedule,
            expression: expression.to_owned(),
            zone,
            from,
            until,
        })
    }

    /// Returns the expression as it was written: `0 10 * * *`.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Tells whether the expression names days of the month and weekdays as well. Other crons come on either, ours on days
    /// that are both.
    pub fn has_two_days(&self) -> bool {
        let is_every = |field: &str| matches!(field, "*" | "?");
        let mut fields = self.expression.split_whitespace().skip(2);
        let (day, weekday) = (fields.next(), fields.nth(1));
        day.is_some_and(|day| !is_every(day)) && weekday.is_some_and(|day| !is_every(day))
    }

    /// Lists the occurrences between the bounds around a window that opens at `opens`, in order.
    ///
    /// The expression is read on the civil calendar (as if in UTC) and each civil time is then made
    /// an instant by our own rule, so a DST change neither drops nor doubles an occurrence.
    pub fn occurrences(&self, opens: Timestamp, plan_zone: &TimeZone) -> Vec<Timestamp> {
        const MAX_OCCURRENCES: usize = 1000;
        let (Some(first), Some(last)) = (
            self.from.from(opens, plan_zone),
            self.until.from(opens, plan_zone),
        ) else {
            return Vec::new();
        };
        let start = self.zone.to_datetime(first);
        let Some(as_utc) = chrono::Utc
            .with_ymd_and_hms(
                start.year().into(),
                start.month() as u32,
                start.day() as u32,
                start.hour() as u32,
                start.minute() as u32,
                start.second() as u32,
            )
            .single()
        else {
            return Vec::new();
        };
        // The search starts two days early, since a civil time in a gap means an instant after it.
        let mut found: Vec<Timestamp> = self
            .schedule
            .after(&(as_utc - chrono::Duration::days(2)))
            .map_while(|at| civil_of(&at))
            .map_while(|civil| civil_instant(civil, &self.zone))
            .take_while(|at| *at < last)
            .filter(|at| *at >= first)
            .take(MAX_OCCURRENCES)
            .collect();
        found.dedup();
        found
    }
}

fn civil_of(at: &chrono::DateTime<chrono::Utc>) -> Option<DateTime> {
    let second = Timestamp::from_second(at.timestamp()).ok()?;
    Some(TimeZone::UTC.to_datetime(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }
    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_civil_day_keeps_the_hour_and_24_hours_do_not() {
        // Clocks go back on 2026-10-25.
        let opens = at("2026-10-25T13:00:00Z"); // 14:00 in Berlin (CET)
        let day = Offset::from_str("-1d")
            .unwrap()
            .from(opens, &berlin())
            .unwrap();
        let hours = Offset::from_str("-24h")
            .unwrap()
            .from(opens, &berlin())
            .unwrap();
        assert_eq!(day, at("2026-10-24T12:00:00Z")); // 14:00 CEST
        assert_eq!(hours, at("2026-10-24T13:00:00Z"));
    }

    #[test]
    fn a_time_that_names_a_zone_is_in_that_zone() {
        let read = |text: &str| text.parse::<PlanTime>().ok()?.at(&berlin());
        let new_york = Some(at("2027-03-09T19:00:00Z"));
        assert_eq!(read("2027-03-09T14:00[America/New_York]"), new_york);
        assert_eq!(read("2027-03-09T14:00-05:00[America/New_York]"), new_york);
        assert_eq!(read("2027-03-09 14:00"), Some(at("2027-03-09T13:00:00Z")));
        assert_eq!(read("2027-03-09T19:00Z[America/New_York]"), new_york);
        for text in [
            "2027-03-09T14:00[America/Nowhere]",
            "2027-03-09T14:00[America/New_York",
            "2027-03-09T14:00[]",
            "14:00[America/New_York]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_has_a_reason() {
        use TimeError as E;
        for (text, wanted) in [
            ("next Tuesday", E::Form),
            ("2027-03-09 25:00", E::Form),
            ("2027-13-01 14:00", E::Form),
            ("2027-03-32 14:00", E::Form),
            ("2027-02-29 14:00", E::NoSuchDay),
            ("2027-02-29T14:00:00Z", E::NoSuchDay),
            ("2027-04-31", E::NoSuchDay),
            ("2027-03-09", E::NoHour),
            (" 2027-03-09 ", E::NoHour),
            ("2027-03-09 14:00:60", E::LeapSecond),
            ("2027-03-09T140060Z", E::LeapSecond),
            ("2027-03-09T14:00:60+01:00[Europe/Berlin]", E::LeapSecond),
            (
                "2027-03-09T14:00:00+01:00[America/New_York]",
                E::Contradiction,
            ),
            ("2027-03-09T14:00:00+01:00[Europe/Munich]", E::Contradiction),
        ] {
            assert_eq!(text.parse::<PlanTime>(), Err(wanted), "{text}");
        }
        for text in [
            "2028-02-29 14:00",
            "2027-03-09 14",
            "2027-03-09T14:00:59.5Z",
            "2027-03-09t14:00:00z",
            "2027-03-09 14:00:06",
            "2027-03-09T14:00+01:00[Europe/Berlin]",
        ] {
            assert!(text.parse::<PlanTime>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_time_in_the_gap_is_the_first_instant_after_and_in_the_overlap_the_first() {
        let gap: DateTime = "2026-03-29T02:30:00".parse().unwrap();
        assert_eq!(
            civil_instant(gap, &berlin()),
            Some(at("2026-03-29T01:00:00Z"))
        ); // 03:00 CEST
        let edge: DateTime = "2026-03-29T02:00:00".parse().unwrap();
        assert_eq!(
            civil_instant(edge, &berlin()),
            Some(at("2026-03-29T01:00:00Z"))
        );
        let twice: DateTime = "2026-10-25T02:30:00".parse().unwrap();
        assert_eq!(
            civil_instant(twice, &berlin()),
            Some(at("2026-10-25T00:30:00Z"))
        );
    }

    #[test]
    fn a_daily_countdown_over_a_dst_change_has_each_day_once() {
        let rule = CronRule::new(
            "30 2 * * *",
            berlin(),
            "-4d".parse().unwrap(),
            "0".parse().unwrap(),
        )
        .unwrap();
        let days = rule.occurrences(at("2026-03-31T10:00:00Z"), &berlin());
        let expected = [
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:30:00Z",
            "2026-03-31T00:30:00Z",
        ];
        assert_eq!(days, expected.map(at));
    }

    #[test]
    fn a_wrong_cron_expression_is_named_as_it_was_written_with_the_field_that_is_wrong() {
        for (text, wanted) in [
            ("99 9 * * *", "`99` is no minute, which is 0 to 59"),
            ("0 25 * * *", "`25` is no hour, which is 0 to 23"),
            ("0 9 0 * *", "`0` is no day of the month, which is 1 to 31"),
            ("0 9 * 13 *", "`13` is no month, which is 1 to 12"),
            ("0 9 * * Someday", "`Someday` is no weekday, which is *"),
            ("0 9-8-7 * * *", "`9-8-7` is no hour"),
            ("0 9 * *", "it has 4 fields"),
        ] {
            let rule = CronRule::new(text, berlin(), Offset::Exact(-60), Offset::Exact(0));
            let said = rule.unwrap_err().to_string();
            assert!(said.starts_with(&format!("'{text}' is not")), "{said}");
            assert!(said.contains(wanted) && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn wrong_texts_are_refused() {
        for text in [
            "7d",
            "-7",
            "-d",
            "-7y",
            "",
            "--7d",
            "-99999999999d",
            "-1.5h",
            "-７d",
        ] {
            assert!(Offset::from_str(text).is_err(), "{text}");
        }
        for text in ["", "10", "m", "-10m", "10y", "9999999999d"] {
            assert!(parse_length(text).is_err(), "{text}");
        }
        for text in ["* * * *", "0 9 * * 1", "99 9 * * *", "0 9 * * Someday"] {
            assert!(
                CronRule::new(text, berlin(), Offset::Exact(-60), Offset::Exact(0)).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn offsets_and_lengths_are_read_by_their_units() {
        let offsets = [
            ("0", Offset::Exact(0)),
            (" -7d ", Offset::Days(-7)),
            ("+2w", Offset::Days(14)),
            ("-24h", Offset::Exact(-86_400)),
            ("+30m", Offset::Exact(1800)),
            ("-90s", Offset::Exact(-90)),
            ("+99999999s", Offset::Exact(99_999_999)),
        ];
        for (text, offset) in offsets {
            assert_eq!(Offset::from_str(text), Ok(offset));
        }
        assert!(Offset::from_str("+100000000s").is_err());
        let lengths = [
            ("2d", 172_800),
            ("48h", 172_800),
            (" 10m", 600),
            ("90s", 90),
        ];
        for (text, seconds) in lengths {
            let length = SignedDuration::from_secs(seconds);
            assert_eq!(parse_length(text), Ok(length), "{text}");
        }
        assert_eq!(parse_length("9599h").unwrap().as_hours(), 9599);
        assert!(parse_length("9600h").is_err() && parse_length("400d").is_err());
    }

    #[test]
    fn a_length_is_written_in_the_largest_unit_that_fits() {
        let said = [0, 7200, 5400, 60, 90, 3601].map(short_length);
        assert_eq!(said, ["0h", "2h", "90m", "1m", "90s", "3601s"]);
    }

    #[test]
    fn a_time_is_written_as_people_write_it() {
        for text in [
            "2026-12-01 14:00",
            "2026-12-01 14:00:30",
            "2026-12-01T13:00:00Z",
        ] {
            assert_eq!(text.parse::<PlanTime>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rules_are_one_where_all_their_parts_are() {
        let rule = |expression, zone: &str, from, until| {
            let zone = TimeZone::get(zone).unwrap();
            CronRule::new(expression, zone, Offset::Days(from), Offset::Days(until)).unwrap()
        };
        let one = rule("0 9 * * *", "Europe/Berlin", -7, 0);
        assert_eq!(one.expression(), "0 9 * * *");
        let others = [
            (rule("0 9 * * *", "Europe/Berlin", -7, 0), true),
            (rule("0 8 * * *", "Europe/Berlin", -7, 0), false),
            (rule("0 9 * * *", "Europe/Paris", -7, 0), false),
            (rule("0 9 * * *", "Europe/Berlin", -6, 0), false),
            (rule("0 9 * * *", "Europe/Berlin", -7, -1), false),
        ];
        for (other, is_one) in others {
            assert_eq!(one == other, is_one, "{other:?}");
        }
        let days = [
            ("0 9 * * *", false),
            ("0 9 1 * *", false),
            ("0 9 ? * Mon", false),
            ("0 9 1 * Mon", true),
        ];
        for (expression, two) in days {
            assert_eq!(rule(expression, "UTC", -7, 0).has_two_days(), two);
        }
    }

    #[test]
    fn occurrences_lie_from_the_first_bound_to_before_the_last() {
        let hourly = |from, until| {
            let (from, until) = (Offset::Exact(from), Offset::Exact(until));
            CronRule::new("0 * * * *", TimeZone::UTC, from, until).unwrap()
        };
        let opens = at("2026-12-10T12:00:00Z");
        let found = hourly(-7200, 0).occurrences(opens, &TimeZone::UTC);
        assert_eq!(
            found,
            ["2026-12-10T10:00:00Z", "2026-12-10T11:00:00Z"].map(at)
        );
        let many = hourly(-2000 * 3600, 0).occurrences(opens, &TimeZone::UTC);
        assert_eq!(many.len(), 1000);
        // Two civil times in the gap of a change of the clocks are one instant.
        let halves = CronRule::new(
            "0,30 2 * * *",
            berlin(),
            Offset::Exact(-3600 * 12),
            Offset::Exact(0),
        );
        let once = halves
            .unwrap()
            .occurrences(at("2026-03-29T12:00:00Z"), &berlin());
        assert_eq!(once, [at("2026-03-29T01:00:00Z")]);
    }
}
