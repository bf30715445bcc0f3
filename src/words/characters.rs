//! Characters of values × positions × dialects: nothing formats, mentions or links what it should not, and nothing is
//! changed that readers see.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::{
    Renderer, Zone, as_words, html_preview,
    icalendar::{self, IcalEvent},
    is_disruptive,
};
use crate::{
    config::SourceFile,
    domain::outbox::Body,
    ports::{Markup, Platform},
};

/// Values with the characters that some dialect gives a meaning, as they would format, mention or link.
const VALUES: [&str; 52] = [
    "_x_",
    "__x__",
    "node_version_2",
    "*x*",
    "**x**",
    "2*2*2",
    "~x~",
    "~~x~~",
    "`x`",
    "``x``",
    "```x```",
    "a`b",
    "`",
    "|x|",
    "||x||",
    "> x",
    ">>> x",
    "# x",
    "## x",
    "-# x",
    "- x",
    "+ x",
    "* x",
    "1. x",
    "12. x",
    "-",
    "---",
    "===",
    "v2.3.1",
    "@everyone",
    "@here",
    "@room",
    "ann@example.org",
    "@ann:example.org",
    "<@1>",
    "<@&1>",
    "<#1>",
    "<t:1796130000:R>",
    "<:smile:1>",
    ":smile:",
    "14:00:30",
    "&amp; &lt; & x",
    "<b>x</b>",
    "[x](https://example.org)",
    "[x]",
    "(x)",
    "\\",
    "\\*x\\*",
    "\\\\x",
    "    x",
    "one\ntwo",
    "a\u{1b}[31mb\u{7}\u{202e}c\u{2066}d\u{e000}t5\u{e001}",
];

/// Addresses that must stay links.
const ADDRESSES: [&str; 9] = [
    "https://example.org/a_b_c",
    "https://example.org/_a_?b=1&c=__d__",
    "https://example.org/a*b*c",
    "https://example.org/~ann/~~x~~",
    "https://example.org/a_(b)",
    "https://example.org/@ann#2.1",
    "https://example.org/a:b;c,d!e",
    "http://example.org/-_.~%20+$",
    "https://matrix.to/#/@ann:example.org",
];

/// Each position with what stands around the value there, and the formats that are meant.
const POSITIONS: [(&str, &str, &str, &[&str]); 10] = [
    ("plain", "say {{v}} end", "say {} end", &[]),
    ("line start", "{{v}} end", "{} end", &[]),
    ("second line", "one\n{{v}} end", "one {} end", &[]),
    ("bold", "say **{{v}}** end", "say {} end", &["strong"]),
    ("code", "say `{{v}}` end", "say {} end", &["code"]),
    ("title", "## {{v}}\n\nend", "{} end", &["heading"]),
    ("item", "- {{v}}\n- end", "{} end", &["list"]),
    ("quote", "> {{v}}\n\nend", "{} end", &["quote"]),
    (
        "link's text",
        "[{{v}}](https://example.org/x) end",
        "{} end",
        &["link https://example.org/x"],
    ),
    ("alone", "{{v}}", "{}", &[]),
];

fn renderer() -> Renderer {
    let file = |name: &str, text: &str| {
        let name = format!("x/{}", name.replace([' ', '\''], "-"));
        let file = SourceFile {
            name: format!("templates/{name}.md.hbs"),
            text: text.to_owned(),
        };
        (name, file)
    };
    let mut templates: BTreeMap<String, SourceFile> = POSITIONS
        .iter()
        .map(|(name, text, ..)| file(name, text))
        .collect();
    templates.extend([
        file("address", "see [x]({{v}}) end"),
        file("autolink", "see <{{v}}> end"),
    ]);
    let zone = Zone(TimeZone::UTC);
    Renderer::new(&templates, &BTreeMap::new(), zone, &json!({ "v": "x" })).unwrap()
}

fn body(renderer: &Renderer, position: &str, value: &str, platform: Platform) -> Body {
    let name = format!("x/{}", position.replace([' ', '\''], "-"));
    let context = json!({ "v": value }).into();
    let text = renderer.markdown(&name, "en", &context).unwrap();
    renderer.body(&text, platform, Timestamp::UNIX_EPOCH)
}

