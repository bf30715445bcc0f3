//! Draws posts as HTML, as their platform shows them. Only the tags named here get out.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};

use super::{
    Zone,
    discord::{split_address, split_code},
    distance,
};
use crate::{domain::outbox::Body, ports::Markup};

/// Escapes text, so that it can't be read as HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Writes a link if its scheme is safe, else its label alone; `label` is HTML already.
fn anchor(url: &str, label: &str) -> String {
    let safe = ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if safe {
        format!(
            "<a href=\"{}\" rel=\"noopener noreferrer\">{label}</a>",
            escape(url)
        )
    } else {
        label.to_owned()
    }
}

/// The words of a message as readers of this dialect see them.
pub fn drawn(body: &Body, markup: Markup, zone: &Zone, now: Timestamp) -> String {
    match (markup, &body.html) {
        (Markup::Matrix, Some(html)) => matrix(html),
        (Markup::Plain, _) => format!("<div>{}</div>", escape(&body.text)),
        (Markup::Discord | Markup::Matrix, _) => discord(&body.text, zone, now),
    }
}

// --- Discord -------------------------------------------------------------------------------

/// Draws Discord's Markdown. A time is shown as to a reader in `zone` who reads at `now`.
pub fn discord(text: &str, zone: &Zone, now: Timestamp) -> String {
    let mut blocks = Blocks::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code: Vec<String> = lines
                .by_ref()
                .take_while(|l| !l.starts_with("```"))
                .map(escape)
                .collect();
            blocks.block(&format!("<pre><code>{}</code></pre>", code.join("\n")));
            continue;
        }
        let (quoted, line) = line
            .strip_prefix("> ")
            .map_or((false, line), |rest| (true, rest));
        blocks.quote(quoted);
        let inline = |text: &str| {
            Inline {
                rest: text,
                zone,
                now,
                linked: false,
            }
            .all()
        };
        if let Some(heading) = line.strip_prefix("### ") {
            blocks.block(&format!("<h4>{}</h4>", inline(heading)));
        } else if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            blocks.block(&format!("<h3>{}</h3>", inline(heading)));
        } else if let Some((depth, number, words)) = item(line) {
            blocks.item(depth, number, &inline(words));
        } else if line.trim().is_empty() {
            blocks.block("<div class=\"gap\"></div>");
        } else {
            blocks.block(&format!("<div>{}</div>", inline(line)));
        }
    }
    blocks.end()
}

/// Reads the depth, number and words of a line that is an item of a list.
fn item(line: &str) -> Option<(usize, Option<u32>, &str)> {
    let words = line.trim_start_matches(' ');
    let depth = (line.len() - words.len()) / 2 + 1;
    if let Some(words) = words.strip_prefix("- ") {
        return Some((depth, None, words));
    }
    let (number, words) = words.split_once(". ")?;
    Some((depth, Some(number.parse().ok()?), words))
}

/// The blocks written so far, with the lists and the quote that are open.
#[derive(Default)]
struct Blocks {
    out: String,
    /// The closing tag of each open list.
    lists: Vec<&'static str>,
    quoted: bool,
}

impl Blocks {
    fn leave_lists(&mut self, depth: usize) {
        while self.lists.len() > depth {
            self.out.push_str("</li>");
            self.out.push_str(self.lists.pop().unwrap_or_default());
        }
    }

    fn quote(&mut self, quoted: bool) {
        if quoted != self.quoted {
            self.leave_lists(0);
            self.out.push_str(if quoted {
                "<blockquote>"
            } else {
                "</blockquote>"
            });
            self.quoted = quoted;
        }
    }

    fn block(&mut self, html: &str) {
        self.leave_lists(0);
        self.out.push_str(html);
    }

    fn item(&mut self, depth: usize, number: Option<u32>, html: &str) {
        let depth = depth.min(self.lists.len() + 1);
        self.leave_lists(depth);
        if self.lists.len() == depth {
            self.out.push_str("</li>");
        } else {
            match number {
                Some(first) => self.out.push_str(&format!("<ol start=\"{first}\">")),
                None => self.out.push_str("<ul>"),
            }
            self.lists
                .push(if number.is_some() { "</ol>" } else { "</ul>" });
        }
        self.out.push_str("<li>");
        self.out.push_str(html);
    }

