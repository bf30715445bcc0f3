//! The upgrade that a preview speaks of: blocks, figures and answers are made up.

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::Plan,
    domain::{
        campaign::{
            Campaign,
            progress::{Measurements, Migration, Stage, State},
            upgrade::{Decision, Poll, Step, Upgrade, Window},
        },
        chain::{
            block_times::{Estimate, Stretch},
            fact::{Expected, Fact},
            fact_kind::FactKind,
            payload::Payload,
        },
        people::feedback::{Heard, Reaction, Summary, ThreadReply, Voice},
        plan::notice::{Audience, Happening, Notice, Trigger},
    },
};

/// Returns words of the kind that stand in such a fact.
fn detail_of(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Authorized => {
            "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
        }
        FactKind::AuthorizationRejected => "System.SpecVersionNeedsToIncrease",
        FactKind::SudoFailed | FactKind::CodeRefused => "System.FailedToExtractRuntimeVersion",
        FactKind::Referendum => "123 confirming",
        FactKind::Dispatched => "123 ok",
        FactKind::PvfCheck => "rejected",
        FactKind::TransactionVersion => "25 to 26",
        FactKind::VersionUnexpected => "the target is another",
        FactKind::Stalled => "240",
        FactKind::ChangesPending => "session 47733: node feature 7 on",
        FactKind::ParachainsStopped | FactKind::ParachainsRecovered => "2 of 58: 2004, 2092",
        FactKind::Unverified => "no block for 75 s",
        FactKind::Lagging | FactKind::Unapplied | FactKind::MigrationStuck => "120",
        FactKind::Unexamined => "1200000 to 1230000",
        FactKind::Reset => "genesis was 0xef…01",
        _ => "",
    }
}

/// The upgrade that a preview speaks of, as far as it has come when the notice is posted, all made up.
pub(super) struct SampleProgress {
    pub campaign: Campaign,
    pub fact: Option<Fact>,
    pub detail: Option<&'static str>,
    pub due: Timestamp,
}

