//! Answers people's commands from the store alone, so that an answer never waits for the outside.

pub(crate) mod rate_limit;
mod team;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use self::rate_limit::RateLimiter;
use crate::{
    config::hint,
    deliver::approval::{code, gate::Gate},
    domain::{
        campaign::{Campaign, progress::State},
        chain::observation::MatterKind,
        outbox::{Body, Operation, Post, PostState},
        people::{
            command::{Command, Kind, Misread, Verb},
            permission::{Denial, Standing},
            reply::Reply,
            roster::Claim,
            value::{ChecklistPart, Confirmed, Reminder},
        },
        plan::{language::DEFAULT_LOCALE, notice::PRIVATE_NOTICE},
    },
    listen::rollcall,
    outbox::Core,
    plan::{reminders, requests},
    ports::{Admission, Asker, CommandHandler, Platform, Readers, RightsModel, StoreError},
    words::{
        Text,
        context::{self, Trouble},
        snapshot::ConfigSnapshot,
    },
};

pub struct AnswerService {
    core: Arc<Core>,
    gate: Gate,
    rate_limiter: RateLimiter,
}

/// Why a command has not the answer that it asks for.
enum NoAnswer {
    /// This is said instead.
    Instead(Box<Reply>),
    /// No upgrade is known.
    NoUpgrade,
    Failed(String),
}

impl From<Reply> for NoAnswer {
    fn from(reply: Reply) -> Self {
        Self::Instead(Box::new(reply))
    }
}

impl From<StoreError> for NoAnswer {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A template that can't be rendered says why in words.
impl From<String> for NoAnswer {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

/// A command with all that its answer depends on.
struct Call<'a> {
    snapshot: Arc<ConfigSnapshot>,
    asker: &'a Asker<'a>,
    command: &'a Command,
    /// The language of the answer.
    locale: &'a str,
    /// The name of whoever gives the command, for the record.
    author: String,
}

impl Call<'_> {
    fn text(&self, reply: &Reply) -> Text {
        self.snapshot.renderer.reply(reply, self.locale)
    }
}

