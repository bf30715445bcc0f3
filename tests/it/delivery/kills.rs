//! SIGKILL at random moments, while the chat drops and stalls: nothing lost, nothing twice, the order kept. On SQLite one process
//! after the other; on PostgreSQL four replicas at once. `tests/run` kills a few; `tests/kills` thousands.
//!
//! What is killed is a worker with herald's real store, dispatcher, lead and Discord client. That starts faster than herald as a
//! whole, which `crash.rs` and `replicas.rs` kill.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use upgrade_herald::{
    adapters::{
        clock::SystemClock,
        discord::{self, Discord},
        store::SqlStore,
    },
    config::{Delivery, OnDoubt, Origin},
    deliver::dispatcher::Dispatcher,
    domain::{
        campaign::Campaign,
        outbox::{KeyParts, Operation, Post, PostKey, PostState},
    },
    lint,
    outbox::Core,
    plan::planner::timed,
    ports::{
        Batch, CampaignStore, Chat, LeadershipStore, OutboxStore, Outlet, Platform, Readers,
        Replica, Store,
    },
    run::leader::{LeaderCheck, LeaderElection},
    words::snapshot::ConfigSnapshot,
};

use crate::{
    doubles::discord::{ChannelKind, Double, Faults, Options},
    harness::{
        dice::Dice,
        worker,
        world::{later, now},
    },
    support::{Postgres, leash::Leash, wait},
};

const CHANNELS: usize = 4;
/// Posts that always wait in a channel.
const AHEAD: usize = 30;
const TIMEOUT_MS: i64 = 250;
const LEASE_MS: i64 = 800;
/// A takeover is measured in looks at the store, each of which costs what a replica's own look costs: a machine that is busy
/// makes both slower. The lease and 5 s more, with 20 looks a second.
const LOOKS: usize = (LEASE_MS as usize + 5_000) / 50;
/// What a worker says when all is ready and the first post is next.
const AT_WORK: &str = "at work";

/// How many kills: of one process on SQLite, of replicas on PostgreSQL.
#[allow(clippy::disallowed_methods)]
fn kills() -> (usize, usize) {
    let asked = std::env::var("HERALD_TEST_KILLS").ok();
    let asked = asked.as_deref().and_then(|text| text.split_once(','));
    asked.map_or((40, 25), |(one, many)| {
        (
            one.parse().expect("a number"),
            many.parse().expect("a number"),
        )
    })
}

// --- the worker ------------------------------------------------------------------------------

