//! `herald preview [NOTICE]`: each post as its channel would get it, as text or as a page.

mod look;
mod page;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use crate::{
    app::{self, Loaded},
    config::{Origin, suggest},
    domain::{
        fact::{Expected, Fact, FactKind},
        language::DEFAULT,
        notice::{Happening, Notice, Trigger},
        pace::{Estimate, Stretch},
        phase::{Progress, Record, Stage, State},
        post::{Body, Picture},
        upgrade::Upgrade,
    },
    picture,
    ports::{Accepting, Platform},
    service::{context, dispatcher::THREAD_TEMPLATE},
};

/// A notice as it would be posted.
struct Shown<'a> {
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
}

/// `html`: as a page, on stdout or in a file.
pub fn run(folder: Option<PathBuf>, notice: Option<String>, upgrade: Option<String>, html: Option<Option<PathBuf>>) -> Result<ExitCode> {
    let loaded = match app::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let upgrades = &loaded.config.upgrades;
    let chosen = match &upgrade {
        Some(id) => upgrades.iter().find(|u| u.upgrade.id == *id),
        None => upgrades.first(),
    };
    let Some(chosen) = chosen else {
        let ids: Vec<&str> = upgrades.iter().map(|u| u.upgrade.id.as_str()).collect();
        bail!("there is no such upgrade; {}", suggest(upgrade.as_deref().unwrap_or_default(), ids));
    };
    let plan = &loaded.config.plan;
    let notices: Vec<&Notice> =
        plan.notices(chosen.upgrade.urgency).iter().filter(|n| notice.as_ref().is_none_or(|id| n.id == *id)).collect();
    if notices.is_empty() {
        let ids: Vec<&str> = plan.notices(chosen.upgrade.urgency).iter().map(|n| n.id.as_str()).collect();
        bail!("there is no such notice; {}", suggest(notice.as_deref().unwrap_or_default(), ids));
    }
    let shown = notices.into_iter().map(|notice| make(&loaded, &chosen.upgrade, notice)).collect::<Result<Vec<_>>>()?;
    match html {
        None => shown.iter().for_each(|one| print(&loaded, one)),
        Some(file) => put(file, &page::write(&chosen.upgrade, &shown, loaded.renderer.zone()), plan.notices(chosen.upgrade.urgency))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page to a file, or to stdout.
fn put(file: Option<PathBuf>, page: &str, notices: &[Notice]) -> Result<()> {
    match file {
        None => out!("{page}"),
        Some(file) => {
            if let Some(notice) = notices.iter().find(|n| file.as_os_str() == n.id.as_str()) {
                bail!("`{0}` is a notice, not a file: write `herald preview {0} --html`", notice.id);
            }
            std::fs::write(&file, page).with_context(|| format!("{} can't be written", file.display()))?;
        }
    }
    Ok(())
}

fn make<'a>(loaded: &'a Loaded, upgrade: &Upgrade, notice: &'a Notice) -> Result<Shown<'a>> {
    let plan = &loaded.config.plan;
    let opens = upgrade.window.opens;
    let times = match &notice.trigger {
        Trigger::At(offset) => offset.from(opens, &plan.zone).into_iter().collect(),
        Trigger::Cron(rule) => rule.occurrences(opens, &plan.zone),
        Trigger::On(_) => Vec::new(),
    };
    let due = times.first().copied().unwrap_or(opens);
    let (accepted, fact) = imagined(upgrade, due, kind_of(&notice.trigger));
    let moment =
        context::Moment { fact: Some(&fact), due: Some(due), thread: Some("https://chat.example.org/thread"), ..Default::default() };
    let words = context::of(&accepted, Some(notice), &loaded.config, &moment);
    let picture = notice.picture.then(|| context::pictured(&accepted.progress)).flatten().map(|times| picture::block_times(&times));
    let mut posts = Vec::new();
    for name in &notice.channels {
        let Some(channel) = loaded.config.deployment.channels.get(name) else { continue };
        let body = |template: &str| {
            let text = loaded.renderer.markdown(template, &channel.locale, &words).map_err(anyhow::Error::msg)?;
            anyhow::Ok(loaded.renderer.body(&text, channel.platform, due))
        };
        let opening = notice.feedback.then(|| body(THREAD_TEMPLATE)).transpose()?;
        let (platform, locale) = (channel.platform, channel.locale.as_str());
        posts.push(ShownPost { channel: name, platform, locale, body: body(&notice.template)?, opening, picture: picture.clone() });
    }
    Ok(Shown { notice, due, times: times.len(), posts })
}

fn print(loaded: &Loaded, shown: &Shown<'_>) {
    for ShownPost { channel, platform, locale, body, opening, .. } in &shown.posts {
        let at = if *locale == DEFAULT { platform.name().to_owned() } else { format!("{}, {locale}", platform.name()) };
        let count = body.text.chars().count();
        let due = loaded.renderer.zone().written(shown.due);
        out!("── {} · {channel} ({at}) · {due} · {count} characters", shown.notice.id);
        out!("{}\n", body.text);
        if let Some(opening) = opening {
            out!("   the thread below it opens with:\n{}\n", opening.text);
        }
        if let (Platform::Matrix, Some(html)) = (platform, &body.html) {
            out!("{html}\n");
        }
    }
}

/// The fact that a notice waits for: mostly the one of the same name.
fn kind_of(trigger: &Trigger) -> FactKind {
    match trigger {
        Trigger::On(Happening::DispatchFailed) => FactKind::Dispatched,
        Trigger::On(Happening::PvfRejected) => FactKind::PvfCheck,
        Trigger::On(Happening::EstimateMoved) => FactKind::GoAhead,
        Trigger::On(Happening::Unplanned) => FactKind::Authorized,
        Trigger::On(happening) => FactKind::parse(happening.name()).unwrap_or(FactKind::Applied),
        _ => FactKind::Applied,
    }
}

/// Words of the kind that stand in such a fact.
fn detail_of(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Authorized => "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
        FactKind::AuthorizationRejected => "System.SpecVersionNeedsToIncrease",
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

/// The upgrade gone well, with made-up blocks: previews need something to speak of.
fn imagined(upgrade: &Upgrade, at: Timestamp, kind: FactKind) -> (Accepting, Fact) {
    let mut progress = Progress::new(upgrade);
    progress.state = State::Verified;
    progress.applied_at = Some(upgrade.window.opens);
    let fact = |chain: &str, version| Fact {
        kind,
        chain: chain.to_owned(),
        block: 1_234_567,
        hash: format!("0x{}", "ab".repeat(32)),
        spec_version: version,
        time: Some(upgrade.window.opens),
        detail: detail_of(kind).to_owned(),
        on: None,
        expected: matches!(kind, FactKind::GoAhead | FactKind::Scheduled).then(|| Expected {
            chain: chain.to_owned(),
            block: 1_236_567,
            estimate: Some(Estimate { at: upgrade.window.closes, band: jiff::SignedDuration::from_mins(12) }),
        }),
        late: false,
    };
    for (name, chain) in &mut progress.chains {
        let version = upgrade.chains.get(name).map_or(0, |t| t.spec_version);
        chain.stage = Stage::Verified;
        chain.spec_version = Some(version);
        chain.applied = Some(fact(name, version));
        let stretch = |blocks, ms, transactions| Stretch { blocks, ms, longest_ms: 12_000, transactions, failed: 3, missed_slots: Some(1) };
        chain.record = Some(Record {
            version_before: version.saturating_sub(1),
            gaps_before: vec![60; 59],
            gaps_after: (0..100).map(|n| if n == 0 { 120 } else { 60 }).collect(),
            before: stretch(59, 355_000, 180),
            after: stretch(100, 606_000, 310),
            worst_lag: 3,
            answering: Some((2, 2)),
            ..Record::default()
        });
    }
    let first = upgrade.chains.iter().next();
    let fact = first.map_or_else(|| fact("chain", 0), |(name, target)| fact(name, target.spec_version));
    (Accepting { progress, ..Accepting::new(upgrade.clone(), at) }, fact)
}
