//! Drives a rehearsal: settle everything, then jump to the next thing that is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Controls, EmbeddedChain, Output, Passed, Recording, Room, Scenario, SteppedClock,
    controls::ControlledChain, people::invented,
};
use crate::{
    adapters::{node::Node, store::SqlStore},
    config::{Config, UpgradeFile},
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    domain::{
        campaign::{
            Campaign,
            progress::State,
            upgrade::{Upgrade, Window},
        },
        outbox::PostState,
        plan::schedule::Offset,
    },
    listen::{feedback::Summariser, rollcall::Rollcall},
    outbox::{Core, outlets},
    plan::planner::Planner,
    ports::{Chain, Clock, Outlet, Platform, Readers, Store},
    watch::watcher::Watcher,
    words::{Renderer, context, snapshot::ConfigSnapshot},
};

/// Blocks at least so far apart; further where a plan watches for long.
const BLOCK_TIME: SignedDuration = SignedDuration::from_secs(6);
const MOST_BLOCKS: i64 = 300;
/// While a chain stands still, it is looked at so often.
const LOOK: SignedDuration = SignedDuration::from_secs(60);

pub struct Rehearsal {
    pub(super) core: Arc<Core>,
    pub(super) clock: Arc<SteppedClock>,
    /// Each chain of the upgrade, by name.
    chains: BTreeMap<String, EmbeddedChain>,
    pub(super) watcher: Watcher,
    dispatcher: Dispatcher,
    summariser: Summariser,
    rollcall: Rollcall,
    pub(super) gate: Gate,
    pub(super) planner: Planner,
    pub(super) rooms: Vec<(Platform, Arc<Room>)>,
    pub(super) act: Scenario,
    /// When the chains act.
    pub(super) window: Window,
    pub(super) output: Output,
    shown_posts: BTreeSet<String>,
    shown_facts: usize,
    pub(super) answered: bool,
    /// Posts that providers have reacted to.
    pub(super) acknowledged: BTreeSet<String>,
    /// A pause before each post, so that it can be read.
    pace: Duration,
    start: Timestamp,
    nodes: BTreeMap<String, Arc<dyn Chain>>,
    pub(super) stage: Option<Arc<Controls>>,
}

/// How it ended.
#[derive(Debug)]
pub struct RehearsalResult {
    pub fine: bool,
    pub lines: Vec<String>,
}

impl Rehearsal {
    /// Everything is set up as `herald run` would, on embedded parts.
    pub async fn prepare(
        mut config: Config,
        renderer: Arc<Renderer>,
        recordings: BTreeMap<String, Recording>,
        act: Scenario,
        output: Output,
        pace: Duration,
        stage: Option<Arc<Controls>>,
    ) -> anyhow::Result<Self> {
        let upgrade = act.upgrade.clone();
        let window = act.window(&config.plan.zone);
        let start = start_time(&config, &upgrade);
        let clock = Arc::new(SteppedClock::new(start));
        // The chain stands still until the window: its clock then goes on as if it had not.
        let first_block = window
            .opens
            .checked_add(SignedDuration::from_secs(54))
            .unwrap_or(start);
        let mut chains = BTreeMap::new();
        let mut nodes: BTreeMap<String, Arc<dyn Chain>> = BTreeMap::new();
        for (name, recording) in recordings {
            let chain = EmbeddedChain::start(recording, first_block).await?;
            let node: Arc<dyn Chain> = Arc::new(Node::new(vec![chain.url()]));
            let node = match &stage {
                Some(stage) => Arc::new(ControlledChain {
                    node,
                    stage: stage.clone(),
                    clock: clock.clone(),
                }),
                None => node,
            };
            nodes.insert(name.clone(), node);
            chains.insert(name, chain);
        }
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let rooms = Platform::ALL.map(|p| (p, Arc::new(Room::new(p))));
        let outlets = config
            .deployment
            .channels
            .iter()
            .filter_map(|(name, channel)| {
                let (_, room) = rooms.iter().find(|(p, _)| *p == channel.platform)?;
                let (place, locale, mentions) = (
                    channel.place.clone(),
                    channel.locale.clone(),
                    channel.mentions.clone(),
                );
                let outlet = Outlet {
                    platform: channel.platform,
                    chat: room.clone(),
                    place,
                    readers: channel.readers,
                    locale,
                    mentions,
                };
                Some((name.clone(), outlet))
            });
        let outlets = outlets.collect();
        let file = crate::config::SourceFile {
            name: format!("upgrade {}", upgrade.id),
            text: String::new(),
        };
        config.people = invented(&config.roster);
        config.upgrades = vec![UpgradeFile {
            upgrade: upgrade.clone(),
            file,
        }];
        let core = Arc::new(Core::new(
            ConfigSnapshot { config, renderer },
            outlets,
            clock.clone(),
            store,
        ));
        Ok(Self {
            watcher: Watcher::new(core.clone(), nodes.clone()),
            dispatcher: Dispatcher::new(core.clone()),
            summariser: Summariser::new(core.clone()),
            rollcall: Rollcall::new(core.clone()),
            gate: Gate::new(core.clone()),
            planner: Planner::new(core.clone()),
            rooms: rooms.into(),
            core,
            clock,
            chains,
            act,
            window,
            output,
            shown_posts: BTreeSet::new(),
            shown_facts: 0,
            answered: false,
            acknowledged: BTreeSet::new(),
            pace,
            start,
            nodes,
            stage,
        })
    }

