//! `herald preview [NOTICE]`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
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
        upgrade::Upgrade,
    },
    ports::{Accepting, Platform},
    service::{context, dispatcher::THREAD_TEMPLATE},
};

pub fn run(folder: Option<PathBuf>, notice: Option<String>, upgrade: Option<String>) -> Result<ExitCode> {
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
    for notice in notices {
        show(&loaded, &chosen.upgrade, notice)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(loaded: &Loaded, upgrade: &Upgrade, notice: &Notice) -> Result<()> {
    let plan = &loaded.config.plan;
    let due = match &notice.trigger {
        Trigger::At(offset) => offset.from(upgrade.window.opens, &plan.zone).unwrap_or(upgrade.window.opens),
        Trigger::Cron(rule) => rule.occurrences(upgrade.window.opens, &plan.zone).first().copied().unwrap_or(upgrade.window.opens),
        Trigger::On(_) => upgrade.window.opens,
    };
    let (accepted, fact) = imagined(upgrade, due, kind_of(&notice.trigger));
    let moment =
        context::Moment { fact: Some(&fact), due: Some(due), thread: Some("https://chat.example.org/thread"), ..Default::default() };
    let context = context::of(&accepted, Some(notice), &loaded.config, &moment);
    let renderer = &loaded.renderer;
    for name in &notice.channels {
        let Some(channel) = loaded.config.deployment.channels.get(name) else { continue };
        let body = |template: &str| {
            let text = renderer.markdown(template, &channel.locale, &context).map_err(anyhow::Error::msg)?;
            anyhow::Ok(renderer.body(&text, channel.platform, due))
        };
        let opening = notice.feedback.then(|| body(THREAD_TEMPLATE)).transpose()?;
        let body = body(&notice.template)?;
        let count = body.text.chars().count();
        let platform = channel.platform.name();
        let at = if channel.locale == DEFAULT { platform.to_owned() } else { format!("{platform}, {}", channel.locale) };
        out!("── {} · {name} ({at}) · {} · {count} characters", notice.id, renderer.zone().written(due));
        out!("{}\n", body.text);
        if let Some(opening) = &opening {
            out!("   the thread below it opens with:\n{}\n", opening.text);
        }
        if let (Platform::Matrix, Some(html)) = (channel.platform, &body.html) {
            out!("{html}\n");
        }
    }
    Ok(())
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
