//! The context is what a template may speak of: one JSON object, the same for every text.
//!
//! Times are seconds since 1970, and lengths seconds: only a template knows its language.

mod aftermath;
mod sample;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::picture::BlockTimes;
use crate::{
    config::{ChecklistItem, Config, Plan, Topic},
    domain::{
        campaign::{
            Campaign,
            progress::{Health, Measurements, Migration, Progress, Stage, State},
            upgrade::{Decision, Duty, Poll, Referendum, Step, Target},
        },
        chain::{
            block_times::Stretch,
            fact::{Expected, Fact},
            payload::{Payload, UnexpectedVersion},
        },
        people::{
            command::{Kind, Part, Verb},
            feedback::{FeedbackCount, Summary, Voice},
            roster,
        },
        plan::notice::{Audience, Notice},
    },
};

pub use self::sample::{of_everything, sample, sample_extras};

/// A reminder names at most this many providers: both platforms allow that many mentions.
pub const MAX_PROVIDERS_IN_REMINDER: usize = 15;

/// A provider who is reminded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub name: String,
    /// Accounts on the platform, as its mentions name them.
    pub accounts: Vec<String>,
}

/// The part of a text's input that depends on the moment it is made for.
#[derive(Clone, Debug, Default)]
pub struct RenderInput<'a> {
    pub fact: Option<&'a Fact>,
    pub due: Option<Timestamp>,
    /// The time at which the text is read, where that is not when it is due.
    pub now: Option<Timestamp>,
    pub late: bool,
    pub thread: Option<&'a str>,
    /// The next notice by the clock, and its time.
    pub next: Option<(&'a str, Timestamp)>,
    /// The troubles of herald itself that people should know of, for a status.
    pub troubles: &'a [Trouble],
    /// A reason or an id, where no fact stands behind the notice.
    pub detail: Option<&'a str>,
    /// The problem that was asked about.
    pub topic: Option<&'a Topic>,
    /// The approval that a preview asks for.
    pub approval: Option<&'a ApprovalRequest>,
    /// The correction that stands on top of a post that is out.
    pub correction: Option<&'a str>,
    /// The providers who are reminded.
    pub missing: &'a [Missing],
    /// True if the process's checklist was asked for, false for the one that fits the moment.
    pub process: bool,
}

/// An approval that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The code that people type.
    pub code: String,
    /// The number of different people it takes.
    pub persons: u32,
    /// The people who have approved so far.
    pub given: Vec<String>,
    /// The notice is of no use any more from this time on.
    pub until: Timestamp,
}

/// Something that herald can't do at the moment; a template has the words for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The kind: `blind`, `stalled` or `lagging` of a chain, `waiting` of posts.
    pub kind: &'static str,
    pub chain: Option<String>,
    pub block: Option<u64>,
    /// The time it began, in seconds since 1970.
    pub since: Option<i64>,
    pub posts: Option<usize>,
}

