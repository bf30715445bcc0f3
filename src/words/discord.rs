//! Writes Markdown in Discord's dialect, with everything else escaped, and reads that dialect back as words.

use jiff::Timestamp;
use pulldown_cmark::{Event, HeadingLevel, LinkType, Parser, Tag, TagEnd, TextMergeStream};

use super::{
    literal::{code_span, restored},
    times::{Zone, distance},
};
use crate::domain::plan::language::Language;

/// Characters that Discord's Markdown gives a meaning.
const SPECIAL_CHARS: &[char] = &['\\', '*', '_', '~', '`', '|', '<', '>', '[', ']', '#'];

/// An invisible space, which parts what Discord reads as one.
const GAP: char = '\u{200b}';

/// Names that call many people, where a `@` stands before them.
const CALLS: [&str; 2] = ["everyone", "here"];

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let behind = text.get(at + c.len_utf8()..).unwrap_or_default();
        match c {
            '@' if CALLS.iter().any(|name| behind.starts_with(name)) => out.extend(['@', GAP]),
            ':' if is_emoji(behind) => out.extend(['\\', ':']),
            c if SPECIAL_CHARS.contains(&c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Tells whether a colon begins the name of an emoji, such as `:smile:`.
fn is_emoji(behind: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
    behind.split_once(':').is_some_and(|(name, _)| {
        name.chars().all(is_name)
            && name.contains(|c: char| c.is_ascii_alphabetic() || c == '+' || c == '-')
    })
}

/// Finds the first address in a text: where it begins and ends. What can't stand in an address ends it, and a sentence's end
/// isn't a part of it.
fn address(text: &str) -> Option<(usize, usize)> {
    let start = ["https://", "http://"]
        .iter()
        .filter_map(|scheme| text.find(scheme))
        .min()?;
    let rest = text.get(start..)?;
    let ends = |c: char| c.is_whitespace() || c.is_control() || "<>\"[]{}|\\^`".contains(c);
    let length = rest.find(ends).unwrap_or(rest.len());
    let mut url = rest.get(..length)?;
    loop {
        let is_aside = url.ends_with(')') && url.matches('(').count() < url.matches(')').count();
        let ends = ['.', ',', ':', ';', '\'', '!', '?'];
        match url.strip_suffix(|c| ends.contains(&c) || (is_aside && c == ')')) {
            Some(shorter) => url = shorter,
            None => return Some((start, start + url.len())),
        }
    }
}

/// Lists the pieces of a text, and whether each is an address.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((start, end)) = address(rest) {
        found.push((rest.get(..start).unwrap_or_default(), false));
        found.push((rest.get(start..end).unwrap_or_default(), true));
        rest = rest.get(end..).unwrap_or_default();
    }
    found.push((rest, false));
    found.retain(|(piece, _)| !piece.is_empty());
    found
}

/// Escapes what would begin a list at the beginning of a line.
fn guarded(text: String) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, mark) = text.split_at_checked(digits).unwrap_or(("", &text));
    let begins = |mark: &str| {
        let behind = text.get(digits..).and_then(|text| text.strip_prefix(mark));
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' '))
    };
    if (digits == 0 && (begins("-") || begins("+"))) || (digits > 0 && begins(".")) {
        format!("{number}\\{mark}")
    } else {
        text
    }
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The open lists, each with its next number, or `None` for bullets.
    lists: Vec<Option<u64>>,
    quote: usize,
    links: Vec<String>,
    /// The address of an open link whose words are its address.
    autolink: Option<String>,
    code_block: bool,
    /// The number of emphases that are open.
    emphases: usize,
    /// The words of this line begin here, behind its marks.
    start: usize,
}

impl Writer {
    fn line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        if self.quote > 0 && (self.out.is_empty() || self.out.ends_with('\n')) {
            self.out.push_str("> ");
        }
        self.start = self.out.len();
    }

    fn item(&mut self) {
        self.line();
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        };
        self.out.push_str(&indent);
        self.out.push_str(&mark);
        self.start = self.out.len();
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        if self.quote > 0 {
            self.out.push_str("> ");
        }
        self.start = self.out.len();
    }

    fn emphasis(&mut self, mark: &str, opens: bool) {
        self.out.push_str(mark);
        self.emphases = if opens {
            self.emphases + 1
        } else {
            self.emphases.saturating_sub(1)
        };
    }

    fn text(&mut self, text: &str, zone: &Zone, language: &Language) {
        let (in_link, in_emphasis) = (!self.links.is_empty(), self.emphases > 0);
        let written = zone.for_discord(language, text, |plain| {
            let plain = restored(plain);
            match in_link {
                true => escape(&plain),
                false => with_addresses(&plain, in_emphasis),
            }
        });
        if self.out.len() == self.start {
            self.out.push_str(&guarded(written));
        } else {
            self.out.push_str(&written);
        }
    }

    fn end_link(&mut self) {
        let written = |url: &str| restored(url).replace(['<', '>', ' '], "");
        match self.autolink.take() {
            Some(url) => self.out.push_str(&format!("<{}>", written(&url))),
            None => {
                let url = self.links.pop().unwrap_or_default();
                self.out.push_str(&format!("](<{}>)", written(&url)));
            }
        }
    }
}

