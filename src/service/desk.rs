//! Answers people's commands from the store alone, so that an answer never waits for the outside.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Core,
    context::{self, Trouble},
    gate::{Gate, Who},
};
use crate::{
    config::{Readers, suggest},
    domain::{
        fact::FactKind,
        language::DEFAULT,
        phase::State,
        post::{Body, Operation, Post, PostState},
    },
    ports::{Accepting, Asker, Desk, Platform, StoreError},
    template::{Text, escape},
};

pub struct FrontDesk {
    core: Arc<Core>,
    gate: Gate,
}

impl FrontDesk {
    pub fn new(core: Arc<Core>) -> Self {
        Self { gate: Gate::new(core.clone()), core }
    }

    /// The language of an answer: that of the channel it was asked in, elsewhere of the platform's first one, the
    /// public's before operators'.
    fn locale(&self, asker: &Asker<'_>) -> &str {
        let here = self.core.outlets.values().filter(|o| o.platform == asker.platform);
        here.min_by_key(|o| (o.place != asker.place, o.readers != Readers::Public)).map_or(DEFAULT, |o| &o.locale)
    }

    /// What herald can be asked, or with a topic, what to do about a problem.
    fn help(&self, topic: Option<&str>, locale: &str) -> Result<Text, String> {
        let book = self.core.book();
        let help = &book.config.help;
        let found = topic.and_then(|id| help.topic(id));
        match topic.filter(|_| found.is_none() && !help.topics.is_empty()) {
            Some(unknown) => {
                let hint = suggest(unknown, help.topics.iter().map(|t| t.id.as_str()).collect::<Vec<_>>());
                Ok(said(&format!("I have no help on {unknown}: {}", hint.replace('`', ""))))
            }
            None => book.renderer.markdown("answers/help", locale, &context::of_help(&book.config, found).into()),
        }
    }

    /// What waits for approval is no matter of the public, so it is spoken of among operators alone.
    async fn approve(&self, asker: &Asker<'_>, code: &str) -> String {
        let mut here = self.core.outlets.values().filter(|o| o.platform == asker.platform && o.place == asker.place);
        if !here.any(|o| o.readers == Readers::Operators) {
            return "Approvals are given in the operators' channel. Please write that there.".to_owned();
        }
        let (Ok(answer) | Err(answer)) = self.gate.approve(code, Who::Account(asker.platform, asker.user)).await;
        answer
    }

    async fn status(&self, platform: Platform, locale: &str) -> Result<Text, String> {
        let upgrades = self.core.store.upgrades().await.map_err(|e| e.to_string())?;
        let Some(accepted) = current(&upgrades, self.core.clock.now()) else {
            return self.core.book().renderer.markdown("answers/none", locale, &json!({}).into());
        };
        let posts = self.core.store.posts(&accepted.upgrade.id).await.map_err(|e| e.to_string())?;
        let next = next_notice(&posts);
        let thread = self.thread(accepted, platform).await.map_err(|e| e.to_string())?;
        let troubles = troubles(&self.core, accepted, &posts).await.map_err(|e| e.to_string())?;
        let moment = context::Moment {
            thread: thread.as_deref(),
            next: next.map(|p| (p.notice.as_str(), p.due)),
            troubles: &troubles,
            ..Default::default()
        };
        let book = self.core.book();
        book.renderer.markdown("answers/status", locale, &context::of(accepted, None, &book.config, &moment).into())
    }

    /// The feedback thread on the asker's own platform.
    async fn thread(&self, accepted: &Accepting, platform: Platform) -> Result<Option<String>, StoreError> {
        for (channel, _) in self.core.outlets.iter().filter(|(_, o)| o.platform == platform) {
            if let Some(link) = self.core.store.sent(&accepted.upgrade.id, channel, Operation::Thread).await?.and_then(|p| p.link) {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }
}

/// An answer that comes from no template: what it holds can't format, link or mention.
fn said(words: &str) -> Text {
    Text::english(escape(words))
}

/// The upgrade people mean: the one that is not finished and opens first, or else the last one.
pub fn current(upgrades: &[Accepting], now: Timestamp) -> Option<&Accepting> {
    // One whose window closed with nothing applied gives way to one that is still to come.
    let missed = |a: &Accepting| a.upgrade.window.closes < now && a.progress.state < State::Authorized;
    let open = upgrades.iter().filter(|a| !a.progress.finished()).min_by_key(|a| (missed(a), a.upgrade.window.opens));
    open.or_else(|| upgrades.iter().max_by_key(|a| a.upgrade.window.opens))
}

pub fn next_notice(posts: &[Post]) -> Option<&Post> {
    posts.iter().filter(|p| p.state == PostState::Planned && p.operation == Operation::Post).min_by_key(|p| (p.due, p.rank))
}

/// For everybody: what herald itself can't do at the moment, without names of hosts.
async fn troubles(core: &Core, accepted: &Accepting, posts: &[Post]) -> Result<Vec<Trouble>, StoreError> {
    let of = |kind, chain: &str, since: Timestamp| Trouble {
        kind,
        chain: Some(chain.to_owned()),
        since: Some(since.as_second()),
        ..Trouble::default()
    };
    let parts = core.store.troubles().await?;
    let blind = parts.iter().filter_map(|(part, _, since)| Some(of("blind", part.strip_prefix("chain ")?, *since)));
    let mut said: Vec<Trouble> = blind.collect();
    for (chain, memory) in core.store.memories().await?.into_iter().filter(|(name, _)| accepted.upgrade.chains.contains_key(name)) {
        let Some(matter) = memory.matter else { continue };
        match matter.kind {
            FactKind::Stalled => said.push(Trouble { block: Some(memory.number), ..of("stalled", &chain, matter.since) }),
            FactKind::Lagging => said.push(of("lagging", &chain, matter.since)),
            _ => {}
        }
    }
    let waiting = posts.iter().filter(|p| p.state == PostState::Sending && p.error.is_some()).count();
    if waiting > 0 {
        said.push(Trouble { kind: "waiting", posts: Some(waiting), ..Trouble::default() });
    }
    Ok(said)
}

#[async_trait]
impl Desk for FrontDesk {
    async fn answer(&self, asker: &Asker<'_>, words: &[&str]) -> Body {
        let (platform, locale) = (asker.platform, self.locale(asker));
        let text = match words {
            [] | ["status"] => self.status(platform, locale).await,
            ["approve", code] => Ok(said(&self.approve(asker, code).await)),
            ["approve", ..] => Ok(said("Please write the code that stands above the text you approve, such as approve k7m2qx.")),
            ["help", topic, ..] => self.help(Some(topic), locale),
            _ => self.help(None, locale),
        };
        let text = text.unwrap_or_else(|error| {
            tracing::error!("an answer could not be made: {error}");
            Text::english("I can't look that up just now. Please try again in a minute.")
        });
        self.core.book().renderer.body(&text, platform, self.core.clock.now())
    }

    async fn first_time(&self, id: &str) -> bool {
        self.core.store.remember(id, self.core.clock.now()).await.unwrap_or(false)
    }

    fn now(&self) -> Timestamp {
        self.core.clock.now()
    }
}
