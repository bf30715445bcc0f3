//! Finds which providers have answered and are ready, reminds the others and tells operators.
//!
//! Reactions are read from the platforms again and again, so that none is lost while herald is
//! down; an answer that was read once stays on record, whatever becomes of the reaction.

use crate::report::roll::{Roll, asking, roll};
use crate::words::context::MAX_PROVIDERS_IN_REMINDER;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::reader::{Read, ReadPurpose, Reader};
use crate::{
    config::KnownAccount,
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Post, PostKey, PostState, digest},
        people::{
            feedback::same,
            reply::Reply,
            roster::{self, Answer, Ask, Claim, Provider, ProviderStanding},
        },
        plan::notice::Happening,
    },
    outbox::Core,
    ports::{Asker, Batch, Platform, Record, RecordKind, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// Reactions are read with pauses between these lengths, by the time given to answer.
const MAX_POLL_PAUSE: SignedDuration = SignedDuration::from_secs(60);
const MIN_POLL_PAUSE: SignedDuration = SignedDuration::from_secs(2);
pub struct Rollcall {
    core: std::sync::Arc<Core>,
    /// The time at which each post's reactions were read last.
    read: Mutex<BTreeMap<PostKey, Timestamp>>,
    reader: Reader,
}

/// The result of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// The number of new answers by reaction.
    pub answers: usize,
    /// The number of posts that were planned.
    pub posts: usize,
}

fn answer(
    known: &KnownAccount<'_>,
    provider: &Provider,
    (platform, user): (Platform, &str),
    ask: Option<&Ask>,
    at: Timestamp,
) -> Answer {
    Answer {
        claim: Claim::Acknowledged,
        provider: provider.id.clone(),
        of: ask.map(|a| a.id.clone()).unwrap_or_default(),
        notice: ask.map(|a| a.notice.clone()).unwrap_or_default(),
        link: ask.and_then(|a| a.link.clone()),
        person: known.name.to_owned(),
        account: format!("{} {user}", platform.name()),
        how: String::new(),
        at,
    }
}

/// Keeps an answer, if it is the provider's first: only that one counts.
async fn keep(core: &Core, upgrade: &str, answer: &Answer) -> Result<bool, StoreError> {
    let id = format!(
        "{} {} {}",
        answer.claim.name(),
        answer.of.to_lowercase(),
        answer.provider
    );
    let entry = Record::new(RecordKind::Answer, upgrade, id, answer.at, answer)?;
    core.store.write(&entry, false).await
}

impl Rollcall {
    pub fn new(core: std::sync::Arc<Core>) -> Self {
        Self {
            reader: Reader::new(core.clone()),
            core,
            read: Mutex::default(),
        }
    }

    pub async fn tick(&self) -> Result<Called, StoreError> {
        let mut called = Called::default();
        let snapshot = self.core.snapshot();
        if snapshot.config.roster.is_empty() {
            return Ok(called);
        }
        for campaign in self.core.store.upgrades().await? {
            if campaign.progress.finished() || campaign.upgrade.given_up() {
                continue;
            }
            let posts = self.core.store.posts(&campaign.upgrade.id).await?;
            called.answers += self.listen(&snapshot, &campaign, &posts).await?;
            called.posts += self.call(&snapshot, &campaign.upgrade.id).await?;
        }
        Ok(called)
    }

