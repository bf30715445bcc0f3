//! Several herald on one PostgreSQL: one is active, another takes over, and nothing is lost or said twice.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use upgrade_herald::{
    adapters::store::SqlStore,
    ports::{LeadershipStore, OutboxStore},
};

use crate::{
    delivery::crash::plan,
    doubles::discord::{Faults, Options},
    harness::world::{PASSWORD, PATIENCE, World, later, now},
    support::{DevnetOptions, Herald, Postgres, wait},
};

const LEASE: u64 = 3;
/// A takeover is measured in looks at the store, each of which costs what a replica's own look costs: a machine that is busy
/// makes both slower.
/// The lease and 5 s more, with 20 looks a second.
const LOOKS: usize = (LEASE as usize + 5) * 20;

/// A world whose herald are several.
struct Replicas {
    w: World,
    url: String,
    all: Vec<(String, Herald)>,
}

impl Replicas {
    async fn new(names: &[&str], options: Options) -> Result<Self> {
        Self::on(Postgres::shared().await?.database().await?, names, options).await
    }

    async fn on(url: String, names: &[&str], options: Options) -> Result<Self> {
        let w = World::new(options, DevnetOptions::default()).await?;
        let config = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
        let config = config.replace("sqlite://herald.db", &url);
        w.write(
            "herald.yaml",
            &config.replace(
                "timeout: 4s, lease: 5s",
                &format!("timeout: 2s, lease: {LEASE}s"),
            ),
        )?;
        let mut all = Vec::new();
        for name in names {
            let dir = w.dir.path().join(format!("replica-{name}"));
            std::fs::create_dir(&dir)?;
            for shared in ["config", "templates", "ca.pem"] {
                std::os::unix::fs::symlink(w.dir.path().join(shared), dir.join(shared))?;
            }
            let herald = Herald::new(PathBuf::from(env!("CARGO_BIN_EXE_herald")), &dir)
                .args(["run", "--replica", name])
                .env("TEST_DISCORD_TOKEN", w.discord.token())
                .env("TEST_MATRIX_PASSWORD", PASSWORD);
            all.push(((*name).to_owned(), herald));
        }
        Ok(Self { w, url, all })
    }

    fn of(&mut self, name: &str) -> &mut Herald {
        &mut self
            .all
            .iter_mut()
            .find(|(n, _)| n == name)
            .expect("a replica")
            .1
    }

    async fn store(&self) -> Result<SqlStore> {
        Ok(SqlStore::open(&self.url).await?)
    }

    /// Who has the lead now, once somebody other than `not` has it, and how many looks it took to see it.
    async fn active(&self, not: Option<&str>) -> Result<(String, usize)> {
        let store = self.store().await?;
        let mut looks = 0;
        wait::until(
            "a replica to be active",
            Duration::from_secs(120),
            async || {
                looks += 1;
                let known = store.replicas().await.ok()?;
                known
                    .into_iter()
                    .find(|k| k.active && Some(k.name.as_str()) != not)
                    .map(|k| (k.name, looks))
            },
        )
        .await
    }

    /// Returns when so many have been heard of: one has the lead, the others stand by.
    async fn are_there(&self, number: usize) -> Result<()> {
        let store = self.store().await?;
        wait::until("the other replicas", Duration::from_secs(120), async || {
            (store.replicas().await.ok()?.len() == number).then_some(())
        })
        .await
    }

