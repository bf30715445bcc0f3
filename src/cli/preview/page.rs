//! The posts of an upgrade as one page: no script, and nothing from outside.

use maud::{Markup, PreEscaped, html};
use strum::IntoEnumIterator;

use super::{PreviewPost, ShownPost};
use crate::{
    cli::page::document,
    domain::{
        campaign::upgrade::Upgrade,
        outbox::Body,
        plan::{
            notice::{Phase, Trigger},
            schedule::Offset,
        },
    },
    words::{
        Zone,
        html_preview::{base64, before_or_after, discord, drawn},
    },
};

const PAGE_CSS: &str = include_str!("page.css");

/// Draws the whole page.
pub fn write(upgrade: &Upgrade, shown: &[PreviewPost<'_>], zone: &Zone) -> String {
    let body = html! {
        header {
            h1 { (upgrade.title) }
            p {
                "Every post of " strong { (upgrade.id) } ", as each channel would get it. The window: "
                (zone.written(upgrade.window.opens)) " to " (zone.written(upgrade.window.closes))
                ". Blocks and figures are invented."
            }
            p {
                "On Discord each reader sees a " time { "marked" } " time in their own zone; here it is that of "
                (zone.0.iana_name().unwrap_or("UTC")) "."
            }
            (contents(shown))
        }
        main {
            @for (phase, shown) in phases(shown) {
                h2 { (phase.name()) }
                @for one in shown { (section(one, zone)) }
            }
        }
    };
    document(&format!("{}: every post", upgrade.title), PAGE_CSS, &body)
}

/// Returns each phase that has notices, in the order of the process.
fn phases<'a, 'b>(
    shown: &'b [PreviewPost<'a>],
) -> impl Iterator<Item = (Phase, Vec<&'b PreviewPost<'a>>)> {
    let of = |phase| {
        shown
            .iter()
            .filter(move |one| one.notice.phase == phase)
            .collect::<Vec<_>>()
    };
    Phase::iter()
        .map(move |phase| (phase, of(phase)))
        .filter(|(_, shown)| !shown.is_empty())
}

fn contents(shown: &[PreviewPost<'_>]) -> Markup {
    html! {
        nav {
            @for (phase, shown) in phases(shown) {
                p {
                    b { (phase.name()) } " "
                    @for (i, one) in shown.iter().enumerate() {
                        @if i > 0 { " · " }
                        a href={ "#" (one.notice.id) } { (one.notice.id) }
                    }
                }
            }
        }
    }
}

fn section(one: &PreviewPost<'_>, zone: &Zone) -> Markup {
    let audiences: Vec<&str> = one.notice.audiences.iter().map(|a| a.name()).collect();
    let due = match (&one.notice.trigger, one.times) {
        (Trigger::On(_), _) => "The chain says when.".to_owned(),
        (_, 0) => "Never, with this window.".to_owned(),
        (_, 1) => format!("Due {}.", zone.written(one.due)),
        (_, times) => format!("Due {} times, first {}.", times, zone.written(one.due)),
    };
    html! {
        section id=(one.notice.id) {
            h3 { (one.notice.id) }
            p class="when" { (trigger(&one.notice.trigger)) " " (due) " For " (audiences.join(", ")) "." }
            div class="posts" {
                @for post in &one.posts { (article(post, one, zone)) }
            }
        }
    }
}

/// Says what a notice waits for.
fn trigger(trigger: &Trigger) -> String {
    let offset = |offset: &Offset| match offset {
        Offset::Exact(0) => "the moment".to_owned(),
        Offset::Exact(seconds) => before_or_after(*seconds),
        Offset::Days(days) => before_or_after(days.saturating_mul(86_400)),
    };
    match trigger {
        Trigger::At(at @ Offset::Days(_)) => {
            format!("{} the window opens, at the same hour.", offset(at))
        }
        Trigger::At(at) => format!("{} the window opens.", offset(at)),
        Trigger::Cron(rule) => format!(
            "By the cron expression {} in {}, from {} to {} the window opens.",
            rule.expression(),
            rule.zone.iana_name().unwrap_or("UTC"),
            offset(&rule.from),
            offset(&rule.until)
        ),
        Trigger::On(happening) => format!(
            "When this has happened: {}.",
            happening.name().replace('_', " ")
        ),
    }
}

fn article(post: &ShownPost<'_>, one: &PreviewPost<'_>, zone: &Zone) -> Markup {
    let markup = post.platform.capabilities().markup;
    let draw = |body: &Body| PreEscaped(drawn(body, markup, zone, one.due));
    let platform = post.platform.name();
    html! {
        article class=(platform) {
            h4 {
                (post.channel) " "
                span { (platform) ", " (post.body.text.chars().count()) " characters" }
            }
            div class="body" {
                (draw(&post.body))
                @if let Some(picture) = &post.picture {
                    img alt=(picture.alt) width=(picture.width) height=(picture.height) src={ "data:image/png;base64," (base64(&picture.png)) };
                }
                (footer(post, one, zone))
                @if !post.body.buttons.is_empty() {
                    p class="buttons" {
                        @for button in &post.body.buttons { span { (button.label) } }
                    }
                }
            }
            @if let Some(ballot) = &post.ballot {
                div class="ballot" {
                    p { (ballot.question) }
                    ul { @for (_, choice) in &ballot.choices { li { (choice) } } }
                }
            }
            @if let Some(opening) = &post.opening {
                div class="thread" {
                    p { "In its thread:" }
                    (draw(opening))
                }
            }
        }
    }
}

/// Draws what stands below a post where there are cards: the card, or the mark alone.
fn footer(post: &ShownPost<'_>, one: &PreviewPost<'_>, zone: &Zone) -> Markup {
    let mark = html! { p class="mark" { "upgrade-herald · the post’s key" } };
    match (post.platform.capabilities().cards, &post.body.card) {
        (true, Some(card)) => html! {
            div class="card" {
                svg aria-hidden="true" {
                    rect width="100%" height="100%" fill=(format!("#{:06x}", card.colour)) {}
                }
                (PreEscaped(discord(&card.text, zone, one.due)))
                (mark)
            }
        },
        (true, None) => mark,
        (false, _) => Markup::default(),
    }
}
