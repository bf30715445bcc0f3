//! Commands of the communication team and operators: changes, the roll and the report. Each is written down.

use serde_json::json;

use super::{AnswerService, Call, NoAnswer};
use crate::{
    config::ChecklistItem,
    deliver::approval::{code, gate::Approver},
    domain::{
        campaign::Campaign,
        outbox::{Button, Post, PostState},
        people::{
            command::{Command, Verb},
            permission::Role,
            reply::{Outcome, Reply, RosterReady},
            roster::ProviderStanding,
            value::ChecklistPart,
        },
    },
    plan::requests::{self, NewRequest, RequestStatus},
    ports::{Asker, AuditEntry, Record, RecordKind},
    report::{self, roll},
    words::{Text, context},
};

impl AnswerService {
    /// Says a reply, and writes down who gave the command where and what came of it.
    async fn recorded(&self, call: &Call<'_>, upgrade: &str, reply: &Reply) -> Text {
        let outcome = call.snapshot.renderer.english_words(reply);
        self.write_down(call, upgrade, outcome).await;
        call.text(reply)
    }

    async fn write_down(&self, call: &Call<'_>, upgrade: &str, outcome: String) {
        let asker = call.asker;
        let here = self
            .core
            .outlets
            .iter()
            .find(|(_, o)| o.platform == asker.platform && o.place == asker.place);
        let act = AuditEntry {
            who: call.author.clone(),
            account: account(asker),
            place: here.map_or(asker.place, |(name, _)| name).to_owned(),
            what: call.command.to_string(),
            outcome,
        };
        requests::record(&*self.core.store, upgrade, &act, self.core.clock.now()).await;
    }

    pub(super) async fn approve(&self, call: &Call<'_>, code: &str) -> Result<Text, NoAnswer> {
        let open = self.gate.pending().await?;
        let upgrade = open
            .into_iter()
            .find(|o| o.consent.code == code)
            .map(|o| o.upgrade)
            .unwrap_or_default();
        let who = Approver::Account(call.asker.platform, call.asker.user);
        let (Ok(reply) | Err(reply)) = self.gate.approve(code, who).await;
        Ok(self.recorded(call, &upgrade, &reply).await)
    }

    pub(super) async fn report(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
    ) -> Result<Text, NoAnswer> {
        let upgrade = &campaign.upgrade.id;
        self.write_down(call, upgrade, "shown".to_owned()).await;
        let posts = self.core.store.posts(upgrade).await?;
        let words = report::in_short(&call.snapshot, campaign, &posts);
        Ok(call.text(&Reply::Words { words }))
    }

    /// Gives the change that a command asks for to the planner, and says what came of it.
    pub(super) async fn change(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
    ) -> Result<Text, NoAnswer> {
        let outcome = self.outcome(call, campaign).await?;
        let reply = |locale: Option<&str>| finished(call, &outcome, locale);
        let english = call.snapshot.renderer.english_words(&reply(None));
        self.write_down(call, &campaign.upgrade.id, english).await;
        Ok(call.text(&reply(Some(call.locale))))
    }

    async fn outcome(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
    ) -> Result<RequestStatus, NoAnswer> {
        let (config, now) = (&call.snapshot.config, self.core.clock.now());
        let waiting = requests::waiting(&*self.core.store, &campaign.upgrade.id).await?;
        let upgrade = requests::once_followed(campaign, &waiting);
        let change = match requests::change(call.command, &upgrade, config, now) {
            Some(Ok(change)) => change,
            Some(Err(why)) => return Ok(RequestStatus::Answered(Outcome::Refused(why))),
            None => {
                let name = call.command.verb().name();
                return Err(NoAnswer::Failed(format!("{name} changes nothing")));
            }
        };
        let request = NewRequest {
            config,
            campaign,
            change: &change,
            author: &call.author,
        };
        Ok(requests::give(&self.core, &request).await?)
    }

