//! A small world for a test: one room, one Discord channel, one chain, and herald among them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use upgrade_herald::{adapters::store::SqlStore, ports::CampaignStore};

use crate::{
    doubles::discord::{ChannelKind, Double, Message, Options},
    support::{Devnet, DevnetOptions, Herald, Person, Synapse, repo, wait},
};

pub const PASSWORD: &str = "an invented password";
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub alice: Person,
    pub bob: Person,
    pub room: String,
    pub discord: Double,
    pub channel: u64,
    pub chain: Devnet,
    pub herald: Herald,
    pub homeserver: String,
    /// Of herald on the homeserver.
    pub user_id: String,
    /// The last to go: what herald said at its end is read from here.
    pub dir: TempDir,
}

/// The clock on the wall, for tests on real time, in whole seconds as people write them.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("a time near now")
}

/// `seconds` from `at`, as an upgrade file writes it.
pub fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds))
        .expect("a time near now")
}

impl World {
    /// Servers are up and people are in the room; herald is configured for them but not started.
    pub async fn new(options: Options, devnet: DevnetOptions) -> Result<Self> {
        let synapse = Synapse::shared().await?;
        let dir = TempDir::new()?;
        // A server shared by all tests: each test has people and a bot of its own.
        let tag = dir
            .path()
            .file_name()
            .context("a name")?
            .to_string_lossy()
            .trim_matches('.')
            .to_lowercase();
        let (alice, bob) = (
            synapse.person(&format!("alice-{tag}")).await?,
            synapse.person(&format!("bob-{tag}")).await?,
        );
        let user = format!("herald-{tag}");
        synapse.register(&user, PASSWORD).await?;
        let user_id = format!("@{user}:localhost");
        let room = alice.create_room("Upgrades").await?;
        alice.invite(&room, &bob.user_id).await?;
        bob.join(&room).await?;
        alice.invite(&room, &user_id).await?;
        let discord = Double::start(options).await;
        let channel = discord.add_channel("upgrades", ChannelKind::Text);
        let chain = Devnet::start(devnet).await?;
        std::fs::write(dir.path().join("ca.pem"), discord.ca_pem())?;
        std::fs::create_dir_all(dir.path().join("config/upgrades"))?;
        std::os::unix::fs::symlink(repo().join("templates"), dir.path().join("templates"))?;
        let herald = Herald::new(PathBuf::from(env!("CARGO_BIN_EXE_herald")), dir.path())
            .args(["run"])
            .env("TEST_DISCORD_TOKEN", discord.token())
            .env("TEST_MATRIX_PASSWORD", PASSWORD);
        let world = Self {
            dir,
            alice,
            bob,
            room,
            discord,
            channel,
            chain,
            herald,
            homeserver: synapse.url().to_owned(),
            user_id,
        };
        world.write("herald.yaml", &world.deployment())?;
        Ok(world)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.path().join("config").join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Adds channels for operators on both platforms; the one on Discord, and the room.
    pub async fn operators(&self) -> Result<(u64, String)> {
        let operators = self.discord.add_channel("operators", ChannelKind::Text);
        let room = self.alice.create_room("Operators").await?;
        self.alice.invite(&room, &self.user_id).await?;
        let deployment = std::fs::read_to_string(self.dir.path().join("config/herald.yaml"))?;
        let more = format!(
            "channels:\n  ops-discord: {{ platform: discord, place: \"{operators}\", for: operators }}\n  ops-matrix: {{ platform: matrix, place: \"{room}\", for: operators }}\n"
        );
        self.write("herald.yaml", &deployment.replacen("channels:\n", &more, 1))?;
        Ok((operators, room))
    }

    fn deployment(&self) -> String {
        format!(
            r##"
store: {{ url: "sqlite://herald.db" }}
discord:
  token: {{ env: TEST_DISCORD_TOKEN }}
  guild: "{guild}"
  route: {{ address: "{address}", ca: ca.pem }}
matrix:
  homeserver: {homeserver}
  user: "{user}"
  password: {{ env: TEST_MATRIX_PASSWORD }}
  store: matrix
chains:
  devnet: {{ endpoints: ["{chain}"] }}
channels:
  discord: {{ platform: discord, place: "{channel}" }}
  matrix: {{ platform: matrix, place: "{room}" }}
delivery: {{ timeout: 4s, lease: 5s, key_window: 2m }}
"##,
            guild = self.discord.guild_id(),
            address = self.discord.https_addr(),
            homeserver = self.homeserver,
            user = self.user_id,
            chain = self.chain.url(),
            channel = self.channel,
            room = self.room,
        )
    }

    /// Starts herald and waits until it says that it runs.
    pub async fn start(&mut self) -> Result<()> {
        let before = self.herald.stderr().matches("herald is running").count();
        let herald = &mut self.herald;
        herald.start()?;
        wait::until("herald runs", PATIENCE, async || {
            let up = herald.stderr().matches("herald is running").count() > before;
            if !up && !herald.is_running() {
                // It gave up while a server was away: a service manager would start it again.
                herald.start().ok()?;
            }
            up.then_some(())
        })
        .await?;
        self.discord.wait_connected().await;
        wait::until("the command is registered", PATIENCE, async || {
            (!self.discord.commands().is_empty()).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Gives herald, which runs, the file of upgrade v2, whose window opens so many seconds later; returns when herald knows it,
    /// with the hour. A start may take as long as it takes: what the plan counts before the window is still to come.
    pub async fn plan_v2(&self, seconds: i64) -> Result<Timestamp> {
        let store = SqlStore::open(&format!(
            "sqlite://{}",
            self.dir.path().join("herald.db").display()
        ))
        .await?;
        let opens = later(now(), seconds);
        self.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
        let known = async || {
            store
                .upgrades()
                .await
                .ok()?
                .iter()
                .any(|a| a.upgrade.id == "v2")
                .then_some(())
        };
        wait::until("herald to know the upgrade", PATIENCE, known).await?;
        Ok(opens)
    }

    /// What herald has said in the room, oldest first, threads and answers included.
    pub async fn said_on_matrix(&self) -> Result<Vec<Value>> {
        let all = self.alice.messages(&self.room).await?;
        Ok(all
            .into_iter()
            .filter(|e| e["sender"] == self.user_id.as_str() && e["type"] == "m.room.message")
            .collect())
    }

    /// Waits for a message of herald's in the room that holds `words`.
    pub async fn on_matrix(&self, words: &str) -> Result<Value> {
        let wanted = |e: &Value| {
            e["sender"] == self.user_id.as_str()
                && e["content"]["body"]
                    .as_str()
                    .is_some_and(|b| b.contains(words))
        };
        self.alice
            .wait_for(&self.room, wanted, PATIENCE)
            .await
            .with_context(|| format!("waiting on Matrix for “{words}”"))
    }

    /// Waits for a message of herald's in the Discord channel that holds `words`.
    pub async fn on_discord(&self, words: &str) -> Result<Message> {
        wait::until(&format!("“{words}” on Discord"), PATIENCE, async || {
            self.discord
                .messages(self.channel)
                .into_iter()
                .find(|m| m.content.contains(words))
        })
        .await
    }

    /// The keys of all posts on Discord, in their order: each is in its message's footer.
    pub fn keys_on_discord(&self) -> Vec<String> {
        let own = |m: &Message| m.author_id == self.discord.bot_user_id();
        self.discord
            .messages(self.channel)
            .iter()
            .filter(|m| own(m))
            .filter_map(|m| footer_key(&m.embeds))
            .collect()
    }

    /// The keys of all posts in the room, in their order, threads' openings left out.
    pub async fn keys_on_matrix(&self) -> Result<Vec<String>> {
        let said = self.said_on_matrix().await?;
        let top = said
            .iter()
            .filter(|e| e["content"]["m.relates_to"].is_null());
        Ok(top
            .filter_map(|e| {
                e["content"]["org.upgrade-herald.key"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect())
    }
}

fn footer_key(embeds: &Value) -> Option<String> {
    embeds[0]["footer"]["text"]
        .as_str()?
        .rsplit(' ')
        .next()
        .map(str::to_owned)
}
