//! What the communication team and operators order: changes, acts, the roll and the report. Each is written down.

use serde_json::json;

use super::{AnswerService, said};
use crate::{
    config::Item,
    deliver::approval::{code, gate::Approver},
    domain::{
        campaign::Campaign,
        outbox::{Button, PostState},
        people::{
            command::{Order, Verb},
            permission::{Role, Standing},
        },
    },
    plan::requests::{self, RequestOutcome},
    ports::{Asker, AuditEntry, StoreError},
    report::roll,
    words::{Text, context, snapshot::ConfigSnapshot},
};

impl AnswerService {
    /// Follows an order, and writes down who gave it where and what came of it.
    pub(crate) async fn ordered(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        asker: &Asker<'_>,
        order: &Order,
        author: &str,
    ) -> Result<Text, String> {
        let outcome = match order.verb {
            Verb::Roster => self
                .roster(snapshot, campaign)
                .await
                .map_err(|e| e.to_string())?,
            Verb::Tick | Verb::Untick
                if !self.is_theirs(
                    snapshot,
                    &self.standing(snapshot, asker),
                    order.need("item"),
                ) =>
            {
                let role = snapshot
                    .config
                    .checklist
                    .step(order.need("item"))
                    .map_or("nobody", |step| step.role.people());
                format!(
                    "{} of the checklist is for {role} to tick.",
                    order.need("item")
                )
            }
            Verb::Announce => {
                self.announce(snapshot, campaign, asker, order, author)
                    .await?
            }
            _ => self.change(snapshot, campaign, order, author).await?,
        };
        self.write_down(&campaign.upgrade.id, asker, order, author, &outcome)
            .await;
        Ok(said(&outcome))
    }

    pub(crate) async fn write_down(
        &self,
        upgrade: &str,
        asker: &Asker<'_>,
        order: &Order,
        author: &str,
        outcome: &str,
    ) {
        let here = self
            .core
            .outlets
            .iter()
            .find(|(_, o)| o.platform == asker.platform && o.place == asker.place);
        let place = here.map_or(asker.place, |(name, _)| name).to_owned();
        let account = format!("{} {}", asker.platform.name(), asker.user);
        let act = AuditEntry {
            who: author.to_owned(),
            account,
            place,
            what: order.to_string(),
            outcome: outcome.to_owned(),
        };
        requests::record(&*self.core.store, upgrade, &act, self.core.clock.now()).await;
    }

    async fn change(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        order: &Order,
        author: &str,
    ) -> Result<String, String> {
        let now = self.core.clock.now();
        let change = match requests::change(order, &campaign.upgrade, &snapshot.config, now) {
            Some(Ok(change)) => change,
            Some(Err(wrong)) => return Ok(format!("I can't do that: {wrong}.")),
            None => return Err(format!("{} is not known here", order.verb.name())),
        };
        let outcome = requests::give(&*self.core.store, campaign, &change, author, now)
            .await
            .map_err(|e| e.to_string())?;
        Ok(match outcome {
            RequestOutcome::Done(done) => format!("{done}."),
            RequestOutcome::Refused(why) => format!("I can't do that: {why}."),
            RequestOutcome::Waits(number) => {
                format!(
                    "Written down as change {number}; it is followed as soon as the herald that runs gets to it."
                )
            }
        })
    }

    /// Whether somebody may tick an item: it is their role's.
    fn is_theirs(&self, snapshot: &ConfigSnapshot, who: &Standing, item: &str) -> bool {
        // Of an item that is not there the planner says so.
        snapshot
            .config
            .checklist
            .step(item)
            .is_none_or(|step| who.roles.contains(&step.role))
    }

    /// Agrees to what is planned of a notice, where people have to, and has it posted now.
    async fn announce(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        asker: &Asker<'_>,
        order: &Order,
        author: &str,
    ) -> Result<String, String> {
        let id = order.need("notice");
        let notice = snapshot
            .plan()
            .notice(campaign.upgrade.urgency, id)
            .filter(|n| n.approval.persons > 0);
        let mut agreed = String::new();
        if let Some(notice) = notice {
            let posts = self
                .core
                .store
                .posts(&campaign.upgrade.id)
                .await
                .map_err(|e| e.to_string())?;
            let waits = |p: &&crate::domain::outbox::Post| {
                p.notice == id
                    && p.is_message()
                    && matches!(p.state, PostState::Planned | PostState::Held)
            };
            let next = posts.iter().filter(waits).min_by_key(|p| p.due);
            let code = code::code(
                snapshot,
                campaign,
                notice,
                next.and_then(|p| p.detail.as_deref()),
            );
            agreed = match self
                .gate
                .approve(&code, Approver::Account(asker.platform, asker.user))
                .await
            {
                Ok(agreed) => format!(" {agreed}"),
                Err(refused) => return Ok(refused),
            };
        }
        Ok(format!(
            "{}{agreed}",
            self.change(snapshot, campaign, order, author).await?
        ))
    }