    /// Ticks an item of the checklist, or takes that back: it is for the item's role alone.
    pub(super) async fn tick(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        item: &str,
    ) -> Result<Text, NoAnswer> {
        let who = self.standing(&call.snapshot, call.asker);
        // Of an item that is not there the planner says so.
        let step = call.snapshot.config.checklist.step(item);
        match step.filter(|step| !who.roles.contains(&step.role)) {
            Some(step) => {
                let reply = Reply::NotTheirItem {
                    item: item.to_owned(),
                    roles: vec![step.role],
                };
                Ok(self.recorded(call, &campaign.upgrade.id, &reply).await)
            }
            None => self.change(call, campaign).await,
        }
    }

    /// Agrees to what is planned of a notice, where people have to, and has it posted now.
    pub(super) async fn announce(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        id: &str,
    ) -> Result<Text, NoAnswer> {
        let snapshot = &call.snapshot;
        let notice = snapshot
            .plan()
            .notice(campaign.upgrade.urgency, id)
            .filter(|n| n.approval.persons > 0);
        let Some(notice) = notice else {
            return self.change(call, campaign).await;
        };
        let posts = self.core.store.posts(&campaign.upgrade.id).await?;
        let waits = |p: &&Post| {
            p.notice == id
                && p.is_message()
                && matches!(p.state, PostState::Planned | PostState::Held)
        };
        let next = posts.iter().filter(waits).min_by_key(|p| p.due);
        let detail = next.and_then(|p| p.detail.as_deref());
        let code = code::notice_code(snapshot, campaign, notice, detail);
        let who = Approver::Account(call.asker.platform, call.asker.user);
        let agreed = match self.gate.approve(&code, who).await {
            Ok(agreed) => agreed,
            Err(refused) => {
                return Ok(self.recorded(call, &campaign.upgrade.id, &refused).await);
            }
        };
        let outcome = self.outcome(call, campaign).await?;
        let both = |locale: Option<&str>| Reply::Both {
            first: words(call, &finished(call, &outcome, locale), locale),
            second: words(call, &agreed, locale),
        };
        let english = snapshot.renderer.english_words(&both(None));
        self.write_down(call, &campaign.upgrade.id, english).await;
        Ok(call.text(&both(Some(call.locale))))
    }

    /// Answers which providers have answered and which are ready, by name.
    pub(super) async fn roster(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
    ) -> Result<Text, NoAnswer> {
        let posts = self.core.store.posts(&campaign.upgrade.id).await?;
        let roll = roll::roll(&self.core, &call.snapshot, campaign, &posts).await?;
        let reply = roster_reply(&roll);
        Ok(self.recorded(call, &campaign.upgrade.id, &reply).await)
    }

    /// The process's own checklist for the team; a validator's for everybody else.
    pub(super) fn checklist(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        part: Option<ChecklistPart>,
    ) -> Result<Text, NoAnswer> {
        let config = &call.snapshot.config;
        let roles = self.standing(&call.snapshot, call.asker).roles;
        let of_the_team = roles.iter().any(|role| *role != Role::Validator);
        let process = match part {
            Some(ChecklistPart::Process) => true,
            Some(ChecklistPart::Validators) => false,
            None => of_the_team && !config.checklist.process.is_empty(),
        };
        let moment = context::RenderInput {
            due: Some(self.core.clock.now()),
            process,
            ..Default::default()
        };
        let template = if process {
            "answers/process"
        } else {
            "answers/checklist"
        };
        let context = context::of(campaign, None, config, &moment).into();
        let renderer = &call.snapshot.renderer;
        Ok(renderer.markdown(template, call.locale, &context)?)
    }

