//! Answers people's commands from the store alone, so that an answer never waits for the outside.

pub(crate) mod rate_limit;
mod team;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use self::rate_limit::RateLimiter;
use crate::{
    config::suggest,
    deliver::approval::{
        code,
        gate::{Approver, Gate},
    },
    domain::{
        campaign::{Campaign, progress::State},
        chain::observation::MatterKind,
        outbox::{Body, Operation, Post, PostState},
        people::{
            command::{Kind, Misread, Order, Verb},
            permission::{Denial, Role, Standing},
            roster::Claim,
        },
        plan::{
            language::DEFAULT,
            notice::{PRIVATE, Trigger},
        },
    },
    listen::rollcall,
    outbox::Core,
    plan::reminders,
    ports::{Admission, Asker, CommandHandler, Platform, Readers, Rights, StoreError},
    report,
    words::{
        Text,
        context::{self, Trouble},
        escape,
        snapshot::ConfigSnapshot,
    },
};

pub struct AnswerService {
    core: Arc<Core>,
    gate: Gate,
    manners: RateLimiter,
}

impl AnswerService {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            gate: Gate::new(core.clone()),
            core,
            manners: RateLimiter::default(),
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
            .map_or(DEFAULT, |o| &o.locale)
    }

    /// What herald can be asked by somebody, or with a topic, what to do about a problem.
    fn help(&self, asker: &Asker<'_>, topic: Option<&str>, locale: &str) -> Result<Text, String> {
        let snapshot = self.core.snapshot();
        let help = &snapshot.config.help;
        let found = topic.and_then(|id| help.topic(id));
        match topic.filter(|_| found.is_none() && !help.topics.is_empty()) {
            Some(unknown) => {
                let hint = suggest(
                    unknown,
                    help.topics
                        .iter()
                        .map(|t| t.id.as_str())
                        .collect::<Vec<_>>(),
                );
                Ok(said(&format!(
                    "I have no help on {unknown}: {}",
                    hint.replace('`', "")
                )))
            }
            None => {
                let who = self.standing(&snapshot, asker);
                let may: Vec<Verb> = Verb::ALL
                    .into_iter()
                    .filter(|v| snapshot.config.people.permissions.may(*v, &who).is_ok())
                    .collect();
                snapshot.renderer.markdown(
                    "answers/help",
                    locale,
                    &context::of_help(&snapshot.config, found, &may).into(),
                )
            }
        }
    }

    /// What is known of who asks, and where.
    fn standing(&self, snapshot: &ConfigSnapshot, asker: &Asker<'_>) -> Standing {
        let people = &snapshot.config.people;
        let person = people.by_account(asker.platform, asker.user);
        let mut here = self
            .core
            .outlets
            .values()
            .filter(|o| o.platform == asker.platform && o.place == asker.place);
        let among_operators = here.any(|o| o.readers == Readers::Operators);
        let mut roles: BTreeSet<Role> = person.iter().flat_map(|p| &p.roles).copied().collect();
        let permissions = &people.permissions;
        match (asker.platform.capabilities().rights, asker.power) {
            (Rights::Roles, _) => {
                roles.extend(permissions.by_discord_roles(asker.roles.iter().map(String::as_str)))
            }
            // Power in any other room is nothing to us.
            (Rights::PowerLevels, Some(level)) if among_operators => {
                roles.extend(permissions.by_power(level))
            }
            (Rights::PowerLevels | Rights::Unsupported, _) => {}
        }
        Standing {
            roles,
            mapped: person.is_some(),
            among_operators,
        }
    }

    /// Why somebody may not give a command, in words; and where they may, who they are for the record.
    fn permitted(
        &self,
        snapshot: &ConfigSnapshot,
        asker: &Asker<'_>,
        verb: Verb,
    ) -> Result<String, String> {
        let (people, who) = (&snapshot.config.people, self.standing(snapshot, asker));
        let name = people
            .by_account(asker.platform, asker.user)
            .map_or_else(|| asker.user.to_owned(), |p| p.name.clone());
        let denial = match people.permissions.may(verb, &who) {
            Ok(()) => return Ok(format!("{name} on {}", asker.platform.name())),
            Err(denial) => denial,
        };
        tracing::warn!(
            user = asker.user,
            place = asker.place,
            command = verb.name(),
            "denied: {denial:?}"
        );
        Err(match denial {
            Denial::Place if verb == Verb::Approve => "Approvals are given in the operators' channel. Please write that there.".to_owned(),
            Denial::Place => format!("{} is given in the operators' channel. Please write it there.", verb.name()),
            Denial::Unmapped => "I don't know your account. Who may approve stands in people.yaml; please ask there.".to_owned(),
            Denial::Role => {
                let roles: Vec<&str> = people.permissions.of(verb).unwrap_or_default().into_iter().map(Role::people).collect();
                let roles = if roles.is_empty() { "nobody".to_owned() } else { roles.join(" and ") };
                format!("{} is for {roles}; people.yaml says who they are.", verb.name())
            }
        })
    }

    /// The upgrade that is meant: the one named, or else the one that is under way.
    async fn meant(&self, order: &Order) -> Result<Result<Option<Campaign>, String>, StoreError> {
        let upgrades = self.core.store.upgrades().await?;
        let Some(id) = order.get("upgrade") else {
            return Ok(Ok(current(&upgrades, self.core.clock.now()).cloned()));
        };
        let named = |a: &&Campaign| a.upgrade.id == id || a.upgrade.joined.as_deref() == Some(id);
        let ids = || {
            upgrades
                .iter()
                .map(|a| a.upgrade.id.as_str())
                .collect::<Vec<_>>()
        };
        Ok(match upgrades.iter().find(named) {
            Some(found) => Ok(Some(found.clone())),
            None => Err(format!(
                "I know no upgrade {id}: {}",
                suggest(id, ids()).replace('`', "")
            )),
        })
    }

    async fn carry_out(&self, asker: &Asker<'_>, order: &Order) -> Result<Text, String> {
        let (snapshot, locale) = (self.core.snapshot(), self.locale(asker));
        let author = match self.permitted(&snapshot, asker, order.verb) {
            Ok(author) => author,
            Err(denied) => return Ok(said(&denied)),
        };
        match order.verb {
            Verb::Help => return self.help(asker, order.get("topic"), locale),
            Verb::Approve => {
                let code = order.need("code");
                let open = self.gate.pending().await.map_err(|e| e.to_string())?;
                let of = open
                    .into_iter()
                    .find(|o| o.consent.code == code)
                    .map(|o| o.upgrade)
                    .unwrap_or_default();
                let (Ok(answer) | Err(answer)) = self
                    .gate
                    .approve(code, Approver::Account(asker.platform, asker.user))
                    .await;
                self.write_down(&of, asker, order, &author, &answer).await;
                return Ok(said(&answer));
            }
            _ => {}
        }
        let campaign = match self.meant(order).await.map_err(|e| e.to_string())? {
            Ok(Some(campaign)) => campaign,
            Ok(None) => {
                return snapshot
                    .renderer
                    .markdown("answers/none", locale, &json!({}).into());
            }
            Err(unknown) => return Ok(said(&unknown)),
        };
        match order.verb {
            Verb::Status => self.status(&campaign, asker.platform, locale).await,
            Verb::Schedule => self.shown(&snapshot, "answers/schedule", &campaign, locale),
            Verb::Checklist => {
                self.checklist(&snapshot, &campaign, asker, order.get("part"), locale)
            }
            Verb::Ack => {
                self.claim(&campaign, asker, Claim::Acknowledged, None)
                    .await
            }
            Verb::Ready => {
                self.claim(&campaign, asker, Claim::Ready, order.get("node"))
                    .await
            }
            Verb::Feedback | Verb::Withdraw => self
                .tell(&campaign, asker, order.get("text"))
                .await
                .map(|words| said(&words))
                .map_err(|e| e.to_string()),
            Verb::Subscribe => {
                let written = |at| snapshot.renderer.zone().written(at);
                let told = reminders::subscribe(
                    &self.core,
                    &campaign,
                    asker,
                    order.get("before"),
                    written,
                )
                .await;
                told.map(|words| said(&words)).map_err(|e| e.to_string())
            }
            Verb::Report => {
                self.write_down(&campaign.upgrade.id, asker, order, &author, "shown")
                    .await;
                let posts = self
                    .core
                    .store
                    .posts(&campaign.upgrade.id)
                    .await
                    .map_err(|e| e.to_string())?;
                Ok(said(&report::in_short(&snapshot, &campaign, &posts)))
            }
            Verb::Preview => preview(&snapshot, &campaign, order.need("notice"), locale),
            _ => {
                self.ordered(&snapshot, &campaign, asker, order, &author)
                    .await
            }
        }
    }

    async fn claim(
        &self,
        campaign: &Campaign,
        asker: &Asker<'_>,
        claim: Claim,
        node: Option<&str>,
    ) -> Result<Text, String> {
        rollcall::claim(&self.core, campaign, asker, claim, node)
            .await
            .map(|words| said(&words))
            .map_err(|e| e.to_string())
    }

    /// What an upgrade's file and the plan say of it now.
    fn shown(
        &self,
        snapshot: &ConfigSnapshot,
        template: &str,
        campaign: &Campaign,
        locale: &str,
    ) -> Result<Text, String> {
        let moment = context::RenderInput {
            due: Some(self.core.clock.now()),
            ..Default::default()
        };
        snapshot.renderer.markdown(
            template,
            locale,
            &context::of(campaign, None, &snapshot.config, &moment).into(),
        )
    }

    async fn status(
        &self,
        campaign: &Campaign,
        platform: Platform,
        locale: &str,
    ) -> Result<Text, String> {
        let posts = self
            .core
            .store
            .posts(&campaign.upgrade.id)
            .await
            .map_err(|e| e.to_string())?;
        let next = next_notice(&posts);
        let thread = self
            .thread(campaign, platform)
            .await
            .map_err(|e| e.to_string())?;
        let troubles = troubles(&self.core, campaign, &posts)
            .await
            .map_err(|e| e.to_string())?;
        let moment = context::RenderInput {
            thread: thread.as_deref(),
            next: next.map(|p| (p.notice.as_str(), p.due)),
            troubles: &troubles,
            ..Default::default()
        };
        let snapshot = self.core.snapshot();
        snapshot.renderer.markdown(
            "answers/status",
            locale,
            &context::of(campaign, None, &snapshot.config, &moment).into(),
        )
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
}

