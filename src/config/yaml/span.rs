//! The span of a key path in a YAML text, for findings that only meaning can tell.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::domain::text::is_deceptive;

/// Line and column, both from 1.
pub type Position = (usize, usize);

/// One step of a path: a mapping's key or a sequence's index, as text.
struct Frame {
    sequence: bool,
    index: usize,
    /// The key whose value comes next; `None` while a key is awaited.
    key: Option<String>,
    seen: Vec<String>,
}

fn walk(source: &str, mut visit: impl FnMut(&[String], Position, bool)) {
    let mut path: Vec<String> = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(source) {
        let Ok((event, span)) = event else { return };
        match event {
            Event::Scalar(value, ..) => {
                let awaits_key = frames
                    .last()
                    .is_some_and(|f| !f.sequence && f.key.is_none());
                if awaits_key {
                    if let Some(frame) = frames.last_mut() {
                        let again = frame.seen.iter().any(|k| *k == value);
                        frame.seen.push(value.to_string());
                        frame.key = Some(value.to_string());
                        path.push(value.to_string());
                        visit(&path, place(&span), again);
                    }
                } else {
                    begin_value(&mut frames, &mut path, &span, &mut visit);
                    end_value(&mut frames, &mut path);
                }
            }
            Event::Alias(_) => {
                begin_value(&mut frames, &mut path, &span, &mut visit);
                end_value(&mut frames, &mut path);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                begin_value(&mut frames, &mut path, &span, &mut visit);
                let sequence = matches!(event, Event::SequenceStart(..));
                frames.push(Frame {
                    sequence,
                    index: 0,
                    key: None,
                    seen: Vec::new(),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                frames.pop();
                end_value(&mut frames, &mut path);
            }
            _ => {}
        }
    }
}

fn begin_value(
    frames: &mut [Frame],
    path: &mut Vec<String>,
    span: &Span,
    visit: &mut impl FnMut(&[String], Position, bool),
) {
    if let Some(frame) = frames.last_mut()
        && frame.sequence
    {
        path.push(frame.index.to_string());
        visit(path, place(span), false);
    }
}

fn end_value(frames: &mut [Frame], path: &mut Vec<String>) {
    if let Some(frame) = frames.last_mut() {
        path.pop();
        frame.key = None;
        frame.index += 1;
    }
}

fn place(span: &Span) -> Position {
    (span.start.line(), span.start.col() + 1)
}

/// The place of the key (or list item) that `path` names, or of its nearest parent that exists.
pub fn find(source: &str, path: &[&str]) -> Position {
    let mut best = (0, (1, 1));
    walk(source, |at, place, _| {
        let matches = at.len() <= path.len() && at.iter().zip(path).all(|(a, b)| a == b);
        if matches && at.len() > best.0 {
            best = (at.len(), place);
        }
    });
    best.1
}

/// Every value that is a text or a number, with its place.
pub fn values(source: &str) -> Vec<(String, Position)> {
    let mut found = Vec::new();
    // For each mapping or sequence we are in: is it a mapping that awaits a key?
    let mut frames: Vec<(bool, bool)> = Vec::new();
    for event in Parser::new_from_str(source) {
        let Ok((event, span)) = event else { break };
        match event {
            Event::Scalar(value, ..) => match frames.last_mut() {
                Some((true, awaits_key)) if *awaits_key => *awaits_key = false,
                frame => {
                    found.push((value.to_string(), place(&span)));
                    frame.into_iter().for_each(|f| f.1 = true);
                }
            },
            Event::Alias(_) => frames.last_mut().into_iter().for_each(|f| f.1 = !f.1),
            Event::SequenceStart(..) => frames.push((false, false)),
            Event::MappingStart(..) => frames.push((true, true)),
            Event::SequenceEnd | Event::MappingEnd => {
                frames.pop();
                frames.last_mut().into_iter().for_each(|f| f.1 = true);
            }
            _ => {}
        }
    }
    found
}

/// The place of what the first tag, such as `!secret`, stands before. Readers of YAML pass it over.
pub fn tag(source: &str) -> Option<Position> {
    // A parser that has found a fault finds it for ever.
    for event in Parser::new_from_str(source).map_while(Result::ok) {
        let (Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag))) = &event.0
        else {
            continue;
        };
        if !(tag.is_yaml_core_schema() && tag.suffix == "str") {
            return Some(place(&event.1));
        }
    }
    None
}

/// The first key that stands twice in one mapping, and the place of the second.
pub fn duplicate(source: &str) -> Option<(String, Position)> {
    let mut found = None;
    walk(source, |at, place, again| {
        if again && found.is_none() {
            found = Some((at.join("."), place));
        }
    });
    found
}

