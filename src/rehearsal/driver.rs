//! Drives a rehearsal: settle everything, then jump to the next thing that is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    chain::EmbeddedChain,
    clock::SteppedClock,
    controls::{ControlledChain, Controls, SeenBlock},
    people::{InventedPeople, invented},
    recording::Recording,
    report::Output,
    scenario::Scenario,
    services::RehearsalServices,
};
use crate::{
    adapters::{node::Node, room::Room, store::SqlStore},
    config::{Config, Plan, UpgradeFile},
    domain::{
        campaign::{
            Campaign,
            progress::State,
            upgrade::{Upgrade, Urgency, Window},
        },
        outbox::{Post, PostState},
        plan::schedule::Offset,
    },
    outbox::{Core, outlets},
    ports::{Chain, Clock, Outlet, Platform, Readers, Store},
    words::{Renderer, context, snapshot::ConfigSnapshot},
};

/// Blocks are at least this far apart; further where a plan watches for long.
const BLOCK_TIME: SignedDuration = SignedDuration::from_secs(6);
/// Blocks that are made while an upgrade is watched.
const MAX_BLOCKS: i64 = 300;
/// A chain that stands still is looked at this often.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// The chains' first blocks come this long after the window opens, and the next ones from then on.
const FIRST_BLOCK_AFTER: SignedDuration = SignedDuration::from_secs(54);
const NEXT_BLOCK_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// The head of an embedded chain arrives within this time, or the rehearsal ends.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A scenario that is played with the services of `herald run`.
pub struct Rehearsal {
    pub(super) core: Arc<Core>,
    pub(super) clock: Arc<SteppedClock>,
    /// Each chain of the upgrade, by name, and the client that reads it.
    chains: BTreeMap<String, EmbeddedChain>,
    nodes: BTreeMap<String, Arc<dyn Chain>>,
    pub(super) services: RehearsalServices,
    pub(super) rooms: Vec<(Platform, Arc<Room>)>,
    pub(super) scenario: Scenario,
    /// The window in which the chains act.
    pub(super) window: Window,
    start: Timestamp,
    pub(super) output: Output,
    shown: AlreadyShown,
    pub(super) people: InventedPeople,
    /// A pause after each post, so that it can be read.
    pace: Duration,
    /// The controls, where a viewer takes part.
    pub(super) controls: Option<Arc<Controls>>,
}

/// The posts and facts that the output has shown already.
#[derive(Default)]
struct AlreadyShown {
    /// The keys of posts.
    posts: BTreeSet<String>,
    facts: usize,
}

/// A scenario with everything that it is played with.
pub struct RehearsalOptions {
    pub scenario: Scenario,
    /// The recording that each chain of the upgrade plays.
    pub recordings: BTreeMap<String, Recording>,
    pub output: Output,
    /// The time at which herald knows of the upgrade, if that is not an hour before its first notice by the clock.
    pub begins: Option<Timestamp>,
    /// A pause after each post, so that it can be read.
    pub pace: Duration,
    /// The controls, where a viewer takes part.
    pub controls: Option<Arc<Controls>>,
}

/// How a rehearsal ended.
#[derive(Debug)]
pub struct RehearsalResult {
    pub fine: bool,
    pub lines: Vec<String>,
}

