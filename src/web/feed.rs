//! Writes the files for calendars and feed readers.

use atom_syndication::{Category, Content, Entry, Feed, Generator, Link, Person, Text};
use jiff::Timestamp;

use super::page::{path_of, words_of};
use crate::{
    report::bulletin::{Bulletin, EntryView},
    words::{
        Zone,
        icalendar::{self, IcalEvent},
    },
};

/// The feed has at most this many entries, of the newest posts.
const MAX_FEED_ENTRIES: usize = 50;

/// Writes the windows, each under a name that it keeps when it moves.
pub(super) fn calendar(
    bulletins: &[Bulletin],
    title: &str,
    address: &str,
    now: Timestamp,
) -> String {
    let set = bulletins.iter().filter(|b| b.window.set);
    let events: Vec<IcalEvent> = set
        .map(|b| IcalEvent {
            uid: format!("{}@upgrade-herald", b.id),
            starts: b.window.opens,
            ends: b.window.closes,
            title: b.title.clone(),
            description: described(b),
            url: Some(format!(
                "{}{}",
                address.trim_end_matches('/'),
                path_of(&b.id)
            )),
            busy: b.under_way,
            sequence: b.sequence,
            cancelled: matches!(b.state, "cancelled" | "failed"),
        })
        .collect();
    icalendar::write(title, &events, now)
}

/// Describes what an upgrade brings, and where it stands.
fn described(bulletin: &Bulletin) -> String {
    let held = bulletin
        .no_go
        .as_ref()
        .map(|reason| format!(", on hold: {reason}"));
    let reason = bulletin.reason.as_ref().map(|reason| format!(": {reason}"));
    let why = reason.or(held).unwrap_or_default();
    format!("{}\nState: {}{why}", bulletin.summary, bulletin.state)
}

/// Writes the posts that are out, the newest first.
pub(super) fn atom(bulletins: &[Bulletin], title: &str, address: &str, zone: &Zone) -> String {
    let posted = bulletins
        .iter()
        .flat_map(|b| b.timeline.iter().filter(|e| e.posted).map(move |e| (b, e)));
    let mut posted: Vec<_> = posted.collect();
    posted.sort_by(|(_, a), (_, b)| (b.at, &b.key).cmp(&(a.at, &a.key)));
    let updated = |entry: &EntryView| entry.changed.unwrap_or(entry.at).max(entry.at);
    let newest = posted.iter().map(|(_, entry)| updated(entry)).max();
    let newest = newest.unwrap_or(Timestamp::UNIX_EPOCH);
    let entries = posted
        .into_iter()
        .take(MAX_FEED_ENTRIES)
        .map(|(bulletin, entry)| {
            let page = format!(
                "{}{}#{}",
                address.trim_end_matches('/'),
                path_of(&bulletin.id),
                entry.key
            );
            let html = entry
                .body
                .as_ref()
                .map(|(platform, body)| words_of(*platform, body, zone, entry.at))
                .unwrap_or_default();
            Entry {
                title: Text::plain(allowed(&entry.title)),
                id: page.clone(),
                updated: moment(updated(entry)),
                published: Some(moment(entry.at)),
                links: vec![Link {
                    href: page,
                    rel: "alternate".into(),
                    ..Link::default()
                }],
                categories: vec![Category {
                    term: entry.phase.to_owned(),
                    ..Category::default()
                }],
                content: Some(Content {
                    value: Some(allowed(&html)),
                    content_type: Some("html".into()),
                    ..Content::default()
                }),
                ..Entry::default()
            }
        });
    let feed = Feed {
        title: Text::plain(allowed(title)),
        id: format!("{address}feed.atom"),
        updated: moment(newest),
        authors: vec![Person {
            name: allowed(title),
            ..Person::default()
        }],
        generator: Some(Generator {
            value: "upgrade-herald".into(),
            ..Generator::default()
        }),
        links: vec![
            Link {
                href: format!("{address}feed.atom"),
                rel: "self".into(),
                mime_type: Some("application/atom+xml".into()),
                ..Link::default()
            },
            Link {
                href: address.to_owned(),
                rel: "alternate".into(),
                mime_type: Some("text/html".into()),
                ..Link::default()
            },
        ],
        entries: entries.collect(),
        ..Feed::default()
    };
    feed.to_string()
}

fn moment(at: Timestamp) -> atom_syndication::FixedDateTime {
    chrono::DateTime::from_timestamp(at.as_second(), 0)
        .unwrap_or_default()
        .fixed_offset()
}

/// Replaces the characters that XML has no way to write.
fn allowed(text: &str) -> String {
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars()
        .map(|c| if is_allowed(c) { c } else { '\u{fffd}' })
        .collect()
}