    /// The services over the same store, as a process that was started again has them.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let snapshot = self.core.snapshot();
        let snapshot = ConfigSnapshot {
            config: snapshot.config.clone(),
            renderer: snapshot.renderer.clone(),
        };
        let core = Arc::new(Core::new(
            snapshot,
            self.core.outlets.clone(),
            self.clock.clone(),
            self.core.store.clone(),
        ));
        core.store.begin_anew().await?;
        self.watcher = Watcher::new(core.clone(), self.nodes.clone());
        self.dispatcher = Dispatcher::new(core.clone());
        self.summariser = Summariser::new(core.clone());
        self.rollcall = Rollcall::new(core.clone());
        self.gate = Gate::new(core.clone());
        self.planner = Planner::new(core.clone());
        self.core = core;
        self.planner.tick().await?;
        Ok(())
    }

    /// Plays the upgrade to its end, or until nothing more can come.
    pub async fn run(mut self) -> anyhow::Result<RehearsalResult> {
        let planned = self.planner.tick().await?;
        if let Some(refused) = planned.refused.first() {
            anyhow::bail!("{refused}");
        }
        let snapshot = self.core.snapshot();
        let rules = snapshot.plan().rules.clone();
        let watched = rules.healthy_for + rules.complete_after;
        let spacing =
            BLOCK_TIME.max((watched / i32::try_from(MOST_BLOCKS)?).min(rules.max_block_gap / 2));
        let mut next_block = self
            .window
            .opens
            .checked_add(SignedDuration::from_secs(60))?;
        let give_up = self
            .window
            .closes
            .checked_add(watched * 2)?
            .checked_add(snapshot.plan().feedback.open_for)?;
        self.come_to_rest().await?;
        let mut give_up = give_up;
        loop {
            let campaign = self.campaign().await?;
            if let Some(moved) = self.trouble(&campaign).await? {
                next_block = next_block.max(
                    self.window
                        .opens
                        .checked_add(SignedDuration::from_secs(60))?,
                );
                give_up = give_up.checked_add(moved)?;
            }
            let campaign = self.campaign().await?;
            let goes_on = self.chain_goes_on(&campaign);
            let due = self.next_due(&campaign).await?;
            let still = self.still_until();
            let block = goes_on.then(|| still.map_or(next_block, |until| next_block.max(until)));
            let look = still
                .map(|until| until.min(self.clock.now().saturating_add(LOOK).unwrap_or(until)));
            let Some(at) = due.into_iter().chain(block).chain(look).min() else {
                break;
            };
            if at > give_up || self.begins_again() {
                break;
            }
            self.breathe().await;
            self.clock.step_to(at);
            self.look(at, still).await?;
            if block == Some(at) {
                self.next_blocks(at);
                // Once nothing is recorded any more, an upgrade that is not applied is only waited for.
                let waits = self.left() == 0 && campaign.progress.state < State::Applied;
                next_block = at.checked_add(if waits {
                    spacing.max(rules.max_block_gap)
                } else {
                    spacing
                })?;
            }
            self.show_progress(&campaign);
            self.come_to_rest().await?;
            self.twist().await?;
        }
        let verdict = self.verdict(give_up).await?;
        self.output.finish();
        Ok(verdict)
    }

    /// What comes in between, when its time has come: a command, as an operator would give it.
    async fn twist(&mut self) -> anyhow::Result<()> {
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let Some((change, words)) = self.act.command(&posts, &self.core.snapshot().plan().zone)
        else {
            return Ok(());
        };
        self.act.twist = None;
        self.output.say(&format!("\n  ○ {words}"));
        self.core
            .store
            .request(
                &self.act.upgrade.id,
                &change,
                "an invented operator",
                self.clock.now(),
            )
            .await?;
        self.planner.tick().await?;
        self.come_to_rest().await
    }

    pub(super) async fn campaign(&self) -> anyhow::Result<Campaign> {
        self.core
            .campaign(&self.act.upgrade.id)
            .await?
            .ok_or_else(|| anyhow::anyhow!("the upgrade was not accepted"))
    }

    /// The next block of every chain; says so where the recording ends.
    fn next_blocks(&self, at: Timestamp) {
        for (name, chain) in &self.chains {
            let before = chain.synthetic();
            chain.next_block(at);
            if let Some(stage) = &self.stage {
                stage.passed(
                    name,
                    Passed {
                        number: chain.head(),
                        synthetic: chain.synthetic() > before,
                    },
                );
            }
            if before == 0 && chain.synthetic() > 0 {
                self.output.say(&format!(
                    "\n  ○ {name}: the recording ends with block {}; empty blocks go on, synthetic",
                    chain.head() - 1
                ));
            }
        }
    }

    /// Recorded blocks that are still to come.
    fn left(&self) -> usize {
        self.chains.values().map(EmbeddedChain::left).sum()
    }

    /// Blocks come while recorded ones are left, and while the upgrade is being watched.
    fn chain_goes_on(&self, campaign: &Campaign) -> bool {
        let state = campaign.progress.state;
        if campaign.progress.finished() {
            return false;
        }
        let window_open = self.clock.now() < self.window.closes;
        let watched = matches!(state, State::Applied | State::Verified);
        self.left() > 0
            || watched
            || (window_open && matches!(state, State::Authorized | State::Applying))
    }

    async fn next_due(&self, campaign: &Campaign) -> anyhow::Result<Option<Timestamp>> {
        let mut next = Vec::new();
        for channel in self.dispatcher.channels() {
            next.extend(self.core.store.next_time(&channel).await?);
        }
        next.extend(self.gate.next_time().await?);
        next.extend(self.rollcall.next_time().await?);
        if campaign.progress.feedback.is_none() {
            next.extend(context::closes(
                &campaign.progress,
                self.core.snapshot().plan(),
            ));
        }
        next.extend(campaign.votes_due());
        Ok(next.into_iter().min())
    }

    /// Lets every service come to rest: the clock does not move while anything is left to do.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            let mut busy = false;
            for (name, chain) in self.watcher.chains() {
                busy |= self.read_to_head(name, chain.as_ref()).await?;
            }
            busy |= !self.gate.tick().await?.is_empty();
            // Operators' channels first: people agree to what they have seen, before it is due.
            let readers = |name: &String| self.core.outlets.get(name).map(|o| o.readers);
            let (operators, public): (Vec<String>, Vec<String>) = self
                .dispatcher
                .channels()
                .into_iter()
                .partition(|name| readers(name) == Some(Readers::Operators));
            for channel in &operators {
                busy |= !self.dispatcher.tick(channel).await?.is_empty();
            }
            self.show().await?;
            busy |= self.people_approve().await?;
            for channel in &public {
                busy |= !self.dispatcher.tick(channel).await?.is_empty();
            }
            busy |= self.summariser.tick().await?.upgrades > 0;
            busy |= self.rollcall.tick().await?.posts > 0;
            self.show().await?;
            busy |= self.people_answer().await?;
            busy |= self.providers_answer().await?;
            if !busy {
                return Ok(());
            }
        }
    }

    /// Reads a chain to its head, chain by chain, so that two rehearsals say the same in the same order.
    /// A new head comes over a socket: it is on its way until it is read. True if there was one.
    async fn read_to_head(&self, name: &str, chain: &dyn Chain) -> anyhow::Result<bool> {
        let head = self.chains.get(name).map_or(0, EmbeddedChain::head);
        let mut busy = false;
        loop {
            busy |= self.watcher.tick(name).await? > 0;
            if self
                .core
                .store
                .memories()
                .await?
                .get(name)
                .is_some_and(|m| m.number >= head)
            {
                return Ok(busy);
            }
            tokio::time::timeout(Duration::from_secs(60), chain.changed())
                .await
                .map_err(|_| {
                    anyhow::anyhow!(
                        "block {head} of the embedded {name} did not arrive within a minute"
                    )
                })?;
        }
    }

    async fn show(&mut self) -> anyhow::Result<()> {
        for fact in self.core.store.facts().await?.iter().skip(self.shown_facts) {
            self.output.fact(fact);
            self.shown_facts += 1;
        }
        let mut posts = self.core.store.posts(&self.act.upgrade.id).await?;
        posts.retain(|p| p.state == PostState::Sent && !self.shown_posts.contains(&p.key.0));
        posts.sort_by_key(|p| (p.sent, p.rank));
        for post in posts {
            if let Some(outlet) = outlets::find(&self.core.outlets, &post.channel) {
                self.output.post(&post, outlet.platform);
            }
            self.shown_posts.insert(post.key.0);
            // Who watches on a stage has seen it in its room already.
            if self.stage.is_none() {
                tokio::time::sleep(self.pace).await;
            }
        }
        Ok(())
    }

    fn show_progress(&self, campaign: &Campaign) {
        let now = self.clock.now();
        let closes = context::closes(&campaign.progress, self.core.snapshot().plan());
        let (phase, percent) = match campaign.progress.state {
            State::Completed => ("Post-Deployment", 85),
            State::Applied | State::Verified => ("Validation", 70),
            _ if now >= self.window.opens => ("Execution", 55),
            _ => {
                let all = self
                    .window
                    .opens
                    .duration_since(self.start)
                    .as_secs()
                    .max(1);
                let done = now.duration_since(self.start).as_secs();
                let percent = u64::try_from(done * 50 / all).unwrap_or(0);
                (
                    if percent < 10 {
                        "Preparation"
                    } else {
                        "Scheduling"
                    },
                    percent,
                )
            }
        };
        let percent = if closes.is_some_and(|at| now >= at) {
            100
        } else {
            percent
        };
        self.output.progress(percent, phase, now);
    }

    async fn verdict(&mut self, give_up: Timestamp) -> anyhow::Result<RehearsalResult> {
        let campaign = self.campaign().await?;
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let count = |state: PostState| posts.iter().filter(|p| p.state == state).count();
        let said = posts
            .iter()
            .filter(|p| p.state == PostState::Sent && p.operation.rules().blocks_channel)
            .count();
        let (sent, skipped, parked) = (said, count(PostState::Skipped), count(PostState::Parked));
        let expired = count(PostState::Expired);
        let open = count(PostState::Planned) + count(PostState::Sending) + count(PostState::Held);
        let days = self.clock.now().duration_since(self.start).as_hours() / 24;
        let mut lines = vec![format!(
            "{} ({}) in {days} days: {sent} posts in {} channels, {} facts.",
            self.act.upgrade.title,
            self.act.upgrade.urgency.name(),
            self.core.outlets.len(),
            self.shown_facts
        )];
        if campaign.upgrade.given_up() {
            lines.push(format!(
                "  {}: {}",
                campaign.standing(),
                campaign.upgrade.cancelled.as_deref().unwrap_or_default()
            ));
        }
        for (name, chain) in campaign
            .progress
            .chains
            .iter()
            .filter(|_| !campaign.upgrade.given_up())
        {
            let version = chain.spec_version.map_or("no block seen".to_owned(), |v| {
                format!("runs spec_version {v}")
            });
            let proof = chain
                .applied
                .as_ref()
                .map(|f| format!(", proven in block {}", f.block))
                .unwrap_or_default();
            lines.push(format!(
                "  {name}: {}, {version}{proof}",
                chain.stage.name()
            ));
        }
        let synthetic: usize = self.chains.values().map(EmbeddedChain::synthetic).sum();
        if synthetic > 0 {
            lines.push(format!(
                "  {synthetic} blocks behind the recording were synthetic and empty"
            ));
        }
        if let Some(feedback) = &campaign.progress.feedback {
            let counts: Vec<String> = feedback
                .reactions
                .iter()
                .map(|c| format!("{} {}", c.emoji, c.count))
                .collect();
            lines.push(format!(
                "  feedback: {}, {} replies",
                counts.join(", "),
                feedback.replies
            ));
        }
        for (state, number) in [
            ("skipped", skipped),
            ("expired", expired),
            ("parked", parked),
            ("still open", open),
        ] {
            if number > 0 {
                lines.push(format!("  {state}: {number} posts"));
            }
        }
        for post in posts.iter().filter(|p| p.state == PostState::Parked) {
            lines.push(format!(
                "    {} in {}: {}",
                post.notice,
                post.channel,
                post.error.as_deref().unwrap_or("no reason kept")
            ));
        }
        let fine = campaign.progress.finished() && parked == 0 && open == 0;
        if !fine {
            let zone = self.core.snapshot().renderer.zone().written(give_up);
            lines.push(format!(
                "  Not completed: the upgrade is {}; nothing more came by {zone}.",
                campaign.standing()
            ));
        }
        Ok(RehearsalResult { fine, lines })
    }
}

