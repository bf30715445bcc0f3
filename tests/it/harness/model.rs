//! A model of everything around herald, on a stepped clock: two chats with their rates, a node, a store, each of which may
//! go away or fail; herald's real services among them, which may die at any step. Nothing in it is left to chance but what
//! a seed says.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    config::{Origin, SourceFile, UpgradeFile},
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    domain::{
        campaign::{
            change::Change,
            upgrade::{Target, Upgrade},
        },
        outbox::{Operation, Post, PostKey, PostState},
        plan::notice::LatePolicy,
    },
    lint::{self, Loaded},
    listen::feedback::Summariser,
    outbox::Core,
    plan::planner::Planner,
    ports::{
        CampaignStore, Chain, Clock, OutboxStore, Outlet, Platform, RecordStore, RequestStore,
        Store, StoreError,
    },
    rehearsal::SteppedClock,
    watch::watcher::Watcher,
    words::{context, snapshot::ConfigSnapshot},
};

use crate::harness::{
    chains::{GENESIS, PrunedChain},
    chats::{Message, ModelChat},
    clocks::SkewedClock,
    dice::{Dice, one_in},
    hooks::{Call, Hook},
    stores::{HookedStore, MemoryStore},
};

/// Polls `work` so many times at the most: then it is dropped where it stands, as in a crash.
async fn at_most<T>(mut polls: u64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

// --- the database --------------------------------------------------------------------------------

/// It goes away, or fails before a call is done, or when it is done and nobody knows.
struct Flaky {
    away: AtomicBool,
    /// It has failed since somebody looked, or whoever uses it has died.
    failed: AtomicBool,
    dice: Mutex<Option<Dice>>,
}

#[async_trait]
impl Hook<StoreError> for Flaky {
    async fn before(&self, call: &Call<'_>) -> Result<(), StoreError> {
        // What health rests on fails often, and has to be right all the same.
        if call.name == "set_trouble" && one_in(3, &self.dice) {
            return Err(StoreError::Unavailable("the connection broke".into()));
        }
        let fails = self.away.load(Ordering::Relaxed) || one_in(400, &self.dice);
        if fails {
            self.failed.store(true, Ordering::Relaxed);
            Err(StoreError::Unavailable(
                "the database can't be reached".into(),
            ))
        } else {
            Ok(())
        }
    }

    async fn after(&self, _: &Call<'_>) -> Result<(), StoreError> {
        if one_in(400, &self.dice) {
            self.failed.store(true, Ordering::Relaxed);
            Err(StoreError::Unavailable("the connection broke".into()))
        } else {
            Ok(())
        }
    }
}

// --- all of it -----------------------------------------------------------------------------------

/// What can go away, or be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Chat(Platform),
    Node,
    Database,
    /// The machine is down.
    Machine,
    /// The machine's clock is off by so many seconds.
    Clock(i64),
    /// The upgrade's file is not there.
    Files,
}

/// A part, and from when until when it is away.
pub type Outage = (Part, Timestamp, Timestamp);

/// What happens to the upgrade and around it.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Chats and database fail and herald dies, as this seed says.
    pub seed: Option<u64>,
    /// Of so many pieces of a service's work, herald dies in one; it needs a seed.
    pub dies_one_in: u64,
    /// A command so long before the window opens.
    pub command: Option<(SignedDuration, Change)>,
    pub outages: Vec<Outage>,
    /// Between the blocks of the chain, in seconds.
    pub spacing: u32,
}

