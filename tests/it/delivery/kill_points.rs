//! Killed at named points of its work, once at each, on each store and each chat: what was begun is taken up, said once and in
//! order. The worker dies by SIGKILL, where it says; the next one has no such orders and finishes.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use futures::StreamExt;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Executor};
use tokio_util::sync::CancellationToken;
use upgrade_herald::{
    adapters::{
        clock::SystemClock,
        discord::{self, Discord},
        matrix::{self, Matrix},
        store::SqlStore,
    },
    config::{Delivery, OnDoubt, SourceFile, UpgradeFile},
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    domain::{
        campaign::upgrade::{Target, Upgrade},
        outbox::{Operation, PostState},
        plan::notice::{Happening, Trigger},
    },
    listen::{feedback::Summariser, rollcall::Rollcall},
    outbox::Core,
    plan::planner::Planner,
    ports::{
        CampaignStore, Chain, Chat, ChatError, OutboxStore, Outlet, Platform, Readers, Replica,
        Store, StoreError,
    },
    run::{
        heartbeat::Heartbeats,
        leader::{LeaderCheck, LeaderElection},
        supervisor,
    },
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

use crate::{
    doubles::discord::{ChannelKind, Double, Fault, OneShot, Options},
    harness::{
        chains::PrunedChain,
        chats::HookedChat,
        hooks::{Call, Hook},
        plans::every_notice,
        stores::HookedStore,
        worker,
        world::PASSWORD,
    },
    support::{Person, Postgres, Synapse, leash::Leash, wait},
};

const TIMEOUT: Duration = Duration::from_secs(2);
const LEASE: SignedDuration = SignedDuration::from_millis(2500);
/// Cells that are worked on at once.
const AT_ONCE: usize = 4;
const KILLED: i32 = 128 + 9;

/// Where it dies, in the order of the work. `in_…` is in the middle: of a transaction, after its statements and before its end;
/// of a request, while it is under way.
const POINTS: [&str; 23] = [
    "in_migration",
    "after_lead",
    "before_planning",
    "in_planning",
    "after_planning",
    "before_facts",
    "in_facts",
    "after_facts",
    "before_claim",
    "in_claim",
    "after_claim",
    "before_request",
    "in_request",
    "after_request",
    "before_record",
    "in_record",
    "after_record",
    "before_read_back",
    "after_read_back",
    "before_edit",
    "after_edit",
    "after_thread",
    "in_shutdown",
];

// --- the worker ------------------------------------------------------------------------------

/// Ends this process as a power cut would: nothing runs any more, not even what other threads are at.
fn die() -> ! {
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &std::process::id().to_string()])
        .status();
    loop {
        std::thread::park();
    }
}

/// Dies at one point, or when the store is in the middle of a slow transaction.
struct Fatal {
    point: String,
    url: String,
    sends: AtomicUsize,
    stop: CancellationToken,
}

impl Fatal {
    fn at(&self, point: &str) {
        if self.point == point {
            die();
        }
    }

