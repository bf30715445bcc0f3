//! Reads values that several files have: lengths, times, time zones and addresses.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{finding::Finding, source::SourceFile};
use crate::domain::plan::schedule::{PlanTime, parse_length};

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
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse::<PlanTime>().ok()?.at(zone)
}

/// Tells whether a text is one that some readers of YAML take for true, false or nothing.
pub fn is_switch(text: &str) -> bool {
    const SWITCHES: [&str; 13] = [
        "", "y", "n", "yes", "no", "true", "false", "on", "off", "~", "null", "nil", "none",
    ];
    SWITCHES.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// Tells whether an address can stand in a post. What stands before an `@` is a password, or makes another host look like
/// one that people know.
pub fn linkable(url: &str) -> bool {
    let host = url.strip_prefix("https://");
    host.is_some_and(|host| {
        !host
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default()
            .contains('@')
    }) && url.chars().count() <= 200
        && !url
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>()".contains(c))
}

#[cfg(test)]
mod tests {
    use super::is_switch;

    #[test]
    fn a_switch_is_no_text() {
        for text in ["no", "Off", " FALSE ", "~", "null", "", "y", "None"] {
            assert!(is_switch(text), "{text}");
        }
        for text in ["no time", "a fault", "0", "off by one", "not now"] {
            assert!(!is_switch(text), "{text}");
        }
    }
}
