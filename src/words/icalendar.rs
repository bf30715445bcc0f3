//! Writes events as an iCalendar file (RFC 5545): pure text, times in UTC.
//!
//! Nothing in an event's words can end its line: special characters are escaped or made spaces.

use jiff::{Timestamp, tz::TimeZone};

use super::literal::is_disruptive;

/// A line may have at most this many octets, without its end.
const MAX_LINE_OCTETS: usize = 75;

/// One event; both times in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcalEvent {
    /// The id by which calendars know the event whenever it is written again.
    pub uid: String,
    pub starts: Timestamp,
    pub ends: Timestamp,
    pub title: String,
    pub description: String,
    pub url: Option<String>,
    /// True if the event takes up its reader's time.
    pub busy: bool,
    /// The number of times the event was changed.
    pub sequence: u32,
    /// True if the event was called off.
    pub cancelled: bool,
}

/// Writes a calendar with `events` in order of time, made at `stamp`.
pub fn write(name: &str, events: &[IcalEvent], stamp: Timestamp) -> String {
    let mut sorted: Vec<&IcalEvent> = events.iter().collect();
    sorted.sort_by(|a, b| (a.starts, a.ends, &a.uid).cmp(&(b.starts, b.ends, &b.uid)));
    let mut out = String::new();
    let mut line = |name: &str, value: &str| fold(&mut out, &format!("{name}:{value}"));
    line("BEGIN", "VCALENDAR");
    line("VERSION", "2.0");
    line("PRODID", "-//upgrade-herald//herald plan//EN");
    line("CALSCALE", "GREGORIAN");
    line("X-WR-CALNAME", &escape(name));
    for event in sorted {
        line("BEGIN", "VEVENT");
        line("UID", &escape(&event.uid));
        line("DTSTAMP", &utc(stamp));
        line("SEQUENCE", &event.sequence.to_string());
        if event.cancelled {
            line("STATUS", "CANCELLED");
        }
        line("DTSTART", &utc(event.starts));
        line("DTEND", &utc(event.ends));
        line("SUMMARY", &escape(&event.title));
        line("DESCRIPTION", &escape(&event.description));
        if let Some(url) = event
            .url
            .as_ref()
            .filter(|u| !u.contains(|c: char| c.is_control() || c.is_whitespace()))
        {
            line("URL", url);
        }
        line("TRANSP", if event.busy { "OPAQUE" } else { "TRANSPARENT" });
        line("END", "VEVENT");
    }
    line("END", "VCALENDAR");
    out
}

/// Writes a time in UTC: `20270309T130000Z`.
fn utc(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

/// Escapes a value of the type TEXT.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\\' | ';' | ',' => out.extend(['\\', c]),
            c if is_disruptive(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Ends a line, and breaks a long one between characters; the space behind a break counts.
fn fold(out: &mut String, line: &str) {
    let mut room = MAX_LINE_OCTETS;
    for c in line.chars() {
        if c.len_utf8() > room {
            out.push_str("\r\n ");
            room = MAX_LINE_OCTETS - 1;
        }
        room -= c.len_utf8();
        out.push(c);
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_reads_as_the_standard_has_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let event = |uid: &str, starts: &str, url: Option<&str>| IcalEvent {
            uid: uid.into(),
            starts: at(starts),
            ends: at(starts),
            title: "One, two; three\\four\r\nfive\u{7}".into(),
            description: "short".into(),
            url: url.map(str::to_owned),
            busy: url.is_some(),
            sequence: 3,
            cancelled: url.is_some(),
        };
        let events = [
            event("b", "2027-03-09T13:00:00Z", None),
            event("a", "2027-03-09T12:00:00Z", Some("https://example.org/a,b")),
        ];
        let written = write("Upgrades", &events, at("2027-01-01T00:00:00Z"));
        let common = "DTSTAMP:20270101T000000Z\r\nSEQUENCE:3\r\n";
        let off = "STATUS:CANCELLED\r\n";
        let title = "SUMMARY:One\\, two\\; three\\\\four\\nfive \r\nDESCRIPTION:short\r\n";
        assert_eq!(
            written,
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//upgrade-herald//herald plan//EN\r\nCALSCALE:GREGORIAN\r\nX-WR-CALNAME:Upgrades\r\n\
                 BEGIN:VEVENT\r\nUID:a\r\n{common}{off}DTSTART:20270309T120000Z\r\nDTEND:20270309T120000Z\r\n{title}URL:https://example.org/a,b\r\n\
                 TRANSP:OPAQUE\r\nEND:VEVENT\r\n\
                 BEGIN:VEVENT\r\nUID:b\r\n{common}DTSTART:20270309T130000Z\r\nDTEND:20270309T130000Z\r\n{title}TRANSP:TRANSPARENT\r\nEND:VEVENT\r\n\
                 END:VCALENDAR\r\n"
            )
        );
    }

    #[test]
    fn long_lines_are_broken_between_characters_and_come_back_whole() {
        for text in [
            "x".repeat(400),
            "ü".repeat(200),
            "a🚀".repeat(120),
            " ".repeat(300),
        ] {
            let mut out = String::new();
            fold(&mut out, &text);
            assert!(
                out.split("\r\n").all(|line| line.len() <= MAX_LINE_OCTETS),
                "{out:?}"
            );
            assert_eq!(out.replace("\r\n ", "").trim_end_matches("\r\n"), text);
        }
    }
}
