//! Writes the status page, which is whole without a script. Every value in it is escaped.

use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strum::IntoEnumIterator;

use crate::{
    domain::{campaign::progress::Stage, outbox::Body, plan::notice::Phase},
    ports::Platform,
    report::bulletin::{Bulletin, ChainState, EntryView, Reactions},
    words::{
        Zone,
        html_preview::{drawn, escape},
    },
};

pub(super) const PAGE_CSS: &str = include_str!("page.css");
pub(super) const PAGE_SCRIPT: &str = include_str!("page.js");

/// The characters of an id that are percent-encoded in an address.
const PATH_ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Returns the address of an upgrade's page; an unplanned upgrade's id has a chain's name in it.
pub(super) fn path_of(id: &str) -> String {
    format!("/upgrades/{}", utf8_percent_encode(id, &PATH_ENCODED))
}

/// The values that all pages have in common.
pub(super) struct PageContext<'a> {
    pub title: &'a str,
    pub zone: &'a Zone,
    pub bulletins: &'a [Bulletin],
}

/// Draws the words of a post, as its platform shows them.
pub(super) fn words_of(platform: Platform, body: &Body, zone: &Zone, at: Timestamp) -> String {
    drawn(body, platform.capabilities().markup, zone, at)
}

impl PageContext<'_> {
    /// Writes the front page: the upgrade under way, or the last one, and all others below.
    pub fn front(&self) -> String {
        match self.bulletins.first() {
            Some(bulletin) => self.page(&bulletin.title, &format!("{}{}", self.upgrade(bulletin), self.others(Some(bulletin)))),
            None => self.page("Nothing is planned", "<section><h2>Nothing is planned</h2>\n<p>When an upgrade is announced, it stands here. The calendar and the feed below tell you of it.</p></section>\n"),
        }
    }

    /// Draws the icon in a browser's tab: a dot in the colour of the upgrade on the front page.
    pub fn icon(&self) -> String {
        let colour = self.bulletins.first().map_or(0x55_59_5f, |b| b.colour);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\" fill=\"#{colour:06x}\"/></svg>\n"
        )
    }

    /// Writes one upgrade's own page, whose address stays.
    pub fn page_of(&self, bulletin: &Bulletin) -> String {
        self.page(
            &bulletin.title,
            &format!("{}{}", self.upgrade(bulletin), self.others(Some(bulletin))),
        )
    }

    pub fn lost(&self) -> String {
        let main = format!(
            "<section><h2>There is no such page</h2>\n<p><a href=\"/\">See what goes on now</a>, or one of the upgrades below.</p></section>\n{}",
            self.others(None)
        );
        self.page("There is no such page", &main)
    }

    fn page(&self, title: &str, main: &str) -> String {
        let (site, title) = (escape(self.title), escape(title));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} · {site}</title>\n<link rel=\"icon\" type=\"image/svg+xml\" href=\"/state.svg\">\n<link rel=\"stylesheet\" href=\"/herald.css\">\n\
             <link rel=\"alternate\" type=\"application/atom+xml\" title=\"{site}\" href=\"/feed.atom\">\n\
             <script src=\"/herald.js\" defer></script>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the content</a>\n\
             <header>\n<p class=\"site\"><a href=\"/\">{site}</a></p>\n<p id=\"news\" role=\"status\"></p>\n</header>\n<main id=\"main\">\n{main}</main>\n\
             <footer>\n<p>Subscribe: <a href=\"/calendar.ics\">calendar</a> · <a href=\"/feed.atom\">feed</a> · <a href=\"/api/v1/upgrades\">API</a> (<a href=\"/api/v1/openapi.json\">described</a>)</p>\n\
             <noscript><p>Reload the page to see what is new. Times are given in {} and in UTC.</p></noscript>\n</footer>\n</body>\n</html>\n",
            escape(self.zone.0.iana_name().unwrap_or("UTC")),
        )
    }

    fn upgrade(&self, b: &Bulletin) -> String {
        let reason = b
            .reason
            .as_ref()
            .map(|r| format!("<p class=\"reason\"><bdi>{}</bdi></p>\n", escape(r)))
            .unwrap_or_default();
        let window = if b.window.set {
            format!(
                "<p class=\"window\">Window: {} to {}.{}</p>\n",
                self.time(b.window.opens),
                self.time(b.window.closes),
                moved(b.window.moved)
            )
        } else {
            "<p class=\"window\">The window is being chosen.</p>\n".to_owned()
        };
        let mut out = format!(
            "<section class=\"top\" id=\"state\">\n<h1><bdi>{}</bdi></h1>\n<p class=\"state {state}\"><span aria-hidden=\"true\"></span>{}</p>\n{reason}<p><bdi>{}</bdi></p>\n{window}",
            escape(&b.title),
            escape(&state_words(b.state)),
            escape(&b.summary),
            state = escape(b.state),
        );
        let links: Vec<String> = b.links.iter().map(|l| link(&l.url, &l.name)).collect();
        if !links.is_empty() {
            out.push_str(&format!("<p>{}</p>\n", links.join(" · ")));
        }
        out.push_str("</section>\n");
        out.push_str(&duties(self, b));
        out.push_str("<section id=\"chains\">\n<h2>Chains</h2>\n");
        b.chains
            .iter()
            .for_each(|chain| out.push_str(&progress(chain)));
        out.push_str("</section>\n");
        out.push_str(&people(self, b));
        if let Some(times) = &b.picture {
            let picture = crate::words::picture::block_times(times);
            out.push_str(&format!(
                "<section id=\"blocks\">\n<h2>Blocks around the upgrade</h2>\n<img src=\"{}/block-times.png\" alt=\"{}\" width=\"{}\" height=\"{}\">\n</section>\n",
                path_of(&b.id),
                escape(&picture.alt),
                picture.width,
                picture.height
            ));
        }
        out.push_str("<section id=\"timeline\">\n<h2>What was said, and what comes</h2>\n");
        for phase in Phase::iter() {
            let entries: Vec<&EntryView> = b
                .timeline
                .iter()
                .filter(|e| e.phase == phase.name())
                .collect();
            if !entries.is_empty() {
                let items: String = entries.iter().map(|entry| self.entry(entry)).collect();
                out.push_str(&format!(
                    "<h3>{}</h3>\n<ol class=\"timeline\">\n{items}</ol>\n",
                    escape(phase.name())
                ));
            }
        }
        out.push_str("</section>\n");
        out
    }

    fn entry(&self, entry: &EntryView) -> String {
        let places = entry
            .places
            .iter()
            .filter_map(|p| Some(link(p.link.as_ref()?, &label(p))));
        let places: Vec<String> = places.collect();
        let places = if places.is_empty() {
            String::new()
        } else {
            format!(" <span class=\"places\">{}</span>", places.join(" "))
        };
        let words = entry.body.as_ref().map(|(platform, body)| {
            format!(
                "\n<details><summary>What it says<span class=\"unseen\">: {}</span></summary>\n<div class=\"words\">{}</div></details>",
                escape(&entry.title),
                words_of(*platform, body, self.zone, entry.at)
            )
        });
        format!(
            "<li id=\"{}\" class=\"{}\">{} <span class=\"what\">{}<bdi>{}</bdi></span>{places}{}</li>\n",
            escape(&entry.key),
            if entry.posted { "posted" } else { "planned" },
            self.time(entry.at),
            if entry.posted {
                ""
            } else {
                "<span class=\"mark\">planned</span> "
            },
            escape(&entry.title),
            words.unwrap_or_default(),
        )
    }

    /// Lists every upgrade but this one.
    fn others(&self, but: Option<&Bulletin>) -> String {
        let others: Vec<&Bulletin> = self
            .bulletins
            .iter()
            .filter(|b| but.is_none_or(|but| but.id != b.id))
            .collect();
        if others.is_empty() {
            return String::new();
        }
        let item = |b: &&Bulletin| {
            format!(
                "<li><a href=\"{}\"><bdi>{}</bdi></a> {}, {}</li>\n",
                path_of(&b.id),
                escape(&b.title),
                escape(&state_words(b.state)),
                self.time(b.window.opens)
            )
        };
        format!(
            "<section id=\"others\">\n<h2>Other upgrades</h2>\n<ul>\n{}</ul>\n</section>\n",
            others.iter().map(item).collect::<String>()
        )
    }

    fn time(&self, at: Timestamp) -> String {
        let utc = at
            .to_zoned_datetime(TimeZone::UTC)
            .strftime("%Y-%m-%dT%H:%M:%SZ");
        format!(
            "<time datetime=\"{utc}\">{}</time>",
            escape(&self.zone.written(at))
        )
    }
}