/// Builds the context of a notice or, without one, of an answer to everybody.
pub fn of(
    campaign: &Campaign,
    notice: Option<&Notice>,
    config: &Config,
    moment: &RenderInput<'_>,
) -> Value {
    let plan = &config.plan;
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    let now = moment.now.or(moment.due);
    let everybody: Vec<Audience> = Audience::iter().collect();
    let audiences = notice.map_or(&everybody, |n| &n.audiences);
    let duties: Vec<Value> = upgrade
        .duties
        .iter()
        .filter(|(a, _)| audiences.contains(a))
        .map(|(a, d)| duty(*a, d, is_over(d, now)))
        .collect();
    let chains: Vec<Value> = upgrade
        .chains
        .iter()
        .map(|(name, target)| chain(name, target, campaign, config))
        .collect();
    json!({
        "upgrade": {
            "id": upgrade.id,
            "title": upgrade.title,
            "summary": upgrade.summary,
            "urgency": upgrade.urgency,
            "method": upgrade.method,
            "state": campaign.standing(),
            "changes": upgrade.changes,
            "unplanned": upgrade.unplanned,
            "awaited": chains.iter().filter_map(|c| c.get("awaited")).filter(|a| !a.is_null()).collect::<Vec<_>>(),
            "pending": chains.iter().any(|c| c.pointer("/pending/0").is_some()),
            "parachains_missing": chains.iter().any(|c| c.get("missing_parachains").is_some_and(|m| !m.is_null())),
            "rollback": upgrade.rollback,
            "steps": Step::iter().map(|s| (s.name().to_owned(), json!(upgrade.steps.get(&s)))).collect::<serde_json::Map<_, _>>(),
            "go": upgrade.decision == Some(Decision::Go),
            "no_go": campaign.on_hold(),
            "cancelled": upgrade.cancelled,
            "failed": upgrade.failed,
            "runs": progress.state >= State::Applied,
            "referendum": upgrade.referendum.as_ref().map(|r| referendum(r, progress)),
            "scheduled": progress.scheduled.as_ref().and_then(|f| f.expected.as_ref()).map(expected),
            "unexamined": progress.unexamined,
            "slis": slis(progress),
            "withdrawn": progress.chains.values().any(|chain| chain.withdrawn),
        },
        "must": must(campaign, now),
        "links": upgrade.links,
        "window": {
            "opens": upgrade.window.opens.as_second(),
            "closes": upgrade.window.closes.as_second(),
            "set": upgrade.poll.is_none(),
        },
        "poll": upgrade.poll.as_ref().map(|p| poll(p, progress)),
        "timeline": timeline(campaign, config, moment.due),
        "checklist": {
            "before": numbered(&config.checklist.before),
            "after": numbered(&config.checklist.after),
            "is_after": progress.state >= State::Applied,
        },
        "process": moment.process.then(|| process(&config.checklist.process, progress)),
        "roll": progress.roll.as_ref().map(roll),
        "missing": moment.missing.iter().map(|m| &m.name).collect::<Vec<_>>(),
        "notes": progress.notes.iter().map(|n| json!({ "at": n.at.as_second(), "text": n.text })).collect::<Vec<_>>(),
        "correction": moment.correction,
        "lines": moment.detail.map(|d| d.lines().collect::<Vec<_>>()).unwrap_or_default(),
        "acknowledge": notice.filter(|n| n.acknowledge).map(|_| acknowledge(campaign, plan, moment)),
        "notice": notice.map(|n| json!({ "id": n.id, "title": n.title, "phase": n.phase.name() })),
        "help": notice.and_then(|n| config.help.topic(n.help.as_ref()?)).map(|t| json!({ "id": t.id, "title": t.title })),
        "topics": config.help.topics.iter().map(|t| json!({ "id": t.id, "title": t.title })).collect::<Vec<_>>(),
        "topic": moment.topic.map(|t| topic(t, config)),
        "contacts": config.help.contacts,
        "approval": moment.approval.map(|a| {
            let until = a.until.as_second();
            json!({ "code": a.code, "persons": a.persons, "given": a.given, "until": until, "channels": notice.map(|n| &n.channels) })
        }),
        "detail": moment.detail,
        "zone": plan.zone_name,
        "duties": duties,
        "chains": chains,
        "fact": moment.fact.map(fact),
        "feedback": feedback(progress, plan),
        "verification": {
            "healthy_for": plan.rules.healthy_for.as_secs(),
            "complete_after": plan.rules.complete_after.as_secs(),
            "watch_for": plan.rules.watch_for.as_secs(),
        },
        "thread": moment.thread,
        "due": moment.due.map(Timestamp::as_second),
        "late": moment.late,
        "next": moment.next.map(|(id, due)| {
            let notice = plan.notice(upgrade.urgency, id);
            json!({ "notice": notice.map_or(id, |n| n.title.as_str()), "due": due.as_second() })
        }),
        "troubles": moment.troubles,
    })
}

/// The reactions with which people choose and tick.
pub const NUMBER_EMOJI: [&str; 9] = ["1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣", "9️⃣"];

fn numbered(items: &[String]) -> Vec<Value> {
    NUMBER_EMOJI
        .iter()
        .zip(items)
        .map(|(number, text)| json!({ "number": number, "text": text }))
        .collect()
}

fn poll(poll: &Poll, progress: &Progress) -> Value {
    let votes = |i: usize| progress.votes.as_ref().and_then(|v| v.get(i));
    let windows = NUMBER_EMOJI.iter().zip(&poll.windows).enumerate();
    let windows = windows.map(
        |(i, (number, w))| json!({ "number": number, "opens": w.opens.as_second(), "closes": w.closes.as_second(), "votes": votes(i) }),
    );
    json!({ "windows": windows.collect::<Vec<_>>(), "decide_by": poll.decide_by.as_second(), "counted": progress.votes.is_some() })
}

