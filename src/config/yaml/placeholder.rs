//! Values that aren't what somebody meant: still to be filled in, or cut off by a comment.

use super::{finding::Finding, source::SourceFile, span};

const PLACEHOLDER_WORDS: [&str; 6] = ["TODO", "TBD", "FIXME", "XXX", "CHANGEME", "lorem"];

/// Adds a finding for each value that is still to be filled in.
pub fn find(file: &SourceFile, findings: &mut Vec<Finding>) {
    for (value, place) in span::values(&file.text) {
        let Some(what) = placeholder(&value) else {
            continue;
        };
        // What else is wrong with the value itself would only repeat it.
        findings
            .retain(|f| !(f.file == file.name && f.line == place.0 && f.message.contains(&value)));
        let hint = "write what people are to read, or remove the key if it may be left out";
        findings.push(file.at(
            place,
            format!("`{what}` is still to be filled in"),
            hint.to_owned(),
        ));
    }
}

/// Adds a warning for each value without quotes whose end is a comment, probably against somebody's will.
pub fn warn_of_comments(file: &SourceFile, findings: &mut Vec<Finding>) {
    for (word, place) in span::cut_by_comments(&file.text) {
        let message = format!("`{word}` and what follows is a comment, which nobody reads");
        let hint = "put the text in quotes, or a space behind the `#` if a comment is meant";
        findings.push(file.at(place, message, hint.to_owned()).warning());
    }
}

/// Finds what in a value shows that somebody meant to fill it in.
fn placeholder(value: &str) -> Option<&str> {
    let words = || value.split(|c: char| !c.is_alphanumeric());
    let shouted = PLACEHOLDER_WORDS.into_iter().find(|word| {
        words().any(|w| w == *word || (*word == "lorem" && w.eq_ignore_ascii_case(word)))
    });
    let dots = || matches!(value.trim(), "…" | "...").then(|| value.trim());
    let marks = || value.contains("???").then_some("???");
    shouted
        .or_else(dots)
        .or_else(marks)
        .or_else(|| bracketed(value))
}

/// `<the node's version>`
fn bracketed(value: &str) -> Option<&str> {
    let start = value.find('<')?;
    let end = start + value.get(start..)?.find('>')?;
    let inside = value.get(start + 1..end)?;
    let words = inside.starts_with(char::is_alphabetic)
        && inside
            .chars()
            .all(|c| c.is_alphanumeric() || " '.-_".contains(c));
    // One word alone could be meant: Vec<T>.
    let whole = value.trim().len() == end + 1 - start;
    let gap = inside.contains('…')
        || (words && inside.chars().count() <= 40 && (whole || inside.contains(' ')));
    gap.then(|| value.get(start..=end)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_filled_in_is_told_from_what_people_write() {
        for text in [
            "TODO",
            "TODO: ask Anna",
            "by v1.2 (TBD)",
            "XXX",
            "…",
            " ... ",
            "really???",
            "<version>",
            "node <the version>",
            "Lorem ipsum",
        ] {
            assert!(placeholder(text).is_some(), "{text}");
        }
        for text in [
            "todo el mundo",
            "Nothing to do.",
            "and so on…",
            "really?",
            "a < b and c > d",
            "XXXL",
            "<3 you all>",
            "Vec<T> is encoded anew",
            "<script>alert(1)</script>",
            "❓",
            "<:>",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }

    #[test]
    fn each_has_its_own_place_and_is_said_once() {
        let file = SourceFile {
            name: "upgrade.yaml".into(),
            text: "id: v1\nwindow: { opens: TODO, closes: '2027-01-01 16:00' }\nchanges: [TBD, fine]\n".into(),
        };
        let mut findings = vec![file.wrong(&["window", "opens"], "`TODO` is not a time", "")];
        find(&file, &mut findings);
        let said: Vec<(usize, usize, &str)> = findings
            .iter()
            .map(|f| (f.line, f.column, f.message.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (2, 18, "`TODO` is still to be filled in"),
                (3, 11, "`TBD` is still to be filled in")
            ]
        );
    }
}
