//! The gate: what may go out. It holds what people have not agreed to and what no longer holds, asks for
//! approvals, lets go what waits for nothing any more, and gives up what is of no use any more.
//!
//! The dispatcher asks at the moment of posting, so that nothing slips through between two ticks.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::input::GateInput;
use crate::{
    domain::{
        campaign::Campaign,
        outbox::{Operation, Post, PostState, digest},
        people::{
            approval::{Consent, Verdict, useful_until},
            reply::{OpenCode, Reply},
        },
        plan::notice::{Happening, Notice, Trigger},
    },
    outbox::Core,
    ports::{Approved, Batch, Move, Platform, Readers, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// Somebody whose code is unknown is told of at most this number of others.
const MAX_CODES_SUGGESTED: usize = 5;

pub struct Gate {
    core: Arc<Core>,
}

/// The changes of one tick, in posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateChanges {
    pub asked: usize,
    pub released: usize,
    pub expired: usize,
}

impl GateChanges {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The gate's answer to whether a due post may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateDecision {
    Open,
    /// The gate is open, and people agreed when the post was late already.
    ApprovedLate,
    /// The post is held or has expired, and operators are told.
    Closed,
}

/// The person who approves.
#[derive(Clone, Copy, Debug)]
pub enum Approver<'a> {
    Account(Platform, &'a str),
    Named(&'a str),
}

/// A notice that waits for approval, or has waited for it.
#[derive(Clone, Debug)]
pub struct PendingApproval {
    pub upgrade: String,
    pub notice: String,
    pub title: String,
    pub consent: Consent,
    /// The time at which the first of its posts is due.
    pub due: Timestamp,
    pub until: Timestamp,
    /// The time at which people are asked.
    pub ask: Timestamp,
}

impl Gate {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Asks, holds, releases and expires, as the store, the files and the clock say.
    pub async fn tick(&self) -> Result<GateChanges, StoreError> {
        if self.core.store.waiting().await?.is_empty() {
            return Ok(GateChanges::default());
        }
        let decide = async |batch: &mut Batch| self.decide_all(batch).await;
        self.core.outbox.transaction(decide).await
    }

    async fn decide_all(&self, batch: &mut Batch) -> Result<GateChanges, StoreError> {
        let mut changes = GateChanges::default();
        let waiting = self.core.store.waiting().await?;
        let snapshot = self.core.snapshot();
        for campaign in self.core.store.upgrades().await? {
            let own: Vec<&Post> = waiting
                .iter()
                .filter(|p| p.upgrade == campaign.upgrade.id)
                .collect();
            if own.is_empty() {
                continue;
            }
            let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
            let plan = snapshot.plan();
            let asks_for_posts = own.iter().any(|post| {
                let notice = plan.notice(campaign.upgrade.urgency, &post.notice);
                notice.is_some_and(Notice::repeats_the_announcement)
            });
            let posts = if asks_for_posts {
                self.core.store.posts(&campaign.upgrade.id).await?
            } else {
                Vec::new()
            };
            let input = GateInput {
                snapshot: &snapshot,
                campaign: &campaign,
                approvals: &approvals,
                posts: &posts,
            };
            for post in own.iter().filter(|p| p.is_message()) {
                if post.state == PostState::Held {
                    self.look_again(input, post, &own, batch, &mut changes);
                }
                changes.asked += self.ask(input, post, batch).await?;
            }
        }
        Ok(changes)
    }

    /// Decides on a post that is due and was never begun. Its words will be made from `campaign` and `snapshot`.
    pub async fn decide(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        notice: &Notice,
        post: &Post,
    ) -> Result<GateDecision, StoreError> {
        let now = self.core.clock.now();
        let (store, id) = (&self.core.store, &campaign.upgrade.id);
        let (mut approvals, mut posts) = (Vec::new(), Vec::new());
        if notice.approval.persons > 0 || notice.repeats_the_announcement() {
            (approvals, posts) = (store.approvals(id).await?, store.posts(id).await?);
        }
        let input = GateInput {
            snapshot,
            campaign,
            approvals: &approvals,
            posts: &posts,
        };
        let consent = input.consent(notice, post);
        if input.case(notice, &consent, post).verdict(now) == Verdict::Pass {
            return Ok(if consent.after(post.due) {
                GateDecision::ApprovedLate
            } else {
                GateDecision::Open
            });
        }
        // Decided again while nobody else changes anything.
        let close = async |batch: &mut Batch| self.close(snapshot, notice, post, batch).await;
        self.core.outbox.transaction(close).await?;
        Ok(GateDecision::Closed)
    }

    /// Stops a post as it stands in the store by now.
    async fn close(
        &self,
        snapshot: &ConfigSnapshot,
        notice: &Notice,
        post: &Post,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let waiting = self.core.store.waiting().await?;
        let own: Vec<&Post> = waiting
            .iter()
            .filter(|p| p.upgrade == post.upgrade)
            .collect();
        let (Some(post), Some(campaign)) = (
            own.iter().find(|p| p.key == post.key),
            self.core.campaign(&post.upgrade).await?,
        ) else {
            return Ok(());
        };
        let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
        let posts = self.core.store.posts(&campaign.upgrade.id).await?;
        let input = GateInput {
            snapshot,
            campaign: &campaign,
            approvals: &approvals,
            posts: &posts,
        };
        self.stop(input, notice, post, &own, batch);
        Ok(())
    }

    /// Holds a post, or gives it up, as it now stands; says whether it was given up.
    fn stop(
        &self,
        input: GateInput<'_>,
        notice: &Notice,
        post: &Post,
        own: &[&Post],
        batch: &mut Batch,
    ) -> bool {
        let consent = input.consent(notice, post);
        // Operators hear of what herald tells them already, and are asked for the first approval: they are not told once
        // more.
        let tell = !matches!(notice.trigger, Trigger::On(happening) if happening.for_operators())
            && !notice.repeats_the_announcement();
        let told = |happening, why: &str, words: &str| {
            if tell {
                let words = format!("{}: {words}", notice.title);
                self.told(input.campaign, happening, post, why, &words)
            } else {
                Vec::new()
            }
        };
        match input
            .case(notice, &consent, post)
            .verdict(self.core.clock.now())
        {
            Verdict::Pass => false,
            Verdict::Hold(hold) => {
                let words = hold.words();
                if post.state != PostState::Held || post.error.as_ref() != Some(&words) {
                    tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "held: {words}");
                    batch.moves.extend(
                        family(post, own).map(|p| (p.key.clone(), Move::Hold(words.clone()))),
                    );
                    batch
                        .posts
                        .extend(told(Happening::Held, hold.token(), &words));
                }
                false
            }
            Verdict::Expire(words) => {
                tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "expired: {words}");
                batch.moves.extend(
                    family(post, own).map(|p| (p.key.clone(), Move::Expire(words.clone()))),
                );
                batch
                    .posts
                    .extend(told(Happening::Expired, &post.occurrence, &words));
                true
            }
        }
    }

    /// Checks whether a post that is held still has a reason, and is still of use.
    fn look_again(
        &self,
        input: GateInput<'_>,
        post: &Post,
        own: &[&Post],
        batch: &mut Batch,
        changes: &mut GateChanges,
    ) {
        let notice = input.notice(post);
        let consent = notice.map(|n| input.consent(n, post)).unwrap_or_default();
        let free = notice.is_none_or(|n| {
            input.case(n, &consent, post).verdict(self.core.clock.now()) == Verdict::Pass
        });
        match notice {
            Some(notice) if !free => {
                changes.expired += usize::from(self.stop(input, notice, post, own, batch))
            }
            // The dispatcher gives up what the plan no longer has, with its reason.
            _ => {
                tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "released");
                batch
                    .moves
                    .extend(family(post, own).map(|p| (p.key.clone(), Move::Release)));
                if notice.is_some_and(Notice::repeats_the_announcement) {
                    // It was to come with the announcement, so it is not late.
                    let due = Move::Due(self.core.clock.now());
                    batch
                        .moves
                        .extend(family(post, own).map(|p| (p.key.clone(), due.clone())));
                }
                changes.released += 1;
            }
        }
    }

    /// The posts that tell operators of a held or expired one, once for all channels.
    fn told(
        &self,
        campaign: &Campaign,
        happening: Happening,
        post: &Post,
        why: &str,
        words: &str,
    ) -> Vec<Post> {
        let occurrence = digest(&[&post.notice, &post.revision.to_string(), why]);
        let outbox = &self.core.outbox;
        outbox.posts_about(campaign, happening, &occurrence, Some(words))
    }

    /// A preview in each channel for operators, if people are to be asked and were not yet.
    async fn ask(
        &self,
        input: GateInput<'_>,
        post: &Post,
        batch: &mut Batch,
    ) -> Result<usize, StoreError> {
        let Some(notice) = input.notice(post).filter(|n| n.approval.persons > 0) else {
            return Ok(0);
        };
        let now = self.core.clock.now();
        if ask_at(notice, post) > now {
            return Ok(0);
        }
        let consent = input.consent(notice, post);
        if consent.complete()
            || now >= useful_until(notice, &input.campaign.upgrade, post.due, true)
        {
            return Ok(0);
        }
        let mut asked = 0;
        for (name, _) in self
            .core
            .outlets
            .iter()
            .filter(|(_, o)| o.readers == Readers::Operators)
        {
            // One for each text, whatever the channels and occurrences it is for.
            let there = Post {
                occurrence: consent.code.clone(),
                channel: name.clone(),
                ..post.clone()
            };
            let preview = Post {
                due: now,
                ..there.beside(Operation::Preview, 0)
            };
            if batch.posts.iter().any(|p| p.key == preview.key)
                || self.core.store.post(&preview.key).await?.is_some()
            {
                continue;
            }
            tracing::info!(
                notice = post.notice,
                code = consent.code,
                "asked for approval"
            );
            batch.posts.push(preview);
            asked += 1;
        }
        Ok(asked)
    }

    /// The texts that wait for approval, each once, the first due before the others.
    pub async fn pending(&self) -> Result<Vec<PendingApproval>, StoreError> {
        let waiting = self.core.store.waiting().await?;
        let snapshot = self.core.snapshot();
        let mut open: Vec<PendingApproval> = Vec::new();
        for campaign in self.core.store.upgrades().await? {
            let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
            let input = GateInput {
                snapshot: &snapshot,
                campaign: &campaign,
                approvals: &approvals,
                posts: &[],
            };
            for post in waiting
                .iter()
                .filter(|p| p.upgrade == campaign.upgrade.id && p.is_message())
            {
                let Some(notice) = input.notice(post).filter(|n| n.approval.persons > 0) else {
                    continue;
                };
                let consent = input.consent(notice, post);
                if !open
                    .iter()
                    .any(|o| o.upgrade == post.upgrade && o.consent.code == consent.code)
                {
                    let until = useful_until(notice, &campaign.upgrade, post.due, true);
                    let (upgrade, ask) = (post.upgrade.clone(), ask_at(notice, post));
                    open.push(PendingApproval {
                        upgrade,
                        notice: notice.id.clone(),
                        title: notice.title.clone(),
                        consent,
                        due: post.due,
                        until,
                        ask,
                    });
                }
            }
        }
        open.sort_by_key(|o| o.due);
        Ok(open)
    }

    /// The next time at which there is something to ask or to give up, for who steps a clock.
    pub async fn next_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let (now, snapshot) = (self.core.clock.now(), self.core.snapshot());
        let waiting = self.core.store.waiting().await?;
        let mut times = BTreeSet::new();
        for campaign in self.core.store.upgrades().await? {
            for post in waiting
                .iter()
                .filter(|p| p.upgrade == campaign.upgrade.id && p.is_message())
            {
                let Some(notice) = snapshot
                    .plan()
                    .notice(campaign.upgrade.urgency, &post.notice)
                else {
                    continue;
                };
                if notice.approval.persons > 0 {
                    times.insert(ask_at(notice, post));
                }
                if post.state == PostState::Held {
                    times.extend([true, false].map(|approval| {
                        useful_until(notice, &campaign.upgrade, post.due, approval)
                    }));
                }
            }
        }
        Ok(times.into_iter().find(|at| *at > now))
    }

    /// Approves the text with this code for somebody; `Err` says why nothing came of it.
    pub async fn approve(&self, code: &str, who: Approver<'_>) -> Result<Reply, Reply> {
        let snapshot = self.core.snapshot();
        let people = &snapshot.config.people;
        let person = match who {
            Approver::Account(platform, id) => people.by_account(platform, id),
            Approver::Named(name) => people.by_name(name),
        };
        let Some(person) = person else {
            return Err(match who {
                Approver::Account(..) => Reply::UnknownAccount,
                Approver::Named(name) => Reply::UnknownPerson {
                    person: name.to_owned(),
                },
            });
        };
        if !people.may_approve(person) {
            return Err(Reply::MayNotApprove {
                person: person.name.clone(),
            });
        }
        self.count(&code.trim().to_lowercase(), &person.name)
            .await
            .unwrap_or_else(|error| {
                tracing::error!("an approval could not be taken: {error}");
                Err(Reply::ApprovalNotWritten)
            })
    }

    async fn count(&self, code: &str, person: &str) -> Result<Result<Reply, Reply>, StoreError> {
        let (now, open) = (self.core.clock.now(), self.pending().await?);
        let Some(meant) = open.iter().find(|o| o.consent.code == code) else {
            return Ok(Err(unknown(
                code,
                open.iter()
                    .filter(|o| !o.consent.complete() && o.ask <= now && now < o.until),
            )));
        };
        let (notice, of) = (meant.title.clone(), meant.consent.persons);
        if meant.consent.complete() {
            let persons = meant.consent.given.iter().map(|(name, _)| name.clone());
            return Ok(Ok(Reply::ApprovedAlready {
                notice,
                persons: persons.collect(),
            }));
        }
        if now >= meant.until {
            return Ok(Err(Reply::ApprovalTooLate { notice }));
        }
        if meant.consent.given.iter().any(|(name, _)| name == person) {
            let count = meant.consent.given.len();
            return Ok(Ok(Reply::ApprovedByYou { notice, count, of }));
        }
        let approved = Approved {
            upgrade: meant.upgrade.clone(),
            code: code.to_owned(),
            person: person.to_owned(),
            at: now,
        };
        let write = async |batch: &mut Batch| {
            batch.approvals.push(approved);
            Ok::<(), StoreError>(())
        };
        self.core.outbox.transaction(write).await?;
        tracing::info!(notice = meant.notice, code, person, "approved");
        // Read back: two people may have agreed at once.
        let after = self
            .pending()
            .await?
            .into_iter()
            .find(|o| o.consent.code == code);
        let count = after.map_or(of as usize, |o| o.consent.given.len());
        let person = person.to_owned();
        if count < of as usize {
            return Ok(Ok(Reply::ApprovedInPart {
                person,
                notice,
                count,
                of,
            }));
        }
        Ok(Ok(Reply::Approved {
            person,
            notice,
            count,
            of,
            at: Some(meant.due).filter(|due| *due > now),
        }))
    }
}

/// A post with its companions, which wait with it.
fn family<'a>(post: &'a Post, own: &'a [&'a Post]) -> impl Iterator<Item = &'a Post> {
    own.iter()
        .copied()
        .filter(move |p| p.key == post.key || (p.waits_with_its_message() && p.is_beside(post)))
}

/// The time at which people are asked: well before a notice by the clock, at once of what has happened.
fn ask_at(notice: &Notice, post: &Post) -> Timestamp {
    match notice.trigger {
        Trigger::On(_) => Timestamp::MIN,
        _ => post
            .due
            .checked_sub(notice.approval.ask_before)
            .unwrap_or(Timestamp::MIN),
    }
}

/// Another text has another code: so one that is open may be what was meant.
fn unknown<'a>(code: &str, open: impl Iterator<Item = &'a PendingApproval>) -> Reply {
    let open: Vec<OpenCode> = open
        .take(MAX_CODES_SUGGESTED)
        .map(|open| OpenCode {
            code: open.consent.code.clone(),
            notice: open.title.clone(),
        })
        .collect();
    let code = code.to_owned();
    if open.is_empty() {
        Reply::NothingToApprove { code }
    } else {
        Reply::UnknownCode { code, open }
    }
}