/// A timeline has at most this many entries, so that it fits a post.
const MAX_TIMELINE_ENTRIES: usize = 12;

/// Lists the public notices by the clock that come after `now`: when people will hear from herald.
fn timeline(campaign: &Campaign, config: &Config, now: Option<Timestamp>) -> Vec<Value> {
    let (plan, upgrade) = (&config.plan, &campaign.upgrade);
    let opens = upgrade.window.opens;
    // Nothing is planned from a window that people still choose, that was made up, or that doesn't come.
    if upgrade.poll.is_some() || upgrade.unplanned || upgrade.given_up() {
        return Vec::new();
    }
    let public = |name: &String| config.deployment.is_public(name);
    let mut times: Vec<(Timestamp, &str)> = Vec::new();
    for notice in plan
        .notices(campaign.upgrade.urgency)
        .iter()
        .filter(|n| n.channels.iter().any(public))
    {
        let due = notice.trigger.times(opens, &plan.zone);
        times.extend(due.into_iter().map(|at| (at, notice.title.as_str())));
    }
    times.retain(|(at, _)| now.is_none_or(|now| *at > now));
    times.sort();
    times
        .into_iter()
        .take(MAX_TIMELINE_ENTRIES)
        .map(|(at, title)| json!({ "at": at.as_second(), "what": title }))
        .collect()
}

fn acknowledge(campaign: &Campaign, plan: &Plan, moment: &RenderInput<'_>) -> Value {
    let within = plan
        .plans
        .get(&campaign.upgrade.urgency)
        .map_or(SignedDuration::ZERO, |p| p.acknowledge_within);
    let by = moment
        .due
        .map(|due| campaign.upgrade.answer_by(due, within));
    json!({ "emoji": plan.acknowledge, "by": by.map(Timestamp::as_second) })
}

fn topic(topic: &Topic, config: &Config) -> Value {
    json!({ "id": topic.id, "title": topic.title, "signs": topic.signs, "remedy": topic.remedy, "contact": config.help.contact(topic) })
}

/// Builds the context of an answer about herald itself, or about a problem.
pub fn of_help(config: &Config, asked: Option<&Topic>, may: &[Verb]) -> Value {
    json!({
        "commands": commands(may),
        "topics": config.help.topics.iter().map(|t| json!({ "id": t.id, "title": t.title })).collect::<Vec<_>>(),
        "topic": asked.map(|t| topic(t, config)),
        "contacts": config.help.contacts,
    })
}

fn commands(verbs: &[Verb]) -> Value {
    let command = |verb: &Verb| {
        let part = |p: &Part| {
            if p.required {
                p.name.to_uppercase()
            } else {
                format!("[{}]", p.name)
            }
        };
        // People need hardly ever name the upgrade, so its part is left out.
        let parts: Vec<String> = verb
            .parts()
            .iter()
            .filter(|p| p.kind != Kind::Upgrade)
            .map(part)
            .collect();
        json!({ "name": verb.name(), "parts": parts.join(" "), "word": format!("command_{}", verb.name()) })
    };
    verbs.iter().map(command).collect()
}

/// Describes a referendum: `news` is "123 confirming", and `status` the word in it.
fn referendum(referendum: &Referendum, progress: &Progress) -> Value {
    let news = progress.referendum;
    json!({
        "chain": referendum.chain,
        "index": referendum.index,
        "news": news.map(|news| news.to_string()),
        "status": news.map(|news| news.status.to_string()),
    })
}

/// Describes what validators must do, unless that is over: after the upgrade only an old node is still to be updated, and
/// an upgrade that was given up asks nothing of anybody.
fn must(campaign: &Campaign, now: Option<Timestamp>) -> Option<Value> {
    let is_applied = campaign.progress.state >= State::Applied;
    let validators = campaign.upgrade.duties.get(&Audience::Validators)?;
    if campaign.upgrade.given_up() || is_applied && validators.node_version.is_none() {
        return None;
    }
    let is_over = is_applied || is_over(validators, now);
    Some(duty(Audience::Validators, validators, is_over))
}

