//! `herald init`: from an empty folder to files of one's own, and a first hello in the operators' channel.

mod files;
mod questions;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use self::{
    files::{Answers, Chain, DiscordAnswers, MatrixAnswers, You},
    questions::Questions,
};
use super::{
    doctor,
    open::{Refused, load_own},
};
use crate::{
    adapters::{
        clock::SystemClock,
        discord::{Discord, DiscordSettings, Route},
        matrix::{Matrix, MatrixSettings},
    },
    config::{Origin, Readers, extract_templates},
    domain::outbox::{Body, KeyParts, Operation, PostKey},
    lint,
    ports::{Clock, Outgoing},
    run::{connect_chats, is_transient, logging, outlets, retry},
};

/// The longest time of one request while questions are asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Random bytes of the passphrase that closes the Matrix store.
const PASSPHRASE_BYTES: usize = 32;
/// The first message in the operators' channel.
const HELLO: &str = "Hello from herald. In this channel, which is for operators, herald asks for approvals and says what goes wrong. Nothing is public yet. Next at the machine: `herald new upgrade ID`, then `herald check`, then `herald run`.";

/// Ask for what herald needs, write its files, see whether all is allowed, and say hello to the operators
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The answer to a question, by the name that stands behind it: zone=Europe/Berlin. May be repeated
    #[arg(long = "set", value_name = "NAME=ANSWER", value_parser = named_answer)]
    answers: Vec<(String, String)>,
}

fn named_answer(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, answer)) => Ok((name.trim().to_owned(), answer.trim().to_owned())),
        None => Err("write it as NAME=ANSWER".to_owned()),
    }
}

pub async fn run(folder: Option<PathBuf>, args: InitArgs) -> Result<ExitCode> {
    logging::log("error");
    let config = folder.unwrap_or_else(|| PathBuf::from("config"));
    let home = config.parent().unwrap_or(Path::new("")).to_owned();
    if config.join("herald.yaml").exists() {
        bail!(
            "{} is there already; change it, or name another folder with --config",
            config.join("herald.yaml").display()
        );
    }
    let mut questions = Questions::new(args.answers, home.join("secrets"))?;
    let discord = discord(&mut questions).await?;
    let matrix = matrix(&mut questions).await?;
    if discord.is_none() && matrix.is_none() {
        bail!("herald needs a chat to post to: Discord, Matrix, or both");
    }
    let approves = [
        discord.as_ref().and_then(|d| d.operators.as_ref()),
        matrix.as_ref().and_then(|m| m.operators.as_ref()),
    ];
    if approves.iter().flatten().next().is_none() {
        bail!(
            "herald needs a channel or a room for operators: there it asks for approval of what it will say in public"
        );
    }
    let answers = Answers {
        chain: chain(&mut questions)?,
        zone: questions.checked("zone", "Time zone of the plan", Some("UTC"), |zone| {
            TimeZone::get(zone)
                .map(drop)
                .map_err(|_| "that is no time zone; write it as Europe/Berlin or UTC".to_owned())
        })?,
        help: questions.checked("help", "A link at which people get help", None, link)?,
        team: questions.checked(
            "help.team",
            "A link at which the team alone reads, for what could harm the network",
            None,
            link,
        )?,
        you: you(&mut questions, discord.is_some(), matrix.is_some())?,
        secrets: questions.secrets().to_owned(),
        discord,
        matrix,
    };
    let kept = write(&config, &home, &answers, questions.new_secrets())?;
    out!("Wrote {}, templates and secrets.", config.display());
    if !kept.is_empty() {
        out!(
            "These were there already and stay as they are: {}.",
            kept.join(", ")
        );
    }
    out!();
    let sound = doctor::run(Some(config.clone()), doctor::DoctorArgs::default()).await?;
    if sound != ExitCode::SUCCESS {
        out!(
            "\nMend what is marked ✗ and ask `herald doctor` again. The files are written; you need no second `herald init`."
        );
        return Ok(sound);
    }
    for place in hello(&config).await? {
        out!("✓ {place}: said hello to the operators");
    }
    out!("\nNow:");
    out!(
        "  1. `herald new upgrade ID` writes a file to fill in. Who else approves stands in people.yaml."
    );
    out!(
        "  2. `herald check`, `herald preview` and `herald plan` show what will be said, and when."
    );
    out!("  3. `herald run` starts. It asks the operators before it says anything in public.");
    Ok(ExitCode::SUCCESS)
}