impl AnswerService {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            gate: Gate::new(core.clone()),
            core,
            rate_limiter: RateLimiter::default(),
        }
    }

    /// The language of an answer: that of the channel it was asked in, elsewhere of the platform's first one, the
    /// public's before operators'.
    fn locale(&self, asker: &Asker<'_>) -> &str {
        let here = self
            .core
            .outlets
            .values()
            .filter(|o| o.platform == asker.platform);
        here.min_by_key(|o| (o.place != asker.place, o.readers != Readers::Public))
            .map_or(DEFAULT_LOCALE, |o| &o.locale)
    }

    /// Lists the commands that somebody may give, or with a topic says what to do about a problem.
    fn help(
        &self,
        snapshot: &ConfigSnapshot,
        asker: &Asker<'_>,
        topic: Option<&str>,
        locale: &str,
    ) -> Result<Text, NoAnswer> {
        let help = &snapshot.config.help;
        let found = topic.and_then(|id| help.topic(id));
        if let Some(unknown) = topic.filter(|_| found.is_none() && !help.topics.is_empty()) {
            return Err(Reply::UnknownTopic {
                topic: unknown.to_owned(),
                hint: hint(unknown, help.topics.iter().map(|t| t.id.as_str())),
            }
            .into());
        }
        let who = self.standing(snapshot, asker);
        let permissions = &snapshot.config.people.permissions;
        let may: Vec<Verb> = Verb::ALL
            .iter()
            .copied()
            .filter(|verb| permissions.may(*verb, &who).is_ok())
            .collect();
        let context = context::of_help(&snapshot.config, found, &may).into();
        Ok(snapshot
            .renderer
            .markdown("answers/help", locale, &context)?)
    }

    /// Collects all that is known of the asker, and of the place.
    fn standing(&self, snapshot: &ConfigSnapshot, asker: &Asker<'_>) -> Standing {
        let people = &snapshot.config.people;
        let person = people.by_account(asker.platform, asker.user);
        let mut here = self
            .core
            .outlets
            .values()
            .filter(|o| o.platform == asker.platform && o.place == asker.place);
        let among_operators = here.any(|o| o.readers == Readers::Operators);
        let mut roles: BTreeSet<_> = person.iter().flat_map(|p| &p.roles).copied().collect();
        let permissions = &people.permissions;
        match (asker.platform.capabilities().rights, asker.power) {
            (RightsModel::Roles, _) => {
                roles.extend(permissions.by_discord_roles(asker.roles.iter().map(String::as_str)))
            }
            // Power in any other room is nothing to us.
            (RightsModel::PowerLevels, Some(level)) if among_operators => {
                roles.extend(permissions.by_power(level))
            }
            (RightsModel::PowerLevels | RightsModel::Unsupported, _) => {}
        }
        Standing {
            roles,
            mapped: person.is_some(),
            among_operators,
        }
    }

    /// The asker's name for the record, where they may give a command; else the reason why they may not.
    fn permitted(
        &self,
        snapshot: &ConfigSnapshot,
        asker: &Asker<'_>,
        verb: Verb,
    ) -> Result<String, Reply> {
        let (people, who) = (&snapshot.config.people, self.standing(snapshot, asker));
        let denial = match people.permissions.may(verb, &who) {
            Ok(()) => {
                let name = people
                    .by_account(asker.platform, asker.user)
                    .map_or(asker.user, |person| &person.name);
                return Ok(format!("{name} on {}", asker.platform.name()));
            }
            Err(denial) => denial,
        };
        tracing::warn!(
            user = asker.user,
            place = asker.place,
            command = verb.name(),
            "denied: {denial:?}"
        );
        let command = verb.name().to_owned();
        Err(match denial {
            Denial::Place if verb == Verb::Approve => Reply::ApprovalElsewhere,
            Denial::Place => Reply::CommandElsewhere { command },
            Denial::Unmapped => Reply::UnknownAccount,
            Denial::Role => {
                let roles = people.permissions.of(verb).unwrap_or_default();
                let roles = roles.into_iter().collect();
                Reply::NotTheirCommand { command, roles }
            }
        })
    }

    /// The upgrade that is meant: the one named, or else the one that is under way.
    async fn campaign(&self, command: &Command) -> Result<Campaign, NoAnswer> {
        let upgrades = self.core.store.upgrades().await?;
        let Some(id) = command.upgrade() else {
            let current = current(&upgrades, self.core.clock.now()).cloned();
            return current.ok_or(NoAnswer::NoUpgrade);
        };
        match upgrades.iter().find(|campaign| campaign.is_called(id)) {
            Some(found) => Ok(found.clone()),
            None => Err(Reply::UnknownUpgrade {
                upgrade: id.to_owned(),
                hint: hint(id, upgrades.iter().map(|c| c.upgrade.id.as_str())),
            }
            .into()),
        }
    }

    async fn carry_out(&self, asker: &Asker<'_>, command: &Command) -> Result<Text, NoAnswer> {
        let snapshot = self.core.snapshot();
        let call = Call {
            author: self.permitted(&snapshot, asker, command.verb())?,
            snapshot,
            asker,
            command,
            locale: self.locale(asker),
        };
        let campaign = async || self.campaign(command).await;
        match command {
            Command::Help { topic } => {
                self.help(&call.snapshot, asker, topic.as_deref(), call.locale)
            }
            Command::Approve { code } => self.approve(&call, code).await,
            Command::Status { .. } => self.status(&call, &campaign().await?).await,
            Command::Schedule { .. } => self.schedule(&call, &campaign().await?),
            Command::Checklist { part, .. } => self.checklist(&call, &campaign().await?, *part),
            Command::Ack { .. } => {
                self.claim(&call, &campaign().await?, Claim::Acknowledged, None)
                    .await
            }
            Command::Ready { node, .. } => {
                self.claim(&call, &campaign().await?, Claim::Ready, node.as_deref())
                    .await
            }
            Command::Feedback { text, .. } => {
                self.take_feedback(&call, &campaign().await?, text).await
            }
            Command::Withdraw { .. } => self.withdraw_feedback(&call, &campaign().await?).await,
            Command::Subscribe { before, .. } => {
                self.subscribe(&call, &campaign().await?, *before).await
            }
            Command::Preview { notice, .. } => preview(&call, &campaign().await?, notice),
            Command::Report { .. } => self.report(&call, &campaign().await?).await,
            Command::Roster { .. } => self.roster(&call, &campaign().await?).await,
            Command::Announce { notice, .. } => {
                self.announce(&call, &campaign().await?, notice).await
            }
            Command::Tick { item, .. } | Command::Untick { item, .. } => {
                self.tick(&call, &campaign().await?, item).await
            }
            Command::Go { .. }
            | Command::NoGo { .. }
            | Command::Reschedule { .. }
            | Command::Postpone { .. }
            | Command::Cancel { .. }
            | Command::Note { .. }
            | Command::Say { .. }
            | Command::Correct { .. }
            | Command::Close { .. } => self.change(&call, &campaign().await?).await,
        }
    }

    /// A provider's person says that they have seen a notice, or that nodes are ready.
    async fn claim(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        claim: Claim,
        node: Option<&str>,
    ) -> Result<Text, NoAnswer> {
        let claimed = rollcall::claim(&self.core, campaign, call.asker, claim, node);
        Ok(call.text(&claimed.await?))
    }

    async fn subscribe(
        &self,
        call: &Call<'_>,
        campaign: &Campaign,
        reminder: Option<Reminder>,
    ) -> Result<Text, NoAnswer> {
        let reminder = reminder.unwrap_or(reminders::USUAL_REMINDER);
        let subscribed = reminders::subscribe(&self.core, campaign, call.asker, reminder);
        Ok(call.text(&subscribed.await?))
    }

    /// Says when the upgrade is, as its file and the plan have it now.
    fn schedule(&self, call: &Call<'_>, campaign: &Campaign) -> Result<Text, NoAnswer> {
        let moment = context::RenderInput {
            due: Some(self.core.clock.now()),
            ..Default::default()
        };
        let context = context::of(campaign, None, &call.snapshot.config, &moment).into();
        let renderer = &call.snapshot.renderer;
        Ok(renderer.markdown("answers/schedule", call.locale, &context)?)
    }

    async fn status(&self, call: &Call<'_>, campaign: &Campaign) -> Result<Text, NoAnswer> {
        let posts = self.core.store.posts(&campaign.upgrade.id).await?;
        let deployment = &call.snapshot.config.deployment;
        let public = |post: &&Post| deployment.is_public(&post.channel);
        let next = next_notice(posts.iter().filter(public));
        let thread = self.thread(campaign, call.asker.platform).await?;
        let troubles = troubles(&self.core, campaign, &posts).await?;
        let moment = context::RenderInput {
            now: Some(self.core.clock.now()),
            thread: thread.as_deref(),
            next: next.map(|p| (p.notice.as_str(), p.due)),
            troubles: &troubles,
            ..Default::default()
        };
        let context = context::of(campaign, None, &call.snapshot.config, &moment).into();
        let renderer = &call.snapshot.renderer;
        Ok(renderer.markdown("answers/status", call.locale, &context)?)
    }

    /// The feedback thread on the asker's own platform.
    async fn thread(
        &self,
        campaign: &Campaign,
        platform: Platform,
    ) -> Result<Option<String>, StoreError> {
        for (channel, _) in self
            .core
            .outlets
            .iter()
            .filter(|(_, o)| o.platform == platform)
        {
            if let Some(link) = self
                .core
                .store
                .sent(&campaign.upgrade.id, channel, Operation::Thread)
                .await?
                .and_then(|p| p.link)
            {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }

    /// The names that a part of this kind may have for somebody.
    async fn names(&self, snapshot: &ConfigSnapshot, asker: &Asker<'_>, kind: Kind) -> Vec<String> {
        let config = &snapshot.config;
        match kind {
            Kind::Topic => config.help.topics.iter().map(|t| t.id.clone()).collect(),
            Kind::Notice => {
                let notices = snapshot.plan().all_notices();
                notices.map(|(_, notice)| notice.id.clone()).collect()
            }
            Kind::Upgrade => {
                let upgrades = self.core.store.upgrades().await.unwrap_or_default();
                upgrades.into_iter().rev().map(|c| c.upgrade.id).collect()
            }
            Kind::List => ChecklistPart::names(),
            Kind::Confirm => vec![Confirmed.to_string()],
            Kind::Before => ["1h", "10m", "1d", "off"].map(str::to_owned).to_vec(),
            Kind::Item => {
                let items = config.checklist.process.iter();
                items.map(|item| item.item.clone()).collect()
            }
            Kind::Channel => std::iter::once("all".to_owned())
                .chain(self.core.outlets.keys().cloned())
                .collect(),
            Kind::Node => {
                let known = config
                    .people
                    .known(&config.roster, asker.platform, asker.user);
                let nodes = known.provider.iter().flat_map(|p| &p.nodes);
                nodes.map(|node| node.name.clone()).collect()
            }
            Kind::Code => {
                let open = self.gate.pending().await.unwrap_or_default();
                open.into_iter()
                    .filter(|o| !o.consent.complete())
                    .map(|o| o.consent.code)
                    .collect()
            }
            Kind::Time | Kind::Length | Kind::Words(_) => Vec::new(),
        }
    }
}

/// Shows a notice as it will read, with everything there that it may speak of; nothing of that has happened.
fn preview(call: &Call<'_>, campaign: &Campaign, id: &str) -> Result<Text, NoAnswer> {
    let (snapshot, urgency) = (&call.snapshot, campaign.upgrade.urgency);
    let Some(notice) = snapshot.plan().notice(urgency, id) else {
        let known = snapshot.plan().notices(urgency);
        return Err(Reply::UnknownNotice {
            notice: id.to_owned(),
            hint: hint(id, known.iter().map(|n| n.id.as_str())),
        }
        .into());
    };
    let happening = notice.trigger.happening_with_fact();
    let fact = happening.map(|happening| code::sample_fact(happening, &campaign.upgrade));
    let moment = context::RenderInput {
        fact: fact.as_ref(),
        due: Some(campaign.upgrade.window.opens),
        ..Default::default()
    };
    let context = context::of(campaign, Some(notice), &snapshot.config, &moment).into();
    // What needs more than can be known now is no fault of who asks.
    Ok(snapshot
        .renderer
        .markdown(&notice.template, call.locale, &context)
        .unwrap_or_else(|error| call.text(&Reply::NotShownYet { error })))
}

/// The upgrade people mean: the one that is not finished and opens first, or else the last one.
pub fn current(upgrades: &[Campaign], now: Timestamp) -> Option<&Campaign> {
    // One whose window closed with nothing applied gives way to one that is still to come.
    let missed =
        |a: &Campaign| a.upgrade.window.closes < now && a.progress.state < State::Authorized;
    let open = upgrades
        .iter()
        .filter(|a| !a.progress.finished())
        .min_by_key(|a| (missed(a), a.upgrade.window.opens));
    open.or_else(|| upgrades.iter().max_by_key(|a| a.upgrade.window.opens))
}

pub fn next_notice<'a>(posts: impl IntoIterator<Item = &'a Post>) -> Option<&'a Post> {
    // What somebody has asked for is nobody else's business.
    let planned =
        |p: &&Post| p.state == PostState::Planned && p.is_message() && p.notice != PRIVATE_NOTICE;
    let planned = posts.into_iter().filter(planned);
    planned.min_by_key(|p| (p.due, p.rank))
}