fn is_over(duty: &Duty, now: Option<Timestamp>) -> bool {
    duty.by.zip(now).is_some_and(|(by, now)| by <= now)
}

/// Describes a duty; `over` says that its time has passed.
fn duty(audience: Audience, duty: &Duty, over: bool) -> Value {
    json!({
        "over": over,
        "audience": audience,
        "required": duty.required,
        "what": duty.what,
        "node_version": duty.node_version,
        "by": duty.by.map(Timestamp::as_second),
    })
}

fn chain(name: &str, target: &Target, campaign: &Campaign, config: &Config) -> Value {
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    let at = progress.chains.get(name);
    let applied = at.and_then(|a| a.applied.as_ref());
    let aftermath = aftermath::of(name, at, &config.deployment.kin(name));
    json!({
        "name": name,
        "target": (!upgrade.unplanned || applied.is_some()).then_some(target.spec_version),
        "version": at.and_then(|a| a.spec_version),
        "stage": at.map_or(Stage::Waiting, |a| a.stage),
        "block": applied.map(|f| f.block),
        "hash": applied.map(|f| &f.hash),
        "at": applied.and_then(|f| f.time).map(Timestamp::as_second),
        "above": at.and_then(|a| a.spec_version).is_some_and(|v| v > target.spec_version),
        "migration": at.and_then(|a| a.migration.as_ref()).filter(|m| m.running).map(migration),
        "transaction_version": at.and_then(|a| a.transaction_version.as_ref()),
        "ahead": at.and_then(|a| a.ahead.as_ref()).and_then(|f| f.expected.as_ref()).map(expected),
        "record": at.and_then(|a| a.record.as_ref()).filter(|r| r.after.blocks > 0).map(record),
        "health": at.and_then(|a| a.health.as_ref()).map(health),
        "pending": aftermath.pending,
        "awaited": aftermath.awaited,
        "stopped": aftermath.stopped,
        "stopped_more": aftermath.stopped_more,
        "missing_parachains": aftermath.missing,
    })
}

fn health(health: &Health) -> Value {
    json!({
        "length": health.length().as_secs(),
        "blocks": health.blocks,
        "transactions": health.transactions,
        "failed": health.failed,
        "longest_gap": health.longest_gap,
    })
}

/// Writes the community's indicators in percent, of the chain on which they are worst.
fn slis(progress: &Progress) -> Option<Value> {
    let chains = progress.chains.iter();
    let measured = chains.filter_map(|(name, c)| Some((name, c.health.as_ref()?.slis.shares()?)));
    let (chain, shares) = measured.min_by(|(_, a), (_, b)| a.worst().total_cmp(&b.worst()))?;
    let [made, finalized, in_time, final_in_time] = shares.percent();
    Some(json!({
        "chain": chain,
        "made": made,
        "finalized": finalized,
        "in_time": in_time,
        "final_in_time": final_in_time,
    }))
}

fn migration(migration: &Migration) -> Value {
    json!({ "done": migration.done, "total": migration.total })
}

/// Describes a known block; a time comes only with how far off it may be.
fn expected(expected: &Expected) -> Value {
    json!({
        "chain": expected.chain,
        "block": expected.block,
        "at": expected.estimate.map(|e| e.at.as_second()),
        "band": expected.estimate.map(|e| rounded_up(e.band).as_secs()),
    })
}

/// Rounds up to whole minutes, and from two hours on to whole quarters of an hour.
fn rounded_up(band: SignedDuration) -> SignedDuration {
    let unit = if band.as_secs() >= 7200 { 900 } else { 60 };
    SignedDuration::from_secs((band.as_secs() / unit + 1) * unit)
}

/// Writes the figures of a verification.
fn record(record: &Measurements) -> Value {
    let seconds = |s: Option<f64>| s.map(|s| format!("{s:.1}"));
    let share = |s: &Stretch| {
        (s.transactions > 0).then(|| {
            format!(
                "{:.0}",
                f64::from(s.failed) * 100.0 / f64::from(s.transactions)
            )
        })
    };
    let stretch = |s: &Stretch| {
        json!({
            "blocks": s.blocks,
            "mean": seconds(s.mean()),
            "longest": format!("{:.1}", s.longest_ms as f64 / 1000.0),
            "transactions": s.transactions,
            "failed": s.failed,
            "failed_share": share(s),
            "missed_slots": s.missed_slots,
        })
    };
    json!({
        "before": stretch(&record.before),
        "after": stretch(&record.after),
        "worst_lag": record.worst_lag,
        "code": record.code,
        "code_fits": record.code_fits(),
        "answering": record.answering.map(|(n, _)| n),
        "endpoints": record.answering.map(|(_, of)| of),
    })
}

