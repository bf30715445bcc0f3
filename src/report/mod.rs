//! The report reviews an upgrade in figures: what was planned, and what happened.

pub mod bulletin;
pub mod markdown;
pub mod roll;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::ChecklistItem,
    domain::{
        campaign::{
            Campaign,
            progress::{Stage, Tick},
        },
        chain::{block_times::Stretch, fact::Fact, fact_kind::FactKind},
        outbox::{Post, PostState},
        people::{feedback::Summary, roster::Answer},
        plan::notice::{PRIVATE_NOTICE, Phase},
    },
    outbox::Core,
    ports::{AuditEntry, Readers, RecordKind, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// Everything a review speaks of.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub upgrade: String,
    pub title: String,
    pub urgency: &'static str,
    /// The upgrade's state, in one word.
    pub state: &'static str,
    pub opens: Timestamp,
    pub closes: Timestamp,
    /// False while people still choose the window.
    pub set: bool,
    /// The reason why it was given up, if it was.
    pub reason: Option<String>,
    /// The number of times the window was moved.
    pub moved: u32,
    pub posts: Vec<Row>,
    pub chains: Vec<ChainRow>,
    pub readiness: Vec<ProviderRow>,
    pub answers: Vec<Answer>,
    pub feedback: Option<Summary>,
    pub acts: Vec<ActRow>,
    pub incidents: Vec<Fact>,
    pub done: Vec<(ChecklistItem, Tick)>,
    pub open: Vec<ChecklistItem>,
}

/// One post: planned and actual.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub notice: String,
    pub phase: &'static str,
    pub channel: String,
    pub due: Timestamp,
    pub sent: Option<Timestamp>,
    /// Seconds from when it was due to when it was sent.
    pub late_s: Option<i64>,
    pub state: &'static str,
    pub reason: Option<String>,
    pub link: Option<String>,
}

/// One chain, as it was proven.
#[derive(Clone, Debug, Serialize)]
pub struct ChainRow {
    pub chain: String,
    pub target: u32,
    pub runs: Option<u32>,
    pub stage: Stage,
    pub authorized: Option<(u64, Option<Timestamp>)>,
    pub applied: Option<(u64, Option<Timestamp>)>,
    pub before: Option<Stretch>,
    pub after: Option<Stretch>,
    pub worst_lag: Option<u64>,
}

/// One provider.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderRow {
    pub provider: String,
    pub name: String,
    pub acknowledged: Option<Timestamp>,
    pub ready: Option<Timestamp>,
    pub nodes: usize,
    pub ready_nodes: usize,
}

/// A privileged act, and its time.
#[derive(Clone, Debug, Serialize)]
pub struct ActRow {
    pub at: Timestamp,
    #[serde(flatten)]
    pub act: AuditEntry,
}

/// True for facts of a chain that should not be.
fn is_incident(kind: FactKind) -> bool {
    use FactKind as K;
    matches!(
        kind,
        K::AuthorizationRejected
            | K::SudoFailed
            | K::CodeRefused
            | K::Discarded
            | K::MigrationFailed
            | K::MigrationStuck
            | K::VersionUnexpected
            | K::Reset
            | K::Unexamined
            | K::Stalled
            | K::Lagging
            | K::Recovered
            | K::ParachainsStopped
            | K::ParachainsRecovered
            | K::Unapplied
            | K::Unverified
            | K::Overdue
            | K::Blind
            | K::Sighted
    )
}

fn rows(snapshot: &ConfigSnapshot, campaign: &Campaign, posts: &[Post]) -> Vec<Row> {
    let public = |name: &str| {
        snapshot
            .config
            .deployment
            .channels
            .get(name)
            .is_none_or(|c| c.readers == Readers::Public)
    };
    let is_reported = |p: &&Post| {
        p.is_message()
            && p.state != PostState::Superseded
            && p.notice != PRIVATE_NOTICE
            && public(&p.channel)
    };
    let row = |p: &Post| {
        let phase = snapshot
            .plan()
            .notice(campaign.upgrade.urgency, &p.notice)
            .map_or(Phase::Execution, |n| n.phase);
        Row {
            notice: p.notice.clone(),
            phase: phase.name(),
            channel: p.channel.clone(),
            due: p.due,
            sent: p.sent,
            late_s: p.sent.map(|at| at.duration_since(p.due).as_secs().max(0)),
            state: p.state.name(),
            reason: p.error.clone(),
            link: p.link.clone(),
        }
    };
    posts.iter().filter(is_reported).map(row).collect()
}

