//! `herald doctor`: is everything that herald needs there and allowed, before the first post?
//!
//! The command asks and changes nothing, but that the account on Matrix joins the rooms to which it is invited.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;
use clap::Args;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{open::load_own, run::replica};
use crate::{
    adapters::{
        clock::SystemClock,
        discord::{Discord, DiscordConnectError, RequiredPermissions},
        matrix::{Matrix, MatrixConnectError, MatrixSettings, Recovery},
        node::{self, Node},
        store::{Lock, SqlStore, file_of},
    },
    config::{ChannelConfig, Config, Severity},
    lint::Loaded,
    ports::{Chain, ChainError, Clock, LeadershipStore, Platform, ReplicaInfo},
    run::{
        TakenPlaces, address, discord_settings, is_transient, logging, matrix_place,
        matrix_settings, retry,
    },
};

/// A clock that is further off than this makes herald say times that are not so.
const MAX_CLOCK_OFF_SECONDS: i64 = 30;

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

/// The needs that were looked at, each told as it is found.
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

    fn all_lacking(&mut self, part: &str, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.lacking(part, line));
    }

    fn wrong(&mut self, part: &str, words: impl std::fmt::Display) {
        self.add(part, NeedVerdict::Wrong, words);
    }

    fn count(&self, verdict: NeedVerdict) -> usize {
        self.needs.iter().filter(|n| n.verdict == verdict).count()
    }
}

/// Ask Discord, Matrix, the nodes and the store whether all that herald needs is there and allowed
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The one of `herald run`, where several share a store
    #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
    replica: String,
    /// A line of JSON for each need
    #[arg(long)]
    json: bool,
}

impl Default for DoctorArgs {
    fn default() -> Self {
        Self {
            replica: "herald".to_owned(),
            json: false,
        }
    }
}