    /// The name of what a call to the store is a part of.
    fn part(call: &Call<'_>) -> Option<&'static str> {
        match call.name {
            "begin" => Some("claim"),
            "finish" => Some("record"),
            "commit" => {
                let batch = call.batch?;
                let planning = !batch.upgrades.is_empty()
                    && batch.facts.is_empty()
                    && batch.memories.is_empty();
                if planning {
                    Some("planning")
                } else {
                    (!batch.facts.is_empty()).then_some("facts")
                }
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Hook<StoreError> for Fatal {
    async fn before(&self, call: &Call<'_>) -> Result<(), StoreError> {
        if let Some(part) = Self::part(call) {
            self.at(&format!("before_{part}"));
            if part == "record" && self.stop.is_cancelled() {
                self.at("in_shutdown");
            }
        }
        Ok(())
    }

    async fn during(&self, call: &Call<'_>) {
        if Self::part(call).is_some_and(|part| self.point == format!("in_{part}")) {
            in_the_middle(&self.url).await;
            die();
        }
    }

    async fn after(&self, call: &Call<'_>) -> Result<(), StoreError> {
        if let Some(part) = Self::part(call) {
            self.at(&format!("after_{part}"));
        }
        Ok(())
    }
}

#[async_trait]
impl Hook<ChatError> for Fatal {
    async fn before(&self, call: &Call<'_>) -> Result<(), ChatError> {
        match call.name {
            "send" => {
                self.at("before_request");
                if self.point == "in_shutdown" && self.sends.fetch_add(1, Ordering::Relaxed) == 1 {
                    self.stop.cancel();
                }
            }
            "find" => self.at("before_read_back"),
            "edit" => self.at("before_edit"),
            _ => {}
        }
        Ok(())
    }

    async fn during(&self, call: &Call<'_>) {
        if call.name == "send" {
            // The request is asked for its answer first, then this; so it is on its way.
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.at("in_request");
        }
    }

    async fn after(&self, call: &Call<'_>) -> Result<(), ChatError> {
        match call.name {
            "send" => self.at("after_request"),
            "find" => self.at("after_read_back"),
            "edit" => self.at("after_edit"),
            "open_thread" => self.at("after_thread"),
            _ => {}
        }
        Ok(())
    }
}

/// Returns once the store's database is in a transaction that was made slow.
async fn in_the_middle(url: &str) {
    loop {
        let busy = async {
            let mut connection = AnyConnection::connect(url).await?;
            if url.starts_with("sqlite") {
                connection.execute("PRAGMA busy_timeout = 0").await?;
                return Ok::<_, sqlx::Error>(connection.execute("BEGIN IMMEDIATE").await.is_err());
            }
            let sleeps = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
            Ok(connection.fetch_optional(sleeps).await?.is_some())
        };
        if busy.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tells an upgrade from its acceptance to its being applied, as far as it gets.
async fn work(orders: &Value) -> Result<()> {
    let text = |key: &str| {
        orders[key]
            .as_str()
            .with_context(|| format!("no {key} in the orders"))
            .map(str::to_owned)
    };
    let (url, point) = (text("store")?, text("point")?);
    let _alone = url
        .starts_with("sqlite")
        .then(|| upgrade_herald::adapters::store::Lock::take(&url))
        .transpose()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    sqlx::any::install_default_drivers();
    let fatal = Arc::new(Fatal {
        point,
        url: url.clone(),
        sends: AtomicUsize::new(0),
        stop,
    });
    let inner: Arc<dyn Store> = tokio::select! {
        store = SqlStore::open(&url) => Arc::new(store?),
        () = async { in_the_middle(&url).await; fatal.at("in_migration"); std::future::pending().await } => unreachable!(),
    };
    let store: Arc<dyn Store> = Arc::new(HookedStore {
        inner,
        hook: fatal.clone(),
    });
    let (platform, chat, place) = connect(orders).await?;
    let chat: Arc<dyn Chat> = Arc::new(HookedChat {
        inner: chat,
        hook: fatal.clone(),
    });

    let mut loaded = every_notice();
    for notice in loaded.config.plan.plans.values_mut().flat_map(|plan| {
        plan.notices
            .retain(|n| ["window-set", "authorized", "applied"].contains(&n.id.as_str()));
        &mut plan.notices
    }) {
        (notice.approval.persons, notice.late, notice.live) = Default::default();
        if notice.id == "window-set" {
            // Here the file has the window, and no vote has chosen it.
            notice.trigger = Trigger::On(Happening::WindowSet);
        }
        notice.channels = vec!["c0".into()];
    }
    let sample = loaded.config.upgrades[0].upgrade.clone();
    let opens = serde_json::from_value(orders["opens"].clone())?;
    let chains = [(
        "relay".to_owned(),
        Target {
            spec_version: 2,
            code_hash: None,
        },
    )]
    .into();
    let mut upgrade = Upgrade {
        id: "v2".into(),
        chains,
        ..sample
    };
    upgrade.window.closes = later_by(
        opens,
        upgrade.window.closes.duration_since(upgrade.window.opens),
    );
    upgrade.window.opens = opens;
    let file = UpgradeFile {
        upgrade,
        file: SourceFile {
            name: "upgrades/v2.yaml".into(),
            text: String::new(),
        },
    };
    loaded.config.upgrades = vec![file.clone()];
    let outlet = Outlet {
        platform,
        chat,
        place,
        readers: Readers::Public,
        locale: "en".into(),
        mentions: BTreeMap::new(),
    };
    let snapshot = ConfigSnapshot {
        config: loaded.config,
        renderer: loaded.renderer,
    };
    let mut core = Core::new(
        snapshot,
        [("c0".to_owned(), outlet)].into(),
        Arc::new(SystemClock),
        store.clone(),
    );
    core.delivery = Delivery {
        timeout: SignedDuration::try_from(TIMEOUT)?,
        lease: LEASE,
        key_window: SignedDuration::from_mins(3),
        on_doubt: OnDoubt::Park,
        drain: SignedDuration::from_secs(10),
    };
    let core = Arc::new(core);

    let lead = match orders["replica"].as_str() {
        None => None,
        Some(name) => {
            let me = Replica {
                name: name.to_owned(),
                instance: format!("{name}-{}", std::process::id()),
            };
            let lead = LeaderElection {
                store: store.clone(),
                clock: Arc::new(SystemClock),
                me,
                ttl: LEASE,
            };
            while !matches!(lead.try_lead(&core.lease).await, LeaderCheck::Mine { .. }) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Some(lead)
        }
    };
    fatal.at("after_lead");
    let node = Arc::new(PrunedChain::fresh());
    let watcher = Arc::new(Watcher::new(
        core.clone(),
        [("relay".to_owned(), node.clone() as Arc<dyn Chain>)].into(),
    ));
    let planner = Arc::new(Planner::new(core.clone()));
    planner.tick().await?;
    store.begin_anew().await?;
    // A post that is out is edited as well: as if the window had moved.
    let first = store
        .posts("v2")
        .await?
        .into_iter()
        .find(|p| p.notice == "window-set")
        .context("the first post")?;
    let mut mark = first.beside(Operation::Mark, 1);
    mark.due = first.due;
    store
        .commit(upgrade_herald::ports::Batch {
            posts: vec![mark],
            ..Default::default()
        })
        .await?;
    watcher.tick("relay").await?;
    node.grow(60);
    let services = supervisor::Services {
        watcher,
        dispatcher: Arc::new(Dispatcher::new(core.clone())),
        summariser: Arc::new(Summariser::new(core.clone())),
        rollcall: Arc::new(Rollcall::new(core.clone())),
        gate: Arc::new(Gate::new(core.clone())),
        planner,
        core: core.clone(),
        heartbeats: Arc::new(Heartbeats::new(Duration::from_secs(60))),
    };
    let told = async {
        loop {
            let posts = store.posts("v2").await?;
            if posts.len() == ALL && posts.iter().all(|p| p.state == PostState::Sent) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let keep = async {
        match &lead {
            Some(lead) => lead.keep_lead(&core.lease).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        told = told => told,
        ended = supervisor::run(services, stopped) => bail!("the services ended: {ended:?}"),
        why = keep => bail!("not active any more: {why}"),
    }
}

/// The posts of the story: three notices, the mark on the first and the thread of the last.
const ALL: usize = 5;

fn later_by(at: jiff::Timestamp, length: SignedDuration) -> jiff::Timestamp {
    at.checked_add(length).expect("a time near now")
}

/// Tries again what a server that has other tests to serve did not answer in time.
async fn insist<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if tries < 10 => eprintln!("{error:#}"),
            result => return result,
        }
        tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn connect(orders: &Value) -> Result<(Platform, Arc<dyn Chat>, String)> {
    let text = |key: &str| {
        orders[key]
            .as_str()
            .with_context(|| format!("no {key} in the orders"))
            .map(str::to_owned)
    };
    let place = text("place")?;
    if orders["platform"] == "discord" {
        let route = discord::Route {
            address: text("address")?.parse()?,
            ca_pem: text("ca")?.into_bytes(),
        };
        let (guild, token) = (text("guild")?.parse()?, SecretString::from(text("token")?));
        let settings = discord::DiscordSettings {
            token,
            guild,
            route: Some(route),
            timeout: TIMEOUT,
        };
        let chat = insist(async || Ok(Discord::connect(settings.clone()).await?)).await?;
        return Ok((Platform::Discord, chat, place));
    }
    let settings = matrix::MatrixSettings {
        homeserver: text("homeserver")?,
        user: text("user")?,
        password: Some(PASSWORD.into()),
        device: text("device")?,
        store: text("folder")?.into(),
        passphrase: None,
        token: None,
        recovery: None,
        timeout: TIMEOUT,
    };
    let chat = insist(async || Ok(Matrix::connect(settings.clone()).await?)).await?;
    let place = insist(async || Ok(chat.room(&place).await?)).await?;
    Ok((Platform::Matrix, chat, place))
}

// --- who kills ---------------------------------------------------------------------------------

/// What all cells have in common.
struct Ground {
    discord: Double,
    synapse: &'static Synapse,
    postgres: &'static Postgres,
    alice: Person,
    user: String,
}

impl Ground {
    async fn new() -> Result<Self> {
        let discord = Double::start(Options::default()).await;
        discord.set_limits(crate::doubles::discord::Limits::none());
        let synapse = Synapse::shared().await?;
        let user = "herald-points".to_owned();
        synapse.register(&user, PASSWORD).await?;
        Ok(Self {
            discord,
            synapse,
            postgres: Postgres::shared().await?,
            alice: synapse.person("alice-points").await?,
            user,
        })
    }
}

/// One point on one store and one chat.
struct Cell<'a> {
    ground: &'a Ground,
    point: &'static str,
    shared: bool,
    platform: Platform,
    place: String,
    url: String,
    opens: jiff::Timestamp,
    dir: tempfile::TempDir,
}

impl<'a> Cell<'a> {
    async fn new(
        ground: &'a Ground,
        point: &'static str,
        shared: bool,
        platform: Platform,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = if shared {
            ground.postgres.database().await?
        } else {
            format!("sqlite://{}", dir.path().join("herald.db").display())
        };
        let place = match platform {
            Platform::Discord => {
                let place = ground
                    .discord
                    .add_channel(point, ChannelKind::Text)
                    .to_string();
                if point == "in_request" {
                    // The double may answer in less than it takes to die.
                    let slow = Fault::Stall(Duration::from_secs(1));
                    ground.discord.add_fault(OneShot::new(
                        "POST",
                        &format!("/channels/{place}/messages"),
                        slow,
                    ));
                }
                place
            }
            _ => {
                let room = ground.alice.create_room(point).await?;
                ground
                    .alice
                    .invite(&room, &format!("@{}:localhost", ground.user))
                    .await?;
                room
            }
        };
        let opens = crate::harness::world::later(crate::harness::world::now(), 7200);
        Ok(Self {
            ground,
            point,
            shared,
            platform,
            place,
            url,
            opens,
            dir,
        })
    }

    fn name(&self) -> String {
        format!(
            "{} on {} and {}",
            self.point,
            if self.shared { "postgresql" } else { "sqlite" },
            self.platform.name()
        )
    }

    fn worker(&self, point: &str, number: usize) -> Result<Leash> {
        let discord = &self.ground.discord;
        let orders = json!({
            "point": point, "store": self.url, "replica": self.shared.then(|| format!("r{number}")), "opens": self.opens,
            "platform": self.platform.name(), "place": self.place, "address": discord.https_addr().to_string(),
            "ca": discord.ca_pem(), "token": discord.token(), "guild": discord.guild_id().to_string(),
            "homeserver": self.ground.synapse.url(), "user": self.ground.user,
            // On a store of its own a worker keeps its device; another replica has another one.
            "device": format!("{}-{}", self.dir.path().file_name().context("a name")?.to_string_lossy(), if self.shared { number } else { 0 }),
            "folder": self.dir.path().join(format!("matrix-{}", if self.shared { number } else { 0 })),
        });
        worker::start(
            "delivery::kill_points::killed_at_named_points",
            &orders,
            self.dir.path(),
            &number.to_string(),
        )
    }

    /// How a worker that is to die at `death` ends. One whose lead a stall of the machine took begins again, as herald does.
    async fn end_of(&self, death: &str, number: usize) -> Result<i32> {
        for deposed in 1.. {
            let mut worker = self.worker(death, number)?;
            let patience = Duration::from_secs(90);
            let ended =
                wait::until("the worker's end", patience, async || worker.exit_code()).await;
            let code = ended.with_context(|| self.said(number))?;
            if code == KILLED
                || self.said(number).matches("not active any more").count() < deposed
                || deposed == 10
            {
                return Ok(code);
            }
        }
        unreachable!()
    }

    fn said(&self, number: usize) -> String {
        let read = |end: &str| {
            std::fs::read_to_string(self.dir.path().join(format!("{number}.{end}")))
                .unwrap_or_default()
        };
        format!("worker {number} said: {}{}", read("out"), read("err"))
    }

    /// The points at which workers die one after the other, before one may finish.
    fn deaths(&self) -> Vec<&'static str> {
        if self.point.ends_with("read_back") {
            vec!["after_request", self.point]
        } else {
            vec![self.point]
        }
    }

    async fn play(&self) -> Result<()> {
        if self.point == "in_migration" {
            old_store(&self.url).await?;
        }
        let mut number = 0;
        for death in self.deaths() {
            let slow = Slow::of(death, &self.url).await?;
            let code = self.end_of(death, number).await?;
            ensure!(
                code == KILLED,
                "it was to be killed at {death}, and ended with {code}; {}",
                self.said(number)
            );
            slow.over(&self.url).await?;
            number += 1;
        }
        let code = self.end_of("", number).await?;
        ensure!(
            code == 0,
            "the last one ended with {code}; {}",
            self.said(number)
        );
        self.look().await
    }

    /// That everything was said once, in order.
    async fn look(&self) -> Result<()> {
        let store = opened(&self.url).await?;
        if self.point == "in_migration" {
            ensure!(
                store.posts("v1").await?.len() == 2 && store.upgrades().await?.len() == 2,
                "what was there is there"
            );
        }
        let posts = store.posts("v2").await?;
        let of = |operation| posts.iter().filter(move |p| p.operation == operation);
        let mut wanted: Vec<_> = of(Operation::Post).collect();
        wanted.sort_by_key(|p| (p.due, p.rank));
        let notices: Vec<&str> = wanted.iter().map(|p| p.notice.as_str()).collect();
        ensure!(
            notices == ["window-set", "authorized", "applied"],
            "{notices:?}"
        );
        let wanted: Vec<String> = wanted.iter().map(|p| p.key.to_string()).collect();
        let (said, threads, marks) = match self.platform {
            Platform::Discord => self.on_discord(),
            _ => self.on_matrix().await?,
        };
        ensure!(said == wanted, "said {said:?} for {wanted:?}");
        ensure!(
            (threads, marks) == (1, 1),
            "{threads} openings and {marks} marks"
        );
        Ok(())
    }

    /// Keys of what was said in their order, openings of threads, marked posts.
    fn on_discord(&self) -> (Vec<String>, usize, usize) {
        let discord = &self.ground.discord;
        let channel = self.place.parse().expect("an id");
        let all = discord.messages(channel);
        let key = |m: &crate::doubles::discord::Message| {
            m.embeds[0]["footer"]["text"]
                .as_str()
                .and_then(|t| t.rsplit(' ').next())
                .unwrap_or_default()
                .to_owned()
        };
        let openings = discord
            .threads(channel)
            .iter()
            .map(|(thread, _)| discord.messages(*thread).len())
            .sum();
        (
            all.iter().map(key).collect(),
            openings,
            all.iter().filter(|m| m.edited).count(),
        )
    }

    async fn on_matrix(&self) -> Result<(Vec<String>, usize, usize)> {
        let all = self.ground.alice.messages(&self.place).await?;
        let all: Vec<Value> = all
            .into_iter()
            .filter(|e| e["type"] == "m.room.message")
            .collect();
        let relation = |e: &Value| {
            e["content"]["m.relates_to"]["rel_type"]
                .as_str()
                .map(str::to_owned)
        };
        let key = |e: &Value| {
            e["content"]["org.upgrade-herald.key"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let with = |kind: &str| {
            all.iter()
                .filter(|e| relation(e).as_deref() == Some(kind))
                .count()
        };
        Ok((
            all.iter()
                .filter(|e| relation(e).is_none())
                .map(key)
                .collect(),
            with("m.thread"),
            with("m.replace"),
        ))
    }
}

async fn statements(url: &str, statements: impl IntoIterator<Item = String>) -> Result<()> {
    sqlx::any::install_default_drivers();
    let url = if url.starts_with("sqlite") {
        format!("{url}?mode=rwc")
    } else {
        url.to_owned()
    };
    let mut connection = AnyConnection::connect(&url).await?;
    for statement in statements {
        connection
            .execute(sqlx::AssertSqlSafe(statement.clone()))
            .await
            .with_context(|| statement)?;
    }
    connection.close().await?;
    Ok(())
}

/// A store as the first version left it.
pub async fn old_store(url: &str) -> Result<()> {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/v0.1.0.sql"),
    )?;
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("--"))
        .map(|l| format!("{l}\n"))
        .collect();
    let text = if url.starts_with("sqlite") {
        text
    } else {
        text.replace("INTEGER", "BIGINT")
    };
    statements(
        url,
        text.split("\n;\n")
            .filter(|s| !s.trim().is_empty())
            .map(str::to_owned),
    )
    .await
}

/// Makes a transaction take long, so that it can be died in; where it is noticed late too.
struct Slow(Vec<String>);

impl Slow {
    async fn of(point: &str, url: &str) -> Result<Self> {
        let (event, table) = match point {
            "in_migration" => ("UPDATE", "facts"),
            "in_planning" => ("INSERT", "upgrades"),
            "in_facts" => ("INSERT", "facts"),
            "in_claim" => ("INSERT", "attempts"),
            "in_record" => ("UPDATE", "attempts"),
            _ => return Ok(Self(Vec::new())),
        };
        // Who died in it can't see that nobody waits for its end: the server sleeps on, and is told to stop.
        let wake = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        let (make, undo) = if url.starts_with("sqlite") {
            let long = "CREATE VIEW long AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000000) SELECT COUNT(*) AS n FROM c";
            let slow = format!(
                "CREATE TRIGGER slow AFTER {event} ON {table} BEGIN SELECT n FROM long; END"
            );
            (
                vec![long.to_owned(), slow],
                vec!["DROP TRIGGER slow".to_owned(), "DROP VIEW long".to_owned()],
            )
        } else if point == "in_migration" {
            // Its steps change tables, which no row's trigger sees.
            let function = "CREATE FUNCTION slow() RETURNS event_trigger AS $$ BEGIN PERFORM pg_sleep(60); END $$ LANGUAGE plpgsql";
            let trigger = "CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION slow()";
            (
                vec![function.to_owned(), trigger.to_owned()],
                vec![wake.to_owned(), "DROP EVENT TRIGGER slow".to_owned()],
            )
        } else {
            let function = "CREATE FUNCTION slow() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$ LANGUAGE plpgsql";
            let trigger = format!(
                "CREATE TRIGGER slow AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION slow()"
            );
            (
                vec![function.to_owned(), trigger],
                vec![wake.to_owned(), format!("DROP TRIGGER slow ON {table}")],
            )
        };
        // The tables must be there for it.
        if point != "in_migration" {
            opened(url).await?;
        }
        statements(url, make).await?;
        Ok(Self(undo))
    }

    async fn over(self, url: &str) -> Result<()> {
        statements(url, self.0).await
    }
}

/// The store of a cell: on a busy machine it may take several tries to be connected in time.
async fn opened(url: &str) -> Result<SqlStore> {
    let patience = Duration::from_secs(60);
    wait::until("the store", patience, async || {
        SqlStore::open(url).await.ok()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_named_points() -> Result<()> {
    if let Some(orders) = worker::orders() {
        return work(&orders).await;
    }
    let ground = Ground::new().await?;
    let platforms = [Platform::Discord, Platform::Matrix];
    // Only on PostgreSQL is there a lead.
    let there_is = |point: &str, shared: bool| shared || point != "after_lead";
    let cells = POINTS
        .into_iter()
        .flat_map(|point| [false, true].map(|shared| (point, shared)));
    let cells = cells
        .filter(|(point, shared)| there_is(point, *shared))
        .flat_map(|(point, shared)| platforms.map(|p| (point, shared, p)));
    let played = futures::stream::iter(cells).map(async |(point, shared, platform)| {
        let cell = Cell::new(&ground, point, shared, platform).await?;
        cell.play().await.with_context(|| cell.name())
    });
    let played: Vec<Result<()>> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<String> = played
        .iter()
        .filter_map(|r| r.as_ref().err())
        .map(|e| format!("{e:#}"))
        .collect();
    println!(
        "{}",
        json!({ "points": POINTS.len(), "cells": played.len(), "failed": failed.len() })
    );
    ensure!(
        failed.is_empty(),
        "{} of {} cells: {}",
        failed.len(),
        played.len(),
        failed.join("\n\n")
    );
    ensure!(
        ground.discord.violations().is_empty(),
        "{:?}",
        ground.discord.violations()
    );
    Ok(())
}