pub struct Model {
    pub loaded: Arc<Loaded>,
    pub chats: BTreeMap<Platform, Arc<ModelChat>>,
    pub store: Arc<MemoryStore>,
    pub upgrade: Upgrade,
    pub crashes: u32,
    /// What health said wrongly.
    pub misled: Vec<String>,
    clock: Arc<SteppedClock>,
    /// The clock of the machine.
    own_clock: Arc<SkewedClock>,
    node: Arc<PrunedChain>,
    database: Arc<Flaky>,
    herald: Herald,
    dice: Option<Dice>,
    script: Script,
    commanded: bool,
    /// Nothing has failed since, and nobody has given a command.
    settled: bool,
    /// The store has not taken some trouble yet.
    unsaved: bool,
    /// Parts that are named and well, and since when that was seen.
    doubtful: BTreeMap<String, Timestamp>,
    /// Since when herald has run without a fault of the database or an end of the process.
    runs_since: Timestamp,
}

/// A process: what it has in memory is gone with it.
struct Herald {
    core: Arc<Core>,
    planner: Planner,
    watcher: Watcher,
    gate: Gate,
    dispatcher: Dispatcher,
    summariser: Summariser,
    /// The chain could not be read the last time.
    blind: AtomicBool,
}

impl Herald {
    /// Reads the chain, and notes whether that goes well, as the process does.
    async fn follow(&self) -> bool {
        let ticked = self.watcher.tick("relay").await;
        let trouble = ticked.as_ref().err().map(ToString::to_string);
        if self.blind.swap(trouble.is_some(), Ordering::Relaxed) || trouble.is_some() {
            let troubles = &self.core.troubles;
            troubles.note("chain relay", trouble.as_deref()).await;
        }
        ticked.is_ok()
    }
}

/// The sample's plan and an upgrade of one chain whose window opens `ahead` from the model's beginning.
/// With `late` the plan's rules for what comes late hold; without, everything is posted.
/// Blocks come so many seconds apart.
pub fn sample(ahead: SignedDuration, spacing: u32, late: bool) -> (Arc<Loaded>, Upgrade) {
    let mut loaded =
        lint::load(&Origin::Embedded).unwrap_or_else(|findings| panic!("{findings:?}"));
    let mut upgrade = loaded.config.upgrades[0].upgrade.clone();
    upgrade.chains = [(
        "relay".to_owned(),
        Target {
            spec_version: 2,
            code_hash: None,
        },
    )]
    .into();
    upgrade.referendum = None;
    let opens = begins() + ahead;
    upgrade.window.closes = opens + upgrade.window.closes.duration_since(upgrade.window.opens);
    upgrade.window.opens = opens;
    upgrade
        .duties
        .values_mut()
        .for_each(|duty| duty.by = duty.by.map(|_| opens));
    for notice in loaded
        .config
        .plan
        .plans
        .values_mut()
        .flat_map(|plan| &mut plan.notices)
    {
        notice.approval.persons = 0;
        notice.late = if late { notice.late } else { LatePolicy::Post };
    }
    loaded.config.plan.rules.max_block_gap = SignedDuration::from_secs(i64::from(spacing) * 3);
    let file = SourceFile {
        name: "upgrades/v2.yaml".into(),
        text: String::new(),
    };
    loaded.config.upgrades = vec![UpgradeFile {
        upgrade: upgrade.clone(),
        file,
    }];
    (Arc::new(loaded), upgrade)
}

pub fn begins() -> Timestamp {
    Timestamp::from_second(GENESIS).expect("a time near now")
}

/// What happens in the chain, from the window's opening on.
pub const AUTHORIZED: SignedDuration = SignedDuration::from_mins(10);
pub const APPLIED: SignedDuration = SignedDuration::from_mins(20);

/// Without a window nothing happens in it.
fn node(opens: Option<Timestamp>, spacing: u32) -> PrunedChain {
    let block = |after: SignedDuration| {
        let at = opens.map(|opens| (opens.duration_since(begins()) + after).as_secs());
        at.map_or(u64::MAX, |at| {
            u64::try_from(at / i64::from(spacing)).expect("after the beginning")
        })
    };
    PrunedChain::with_blocks(spacing, block(AUTHORIZED), block(APPLIED))
}