/// Makes the report of an upgrade, from what is in the store.
pub async fn of(
    core: &Core,
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
) -> Result<Report, StoreError> {
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    let posts = core.store.posts(&upgrade.id).await?;
    let roll = roll::roll(core, snapshot, campaign, &posts).await?;
    let provider = |s: &crate::domain::people::roster::ProviderStanding<'_>| ProviderRow {
        provider: s.provider.id.clone(),
        name: s.provider.name.clone(),
        acknowledged: s.acknowledged,
        ready: s.ready,
        nodes: s.provider.nodes.len(),
        ready_nodes: s.ready_nodes,
    };
    let acts = core.store.entries(RecordKind::Act, &upgrade.id).await?;
    let acts = acts.into_iter().filter_map(|e| {
        Some(ActRow {
            at: e.at,
            act: serde_json::from_value(e.value).ok()?,
        })
    });
    let within = |fact: &Fact| {
        let ours = upgrade.chains.contains_key(&fact.chain);
        // A block may be older than the upgrade, and what is the matter with it told in its posts all the same.
        let is_told = posts.iter().any(|post| post.fact.as_ref() == Some(fact));
        let is_recent = fact.time.is_none_or(|at| at >= campaign.accepted);
        ours && is_incident(fact.kind()) && (is_recent || is_told)
    };
    let chain = |(name, target): (&String, &crate::domain::campaign::upgrade::Target)| {
        let at = progress.chains.get(name);
        let proof = |fact: Option<&Fact>| fact.map(|f| (f.block, f.time));
        let record = at.and_then(|a| a.record.as_ref());
        ChainRow {
            chain: name.clone(),
            target: target.spec_version,
            runs: at.and_then(|a| a.spec_version),
            stage: at.map_or(Stage::Waiting, |a| a.stage),
            authorized: proof(at.and_then(|a| a.authorized.as_ref())),
            applied: proof(at.and_then(|a| a.applied.as_ref())),
            before: record.map(|r| r.before.clone()),
            after: record.map(|r| r.after.clone()),
            worst_lag: record.map(|r| r.worst_lag),
        }
    };
    let (mut done, mut open) = (Vec::new(), Vec::new());
    for item in &snapshot.config.checklist.process {
        match progress.ticks.get(&item.item) {
            Some(tick) => done.push((item.clone(), tick.clone())),
            None => open.push(item.clone()),
        }
    }
    Ok(Report {
        upgrade: upgrade.id.clone(),
        title: upgrade.title.clone(),
        urgency: upgrade.urgency.name(),
        state: campaign.standing(),
        opens: upgrade.window.opens,
        closes: upgrade.window.closes,
        set: upgrade.poll.is_none(),
        reason: upgrade.reason().map(str::to_owned),
        moved: campaign.moved(),
        posts: rows(snapshot, campaign, &posts),
        chains: upgrade.chains.iter().map(chain).collect(),
        readiness: roll.standings.iter().map(provider).collect(),
        answers: roll.answers.clone(),
        feedback: progress.feedback.clone(),
        acts: acts.collect(),
        incidents: core
            .store
            .facts()
            .await?
            .into_iter()
            .filter(within)
            .collect(),
        done,
        open,
    })
}

/// The punctuality of an upgrade's posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Punctuality {
    pub posted: usize,
    /// The number of posts that were later than a minute.
    pub late: usize,
    pub median_s: i64,
    pub worst_s: i64,
    /// The number of posts that were skipped, expired, parked or held.
    pub missing: usize,
}