fn link(answer: &str) -> Result<(), String> {
    let is_link = answer.starts_with("https://");
    is_link
        .then_some(())
        .ok_or_else(|| "a link starts with https://".to_owned())
}

async fn discord(questions: &mut Questions) -> Result<Option<DiscordAnswers>> {
    if !questions.yes("discord", "Post on Discord?", true)? {
        return Ok(None);
    }
    let token = questions.secret(
        "discord-token",
        "The bot's token, from the Developer Portal under Bot",
    )?;
    let route = questions.given("discord.route");
    let mut settings = DiscordSettings {
        token,
        guild: 0,
        route: route.as_deref().map(route_of).transpose()?,
        timeout: ANSWER_TIMEOUT,
    };
    let servers = Discord::servers(&settings).await?;
    let server = questions.choose("discord.server", "The server", &servers)?;
    settings.guild = server.id.parse()?;
    let discord = Discord::connect(settings).await?;
    let channels = discord.text_channels().await?;
    let public = questions.choose("discord.channel", "The channel for everybody", &channels)?;
    let others: Vec<_> = channels.into_iter().filter(|c| *c != public).collect();
    let operators =
        questions.choose_or_none("discord.operators", "The channel for operators", &others)?;
    let validators = questions.choose_or_none(
        "discord.validators",
        "The role that notices for validators notify",
        &discord.roles().await?,
    )?;
    Ok(Some(DiscordAnswers {
        server,
        public,
        operators,
        validators,
        route,
    }))
}

/// Reads `ADDRESS,CA`: where Discord's API is, if it is not to be looked up, and the file with who vouches for it.
fn route_of(text: &str) -> Result<Route> {
    let (address, ca) = text
        .split_once(',')
        .context("discord.route is written as IP:PORT,FILE")?;
    Ok(Route {
        address: address.parse::<SocketAddr>()?,
        ca_pem: fs::read(ca).with_context(|| format!("{ca} can't be read"))?,
    })
}

