//! Writes Markdown in Discord's dialect, with everything else escaped.

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::times::Zone;
use crate::domain::plan::language::Language;

/// Characters that Discord's Markdown gives a meaning.
const SPECIAL_CHARS: &[char] = &['\\', '*', '_', '~', '`', '|', '<', '>', '[', ']', '#', '@'];

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // A mention needs `@` and the name side by side, so an invisible space parts them.
            '@' => out.push_str("@\u{200b}"),
            c if SPECIAL_CHARS.contains(&c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The open lists, each with its next number, or `None` for bullets.
    lists: Vec<Option<u64>>,
    quote: usize,
    links: Vec<String>,
    code_block: bool,
}

impl Writer {
    fn line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        if self.quote > 0 && (self.out.is_empty() || self.out.ends_with('\n')) {
            self.out.push_str("> ");
        }
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
    }
}

/// Writes `markdown` in Discord's dialect.
pub fn write(markdown: &str, zone: &Zone, language: &Language) -> String {
    let mut w = Writer::default();
    for event in Parser::new(markdown) {
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
            Event::Start(Tag::Emphasis) | Event::End(TagEnd::Emphasis) => w.out.push('*'),
            Event::Start(Tag::Strong) | Event::End(TagEnd::Strong) => w.out.push_str("**"),
            Event::Start(Tag::Link { dest_url, .. }) => {
                w.links.push(dest_url.to_string());
                w.out.push('[');
            }
            Event::End(TagEnd::Link) => {
                let url = w.links.pop().unwrap_or_default();
                w.out
                    .push_str(&format!("](<{}>)", url.replace(['<', '>', ' '], "")));
            }
            Event::Start(Tag::CodeBlock(_)) => {
                w.line();
                w.out.push_str("```\n");
                w.code_block = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                w.out.push_str("```\n");
                w.code_block = false;
            }
            Event::Code(code) => w.out.push_str(&format!("`{}`", code.replace('`', "'"))),
            Event::Text(text) if w.code_block => w.out.push_str(&text.replace("```", "'''")),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                w.out.push_str(&zone.for_discord(language, &text, escape))
            }
            Event::SoftBreak | Event::HardBreak => {
                w.out.push('\n');
                if w.quote > 0 {
                    w.out.push_str("> ");
                }
            }
            Event::Rule => w.out.push('\n'),
            _ => {}
        }
    }
    tidy(&w.out)
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
