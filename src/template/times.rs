//! Times in posts: a mark in the Markdown, resolved for each platform.
//!
//! On Discord each reader sees the own time (`<t:…>`), followed by the plan's zone and UTC; on
//! Matrix the plan's zone and UTC.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// The plan's zone.
#[derive(Clone, Debug)]
pub struct Zone(pub TimeZone);

/// What a mark asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A full time.
    Time(i64),
    /// How far away it is.
    Left(i64),
}

pub fn time_mark(second: i64) -> String {
    format!("{OPEN}t{second}{CLOSE}")
}

pub fn left_mark(second: i64) -> String {
    format!("{OPEN}l{second}{CLOSE}")
}

/// Removes what could be read as a mark.
pub fn without_marks(text: &str) -> String {
    text.chars().filter(|c| *c != OPEN && *c != CLOSE).collect()
}

/// Splits text at its marks and hands each piece on.
fn pieces(text: &str, mut plain: impl FnMut(&str), mut mark: impl FnMut(Mark)) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        plain(before);
        let Some((inside, behind)) = after.split_once(CLOSE) else { break };
        if let Some(second) = inside.get(1..).and_then(|s| s.parse().ok()) {
            mark(if inside.starts_with('l') { Mark::Left(second) } else { Mark::Time(second) });
        }
        rest = behind;
    }
    plain(rest);
}

impl Zone {
    /// `Tue 1 Dec 2026, 14:00 CET (13:00 UTC)`
    pub fn written(&self, at: Timestamp) -> String {
        let local = at.to_zoned_datetime(self.0.clone());
        let utc = at.to_zoned_datetime(TimeZone::UTC);
        if self.0 == TimeZone::UTC {
            return utc.strftime("%a %-d %b %Y, %H:%M UTC").to_string();
        }
        let same_day = local.date() == utc.date();
        let in_utc = utc.strftime(if same_day { "%H:%M UTC" } else { "%a %-d %b, %H:%M UTC" });
        format!("{} ({in_utc})", local.strftime("%a %-d %b %Y, %H:%M %Z"))
    }

    /// Resolves marks as Matrix reads them, seen at `now`.
    pub fn for_matrix(&self, text: &str, now: Timestamp) -> String {
        let mut out = String::with_capacity(text.len());
        let cell = std::cell::RefCell::new(&mut out);
        pieces(
            text,
            |plain| cell.borrow_mut().push_str(plain),
            |mark| {
                let words = match mark {
                    Mark::Time(s) => Timestamp::from_second(s).map(|at| self.written(at)),
                    Mark::Left(s) => Timestamp::from_second(s).map(|at| distance(at.duration_since(now))),
                };
                cell.borrow_mut().push_str(&words.unwrap_or_default());
            },
        );
        out
    }

    /// Resolves marks as Discord shows them; what is between goes through `escape`.
    pub fn for_discord(&self, text: &str, escape: impl Fn(&str) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        let cell = std::cell::RefCell::new(&mut out);
        pieces(
            text,
            |plain| cell.borrow_mut().push_str(&escape(plain)),
            |mark| {
                let words = match mark {
                    Mark::Time(s) => Timestamp::from_second(s).map(|at| format!("<t:{s}:F> · {}", self.written(at))).unwrap_or_default(),
                    Mark::Left(s) => format!("<t:{s}:R>"),
                };
                cell.borrow_mut().push_str(&words);
            },
        );
        out
    }
}

/// `in 7 days`, `5 minutes ago`
pub fn distance(length: SignedDuration) -> String {
    let words = length_words(length.abs());
    if length.is_negative() { format!("{words} ago") } else { format!("in {words}") }
}

/// `7 days`, `1 hour`, `90 minutes`, `20 seconds`: the largest unit that says it well.
pub fn length_words(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let (number, unit) = match seconds {
        s if s >= 2 * 86_400 || s == 86_400 => ((s + 43_200) / 86_400, "day"),
        s if s >= 2 * 3600 || s == 3600 => ((s + 1800) / 3600, "hour"),
        s if s >= 120 || s == 60 => ((s + 30) / 60, "minute"),
        s => (s, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone(TimeZone::get("Europe/Berlin").unwrap())
    }

    #[test]
    fn both_zones_are_written_and_the_date_where_it_differs() {
        assert_eq!(berlin().written("2026-12-01T13:00:00Z".parse().unwrap()), "Tue 1 Dec 2026, 14:00 CET (13:00 UTC)");
        assert_eq!(berlin().written("2026-07-01T22:30:00Z".parse().unwrap()), "Thu 2 Jul 2026, 00:30 CEST (Wed 1 Jul, 22:30 UTC)");
        assert_eq!(Zone(TimeZone::UTC).written("2026-12-01T13:00:00Z".parse().unwrap()), "Tue 1 Dec 2026, 13:00 UTC");
    }

    #[test]
    fn marks_become_each_platforms_own() {
        let at: Timestamp = "2026-12-01T13:00:00Z".parse().unwrap();
        let text = format!("Opens {} — {}.", time_mark(at.as_second()), left_mark(at.as_second()));
        let now = "2026-11-24T13:00:00Z".parse().unwrap();
        assert_eq!(berlin().for_matrix(&text, now), "Opens Tue 1 Dec 2026, 14:00 CET (13:00 UTC) — in 7 days.");
        assert_eq!(
            berlin().for_discord(&text, str::to_owned),
            "Opens <t:1796130000:F> · Tue 1 Dec 2026, 14:00 CET (13:00 UTC) — <t:1796130000:R>."
        );
    }
}