/// Names the place of a post, for people.
fn label(place: &crate::report::bulletin::PlaceView) -> String {
    if place.channel.contains(place.platform) {
        place.channel.clone()
    } else {
        format!("{} ({})", place.channel, place.platform)
    }
}

fn moved(times: u32) -> String {
    match times {
        0 => String::new(),
        1 => " It was moved once.".into(),
        n => format!(" It was moved {n} times."),
    }
}

/// Writes a state as people say it.
fn state_words(state: &str) -> String {
    let words = match state {
        "planned" => "planned, the window is being chosen",
        "scheduled" => "scheduled",
        "delayed" => "delayed: its window is open, and nothing has begun",
        "authorized" => "authorized: it may be applied at any time",
        "applying" => "under way",
        "applied" => "applied, being verified",
        "verified" => "applied and verified",
        "completed" => "completed",
        "cancelled" => "cancelled",
        "failed" => "failed",
        other => other,
    };
    words.to_owned()
}

fn link(url: &str, label: &str) -> String {
    let label = format!("<bdi>{}</bdi>", escape(label));
    let safe = url.starts_with("https://") || url.starts_with("http://");
    if safe {
        format!(
            "<a href=\"{}\" rel=\"noopener noreferrer\">{label}</a>",
            escape(url)
        )
    } else {
        label
    }
}