impl Rehearsal {
    /// Sets everything up as `herald run` would, on embedded parts.
    pub async fn prepare(
        mut config: Config,
        renderer: Arc<Renderer>,
        options: RehearsalOptions,
    ) -> anyhow::Result<Self> {
        let RehearsalOptions {
            scenario,
            recordings,
            output,
            begins,
            pace,
            controls,
        } = options;
        let upgrade = scenario.upgrade.clone();
        let window = scenario.window(&config.plan.zone);
        let start = begins.unwrap_or_else(|| start_time(&config, &upgrade));
        let clock = Arc::new(SteppedClock::new(start));
        // The chain stands still until the window: its clock then goes on as if it had not.
        let first_block = window.opens.checked_add(FIRST_BLOCK_AFTER).unwrap_or(start);
        let mut chains = BTreeMap::new();
        let mut nodes: BTreeMap<String, Arc<dyn Chain>> = BTreeMap::new();
        for (name, recording) in recordings {
            let chain = EmbeddedChain::start(recording, first_block).await?;
            let node: Arc<dyn Chain> = Arc::new(Node::new(vec![chain.url()]));
            let node = match &controls {
                Some(controls) => Arc::new(ControlledChain {
                    node,
                    controls: controls.clone(),
                    clock: clock.clone(),
                }),
                None => node,
            };
            nodes.insert(name.clone(), node);
            chains.insert(name, chain);
        }
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let rooms = Platform::ALL.map(|p| (p, Arc::new(Room::new(p))));
        let outlets = outlets(&config, &rooms);
        let file = crate::config::SourceFile {
            name: format!("upgrade {}", upgrade.id),
            text: String::new(),
        };
        config.people = invented(&config.roster);
        config.upgrades = vec![UpgradeFile { upgrade, file }];
        let snapshot = ConfigSnapshot { config, renderer };
        let core = Arc::new(Core::new(snapshot, outlets, clock.clone(), store));
        Ok(Self {
            services: RehearsalServices::new(&core, &nodes),
            rooms: rooms.into(),
            core,
            clock,
            chains,
            nodes,
            scenario,
            window,
            start,
            output,
            shown: AlreadyShown::default(),
            people: InventedPeople::default(),
            pace,
            controls,
        })
    }

