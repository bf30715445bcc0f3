//! Writes Markdown for Matrix: HTML of the allowed kind, and a plain body beside it.

use jiff::Timestamp;
use pulldown_cmark::{CowStr, Event, Parser, Tag, TagEnd, html};

use super::{literal::restored, times::Zone};
use crate::domain::plan::language::Language;

/// Writes `formatted_body` and `body`, with times as seen at `now`.
pub fn write(markdown: &str, zone: &Zone, language: &Language, now: Timestamp) -> (String, String) {
    let events: Vec<Event<'_>> = Parser::new(markdown)
        .map(|event| match event {
            // HTML in a source is shown as text.
            Event::Html(text) | Event::InlineHtml(text) | Event::Text(text) => {
                let text = zone.for_matrix(language, &text, now);
                Event::Text(CowStr::from(restored(&text).into_owned()))
            }
            Event::Code(code) => Event::Code(CowStr::from(restored(&code).into_owned())),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => Event::Start(Tag::Link {
                link_type,
                dest_url: CowStr::from(restored(&dest_url).into_owned()),
                title: CowStr::from(restored(&title).into_owned()),
                id,
            }),
            Event::SoftBreak => Event::HardBreak,
            other => other,
        })
        .collect();
    let plain = plain(&events);
    let mut formatted = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut formatted, events.into_iter());
    (formatted.trim().to_owned(), plain)
}

fn plain(events: &[Event<'_>]) -> String {
    let mut out = String::new();
    let mut numbers: Vec<Option<u64>> = Vec::new();
    let mut links: Vec<(String, usize)> = Vec::new();
    for event in events {
        match event {
            Event::Start(Tag::List(start)) => numbers.push(*start),
            Event::End(TagEnd::List(_)) => {
                numbers.pop();
                if numbers.is_empty() {
                    out.push('\n');
                }
            }
            Event::Start(Tag::Item) => {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                match numbers.last_mut() {
                    Some(Some(number)) => {
                        out.push_str(&format!("{number}. "));
                        *number += 1;
                    }
                    _ => out.push_str("• "),
                }
            }
            Event::Start(Tag::BlockQuote(_)) => out.push_str("> "),
            Event::Start(Tag::Link { dest_url, .. }) => {
                links.push((dest_url.to_string(), out.len()))
            }
            Event::End(TagEnd::Link) => {
                if let Some((url, start)) = links.pop()
                    && out.get(start..) != Some(url.as_str())
                {
                    out.push_str(&format!(" ({url})"));
                }
            }
            Event::End(TagEnd::Paragraph) if numbers.is_empty() => out.push_str("\n\n"),
            Event::End(TagEnd::Heading(_)) => out.push_str("\n\n"),
            Event::End(TagEnd::Item) => out.push('\n'),
            Event::Text(text) | Event::Code(text) => out.push_str(text),
            Event::HardBreak | Event::SoftBreak | Event::Rule => out.push('\n'),
            _ => {}
        }
    }
    let lines: Vec<&str> = out.trim().lines().map(str::trim_end).collect();
    lines.join("\n").replace("\n\n\n", "\n\n")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn html_of_a_source_is_text_and_the_plain_body_reads_well() {
        let now = Timestamp::UNIX_EPOCH;
        let markdown = "## Head\n\nA <b>x</b> [link](https://example.org).\n\n- one\n- two\n\nend";
        let (html, plain) = write(markdown, &Zone(TimeZone::UTC), Language::english(), now);
        assert_eq!(
            html,
            "<h2>Head</h2>\n<p>A &lt;b&gt;x&lt;/b&gt; <a href=\"https://example.org\">link</a>.</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n<p>end</p>"
        );
        assert_eq!(
            plain,
            "Head\n\nA <b>x</b> link (https://example.org).\n\n• one\n• two\n\nend"
        );
    }
}