/// Posts until it is killed.
async fn work(settings: &Value) -> Result<()> {
    let text = |key: &str| {
        settings[key]
            .as_str()
            .context("a setting")
            .map(str::to_owned)
    };
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&text("store")?).await?);
    let route = discord::Route {
        address: text("address")?.parse()?,
        ca_pem: text("ca")?.into_bytes(),
    };
    let timeout = Duration::from_millis(u64::try_from(TIMEOUT_MS)?);
    let guild = text("guild")?.parse()?;
    let token = SecretString::from(text("token")?);
    let settings_of_chat = discord::DiscordSettings {
        token,
        guild,
        route: Some(route),
        timeout,
    };
    let chat: Arc<dyn Chat> = loop {
        match Discord::connect(settings_of_chat.clone()).await {
            Ok(chat) => break chat,
            Err(error) => eprintln!("{error}"), // its answer was dropped
        }
    };
    let mut loaded =
        lint::load(&Origin::Embedded).unwrap_or_else(|findings| panic!("{findings:?}"));
    for notice in loaded
        .config
        .plan
        .plans
        .values_mut()
        .flat_map(|plan| &mut plan.notices)
    {
        (notice.approval.persons, notice.late) = Default::default();
    }
    let places = settings["places"]
        .as_array()
        .context("places")?
        .iter()
        .filter_map(Value::as_str)
        .enumerate();
    let outlets: BTreeMap<String, Outlet> = places
        .map(|(i, place)| {
            let (readers, locale) = (Readers::Public, "en".to_owned());
            let outlet = Outlet {
                platform: Platform::Discord,
                chat: chat.clone(),
                place: place.into(),
                readers,
                locale,
                mentions: BTreeMap::new(),
            };
            (name(i), outlet)
        })
        .collect();
    let mut core = Core::new(
        ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        },
        outlets,
        Arc::new(SystemClock),
        store.clone(),
    );
    core.delivery = Delivery {
        timeout: SignedDuration::from_millis(TIMEOUT_MS),
        lease: SignedDuration::from_millis(LEASE_MS),
        key_window: SignedDuration::from_mins(4),
        on_doubt: OnDoubt::Park,
        drain: SignedDuration::from_secs(10),
    };
    let core = Arc::new(core);
    let Some(replica) = settings["replica"].as_str() else {
        println!("{AT_WORK}");
        return dispatch(&core).await;
    };
    let me = Replica {
        name: replica.to_owned(),
        instance: format!("{replica}-{}", std::process::id()),
    };
    let lead = LeaderElection {
        store,
        clock: Arc::new(SystemClock),
        me,
        ttl: core.delivery.lease,
    };
    loop {
        while !matches!(lead.try_lead(&core.lease).await, LeaderCheck::Mine { .. }) {
            tokio::time::sleep(lead.pause()).await;
        }
        tokio::select! {
            ended = dispatch(&core) => return ended,
            why = lead.keep_lead(&core.lease) => eprintln!("not active any more: {why}"),
        }
    }
}

