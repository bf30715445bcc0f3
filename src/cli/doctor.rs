//! `herald doctor`: is everything that herald needs there and allowed, before the first post?
//!
//! It asks and changes nothing, but that the account on Matrix is logged in.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::Result;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::{
    adapters::{
        clock::SystemClock,
        discord::{self, Discord, RequiredPermissions},
        matrix::{self, Matrix, Recovery},
        node::Node,
        store::{Lock, SqlStore},
    },
    config::{ChannelConfig, Config, Origin, Severity},
    lint::{self, Loaded},
    ports::{Chain, ChainError, Clock, LeadershipStore, Platform, ReplicaInfo},
    run::{address, chat_may_pass, discord_settings, logging, matrix_settings, patiently},
};

/// A clock that is further off than this makes herald say times that are not so.
const CLOCK_OFF: i64 = 30;

/// How it stands with one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum NeedVerdict {
    Good,
    /// herald runs without it, and something is missing.
    Lacking,
    Wrong,
}

/// One need, and what was found.
#[derive(Debug, Serialize)]
struct Need {
    part: String,
    verdict: NeedVerdict,
    words: String,
}

/// What was found, told as it is found.
struct DoctorReport {
    json: bool,
    needs: Vec<Need>,
}

impl DoctorReport {
    fn add(&mut self, part: &str, verdict: NeedVerdict, words: impl std::fmt::Display) {
        let need = Need {
            part: part.to_owned(),
            verdict,
            words: words.to_string(),
        };
        let sign = match verdict {
            NeedVerdict::Good => "✓",
            NeedVerdict::Lacking => "!",
            NeedVerdict::Wrong => "✗",
        };
        match serde_json::to_string(&need) {
            Ok(line) if self.json => out!("{line}"),
            _ => out!("{sign} {part}: {}", need.words),
        }
        self.needs.push(need);
    }

    fn good(&mut self, part: &str, words: impl std::fmt::Display) {
        self.add(part, NeedVerdict::Good, words);
    }

    fn lacking(&mut self, part: &str, words: impl std::fmt::Display) {
        self.add(part, NeedVerdict::Lacking, words);
    }

    fn wrong(&mut self, part: &str, words: impl std::fmt::Display) {
        self.add(part, NeedVerdict::Wrong, words);
    }

    fn count(&self, verdict: NeedVerdict) -> usize {
        self.needs.iter().filter(|n| n.verdict == verdict).count()
    }
}

pub async fn run(folder: Option<PathBuf>, replica: &str, json: bool) -> Result<ExitCode> {
    logging::log("error,upgrade_herald=error");
    let loaded = match lint::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let Loaded {
        config, warnings, ..
    } = loaded;
    let mut record = DoctorReport {
        json,
        needs: Vec::new(),
    };
    let warned = warnings
        .iter()
        .filter(|w| w.severity == Severity::Warning)
        .count();
    match warned {
        0 => record.good("files", "herald check finds nothing wrong"),
        _ => record.lacking(
            "files",
            format!("herald check has {warned} to tell: read them there"),
        ),
    }
    let running = store(&mut record, &config, replica).await;
    on_discord(&mut record, &config).await;
    on_matrix(&mut record, &config, replica, running).await;
    chains(&mut record, &config).await;
    let (wrong, lacking) = (
        record.count(NeedVerdict::Wrong),
        record.count(NeedVerdict::Lacking),
    );
    if !json {
        out!("");
        match (wrong, lacking) {
            (0, 0) => out!("Good: herald can run."),
            (0, _) => out!("herald can run; {lacking} to look at above."),
            _ => out!(
                "{wrong} to mend before herald can run as it should; {lacking} more to look at."
            ),
        }
    }
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

/// Whether a herald runs on the store already, under this name.
async fn store(record: &mut DoctorReport, config: &Config, replica: &str) -> bool {
    let at = &config.deployment.store;
    let held = if at.shared() {
        Ok(false)
    } else {
        Lock::is_held(&at.url)
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            record.wrong("store", error);
            return false;
        }
    };
    let url = match address(at) {
        Ok(url) => url,
        Err(error) => {
            record.wrong("store", error);
            return false;
        }
    };
    let mut running = held;
    match SqlStore::open_existing(url.expose_secret()).await {
        Ok(store) => {
            record.good("store", format!("{} opens", at.url));
            let fresh = |k: &ReplicaInfo| {
                k.seen
                    .checked_add(config.deployment.delivery.lease)
                    .is_ok_and(|until| until > SystemClock.now())
            };
            running |= at.shared()
                && store
                    .replicas()
                    .await
                    .is_ok_and(|all| all.iter().any(|k| k.name == replica && fresh(k)));
        }
        Err(_) if !at.shared() && !held => {
            record.good("store", format!("{} is made at the first start", at.url))
        }
        Err(error) => record.wrong("store", error),
    }
    if running {
        record.good("store", "a herald runs on it");
    }
    running
}