    fn end(mut self) -> String {
        self.quote(false);
        self.leave_lists(0);
        self.out
    }
}

/// One line of Discord's Markdown, read from the left.
struct Inline<'a> {
    rest: &'a str,
    zone: &'a Zone,
    now: Timestamp,
    /// True within the words of a link, where an address is none.
    linked: bool,
}

impl<'a> Inline<'a> {
    fn all(mut self) -> String {
        let mut out = String::new();
        let mut open: Vec<&'static str> = Vec::new();
        while let Some(c) = self.rest.chars().next() {
            // `***` closes the innermost emphasis first.
            let ends_em = open.last() == Some(&"em") && self.rest.starts_with("***");
            if let Some(rest) = self.rest.strip_prefix("**").filter(|_| !ends_em) {
                self.rest = rest;
                toggle(&mut out, &mut open, "strong");
            } else if let Some(rest) = self.rest.strip_prefix('*') {
                self.rest = rest;
                toggle(&mut out, &mut open, "em");
            } else if let Some(html) = self.token(c, !open.is_empty()) {
                out.push_str(&html);
            } else {
                let (text, rest) = next_char(self.rest, c);
                // An invisible space parts what Discord would read as a call.
                out.push_str(&escape(text.trim_matches('\u{200b}')));
                self.rest = rest;
            }
        }
        while let Some(tag) = open.pop() {
            out.push_str(&format!("</{tag}>"));
        }
        out
    }

    /// Reads what a character begins: code, a time, a link or an address.
    fn token(&mut self, first: char, in_emphasis: bool) -> Option<String> {
        match first {
            '`' => self.code(),
            '<' => self.time().or_else(|| self.address(in_emphasis)),
            '[' => self.link(),
            'h' if self.linked => None,
            'h' => self.address(in_emphasis),
            _ => None,
        }
    }

    fn code(&mut self) -> Option<String> {
        let (code, rest) = split_code(self.rest)?;
        self.rest = rest;
        Some(format!("<code>{}</code>", escape(code)))
    }

    /// Reads an address that stands by itself, or as `<https://…>`.
    fn address(&mut self, in_emphasis: bool) -> Option<String> {
        let (url, rest) = match self.rest.strip_prefix('<') {
            Some(inside) => inside
                .split_once('>')
                .filter(|(url, _)| split_address(url, false) == Some((*url, "")))?,
            None => split_address(self.rest, in_emphasis)?,
        };
        self.rest = rest;
        Some(anchor(url, &escape(url)))
    }

    /// Reads a time: `<t:1796130000:F>`.
    fn time(&mut self) -> Option<String> {
        let (inside, rest) = self.rest.strip_prefix("<t:")?.split_once('>')?;
        let (second, style) = inside.split_once(':')?;
        let at = Timestamp::from_second(second.parse().ok()?).ok()?;
        self.rest = rest;
        let words = match style {
            "R" => distance(at.duration_since(self.now)),
            _ => at
                .to_zoned_datetime(self.zone.0.clone())
                .strftime("%A, %-d %B %Y %H:%M")
                .to_string(),
        };
        Some(format!("<time datetime=\"{at}\">{}</time>", escape(&words)))
    }

    /// Reads a link: `[label](<https://…>)`.
    fn link(&mut self) -> Option<String> {
        let inside = self.rest.strip_prefix('[')?;
        let end = closing(inside)?;
        let (label, behind) = inside.split_at_checked(end)?;
        let (url, rest) = behind.strip_prefix("](<")?.split_once(">)")?;
        let label = Inline {
            rest: label,
            zone: self.zone,
            now: self.now,
            linked: true,
        }
        .all();
        self.rest = rest;
        Some(anchor(url, &label))
    }
}