fn duties(site: &PageContext<'_>, b: &Bulletin) -> String {
    if b.duties.is_empty() && b.changes.is_empty() {
        return String::new();
    }
    let item = |d: &crate::report::bulletin::DutyView| {
        let needed = if d.required {
            "<strong>action needed</strong>"
        } else {
            "no action"
        };
        let version = d
            .node_version
            .as_ref()
            .map(|v| format!(" Node version: <bdi>{}</bdi> or newer.", escape(v)))
            .unwrap_or_default();
        let by =
            d.by.map(|by| format!(" By {}.", site.time(by)))
                .unwrap_or_default();
        format!(
            "<dt>{}: {needed}</dt>\n<dd><bdi>{}</bdi>{version}{by}</dd>\n",
            escape(&capital(d.audience)),
            escape(&d.what)
        )
    };
    let changes: String = b
        .changes
        .iter()
        .map(|c| format!("<li><bdi>{}</bdi></li>\n", escape(c)))
        .collect();
    let changes = if changes.is_empty() {
        changes
    } else {
        format!("<h3>What changes</h3>\n<ul>\n{changes}</ul>\n")
    };
    format!(
        "<section id=\"duties\">\n<h2>What you have to do</h2>\n<dl>\n{}</dl>\n{changes}</section>\n",
        b.duties.iter().map(item).collect::<String>()
    )
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Draws a chain's progress, step by step.
fn progress(chain: &ChainState) -> String {
    let stages = [
        Stage::Waiting,
        Stage::Authorized,
        Stage::Applying,
        Stage::Applied,
        Stage::Verified,
        Stage::Completed,
    ];
    let now = stages
        .iter()
        .position(|s| s.name() == chain.stage)
        .unwrap_or(0);
    let step = |(i, stage): (usize, &Stage)| {
        let (class, said) = match i.cmp(&now) {
            std::cmp::Ordering::Less => ("done", "<span class=\"unseen\">, done</span>"),
            std::cmp::Ordering::Equal => ("now", ""),
            std::cmp::Ordering::Greater => ("", "<span class=\"unseen\">, to come</span>"),
        };
        let current = if i == now {
            " aria-current=\"step\""
        } else {
            ""
        };
        format!("<li class=\"{class}\"{current}>{}{said}</li>", stage.name())
    };
    let runs = chain
        .runs
        .map(|v| format!("runs {v}, "))
        .unwrap_or_default();
    let proof = chain
        .applied_in
        .map(|block| format!(", proven in block {block}"))
        .unwrap_or_default();
    let migration = chain.migration.map(|(done, total)| {
        let of = total.map(|t| format!(" of {t}")).unwrap_or_default();
        let max = total
            .map(|t| format!(" max=\"{t}\" value=\"{done}\""))
            .unwrap_or_default();
        format!(
            "<p>Migration: {done}{of} <progress aria-label=\"migration\"{max}></progress></p>\n"
        )
    });
    format!(
        "<h3><bdi>{}</bdi></h3>\n<p>{runs}target {}{proof}</p>\n{}<ol class=\"steps\">{}</ol>\n",
        escape(&chain.name),
        chain.target,
        migration.unwrap_or_default(),
        stages.iter().enumerate().map(step).collect::<String>()
    )
}

/// Writes how many providers are ready, and what feedback people gave.
fn people(site: &PageContext<'_>, b: &Bulletin) -> String {
    let mut out = String::new();
    if let Some(r) = &b.readiness {
        out.push_str(&format!(
            "<section id=\"readiness\">\n<h2>Providers</h2>\n<p>{ready} of {of} are ready, {} of {of} have seen it.</p>\n<progress aria-label=\"providers that are ready\" max=\"{of}\" value=\"{ready}\"></progress>\n</section>\n",
            r.acknowledged,
            ready = r.ready,
            of = r.of
        ));
    }
    let given = |reactions: &[Reactions]| {
        let some = reactions.iter().filter(|r| r.count > 0);
        some.map(|r| format!("{} {}: {}", escape(&r.emoji), escape(&r.meaning), r.count))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(f) = &b.feedback {
        let row = |a: &crate::report::bulletin::AudienceView| {
            let name = a.audience.map_or_else(|| "Others".to_owned(), capital);
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
                escape(&name),
                given(&a.reactions),
                a.replies
            )
        };
        out.push_str(&format!(
            "<section id=\"feedback\">\n<h2>How it went for you</h2>\n<p>{} {} {}.</p>\n<table>\n<thead><tr><th scope=\"col\">Who</th><th scope=\"col\">Reactions</th><th scope=\"col\">Replies</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</section>\n",
            given(&f.reactions),
            f.replies,
            if f.replies == 1 { "reply" } else { "replies" },
            f.audiences.iter().map(row).collect::<String>()
        ));
    } else if let Some(closes) = b.feedback_closes {
        out.push_str(&format!(
            "<section id=\"feedback\">\n<h2>How it went for you</h2>\n<p>Tell us in the threads; what you say is counted {}.</p>\n</section>\n",
            site.time(closes)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_piece_of_an_address() {
        assert_eq!(path_of("v2.3.1"), "/upgrades/v2.3.1");
        assert_eq!(
            path_of("unplanned-a?b/#\"ü-7"),
            "/upgrades/unplanned-a%3Fb%2F%23%22%C3%BC-7"
        );
    }
}