/// Escapes a text around its addresses: a backslash in one would be a part of it.
fn with_addresses(text: &str, in_emphasis: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let pieces = pieces(text);
    for (i, (piece, is_address)) in pieces.iter().enumerate() {
        if !is_address {
            out.push_str(&escape(piece));
            continue;
        }
        let url = if in_emphasis {
            piece.replace('*', "%2A")
        } else {
            (*piece).to_owned()
        };
        // What is escaped behind it would belong to it.
        let next = pieces.get(i + 1).map_or("", |(piece, _)| piece);
        let beside = next.split(char::is_whitespace).next().unwrap_or_default();
        if escape(beside) != beside {
            out.push_str(&format!("<{url}>"));
        } else {
            out.push_str(&url);
        }
    }
    out
}

/// Writes `markdown` in Discord's dialect.
pub fn write(markdown: &str, zone: &Zone, language: &Language) -> String {
    let mut w = Writer::default();
    for event in TextMergeStream::new(Parser::new(markdown)) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                w.line();
                w.out.push_str(if level <= HeadingLevel::H2 {
                    "## "
                } else {
                    "### "
                });
            }
            Event::Start(Tag::BlockQuote(_)) => w.quote += 1,
            Event::End(TagEnd::BlockQuote(_)) => w.quote = w.quote.saturating_sub(1),
            Event::Start(Tag::List(start)) => w.lists.push(start),
            Event::End(TagEnd::List(_)) => {
                w.lists.pop();
                if w.lists.is_empty() {
                    w.out.push('\n');
                }
            }
            Event::Start(Tag::Item) => w.item(),
            Event::Start(Tag::Paragraph) if w.lists.is_empty() => w.line(),
            Event::End(TagEnd::Paragraph) if w.lists.is_empty() => w.out.push_str("\n\n"),
            Event::End(TagEnd::Heading(_) | TagEnd::Item) => w.out.push('\n'),
            Event::Start(Tag::Emphasis) => w.emphasis("*", true),
            Event::End(TagEnd::Emphasis) => w.emphasis("*", false),
            Event::Start(Tag::Strong) => w.emphasis("**", true),
            Event::End(TagEnd::Strong) => w.emphasis("**", false),
            // The words of such a link are its address.
            Event::Start(Tag::Link {
                link_type: LinkType::Autolink,
                dest_url,
                ..
            }) => w.autolink = Some(dest_url.to_string()),
            Event::Start(Tag::Link { dest_url, .. }) => {
                w.links.push(dest_url.to_string());
                w.out.push('[');
            }
            Event::End(TagEnd::Link) => w.end_link(),
            Event::Start(Tag::CodeBlock(_)) => {
                w.line();
                w.out.push_str("```\n");
                w.code_block = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                w.out.push_str("```\n");
                w.code_block = false;
            }
            Event::Code(code) => w.out.push_str(&code_span(&restored(&code))),
            Event::Text(text) if w.code_block => {
                w.out.push_str(&restored(&text).replace("```", "'''"));
            }
            Event::Text(_) if w.autolink.is_some() => {}
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                w.text(&text, zone, language);
            }
            Event::SoftBreak | Event::HardBreak => w.line_break(),
            Event::Rule => w.out.push('\n'),
            _ => {}
        }
    }
    tidy(&w.out)
}

/// Reads Discord's dialect as words, as it was read at `now`: without marks, with times and addresses written out.
pub fn as_words(text: &str, now: Timestamp) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            lines.push(line.to_owned());
        } else {
            lines.push(line_as_words(line, now));
        }
    }
    lines.join("\n")
}

fn line_as_words(line: &str, now: Timestamp) -> String {
    let (quote, line) = line
        .strip_prefix("> ")
        .map_or(("", line), |line| ("> ", line));
    let heading = ["### ", "## ", "# "]
        .iter()
        .find_map(|mark| line.strip_prefix(mark));
    let words = line.trim_start_matches(' ');
    let indent = line.get(..line.len() - words.len()).unwrap_or_default();
    match (heading, words.strip_prefix("- ")) {
        (Some(heading), _) => format!("{quote}{}", inline_as_words(heading, now)),
        (None, Some(item)) => format!("{quote}{indent}• {}", inline_as_words(item, now)),
        (None, None) => format!("{quote}{}", inline_as_words(line, now)),
    }
}

