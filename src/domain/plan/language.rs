//! A language says how times, lengths and herald's own words are written in it.
//!
//! Everything that a language needs is data, read from `templates/words/<locale>.yaml`. Only
//! English is here as well, for logs and the command line, which speak nothing else.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::{SignedDuration, Timestamp, ZonedDateTime, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;

/// The locale of everything that has no translation.
pub const DEFAULT_LOCALE: &str = "en";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    /// The locale: `de`, `pt-BR`.
    pub locale: String,
    /// The language's own name for itself: `Deutsch`.
    pub name: String,
    pub dates: Dates,
    pub spans: Spans,
    /// The words that templates get from herald (`verified`, `validators`), as this language has them.
    pub words: BTreeMap<String, String>,
    /// Templates of what herald says to somebody who gives a command, by the names of the replies.
    pub replies: BTreeMap<String, String>,
}

/// The patterns for times. They know `{weekday}`, `{day}`, `{month}`, `{month_number}`, `{year}`,
/// `{time}` and `{zone}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dates {
    /// The pattern for a time in the plan's zone.
    pub full: String,
    /// The pattern for UTC in brackets behind it, where the date there is another one.
    pub other_day: String,
    /// The pattern for UTC in brackets behind it, where the date there is the same.
    pub same_day: String,
    /// The weekdays, from Monday.
    pub weekdays: [String; 7],
    /// The months, from January.
    pub months: [String; 12],
    /// The readers' names for zones, where they aren't the usual abbreviations: `CET: MEZ`.
    #[serde(default)]
    pub zones: BTreeMap<String, String>,
}

/// The patterns for how long something is, and how far away.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spans {
    /// The pattern for a length, of `{number}` and `{unit}`.
    pub span: String,
    /// The pattern for what is to come, around `{span}`.
    #[serde(rename = "in")]
    pub ahead: String,
    /// The pattern for what is past, around `{span}`.
    pub ago: String,
    /// The words for one second and for more.
    pub second: Unit,
    /// The words for one minute and for more.
    pub minute: Unit,
    /// The words for one hour and for more.
    pub hour: Unit,
    /// The words for one day and for more.
    pub day: Unit,
}

/// A unit's name for one and for more of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// The forms in "it takes 7 days".
    pub alone: [String; 2],
    /// The forms in "in 7 days" and "7 days ago": some languages decline them.
    pub away: [String; 2],
}

static ENGLISH: LazyLock<Language> = LazyLock::new(|| {
    let unit = |name: &str| {
        let forms = [name.to_owned(), format!("{name}s")];
        Unit {
            alone: forms.clone(),
            away: forms,
        }
    };
    Language {
        locale: DEFAULT_LOCALE.into(),
        name: "English".into(),
        dates: Dates {
            full: "{weekday} {day} {month} {year}, {time} {zone}".into(),
            other_day: "{weekday} {day} {month}, {time} {zone}".into(),
            same_day: "{time} {zone}".into(),
            weekdays: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map(str::to_owned),
            months: [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ]
            .map(str::to_owned),
            zones: BTreeMap::new(),
        },
        spans: Spans {
            span: "{number} {unit}".into(),
            ahead: "in {span}".into(),
            ago: "{span} ago".into(),
            second: unit("second"),
            minute: unit("minute"),
            hour: unit("hour"),
            day: unit("day"),
        },
        words: BTreeMap::new(),
        replies: BTreeMap::new(),
    }
});

