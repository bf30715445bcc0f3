//! Stand-ins for the characters of values, so that Markdown is read without them.
//!
//! A value's punctuation would format, and a backslash before it shows in code and in addresses. So each
//! such character stands as one that means nothing until the Markdown is read, and is put back then.

use std::{borrow::Cow, ops::Range};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// The stand-in of an ASCII character is this far behind it, in a plane that nobody writes in.
const OFFSET: u32 = 0xf_0000;

/// Returns the ASCII character for which another stands, if it does.
fn original(c: char) -> Option<char> {
    let code = u32::from(c).checked_sub(OFFSET)?;
    u8::try_from(code).ok().filter(u8::is_ascii).map(char::from)
}

/// Makes a value harmless in Markdown: one line, no formatting, no link, nothing that turns the reading around.
pub fn literal(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    let mut last = ' ';
    for c in value.chars().filter(|c| original(*c).is_none()) {
        let c = if is_disruptive(c) { ' ' } else { c };
        // Spaces at the beginning would indent a line to code.
        let stands = (c == ' ' && last == ' ') || is_markup(c);
        last = c;
        out.push(match char::from_u32(u32::from(c) + OFFSET) {
            Some(stand_in) if stands => stand_in,
            _ => c,
        });
    }
    out
}

/// Tells whether a character ends a line, controls a terminal or turns the direction of reading.
pub fn is_disruptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Tells whether Markdown may give a character a meaning. A colon may stand, so that an address in `<…>` stays one.
fn is_markup(c: char) -> bool {
    const PLAIN: &str = "',?/:;%$\"^";
    c.is_ascii_punctuation() && !PLAIN.contains(c)
}

/// Puts the characters back that others stand for.
pub fn restored(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| original(c).is_some()) {
        Cow::Owned(text.chars().map(|c| original(c).unwrap_or(c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Puts the characters back with a backslash before each, as Markdown itself keeps them from formatting.
pub fn escaped(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() + 8);
    for c in markdown.chars() {
        match original(c) {
            Some(' ') => out.push(' '),
            // It means something below a line alone, where it begins the next.
            Some('=') if !out.is_empty() && !out.ends_with('\n') => out.push('='),
            Some(c) => out.extend(['\\', c]),
            None => out.push(c),
        }
    }
    out
}

/// Writes Markdown as a file holds it: escaped, but in code, where a backslash would show.
pub fn document(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() + 8);
    let mut end = 0;
    for (range, code) in code(markdown) {
        out.push_str(&escaped(markdown.get(end..range.start).unwrap_or_default()));
        out.push_str(&code);
        end = range.end;
    }
    out.push_str(&escaped(markdown.get(end..).unwrap_or_default()));
    out
}

/// Lists where code stands, and how it is written.
fn code(markdown: &str) -> Vec<(Range<usize>, String)> {
    let mut is_block = false;
    let mut found = Vec::new();
    for (event, range) in Parser::new(markdown).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => is_block = true,
            Event::End(TagEnd::CodeBlock) => is_block = false,
            Event::Code(code) => found.push((range, code_span(&restored(&code)))),
            Event::Text(text) if is_block => found.push((range, restored(&text).into_owned())),
            _ => {}
        }
    }
    found
}

/// Writes code within a line, fenced by more backticks than stand in it side by side.
pub fn code_span(code: &str) -> String {
    let runs = code.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
    let gap = if code.starts_with('`') || code.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{gap}{code}{gap}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_character_is_put_back() {
        let value = "a_b `c` #1 <@&9> v2.3.1 https://example.org/?a=b&c";
        assert!(!literal(value).contains(['_', '`', '#', '<', '.', '&']));
        assert_eq!(restored(&literal(value)), value);
        assert_eq!(
            escaped(&literal("a_b=c v2.3.1")),
            "a\\_b=c v2\\.3\\.1",
            "as texts were that people have approved"
        );
        assert_eq!(literal("\u{f005f}a\u{1b}\u{202e}b\n"), "a \u{f0020}b ");
    }

    #[test]
    fn a_document_has_no_backslash_in_code() {
        let (id, odd) = (literal("v2.3.1"), literal("a`b"));
        let markdown = format!("- {id} `{id}` `{odd}`\n\n```\n{id}\n```\n");
        assert_eq!(
            document(&markdown),
            "- v2\\.3\\.1 `v2.3.1` ``a`b``\n\n```\nv2.3.1\n```\n"
        );
    }
}