/// For everybody: what herald itself can't do at the moment, without names of hosts.
async fn troubles(
    core: &Core,
    campaign: &Campaign,
    posts: &[Post],
) -> Result<Vec<Trouble>, StoreError> {
    let of = |kind, chain: &str, since: Timestamp| Trouble {
        kind,
        chain: Some(chain.to_owned()),
        since: Some(since.as_second()),
        ..Trouble::default()
    };
    let parts = core.store.troubles().await?;
    let blind = parts
        .iter()
        .filter_map(|(part, _, since)| Some(of("blind", part.strip_prefix("chain ")?, *since)));
    let mut said: Vec<Trouble> = blind.collect();
    for (chain, memory) in core
        .store
        .memories()
        .await?
        .into_iter()
        .filter(|(name, _)| campaign.upgrade.chains.contains_key(name))
    {
        let Some(matter) = memory.matter else {
            continue;
        };
        match matter.kind {
            MatterKind::Stalled => said.push(Trouble {
                block: Some(memory.number),
                ..of("stalled", &chain, matter.since)
            }),
            MatterKind::Lagging => said.push(of("lagging", &chain, matter.since)),
            MatterKind::Blind => {}
        }
    }
    let waiting = posts
        .iter()
        .filter(|p| p.state == PostState::Sending && p.error.is_some())
        .count();
    if waiting > 0 {
        said.push(Trouble {
            kind: "waiting",
            posts: Some(waiting),
            ..Trouble::default()
        });
    }
    Ok(said)
}