/// Writes a text as readers see it, with one space for each gap.
fn seen(text: &str) -> String {
    let text = text.replace('\u{200b}', "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes a value as readers are to see it.
fn harmless(value: &str) -> String {
    let value = value.replace(['\u{e000}', '\u{e001}'], "");
    value.replace(is_disruptive, " ")
}

/// A text as Discord's client reads it: the words, and each format, mention and link in it.
#[derive(Default)]
struct Client {
    words: String,
    formats: BTreeSet<String>,
}

impl Client {
    fn read(text: &str) -> Self {
        let mut client = Self::default();
        for line in text.lines() {
            client.line(line);
            client.words.push(' ');
        }
        client
    }

    fn format(&mut self, name: &str) {
        self.formats.insert(name.to_owned());
    }

    fn line(&mut self, line: &str) {
        if let Some(line) = line
            .strip_prefix("> ")
            .or_else(|| line.strip_prefix(">>> "))
        {
            self.format("quote");
            return self.line(line);
        }
        let line = line.trim_start_matches(' ');
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let item = ["- ", "* ", "+ "].iter().find_map(|m| line.strip_prefix(m));
        let item = item.or_else(|| {
            number
                .strip_prefix(". ")
                .filter(|_| number.len() < line.len())
        });
        let heading = ["### ", "## ", "# ", "-# "].iter();
        if let Some(words) = heading.filter_map(|m| line.strip_prefix(m)).next() {
            self.format("heading");
            self.inline(words);
        } else if let Some(words) = item {
            self.format("list");
            self.line(words);
        } else {
            self.inline(line);
        }
    }

    fn inline(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = self.token(rest, c);
        }
    }

    /// Reads what stands first, and returns what is behind it.
    fn token<'a>(&mut self, text: &'a str, c: char) -> &'a str {
        let behind = &text[c.len_utf8()..];
        let next = behind.chars().next();
        if c == '\\' && next.is_some_and(|n| !n.is_ascii_alphanumeric() && !n.is_whitespace()) {
            let next = next.unwrap();
            self.words.push(next);
            return &behind[next.len_utf8()..];
        }
        let address = text.starts_with("https://") || text.starts_with("http://");
        if address {
            let end = text
                .find(|c: char| c.is_whitespace() || c == '<')
                .unwrap_or(text.len());
            let ends = ['.', ',', ':', ';', '"', '\'', ']'];
            let mut url = text[..end].trim_end_matches(ends);
            while url.ends_with(')') && url.matches('(').count() < url.matches(')').count() {
                url = &url[..url.len() - 1];
            }
            self.format(&format!("link {url}"));
            self.words.push_str(url);
            return &text[url.len()..];
        }
        if let Some((inside, behind)) = behind.split_once('>').filter(|_| c == '<') {
            let is_mention = inside.starts_with(['@', '#', ':']) || inside.starts_with("t:");
            if inside.starts_with("https://") || inside.starts_with("http://") {
                self.format(&format!("link {inside}"));
                self.words.push_str(inside);
                return behind;
            }
            if is_mention {
                self.format("mention");
                return behind;
            }
        }
        if let Some(behind) = self.spanned(text) {
            return behind;
        }
        if text.starts_with("@everyone") || text.starts_with("@here") {
            self.format("mention");
        }
        let emoji = behind.split_once(':').filter(|_| c == ':');
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        if emoji.is_some_and(|(name, _)| {
            name.contains(char::is_alphabetic) && name.chars().all(is_name)
        }) {
            self.format("emoji");
        }
        self.words.push(c);
        behind
    }

    /// Reads code, an emphasis or a link with words.
    fn spanned<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let fence: String = text.chars().take_while(|c| *c == '`').collect();
        if !fence.is_empty() {
            let (code, behind) = text[fence.len()..].split_once(&fence)?;
            self.format("code");
            let is_gapped = code.starts_with(" `") || code.ends_with("` ");
            self.words.push_str(if is_gapped {
                &code[1..code.len() - 1]
            } else {
                code
            });
            return Some(behind);
        }
        if let Some(inside) = text.strip_prefix('[') {
            let end = unescaped(inside, "]")?;
            let (label, behind) = (&inside[..end], &inside[end + 1..]);
            let (url, behind) = behind.strip_prefix("(<")?.split_once(">)")?;
            self.format(&format!("link {url}"));
            let mut inside = Self::default();
            inside.inline(label);
            self.words.push_str(&inside.words);
            let inner = inside
                .formats
                .into_iter()
                .filter(|f| !f.starts_with("link "));
            self.formats.extend(inner);
            return Some(behind);
        }
        for (mark, name) in [
            ("**", "strong"),
            ("__", "underline"),
            ("~~", "strike"),
            ("||", "spoiler"),
            ("*", "em"),
            ("_", "em"),
        ] {
            let Some(inside) = text.strip_prefix(mark) else {
                continue;
            };
            if let Some(end) = unescaped(inside, mark).filter(|end| *end > 0) {
                self.format(name);
                self.inline(&inside[..end]);
                return Some(&inside[end + mark.len()..]);
            }
        }
        None
    }
}