/// An answer that comes from no template: what it holds can't format, link or mention. Several lines are a list.
fn said(words: &str) -> Text {
    let lines: Vec<String> = words
        .lines()
        .filter(|l| !l.trim().is_empty())
        .map(escape)
        .collect();
    match lines.as_slice() {
        [line] => Text::english(line.clone()),
        lines => Text::english(
            lines
                .iter()
                .map(|line| format!("- {line}\n"))
                .collect::<String>(),
        ),
    }
}

/// What a notice will say, with everything there that it may speak of; nothing of that has happened.
fn preview(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    id: &str,
    locale: &str,
) -> Result<Text, String> {
    let urgency = campaign.upgrade.urgency;
    let Some(notice) = snapshot.plan().notice(urgency, id) else {
        let known = snapshot
            .plan()
            .notices(urgency)
            .iter()
            .map(|n| n.id.as_str())
            .collect::<Vec<_>>();
        return Ok(said(&format!(
            "The plan has no notice {id}: {}",
            suggest(id, known).replace('`', "")
        )));
    };
    let fact = match notice.trigger {
        Trigger::On(happening) if !happening.without_fact() => {
            Some(code::sample_fact(happening, &campaign.upgrade))
        }
        _ => None,
    };
    let moment = context::RenderInput {
        fact: fact.as_ref(),
        due: Some(campaign.upgrade.window.opens),
        ..Default::default()
    };
    let context = context::of(campaign, Some(notice), &snapshot.config, &moment).into();
    // What needs more than can be known now is no fault of who asks.
    Ok(snapshot
        .renderer
        .markdown(&notice.template, locale, &context)
        .unwrap_or_else(|error| said(&format!("That can't be shown yet: {error}"))))
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

pub fn next_notice(posts: &[Post]) -> Option<&Post> {
    // What somebody has asked for is nobody else's business.
    let public = |p: &&Post| p.state == PostState::Planned && p.is_message() && p.notice != PRIVATE;
    posts.iter().filter(public).min_by_key(|p| (p.due, p.rank))
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
    fn listens(&self, asker: &Asker<'_>) -> Admission {
        self.manners
            .listens(asker.platform, asker.user, self.core.clock.now())
    }

    async fn answer(&self, asker: &Asker<'_>, order: &Result<Order, Misread>) -> Body {
        let platform = asker.platform;
        let text = match order {
            Ok(order) => self.carry_out(asker, order).await,
            Err(Misread::Verb(_)) => self.help(asker, None, self.locale(asker)),
            Err(Misread::Missing {
                verb: Verb::Approve,
                ..
            }) => Ok(said(
                "Please write the code that stands above the text you approve, such as approve k7m2qx.",
            )),
            Err(misread) => Ok(said(&format!("I don't understand that: {misread}."))),
        };
        let text = text.unwrap_or_else(|error| {
            tracing::error!("an answer could not be made: {error}");
            Text::english("I can't look that up just now. Please try again in a minute.")
        });
        let mut body = self
            .core
            .snapshot()
            .renderer
            .body(&text, platform, self.core.clock.now());
        if let Ok(order) = order
            && order.verb == Verb::Checklist
        {
            body.buttons = self.to_tick(asker, order).await;
        }
        body
    }

    async fn choices(&self, asker: &Asker<'_>, verb: Verb, part: &str, typed: &str) -> Vec<String> {
        let snapshot = self.core.snapshot();
        let kind = verb.parts().iter().find(|p| p.name == part).map(|p| p.kind);
        if snapshot
            .config
            .people
            .permissions
            .may(verb, &self.standing(&snapshot, asker))
            .is_err()
        {
            return Vec::new();
        }
        let mut all: Vec<String> = match kind {
            Some(Kind::Topic) => snapshot
                .config
                .help
                .topics
                .iter()
                .map(|t| t.id.clone())
                .collect(),
            Some(Kind::Notice) => snapshot
                .plan()
                .all_notices()
                .map(|(_, n)| n.id.clone())
                .collect(),
            Some(Kind::Upgrade) => {
                let upgrades = self.core.store.upgrades().await.unwrap_or_default();
                upgrades.into_iter().rev().map(|a| a.upgrade.id).collect()
            }
            Some(Kind::List) => ["process", "validators"].map(str::to_owned).to_vec(),
            Some(Kind::Before) => ["1h", "10m", "1d", "off"].map(str::to_owned).to_vec(),
            Some(Kind::Item) => snapshot
                .config
                .checklist
                .process
                .iter()
                .map(|i| i.item.clone())
                .collect(),
            Some(Kind::Channel) => std::iter::once("all".to_owned())
                .chain(self.core.outlets.keys().cloned())
                .collect(),
            Some(Kind::Node) => {
                let known = snapshot.config.people.known(
                    &snapshot.config.roster,
                    asker.platform,
                    asker.user,
                );
                known
                    .provider
                    .iter()
                    .flat_map(|p| &p.nodes)
                    .map(|n| n.name.clone())
                    .collect()
            }
            Some(Kind::Code) => {
                let open = self.gate.pending().await.unwrap_or_default();
                open.into_iter()
                    .filter(|o| !o.consent.complete())
                    .map(|o| o.consent.code)
                    .collect()
            }
            _ => Vec::new(),
        };
        let typed = typed.trim().to_lowercase();
        let mut seen = BTreeSet::new();
        all.retain(|choice| choice.to_lowercase().contains(&typed) && seen.insert(choice.clone()));
        all.sort_by_key(|choice| !choice.to_lowercase().starts_with(&typed));
        all
    }

    async fn first_time(&self, id: &str) -> bool {
        self.core
            .store
            .remember(id, self.core.clock.now())
            .await
            .unwrap_or(false)
    }

    fn now(&self) -> Timestamp {
        self.core.clock.now()
    }
}