    /// Gives those who run an upgrade, and waits for the first of its notices: a start may take as long as it takes.
    async fn plan_and_first_post(&self) -> Result<()> {
        self.w.write(
            "upgrades/v2.yaml",
            &crate::stories::story::upgrade(later(now(), 1030)),
        )?;
        self.w.on_discord("Countdown").await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_and_nothing_is_lost_or_twice() -> Result<()> {
    const NOTICES: i64 = 50;
    let mut r = Replicas::new(&["anna", "ben", "cleo"], Options::default()).await?;
    r.w.write("plan.yaml", &plan(NOTICES))?;
    r.w.discord.set_faults(Faults {
        drop_before: 0.05,
        drop_after: 0.05,
        seed: 11,
        ..Default::default()
    });
    for (_, herald) in &mut r.all {
        herald.start()?;
    }
    let mut takeovers = Vec::new();
    let (mut active, _) = r.active(None).await?;
    r.are_there(3).await?;
    r.plan_and_first_post().await?;
    for (turn, moment) in [4100, 2350, 3480, 1700, 2810].into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let before = active.clone();
        match turn % 3 {
            // It dies.
            0 => r.of(&before).sigkill(),
            // It hangs, and wakes up when another is active.
            1 => r.of(&before).signal("STOP"),
            // It leaves.
            _ => r.of(&before).sigterm(),
        }
        let looks;
        (active, looks) = r.active(Some(&before)).await?;
        takeovers.push(looks);
        if turn % 3 == 1 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            r.of(&before).signal("CONT");
        } else {
            r.of(&before).wait(PATIENCE).await?;
            r.of(&before).start()?;
        }
    }
    let all = usize::try_from(NOTICES)?;
    wait::until(
        "every notice on both chats",
        Duration::from_secs(120),
        async || {
            let matrix = r.w.keys_on_matrix().await.ok()?.len();
            (r.w.keys_on_discord().len() >= all && matrix >= all).then_some(())
        },
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let posts = r.store().await?.posts("v2").await?;
    let name = |key: &String| {
        posts
            .iter()
            .find(|p| p.key.0 == *key)
            .map(|p| p.notice.clone())
            .unwrap_or_default()
    };
    let expected: Vec<String> = (1..=NOTICES).map(|n| format!("n{n:02}")).collect();
    let on_discord: Vec<String> = r.w.keys_on_discord().iter().map(name).collect();
    let on_matrix: Vec<String> = r.w.keys_on_matrix().await?.iter().map(name).collect();
    let unique = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len();
    let twice = on_discord.len() - unique(&on_discord) + on_matrix.len() - unique(&on_matrix);
    let slowest = takeovers.iter().copied().max().unwrap_or_default();
    println!(
        "{}",
        json!({ "replicas": 3, "takeovers": takeovers.len(), "slowest_looks": slowest, "lost": 2 * all - unique(&on_discord) - unique(&on_matrix), "twice": twice })
    );
    assert_eq!(on_discord, expected, "each once and in order on Discord");
    assert_eq!(on_matrix, expected, "each once and in order on Matrix");
    assert!(slowest <= LOOKS, "{takeovers:?} looks");
    assert_eq!(r.w.discord.violations(), Vec::<String>::new());
    // A command is answered once, by whoever is active.
    let question = r.w.alice.say(&r.w.room, "!upgrade status").await?;
    let answers = async || {
        let said = r.w.said_on_matrix().await.ok()?;
        let to = |e: &&serde_json::Value| {
            e["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == question.as_str()
        };
        Some(said.iter().filter(to).count()).filter(|n| *n > 0)
    };
    wait::until("an answer", PATIENCE, answers).await?;
    // Time for another replica to answer as well.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answers = answers().await.context("the answer is gone")?;
    ensure!(answers == 1, "{answers} answers to one question");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_under_one_name_are_told_apart() -> Result<()> {
    let mut r = Replicas::new(&["anna", "ben"], Options::default()).await?;
    r.w.write("plan.yaml", &plan(1))?;
    r.w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 5000)),
    )?;
    r.of("anna").start()?;
    r.active(None).await?;
    let dir = r.w.dir.path().join("replica-ben");
    let mut second = Herald::new(PathBuf::from(env!("CARGO_BIN_EXE_herald")), &dir)
        .args(["run", "--replica", "anna"])
        .env("TEST_DISCORD_TOKEN", r.w.discord.token())
        .env("TEST_MATRIX_PASSWORD", PASSWORD);
    assert_eq!(second.run(Duration::from_secs(60)).await?, 1);
    let said = second.stderr();
    assert!(
        said.contains("another process runs as replica `anna`") && said.contains("--replica NAME"),
        "{said}"
    );
    assert_eq!(r.active(None).await?.0, "anna");
    // The status names who shares the store, and who is active.
    r.of("ben").start()?;
    r.of("ben")
        .wait_for_output(
            "standing by: replica anna is active",
            Duration::from_secs(60),
        )
        .await?;
    let mut status =
        Herald::new(PathBuf::from(env!("CARGO_BIN_EXE_herald")), r.w.dir.path()).args(["status"]);
    status.run(PATIENCE).await?;
    let said = status.stdout();
    assert!(
        said.contains("replica anna: active") && said.contains("replica ben: standing by"),
        "{said}"
    );
    Ok(())
}