impl Language {
    /// Returns English as logs and the command line have it, without words of its own.
    pub fn english() -> &'static Self {
        &ENGLISH
    }

    /// Returns one of herald's own words in this language, or the word itself where it has none.
    pub fn word<'a>(&'a self, word: &'a str) -> &'a str {
        self.words
            .get(word)
            .or_else(|| self.words.get(&word.to_lowercase()))
            .map_or(word, String::as_str)
    }

    /// Writes a length in the largest unit that says it well: `7 days`, `1 hour`, `90 minutes`.
    pub fn span(&self, length: SignedDuration) -> String {
        self.counted(length, |unit| &unit.alone)
    }

    /// Writes how far away a time is: `in 7 days`, `5 minutes ago`.
    pub fn distance(&self, length: SignedDuration) -> String {
        let span = self.counted(length.abs(), |unit| &unit.away);
        let pattern = if length.is_negative() {
            &self.spans.ago
        } else {
            &self.spans.ahead
        };
        fill(pattern, |part| (part == "span").then(|| span.clone()))
    }

    fn counted(&self, length: SignedDuration, forms: impl Fn(&Unit) -> &[String; 2]) -> String {
        let (number, unit) = match length.as_secs() {
            s if s >= 2 * 86_400 || s == 86_400 => ((s + 43_200) / 86_400, &self.spans.day),
            s if s >= 2 * 3600 || s == 3600 => ((s + 1800) / 3600, &self.spans.hour),
            s if s >= 120 || s == 60 => ((s + 30) / 60, &self.spans.minute),
            s => (s, &self.spans.second),
        };
        let [one, more] = forms(unit);
        fill(&self.spans.span, |part| match part {
            "number" => Some(number.to_string()),
            "unit" => Some(if number == 1 {
                one.clone()
            } else {
                more.clone()
            }),
            _ => None,
        })
    }

    /// Writes a time in `zone`, with UTC in brackets: `Tue 1 Dec 2026, 14:00 CET (13:00 UTC)`.
    pub fn written(&self, at: Timestamp, zone: &TimeZone) -> String {
        let utc = at.to_zoned_datetime(TimeZone::UTC);
        if *zone == TimeZone::UTC {
            return self.date(&self.dates.full, &utc);
        }
        let local = at.to_zoned_datetime(zone.clone());
        let same_day = local.date() == utc.date();
        let in_utc = self.date(
            if same_day {
                &self.dates.same_day
            } else {
                &self.dates.other_day
            },
            &utc,
        );
        format!("{} ({in_utc})", self.date(&self.dates.full, &local))
    }

    fn date(&self, pattern: &str, at: &ZonedDateTime) -> String {
        let name_at = |names: &[String], from_zero: i8| {
            usize::try_from(from_zero)
                .ok()
                .and_then(|i| names.get(i))
                .cloned()
        };
        fill(pattern, |part| match part {
            "weekday" => name_at(&self.dates.weekdays, at.weekday().to_monday_zero_offset()),
            "day" => Some(at.day().to_string()),
            "month" => name_at(&self.dates.months, at.month() - 1),
            "month_number" => Some(at.month().to_string()),
            "year" => Some(at.year().to_string()),
            "time" => Some(at.strftime("%H:%M").to_string()),
            "zone" => {
                let zone = at.strftime("%Z").to_string();
                Some(self.dates.zones.get(&zone).cloned().unwrap_or(zone))
            }
            _ => None,
        })
    }
}

