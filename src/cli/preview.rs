//! `herald preview [NOTICE]`: each post as its channel would get it, as text or as a page.

mod page;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{Origin, Plan, suggest},
    domain::{
        campaign::{
            Campaign,
            progress::{Measurements, Migration, Stage, State},
            upgrade::{Decision, Poll, Step, Upgrade, Window},
        },
        chain::{
            block_times::{Estimate, Stretch},
            fact::{Expected, Fact, FactKind},
            payload::Payload,
        },
        outbox::{Ballot, Body, Picture},
        people::feedback::{Heard, Reaction, Reply, Summary, Voice},
        plan::{
            language::DEFAULT,
            notice::{Audience, Happening, Notice, Trigger},
        },
    },
    lint::{self, Loaded},
    ports::{Platform, Readers},
    run::logging,
    words::{ballot, card, context, picture, render, templates},
};

/// A notice as it would be posted.
struct PreviewPost<'a> {
    notice: &'a Notice,
    /// When, or for what waits for the chain, the opening of the window.
    due: Timestamp,
    /// How often a repeated one comes.
    times: usize,
    posts: Vec<ShownPost<'a>>,
}

/// In one channel.
struct ShownPost<'a> {
    channel: &'a str,
    platform: Platform,
    locale: &'a str,
    body: Body,
    /// What its thread opens with.
    opening: Option<Body>,
    picture: Option<Picture>,
    /// What follows it to be voted on.
    ballot: Option<Ballot>,
}