    /// Returns the next time to remind or to tell of something, for a caller that steps a clock.
    pub async fn next_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let (snapshot, now) = (self.core.snapshot(), self.core.clock.now());
        let mut times = Vec::new();
        for campaign in self
            .core
            .store
            .upgrades()
            .await?
            .iter()
            .filter(|campaign| !campaign.progress.finished() && !campaign.upgrade.given_up())
        {
            let posts = self.core.store.posts(&campaign.upgrade.id).await?;
            let roll = roll(&self.core, &snapshot, campaign, &posts).await?;
            for deadline in deadlines(&snapshot, campaign, &roll) {
                times.extend(deadline.steps.iter().copied().chain([deadline.ends]));
            }
        }
        Ok(times.into_iter().filter(|at| *at > now).min())
    }

    /// Reads the reactions to posts that ask for an answer.
    async fn listen(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        posts: &[Post],
    ) -> Result<usize, StoreError> {
        let now = self.core.clock.now();
        let roll = roll(&self.core, snapshot, campaign, posts).await?;
        let (config, mut new) = (&snapshot.config, 0);
        for post in posts
            .iter()
            .filter(|p| p.state == PostState::Sent && asking(snapshot, campaign, p))
        {
            let Some(ask) = roll.asks.iter().find(|a| a.id == roster::ask_id(post)) else {
                continue;
            };
            let answered = |p: &Provider| {
                roll.answers
                    .iter()
                    .any(|a| a.of == ask.id && a.provider == p.id)
            };
            let (Some(outlet), Some(root)) = (
                self.core.outlets.get(&post.channel),
                &post.standing(posts).remote,
            ) else {
                continue;
            };
            let pause = (ask.by.duration_since(ask.at) / 100).clamp(MIN_POLL_PAUSE, MAX_POLL_PAUSE);
            if config.roster.iter().all(answered) || !self.is_time(&post.key, pause, now) {
                continue;
            }
            let what = format!("acknowledgements of {}", post.notice);
            let message = (root.as_str(), None);
            let Read::Heard(heard) = self
                .reader
                .read(&what, post, message, ReadPurpose::Glance)
                .await
            else {
                continue;
            };
            for reaction in heard
                .reactions
                .iter()
                .filter(|r| same(&r.emoji, &snapshot.plan().acknowledge))
            {
                let known = config
                    .people
                    .known(&config.roster, outlet.platform, &reaction.by);
                let Some(provider) = known.provider else {
                    continue;
                };
                // The platform's time is believed where it can be true.
                let at = reaction
                    .at
                    .filter(|at| ask.at <= *at && *at <= now)
                    .unwrap_or(now);
                let given = answer(
                    &known,
                    provider,
                    (outlet.platform, &reaction.by),
                    Some(ask),
                    at,
                );
                let given = Answer {
                    how: "reaction".into(),
                    link: post.link.clone(),
                    ..given
                };
                new += usize::from(keep(&self.core, &campaign.upgrade.id, &given).await?);
            }
        }
        Ok(new)
    }

    fn is_time(&self, key: &PostKey, pause: SignedDuration, now: Timestamp) -> bool {
        let mut read = self.read.lock();
        // A clock that was set back must not make it wait.
        if read
            .get(key)
            .is_some_and(|at| *at <= now && now.duration_since(*at) < pause)
        {
            return false;
        }
        read.insert(key.clone(), now);
        true
    }

    /// Counts the answers, reminds providers and tells operators.
    async fn call(&self, snapshot: &ConfigSnapshot, upgrade: &str) -> Result<usize, StoreError> {
        let call = async |batch: &mut Batch| self.call_in(snapshot, upgrade, batch).await;
        self.core.outbox.transaction(call).await
    }

    async fn call_in(
        &self,
        snapshot: &ConfigSnapshot,
        upgrade: &str,
        batch: &mut Batch,
    ) -> Result<usize, StoreError> {
        let Some(mut campaign) = self.core.campaign(upgrade).await? else {
            return Ok(0);
        };
        let posts = self.core.store.posts(upgrade).await?;
        let roll = roll(&self.core, snapshot, &campaign, &posts).await?;
        let now = self.core.clock.now();
        for deadline in deadlines(snapshot, &campaign, &roll) {
            let lacking: Vec<&Provider> = roll.lacking(deadline.claim).collect();
            if now < deadline.ends {
                let Some(step) =
                    roster::step_due(&deadline.steps, now).filter(|_| !lacking.is_empty())
                else {
                    continue;
                };
                let happening = if deadline.claim == Claim::Acknowledged {
                    Happening::Unacknowledged
                } else {
                    Happening::Unready
                };
                for part in 0..lacking.len().div_ceil(MAX_PROVIDERS_IN_REMINDER) {
                    batch.posts.extend(self.core.outbox.posts_about(
                        &campaign,
                        happening,
                        &format!("{}-{step}-{part}", deadline.id),
                        None,
                    ));
                }
            } else if !lacking.is_empty() {
                let words = outcome(&deadline, &roll, &lacking);
                batch.posts.extend(self.core.outbox.posts_about(
                    &campaign,
                    Happening::RollCalled,
                    &deadline.id,
                    Some(&words),
                ));
            }
        }
        // The parts of a step are planned only with its first: an answer in between makes no new
        // part.
        batch.posts.retain(|new| {
            !posts
                .iter()
                .any(|old| old.key == new.key || same_step(old, new))
        });
        let count = roll.count();
        if campaign.progress.roll != count {
            campaign.progress.roll = count;
            self.core.outbox.edits(batch, &campaign, &posts);
            batch.upgrades.push(campaign);
        }
        let made = batch.posts.iter().filter(|p| p.is_message()).count();
        Ok(made)
    }
}

fn same_step(old: &Post, new: &Post) -> bool {
    let step = |p: &Post| {
        p.occurrence
            .rsplit_once('-')
            .map(|(step, _)| step.to_owned())
    };
    (&old.notice, &old.channel, old.operation) == (&new.notice, &new.channel, new.operation)
        && step(new).is_some()
        && step(old) == step(new)
}

/// One of the two deadlines of an upgrade: for answers, and for being ready.
struct Deadline {
    id: String,
    claim: Claim,
    /// The times at which missing providers are reminded.
    steps: Vec<Timestamp>,
    ends: Timestamp,
}