#[async_trait]
impl CommandHandler for AnswerService {
    fn admit(&self, asker: &Asker<'_>) -> Admission {
        self.rate_limiter
            .admit(asker.platform, asker.user, self.core.clock.now())
    }

    async fn answer(&self, asker: &Asker<'_>, command: &Result<Command, Misread>) -> Body {
        let (snapshot, locale) = (self.core.snapshot(), self.locale(asker));
        let renderer = &snapshot.renderer;
        let answered = match command {
            Ok(command) => self.carry_out(asker, command).await,
            Err(Misread::Verb(_)) => self.help(&snapshot, asker, None, locale),
            // Nobody learns how to give a command that they may not give.
            Err(misread @ Misread::Unreadable { verb, .. }) => {
                let denied = self.permitted(&snapshot, asker, *verb).err();
                let reply = denied.unwrap_or_else(|| misread_reply(&snapshot, misread, locale));
                Err(reply.into())
            }
            Err(misread) => Err(misread_reply(&snapshot, misread, locale).into()),
        };
        let none = || renderer.markdown("answers/none", locale, &json!({}).into());
        let text = match answered {
            Ok(text) => Ok(text),
            Err(NoAnswer::Instead(reply)) => Ok(renderer.reply(&reply, locale)),
            Err(NoAnswer::NoUpgrade) => none(),
            Err(NoAnswer::Failed(error)) => Err(error),
        };
        let text = text.unwrap_or_else(|error| {
            tracing::error!("an answer could not be made: {error}");
            renderer.reply(&Reply::NotNow, locale)
        });
        let mut body = renderer.body(&text, asker.platform, self.core.clock.now());
        if let Ok(command @ Command::Checklist { part, .. }) = command {
            body.buttons = self.to_tick(asker, command, *part).await;
        }
        body
    }