/// `html`: as a page, on stdout or in a file.
pub fn run(
    folder: Option<PathBuf>,
    notice: Option<String>,
    upgrade: Option<String>,
    html: Option<Option<PathBuf>>,
) -> Result<ExitCode> {
    let loaded = match lint::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let upgrades = &loaded.config.upgrades;
    let chosen = match &upgrade {
        Some(id) => upgrades.iter().find(|u| u.upgrade.id == *id),
        None => upgrades.first(),
    };
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
    let times: Vec<Timestamp> = match &notice.trigger {
        Trigger::At(offset) => offset.from(opens, &plan.zone).into_iter().collect(),
        Trigger::Cron(rule) => rule.occurrences(opens, &plan.zone),
        Trigger::On(_) => Vec::new(),
    };
    let SampleProgress {
        campaign,
        fact,
        detail,
        due,
    } = imagined(upgrade, notice, plan);
    let thread =
        (campaign.progress.state >= State::Applied).then_some("https://chat.example.org/thread");
    let moment = context::RenderInput {
        fact: fact.as_ref(),
        due: Some(due),
        thread,
        detail,
        ..Default::default()
    };
    let words = context::of(&campaign, Some(notice), &loaded.config, &moment).into();
    let picture = notice
        .picture
        .then(|| context::pictured(&campaign.progress))
        .flatten()
        .map(|times| picture::block_times(&times));
    let mut posts = Vec::new();
    for name in &notice.channels {
        let Some(channel) = loaded.config.deployment.channels.get(name) else {
            continue;
        };
        let body = |template: &str| {
            let text = loaded
                .renderer
                .markdown(template, &channel.locale, &words)
                .map_err(anyhow::Error::msg)?;
            anyhow::Ok(loaded.renderer.body(&text, channel.platform, due))
        };
        let mut post = body(&notice.template)?;
        let capabilities = channel.platform.capabilities();
        if channel.readers == Readers::Public {
            if capabilities.cards && loaded.config.templates.contains_key(templates::CARD) {
                post.card = Some(card::card_of(&body(templates::CARD)?.text, &campaign));
            }
            if capabilities.buttons {
                post.buttons =
                    render::buttons(&loaded.config, &upgrade.id, notice, &channel.locale);
            }
        }
        let opening = (notice.feedback && capabilities.threads)
            .then(|| body(templates::FEEDBACK_THREAD))
            .transpose()?;
        let (platform, locale) = (channel.platform, channel.locale.as_str());
        let windows = campaign
            .upgrade
            .poll
            .as_ref()
            .map_or(0, |poll| poll.windows.len());
        let voted = capabilities.native_polls
            && notice.trigger == Trigger::On(Happening::WindowProposed)
            && ballot::has_words(&loaded.config);
        let ballot = voted.then(|| body(templates::BALLOT)).transpose()?;
        let ballot = ballot
            .map(|body| ballot::ballot(&body.text, windows))
            .transpose()
            .map_err(anyhow::Error::msg)?;
        posts.push(ShownPost {
            channel: name,
            platform,
            locale,
            body: post,
            opening,
            picture: picture.clone(),
            ballot,
        });
    }
    Ok(PreviewPost {
        notice,
        due,
        times: times.len(),
        posts,
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
        let at = if *locale == DEFAULT {
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

/// Words of the kind that stand in such a fact.
fn detail_of(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Authorized => {
            "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
        }
        FactKind::AuthorizationRejected => "System.SpecVersionNeedsToIncrease",
        FactKind::SudoFailed => "System.FailedToExtractRuntimeVersion",
        FactKind::Referendum => "123 confirming",
        FactKind::Dispatched => "123 ok",
        FactKind::PvfCheck => "rejected",
        FactKind::TransactionVersion => "25 to 26",
        FactKind::VersionUnexpected => "the target is another",
        FactKind::Stalled => "240",
        FactKind::Lagging | FactKind::Unapplied | FactKind::MigrationStuck => "120",
        FactKind::Unexamined => "1200000 to 1230000",
        FactKind::Reset => "genesis was 0xef…01",
        _ => "",
    }
}

/// What a preview speaks of: the upgrade as far as it has come when the notice is posted, all made up.
struct SampleProgress {
    campaign: Campaign,
    fact: Option<Fact>,
    detail: Option<&'static str>,
    due: Timestamp,
}

fn imagined(upgrade: &Upgrade, notice: &Notice, plan: &Plan) -> SampleProgress {
    let mut campaign = Campaign::new(upgrade.clone(), upgrade.window.opens);
    let (mut fact, mut detail) = (None, None);
    if let Trigger::On(happening) = notice.trigger {
        said(&mut campaign, happening);
        detail = reason_of(happening);
        let first = campaign
            .upgrade
            .chains
            .iter()
            .next()
            .map(|(name, target)| (name.clone(), target.spec_version));
        let (chain, target) = first.unwrap_or_else(|| ("chain".to_owned(), 0));
        let version = if happened_after(happening) >= State::Applied {
            target
        } else {
            target.saturating_sub(1)
        };
        fact = happening.fact_kind().map(|kind| {
            let detail = if happening == Happening::DispatchFailed {
                "123 System.FailedToExtractRuntimeVersion"
            } else {
                detail_of(kind)
            };
            made_up(Payload::read(kind, detail), &chain, version, upgrade)
        });
        advance(&mut campaign, happening, plan);
    }
    SampleProgress {
        due: due(upgrade, notice, plan),
        campaign,
        fact,
        detail,
    }
}

/// When it is posted; what people say themselves is said some days ahead.
fn due(upgrade: &Upgrade, notice: &Notice, plan: &Plan) -> Timestamp {
    let opens = upgrade.window.opens;
    let hours = |n: i64| {
        opens
            .checked_add(SignedDuration::from_hours(n))
            .unwrap_or(opens)
    };
    let due = match &notice.trigger {
        Trigger::At(offset) => offset.from(opens, &plan.zone).unwrap_or(opens),
        Trigger::Cron(rule) => rule
            .occurrences(opens, &plan.zone)
            .first()
            .copied()
            .unwrap_or(opens),
        Trigger::On(Happening::Go | Happening::NoGo) => hours(-1),
        Trigger::On(
            Happening::Delayed | Happening::Overdue | Happening::Failed | Happening::RolledBack,
        ) => hours(1),
        Trigger::On(Happening::FeedbackClosed) => hours(48),
        Trigger::On(Happening::Documented | Happening::Reviewed) => hours(7 * 24),
        Trigger::On(happening) if happening.without_fact() => hours(-20 * 24),
        Trigger::On(_) => opens,
    };
    due.checked_add(notice.delay).unwrap_or(due)
}

/// How far an upgrade has come when something happens.
fn happened_after(happening: Happening) -> State {
    use Happening as H;
    match happening {
        H::Completed | H::FeedbackClosed | H::Documented | H::Reviewed => State::Completed,
        H::Verified => State::Verified,
        H::Applied
        | H::TransactionVersion
        | H::MigrationStarted
        | H::MigrationFailed
        | H::MigrationStuck
        | H::RolledBack => State::Applied,
        H::FirstApplied | H::VersionUnexpected | H::Stalled | H::Lagging | H::Recovered => {
            State::Applying
        }
        H::Authorized | H::GoAhead | H::EstimateMoved | H::AuthorizationRejected => {
            State::Authorized
        }
        H::PvfRejected | H::Discarded | H::Unapplied | H::Unplanned => State::Authorized,
        _ => State::Scheduled,
    }
}

/// What people have said for it to happen.
fn said(campaign: &mut Campaign, happening: Happening) {
    let upgrade = &mut campaign.upgrade;
    let step = |step: Step| {
        (
            step,
            format!(
                "https://docs.example.org/{}/{}",
                upgrade.id,
                step.name().replace('_', "-")
            ),
        )
    };
    match happening {
        Happening::Cancelled => {
            upgrade.cancelled = Some("A fault was found in the staking code.".to_owned())
        }
        Happening::Failed => {
            upgrade.failed = Some("The new code was refused; the old runtime runs on.".to_owned())
        }
        Happening::Go => upgrade.decision = Some(Decision::Go),
        Happening::NoGo => {
            upgrade.decision = Some(Decision::NoGo("Too few validators are ready.".to_owned()))
        }
        Happening::UnderReview => upgrade.steps.extend([step(Step::UnderReview)]),
        Happening::RolledBack => upgrade.steps.extend([step(Step::RolledBack)]),
        Happening::Documented => upgrade.steps.extend([step(Step::Documented)]),
        Happening::Reviewed => upgrade.steps.extend([step(Step::Reviewed)]),
        Happening::Delayed => campaign.progress.delayed = true,
        Happening::Unplanned => {
            upgrade.unplanned = true;
            upgrade.duties.clear();
        }
        Happening::WindowProposed | Happening::PollClosed if upgrade.poll.is_none() => {
            let days = |at: Timestamp, n: i64| {
                at.checked_add(SignedDuration::from_hours(n * 24))
                    .unwrap_or(at)
            };
            let Window { opens, closes } = upgrade.window.clone();
            let windows = [0, 2].map(|n| Window {
                opens: days(opens, n),
                closes: days(closes, n),
            });
            upgrade.poll = Some(Poll {
                windows: windows.into(),
                decide_by: days(opens, -16),
            });
            campaign.progress.votes = (happening == Happening::PollClosed).then(|| vec![14, 9]);
        }
        _ => {}
    }
}

/// The reason or id that goes with a notice behind which no fact stands.
fn reason_of(happening: Happening) -> Option<&'static str> {
    match happening {
        Happening::Rescheduled => Some("Two more days for testing."),
        Happening::Held | Happening::Expired => Some("reminder-7d for discord-upgrades"),
        Happening::Refused => Some(
            "window was changed by a command since the file was read; write what it is now, or give another command",
        ),
        _ => None,
    }
}

/// What made-up people have answered.
fn answered(plan: &Plan, at: jiff::Timestamp) -> Summary {
    let given = plan.feedback.meanings.iter().zip([9, 1, 2]);
    let reaction = |emoji: &str, n: usize| Reaction {
        emoji: emoji.to_owned(),
        by: n.to_string(),
        at: None,
    };
    let reactions = given
        .flat_map(|(m, n)| (0..n).map(|i| reaction(&m.emoji, i)))
        .collect();
    let words = [
        "All nodes import again.",
        "Sync took a while.",
        "No trouble here.",
    ];
    let reply = |(i, text): (usize, &&str)| Reply {
        by: i.to_string(),
        at,
        text: Some((*text).to_owned()),
    };
    let heard = Heard {
        reactions,
        replies: words.iter().enumerate().map(reply).collect(),
    };
    let voice = |_: &str, who: &str| Voice {
        who: who.to_owned(),
        audience: (who < "5").then_some(Audience::Validators),
    };
    Summary::of(
        &[("discord-upgrades".to_owned(), heard)].into(),
        &[],
        &plan.feedback.meanings,
        voice,
    )
}

/// The chains as they stand then, with made-up blocks and figures.
fn advance(campaign: &mut Campaign, happening: Happening, plan: &Plan) {
    let upgrade = campaign.upgrade.clone();
    let state = happened_after(happening);
    let progress = &mut campaign.progress;
    progress.state = state;
    progress.applied_at = (state >= State::Applied).then_some(upgrade.window.opens);
    if happening == Happening::FeedbackClosed {
        progress.feedback = Some(answered(plan, upgrade.window.opens));
    }
    for (i, (name, chain)) in progress.chains.iter_mut().enumerate() {
        let target = upgrade.chains.get(name).map_or(0, |t| t.spec_version);
        // Under way is: the first chain is through.
        let reached = if state == State::Applying && i == 0 {
            State::Applied
        } else {
            state
        };
        let applied = reached >= State::Applied;
        chain.stage = match reached {
            State::Scheduled => Stage::Waiting,
            State::Authorized => Stage::Authorized,
            State::Applying => Stage::Applying,
            State::Applied => Stage::Applied,
            State::Verified => Stage::Verified,
            State::Completed => Stage::Completed,
        };
        chain.spec_version = Some(if applied {
            target
        } else {
            target.saturating_sub(1)
        });
        chain.applied =
            applied.then(|| made_up(Payload::Applied { from: None }, name, target, &upgrade));
        chain.migration = (happening == Happening::MigrationStarted).then(|| Migration {
            total: Some(5),
            done: 2,
            running: true,
            ..Migration::default()
        });
        chain.record = (reached >= State::Verified).then(record);
    }
}

fn record() -> Measurements {
    let stretch = |blocks, ms, transactions| Stretch {
        blocks,
        ms,
        longest_ms: 12_000,
        transactions,
        failed: 3,
        missed_slots: Some(1),
    };
    Measurements {
        gaps_before: vec![60; 59],
        gaps_after: (0..100).map(|n| if n == 0 { 120 } else { 60 }).collect(),
        before: stretch(59, 355_000, 180),
        after: stretch(100, 606_000, 310),
        worst_lag: 3,
        answering: Some((2, 2)),
        ..Measurements::default()
    }
}

fn made_up(payload: Payload, chain: &str, version: u32, upgrade: &Upgrade) -> Fact {
    let has_block = matches!(payload.kind(), FactKind::GoAhead | FactKind::Scheduled);
    Fact {
        payload,
        chain: chain.to_owned(),
        block: 1_234_567,
        hash: format!("0x{}", "ab".repeat(32)),
        spec_version: version,
        time: Some(upgrade.window.opens),
        on: None,
        expected: has_block.then(|| Expected {
            chain: chain.to_owned(),
            block: 1_236_567,
            estimate: Some(Estimate {
                at: upgrade.window.closes,
                band: SignedDuration::from_mins(12),
            }),
        }),
        late: false,
    }
}
