//! Reads values that several files have: lengths, times, time zones and addresses.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{address::Address, finding::Finding, source::SourceFile};
use crate::domain::{
    plan::schedule::{PlanTime, TimeError, parse_length},
    text::is_deceptive,
};

/// Reads a length of time, such as `10m`.
pub fn length(
    file: &SourceFile,
    path: &[&str],
    text: &str,
    findings: &mut Vec<Finding>,
) -> Option<SignedDuration> {
    parse_length(text)
        .map_err(|e| findings.push(file.wrong(path, e.to_string(), "for example 10m")))
        .ok()
}

/// Reads the IANA name of a time zone.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Reads `2026-12-01 14:00` in the plan's zone, or an instant with its own offset.
pub fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let time = text.parse::<PlanTime>()?;
    time.at(zone).ok_or(TimeError::BeyondCalendar)
}

/// Returns a name as people compare it: the case of its letters and the number of its blanks make no other.
pub fn comparable_name(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Tells whether a text is one emoji: a sign, a flag, or several signs that are joined.
pub fn is_emoji(text: &str) -> bool {
    // This says only that it is drawn as a picture.
    let text = text.replace('\u{fe0f}', "");
    let is_letter_of_flag = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    if text.chars().any(is_letter_of_flag) {
        return text.chars().count() == 2 && text.chars().all(is_letter_of_flag);
    }
    text.split('\u{200d}').all(|sign| {
        let mut chars = sign.chars();
        let is_drawn = |c: char| {
            matches!(u32::from(c),
                0xa9 | 0xae | 0x203c | 0x2049 | 0x2122 | 0x2139 | 0x2190..=0x21ff | 0x2300..=0x23ff
                | 0x24c2 | 0x25a0..=0x27bf | 0x2900..=0x297f | 0x2b00..=0x2bff | 0x3030 | 0x303d
                | 0x3297 | 0x3299 | 0x1f000..=0x1f3fa | 0x1f400..=0x1faff)
        };
        // The color of a skin, and the letters by which a region's flag is told.
        let alters = |c: char| matches!(c, '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
        chars.next().is_some_and(is_drawn) && chars.all(alters)
    })
}

/// Tells whether an address can stand in a post. What stands before an `@` is a password, or makes another host look like
/// one that people know.
pub fn linkable(url: &str) -> bool {
    let is_plain =
        |c: char| !(c.is_whitespace() || c.is_control() || is_deceptive(c) || "<>()\\".contains(c));
    url.starts_with("https://")
        && url.chars().count() <= 200
        && url.chars().all(is_plain)
        && Address::read(url).is_some_and(|address| !address.has_user)
}

#[cfg(test)]
mod tests {
    use super::{comparable_name, is_emoji, linkable};

    #[test]
    fn an_emoji_is_one() {
        let good = [
            "✅",
            "👍",
            "⚠️",
            "⚠",
            "❓",
            "🇩🇪",
            "👩‍🚀",
            "👍🏽",
            "👨‍👩‍👧",
            "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
            "ℹ️",
            "❤️‍🔥",
        ];
        for text in good {
            assert!(is_emoji(text), "{text}");
        }
        let bad = [
            "",
            " ",
            "❓❓",
            "👍 ",
            "ok",
            "1",
            ":)",
            "–",
            "é",
            "🇩",
            "🇩🇪🇫🇷",
            "👍👎",
            "🏽",
            "\u{fe0f}",
        ];
        for text in bad {
            assert!(!is_emoji(text), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_the_same_in_other_letters_and_with_other_blanks() {
        assert_eq!(
            comparable_name(" Mara  Linde"),
            comparable_name("mara linde")
        );
        assert_eq!(comparable_name("GO"), comparable_name("Go"));
        assert_ne!(comparable_name("Mara Linde"), comparable_name("Maralinde"));
    }

    #[test]
    fn an_address_leads_to_a_host() {
        let good = [
            "https://example.org/a",
            "https://example.org:8443",
            "https://[2001:db8::1]/x",
            "https://127.0.0.1",
            "https://a-b.example.org./x?y=1#z",
            "https://bücher.example.org",
            "https://हिन्दी.example",
            "https://bu\u{308}cher.example",
            "https://漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字.example",
        ];
        for url in good {
            assert!(linkable(url), "{url}");
        }
        let bad = [
            "https://",
            "https:///x",
            "https://:443",
            "https://a:99999",
            "https://a:0",
            "https://a:443,",
            "https://a:",
            "https://[::1/",
            "https://a..b",
            "https://a.dev@b.dev/",
            "http://a",
            "a",
            "https://a b",
            "https://1.2.3.400",
            "https://a\u{200b}b",
            "https://a,b",
            "https://docs.example.org\\@other.example/",
            "HTTPS://example.org",
        ];
        for url in bad {
            assert!(!linkable(url), "{url}");
        }
    }
}