fn channels(config: &Config, platform: Platform) -> Vec<(&String, &ChannelConfig)> {
    config
        .deployment
        .channels
        .iter()
        .filter(|(_, c)| c.platform == platform)
        .collect()
}

/// What the plan wants of a channel besides posting.
fn wants(config: &Config, name: &str) -> RequiredPermissions {
    let notices: Vec<_> = config
        .plan
        .all_notices()
        .map(|(_, n)| n)
        .filter(|n| n.channels.iter().any(|c| c == name))
        .collect();
    RequiredPermissions {
        publish: config
            .deployment
            .channels
            .get(name)
            .is_some_and(|c| c.publish),
        pin: notices.iter().any(|n| n.board),
        calendar: notices.iter().any(|n| n.calendar.as_deref() == Some(name)),
    }
}

async fn on_discord(record: &mut DoctorReport, config: &Config) {
    let own = channels(config, Platform::Discord);
    if own.is_empty() {
        return;
    }
    let settings = match discord_settings(&config.deployment) {
        Ok(Some(settings)) => settings,
        Ok(None) => return,
        Err(error) => return record.wrong("discord", format!("{error:#}")),
    };
    let discord = match patiently(
        async || Discord::connect(settings.clone()).await,
        discord::ConnectError::retryable,
    )
    .await
    {
        Ok(discord) => discord,
        Err(error) => return record.wrong("discord", error),
    };
    match discord.portrait().await {
        Ok(bot) => {
            record.good(
                "discord",
                format!(
                    "the token is good: the bot is {}, and in the server",
                    bot.name
                ),
            );
            record.good(
                "discord",
                format!(
                    "an invitation with just the permissions it needs: {}",
                    bot.invite
                ),
            );
            record.good(
                "discord",
                "of the gateway it asks for GUILDS alone, which is not a privileged intent",
            );
            if bot.reads_replies {
                record.good(
                    "discord",
                    "Message Content Intent is on: replies in threads are quoted in the summary",
                );
            } else {
                record.lacking(
                    "discord",
                    "Message Content Intent is off: replies in threads are counted and not quoted; turn it on in the Developer Portal under Bot if you want their words",
                );
            }
        }
        Err(error) => record.wrong("discord", error),
    }
    let around = match patiently(async || discord.surroundings().await, chat_may_pass).await {
        Ok(around) => around,
        Err(error) => return record.wrong("discord", error),
    };
    for (name, channel) in own {
        let part = format!("channel {name}");
        match patiently(
            async || discord.check_place(&channel.place, &around).await,
            chat_may_pass,
        )
        .await
        {
            Ok(()) => record.good(&part, "the bot may do there all that posting takes"),
            Err(error) => {
                record.wrong(&part, error);
                continue;
            }
        }
        match patiently(
            async || {
                discord
                    .lacks(&channel.place, wants(config, name), &around)
                    .await
            },
            chat_may_pass,
        )
        .await
        {
            Ok(lines) => lines
                .into_iter()
                .for_each(|line| record.lacking(&part, line)),
            Err(error) => record.wrong(&part, error),
        }
        let ids: BTreeSet<String> = channel.mentions.values().flatten().cloned().collect();
        let ids: Vec<String> = ids.into_iter().collect();
        if !ids.is_empty() {
            match patiently(
                async || discord.unheard(&channel.place, &ids, &around).await,
                chat_may_pass,
            )
            .await
            {
                Ok(lines) if lines.is_empty() => {
                    record.good(&part, "who is mentioned there hears of it")
                }
                Ok(lines) => lines
                    .into_iter()
                    .for_each(|line| record.lacking(&part, line)),
                Err(error) => record.wrong(&part, error),
            }
        }
    }
}