/// Replaces each `{name}` in a pattern by its value.
fn fill(pattern: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some((before, (name, behind))) = rest
        .split_once('{')
        .and_then(|(b, after)| Some((b, after.split_once('}')?)))
    {
        out.push_str(before);
        out.push_str(&value(name).unwrap_or_default());
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Lists the names that stand in a pattern.
pub fn placeholders(pattern: &str) -> impl Iterator<Item = &str> {
    pattern
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name)
}

/// True for two or three lower-case letters, and perhaps a country: `de`, `pt-BR`.
pub fn is_locale(text: &str) -> bool {
    let (language, country) = text
        .split_once('-')
        .map_or((text, None), |(l, c)| (l, Some(c)));
    (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_lowercase())
        && country.is_none_or(|c| c.len() == 2 && c.chars().all(|c| c.is_ascii_uppercase()))
}

/// Splits a template's name from the locale of its translation: `execution/applied.de`.
pub fn split(template: &str) -> (&str, Option<&str>) {
    match template.rsplit_once('.') {
        Some((original, locale)) if !locale.contains('/') => (original, Some(locale)),
        _ => (template, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_is_a_language_and_perhaps_a_country() {
        for good in ["de", "pt-BR", "nds", "zh"] {
            assert!(is_locale(good), "{good}");
        }
        for bad in [
            "", "d", "DE", "deu1", "germ", "de-", "de-at", "de-AUT", "de_AT", "../de",
        ] {
            assert!(!is_locale(bad), "{bad}");
        }
    }

    #[test]
    fn a_translation_is_told_from_its_original_by_what_stands_behind_the_dot() {
        assert_eq!(
            split("execution/applied.de"),
            ("execution/applied", Some("de"))
        );
        assert_eq!(split("execution/applied"), ("execution/applied", None));
        assert_eq!(split("v2.3/applied"), ("v2.3/applied", None));
    }

    #[test]
    fn the_largest_unit_that_says_it_well_is_taken() {
        let span = |s| Language::english().span(SignedDuration::from_secs(s));
        let said: Vec<String> = [
            0,
            1,
            59,
            60,
            90,
            119,
            120,
            3600,
            5400,
            7200,
            86_400,
            100_000,
            7 * 86_400,
        ]
        .map(span)
        .into();
        let expected = [
            "0 seconds",
            "1 second",
            "59 seconds",
            "1 minute",
            "90 seconds",
            "119 seconds",
            "2 minutes",
            "1 hour",
            "90 minutes",
            "2 hours",
            "1 day",
            "28 hours",
            "7 days",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_pattern_with_an_open_brace_is_written_as_it_is() {
        assert_eq!(fill("{a} {b", |name| Some(name.to_uppercase())), "A {b");
        assert_eq!(placeholders("{a} {b {c}").collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_time_to_come_and_one_that_is_past_are_told_apart() {
        let far = |s| Language::english().distance(SignedDuration::from_secs(s));
        let said = [7 * 86_400, 60, 0, -1, -7200].map(far);
        let expected = [
            "in 7 days",
            "in 1 minute",
            "in 0 seconds",
            "1 second ago",
            "2 hours ago",
        ];
        assert_eq!(said, expected);
        // A length is rounded to the unit it is said in.
        let span = |s| Language::english().span(SignedDuration::from_secs(s));
        let said = [
            149, 150, 7199, 8999, 9000, 171_799, 172_800, 215_999, 216_000,
        ]
        .map(span);
        let expected = [
            "2 minutes",
            "3 minutes",
            "120 minutes",
            "2 hours",
            "3 hours",
            "48 hours",
            "2 days",
            "2 days",
            "3 days",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_time_is_written_in_its_zone_with_utc_behind_it() {
        let mut german = Language::english().clone();
        german.dates.full = "{weekday} {day}.{month_number}.{year} {time} {zone}{nothing}".into();
        german.dates.zones = [("CET".to_owned(), "MEZ".to_owned())].into();
        let write = |language: &Language, at: &str, zone: &str| {
            let zone = TimeZone::get(zone).unwrap();
            language.written(at.parse().unwrap(), &zone)
        };
        let english = |at, zone| write(Language::english(), at, zone);
        assert_eq!(
            english("2026-12-01T13:05:00Z", "Europe/Berlin"),
            "Tue 1 Dec 2026, 14:05 CET (13:05 UTC)"
        );
        assert_eq!(
            english("2026-01-01T23:30:00Z", "Europe/Berlin"),
            "Fri 2 Jan 2026, 00:30 CET (Thu 1 Jan, 23:30 UTC)"
        );
        assert_eq!(
            english("2026-12-01T13:00:00Z", "UTC"),
            "Tue 1 Dec 2026, 13:00 UTC"
        );
        assert_eq!(
            write(&german, "2026-12-01T13:00:00Z", "Europe/Berlin"),
            "Tue 1.12.2026 14:00 MEZ (13:00 UTC)"
        );
    }

    #[test]
    fn a_word_without_a_translation_stays_as_it_is() {
        let mut german = Language::english().clone();
        let words = [("verified", "geprüft"), ("API", "Schnittstelle")];
        german.words = words.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let said = ["verified", "Verified", "API", "validators"].map(|w| german.word(w));
        assert_eq!(said, ["geprüft", "geprüft", "Schnittstelle", "validators"]);
    }
}