/// Splits the address off with which a text begins. Within an emphasis an asterisk ends it, and the emphasis.
pub(super) fn split_address(text: &str, in_emphasis: bool) -> Option<(&str, &str)> {
    let end = text.find('*').filter(|_| in_emphasis);
    let (start, end) = address(text.get(..end.unwrap_or(text.len()))?)?;
    text.split_at_checked(end).filter(|_| start == 0)
}

fn inline_as_words(text: &str, now: Timestamp) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_emphasis = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or_default();
        let read = match c {
            '`' => code_as_words(rest),
            '<' => time_as_words(rest, now).or_else(|| address_as_words(rest)),
            '[' => link_as_words(rest, now),
            'h' => split_address(rest, in_emphasis).map(|(url, rest)| (url.to_owned(), rest)),
            _ => None,
        };
        if let Some((words, behind)) = read {
            out.push_str(&words);
            rest = behind;
            continue;
        }
        let escaped = behind.chars().next().filter(char::is_ascii_punctuation);
        rest = match (c, escaped) {
            ('\\', Some(escaped)) => {
                out.push(escaped);
                behind.get(1..).unwrap_or_default()
            }
            ('*', _) => {
                in_emphasis = !in_emphasis;
                behind.strip_prefix('*').unwrap_or(behind)
            }
            (GAP, _) => behind,
            _ => {
                out.push(c);
                behind
            }
        };
    }
    out
}

/// Reads code, fenced by any number of backticks.
fn code_as_words(text: &str) -> Option<(String, &str)> {
    let (code, behind) = split_code(text)?;
    Some((code.to_owned(), behind))
}

/// Splits code within a line off, without its fence and the gaps beside that.
pub(super) fn split_code(text: &str) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(|b| *b == b'`').count();
    let (fence, inside) = text.split_at_checked(length).filter(|_| length > 0)?;
    let (code, behind) = inside.split_once(fence)?;
    let gapped = code
        .strip_prefix(' ')
        .and_then(|code| code.strip_suffix(' '))
        .filter(|code| code.starts_with('`') || code.ends_with('`'));
    Some((gapped.unwrap_or(code), behind))
}

/// Reads `<t:1796130000:R>`. A full time is written out behind its mark, so the mark itself says nothing.
fn time_as_words(text: &str, now: Timestamp) -> Option<(String, &str)> {
    let (inside, behind) = text.strip_prefix("<t:")?.split_once('>')?;
    let (second, style) = inside.split_once(':')?;
    let at = Timestamp::from_second(second.parse().ok()?).ok()?;
    if style == "R" {
        return Some((distance(at.duration_since(now)), behind));
    }
    Some((String::new(), behind.strip_prefix(" · ").unwrap_or(behind)))
}

/// Reads `<https://…>`.
fn address_as_words(text: &str) -> Option<(String, &str)> {
    let (url, behind) = text.strip_prefix('<')?.split_once('>')?;
    let is_address = url.starts_with("https://") || url.starts_with("http://");
    is_address.then(|| (url.to_owned(), behind))
}

/// Reads `[label](<https://…>)`.
fn link_as_words(text: &str, now: Timestamp) -> Option<(String, &str)> {
    let inside = text.strip_prefix('[')?;
    let mut is_escaped = false;
    let end = inside.find(|c| {
        let is_end = c == ']' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    let (label, behind) = inside.split_at_checked(end)?;
    let (url, behind) = behind.strip_prefix("](<")?.split_once(">)")?;
    Some((format!("{} ({url})", inline_as_words(label, now)), behind))
}

/// Leaves no more than one empty line anywhere, and none at the ends.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines() {
        let line = line.trim_end();
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn the_dialect_is_discords_and_values_cannot_format() {
        let markdown = "# Head\n\nA **bold** and *soft* [link](https://example.org/a_b).\n\n- one\n- two\n\n> said\n\n@everyone \\*x\\* <b> `co*de`";
        assert_eq!(
            write(markdown, &Zone(TimeZone::UTC), Language::english()),
            "## Head\nA **bold** and *soft* [link](<https://example.org/a_b>).\n\n- one\n- two\n\n> said\n\n@\u{200b}everyone \\*x\\* \\<b\\> `co*de`"
        );
    }
}