async fn dispatch(core: &Arc<Core>) -> Result<()> {
    let channels = core.outlets.keys().map(async |channel| {
        let dispatcher = Dispatcher::new(core.clone());
        loop {
            let did = dispatcher.step(channel).await;
            if let Err(error) = did {
                eprintln!("{error}");
            }
            // Slow enough to be killed often, and that a channel's newest 2,000 messages are more than ten minutes old.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    futures::future::join_all(channels).await;
    Ok(())
}

fn name(channel: usize) -> String {
    format!("c{channel}")
}

// --- who kills ---------------------------------------------------------------------------------

impl Drop for Slaughter {
    fn drop(&mut self) {
        if self.counted.get() {
            return;
        }
        for file in std::fs::read_dir(self.dir.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if file
                .path()
                .extension()
                .is_some_and(|e| e == "err" || e == "out")
            {
                let text = std::fs::read_to_string(file.path()).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(8).collect();
                eprintln!("{}: {tail:?}", file.path().display());
            }
        }
    }
}

struct Slaughter {
    discord: Double,
    places: Vec<u64>,
    url: String,
    store: SqlStore,
    sample: Post,
    written: usize,
    dir: tempfile::TempDir,
    /// All is well: the workers' own words are of no interest.
    counted: std::cell::Cell<bool>,
}

impl Slaughter {
    async fn new(url: Option<String>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let url =
            url.unwrap_or_else(|| format!("sqlite://{}", dir.path().join("herald.db").display()));
        let discord = Double::start(Options::default()).await;
        discord.set_limits(crate::doubles::discord::Limits::none());
        let places: Vec<u64> = (0..CHANNELS)
            .map(|i| discord.add_channel(&name(i), ChannelKind::Text))
            .collect();
        let loaded =
            lint::load(&Origin::Embedded).unwrap_or_else(|findings| panic!("{findings:?}"));
        let upgrade = loaded.config.upgrades[0].upgrade.clone();
        let sample = timed(
            &upgrade,
            1,
            &loaded.config.plan,
            later(now(), -1_000_000_000),
        )
        .into_iter()
        .next()
        .context("a post")?;
        let store = SqlStore::open(&url).await?;
        store
            .commit(Batch {
                upgrades: vec![Campaign::new(upgrade, now())],
                ..Batch::default()
            })
            .await?;
        discord.set_faults(Faults {
            drop_before: 0.05,
            drop_after: 0.05,
            stall: Some((0.15, Duration::from_millis(500))),
            seed: 3,
            ..Faults::default()
        });
        Ok(Self {
            discord,
            places,
            url,
            store,
            sample,
            written: 0,
            dir,
            counted: std::cell::Cell::new(false),
        })
    }

    /// Another round of posts in every channel, due by now.
    async fn write_more(&mut self) -> Result<()> {
        let mut posts = Vec::new();
        for _ in 0..AHEAD {
            self.written += 1;
            for channel in (0..CHANNELS).map(name) {
                let occurrence = self.written.to_string();
                let key = PostKey::of(KeyParts {
                    upgrade: &self.sample.upgrade,
                    revision: 1,
                    notice: &self.sample.notice,
                    occurrence: &occurrence,
                    channel: &channel,
                    operation: Operation::Post,
                    edition: 0,
                });
                let due = later(now(), -100_000 + i64::try_from(self.written)?);
                posts.push(Post {
                    key,
                    occurrence,
                    channel,
                    due,
                    state: PostState::Planned,
                    ..self.sample.clone()
                });
            }
        }
        Ok(self
            .store
            .commit(Batch {
                posts,
                ..Batch::default()
            })
            .await?)
    }

    fn worker(&self, replica: Option<&str>) -> Result<Leash> {
        let settings = json!({
            "store": self.url, "replica": replica, "address": self.discord.https_addr().to_string(), "ca": self.discord.ca_pem(),
            "token": self.discord.token(), "guild": self.discord.guild_id().to_string(),
            "places": self.places.iter().map(u64::to_string).collect::<Vec<_>>(),
        });
        worker::start(
            "delivery::kills::killed_at_any_moment_on_sqlite",
            &settings,
            self.dir.path(),
            replica.unwrap_or("one"),
        )
    }

    /// How many workers on their own have come to their work.
    fn begun(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("one.out"))
            .unwrap_or_default()
            .matches(AT_WORK)
            .count()
    }

    fn arrived(&self) -> usize {
        self.places
            .iter()
            .map(|place| self.discord.messages(*place).len())
            .sum()
    }

    async fn top_up(&mut self) -> Result<()> {
        if self.arrived() + CHANNELS * AHEAD / 2 > self.written * CHANNELS {
            self.write_more().await?;
        }
        Ok(())
    }

    /// Lets all that is written arrive, and counts.
    async fn count(&self, what: &str, kills: usize, more: Value) -> Result<Value> {
        let all = self.written * CHANNELS;
        wait::until("every post", Duration::from_secs(300), async || {
            let open = self
                .store
                .posts(&self.sample.upgrade)
                .await
                .ok()?
                .iter()
                .filter(|p| p.state != PostState::Sent)
                .count();
            (open == 0).then_some(())
        })
        .await?;
        // What a stalled request may still bring.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let posts = self.store.posts(&self.sample.upgrade).await?;
        let (mut lost, mut twice, mut in_order) = (0, 0, true);
        for (i, place) in self.places.iter().enumerate() {
            let footer = |embeds: &Value| {
                embeds[0]["footer"]["text"]
                    .as_str()
                    .and_then(|t| t.rsplit(' ').next())
                    .map(str::to_owned)
            };
            let got: Vec<String> = self
                .discord
                .messages(*place)
                .iter()
                .filter_map(|m| footer(&m.embeds))
                .collect();
            let mut wanted: Vec<&Post> = posts.iter().filter(|p| p.channel == name(i)).collect();
            wanted.sort_by_key(|p| p.due);
            let wanted: Vec<&String> = wanted.iter().map(|p| &p.key.0).collect();
            let unique: BTreeSet<&String> = got.iter().collect();
            twice += got.len() - unique.len();
            lost += wanted.iter().filter(|key| !unique.contains(*key)).count();
            in_order &= got.iter().collect::<Vec<_>>() == wanted;
        }
        let again = posts.iter().filter(|p| p.attempts > 1).count();
        let mut line = json!({ "kills": what, "count": kills, "posts": all, "tried_again": again, "lost": lost, "twice": twice, "order_kept": in_order });
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
            line.extend(more.clone());
        }
        println!("{line}");
        assert_eq!((lost, twice, in_order), (0, 0, true), "{line}");
        assert!(again > kills / 4, "kills fell into attempts: {line}");
        assert_eq!(self.discord.violations(), Vec::<String>::new());
        self.counted.set(true);
        Ok(line)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_on_sqlite() -> Result<()> {
    if let Some(orders) = worker::orders() {
        return work(&orders).await;
    }
    let (kills, _) = kills();
    let mut s = Slaughter::new(None).await?;
    let mut dice = Dice(17);
    for turn in 0..kills {
        s.top_up().await?;
        let before = s.begun();
        let mut worker = s.worker(None)?;
        // One in five dies on its way to work; the others when they are at it, however long the way takes.
        if turn % 5 > 0 {
            wait::until(
                "the worker to be at work",
                Duration::from_secs(120),
                async || (s.begun() > before).then_some(()),
            )
            .await?;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(1100))).await;
        worker.kill();
    }
    let _last = s.worker(None)?;
    s.count("sqlite", kills, json!({})).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_with_four_replicas_on_postgresql() -> Result<()> {
    let (_, kills) = kills();
    let mut s = Slaughter::new(Some(Postgres::shared().await?.database().await?)).await?;
    let mut dice = Dice(23);
    let names = ["anna", "ben", "cleo", "dora"];
    let mut workers: BTreeMap<&str, Leash> = BTreeMap::new();
    for name in names {
        workers.insert(name, s.worker(Some(name))?);
    }
    let (mut takeovers, mut hung) = (Vec::new(), None::<&str>);
    for _ in 0..kills {
        s.top_up().await?;
        let (active, _) = active(&s.store, None).await?;
        tokio::time::sleep(Duration::from_millis(dice.roll(900))).await;
        // Mostly the one that posts; sometimes one that stands by; and sometimes it only hangs, to wake up too late.
        let victim = if dice.roll(4) == 0 {
            names[usize::try_from(dice.roll(4))?]
        } else {
            names.into_iter().find(|n| *n == active).context("known")?
        };
        if let Some(name) = hung.take() {
            workers.get_mut(name).context("known")?.signal("CONT");
        }
        let gone = Instant::now();
        if dice.roll(5) == 0 {
            workers.get_mut(victim).context("known")?.signal("STOP");
            hung = Some(victim);
        } else {
            workers.remove(victim).context("known")?.kill();
        }
        if victim == active {
            let (_, looks) = self::active(&s.store, Some(&active)).await?;
            takeovers.push((looks, gone.elapsed().as_secs_f64()));
        }
        if !workers.contains_key(victim) {
            workers.insert(victim, s.worker(Some(victim))?);
        }
    }
    if let Some(name) = hung {
        workers.get_mut(name).context("known")?.signal("CONT");
    }
    takeovers.sort_by(|a, b| a.1.total_cmp(&b.1));
    let p99 = takeovers[(takeovers.len() * 99).div_ceil(100) - 1];
    s.count(
        "postgresql, 4 replicas",
        kills,
        json!({ "takeovers": takeovers.len(), "takeover_p99_s": p99.1, "target_s": LOOKS as f64 / 20.0 }),
    )
    .await?;
    assert!(p99.0 <= LOOKS, "{takeovers:?}");
    Ok(())
}

/// Who has the lead, once somebody other than `not` has it, and how many looks it took to see it.
async fn active(store: &SqlStore, not: Option<&str>) -> Result<(String, usize)> {
    let mut looks = 0;
    wait::until(
        "a replica to be active",
        Duration::from_secs(120),
        async || {
            looks += 1;
            store
                .replicas()
                .await
                .ok()?
                .into_iter()
                .find(|k| k.active && Some(k.name.as_str()) != not)
                .map(|k| (k.name, looks))
        },
    )
    .await
}
