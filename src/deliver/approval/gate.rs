//! The gate: what may go out. It holds what people have not agreed to and what no longer holds, asks for
//! approvals, lets go what waits for nothing any more, and gives up what is of no use any more.
//!
//! The dispatcher asks at the moment of posting, so that nothing slips through between two ticks.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::code;
use crate::{
    domain::{
        campaign::Campaign,
        outbox::post::{Body, Operation, Post, PostState, digest},
        people::approval::{Case, Consent, Verdict, useful_until},
        plan::notice::{Happening, Notice, Trigger},
    },
    outbox::Core,
    ports::{Approved, Batch, Move, Outlet, Platform, Readers, StoreError},
    words::{
        Text,
        context::{self, RenderInput},
        snapshot::ConfigSnapshot,
        templates,
    },
};

pub struct Gate {
    core: Arc<Core>,
}

/// What a tick came to, in posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gated {
    pub asked: usize,
    pub released: usize,
    pub expired: usize,
}

impl Gated {
    pub fn nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a due post may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Free,
    /// People agreed to it when it was late already.
    AgreedLate,
    /// It is held or has expired, and operators are told.
    Barred,
}

/// Who approves.
#[derive(Clone, Copy, Debug)]
pub enum Approver<'a> {
    Account(Platform, &'a str),
    Named(&'a str),
}

/// A notice that waits for people to agree, or has waited for them.
#[derive(Clone, Debug)]
pub struct Open {
    pub upgrade: String,
    pub notice: String,
    pub consent: Consent,
    /// When the first of its posts is due.
    pub due: Timestamp,
    pub until: Timestamp,
    /// When people are asked.
    pub ask: Timestamp,
}

impl Gate {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Asks, holds, releases and expires, as the store, the files and the clock say.
    pub async fn tick(&self) -> Result<Gated, StoreError> {
        let mut gated = Gated::default();
        if self.core.store.waiting().await?.is_empty() {
            return Ok(gated);
        }
        let _guard = self.core.ledger.lock().await;
        let waiting = self.core.store.waiting().await?;
        let snapshot = self.core.snapshot();
        let mut batch = Batch::default();
        for campaign in self.core.store.upgrades().await? {
            let own: Vec<&Post> = waiting
                .iter()
                .filter(|p| p.upgrade == campaign.upgrade.id)
                .collect();
            if own.is_empty() {
                continue;
            }
            let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
            let view = View {
                snapshot: &snapshot,
                campaign: &campaign,
                approvals: &approvals,
            };
            for post in own.iter().filter(|p| p.operation == Operation::Post) {
                if post.state == PostState::Held {
                    self.look_again(view, post, &own, &mut batch, &mut gated);
                }
                gated.asked += self.ask(view, post, &mut batch).await?;
            }
        }
        if !batch.is_empty() {
            self.core.store.commit(batch).await?;
            self.core.posts.notify_waiters();
        }
        Ok(gated)
    }

    /// A post that is due and was never begun. `accepted` and `snapshot` are what its words will be made from.
    pub async fn pass(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        notice: &Notice,
        post: &Post,
    ) -> Result<Passage, StoreError> {
        let now = self.core.clock.now();
        let approvals = if notice.approval.persons > 0 {
            self.core.store.approvals(&campaign.upgrade.id).await?
        } else {
            Vec::new()
        };
        let view = View {
            snapshot,
            campaign,
            approvals: &approvals,
        };
        let consent = view.consent(notice, post);
        if view.case(notice, &consent, post).verdict(now) == Verdict::Pass {
            return Ok(if consent.after(post.due) {
                Passage::AgreedLate
            } else {
                Passage::Free
            });
        }
        // Decided again while nobody else changes anything.
        let _guard = self.core.ledger.lock().await;
        let waiting = self.core.store.waiting().await?;
        let own: Vec<&Post> = waiting
            .iter()
            .filter(|p| p.upgrade == post.upgrade)
            .collect();
        let (Some(post), Some(campaign)) = (
            own.iter().find(|p| p.key == post.key),
            self.core.campaign(&post.upgrade).await?,
        ) else {
            return Ok(Passage::Barred);
        };
        let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
        let view = View {
            snapshot,
            campaign: &campaign,
            approvals: &approvals,
        };
        let mut batch = Batch::default();
        self.stop(view, notice, post, &own, &mut batch);
        if !batch.is_empty() {
            self.core.store.commit(batch).await?;
            self.core.posts.notify_waiters();
        }
        Ok(Passage::Barred)
    }

    /// Holds a post, or gives it up, as it now stands; says whether it was given up.
    fn stop(
        &self,
        view: View<'_>,
        notice: &Notice,
        post: &Post,
        own: &[&Post],
        batch: &mut Batch,
    ) -> bool {
        let consent = view.consent(notice, post);
        // Of what operators are told of herald, they are not told once more.
        let tell = !matches!(notice.trigger, Trigger::On(happening) if happening.for_operators());
        let told = |happening, why: &str, words: &str| {
            if tell {
                self.told(view.campaign, happening, post, why, words)
            } else {
                Vec::new()
            }
        };
        match view
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

    /// Whether a post that is held still has a reason, and is still of use.
    fn look_again(
        &self,
        view: View<'_>,
        post: &Post,
        own: &[&Post],
        batch: &mut Batch,
        gated: &mut Gated,
    ) {
        let notice = view.notice(post);
        let consent = notice.map(|n| view.consent(n, post)).unwrap_or_default();
        let free = notice.is_none_or(|n| {
            view.case(n, &consent, post).verdict(self.core.clock.now()) == Verdict::Pass
        });
        match notice {
            Some(notice) if !free => {
                gated.expired += usize::from(self.stop(view, notice, post, own, batch))
            }
            // What the plan no longer has, the dispatcher gives up with its reason.
            _ => {
                tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "released");
                batch
                    .moves
                    .extend(family(post, own).map(|p| (p.key.clone(), Move::Release)));
                gated.released += 1;
            }
        }
    }

    /// What operators are told of a post, once for all channels.
    fn told(
        &self,
        campaign: &Campaign,
        happening: Happening,
        post: &Post,
        why: &str,
        words: &str,
    ) -> Vec<Post> {
        let occurrence = digest(&[&post.notice, &post.revision.to_string(), why]);
        self.core.posts_about(
            campaign,
            happening,
            &occurrence,
            Some(&format!("{}: {words}", post.notice)),
        )
    }

    /// A preview in each channel for operators, if people are to be asked and were not yet.
    async fn ask(
        &self,
        view: View<'_>,
        post: &Post,
        batch: &mut Batch,
    ) -> Result<usize, StoreError> {
        let Some(notice) = view.notice(post).filter(|n| n.approval.persons > 0) else {
            return Ok(0);
        };
        let now = self.core.clock.now();
        if ask_at(notice, post) > now {
            return Ok(0);
        }
        let consent = view.consent(notice, post);
        if consent.complete() || now >= useful_until(notice, &view.campaign.upgrade, post.due, true)
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

    /// What waits for people to agree, each text once, the first due before the others.
    pub async fn open(&self) -> Result<Vec<Open>, StoreError> {
        let waiting = self.core.store.waiting().await?;
        let snapshot = self.core.snapshot();
        let mut open: Vec<Open> = Vec::new();
        for campaign in self.core.store.upgrades().await? {
            let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
            let view = View {
                snapshot: &snapshot,
                campaign: &campaign,
                approvals: &approvals,
            };
            for post in waiting
                .iter()
                .filter(|p| p.upgrade == campaign.upgrade.id && p.operation == Operation::Post)
            {
                let Some(notice) = view.notice(post).filter(|n| n.approval.persons > 0) else {
                    continue;
                };
                let consent = view.consent(notice, post);
                if !open
                    .iter()
                    .any(|o| o.upgrade == post.upgrade && o.consent.code == consent.code)
                {
                    let until = useful_until(notice, &campaign.upgrade, post.due, true);
                    let (upgrade, ask) = (post.upgrade.clone(), ask_at(notice, post));
                    open.push(Open {
                        upgrade,
                        notice: notice.id.clone(),
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
                .filter(|p| p.upgrade == campaign.upgrade.id && p.operation == Operation::Post)
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

    /// A notice as it will read, below what is asked of people. `Err` says why there is nothing to ask any more.
    pub async fn preview(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        outlet: &Outlet,
        post: &Post,
    ) -> Result<Result<Body, String>, StoreError> {
        let approvals = self.core.store.approvals(&campaign.upgrade.id).await?;
        let view = View {
            snapshot,
            campaign,
            approvals: &approvals,
        };
        let Some(notice) = view.notice(post) else {
            return Ok(Err("the plan no longer has its notice".to_owned()));
        };
        let consent = view.consent(notice, post);
        if consent.code != post.occurrence {
            return Ok(Err("the text has changed since".to_owned()));
        }
        let waiting = self.core.store.waiting().await?;
        let same = |p: &&Post| {
            p.upgrade == post.upgrade && p.notice == post.notice && p.revision == post.revision
        };
        let Some(first) = waiting
            .iter()
            .filter(same)
            .find(|p| p.operation == Operation::Post && p.detail == post.detail)
        else {
            return Ok(Err("nothing waits for it any more".to_owned()));
        };
        let asked = context::ApprovalRequest {
            code: consent.code,
            persons: consent.persons,
            given: consent
                .given
                .into_iter()
                .map(|(person, _)| person)
                .collect(),
            until: useful_until(notice, &campaign.upgrade, first.due, true),
        };
        let (fact, detail) = (post.fact.as_ref(), post.detail.as_deref());
        let moment = RenderInput {
            fact,
            due: Some(first.due),
            detail,
            approval: Some(&asked),
            ..RenderInput::default()
        };
        let context = context::of(campaign, Some(notice), &snapshot.config, &moment).into();
        let now = self.core.clock.now();
        let locale = notice
            .channels
            .iter()
            .find_map(|name| snapshot.config.deployment.channels.get(name))
            .map_or(&*outlet.locale, |c| &c.locale);
        let write = |text: &Text, at| snapshot.renderer.body(text, outlet.platform, at);
        let between = outlet.platform.capabilities().markup.paragraph_break();
        let made = snapshot
            .renderer
            .markdown(templates::APPROVAL_PREVIEW, &outlet.locale, &context)
            .and_then(|asking| {
                let said = snapshot
                    .renderer
                    .markdown(&notice.template, locale, &context)?;
                let (asking, said) = (write(&asking, now), write(&said, first.due.max(now)));
                // Nobody is called by a preview, whoever the notice calls.
                Ok(Body {
                    text: format!("{}{between}{}", asking.text, said.text),
                    html: asking
                        .html
                        .zip(said.html)
                        .map(|(asking, said)| format!("{asking}<hr>{said}")),
                    ..Body::default()
                })
            });
        Ok(made)
    }

    /// Somebody approves the text with this code. What came of it, in one line; `Err` says why nothing did.
    pub async fn approve(&self, code: &str, who: Approver<'_>) -> Result<String, String> {
        let snapshot = self.core.snapshot();
        let people = &snapshot.config.people;
        let person = match who {
            Approver::Account(platform, id) => people.by_account(platform, id),
            Approver::Named(name) => people.by_name(name),
        };
        let Some(person) = person else {
            return Err(match who {
                Approver::Account(..) => "I don't know your account. Who may approve stands in people.yaml; please ask there.".to_owned(),
                Approver::Named(name) => format!("people.yaml knows nobody called {name}."),
            });
        };
        if !people.may_approve(person) {
            return Err(format!(
                "{}, approving is for the communication team and operators; people.yaml says who they are.",
                person.name
            ));
        }
        self.count(&code.trim().to_lowercase(), &person.name)
            .await
            .unwrap_or_else(|error| {
                tracing::error!("an approval could not be taken: {error}");
                Err("I can't write that down just now. Please try again in a minute.".to_owned())
            })
    }

    async fn count(&self, code: &str, person: &str) -> Result<Result<String, String>, StoreError> {
        let (now, open) = (self.core.clock.now(), self.open().await?);
        let Some(meant) = open.iter().find(|o| o.consent.code == code) else {
            return Ok(Err(unknown(
                code,
                open.iter()
                    .filter(|o| !o.consent.complete() && o.ask <= now && now < o.until),
            )));
        };
        let (notice, persons) = (&meant.notice, meant.consent.persons);
        if meant.consent.complete() {
            return Ok(Ok(format!(
                "{notice} is approved already, by {}. Nothing more is needed.",
                names(&meant.consent)
            )));
        }
        if now >= meant.until {
            return Ok(Err(format!(
                "{notice} is of no use any more: it waited too long. Nothing is posted."
            )));
        }
        if meant.consent.given.iter().any(|(name, _)| name == person) {
            let given = meant.consent.given.len();
            return Ok(Ok(format!(
                "You have approved {notice} already: {given} of {persons}. Somebody else has to agree as well."
            )));
        }
        let approved = Approved {
            upgrade: meant.upgrade.clone(),
            code: code.to_owned(),
            person: person.to_owned(),
            at: now,
        };
        self.core
            .store
            .commit(Batch {
                approvals: vec![approved],
                ..Batch::default()
            })
            .await?;
        tracing::info!(notice, code, person, "approved");
        self.core.posts.notify_waiters();
        // Read back: two people may have agreed at once.
        let after = self
            .open()
            .await?
            .into_iter()
            .find(|o| o.consent.code == code);
        let given = after.map_or(persons as usize, |o| o.consent.given.len());
        if given < persons as usize {
            return Ok(Ok(format!(
                "Thank you, {person}. {notice} is approved by {given} of {persons}; somebody else has to agree as well."
            )));
        }
        let when = if meant.due <= now {
            "now".to_owned()
        } else {
            self.core.snapshot().renderer.zone().written(meant.due)
        };
        Ok(Ok(format!(
            "Thank you, {person}. {notice} is approved by {given} of {persons}. It goes out {when}."
        )))
    }
}

/// What a post is judged by.
#[derive(Clone, Copy)]
struct View<'a> {
    snapshot: &'a ConfigSnapshot,
    campaign: &'a Campaign,
    approvals: &'a [Approved],
}

impl<'a> View<'a> {
    fn notice(self, post: &Post) -> Option<&'a Notice> {
        self.snapshot
            .plan()
            .notice(self.campaign.upgrade.urgency, &post.notice)
    }

    fn consent(self, notice: &Notice, post: &Post) -> Consent {
        code::of(
            self.snapshot,
            self.campaign,
            notice,
            post.detail.as_deref(),
            self.approvals,
        )
    }

    fn case<'b>(self, notice: &'b Notice, consent: &'b Consent, post: &Post) -> Case<'b>
    where
        'a: 'b,
    {
        let (upgrade, progress) = (&self.campaign.upgrade, &self.campaign.progress);
        Case {
            notice,
            upgrade,
            progress,
            consent,
            due: post.due,
            held: post.state == PostState::Held,
        }
    }
}

/// A post with what hangs on it: its thread and the like wait with it.
fn family<'a>(post: &'a Post, own: &'a [&'a Post]) -> impl Iterator<Item = &'a Post> {
    own.iter().copied().filter(move |p| {
        let hangs = p.operation.hangs();
        let same = p.notice == post.notice
            && p.occurrence == post.occurrence
            && p.channel == post.channel
            && p.revision == post.revision;
        p.key == post.key || (hangs && same)
    })
}

/// When people are asked: in time before the clock's hour, at once of what has happened.
fn ask_at(notice: &Notice, post: &Post) -> Timestamp {
    match notice.trigger {
        Trigger::On(_) => Timestamp::MIN,
        _ => post
            .due
            .checked_sub(notice.approval.ask_before)
            .unwrap_or(Timestamp::MIN),
    }
}

fn names(consent: &Consent) -> String {
    let names: Vec<&str> = consent
        .given
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.join(" and ")
}

/// Another text has another code: so one that is open may be what was meant.
fn unknown<'a>(code: &str, open: impl Iterator<Item = &'a Open>) -> String {
    const MOST: usize = 5;
    let waits: Vec<String> = open
        .take(MOST)
        .map(|o| format!("{} for {}", o.consent.code, o.notice))
        .collect();
    if waits.is_empty() {
        return format!("Nothing waits for approval, under {code} or another code.");
    }
    format!(
        "Nothing waits under {code}; if the text was changed, its code is another now. Open: {}.",
        waits.join(", ")
    )
}