/// Splits off one character as it is shown; an escaped one loses its backslash.
fn next_char(text: &str, first: char) -> (&str, &str) {
    let behind = text.get(first.len_utf8()..).unwrap_or_default();
    match behind
        .chars()
        .next()
        .filter(|next| first == '\\' && next.is_ascii_punctuation())
    {
        Some(next) => behind
            .split_at_checked(next.len_utf8())
            .unwrap_or((behind, "")),
        None => text
            .split_at_checked(first.len_utf8())
            .unwrap_or((text, "")),
    }
}

/// Finds the first closing bracket that isn't escaped.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = c == ']' && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

fn toggle(out: &mut String, open: &mut Vec<&'static str>, tag: &'static str) {
    if open.contains(&tag) {
        while let Some(last) = open.pop() {
            out.push_str(&format!("</{last}>"));
            if last == tag {
                break;
            }
        }
    } else {
        open.push(tag);
        out.push_str(&format!("<{tag}>"));
    }
}

// --- Matrix --------------------------------------------------------------------------------

/// The tags that may stand in a `formatted_body`; links are checked one by one.
const ALLOWED_TAGS: [&str; 14] = [
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "strong", "em", "code", "pre",
];

/// Draws a `formatted_body`; whatever our own writer doesn't make is shown as text.
pub fn matrix(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some((text, behind)) = rest.split_once('<') {
        out.push_str(&entities(text));
        let (tag, after) = match behind.split_once('>') {
            Some((tag, after)) if !tag.contains('<') => (tag, after),
            _ => {
                out.push_str("&lt;");
                rest = behind;
                continue;
            }
        };
        rest = after;
        if !put_tag(&mut out, &mut open, tag) {
            out.push_str(&format!("&lt;{}&gt;", entities(tag)));
        }
    }
    out.push_str(&entities(rest));
    while let Some(tag) = open.pop() {
        out.push_str(&format!("</{tag}>"));
    }
    out
}

