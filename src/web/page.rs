//! Writes the status page, which is whole without a script.

use jiff::{Timestamp, tz::TimeZone};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strum::IntoEnumIterator;

use crate::{
    domain::{campaign::progress::Stage, outbox::Body, plan::notice::Phase},
    ports::Platform,
    report::bulletin::{
        AudienceView, Bulletin, ChainState, DutyView, EntryView, PlaceView, Reactions,
    },
    words::{Zone, html_preview::drawn, picture},
};

pub(super) const PAGE_CSS: &str = include_str!("page.css");
pub(super) const PAGE_SCRIPT: &str = include_str!("page.js");

/// The characters of an id that are percent-encoded in an address.
const PATH_ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Returns the address of an upgrade's own page. The id of one that nobody planned has its chain's name in it.
pub(super) fn path_of(id: &str) -> String {
    format!("/upgrades/{}", utf8_percent_encode(id, &PATH_ENCODED))
}

/// All pages have this in common.
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
    /// Draws what goes on now, or the last; and all others below.
    pub fn front(&self) -> String {
        match self.bulletins.first() {
            Some(bulletin) => self.page_of(bulletin),
            None => self.page("Nothing is planned", html! {
                section {
                    h2 { "Nothing is planned" }
                    p { "When an upgrade is announced, it stands here. The calendar and the feed below tell you of it." }
                }
            }),
        }
    }

    /// Draws the mark in a browser's tab: a dot in the colour of what goes on.
    pub fn icon(&self) -> String {
        let colour = self.bulletins.first().map_or(0x55_59_5f, |b| b.colour);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\" fill=\"#{colour:06x}\"/></svg>\n"
        )
    }

    /// Draws one upgrade's own page, whose address stays.
    pub fn page_of(&self, bulletin: &Bulletin) -> String {
        self.page(
            &bulletin.title,
            html! {
                (self.upgrade(bulletin)) (self.others(Some(bulletin)))
            },
        )
    }

    pub fn lost(&self) -> String {
        self.page(
            "There is no such page",
            html! {
                section {
                    h2 { "There is no such page" }
                    p { a href="/" { "See what goes on now" } ", or one of the upgrades below." }
                }
                (self.others(None))
            },
        )
    }

    fn page(&self, title: &str, main: Markup) -> String {
        let zone = self.zone.0.iana_name().unwrap_or("UTC");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · " (self.title) }
                    link rel="icon" type="image/svg+xml" href="/state.svg";
                    link rel="stylesheet" href="/herald.css";
                    link rel="alternate" type="application/atom+xml" title=(self.title) href="/feed.atom";
                    script src="/herald.js" defer {}
                }
                body {
                    a class="skip" href="#main" { "To the content" }
                    header {
                        p class="site" { a href="/" { (self.title) } }
                        p id="news" role="status" {}
                    }
                    main id="main" { (main) }
                    footer {
                        p {
                            "Subscribe: " a href="/calendar.ics" { "calendar" }
                            " · " a href="/feed.atom" { "feed" }
                            " · " a href="/api/v1/upgrades" { "API" }
                            " (" a href="/api/v1/openapi.json" { "described" } ")"
                        }
                        noscript {
                            p { "Reload the page to see what is new. Times are given in " (zone) " and in UTC." }
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn upgrade(&self, b: &Bulletin) -> Markup {
        html! {
            section class="top" id="state" {
                h1 { bdi { (b.title) } }
                p class={ "state " (b.state) } { span aria-hidden="true" {} (state_words(b.state)) }
                @if let Some(reason) = &b.no_go {
                    p class="reason" { "On hold: " bdi { (reason) } }
                }
                @if let Some(reason) = &b.reason {
                    p class="reason" { bdi { (reason) } }
                }
                p { bdi { (b.summary) } }
                p class="window" {
                    @if b.window.set {
                        "Window: " (self.time(b.window.opens)) " to " (self.time(b.window.closes)) "."
                        (moved(b.window.moved))
                    } @else if b.unplanned {
                        "Nobody has announced a window."
                    } @else {
                        "The window is being chosen."
                    }
                }
                @if !b.links.is_empty() {
                    p { (separated(b.links.iter().map(|l| link(&l.url, &l.name)), " · ")) }
                }
            }
            (self.duties(b))
            section id="chains" {
                h2 { "Chains" }
                @for chain in &b.chains { (progress(chain)) }
            }
            (self.people(b))
            @if let Some(times) = &b.picture {
                @let picture = picture::block_times(times);
                section id="blocks" {
                    h2 { "Blocks around the upgrade" }
                    img src={ (path_of(&b.id)) "/block-times.png" } alt=(picture.alt) width=(picture.width) height=(picture.height);
                }
            }
            (self.timeline(&b.timeline))
        }
    }

    fn timeline(&self, timeline: &[EntryView]) -> Markup {
        let of = |phase: Phase| timeline.iter().filter(move |e| e.phase == phase.name());
        html! {
            section id="timeline" {
                h2 { "What was said, and what comes" }
                @for phase in Phase::iter() {
                    @if of(phase).next().is_some() {
                        h3 { (phase.name()) }
                        ol class="timeline" {
                            @for entry in of(phase) { (self.entry(entry)) }
                        }
                    }
                }
            }
        }
    }

    fn entry(&self, entry: &EntryView) -> Markup {
        let place = |p: &PlaceView| Some(link(p.link.as_ref()?, &label(p)));
        let places: Vec<Markup> = entry.places.iter().filter_map(place).collect();
        html! {
            li id=(entry.key) class=(if entry.posted { "posted" } else { "planned" }) {
                (self.time(entry.at)) " "
                span class="what" {
                    @if !entry.posted { span class="mark" { "planned" } " " }
                    bdi { (entry.title) }
                }
                @if !places.is_empty() {
                    " " span class="places" { (separated(places, " ")) }
                }
                @if let Some((platform, body)) = &entry.body {
                    details {
                        summary { "What it says" span class="unseen" { ": " (entry.title) } }
                        div class="words" { (PreEscaped(words_of(*platform, body, self.zone, entry.at))) }
                    }
                }
            }
            "\n"
        }
    }

    /// Lists every upgrade but this one.
    fn others(&self, but: Option<&Bulletin>) -> Markup {
        let is_other = |b: &&Bulletin| but.is_none_or(|but| but.id != b.id);
        let others: Vec<&Bulletin> = self.bulletins.iter().filter(is_other).collect();
        html! {
            @if !others.is_empty() {
                section id="others" {
                    h2 { "Other upgrades" }
                    ul {
                        @for b in others {
                            li {
                                a href=(path_of(&b.id)) { bdi { (b.title) } }
                                " " (state_words(b.state))
                                @if b.window.set { ", " (self.time(b.window.opens)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn time(&self, at: Timestamp) -> Markup {
        let utc = at.to_zoned_datetime(TimeZone::UTC);
        html! { time datetime=(utc.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()) { (self.zone.written(at)) } }
    }

    fn duties(&self, b: &Bulletin) -> Markup {
        html! {
            @if !(b.duties.is_empty() && b.changes.is_empty()) {
                section id="duties" {
                    h2 { "What you have to do" }
                    dl { @for duty in &b.duties { (self.duty(duty)) } }
                    @if !b.changes.is_empty() {
                        h3 { "What changes" }
                        ul { @for change in &b.changes { li { bdi { (change) } } } }
                    }
                }
            }
        }
    }

    fn duty(&self, duty: &DutyView) -> Markup {
        html! {
            dt {
                (capital(duty.audience)) ": "
                @if duty.required { strong { "action needed" } } @else { "no action" }
            }
            dd {
                bdi { (duty.what) }
                @if let Some(version) = &duty.node_version {
                    " Node version: " bdi { (version) } " or newer."
                }
                @if let Some(by) = duty.by { " By " (self.time(by)) "." }
            }
        }
    }

    /// Draws how many are ready, and how it went for people.
    fn people(&self, b: &Bulletin) -> Markup {
        html! {
            @if let Some(r) = &b.readiness {
                section id="readiness" {
                    h2 { "Providers" }
                    p { (r.ready) " of " (r.of) " are ready, " (r.acknowledged) " of " (r.of) " have seen it." }
                    progress aria-label="providers that are ready" max=(r.of) value=(r.ready) {}
                }
            }
            @if let Some(f) = &b.feedback {
                section id="feedback" {
                    h2 { "How it went for you" }
                    p {
                        (given(&f.reactions)) " " (f.replies) " "
                        @if f.replies == 1 { "reply" } @else { "replies" }
                        "."
                    }
                    table {
                        thead {
                            tr {
                                @for name in ["Who", "Reactions", "Replies"] { th scope="col" { (name) } }
                            }
                        }
                        tbody { @for audience in &f.audiences { (audience_row(audience)) } }
                    }
                }
            } @else if let Some(closes) = b.feedback_closes {
                section id="feedback" {
                    h2 { "How it went for you" }
                    p { "Tell us in the threads; what you say is counted " (self.time(closes)) "." }
                }
            }
        }
    }
}

/// Names the place of a post for people.
fn label(place: &PlaceView) -> String {
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

/// Says a state as people do.
fn state_words(state: &str) -> &str {
    match state {
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
    }
}

fn separated(items: impl IntoIterator<Item = Markup>, separator: &str) -> Markup {
    html! {
        @for (i, item) in items.into_iter().enumerate() {
            @if i > 0 { (separator) }
            (item)
        }
    }
}

fn link(url: &str, label: &str) -> Markup {
    let safe = url.starts_with("https://") || url.starts_with("http://");
    html! {
        @if safe {
            a href=(url) rel="noopener noreferrer" { bdi { (label) } }
        } @else {
            bdi { (label) }
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Draws a chain's way, step by step.
fn progress(chain: &ChainState) -> Markup {
    let stages = [
        Stage::Waiting,
        Stage::Authorized,
        Stage::Applying,
        Stage::Applied,
        Stage::Verified,
        Stage::Completed,
    ];
    let now = stages.iter().position(|s| s.name() == chain.stage);
    let now = now.unwrap_or(0);
    html! {
        h3 { bdi { (chain.name) } }
        p {
            @if let Some(version) = chain.runs { "runs " (version) ", " }
            "target " (chain.target)
            @if let Some(block) = chain.applied_in { ", proven in block " (block) }
        }
        @if let Some((done, total)) = chain.migration {
            p {
                "Migration: " (done)
                @if let Some(total) = total { " of " (total) }
                " "
                progress aria-label="migration" max=[total] value=[total.map(|_| done)] {}
            }
        }
        ol class="steps" {
            @for (i, stage) in stages.iter().enumerate() {
                @if i < now {
                    li class="done" { (stage.name()) span class="unseen" { ", done" } }
                } @else if i == now {
                    li class="now" aria-current="step" { (stage.name()) }
                } @else {
                    li class="" { (stage.name()) span class="unseen" { ", to come" } }
                }
            }
        }
    }
}

/// Lists the reactions that somebody gave.
fn given(reactions: &[Reactions]) -> String {
    let some = reactions.iter().filter(|r| r.count > 0);
    some.map(|r| format!("{} {}: {}", r.emoji, r.meaning, r.count))
        .collect::<Vec<_>>()
        .join(", ")
}

fn audience_row(audience: &AudienceView) -> Markup {
    html! {
        tr {
            th scope="row" { (audience.audience.map_or_else(|| "Others".to_owned(), capital)) }
            td { (given(&audience.reactions)) }
            td { (audience.replies) }
        }
    }
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