    async fn choices(&self, asker: &Asker<'_>, verb: Verb, part: &str, typed: &str) -> Vec<String> {
        let snapshot = self.core.snapshot();
        let permissions = &snapshot.config.people.permissions;
        let who = self.standing(&snapshot, asker);
        let part = verb.parts().iter().find(|p| p.name == part);
        let Some(part) = part.filter(|_| permissions.may(verb, &who).is_ok()) else {
            return Vec::new();
        };
        let mut names = self.names(&snapshot, asker, part.kind).await;
        let typed = typed.trim().to_lowercase();
        let mut seen = BTreeSet::new();
        names.retain(|name| name.to_lowercase().contains(&typed) && seen.insert(name.clone()));
        names.sort_by_key(|name| !name.to_lowercase().starts_with(&typed));
        names
    }

    async fn first_time(&self, id: &str) -> Result<bool, StoreError> {
        self.core.store.remember(id, self.core.clock.now()).await
    }

    fn now(&self) -> Timestamp {
        self.core.clock.now()
    }
}

/// The reply to a command that was not understood. A time or a length that can't be read is refused like one that
/// can't be followed.
fn misread_reply(snapshot: &ConfigSnapshot, misread: &Misread, locale: &str) -> Reply {
    let reply = requests::misread(misread, &snapshot.config);
    match reply {
        Reply::NotATime { .. } | Reply::NotALength { .. } => Reply::Cannot {
            why: snapshot.renderer.words(&reply, locale),
        },
        reply => reply,
    }
}
