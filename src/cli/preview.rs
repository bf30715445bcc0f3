//! `herald preview [NOTICE]`: each post as its channel would get it, as text or as a page.

mod page;
mod sample;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;

use self::sample::{SampleProgress, imagined};
use super::open::load;
use crate::{
    config::{ChannelConfig, suggest},
    domain::{
        campaign::{progress::State, upgrade::Upgrade},
        outbox::{Ballot, Body, Picture},
        plan::{
            language::DEFAULT_LOCALE,
            notice::{Happening, Notice, Trigger},
        },
    },
    lint::Loaded,
    ports::{Platform, Readers},
    words::{ballot, card, context, picture, render, templates},
};

/// A notice as it would be posted.
struct PreviewPost<'a> {
    notice: &'a Notice,
    /// The time at which it is due; for what waits for the chain, the opening of the window.
    due: Timestamp,
    /// How often a repeated one comes.
    times: usize,
    posts: Vec<ShownPost<'a>>,
}

/// A post as it would stand in one channel.
struct ShownPost<'a> {
    channel: &'a str,
    platform: Platform,
    locale: &'a str,
    body: Body,
    /// The first message of its thread.
    opening: Option<Body>,
    picture: Option<Picture>,
    /// The vote that follows it.
    ballot: Option<Ballot>,
}

/// Show each post as each channel would get it
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Only this notice
    notice: Option<String>,
    /// Only this upgrade [default: the first]
    #[arg(long)]
    upgrade: Option<String>,
    /// As one page of HTML with the channels beside each other, on stdout or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    html: Option<Option<PathBuf>>,
}