pub async fn run(folder: Option<PathBuf>, args: DoctorArgs) -> Result<ExitCode> {
    let DoctorArgs { replica, json } = &args;
    logging::log("error,upgrade_herald=error");
    let Loaded {
        config, warnings, ..
    } = load_own(folder)?;
    let mut record = DoctorReport {
        json: *json,
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
    for secret in config
        .deployment
        .secrets()
        .filter(|secret| secret.is_open_to_all())
    {
        record.lacking(
            "secrets",
            format!("{secret} has a mode that lets everybody on this machine read it: `chmod 600` it, unless it is mounted so"),
        );
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

/// Tells whether a herald runs on the store already, under this name.
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
        Err(_) if !at.shared() && !held && file_of(&at.url).symlink_metadata().is_err() => {
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

/// Returns what the plan wants of a channel besides posting.
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
    let connect = async || Discord::connect(settings.clone()).await;
    let discord = match retry(connect, DiscordConnectError::retryable).await {
        Ok(discord) => discord,
        Err(error) => return record.wrong("discord", error),
    };
    discord_bot(record, &discord).await;
    let server = match retry(async || discord.surroundings().await, is_transient).await {
        Ok(server) => server,
        Err(error) => return record.wrong("discord", error),
    };
    for (name, channel) in own {
        let part = format!("channel {name}");
        let place = &channel.place;
        let check = async || discord.check_place(place, &server).await;
        match retry(check, is_transient).await {
            Ok(()) => record.good(&part, "the bot may do there all that posting takes"),
            Err(error) => {
                record.wrong(&part, error);
                continue;
            }
        }
        let lacks = async || discord.lacks(place, wants(config, name), &server).await;
        match retry(lacks, is_transient).await {
            Ok(lines) => record.all_lacking(&part, lines),
            Err(error) => record.wrong(&part, error),
        }
        let ids: BTreeSet<String> = channel.mentions.values().flatten().cloned().collect();
        let ids: Vec<String> = ids.into_iter().collect();
        if ids.is_empty() {
            continue;
        }
        let unheard = async || discord.unheard(place, &ids, &server).await;
        match retry(unheard, is_transient).await {
            Ok(lines) if lines.is_empty() => {
                record.good(&part, "who is mentioned there hears of it")
            }
            Ok(lines) => record.all_lacking(&part, lines),
            Err(error) => record.wrong(&part, error),
        }
    }
}

/// Tells what the bot itself is and may do.
async fn discord_bot(record: &mut DoctorReport, discord: &Discord) {
    let bot = match discord.portrait().await {
        Ok(bot) => bot,
        Err(error) => return record.wrong("discord", error),
    };
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
    let (matrix, only_looks) = match matrix_session(record, &settings).await {
        Ok(found) => found,
        Err(error) => return record.wrong("matrix", error),
    };
    if settings.passphrase.is_none() {
        record.lacking("matrix", "the keys lie open in the store: set `passphrase` in herald.yaml before the first start");
    }
    if !only_looks {
        matrix_device(record, &matrix).await;
    }
    let mut taken = TakenPlaces::default();
    for (name, channel) in own {
        let part = format!("channel {name}");
        match matrix_place(&matrix, name, channel, &mut taken).await {
            Ok(room) => {
                let pins = wants(config, name).pin;
                matrix_room(record, &matrix, &part, &room, pins).await;
                let mentions_room = channel.mentions.values().flatten().any(|id| id == "@room");
                if mentions_room {
                    match retry(async || matrix.unheard(&room).await, is_transient).await {
                        Ok(None) => record.good(&part, "@room is heard there"),
                        Ok(Some(line)) => record.lacking(&part, line),
                        Err(error) => record.wrong(&part, error),
                    }
                }
            }
            Err(error) => record.wrong(&part, format!("{error:#}")),
        }
    }
    if only_looks {
        matrix.leave().await;
    }
}

/// Takes up the session of `herald run`, where there is one, or else one that only looks: a login on the device would take
/// it from a herald that runs elsewhere.
async fn matrix_session(
    record: &mut DoctorReport,
    settings: &MatrixSettings,
) -> Result<(Arc<Matrix>, bool), MatrixConnectError> {
    if settings.store.join("session.json").exists() {
        // Without its password it can't log in.
        let kept = MatrixSettings {
            password: None,
            ..settings.clone()
        };
        let connect = async || Matrix::connect(kept.clone()).await;
        match retry(connect, MatrixConnectError::is_retryable).await {
            Ok(matrix) => {
                record.good("matrix", format!("the session is good: {}", matrix.user()));
                return Ok((matrix, false));
            }
            Err(MatrixConnectError::LoggedOut { reason, .. }) if settings.password.is_some() => {
                record.lacking("matrix", format!("the homeserver has ended herald's session ({reason}); herald logs in again when it runs"));
            }
            Err(error) => return Err(error),
        }
    }
    let look = async || Matrix::look(settings.clone()).await;
    let matrix = retry(look, MatrixConnectError::is_retryable).await?;
    let words = if settings.token.is_some() {
        format!("the token is good: {}", matrix.user())
    } else {
        format!(
            "the password is good: {}; `herald run` logs in as device {}, and after that doctor tells whether people trust it",
            matrix.user(),
            settings.device
        )
    };
    record.good("matrix", words);
    Ok((matrix, true))
}

/// Tells whether people trust the device, and whether its keys outlive a lost store.
async fn matrix_device(record: &mut DoctorReport, matrix: &Matrix) {
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
}

/// Tells what herald may do in a room; `pins`: it is to pin the status board there.
async fn matrix_room(
    record: &mut DoctorReport,
    matrix: &Matrix,
    part: &str,
    room: &str,
    pins: bool,
) {
    let room = match retry(async || matrix.room_rights(room).await, is_transient).await {
        Ok(room) => room,
        Err(error) => return record.wrong(part, error),
    };
    let sealed = if room.encrypted {
        "encrypted"
    } else {
        "not encrypted"
    };
    if room.may_post {
        record.good(
            part,
            format!("in the room, which is {sealed}, and may post there"),
        );
    } else {
        record.wrong(
            part,
            format!(
                "in the room, and may not post: give {} the power level for messages",
                matrix.user()
            ),
        );
    }
    if pins && !room.may_pin {
        let words = format!(
            "may not pin the status board: give {} the power level for m.room.pinned_events",
            matrix.user()
        );
        record.lacking(part, words);
    }
}

async fn chains(record: &mut DoctorReport, config: &Config) {
    for (name, chain) in &config.deployment.chains {
        let part = format!("chain {name}");
        let mut heads = Vec::new();
        for endpoint in &chain.endpoints {
            let node = Node::new(vec![endpoint.clone()]);
            // The rest of an address is often a key.
            let endpoint = node::host(endpoint);
            let may_pass = |e: &ChainError| matches!(e, ChainError::Unreachable(_));
            let head = match retry(async || node.head(None).await, may_pass).await {
                Ok(head) => head,
                Err(error) => {
                    record.wrong(&part, format!("{endpoint}: {error}"));
                    continue;
                }
            };
            match retry(async || node.block(head.number).await, may_pass).await {
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
                        if off < -MAX_CLOCK_OFF_SECONDS {
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