/// The database hangs for longer than the lease, and then is gone and comes back: nobody posts meanwhile, one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_nobody_posts_and_behind_it_nothing_is_lost() -> Result<()> {
    const NOTICES: i64 = 24;
    let mut postgres = Postgres::start().await?;
    let mut r = Replicas::on(
        postgres.database().await?,
        &["anna", "ben"],
        Options::default(),
    )
    .await?;
    r.w.write("plan.yaml", &plan(NOTICES))?;
    r.of("anna").start()?;
    r.active(None).await?;
    r.of("ben").start()?;
    r.of("ben")
        .wait_for_output(
            "standing by: replica anna is active",
            Duration::from_secs(60),
        )
        .await?;
    r.plan_and_first_post().await?;
    wait::until("some posts", Duration::from_secs(60), async || {
        (r.w.keys_on_discord().len() >= 3).then_some(())
    })
    .await?;
    postgres.freeze();
    r.of("anna")
        .wait_for_output("not active any more", Duration::from_secs(60))
        .await?;
    // What it was at when it found out has ended by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let quiet = r.w.keys_on_discord().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        r.w.keys_on_discord().len(),
        quiet,
        "who can't renew the lead posts nothing"
    );
    postgres.thaw();
    r.active(None).await?;
    wait::until("another post", Duration::from_secs(60), async || {
        (r.w.keys_on_discord().len() > quiet).then_some(())
    })
    .await?;
    postgres.stop();
    tokio::time::sleep(Duration::from_secs(LEASE + 2)).await;
    postgres.start_again().await?;
    let all = usize::try_from(NOTICES)?;
    wait::until(
        "every notice on both chats",
        Duration::from_secs(120),
        async || {
            let matrix = r.w.keys_on_matrix().await.ok()?.len();
            (r.w.keys_on_discord().len() >= all && matrix >= all).then_some(())
        },
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let unique = |keys: Vec<String>| (keys.len(), keys.into_iter().collect::<BTreeSet<_>>().len());
    assert_eq!(unique(r.w.keys_on_discord()), (all, all));
    assert_eq!(unique(r.w.keys_on_matrix().await?), (all, all));
    for name in ["anna", "ben"] {
        assert!(r.of(name).is_running(), "{name} has ended");
    }
    Ok(())
}

/// In an encrypted room only who was there when it was said can read what another device has said.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_reads_what_the_other_has_said_in_an_encrypted_room() -> Result<()> {
    let mut r = Replicas::new(&["anna", "ben"], Options::default()).await?;
    let room = r.w.alice.create_room_with(json!({
        "name": "Sealed", "preset": "private_chat",
        "initial_state": [{ "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } }],
    }));
    let room = room.await?;
    r.w.alice.invite(&room, &r.w.user_id).await?;
    let config = std::fs::read_to_string(r.w.dir.path().join("config/herald.yaml"))?;
    r.w.write("herald.yaml", &config.replace(&r.w.room, &room))?;
    r.w.write("plan.yaml", &plan(20))?;
    r.of("anna").start()?;
    assert_eq!(r.active(None).await?.0, "anna");
    r.of("ben").start()?;
    r.of("ben")
        .wait_for_output(
            "standing by: replica anna is active",
            Duration::from_secs(60),
        )
        .await?;
    let sealed = async |r: &Replicas| {
        let all = r.w.alice.messages(&room).await?;
        anyhow::Ok(
            all.into_iter()
                .filter(|e| e["sender"] == r.w.user_id.as_str() && e["type"] == "m.room.encrypted")
                .count(),
        )
    };
    r.plan_and_first_post().await?;
    wait::until("some posts", Duration::from_secs(60), async || {
        (sealed(&r).await.ok()? >= 5).then_some(())
    })
    .await?;
    // It dies in the middle of a post that has arrived: nobody wrote down that it did.
    r.of("anna").sigkill();
    let store = r.store().await?;
    let posts = store.posts("v2").await?;
    let last = posts
        .iter()
        .filter(|p| p.channel == "matrix" && p.remote.is_some())
        .max_by_key(|p| p.due)
        .context("one was sent")?;
    unsend(&r.url, &last.key.0).await?;
    assert_eq!(r.active(Some("anna")).await?.0, "ben");
    wait::until("all posts", Duration::from_secs(90), async || {
        (sealed(&r).await.ok()? >= 20).then_some(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sealed(&r).await?, 20, "each once");
    let after = store.post(&last.key).await?.context("it is there")?;
    assert_eq!(
        (after.state.name(), &after.remote),
        ("sent", &last.remote),
        "found, and not sent again"
    );
    assert!(after.attempts > last.attempts, "read back");
    Ok(())
}

/// As if its end had never been written down.
async fn unsend(url: &str, key: &str) -> Result<()> {
    use sqlx::{AnyConnection, Connection};
    let mut connection = AnyConnection::connect(url).await?;
    let query = sqlx::query(
        "UPDATE posts SET state = 'sending', remote = NULL, link = NULL, sent = NULL, lease_until = 0 WHERE key = $1",
    );
    query.bind(key).execute(&mut connection).await?;
    Ok(())
}