/// What each chain of an upgrade plays: the recording where it reaches the chain's target, and the
/// embedded one under the target's number elsewhere. A recording asked for is played in any case.
pub fn cast(
    upgrade: &Upgrade,
    asked: Option<Recording>,
) -> Result<BTreeMap<String, Recording>, String> {
    let mut parts = BTreeMap::new();
    if let Some(recording) = asked {
        let (_, reached) = recording.versions();
        let fitting = upgrade
            .chains
            .iter()
            .find(|(_, t)| t.spec_version == reached)
            .or_else(|| upgrade.chains.iter().next());
        parts.extend(fitting.map(|(name, _)| (name.clone(), recording)));
    }
    for (name, target) in &upgrade.chains {
        if !parts.contains_key(name) {
            parts.insert(
                name.clone(),
                Recording::embedded()?.renumbered(target.spec_version),
            );
        }
    }
    Ok(parts)
}

/// An hour before the first notice by the clock.
fn start_time(config: &Config, upgrade: &Upgrade) -> Timestamp {
    let epoch = upgrade
        .window
        .opens
        .checked_sub(SignedDuration::from_hours(24 * 400))
        .unwrap_or(upgrade.window.opens);
    let posts = crate::plan::planner::timed(upgrade, 1, &config.plan, epoch);
    let first = posts
        .iter()
        .map(|p| p.due)
        .min()
        .unwrap_or(upgrade.window.opens)
        .min(upgrade.window.opens);
    Offset::Exact(-3600)
        .from(first, &config.plan.zone)
        .unwrap_or(first)
}
