//! The posts of an upgrade as one page: no script, nothing from outside, and nothing in it that wasn't escaped.

use sha2::{Digest, Sha256};
use strum::IntoEnumIterator;

use super::{PreviewPost, ShownPost};
use crate::{
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
        html_preview::{base64, before_or_after, discord, drawn, escape},
    },
};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn write(upgrade: &Upgrade, shown: &[PreviewPost<'_>], zone: &Zone) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(STYLE))
    );
    let title = escape(&upgrade.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}: every post</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         <p>Every post of <strong>{}</strong>, as each channel would get it. The window: {} to {}. Blocks and figures are invented.</p>\n\
         <p>On Discord each reader sees a <time>marked</time> time in their own zone; here it is that of {}.</p>\n{}</header>\n<main>\n",
        escape(&upgrade.id),
        escape(&zone.written(upgrade.window.opens)),
        escape(&zone.written(upgrade.window.closes)),
        escape(zone.0.iana_name().unwrap_or("UTC")),
        contents(shown),
    );
    for (phase, shown) in phases(shown) {
        out.push_str(&format!("<h2>{}</h2>\n", escape(phase.name())));
        shown
            .into_iter()
            .for_each(|one| out.push_str(&section(one, zone)));
    }
    out.push_str("</main>\n</body>\n</html>");
    out
}

/// Each phase that has notices, in the order of the process.
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

fn contents(shown: &[PreviewPost<'_>]) -> String {
    let link = |one: &&PreviewPost<'_>| format!("<a href=\"#{0}\">{0}</a>", escape(&one.notice.id));
    let line = |(phase, shown): (Phase, Vec<&PreviewPost<'_>>)| {
        format!(
            "<p><b>{}</b> {}</p>\n",
            escape(phase.name()),
            shown.iter().map(link).collect::<Vec<_>>().join(" · ")
        )
    };
    format!(
        "<nav>\n{}</nav>\n",
        phases(shown).map(line).collect::<String>()
    )
}

fn section(one: &PreviewPost<'_>, zone: &Zone) -> String {
    let audiences: Vec<&str> = one.notice.audiences.iter().map(|a| a.name()).collect();
    let due = match (&one.notice.trigger, one.times) {
        (Trigger::On(_), _) => "The chain says when.".to_owned(),
        (_, 0) => "Never, with this window.".to_owned(),
        (_, 1) => format!("Due {}.", zone.written(one.due)),
        (_, times) => format!("Due {} times, first {}.", times, zone.written(one.due)),
    };
    let posts: String = one
        .posts
        .iter()
        .map(|post| article(post, one, zone))
        .collect();
    format!(
        "<section id=\"{id}\">\n<h3>{id}</h3>\n<p class=\"when\">{} {} For {}.</p>\n<div class=\"posts\">\n{posts}</div>\n</section>\n",
        escape(&trigger(&one.notice.trigger)),
        escape(&due),
        escape(&audiences.join(", ")),
        id = escape(&one.notice.id),
    )
}

/// What it waits for, in words.
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

fn article(post: &ShownPost<'_>, one: &PreviewPost<'_>, zone: &Zone) -> String {
    let capabilities = post.platform.capabilities();
    let draw = |body: &Body| drawn(body, capabilities.markup, zone, one.due);
    let platform = post.platform.name();
    let picture = post.picture.as_ref().map(|picture| {
        let (alt, width, height, png) = (escape(&picture.alt), picture.width, picture.height, base64(&picture.png));
        format!("<img alt=\"{alt}\" width=\"{width}\" height=\"{height}\" src=\"data:image/png;base64,{png}\">\n")
    });
    let mark = "<p class=\"mark\">upgrade-herald · the post’s key</p>";
    let footer = match (capabilities.cards, &post.body.card) {
        (true, Some(card)) => {
            // Of the six digits nothing but a colour can come.
            let words = discord(&card.text, zone, one.due);
            format!(
                "<div class=\"card\"><svg aria-hidden=\"true\"><rect width=\"100%\" height=\"100%\" fill=\"#{:06x}\"></rect></svg>{words}{mark}</div>\n",
                card.colour
            )
        }
        (true, None) => format!("{mark}\n"),
        (false, _) => String::new(),
    };
    let buttons: String = post
        .body
        .buttons
        .iter()
        .map(|b| format!("<span>{}</span>", escape(&b.label)))
        .collect();
    let buttons = if buttons.is_empty() {
        buttons
    } else {
        format!("<p class=\"buttons\">{buttons}</p>\n")
    };
    let ballot = post.ballot.as_ref().map(|ballot| {
        let choices: String = ballot
            .choices
            .iter()
            .map(|(_, choice)| format!("<li>{}</li>\n", escape(choice)))
            .collect();
        format!(
            "<div class=\"ballot\"><p>{}</p>\n<ul>\n{choices}</ul></div>\n",
            escape(&ballot.question)
        )
    });
    let opening = post.opening.as_ref().map(|body| {
        format!(
            "<div class=\"thread\"><p>In its thread:</p>\n{}</div>\n",
            draw(body)
        )
    });
    format!(
        "<article class=\"{platform}\">\n<h4>{} <span>{platform}, {} characters</span></h4>\n<div class=\"body\">\n{}\n{}{footer}{buttons}</div>\n{}{}</article>\n",
        escape(post.channel),
        post.body.text.chars().count(),
        draw(&post.body),
        picture.unwrap_or_default(),
        ballot.unwrap_or_default(),
        opening.unwrap_or_default(),
    )
}