    /// The open steps that somebody may tick, below the checklist that was asked for.
    pub(super) async fn to_tick(
        &self,
        asker: &Asker<'_>,
        command: &Command,
        part: Option<ChecklistPart>,
    ) -> Vec<Button> {
        let snapshot = self.core.snapshot();
        let who = self.standing(&snapshot, asker);
        let permissions = &snapshot.config.people.permissions;
        if part == Some(ChecklistPart::Validators) || permissions.may(Verb::Tick, &who).is_err() {
            return Vec::new();
        }
        let Ok(campaign) = self.campaign(command).await else {
            return Vec::new();
        };
        let open = |item: &&ChecklistItem| {
            who.roles.contains(&item.role) && !campaign.progress.ticks.contains_key(&item.item)
        };
        let button = |item: &ChecklistItem| Button {
            label: item.item.clone(),
            line: format!("tick {} upgrade={}", item.item, campaign.upgrade.id),
        };
        let items = snapshot.config.checklist.process.iter();
        items.filter(open).map(button).collect()
    }

    /// Keeps what people tell us by a command; told again, it takes the place of what they told before.
    pub(super) async fn take_feedback(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        text: &str,
    ) -> Result<Text, NoAnswer> {
        let asker = call.asker;
        if campaign.progress.feedback.is_some() {
            return Ok(call.text(&Reply::FeedbackOver));
        }
        if campaign.progress.applied_at.is_none() {
            return Ok(call.text(&Reply::FeedbackTooEarly));
        }
        let entry = Record {
            kind: RecordKind::Feedback,
            upgrade: campaign.upgrade.id.clone(),
            id: account(asker),
            at: self.core.clock.now(),
            value: json!({ "platform": asker.platform, "user": asker.user, "text": text }),
        };
        self.core.store.write(&entry, true).await?;
        Ok(call.text(&Reply::FeedbackTaken))
    }

    pub(super) async fn withdraw_feedback(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
    ) -> Result<Text, NoAnswer> {
        if campaign.progress.feedback.is_some() {
            return Ok(call.text(&Reply::FeedbackOver));
        }
        let (store, id) = (&self.core.store, account(call.asker));
        let gone = store
            .erase(RecordKind::Feedback, &campaign.upgrade.id, &id)
            .await?;
        Ok(call.text(if gone {
            &Reply::FeedbackTakenBack
        } else {
            &Reply::NoFeedbackGiven
        }))
    }
}

/// An account's name in records: `discord 1100000000000000101`.
fn account(asker: &Asker<'_>) -> String {
    format!("{} {}", asker.platform.name(), asker.user)
}

/// Words in a language, or in English for the record.
fn words(call: &Call<'_>, reply: &Reply, locale: Option<&str>) -> String {
    let renderer = &call.snapshot.renderer;
    match locale {
        Some(locale) => renderer.words(reply, locale),
        None => renderer.english_words(reply),
    }
}

/// The reply to a request, in a language or in English for the record.
fn finished(call: &Call<'_>, given: &RequestStatus, locale: Option<&str>) -> Reply {
    match given {
        RequestStatus::Answered(Outcome::Done(done)) => Reply::Done {
            what: words(call, done, locale),
        },
        RequestStatus::Answered(Outcome::Refused(why @ Reply::Unconfirmed { .. })) => why.clone(),
        RequestStatus::Answered(Outcome::Refused(why)) => Reply::Cannot {
            why: words(call, why, locale),
        },
        RequestStatus::Waits(number) => Reply::Waits { number: *number },
    }
}

fn roster_reply(roll: &roll::Roll<'_>) -> Reply {
    let of = roll.standings.len();
    if of == 0 {
        return Reply::NoRoster;
    }
    let Some(ask) = roll.ask() else {
        return Reply::NothingAskedYet { of };
    };
    let without = |has: &dyn Fn(&ProviderStanding<'_>) -> bool| {
        let lacking = roll.standings.iter().filter(|standing| !has(standing));
        lacking.map(|s| s.provider.name.clone()).collect()
    };
    let count = roll.count().unwrap_or_default();
    Reply::Roster {
        notice: ask.notice.clone(),
        count: count.acknowledged,
        of,
        by: ask.by,
        missing: without(&|standing| standing.acknowledged.is_some()),
        ready: roll.ready_by.map(|by| RosterReady {
            count: count.ready,
            by,
            missing: without(&|standing| standing.ready.is_some()),
        }),
    }
}