/// Writes a tag; returns `false` when our own writer doesn't make it.
fn put_tag<'a>(out: &mut String, open: &mut Vec<&'a str>, tag: &'a str) -> bool {
    let known = |name: &str| ALLOWED_TAGS.contains(&name) || matches!(name, "blockquote" | "a");
    match tag.strip_prefix('/') {
        Some(name) if known(name) && open.contains(&name) => {
            while let Some(last) = open.pop() {
                out.push_str(&format!("</{last}>"));
                if last == name {
                    break;
                }
            }
            return true;
        }
        Some(_) => return false,
        None => {}
    }
    let url = tag
        .strip_prefix("a href=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|url| !url.contains('"'));
    let start = tag
        .strip_prefix("ol start=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|n| n.parse::<u32>().ok());
    match (tag, url, start) {
        ("br /" | "br", ..) => out.push_str("<br>"),
        ("hr /" | "hr", ..) => out.push_str("<hr>"),
        (_, Some(url), _) => {
            let safe = ["https://", "http://", "mailto:"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            out.push_str(&if safe {
                format!("<a href=\"{}\" rel=\"noopener noreferrer\">", entities(url))
            } else {
                "<a>".to_owned()
            });
            open.push("a");
        }
        (_, _, Some(start)) => {
            out.push_str(&format!("<ol start=\"{start}\">"));
            open.push("ol");
        }
        (name, ..) if known(name) => {
            out.push_str(&format!("<{name}>"));
            open.push(name);
        }
        _ => return false,
    }
    true
}

/// Escapes the text of an HTML source, except for its entities.
fn entities(text: &str) -> String {
    const KNOWN_ENTITIES: [&str; 6] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#x27;"];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let known = KNOWN_ENTITIES
            .iter()
            .find(|entity| rest.starts_with(**entity));
        let length = known.map_or(c.len_utf8(), |entity| entity.len());
        let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(&if known.is_some() {
            piece.to_owned()
        } else {
            escape(piece)
        });
        rest = behind;
    }
    out
}

/// Writes a distance from the window for the page's own words: `7 days before`, `1 hour after`.
pub fn before_or_after(seconds: i64) -> String {
    let words = crate::words::length_words(SignedDuration::from_secs(seconds.abs()));
    format!("{words} {}", if seconds < 0 { "before" } else { "after" })
}

/// Encodes bytes as data URLs and content security policies want them.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn drawn(text: &str) -> String {
        let now = Timestamp::from_second(1_796_130_000 - 3600).unwrap();
        discord(text, &Zone(TimeZone::get("Europe/Berlin").unwrap()), now)
    }

    #[test]
    fn discords_markdown_is_drawn() {
        let text = "## Head\nA **bold *both*** and `co*de` [li\\]nk](<https://example.org/?a=1&b>).\n\n- one\n  1. two\n  2. 2\\*2\n- three\n> said\n\
                    ### Small\n```\n<b> **x**\n```\n<t:1796130000:F>, <t:1796130000:R>";
        assert_eq!(
            drawn(text),
            "<h3>Head</h3><div>A <strong>bold <em>both</em></strong> and <code>co*de</code> \
             <a href=\"https://example.org/?a=1&amp;b\" rel=\"noopener noreferrer\">li]nk</a>.</div><div class=\"gap\"></div>\
             <ul><li>one<ol start=\"1\"><li>two</li><li>2*2</li></ol></li><li>three</li></ul><blockquote><div>said</div></blockquote>\
             <h4>Small</h4><pre><code>&lt;b&gt; **x**</code></pre>\
             <div><time datetime=\"2026-12-01T13:00:00Z\">Tuesday, 1 December 2026 14:00</time>, \
             <time datetime=\"2026-12-01T13:00:00Z\">in 1 hour</time></div>"
        );
    }

    #[test]
    fn what_is_hostile_or_broken_on_discord_stays_text() {
        for (text, wanted) in [
            ("<script>", "<div>&lt;script&gt;</div>"),
            ("[x](<javascript:alert(1)>)", "<div>x</div>"),
            (
                "[x](<https://e\"onclick=1>)",
                "<div><a href=\"https://e&quot;onclick=1\" rel=\"noopener noreferrer\">x</a></div>",
            ),
            (
                "[x](https://e) ` [ <t:9:",
                "<div>[x](<a href=\"https://e\" rel=\"noopener noreferrer\">https://e</a>) ` [ &lt;t:9:</div>",
            ),
            (
                "**open *twice",
                "<div><strong>open <em>twice</em></strong></div>",
            ),
            ("\\<b\\> \\\\", "<div>&lt;b&gt; \\</div>"),
            ("```\n</code>", "<pre><code>&lt;/code&gt;</code></pre>"),
        ] {
            assert_eq!(drawn(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_formatted_body_keeps_our_tags_and_no_others() {
        let ours = "<h2>Head</h2>\n<p>A &lt;b&gt; <a href=\"https://example.org/?a&amp;b\">link</a><br />\n<strong>x</strong></p>\n<ol start=\"3\">\n<li>one</li>\n</ol>\n<hr />";
        let shown = ours
            .replace(" /", "")
            .replace("b\">link", "b\" rel=\"noopener noreferrer\">link");
        assert_eq!(matrix(ours), shown);
        for (html, wanted) in [
            ("<script>1</script>", "&lt;script&gt;1&lt;/script&gt;"),
            ("<img src=x onerror=1>", "&lt;img src=x onerror=1&gt;"),
            ("<p onclick=\"1\">", "&lt;p onclick=&quot;1&quot;&gt;"),
            ("<a href=\"javascript:1\">x</a>", "<a>x</a>"),
            (
                "<a href=\"https://e\" onclick=\"1\">",
                "&lt;a href=&quot;https://e&quot; onclick=&quot;1&quot;&gt;",
            ),
            (
                "</section></p>a & b &copy; <",
                "&lt;/section&gt;&lt;/p&gt;a &amp; b &amp;copy; &lt;",
            ),
            ("<ul><li><<p>x</ul>", "<ul><li>&lt;<p>x</p></li></ul>"),
        ] {
            assert_eq!(matrix(html), wanted, "{html}");
        }
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, wanted) in vectors {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
        assert_eq!(
            base64(&[0xfb, 0xff, 0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20]),
            "+/8AEIMQUYcg"
        );
    }
}