    /// Who has answered and who is ready, by name.
    async fn roster(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
    ) -> Result<String, StoreError> {
        let posts = self.core.store.posts(&campaign.upgrade.id).await?;
        let roll = roll::roll(&self.core, snapshot, campaign, &posts).await?;
        if roll.standings.is_empty() {
            return Ok("There is no roster: provider files belong into config/roster/.".to_owned());
        }
        let Some(ask) = roll.ask() else {
            return Ok(format!(
                "{} providers; nothing has asked them for an answer yet.",
                roll.standings.len()
            ));
        };
        let written = |at| snapshot.renderer.zone().written(at);
        let (mut lines, of) = (Vec::new(), roll.standings.len());
        let list = |names: Vec<&str>| {
            if names.is_empty() {
                "nobody".to_owned()
            } else {
                names.join(", ")
            }
        };
        let without =
            |has: &dyn Fn(&crate::domain::people::roster::ProviderStanding<'_>) -> bool| {
                list(
                    roll.standings
                        .iter()
                        .filter(|s| !has(s))
                        .map(|s| s.provider.name.as_str())
                        .collect(),
                )
            };
        let count = roll.count().unwrap_or_default();
        lines.push(format!(
            "{}: {} of {of} have answered; until {}. Missing: {}.",
            ask.notice,
            count.acknowledged,
            written(ask.by),
            without(&|s| s.acknowledged.is_some())
        ));
        if let Some(by) = roll.ready_by {
            lines.push(format!(
                "Ready: {} of {of}; until {}. Missing: {}.",
                count.ready,
                written(by),
                without(&|s| s.ready.is_some())
            ));
        }
        lines.push("The record is written by: herald roster".to_owned());
        Ok(lines.join("\n"))
    }

    /// The process's own checklist for the team; a validator's for everybody else.
    pub(crate) fn checklist(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        asker: &Asker<'_>,
        part: Option<&str>,
        locale: &str,
    ) -> Result<Text, String> {
        let roles = self.standing(snapshot, asker).roles;
        let of_the_team = roles.iter().any(|role| *role != Role::Validator);
        let process = match part {
            Some("process") => true,
            Some("validators") => false,
            Some(other) => {
                return Ok(said(&format!(
                    "There is no part {other}: the checklist has process and validators."
                )));
            }
            None => of_the_team && !snapshot.config.checklist.process.is_empty(),
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
        snapshot.renderer.markdown(
            template,
            locale,
            &context::of(campaign, None, &snapshot.config, &moment).into(),
        )
    }

    /// The open steps that somebody may tick, below the checklist that was asked for.
    pub(crate) async fn to_tick(&self, asker: &Asker<'_>, order: &Order) -> Vec<Button> {
        let snapshot = self.core.snapshot();
        let who = self.standing(&snapshot, asker);
        if order.get("part") == Some("validators")
            || snapshot
                .config
                .people
                .permissions
                .may(Verb::Tick, &who)
                .is_err()
        {
            return Vec::new();
        }
        let Ok(Ok(Some(campaign))) = self.meant(order).await else {
            return Vec::new();
        };
        let open = |item: &&Item| {
            who.roles.contains(&item.role) && !campaign.progress.ticks.contains_key(&item.item)
        };
        let button = |item: &Item| Button {
            label: item.item.clone(),
            line: format!("tick {} upgrade={}", item.item, campaign.upgrade.id),
        };
        snapshot
            .config
            .checklist
            .process
            .iter()
            .filter(open)
            .map(button)
            .collect()
    }

    /// What people tell us by a command; told again, it takes the place of what they told before.
    pub(crate) async fn tell(
        &self,
        campaign: &Campaign,
        asker: &Asker<'_>,
        text: Option<&str>,
    ) -> Result<String, StoreError> {
        use crate::ports::{Record, RecordKind};
        let progress = &campaign.progress;
        let (store, upgrade) = (&self.core.store, &campaign.upgrade.id);
        let id = format!("{} {}", asker.platform.name(), asker.user);
        if progress.feedback.is_some() {
            return Ok("Feedback is closed by now; thank you all the same. Problems belong to the contacts under help.".to_owned());
        }
        let Some(text) = text else {
            let gone = store.erase(RecordKind::Feedback, upgrade, &id).await?;
            return Ok(if gone {
                "It is taken back."
            } else {
                "You have told me nothing by a command. What you wrote into a thread you can delete there."
            }
            .to_owned());
        };
        if progress.applied_at.is_none() {
            return Ok("Feedback is asked for once the upgrade is applied. If you see a problem now, help says whom to tell.".to_owned());
        }
        let value = json!({ "platform": asker.platform, "user": asker.user, "text": text });
        let entry = Record {
            kind: RecordKind::Feedback,
            upgrade: upgrade.clone(),
            id,
            at: self.core.clock.now(),
            value,
        };
        store.write(&entry, true).await?;
        Ok("Thank you. It counts once, without your name; feedback again changes it, withdraw takes it back.".to_owned())
    }
}