async fn on_matrix(record: &mut DoctorReport, config: &Config, replica: &str, running: bool) {
    let own = channels(config, Platform::Matrix);
    if own.is_empty() {
        return;
    }
    if running {
        return record
            .lacking("matrix", "not looked at: the herald that runs has the device and its keys; stop it first, or ask `herald status`");
    }
    let settings = match matrix_settings(&config.deployment, replica) {
        Ok(Some(settings)) => settings,
        Ok(None) => return,
        Err(error) => return record.wrong("matrix", format!("{error:#}")),
    };
    let (kept, sealed) = (
        settings.store.join("session.json").exists(),
        settings.passphrase.is_some(),
    );
    let matrix = match patiently(
        async || Matrix::connect(settings.clone()).await,
        matrix::ConnectError::is_retryable,
    )
    .await
    {
        Ok(matrix) => matrix,
        Err(error) => return record.wrong("matrix", error),
    };
    let how = if kept {
        "the session is good"
    } else {
        "logged in, and kept for `herald run`"
    };
    record.good("matrix", format!("{how}: {}", matrix.user()));
    if !sealed {
        record.lacking("matrix", "the keys lie open in the store: set `passphrase` in herald.yaml before the first start");
    }
    let identity = matrix.identity().await;
    if identity.verified {
        record.good(
            "matrix",
            format!(
                "device {} is signed by its account: people see no warning",
                identity.device
            ),
        );
    } else {
        record.lacking(
            "matrix",
            format!(
                "device {} is not signed by its account, so people see a warning; set `recovery` in herald.yaml to the account's recovery key and start again",
                identity.device
            ),
        );
    }
    match identity.recovery {
        Recovery::Whole => record.good("matrix", "recovery is set up"),
        Recovery::Lacking => record.lacking(
            "matrix",
            "recovery is set up, but not all of its keys are here: set `recovery` in herald.yaml",
        ),
        Recovery::None => {
            record.lacking("matrix", "no recovery: a lost store loses the account's identity; `herald recovery` sets it up, once");
        }
    }
    for (name, channel) in own {
        let part = format!("channel {name}");
        let room = match patiently(async || matrix.room(&channel.place).await, chat_may_pass).await
        {
            Ok(room) => room,
            Err(error) => {
                record.wrong(&part, error);
                continue;
            }
        };
        match patiently(async || matrix.room_rights(&room).await, chat_may_pass).await {
            Ok(room) => {
                let sealed = if room.encrypted {
                    "encrypted"
                } else {
                    "not encrypted"
                };
                if room.may_post {
                    record.good(
                        &part,
                        format!("in the room, which is {sealed}, and may post there"),
                    );
                } else {
                    record.wrong(
                        &part,
                        format!(
                            "in the room, and may not post: give {} the power level for messages",
                            matrix.user()
                        ),
                    );
                }
                if wants(config, name).pin && !room.may_pin {
                    let words = format!(
                        "may not pin the status board: give {} the power level for m.room.pinned_events",
                        matrix.user()
                    );
                    record.lacking(&part, words);
                }
            }
            Err(error) => record.wrong(&part, error),
        }
        if channel.mentions.values().flatten().any(|id| id == "@room") {
            match patiently(async || matrix.unheard(&room).await, chat_may_pass).await {
                Ok(None) => record.good(&part, "@room is heard there"),
                Ok(Some(line)) => record.lacking(&part, line),
                Err(error) => record.wrong(&part, error),
            }
        }
    }
}

async fn chains(record: &mut DoctorReport, config: &Config) {
    for (name, chain) in &config.deployment.chains {
        let part = format!("chain {name}");
        let mut heads = Vec::new();
        for endpoint in &chain.endpoints {
            let node = Node::new(vec![endpoint.clone()]);
            let may_pass = |e: &ChainError| matches!(e, ChainError::Unreachable(_));
            let head = match patiently(async || node.head(None).await, may_pass).await {
                Ok(head) => head,
                Err(error) => {
                    record.wrong(&part, format!("{endpoint}: {error}"));
                    continue;
                }
            };
            match patiently(async || node.block(head.number).await, may_pass).await {
                Ok(block) => {
                    let version = block.proven_version.unwrap_or(block.spec_version);
                    record.good(
                        &part,
                        format!(
                            "{endpoint}: finalized block {}, spec_version {version}",
                            head.number
                        ),
                    );
                    if let Some(time) = block.time {
                        let off = SystemClock.now().duration_since(time).as_secs();
                        if off < -CLOCK_OFF {
                            record.lacking(&part, format!("its block is {} s ahead of this machine's clock: set the clock", -off));
                        }
                    }
                    heads.push(head);
                }
                Err(error) => {
                    record.wrong(&part, format!("{endpoint}: block {}: {error}", head.number))
                }
            }
        }
        if heads.iter().any(|h| {
            heads
                .first()
                .is_some_and(|first| first.genesis != h.genesis)
        }) {
            record.wrong(
                &part,
                "its endpoints are of different chains: they have not the same genesis",
            );
        }
        if heads.len() == 1 {
            record.lacking(&part, "one endpoint alone: with two, herald can tell a chain that stands still from a node that does");
        }
    }
}