/// Returns the block times around the upgrade, of the chain that had the longest gap after it.
pub fn pictured(progress: &Progress) -> Option<BlockTimes> {
    let records = progress
        .chains
        .iter()
        .filter_map(|(name, c)| Some((name, c.record.as_ref()?, c.spec_version?)));
    let (name, record, version) = records
        .filter(|(_, r, _)| !r.gaps_after.is_empty())
        .max_by_key(|(_, r, _)| r.after.longest_ms)?;
    let seconds = |gaps: &[u32]| gaps.iter().map(|g| f64::from(*g) / 10.0).collect();
    Some(BlockTimes {
        chain: name.clone(),
        version_before: record.version_before,
        version_after: version,
        before: seconds(&record.gaps_before),
        after: seconds(&record.gaps_after),
    })
}

fn fact(fact: &Fact) -> Value {
    let status = match &fact.payload {
        Payload::Referendum(news) => Some(news.status.to_string()),
        _ => None,
    };
    let planned = match &fact.payload {
        Payload::VersionUnexpected(UnexpectedVersion::Authorized { planned, .. }) => Some(planned),
        _ => None,
    };
    json!({
        "kind": fact.kind(),
        "chain": fact.chain,
        "block": fact.block,
        "hash": fact.hash,
        "spec_version": fact.spec_version,
        "time": fact.time.map(Timestamp::as_second),
        "detail": fact.detail(),
        "status": status,
        "planned": planned,
        "on": fact.on,
        "late": fact.late,
        "expected": fact.expected.as_ref().map(expected),
    })
}

fn feedback(progress: &Progress, plan: &Plan) -> Value {
    let nobody = |_: &str, _: &str| Voice {
        who: String::new(),
        audience: None,
    };
    let empty = || Summary::of(&Default::default(), &[], &plan.feedback.meanings, nobody);
    let summary = progress.feedback.clone().unwrap_or_else(empty);
    let total = summary.replies
        + summary
            .reactions
            .iter()
            .map(|c: &FeedbackCount| c.count)
            .sum::<u32>();
    json!({
        "reactions": summary.reactions,
        "replies": summary.replies,
        "audiences": summary.audiences,
        "quotes": summary.quotes,
        "total": total,
        "closes": closes(progress, plan).map(Timestamp::as_second),
        "closed": progress.feedback.is_some(),
    })
}

/// Counts how many of the roster have answered, and says by when they are to.
fn roll(count: &roster::ReadinessCount) -> Value {
    json!({
        "of": count.of,
        "acknowledged": count.acknowledged,
        "ready": count.ready,
        "acknowledge_by": count.acknowledge_by.map(Timestamp::as_second),
        "ready_by": count.ready_by.map(Timestamp::as_second),
    })
}

fn process(items: &[ChecklistItem], progress: &Progress) -> Value {
    let step = |item: &ChecklistItem| {
        let tick = progress.ticks.get(&item.item);
        json!({
            "item": item.item,
            "role": item.role,
            "text": item.text,
            "done": tick.is_some(),
            "by": tick.map(|t| &t.by),
            "at": tick.map(|t| t.at.as_second()),
            "remark": tick.and_then(|t| t.remark.as_ref()),
        })
    };
    let done = items
        .iter()
        .filter(|i| progress.ticks.contains_key(&i.item))
        .count();
    json!({ "items": items.iter().map(step).collect::<Vec<_>>(), "done": done, "of": items.len() })
}

/// Returns when the feedback window closes, once it is open.
pub fn closes(progress: &Progress, plan: &Plan) -> Option<Timestamp> {
    let in_time = progress
        .applied_at?
        .checked_add(plan.feedback.open_for)
        .ok()?;
    Some(
        progress
            .feedback_closes
            .map_or(in_time, |at| at.min(in_time)),
    )
}