/// Lists the deadlines that an upgrade has, past ones too.
fn deadlines(snapshot: &ConfigSnapshot, campaign: &Campaign, roll: &Roll<'_>) -> Vec<Deadline> {
    let (Some(ask), Some(first)) = (roll.ask(), roll.asks.first()) else {
        return Vec::new();
    };
    let Some(plan) = snapshot
        .plan()
        .plans
        .get(&campaign.upgrade.urgency)
        .filter(|_| !roll.standings.is_empty())
    else {
        return Vec::new();
    };
    let later = |step: &SignedDuration| ask.at.checked_add(*step).ok().filter(|at| *at < ask.by);
    // Once the upgrade is applied nobody is asked for an answer any more.
    let reminds = campaign.progress.state < State::Applied;
    let steps = plan
        .remind_unacknowledged
        .iter()
        .filter(|_| reminds)
        .filter_map(later)
        .collect();
    let mut deadlines = vec![Deadline {
        id: digest(&["acknowledged", &ask.id]),
        claim: Claim::Acknowledged,
        steps,
        ends: ask.by,
    }];
    if let Some(by) = roll
        .ready_by
        .filter(|_| campaign.progress.state < State::Applied)
    {
        let before = |step: &SignedDuration| by.checked_sub(*step).ok().filter(|at| *at > first.at);
        let steps = plan.remind_unready.iter().filter_map(before).collect();
        let id = digest(&["ready", &campaign.revision.to_string(), &by.to_string()]);
        deadlines.push(Deadline {
            id,
            claim: Claim::Ready,
            steps,
            ends: by,
        });
    }
    deadlines
}

/// Writes what operators are told when a deadline has passed.
fn outcome(deadline: &Deadline, roll: &Roll<'_>, lacking: &[&Provider]) -> String {
    let of = roll.standings.len();
    let done = of - lacking.len();
    let names: Vec<&str> = lacking.iter().map(|p| p.name.as_str()).collect();
    let names = names.join(", ");
    match deadline.claim {
        Claim::Acknowledged => {
            format!(
                "{done} of {of} providers have answered {} in time. Missing: {names}",
                roll.ask().map_or("", |a| &a.notice)
            )
        }
        Claim::Ready => format!(
            "{done} of {of} providers are ready, and the time for it is over. Missing: {names}"
        ),
    }
}

/// Keeps a person's claim that a notice was seen or nodes are ready, and returns the answer.
pub async fn claim(
    core: &Core,
    campaign: &Campaign,
    asker: &Asker<'_>,
    claim: Claim,
    node: Option<&str>,
) -> Result<Reply, StoreError> {
    let (snapshot, now) = (core.snapshot(), core.clock.now());
    let config = &snapshot.config;
    let known = config
        .people
        .known(&config.roster, asker.platform, asker.user);
    let Some(provider) = known.provider else {
        return Ok(Reply::UnknownProvider);
    };
    let posts = core.store.posts(&campaign.upgrade.id).await?;
    let before = roll(core, &snapshot, campaign, &posts).await?;
    let account = (asker.platform, asker.user);
    let mut given = answer(&known, provider, account, before.ask(), now);
    (given.claim, given.how) = (claim, "command".into());
    match (claim, node) {
        (Claim::Acknowledged, _) if before.ask().is_none() => return Ok(Reply::NothingAsks),
        (Claim::Acknowledged, _) => {}
        (Claim::Ready, None) => given.of = String::new(),
        (Claim::Ready, Some(node)) if provider.nodes_of(node).is_empty() => {
            return Ok(Reply::UnknownNode {
                provider: provider.name.clone(),
                node: node.to_owned(),
                nodes: provider.nodes.iter().map(|n| n.name.clone()).collect(),
            });
        }
        (Claim::Ready, Some(node)) => given.of = node.to_owned(),
    }
    let new = keep(core, &campaign.upgrade.id, &given).await?;
    let after = roll(core, &snapshot, campaign, &posts).await?;
    let is_own = |standing: &&ProviderStanding<'_>| standing.provider.id == provider.id;
    let Some(own) = after.standings.iter().find(is_own) else {
        return Ok(Reply::UnknownProvider);
    };
    let thanks = new.then(|| known.name.to_owned());
    Ok(claimed(thanks, &given, own, &after))
}

/// The reply to a provider's person whose claim is on record now; `thanks` is their name, if it is new.
fn claimed(
    thanks: Option<String>,
    given: &Answer,
    own: &ProviderStanding<'_>,
    roll: &Roll<'_>,
) -> Reply {
    let count = roll.count().unwrap_or_default();
    let provider = own.provider.name.clone();
    match given.claim {
        Claim::Acknowledged => Reply::Acknowledged {
            thanks,
            provider,
            notice: given.notice.clone(),
            late: own
                .acknowledged
                .zip(roll.ask())
                .is_some_and(|(at, ask)| at > ask.by),
            count: count.acknowledged,
            of: count.of,
        },
        Claim::Ready if own.ready.is_some() => Reply::ProviderReady {
            thanks,
            provider,
            count: count.ready,
            of: roll.standings.len(),
        },
        Claim::Ready => Reply::NodesReady {
            thanks,
            provider,
            count: own.ready_nodes,
            of: own.provider.nodes.len(),
        },
    }
}
