//! Times in posts are marks in the Markdown, which are resolved for each platform.
//!
//! On Discord each reader sees the time in their own zone (`<t:…>`), followed by the plan's zone
//! and UTC; on Matrix the plan's zone and UTC.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::domain::plan::language::Language;

const MARK_OPEN: char = '\u{e000}';
const MARK_CLOSE: char = '\u{e001}';

/// The plan's zone.
#[derive(Clone, Debug)]
pub struct Zone(pub TimeZone);

/// The two kinds of mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A mark for a full time.
    Time(i64),
    /// A mark for how far away a time is.
    Left(i64),
}

/// Stands for the character with which a command begins, which is each platform's own.
pub const PREFIX_MARK: &str = "\u{e000}c\u{e001}";

pub fn time_mark(second: i64) -> String {
    format!("{MARK_OPEN}t{second}{MARK_CLOSE}")
}

pub fn left_mark(second: i64) -> String {
    format!("{MARK_OPEN}l{second}{MARK_CLOSE}")
}

/// Removes what could be read as a mark.
pub fn without_marks(text: &str) -> String {
    text.chars()
        .filter(|c| *c != MARK_OPEN && *c != MARK_CLOSE)
        .collect()
}

/// Splits text at its marks and hands each piece on.
fn pieces(text: &str, mut plain: impl FnMut(&str), mut mark: impl FnMut(Mark)) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK_OPEN) {
        plain(before);
        let Some((inside, behind)) = after.split_once(MARK_CLOSE) else {
            break;
        };
        if let Some(second) = inside.get(1..).and_then(|s| s.parse().ok()) {
            mark(if inside.starts_with('l') {
                Mark::Left(second)
            } else {
                Mark::Time(second)
            });
        }
        rest = behind;
    }
    plain(rest);
}

impl Zone {
    /// Writes a time for logs and the command line: `Tue 1 Dec 2026, 14:00 CET (13:00 UTC)`.
    pub fn written(&self, at: Timestamp) -> String {
        self.written_in(Language::english(), at)
    }

    /// Writes a time in a language: `Di, 1. Dez. 2026, 14:00 MEZ (13:00 UTC)`.
    pub fn written_in(&self, language: &Language, at: Timestamp) -> String {
        language.written(at, &self.0)
    }

    /// Resolves marks as Matrix reads them, seen at `now`.
    pub fn for_matrix(&self, language: &Language, text: &str, now: Timestamp) -> String {
        let mut out = String::with_capacity(text.len());
        let cell = std::cell::RefCell::new(&mut out);
        pieces(
            text,
            |plain| cell.borrow_mut().push_str(plain),
            |mark| {
                let words = match mark {
                    Mark::Time(s) => {
                        Timestamp::from_second(s).map(|at| self.written_in(language, at))
                    }
                    Mark::Left(s) => Timestamp::from_second(s)
                        .map(|at| language.distance(at.duration_since(now))),
                };
                cell.borrow_mut().push_str(&words.unwrap_or_default());
            },
        );
        out
    }

    /// Resolves marks as Discord shows them; every word goes through `escape`.
    pub fn for_discord(
        &self,
        language: &Language,
        text: &str,
        escape: impl Fn(&str) -> String,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let cell = std::cell::RefCell::new(&mut out);
        pieces(
            text,
            |plain| cell.borrow_mut().push_str(&escape(plain)),
            |mark| {
                let words = match mark {
                    Mark::Time(s) => {
                        let written = Timestamp::from_second(s)
                            .map(|at| escape(&self.written_in(language, at)));
                        written
                            .map(|written| format!("<t:{s}:F> · {written}"))
                            .unwrap_or_default()
                    }
                    Mark::Left(s) => format!("<t:{s}:R>"),
                };
                cell.borrow_mut().push_str(&words);
            },
        );
        out
    }
}

/// Writes how far away a time is, for the command line: `in 7 days`, `5 minutes ago`.
pub fn distance(length: SignedDuration) -> String {
    Language::english().distance(length)
}

/// Writes a length, for the command line: `7 days`, `1 hour`.
pub fn length_words(length: SignedDuration) -> String {
    Language::english().span(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone(TimeZone::get("Europe/Berlin").unwrap())
    }

    #[test]
    fn both_zones_are_written_and_the_date_where_it_differs() {
        assert_eq!(
            berlin().written("2026-12-01T13:00:00Z".parse().unwrap()),
            "Tue 1 Dec 2026, 14:00 CET (13:00 UTC)"
        );
        assert_eq!(
            berlin().written("2026-07-01T22:30:00Z".parse().unwrap()),
            "Thu 2 Jul 2026, 00:30 CEST (Wed 1 Jul, 22:30 UTC)"
        );
        assert_eq!(
            Zone(TimeZone::UTC).written("2026-12-01T13:00:00Z".parse().unwrap()),
            "Tue 1 Dec 2026, 13:00 UTC"
        );
    }

    #[test]
    fn marks_become_each_platforms_own() {
        let at: Timestamp = "2026-12-01T13:00:00Z".parse().unwrap();
        let text = format!(
            "Opens {} — {}.",
            time_mark(at.as_second()),
            left_mark(at.as_second())
        );
        let now = "2026-11-24T13:00:00Z".parse().unwrap();
        assert_eq!(
            berlin().for_matrix(Language::english(), &text, now),
            "Opens Tue 1 Dec 2026, 14:00 CET (13:00 UTC) — in 7 days."
        );
        assert_eq!(
            berlin().for_discord(Language::english(), &text, str::to_owned),
            "Opens <t:1796130000:F> · Tue 1 Dec 2026, 14:00 CET (13:00 UTC) — <t:1796130000:R>."
        );
    }
}