async fn matrix(questions: &mut Questions) -> Result<Option<MatrixAnswers>> {
    if !questions.yes("matrix", "Post on Matrix?", true)? {
        return Ok(None);
    }
    let homeserver = questions.line(
        "matrix.homeserver",
        "The homeserver, such as https://matrix.example.org",
        None,
    )?;
    let user = questions.line(
        "matrix.user",
        "The account that herald posts with, such as @name:server",
        None,
    )?;
    let password = questions.secret("matrix-password", "Its password")?;
    let look = Matrix::look(MatrixSettings {
        homeserver: homeserver.clone(),
        user: user.clone(),
        password: Some(password),
        token: None,
        device: String::new(),
        store: PathBuf::new(),
        passphrase: None,
        recovery: None,
        timeout: ANSWER_TIMEOUT,
    });
    let matrix = look.await?;
    let (rooms, account) = (matrix.rooms().await, matrix.user().to_owned());
    matrix.leave().await;
    let rooms = rooms?;
    if rooms.is_empty() {
        bail!("{user} is in no room and invited to none; invite it to its rooms, then start again");
    }
    let public = questions.choose("matrix.room", "The room for everybody", &rooms)?;
    let others: Vec<_> = rooms.into_iter().filter(|r| *r != public).collect();
    let operators =
        questions.choose_or_none("matrix.operators", "The room for operators", &others)?;
    let notifies_room = questions.yes(
        "matrix.notify",
        "May notices for validators notify everybody in the room (@room)?",
        false,
    )?;
    questions.make_secret("matrix-passphrase", || {
        let mut bytes = [0; PASSPHRASE_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(SecretString::from(hex::encode(bytes)))
    })?;
    Ok(Some(MatrixAnswers {
        homeserver,
        user: account,
        public,
        operators,
        notifies_room,
    }))
}

fn chain(questions: &mut Questions) -> Result<Chain> {
    let name = questions.line("chain", "The chain, such as paseo", None)?;
    let nodes = "Its nodes, such as wss://paseo.example.org; two or more are compared, with a space between them";
    let endpoints = questions.line("chain.endpoints", nodes, None)?;
    Ok(Chain {
        name,
        endpoints: endpoints.split_whitespace().map(str::to_owned).collect(),
    })
}

fn you(questions: &mut Questions, on_discord: bool, on_matrix: bool) -> Result<You> {
    let name = questions.line("name", "Your name, as the team knows you", None)?;
    let mut account = |is_used: bool, name: &str, words: &str| {
        if !is_used {
            return Ok(None);
        }
        let id = questions.line(name, words, Some(""))?;
        anyhow::Ok(Some(id).filter(|id| !id.is_empty()))
    };
    Ok(You {
        discord: account(
            on_discord,
            "name.discord",
            "Your id on Discord, a number (developer mode, Copy User ID); you may leave it out",
        )?,
        matrix: account(
            on_matrix,
            "name.matrix",
            "Your id on Matrix, such as @you:server; you may leave it out",
        )?,
        name,
    })
}

/// Writes everything beside, sees whether it is good, and only then puts it into place, herald.yaml last: a run that is
/// broken off can be started again. Returns the names of what was there already.
fn write(
    config: &Path,
    home: &Path,
    answers: &Answers,
    secrets: &[(PathBuf, SecretString)],
) -> Result<Vec<String>> {
    let beside = home.join(".herald-init");
    let written = write_beside(&beside, config, home, answers)
        .and_then(|kept| put_in_place(&beside, config, home, secrets).map(|()| kept));
    fs::remove_dir_all(&beside).ok();
    written
}

fn write_beside(
    beside: &Path,
    config: &Path,
    home: &Path,
    answers: &Answers,
) -> Result<Vec<String>> {
    let failed = || format!("{} can't be written", beside.display());
    let mut kept = Vec::new();
    if beside.exists() {
        fs::remove_dir_all(beside).with_context(failed)?;
    }
    let files = beside.join("config");
    fs::create_dir_all(files.join("upgrades")).with_context(failed)?;
    for (name, text) in files::texts(answers) {
        let there = config.join(name);
        if there.exists() {
            fs::copy(&there, files.join(name)).with_context(failed)?;
            kept.push(there.display().to_string());
        } else {
            fs::write(files.join(name), text).with_context(failed)?;
        }
    }
    let mut templates = home.join("templates");
    if templates.exists() {
        kept.push(templates.display().to_string());
    } else {
        templates = beside.join("templates");
        fs::create_dir_all(&templates)
            .and_then(|()| extract_templates(&templates))
            .with_context(failed)?;
    }
    let origin = Origin::Folder {
        config: files,
        templates,
    };
    if let Err(mut findings) = lint::load_own(&origin) {
        let stage = format!("{}/", beside.display());
        for finding in &mut findings {
            finding.file = finding.file.replace(&stage, "");
        }
        eprintln!("Nothing is written, since herald would refuse these files:");
        return Err(Refused(findings).into());
    }
    Ok(kept)
}

fn put_in_place(
    beside: &Path,
    config: &Path,
    home: &Path,
    secrets: &[(PathBuf, SecretString)],
) -> Result<()> {
    let failed = |path: &Path| format!("{} can't be written", path.display());
    let folder = home.join("secrets");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| failed(&folder))?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").with_context(|| failed(&ignore))?;
    }
    for (path, secret) in secrets {
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| writeln!(file, "{}", secret.expose_secret()));
        written.with_context(|| failed(path))?;
    }
    let templates = home.join("templates");
    if !templates.exists() {
        fs::rename(beside.join("templates"), &templates).with_context(|| failed(&templates))?;
    }
    let upgrades = config.join("upgrades");
    fs::create_dir_all(&upgrades).with_context(|| failed(&upgrades))?;
    for name in files::NAMES {
        let path = config.join(name);
        if !path.exists() {
            fs::rename(beside.join("config").join(name), &path).with_context(|| failed(&path))?;
        }
    }
    Ok(())
}

/// Says hello in each place for operators; their names.
async fn hello(config: &Path) -> Result<Vec<String>> {
    let deployment = load_own(Some(config.to_owned()))?.config.deployment;
    let chats = connect_chats(&deployment, "herald").await?;
    let outlets = outlets(&deployment, &chats).await?;
    let now = SystemClock.now().to_string();
    let body = Body {
        text: HELLO.to_owned(),
        ..Body::default()
    };
    let mut said = Vec::new();
    for (name, outlet) in outlets {
        if outlet.readers != Readers::Operators {
            continue;
        }
        let key = PostKey::of(KeyParts {
            upgrade: "init",
            revision: 0,
            notice: "hello",
            occurrence: &now,
            channel: &name,
            operation: Operation::Post,
            edition: 0,
        });
        let message = Outgoing {
            key: &key,
            body: &body,
            answers: None,
            of: None,
        };
        let send = async || outlet.chat.send(&outlet.place, message).await;
        retry(send, is_transient)
            .await
            .with_context(|| format!("channel {name}"))?;
        said.push(name);
    }
    Ok(said)
}