impl Model {
    pub fn new(loaded: &Arc<Loaded>, upgrade: &Upgrade, script: Script) -> Self {
        let opens = match &script.command {
            Some((_, Change::Cancel { .. })) => None,
            Some((_, Change::Reschedule { opens, .. })) => Some(*opens),
            _ => Some(upgrade.window.opens),
        };
        let node = Arc::new(node(opens, script.spacing));
        let clock = Arc::new(SteppedClock::new(begins()));
        let dice = |salt: u64| script.seed.map(|seed| Dice(seed ^ salt));
        let chats: BTreeMap<Platform, Arc<ModelChat>> =
            [(Platform::Discord, 0xd15c), (Platform::Matrix, 0x3a78)]
                .map(|(platform, salt)| {
                    (
                        platform,
                        Arc::new(ModelChat::new(platform, clock.clone(), dice(salt))),
                    )
                })
                .into();
        let store = Arc::new(MemoryStore::default());
        let database = Arc::new(Flaky {
            away: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            dice: Mutex::new(dice(0xdb)),
        });
        let own_clock = Arc::new(SkewedClock {
            right: clock.clone(),
            off_by: 0.into(),
        });
        let herald = start(loaded, &own_clock, &chats, &node, &store, &database);
        let (dice, loaded, upgrade) = (dice(0x5eed), loaded.clone(), upgrade.clone());
        Self {
            loaded,
            chats,
            store,
            upgrade,
            crashes: 0,
            misled: Vec::new(),
            clock,
            own_clock,
            node,
            database,
            herald,
            dice,
            script,
            commanded: false,
            settled: false,
            unsaved: false,
            doubtful: BTreeMap::new(),
            runs_since: begins(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Until there is nothing left to do.
    pub async fn play(&mut self) -> Result<()> {
        for _ in 0..200_000 {
            self.weather();
            let well = if self.is_away(Part::Machine) {
                self.stop().await
            } else {
                self.everything().await
            };
            self.check_health(well).await?;
            self.command().await?;
            let Some(next) = self.next(well).await? else {
                return Ok(());
            };
            self.clock.step_to(next);
        }
        anyhow::bail!("no end in sight at {}", self.now())
    }

    /// The chain's newest block by the clock.
    fn head(&self) -> u64 {
        u64::try_from(
            self.now().duration_since(self.node.time(0)).as_secs() / i64::from(self.script.spacing),
        )
        .unwrap_or(0)
    }

    fn is_away(&self, part: Part) -> bool {
        self.away_since(part).is_some()
    }

    fn away_since(&self, part: Part) -> Option<Timestamp> {
        let now = self.now();
        let is_on = |(of, from, until): &&Outage| *of == part && *from <= now && now < *until;
        let outages = self.script.outages.iter().filter(is_on);
        outages.map(|(_, from, _)| *from).min()
    }

    /// When an outage begins or ends next.
    fn next_change(&self) -> Option<Timestamp> {
        let edges = self
            .script
            .outages
            .iter()
            .flat_map(|(_, from, until)| [*from, *until]);
        edges.filter(|at| *at > self.now()).min()
    }

    /// What is away now, and how far the chain is.
    fn weather(&self) {
        self.node.grow(self.head().max(1));
        for (platform, chat) in &self.chats {
            let away = self.is_away(Part::Chat(*platform));
            chat.away.store(away, Ordering::Relaxed);
        }
        let away = self.is_away(Part::Database);
        self.database.away.store(away, Ordering::Relaxed);
        let away = self.away_since(Part::Node);
        self.node
            .set_away(away.map(|from| self.now().duration_since(from).as_secs()));
        let now = self.now();
        let clocks = self
            .script
            .outages
            .iter()
            .filter_map(|outage| match outage {
                (Part::Clock(off_by), from, until) if *from <= now && now < *until => Some(*off_by),
                _ => None,
            });
        let off_by = clocks.sum::<i64>() * 1000;
        self.own_clock.off_by.store(off_by, Ordering::Relaxed);
    }

    /// Herald ends with its machine, and will begin anew.
    async fn stop(&mut self) -> bool {
        self.herald = self.begin();
        let _ = self.herald.core.store.begin_anew().await;
        self.settled = false;
        false
    }

    /// Health names what is away for a minute and is needed, and nothing that has been well for one.
    async fn check_health(&mut self, well: bool) -> Result<()> {
        let now = self.now();
        let is_disturbed = !well && (self.is_away(Part::Database) || self.is_away(Part::Machine));
        if is_disturbed || self.database.failed.swap(false, Ordering::Relaxed) {
            self.runs_since = now;
            return Ok(());
        }
        let minute = SignedDuration::from_secs(60);
        let since = self.runs_since;
        let troubles: BTreeSet<String> = self
            .store
            .troubles()
            .await?
            .into_iter()
            .map(|(part, ..)| part)
            .collect();
        let is_long = |from: Timestamp| now.duration_since(from.max(since)) >= minute;
        let mut misled = Vec::new();
        let mut doubtful = std::mem::take(&mut self.doubtful);
        let mut expect = |part: String, away: Option<Timestamp>, was_away: bool| {
            let named = troubles.iter().any(|trouble| trouble.starts_with(&part));
            if away.is_some_and(is_long) && !named {
                misled.push(format!("{now}: {part} is away and not named"));
            }
            if !named || was_away {
                doubtful.remove(&part);
                return;
            }
            let first = *doubtful.entry(part.clone()).or_insert(now);
            if is_long(first) {
                misled.push(format!("{now}: {part} is named and well"));
            }
        };
        let recently = |part: Part| {
            let ended = self.script.outages.iter().any(|(of, from, until)| {
                *of == part && *from <= now && now.duration_since(*until) < minute
            });
            ended || self.is_away(part)
        };
        expect(
            "chain relay".into(),
            self.away_since(Part::Node),
            recently(Part::Node),
        );
        for (name, channel) in &self.loaded.config.deployment.channels {
            let part = Part::Chat(channel.platform);
            let waits = self.store.next_due(name, self.own_clock.now()).await?;
            let waiting = self.store.next_time(name).await?.is_some();
            let away = self.away_since(part).filter(|_| waits.is_some());
            expect(format!("channel {name}"), away, recently(part) || waiting);
        }
        self.misled.extend(misled);
        self.doubtful = doubtful;
        Ok(())
    }

    fn begin(&self) -> Herald {
        start(
            &self.loaded,
            &self.own_clock,
            &self.chats,
            &self.node,
            &self.store,
            &self.database,
        )
    }

    /// Every service once, as a running herald would; says whether none failed.
    async fn everything(&mut self) -> bool {
        let mut well = true;
        let is_saved = AtomicBool::new(true);
        let files: Option<&[UpgradeFile]> = self.is_away(Part::Files).then_some(&[]);
        let dies_one_in = self.script.dies_one_in;
        let herald = &self.herald;
        let channels: Vec<String> = herald.dispatcher.channels();
        let mut steps: Vec<futures::future::BoxFuture<'_, bool>> = vec![
            // It does nothing where nothing has changed, and takes its time.
            Box::pin(async {
                let planned = async || match files {
                    Some(files) => herald.planner.tick_with(files).await,
                    None => herald.planner.tick().await,
                };
                self.settled || planned().await.is_ok()
            }),
            Box::pin(async { herald.follow().await }),
            Box::pin(async { herald.watcher.observe("relay").await.is_ok() }),
            Box::pin(async { herald.gate.tick().await.is_ok() }),
        ];
        for channel in &channels {
            steps.push(Box::pin(async {
                herald.dispatcher.tick(channel).await.is_ok()
            }));
        }
        steps.push(Box::pin(async {
            let saved = herald.core.troubles.save().await;
            is_saved.store(saved, Ordering::Relaxed);
            saved
        }));
        steps.push(Box::pin(async {
            herald.summariser.tick().await.is_ok_and(|s| !s.waits)
        }));
        let mut died = false;
        for step in steps {
            let polls = self
                .dice
                .as_mut()
                .and_then(|dice| dice.one_in(dies_one_in).then(|| dice.roll(60)));
            match at_most(polls.unwrap_or(u64::MAX), step).await {
                Some(done) => well &= done,
                None => {
                    died = true;
                    break;
                }
            }
        }
        if died {
            self.crashes += 1;
            self.database.failed.store(true, Ordering::Relaxed);
            self.herald = self.begin();
            // As at each start; if that fails it is not one.
            let _ = self.herald.core.store.begin_anew().await;
        }
        self.unsaved = !is_saved.load(Ordering::Relaxed);
        self.settled = well && !died;
        self.settled
    }

    async fn command(&mut self) -> Result<()> {
        let Some((before, change)) = &self.script.command else {
            return Ok(());
        };
        if self.commanded || self.now() < self.upgrade.window.opens - *before {
            return Ok(());
        }
        (self.commanded, self.settled) = (true, false);
        self.store
            .request(
                &self.upgrade.id,
                change,
                "an invented operator",
                self.clock.now(),
            )
            .await?;
        Ok(())
    }

    /// When there is something to do again.
    async fn next(&self, well: bool) -> Result<Option<Timestamp>> {
        let now = self.now();
        if self.is_away(Part::Machine) {
            return Ok(self.next_change());
        }
        let mut next = BTreeSet::new();
        for channel in self.herald.dispatcher.channels() {
            next.extend(self.store.next_time(&channel).await?);
        }
        let campaign = self.store.upgrades().await?;
        let plan = &self.loaded.config.plan;
        for campaign in &campaign {
            let watched =
                plan.rules.healthy_for + plan.rules.complete_after + SignedDuration::from_hours(1);
            let window = &campaign.upgrade.window;
            let (from, until) = (
                window.opens - SignedDuration::from_hours(1),
                window.closes + watched,
            );
            let block = self.node.time(self.head() + 1);
            if !campaign.progress.finished() && now < until {
                next.insert(block.max(from));
            }
            next.extend(
                context::closes(&campaign.progress, plan)
                    .filter(|_| campaign.progress.feedback.is_none()),
            );
            next.extend(campaign.votes_due());
        }
        let commands = self
            .script
            .command
            .iter()
            .filter(|_| !self.commanded)
            .map(|(before, _)| self.upgrade.window.opens - *before);
        next.extend(commands);
        next.extend(self.next_change());
        if self.unsaved {
            // As often as the process does.
            next.insert(now + SignedDuration::from_secs(2));
        }
        if !well || campaign.is_empty() || !self.store.requests().await?.is_empty() {
            // What failed is tried again soon.
            next.insert(now + SignedDuration::from_secs(30));
        }
        // What is due already did not get through: it is due again a little later.
        let is_asked_rarely = self.database.away.load(Ordering::Relaxed)
            || self.own_clock.off_by.load(Ordering::Relaxed) != 0;
        let patience = SignedDuration::from_secs(if is_asked_rarely { 30 } else { 1 });
        let ends = self.next_change();
        Ok(next
            .into_iter()
            .next()
            .map(|at| at.max(now + patience))
            .map(|at| ends.map_or(at, |ends| at.min(ends))))
    }

    /// That every post of the store is where it belongs, once and in order; says which these are, but for edits.
    pub async fn look(&self) -> Result<BTreeMap<PostKey, Post>> {
        let posts = self.store.posts(&self.upgrade.id).await?;
        let open = |p: &&Post| {
            matches!(
                p.state,
                PostState::Planned | PostState::Sending | PostState::Parked | PostState::Held
            )
        };
        if let Some(open) = posts.iter().find(open) {
            anyhow::bail!(
                "{} ({:?}) in {} is {:?}: {:?}",
                open.notice,
                open.operation,
                open.channel,
                open.state,
                open.error
            );
        }
        let message = |p: &&Post| {
            !matches!(p.operation, Operation::Edit | Operation::Mark)
                && p.operation.rules().blocks_channel
        };
        for (name, channel) in &self.loaded.config.deployment.channels {
            let chat = &self.chats[&channel.platform];
            let said: Vec<Message> = chat
                .messages()
                .into_iter()
                .filter(|m| m.place == channel.place)
                .collect();
            let got: Vec<&PostKey> = said.iter().map(|m| &m.key).collect();
            let sent = posts
                .iter()
                .filter(|p| p.channel == *name && p.state == PostState::Sent);
            let wanted: Vec<&PostKey> = sent.clone().filter(message).map(|p| &p.key).collect();
            let words = |keys: &[&PostKey]| -> String {
                let word = |key: &&PostKey| {
                    posts.iter().find(|p| p.key == **key).map_or_else(
                        || key.0.clone(),
                        |p| format!("{}/{}", p.notice, p.operation.name()),
                    )
                };
                keys.iter().map(word).collect::<Vec<_>>().join(" ")
            };
            ensure!(
                got == wanted,
                "{name}: said {}\nfor {}",
                words(&got),
                words(&wanted)
            );
            // Its words are those of what was done to it last.
            for root in sent.filter(|p| p.operation == Operation::Post) {
                let changed = posts.iter().filter(|p| {
                    matches!(p.operation, Operation::Edit | Operation::Mark)
                        && p.state == PostState::Sent
                        && (&p.channel, &p.notice, &p.occurrence, p.revision)
                            == (&root.channel, &root.notice, &root.occurrence, root.revision)
                });
                let last = changed
                    .max_by_key(|p| (p.sent, p.due, p.rank))
                    .unwrap_or(root);
                let words = &last.body.as_ref().context("its words")?.text;
                let said = said
                    .iter()
                    .find(|m| m.key == root.key && m.root.is_none())
                    .context("it is there")?;
                ensure!(
                    said.text == *words,
                    "{name}: {} says\n{}\nfor\n{words}",
                    root.notice,
                    said.text
                );
            }
        }
        Ok(posts
            .into_iter()
            .filter(|p| message(&p))
            .map(|p| (p.key.clone(), p))
            .collect())
    }
}

fn start(
    loaded: &Arc<Loaded>,
    clock: &Arc<SkewedClock>,
    chats: &BTreeMap<Platform, Arc<ModelChat>>,
    node: &Arc<PrunedChain>,
    store: &Arc<MemoryStore>,
    database: &Arc<Flaky>,
) -> Herald {
    let store: Arc<dyn Store> = Arc::new(HookedStore {
        inner: store.clone(),
        hook: database.clone(),
    });
    let outlets = loaded
        .config
        .deployment
        .channels
        .iter()
        .map(|(name, channel)| {
            let outlet = Outlet {
                platform: channel.platform,
                chat: chats[&channel.platform].clone(),
                place: channel.place.clone(),
                readers: channel.readers,
                locale: channel.locale.clone(),
                mentions: channel.mentions.clone(),
            };
            (name.clone(), outlet)
        });
    let snapshot = ConfigSnapshot {
        config: loaded.config.clone(),
        renderer: loaded.renderer.clone(),
    };
    let core = Arc::new(Core::new(snapshot, outlets.collect(), clock.clone(), store));
    let chains = [("relay".to_owned(), node.clone() as Arc<dyn Chain>)].into();
    Herald {
        planner: Planner::new(core.clone()),
        watcher: Watcher::new(core.clone(), chains),
        gate: Gate::new(core.clone()),
        dispatcher: Dispatcher::new(core.clone()),
        summariser: Summariser::new(core.clone()),
        blind: AtomicBool::new(false),
        core,
    }
}
