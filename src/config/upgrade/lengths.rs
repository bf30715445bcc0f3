//! How long the texts and lists of an upgrade may be, so that every notice fits a post.

use super::shape::RawUpgrade;
use crate::config::yaml::{finding::Finding, source::SourceFile};

/// The longest each text may be, in characters, so that every notice fits a post.
const MAX_CHARS: [(&str, usize); 11] = [
    ("id", 24),
    ("name", 16),
    ("title", 60),
    ("summary", 140),
    ("what", 100),
    ("node_version", 16),
    ("changes", 60),
    ("rollback", 160),
    ("reason", 160),
    ("link", 20),
    ("address", 80),
];

/// Checks that what people read is neither empty nor too long for a post.
pub(super) fn check_lengths(raw: &RawUpgrade, file: &SourceFile, findings: &mut Vec<Finding>) {
    let mut check = |path: &[&str], kind: &str, text: &str| {
        let most = MAX_CHARS
            .iter()
            .find(|(k, _)| *k == kind)
            .map_or(100, |(_, n)| *n);
        let has = text.chars().count();
        if has > most {
            findings.push(file.wrong(
                path,
                format!("this has {has} characters; {most} fit"),
                "say it shorter and link to the rest",
            ));
        }
        // Many calendars and lists show a title as it is; elsewhere the end of a block is of no account.
        let is_one_line = match kind {
            "title" => !text.contains('\n'),
            "node_version" | "changes" | "link" => !text.trim_end().contains('\n'),
            _ => true,
        };
        if !is_one_line {
            findings.push(file.wrong(
                path,
                "this has more than one line",
                "write it in one line, behind its key, in quotes if need be",
            ));
        }
        if text.trim().is_empty() && !matches!(kind, "summary" | "rollback") {
            findings.push(file.wrong(
                path,
                "nothing is written here",
                "write some words for people to read",
            ));
        }
    };
    check(&["title"], "title", &raw.title);
    check(&["id"], "id", &raw.id);
    for name in raw.chains.keys() {
        check(&["chains", name], "name", name);
    }
    check(&["summary"], "summary", &raw.summary);
    check(
        &["rollback"],
        "rollback",
        raw.rollback.as_deref().unwrap_or_default(),
    );
    for (key, reason) in [
        ("no_go", &raw.no_go),
        ("cancelled", &raw.cancelled),
        ("failed", &raw.failed),
    ] {
        reason.iter().for_each(|text| check(&[key], "reason", text));
    }
    for (i, change) in raw.changes.iter().enumerate() {
        check(&["changes", &i.to_string()], "changes", change);
    }
    for (audience, duty) in &raw.audiences {
        check(&["audiences", audience.name(), "what"], "what", &duty.what);
        duty.node_version.iter().for_each(|text| {
            check(
                &["audiences", audience.name(), "node_version"],
                "node_version",
                text,
            )
        });
    }
    for (i, link) in raw.links.iter().enumerate() {
        check(&["links", &i.to_string(), "name"], "link", &link.name);
        check(&["links", &i.to_string(), "url"], "address", &link.url);
    }
    check_counts(raw, file, findings);
}

fn check_counts(raw: &RawUpgrade, file: &SourceFile, findings: &mut Vec<Finding>) {
    if raw.chains.len() > 8 {
        findings.push(file.wrong(
            &["chains"],
            format!("{} chains are named; 8 fit", raw.chains.len()),
            "make two upgrades of them",
        ));
    }
    if raw.changes.len() > 3 {
        findings.push(file.wrong(
            &["changes"],
            format!("{} changes are listed; 3 fit", raw.changes.len()),
            "keep the ones people notice and link to the rest",
        ));
    }
    if raw.links.len() > 2 {
        findings.push(file.wrong(
            &["links"],
            format!("{} links are listed; 2 fit", raw.links.len()),
            "keep the most useful ones",
        ));
    }
}