    /// Puts new services over the same store, as a process that was started again has them.
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
        self.services = RehearsalServices::new(&core, &self.nodes);
        self.core = core;
        self.services.planner.tick().await?;
        Ok(())
    }

    /// Plays the upgrade to its end, or until nothing more can come.
    pub async fn run(mut self) -> anyhow::Result<RehearsalResult> {
        let planned = self.services.planner.tick().await?;
        if let Some(refused) = planned.refused.first() {
            anyhow::bail!("{refused}");
        }
        let snapshot = self.core.snapshot();
        let posts = self.posts().await?;
        let comes = |skipped: &Post| {
            let is_same = |p: &Post| p.notice == skipped.notice && p.state == PostState::Planned;
            posts.iter().any(is_same)
        };
        let mut past = planned.skipped.clone();
        past.retain(|skipped| !comes(skipped));
        let left_out = titles(snapshot.plan(), self.scenario.upgrade.urgency, &past);
        if !left_out.is_empty() {
            self.output.say(&format!(
                "The time of these notices has passed, so they are left out: {}. `--from-start` plays them too.",
                left_out.join("; ")
            ));
        }
        let rules = snapshot.plan().rules.clone();
        let watched = rules.healthy_for + rules.complete_after;
        let spacing =
            BLOCK_TIME.max((watched / i32::try_from(MAX_BLOCKS)?).min(rules.max_block_gap / 2));
        let mut next_block = self.window.opens.checked_add(NEXT_BLOCK_AFTER)?;
        let give_up = self
            .window
            .closes
            .checked_add(watched * 2)?
            .checked_add(snapshot.plan().feedback.open_for)?;
        self.come_to_rest().await?;
        let mut give_up = give_up;
        loop {
            let campaign = self.campaign().await?;
            if let Some(moved) = self.inject_faults(&campaign).await? {
                next_block = next_block.max(self.window.opens.checked_add(NEXT_BLOCK_AFTER)?);
                give_up = give_up.checked_add(moved)?;
            }
            let campaign = self.campaign().await?;
            let goes_on = self.chain_goes_on(&campaign);
            let due = self.next_due(&campaign).await?;
            let still = self.still_until();
            let block = goes_on.then(|| still.map_or(next_block, |until| next_block.max(until)));
            let look = still.map(|until| {
                until.min(self.clock.now().saturating_add(LOOK_EVERY).unwrap_or(until))
            });
            let Some(at) = due.into_iter().chain(block).chain(look).min() else {
                break;
            };
            if at > give_up || self.begins_again() {
                break;
            }
            self.pause().await;
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
            self.make_planned_change().await?;
        }
        let result = self.result(give_up).await?;
        self.output.finish();
        Ok(result)
    }

    /// Makes the scenario's own change when its time has come, by a command as an operator would give it.
    async fn make_planned_change(&mut self) -> anyhow::Result<()> {
        if self.scenario.change.is_none() {
            return Ok(());
        }
        let posts = self.posts().await?;
        let snapshot = self.core.snapshot();
        let Some((change, words)) = self.scenario.command(&posts, &snapshot.plan().zone) else {
            return Ok(());
        };
        self.scenario.change = None;
        self.output.say(&format!("\n  ○ {words}"));
        self.core
            .store
            .request(
                &self.scenario.upgrade.id,
                &change,
                "an invented operator",
                self.clock.now(),
            )
            .await?;
        self.services.planner.tick().await?;
        self.come_to_rest().await
    }

    pub(super) async fn campaign(&self) -> anyhow::Result<Campaign> {
        self.core
            .campaign(&self.scenario.upgrade.id)
            .await?
            .ok_or_else(|| anyhow::anyhow!("the upgrade was not accepted"))
    }

    /// The next block of every chain; says so where the recording ends.
    fn next_blocks(&self, at: Timestamp) {
        for (name, chain) in &self.chains {
            let before = chain.synthetic();
            chain.next_block(at);
            if let Some(controls) = &self.controls {
                controls.add_block(
                    name,
                    SeenBlock {
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
        for channel in self.services.dispatcher.channels() {
            next.extend(self.core.store.next_time(&channel).await?);
        }
        next.extend(self.services.gate.next_time().await?);
        next.extend(self.services.rollcall.next_time().await?);
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
    /// What is shown, and what people do, follows from posts and facts, so it is looked at after those that change them.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        // Operators' channels first: people agree to what they have seen, before it is due.
        let readers = |name: &String| self.core.outlets.get(name).map(|o| o.readers);
        let channels = self.services.dispatcher.channels();
        let (operators, public): (Vec<String>, Vec<String>) = channels
            .into_iter()
            .partition(|name| readers(name) == Some(Readers::Operators));
        loop {
            let mut busy = false;
            for (name, chain) in self.services.watcher.chains() {
                busy |= self.read_to_head(name, chain.as_ref()).await?;
            }
            if busy {
                self.show_facts().await?;
            }
            let mut posted = !self.services.gate.tick().await?.is_empty();
            posted |= self.post_in(&operators).await?;
            if posted {
                self.show_posts(&self.posts().await?).await;
                busy |= self.people_approve().await?;
            }
            posted |= self.post_in(&public).await?;
            posted |= self.services.summariser.tick().await?.upgrades > 0;
            posted |= self.services.rollcall.tick().await?.posts > 0;
            if posted {
                let posts = self.posts().await?;
                self.show_posts(&posts).await;
                self.people_answer(&posts);
                self.providers_answer(&posts).await?;
            }
            if !busy && !posted {
                return Ok(());
            }
        }
    }

    /// Posts what is due in some channels. True if anything was.
    async fn post_in(&self, channels: &[String]) -> anyhow::Result<bool> {
        let mut posted = false;
        for channel in channels {
            posted |= !self.services.dispatcher.tick(channel).await?.is_empty();
        }
        Ok(posted)
    }

    async fn posts(&self) -> anyhow::Result<Vec<Post>> {
        Ok(self.core.store.posts(&self.scenario.upgrade.id).await?)
    }

    /// Reads a chain to its head, chain by chain, so that two rehearsals say the same in the same order.
    /// A new head comes over a socket: it is on its way until it is read. True if there was one.
    async fn read_to_head(&self, name: &str, chain: &dyn Chain) -> anyhow::Result<bool> {
        let head = self.chains.get(name).map_or(0, EmbeddedChain::head);
        let mut busy = false;
        loop {
            busy |= self.services.watcher.tick(name).await? > 0;
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
            tokio::time::timeout(HEAD_TIMEOUT, chain.changed())
                .await
                .map_err(|_| {
                    anyhow::anyhow!(
                        "block {head} of the embedded {name} did not arrive within a minute"
                    )
                })?;
        }
    }

    async fn show_facts(&mut self) -> anyhow::Result<()> {
        for fact in self.core.store.facts().await?.iter().skip(self.shown.facts) {
            self.output.fact(fact);
            self.shown.facts += 1;
        }
        Ok(())
    }

    async fn show_posts(&mut self, posts: &[Post]) {
        let new = |p: &&Post| p.state == PostState::Sent && !self.shown.posts.contains(&p.key.0);
        let mut posts: Vec<&Post> = posts.iter().filter(new).collect();
        posts.sort_by_key(|p| (p.sent, p.rank));
        for post in posts {
            if let Some(outlet) = outlets::find(&self.core.outlets, &post.channel) {
                self.output.post(post, outlet.platform);
            }
            self.shown.posts.insert(post.key.0.clone());
            // A viewer with a browser has seen it in its room already.
            if self.controls.is_none() {
                tokio::time::sleep(self.pace).await;
            }
        }
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

    async fn result(&mut self, give_up: Timestamp) -> anyhow::Result<RehearsalResult> {
        let campaign = self.campaign().await?;
        let posts = self.posts().await?;
        let count = |state: PostState| posts.iter().filter(|p| p.state == state).count();
        let said = |p: &&Post| p.state == PostState::Sent && p.operation.rules().blocks_channel;
        let days = self.clock.now().duration_since(self.start).as_hours() / 24;
        let mut lines = vec![format!(
            "{} ({}) in {days} day{}: {} posts in {} channels, {} facts.",
            self.scenario.upgrade.title,
            self.scenario.upgrade.urgency.name(),
            if days == 1 { "" } else { "s" },
            posts.iter().filter(said).count(),
            self.core.outlets.len(),
            self.shown.facts
        )];
        lines.extend(self.standing_lines(&campaign));
        let open = count(PostState::Planned) + count(PostState::Sending) + count(PostState::Held);
        let parked = count(PostState::Parked);
        for (state, number) in [
            ("skipped", count(PostState::Skipped)),
            ("expired", count(PostState::Expired)),
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
            let by = self.core.snapshot().renderer.zone().written(give_up);
            lines.push(format!(
                "  Not completed: the upgrade is {}; nothing more came by {by}.",
                campaign.standing()
            ));
        }
        Ok(RehearsalResult { fine, lines })
    }

    /// Says how it stands with the upgrade and with each of its chains, and what people answered.
    fn standing_lines(&self, campaign: &Campaign) -> Vec<String> {
        let mut lines = Vec::new();
        if campaign.upgrade.given_up() {
            lines.push(format!(
                "  {}: {}",
                campaign.standing(),
                campaign.upgrade.cancelled.as_deref().unwrap_or_default()
            ));
        } else {
            for (name, chain) in &campaign.progress.chains {
                let version = chain.spec_version.map_or("no block seen".to_owned(), |v| {
                    format!("runs spec_version {v}")
                });
                let proof = chain.applied.as_ref();
                let proof = proof.map(|f| format!(", proven in block {}", f.block));
                lines.push(format!(
                    "  {name}: {}, {version}{}",
                    chain.stage.name(),
                    proof.unwrap_or_default()
                ));
            }
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
        lines
    }
}

/// The channels, each in the room of its platform.
pub(super) fn outlets(
    config: &Config,
    rooms: &[(Platform, Arc<Room>)],
) -> BTreeMap<String, Outlet> {
    let channels = config.deployment.channels.iter();
    let outlets = channels.filter_map(|(name, channel)| {
        let (_, room) = rooms.iter().find(|(p, _)| *p == channel.platform)?;
        let outlet = channel.outlet(room.clone(), channel.place.clone());
        Some((name.clone(), outlet))
    });
    outlets.collect()
}

/// Chooses what each chain of an upgrade plays: the recording where it reaches the chain's target, and the
/// embedded one under the target's number elsewhere. A recording asked for is played in any case.
pub fn recordings_for(
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

/// The titles of the notices of some posts, each once.
fn titles<'a>(plan: &'a Plan, urgency: Urgency, posts: &[Post]) -> Vec<&'a str> {
    let mut titles = Vec::new();
    for post in posts.iter().filter(|p| p.is_message()) {
        let notice = plan.notice(urgency, &post.notice);
        titles.extend(
            notice
                .map(|n| n.title.as_str())
                .filter(|title| !titles.contains(title)),
        );
    }
    titles
}

/// The time at which people have to hear of an upgrade at the latest.
fn least_notice(config: &Config, upgrade: &Upgrade) -> Timestamp {
    let opens = upgrade.window.opens;
    let plan = config.plan.plans.get(&upgrade.urgency);
    plan.and_then(|plan| opens.checked_sub(plan.least_notice).ok())
        .unwrap_or(opens)
}

/// An hour before the first notice by the clock, and before the least notice that the plan gives.
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
        .min(least_notice(config, upgrade));
    Offset::Exact(-3600)
        .from(first, &config.plan.zone)
        .unwrap_or(first)
}