/// The first key with a space that YAML takes for a letter, such as a no-break space: the key without it, and its place.
pub fn strange_space(source: &str) -> Option<(String, Position)> {
    let is_strange = |c: char| c != ' ' && (c.is_whitespace() || "\u{200b}\u{feff}".contains(c));
    let mut found = None;
    walk(source, |at, place, _| {
        if let Some(key) = at.last().filter(|key| key.contains(is_strange))
            && found.is_none()
        {
            let parts: Vec<&str> = key.split(is_strange).map(str::trim).collect();
            found = Some((parts.concat(), place));
        }
    });
    found
}

/// The first character that readers don't see, or that turns the order of others, and its place.
pub fn deceptive(source: &str) -> Option<(char, Position)> {
    (1..).zip(source.lines()).find_map(|(line, text)| {
        let (column, c) = (1..).zip(text.chars()).find(|(_, c)| is_deceptive(*c))?;
        Some((c, (line, column)))
    })
}

/// The words that a comment takes away from values without quotes, such as `#2` from `Runtime #2`, and their places. Who
/// writes a comment puts a space behind the `#`.
pub fn cut_by_comments(source: &str) -> Vec<(String, Position)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (event, span) in Parser::new_from_str(source).map_while(Result::ok) {
        if !matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..)) {
            continue;
        }
        let (line, column) = (span.end.line(), span.end.col());
        let text = line.checked_sub(1).and_then(|line| lines.get(line));
        let text = text.copied().unwrap_or_default();
        let rest: String = text.chars().skip(column).collect();
        let comment = rest.trim_start();
        let word = comment.split_whitespace().next().unwrap_or_default();
        let begins_with_word = word
            .strip_prefix('#')
            .is_some_and(|word| word.starts_with(char::is_alphanumeric));
        if begins_with_word && comment.len() < rest.len() {
            let column = column + rest.chars().count() - comment.chars().count() + 1;
            found.push((word.to_owned(), (line, column)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "zone: UTC\nnotices:\n  - id: one\n    channels: [a, b]\n  - id: two\n    at: -1d\n";

    #[test]
    fn a_path_is_found_or_its_nearest_parent() {
        assert_eq!(find(TEXT, &["zone"]), (1, 1));
        assert_eq!(find(TEXT, &["notices", "1", "at"]), (6, 5));
        assert_eq!(find(TEXT, &["notices", "0", "channels", "1"]), (4, 19));
        assert_eq!(find(TEXT, &["notices", "1", "phase"]), (5, 5));
        assert_eq!(find(TEXT, &["nothing"]), (1, 1));
    }

    #[test]
    fn values_have_their_own_places_and_keys_are_none() {
        let all = values(TEXT);
        let texts: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["UTC", "one", "a", "b", "two", "-1d"]);
        assert_eq!((all[2].1, all[5].1), ((4, 16), (6, 9)));
    }

    #[test]
    fn a_comment_that_was_meant_as_a_part_of_a_text_is_found() {
        let found = |text: &str| -> Vec<String> {
            let found = cut_by_comments(text).into_iter();
            found
                .map(|(word, (line, column))| format!("{word} {line}:{column}"))
                .collect()
        };
        assert_eq!(found("title: Runtime #2\nid: v2"), ["#2 1:16"]);
        assert_eq!(found("a: [one, two #3]\n"), ["#3] 1:14"]);
        assert_eq!(
            found("changes:\n  - Fixes issue  #12, too\n"),
            ["#12, 2:18"]
        );
        assert_eq!(found("a: über #2 # and\n"), ["#2 1:9"]);
        for text in [
            "title: Runtime # 2",
            "title: \"Runtime #2\"",
            "title: Runtime#2",
            "#title: Runtime",
            "a: 1\n#b: 2\nc: 3",
            "a: 1 ## two",
            "a:\n  #b: 2\n  c: 3",
            "a: |\n  one #2\n",
        ] {
            assert_eq!(found(text), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn a_key_with_a_space_that_is_none_is_found() {
        let window = "window:\n  opens: 1\n\u{a0} closes: 2\n";
        assert_eq!(strange_space(window), Some(("closes".into(), (3, 1))));
        assert_eq!(strange_space(TEXT), None);
        assert_eq!(strange_space("a: \u{a0}b\n"), None);
    }

    #[test]
    fn a_key_that_stands_twice_is_found() {
        assert_eq!(duplicate(TEXT), None);
        assert_eq!(
            duplicate("a: 1\nb:\n  c: 1\n  c: 2\n"),
            Some(("b.c".into(), (4, 3)))
        );
    }
}