pub fn run(folder: Option<PathBuf>, args: PreviewArgs) -> Result<ExitCode> {
    let loaded = load(folder)?;
    let PreviewArgs {
        notice,
        upgrade,
        html,
    } = args;
    let upgrades = &loaded.config.upgrades;
    let chosen = match &upgrade {
        Some(id) => upgrades.iter().find(|u| u.upgrade.id == *id),
        None => upgrades.first(),
    };
    if upgrades.is_empty() {
        bail!(
            "no upgrade is planned: add a file to config/upgrades, so that there is something to show"
        );
    }
    let Some(chosen) = chosen else {
        let ids: Vec<&str> = upgrades.iter().map(|u| u.upgrade.id.as_str()).collect();
        bail!(
            "there is no such upgrade; {}",
            suggest(upgrade.as_deref().unwrap_or_default(), ids)
        );
    };
    let plan = &loaded.config.plan;
    let notices: Vec<&Notice> = plan
        .notices(chosen.upgrade.urgency)
        .iter()
        .filter(|n| notice.as_ref().is_none_or(|id| n.id == *id))
        .collect();
    if notices.is_empty() {
        let ids: Vec<&str> = plan
            .notices(chosen.upgrade.urgency)
            .iter()
            .map(|n| n.id.as_str())
            .collect();
        bail!(
            "there is no such notice; {}",
            suggest(notice.as_deref().unwrap_or_default(), ids)
        );
    }
    let shown = notices
        .into_iter()
        .map(|notice| make(&loaded, &chosen.upgrade, notice))
        .collect::<Result<Vec<_>>>()?;
    match html {
        None => shown.iter().for_each(|one| print(&loaded, one)),
        Some(file) => put(
            file,
            &page::write(&chosen.upgrade, &shown, loaded.renderer.zone()),
            plan.notices(chosen.upgrade.urgency),
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page to a file, or to stdout.
fn put(file: Option<PathBuf>, page: &str, notices: &[Notice]) -> Result<()> {
    match file {
        None => out!("{page}"),
        Some(file) => {
            if let Some(notice) = notices.iter().find(|n| file.as_os_str() == n.id.as_str()) {
                bail!(
                    "`{0}` is a notice, not a file: write `herald preview {0} --html`",
                    notice.id
                );
            }
            std::fs::write(&file, page)
                .with_context(|| format!("{} can't be written", file.display()))?;
        }
    }
    Ok(())
}

fn make<'a>(loaded: &'a Loaded, upgrade: &Upgrade, notice: &'a Notice) -> Result<PreviewPost<'a>> {
    let plan = &loaded.config.plan;
    let opens = upgrade.window.opens;
    let times = notice.trigger.times(opens, &plan.zone);
    let sample = imagined(upgrade, notice, plan);
    let channels = notice.channels.iter().filter_map(|name| {
        let channel = loaded.config.deployment.channels.get(name)?;
        Some((name, channel))
    });
    Ok(PreviewPost {
        notice,
        due: sample.due,
        times: times.len(),
        posts: channels
            .map(|(name, channel)| shown_in(loaded, name, channel, notice, &sample))
            .collect::<Result<_>>()?,
    })
}

/// Renders a notice for one channel, with all that comes along.
fn shown_in<'a>(
    loaded: &Loaded,
    name: &'a str,
    channel: &'a ChannelConfig,
    notice: &Notice,
    sample: &SampleProgress,
) -> Result<ShownPost<'a>> {
    let (config, campaign) = (&loaded.config, &sample.campaign);
    let input = context::RenderInput {
        fact: sample.fact.as_ref(),
        due: Some(sample.due),
        thread: (campaign.progress.state >= State::Applied)
            .then_some("https://chat.example.org/thread"),
        detail: sample.detail,
        ..Default::default()
    };
    let words = context::of(campaign, Some(notice), config, &input).into();
    let body = |template: &str| {
        let text = loaded
            .renderer
            .markdown(template, &channel.locale, &words)
            .map_err(anyhow::Error::msg)?;
        anyhow::Ok(loaded.renderer.body(&text, channel.platform, sample.due))
    };
    let mut post = body(&notice.template)?;
    let capabilities = channel.platform.capabilities();
    if channel.readers == Readers::Public {
        if capabilities.cards && config.templates.contains_key(templates::CARD) {
            post.card = Some(card::card_of(&body(templates::CARD)?.text, campaign));
        }
        if capabilities.buttons {
            post.buttons = render::buttons(config, &campaign.upgrade.id, notice, &channel.locale);
        }
    }
    let has_thread = notice.feedback && capabilities.threads;
    let opening = has_thread.then(|| body(templates::FEEDBACK_THREAD));
    let is_voted_on = capabilities.native_polls
        && notice.trigger == Trigger::On(Happening::WindowProposed)
        && ballot::has_words(config);
    let ballot = is_voted_on.then(|| {
        let windows = campaign.upgrade.poll.as_ref();
        let windows = windows.map_or(0, |poll| poll.windows.len());
        ballot::ballot(&body(templates::BALLOT)?.text, windows).map_err(anyhow::Error::msg)
    });
    let times = notice
        .picture
        .then(|| context::pictured(&campaign.progress));
    Ok(ShownPost {
        channel: name,
        platform: channel.platform,
        locale: &channel.locale,
        body: post,
        opening: opening.transpose()?,
        picture: times.flatten().map(|times| picture::block_times(&times)),
        ballot: ballot.transpose()?,
    })
}

fn print(loaded: &Loaded, shown: &PreviewPost<'_>) {
    for ShownPost {
        channel,
        platform,
        locale,
        body,
        opening,
        ballot,
        ..
    } in &shown.posts
    {
        let at = if *locale == DEFAULT_LOCALE {
            platform.name().to_owned()
        } else {
            format!("{}, {locale}", platform.name())
        };
        let count = body.text.chars().count();
        let due = loaded.renderer.zone().written(shown.due);
        out!(
            "── {} · {channel} ({at}) · {due} · {count} characters",
            shown.notice.id
        );
        out!("{}\n", body.text);
        if let Some(card) = &body.card {
            out!("   the card below it:\n{}\n", card.text);
        }
        if !body.buttons.is_empty() {
            out!(
                "   [{}]\n",
                body.buttons
                    .iter()
                    .map(|b| b.label.as_str())
                    .collect::<Vec<_>>()
                    .join("] [")
            );
        }
        if let Some(opening) = opening {
            out!("   the thread below it opens with:\n{}\n", opening.text);
        }
        if let Some(ballot) = ballot {
            out!("   the vote behind it: {}", ballot.question);
            ballot
                .choices
                .iter()
                .for_each(|(_, choice)| out!("   ( ) {choice}"));
            out!("");
        }
        if let Some(html) = &body.html {
            out!("{html}\n");
        }
    }
}