impl Punctuality {
    /// Says it in one or two sentences.
    pub fn words(&self) -> String {
        let Self {
            posted,
            late,
            median_s,
            worst_s,
            missing,
        } = self;
        let missing = format!("{missing} were never posted.");
        match posted {
            0 => format!("No post is out yet. {missing}"),
            _ => format!(
                "{posted} posts, {late} of them more than a minute late; half went out within {median_s} s of their time, the last within {worst_s} s. {missing}"
            ),
        }
    }
}

pub fn punctuality(rows: &[Row]) -> Punctuality {
    let mut late: Vec<i64> = rows.iter().filter_map(|r| r.late_s).collect();
    late.sort_unstable();
    let missing = rows
        .iter()
        .filter(|r| matches!(r.state, "skipped" | "expired" | "parked" | "held"))
        .count();
    Punctuality {
        posted: late.len(),
        late: late.iter().filter(|s| **s > 60).count(),
        median_s: late.get(late.len() / 2).copied().unwrap_or(0),
        worst_s: late.last().copied().unwrap_or(0),
        missing,
    }
}

/// A report in a chat has at most this many characters.
const MAX_SHORT_REPORT_CHARS: usize = 1_300;

fn window_in_short(campaign: &Campaign, format_time: &impl Fn(Timestamp) -> String) -> String {
    let upgrade = &campaign.upgrade;
    if upgrade.poll.is_some() {
        return "No window is set yet.".to_owned();
    }
    let moved = match campaign.moved() {
        0 => String::new(),
        1 => ", moved once".to_owned(),
        n => format!(", moved {n} times"),
    };
    format!(
        "The window: {} to {}{moved}.",
        format_time(upgrade.window.opens),
        format_time(upgrade.window.closes)
    )
}

/// Writes the report in a few lines, for a chat.
pub fn in_short(snapshot: &ConfigSnapshot, campaign: &Campaign, posts: &[Post]) -> String {
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    let format_time = |at| snapshot.renderer.zone().written(at);
    let Punctuality {
        posted,
        late,
        median_s,
        worst_s,
        missing,
    } = punctuality(&rows(snapshot, campaign, posts));
    let mut lines = vec![
        format!(
            "{} is {}{}. {}",
            upgrade.title,
            campaign.standing(),
            upgrade
                .reason()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default(),
            window_in_short(campaign, &format_time),
        ),
        match posted {
            0 => format!("Posts: none is out yet; {missing} never posted."),
            _ => format!(
                "Posts: {posted} out, {late} of them more than a minute late (half within {median_s} s, the last within {worst_s} s); {missing} never posted."
            ),
        },
    ];
    for (name, chain) in &progress.chains {
        let proof = chain.applied.as_ref().map(|f| {
            format!(
                ", applied in block {}{}",
                f.block,
                f.time
                    .map(|at| format!(" at {}", format_time(at)))
                    .unwrap_or_default()
            )
        });
        lines.push(format!(
            "{name}: {}{}",
            chain.stage.name(),
            proof.unwrap_or_default()
        ));
    }
    if let Some(roll) = &progress.roll {
        lines.push(format!(
            "Providers: {} of {} answered, {} ready.",
            roll.acknowledged, roll.of, roll.ready
        ));
    }
    if let Some(feedback) = &progress.feedback {
        let counts: Vec<String> = feedback
            .reactions
            .iter()
            .map(|c| format!("{} {}", c.emoji, c.count))
            .collect();
        lines.push(format!(
            "Feedback: {}, {} replies.",
            counts.join(", "),
            feedback.replies
        ));
    }
    let open: Vec<&str> = snapshot
        .config
        .checklist
        .process
        .iter()
        .filter(|i| !progress.ticks.contains_key(&i.item))
        .map(|i| i.item.as_str())
        .collect();
    if !open.is_empty() {
        lines.push(format!("Open on the checklist: {}.", open.join(", ")));
    }
    lines.push(format!("The whole review: herald report {}", upgrade.id));
    let mut text = lines.join("\n");
    while text.chars().count() > MAX_SHORT_REPORT_CHARS && lines.len() > 2 {
        lines.remove(lines.len() - 2);
        text = lines.join("\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_no_posts_no_times_are_told() {
        let said = punctuality(&[]).words();
        assert_eq!(said, "No post is out yet. 0 were never posted.");
    }
}