/// Finds the first mark that no backslash precedes.
fn unescaped(text: &str, mark: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = !escaped && text[at..].starts_with(mark);
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

/// HTML as a browser reads it: the words, and its tags.
fn browsed(html: &str) -> Client {
    let mut client = Client::default();
    let mut rest = html;
    while let Some((text, behind)) = rest.split_once('<') {
        client.words.push_str(text);
        let (tag, behind) = behind.split_once('>').unwrap();
        let url = tag
            .strip_prefix("a href=\"")
            .and_then(|t| t.split_once('"'));
        let name = match (url, tag) {
            (Some((url, _)), _) => format!("link {}", entities(url)),
            (None, "strong" | "code") => tag.to_owned(),
            (None, "h2" | "h3" | "h4") => "heading".to_owned(),
            (None, "ul") => "list".to_owned(),
            (None, "blockquote") => "quote".to_owned(),
            (None, tag) if tag.starts_with('/') => String::new(),
            (None, "p" | "div" | "br" | "br /" | "li" | "div class=\"gap\"") => String::new(),
            (None, other) => format!("a tag {other}"),
        };
        if !matches!(tag, "strong" | "/strong" | "code" | "/code" | "/a") && url.is_none() {
            client.words.push(' ');
        }
        client.format(&name);
        rest = behind;
    }
    client.words.push_str(rest);
    client.words = entities(&client.words);
    client.formats.remove("");
    client
}

fn entities(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'");
    text.replace("&amp;", "&")
}

fn formats(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Lists what each dialect shows of a value in a position, with the formats it has there.
fn shown(renderer: &Renderer, position: &str, value: &str) -> Vec<(&'static str, Client)> {
    let zone = Zone(TimeZone::UTC);
    let discord = body(renderer, position, value, Platform::Discord);
    let matrix = body(renderer, position, value, Platform::Matrix);
    let drawn = |body: &Body, markup| {
        browsed(&html_preview::drawn(
            body,
            markup,
            &zone,
            Timestamp::UNIX_EPOCH,
        ))
    };
    vec![
        ("Discord", Client::read(&discord.text)),
        ("Matrix", browsed(matrix.html.as_ref().unwrap())),
        ("page of Discord's", drawn(&discord, Markup::Discord)),
        ("page of Matrix's", drawn(&matrix, Markup::Matrix)),
    ]
}

/// The same as words alone: Matrix's plain body, IRC's line, and what page, feed and API say of Discord's text.
fn words(renderer: &Renderer, position: &str, value: &str) -> Vec<(&'static str, String)> {
    let text = |platform| body(renderer, position, value, platform).text;
    vec![
        ("Matrix, plain", text(Platform::Matrix)),
        ("IRC", text(Platform::Irc)),
        (
            "Discord's in words",
            as_words(&text(Platform::Discord), Timestamp::UNIX_EPOCH),
        ),
    ]
}

/// Removes the marks that a plain text has for items, quotes, lines and addresses.
fn unmarked(text: &str) -> String {
    let marks = ["• ", "> ", " | ", " (https://example.org/x)"];
    let unmarked = marks
        .iter()
        .fold(seen(text), |text, mark| text.replace(mark, " "));
    seen(&unmarked)
}

#[test]
fn no_character_of_a_value_formats_mentions_or_links_and_none_is_changed() {
    let renderer = renderer();
    let (mut faults, mut count) = (Vec::new(), 0);
    for (position, _, around, meant) in POSITIONS {
        for value in VALUES {
            let wanted = seen(&around.replace("{}", &harmless(value)));
            let linked = value.contains("https://") && !matches!(position, "code" | "link's text");
            for (dialect, client) in shown(&renderer, position, value) {
                count += 1;
                let mut got = client.formats.clone();
                if linked {
                    // The value's own address may be a link, which shows where it leads.
                    got.retain(|format| format != "link https://example.org");
                }
                if seen(&client.words) != wanted || got != formats(meant) {
                    faults.push(format!(
                        "{value:?} as {position} on {dialect}: {:?} {got:?}",
                        client.words
                    ));
                }
            }
            for (dialect, text) in words(&renderer, position, value) {
                count += 1;
                let is_harmful = |c: char| is_disruptive(c) && c != '\n';
                let is_right = unmarked(&text) == unmarked(&wanted);
                if !is_right
                    || text.contains(is_harmful)
                    || (dialect == "IRC" && text.contains('\n'))
                {
                    faults.push(format!("{value:?} as {position} on {dialect}: {text:?}"));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(count, 3_640);
}

#[test]
fn an_address_stays_a_link_wherever_it_stands() {
    let renderer = renderer();
    let mut faults = Vec::new();
    let on_discord = |position: &str, value: &str| {
        Client::read(&body(&renderer, position, value, Platform::Discord).text)
    };
    for url in ADDRESSES {
        for (position, _, around, meant) in POSITIONS {
            if matches!(position, "code" | "link's text") {
                continue;
            }
            // An asterisk would end the emphasis around it.
            let written = if position == "bold" {
                url.replace('*', "%2A")
            } else {
                url.to_owned()
            };
            let client = on_discord(position, url);
            let mut wanted = formats(meant);
            wanted.insert(format!("link {written}"));
            let words = seen(&around.replace("{}", &written));
            if client.formats != wanted || seen(&client.words) != words {
                faults.push(format!(
                    "{url} as {position}: {:?} {:?}",
                    client.words, client.formats
                ));
            }
        }
        // Beside other characters it ends where it ends.
        for (value, behind) in [
            (format!("({url})"), ")"),
            (format!("{url}."), "."),
            (format!("{url}, x"), ", x"),
            (format!("{url}]"), "]"),
            (format!("{url}<b>"), "<b>"),
            (format!("{url}`x`"), "`x`"),
            (format!("{url}|x"), "|x"),
            (format!("{url}'],*x*"), "'],*x*"),
        ] {
            let client = on_discord("plain", &value);
            let is_right = client.formats == formats(&[&format!("link {url}")])
                && seen(&client.words).ends_with(&format!("{url}{behind} end"));
            if !is_right {
                faults.push(format!("{value}: {:?} {:?}", client.words, client.formats));
            }
        }
        for position in ["address", "autolink"] {
            for (dialect, client) in shown(&renderer, position, url) {
                if !client.formats.contains(&format!("link {url}")) {
                    faults.push(format!(
                        "{url} as {position} on {dialect}: {:?}",
                        client.formats
                    ));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn no_character_ends_a_line_of_a_calendar() {
    let at = Timestamp::UNIX_EPOCH;
    for value in VALUES.iter().chain(&ADDRESSES) {
        let event = IcalEvent {
            uid: "v2".into(),
            starts: at,
            ends: at,
            title: (*value).to_owned(),
            description: (*value).to_owned(),
            url: None,
            busy: true,
            sequence: 0,
            cancelled: false,
        };
        let written = icalendar::write("x", &[event], at).replace("\r\n ", "");
        let line = written
            .lines()
            .find_map(|line| line.strip_prefix("SUMMARY:"))
            .unwrap();
        let read = line
            .replace("\\n", "\n")
            .replace("\\,", ",")
            .replace("\\;", ";")
            .replace("\\\\", "\\");
        let wanted: String = value
            .chars()
            .map(|c| {
                if c != '\n' && is_disruptive(c) {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        assert_eq!(read, wanted, "{value:?}");
        assert_eq!(written.lines().count(), 16, "{written}");
    }
}