pub(super) fn imagined(upgrade: &Upgrade, notice: &Notice, plan: &Plan) -> SampleProgress {
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

/// Returns when it is posted; what people say themselves is said some days ahead.
fn due(upgrade: &Upgrade, notice: &Notice, plan: &Plan) -> Timestamp {
    let opens = upgrade.window.opens;
    let hours = |n: i64| {
        opens
            .checked_add(SignedDuration::from_hours(n))
            .unwrap_or(opens)
    };
    let due = match &notice.trigger {
        clock if clock.is_by_clock() => {
            let times = clock.times(opens, &plan.zone);
            times.first().copied().unwrap_or(opens)
        }
        Trigger::On(Happening::Go | Happening::NoGo) => hours(-1),
        Trigger::On(
            Happening::Delayed | Happening::Overdue | Happening::Failed | Happening::RolledBack,
        ) => hours(1),
        Trigger::On(Happening::FeedbackClosed) => hours(48),
        Trigger::On(Happening::Documented | Happening::Reviewed) => hours(7 * 24),
        Trigger::On(happening) if happening.without_fact() => hours(-20 * 24),
        _ => opens,
    };
    due.checked_add(notice.delay).unwrap_or(due)
}

/// Returns how far an upgrade has come when something happens.
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
        | H::Unverified
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

/// Says what people have to say for it to happen, where the upgrade's own file doesn't.
fn said(campaign: &mut Campaign, happening: Happening) {
    let upgrade = &mut campaign.upgrade;
    let take = |upgrade: &mut Upgrade, step: Step| {
        let page = step.name().replace('_', "-");
        let link = format!("https://docs.example.org/{}/{page}", upgrade.id);
        upgrade.steps.entry(step).or_insert(link);
    };
    match happening {
        Happening::Cancelled => {
            let reason = || "A fault was found in the staking code.".to_owned();
            upgrade.cancelled.get_or_insert_with(reason);
        }
        Happening::Failed => {
            let reason = || "The new code was refused; the old runtime runs on.".to_owned();
            upgrade.failed.get_or_insert_with(reason);
        }
        Happening::Go => upgrade.decision = Some(Decision::Go),
        Happening::NoGo if !matches!(upgrade.decision, Some(Decision::NoGo(_))) => {
            upgrade.decision = Some(Decision::NoGo("Too few validators are ready.".to_owned()))
        }
        Happening::UnderReview => take(upgrade, Step::UnderReview),
        Happening::RolledBack => take(upgrade, Step::RolledBack),
        Happening::Documented => take(upgrade, Step::Documented),
        Happening::Reviewed => take(upgrade, Step::Reviewed),
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

/// Returns the reason or id that goes with a notice behind which no fact stands.
fn reason_of(happening: Happening) -> Option<&'static str> {
    match happening {
        Happening::Rescheduled => Some("Two more days for testing."),
        Happening::Held | Happening::Expired => Some("reminder-7d for discord-upgrades"),
        Happening::Missed => Some("reminder-7d, countdown"),
        Happening::Refused => Some(
            "window was changed by a command since the file was read; write what it is now, or give another command",
        ),
        _ => None,
    }
}

/// Makes up what people have answered.
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
    let reply = |(i, text): (usize, &&str)| ThreadReply {
        by: i.to_string(),
        at,
        text: Some((*text).to_owned()),
    };
    let heard = Heard {
        reactions,
        replies: words.iter().enumerate().map(reply).collect(),
        ..Heard::default()
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

/// Brings the chains to where they stand then, with made-up blocks and figures.
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
        busy: 0,
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

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::{
        config::Origin,
        domain::campaign::upgrade::Urgency,
        lint::{self, Loaded},
        words::context::{self, RenderInput},
    };

    /// The words of a notice, as people read them when it is due.
    fn words(loaded: &Loaded, notice: &Notice, sample: &SampleProgress, locale: &str) -> String {
        let input = RenderInput {
            fact: sample.fact.as_ref(),
            due: Some(sample.due),
            detail: sample.detail,
            ..RenderInput::default()
        };
        let context = context::of(&sample.campaign, Some(notice), &loaded.config, &input).into();
        let renderer = &loaded.renderer;
        let text = renderer
            .markdown(&notice.template, locale, &context)
            .unwrap();
        renderer.plain(&text, sample.due)
    }

    #[test]
    fn no_notice_asks_for_what_is_over() {
        let loaded = lint::load(&Origin::Embedded).unwrap();
        let plan = &loaded.config.plan;
        let upgrade = &loaded.config.upgrades[0].upgrade;
        let deadline = upgrade.duties[&Audience::Validators].by.unwrap();
        let fates: [fn(&mut Campaign); 3] = [
            |_| (),
            |campaign| campaign.upgrade.cancelled = Some("A fault was found".to_owned()),
            |campaign| campaign.upgrade.failed = Some("It was refused".to_owned()),
        ];
        let mut cells = 0;
        let notices = Urgency::iter().flat_map(|urgency| plan.notices(urgency));
        for (notice, fate, versioned) in notices.flat_map(|notice| {
            let fates = fates
                .iter()
                .flat_map(move |fate| [(fate, true), (fate, false)]);
            fates.map(move |(fate, versioned)| (notice, fate, versioned))
        }) {
            let mut upgrade = upgrade.clone();
            let duty = upgrade.duties.get_mut(&Audience::Validators).unwrap();
            duty.node_version = duty.node_version.take().filter(|_| versioned);
            let usual = imagined(&upgrade, notice, plan).due;
            let dues = [deadline, upgrade.window.closes].map(|at| usual.max(at));
            for due in [usual].into_iter().chain(dues) {
                let mut sample = imagined(&upgrade, notice, plan);
                (fate)(&mut sample.campaign);
                sample.due = due;
                let questions = [
                    ("en", "Must I", "Yes", ", by "),
                    ("de", "Muss ich", "Ja", ", bis "),
                ];
                for (locale, question, yes, until) in questions {
                    let text = words(&loaded, notice, &sample, locale);
                    let case = format!("{} in {locale}, {due}: {text}", notice.id);
                    let mut lines = text.lines();
                    let answer = lines.find(|line| line.contains(question) && line.contains(yes));
                    let is_over =
                        due >= deadline || sample.campaign.progress.state >= State::Applied;
                    let forbids = [
                        "don't restart it now",
                        "don't restart it unless",
                        "startet ihn nicht neu",
                        "startet ihn jetzt nicht neu",
                    ];
                    let is_forbidden = forbids.iter().any(|words| text.contains(words));
                    if let Some(answer) = answer {
                        assert!(!sample.campaign.upgrade.given_up(), "{case}");
                        assert!(!is_forbidden, "{case}");
                        assert_eq!(answer.contains(until), !is_over, "{case}");
                    }
                    cells += 1;
                }
            }
        }
        assert!(cells > 2_000, "{cells}");
    }
}
