//! An operator's first hour: the commands of docs/OPERATIONS.md in their order, from nothing to the first post on each chat.

use std::{os::unix::fs::PermissionsExt, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;

use crate::{
    delivery::encrypted::herald,
    doubles::discord::{ChannelKind, Options},
    harness::world::{PASSWORD, PATIENCE, World, later, now},
    support::{DevnetOptions, repo, wait},
};

/// The commands below a heading of the handbook.
fn commands(heading: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(repo().join("docs/OPERATIONS.md"))?;
    let chapter = text
        .split(&format!("## {heading}\n"))
        .nth(1)
        .context("the chapter is there")?;
    let block = chapter
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .context("it has commands")?;
    let command = |line: &str| {
        line.split(" #")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    Ok(block
        .lines()
        .map(command)
        .filter(|line| line.starts_with("herald "))
        .collect())
}

/// Nothing is public before one of the team has agreed to the announcement; then somebody agrees.
async fn approved(w: &World, operators: u64) -> Result<()> {
    let code = wait::until("a text to approve", PATIENCE, async || {
        let asked = w.discord.messages(operators).into_iter();
        asked.rev().find_map(|message| {
            let (_, rest) = message.content.split_once("/upgrade approve ")?;
            rest.split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .map(str::to_owned)
        })
    })
    .await?;
    let public = [
        w.discord.messages(w.channel).len(),
        w.discord.scheduled_events().len(),
        w.said_on_matrix().await?.len(),
    ];
    ensure!(public == [0, 0, 0], "{public:?}");
    let agreed = herald(w, &["approve", &code, "--as", "Mara Linde"]).await?;
    let said = [agreed.stdout, agreed.stderr].concat();
    ensure!(
        agreed.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handbook_leads_from_nothing_to_the_first_post_on_each_chat() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let (operators, _) = w.operators().await?;
    // The samples are what one starts from; where herald runs and speaks is one's own.
    for name in ["plan.yaml", "people.yaml", "help.yaml", "checklist.yaml"] {
        w.write(
            name,
            &std::fs::read_to_string(repo().join("config").join(name))?,
        )?;
    }
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(repo().join("config/roster"))
        .arg(w.dir.path().join("config"))
        .status()?;
    ensure!(copied.success(), "the roster");
    // Nothing of the samples' people goes out in public, by check, doctor or run.
    for command in [&["check"][..], &["doctor"], &["run"]] {
        let refused = herald(&w, command).await?;
        let said = [refused.stdout, refused.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(refused.status.code() == Some(1), "{command:?}: {said}");
        for file in ["people.yaml", "help.yaml", "harbour.yml", "wide-field.yml"] {
            let line = said.lines().find(|line| line.contains(file));
            ensure!(
                line.is_some_and(|line| line.contains("this file is the example's")),
                "{file}: {said}"
            );
        }
    }
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    crate::process::cli::make_own(w.dir.path());
    let deployment = deployment
        .replace(
            &format!("place: \"{}\"", w.channel),
            &format!(
                "place: \"{}\", mentions: {{ validators: [\"{}\"] }}",
                w.channel,
                w.discord.add_role("validators", true)
            ),
        )
        .replace(
            &format!("place: \"{}\"", w.room),
            &format!(
                "place: \"{}\", mentions: {{ validators: [\"@room\"] }}",
                w.room
            ),
        );
    w.write("herald.yaml", &deployment)?;

    // A new upgrade, of which everything is filled in that is to be.
    let made = commands("A new upgrade")?;
    ensure!(
        made.iter().any(|c| c.starts_with("herald new upgrade")),
        "{made:?}"
    );
    let out = herald(&w, &["new", "upgrade", "v2.3.1"]).await?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let file = w.dir.path().join("config/upgrades/v2.3.1.yaml");
    ensure!(
        std::fs::read_to_string(&file)?.contains("TODO"),
        "what is to be filled in says so"
    );
    let unfinished = herald(&w, &["check"]).await?;
    ensure!(!unfinished.status.success(), "and nothing runs with it");
    // An expedited upgrade may open on any day and at any hour, so it is ready whenever this runs.
    let opens = later(now(), 3 * 86_400);
    let filled = crate::stories::story::upgrade(opens).replace("id: v2\n", "id: v2.3.1\n");
    std::fs::write(&file, filled)?;

    // Each command of the chapter does what it is there for.
    let chapter = commands("Before the first start")?;
    ensure!(chapter.len() >= 8, "{chapter:?}");
    for line in &chapter {
        let args: Vec<&str> = line
            .split_whitespace()
            .skip(1)
            .take_while(|word| *word != ">")
            .collect();
        if args.contains(&"--browser") {
            continue;
        }
        let args = if args == ["rehearse"] {
            vec!["rehearse", "--once"]
        } else {
            args
        };
        let out = tokio::time::timeout(Duration::from_secs(900), herald(&w, &args))
            .await
            .context(line.clone())??;
        let (said, wrong) = (
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr),
        );
        if args == ["plan", "window"] {
            // A chain that was born a minute ago has no week to look at, and it is said so.
            ensure!(
                out.status.success() || wrong.contains("blocks") || wrong.contains("days"),
                "{line}: {said}{wrong}"
            );
            continue;
        }
        ensure!(out.status.success(), "{line}: {said}{wrong}");
        ensure!(
            !said.trim().is_empty() || args.contains(&"--html"),
            "{line} says something"
        );
    }

    let running = commands("Running")?;
    ensure!(running == ["herald run"], "{running:?}");
    w.start().await?;
    approved(&w, operators).await?;
    w.on_discord("where it stands").await?;
    w.on_matrix("where it stands").await?;
    wait::until("operators see it too", PATIENCE, async || {
        let out = herald(&w, &["status"]).await.ok()?;
        String::from_utf8_lossy(&out.stdout)
            .contains("v2.3.1")
            .then_some(())
    })
    .await?;
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn init_leads_from_an_empty_folder_to_a_hello_and_the_first_post() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    std::fs::remove_dir_all(w.dir.path().join("config"))?;
    std::fs::remove_file(w.dir.path().join("templates"))?;
    let team = w.discord.add_channel("team", ChannelKind::Text);
    w.discord.add_role("validators", true);
    let room = w.alice.create_room("Operators").await?;
    w.alice.invite(&room, &w.user_id).await?;
    let route = format!("discord.route={},ca.pem", w.discord.https_addr());
    let homeserver = format!("matrix.homeserver={}", w.homeserver);
    let (user, nodes) = (
        format!("matrix.user={}", w.user_id),
        format!("chain.endpoints={}", w.chain.url()),
    );
    let answers = [
        &*route,
        "discord=yes",
        "discord.server=1",
        "discord.channel=#upgrades",
        "discord.operators=team",
        "discord.validators=validators",
        "matrix=yes",
        &*homeserver,
        &*user,
        "matrix.room=Upgrades",
        "matrix.operators=Operators",
        "matrix.notify=no",
        "chain=devnet",
        &*nodes,
        "zone=UTC",
        "help=https://harbour.test/help",
        "help.team=https://harbour.test/team",
        "name=Mara Linde",
        "name.discord=",
        "name.matrix=",
    ];
    let init = async |secrets: String, answers: &[&str]| -> Result<(bool, String)> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_herald"));
        command.arg("init").current_dir(w.dir.path());
        command.env_remove("RUST_LOG");
        for answer in answers {
            command.args(["--set", answer]);
        }
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut asks = child.stdin.take().context("its input")?;
        // Who refuses before it asks reads nothing.
        asks.write_all(secrets.as_bytes()).await.ok();
        drop(asks);
        let out = child.wait_with_output().await?;
        let said = [out.stdout, out.stderr].concat();
        Ok((
            out.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        ))
    };
    let token = w.discord.token().to_owned();
    let secrets = format!("{token}\n{PASSWORD}\n");

    // What is wrong is named before anything is written.
    let wrong: Vec<&str> = answers
        .iter()
        .map(|a| if *a == "zone=UTC" { "zone=Mars" } else { a })
        .collect();
    let (fine, said) = init(secrets.clone(), &wrong).await?;
    ensure!(!fine && said.contains("that is no time zone"), "{said}");
    let (fine, said) = init(String::new(), &answers).await?;
    ensure!(!fine && said.contains("nobody answers"), "{said}");
    ensure!(!w.dir.path().join("config").exists(), "nothing is written");

    let (fine, said) = init(secrets, &answers).await?;
    ensure!(
        fine && said.contains("discord-operations: said hello")
            && said.contains("matrix-operations: said hello"),
        "{said}"
    );
    ensure!(
        !said.contains(&token) && !said.contains(PASSWORD),
        "no secret is shown"
    );
    let hello = w.discord.messages(team);
    ensure!(
        hello.len() == 1 && hello[0].content.starts_with("Hello from herald."),
        "{hello:#?}"
    );
    let there = w.alice.messages(&room).await?;
    ensure!(
        there.iter().any(|e| e["content"]["body"]
            .as_str()
            .is_some_and(|b| b.starts_with("Hello from herald."))),
        "{there:#?}"
    );
    for (file, text) in [("discord-token", &*token), ("matrix-password", PASSWORD)] {
        let path = w.dir.path().join("secrets").join(file);
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(
            mode == 0o600 && std::fs::read_to_string(&path)?.trim() == text,
            "{file}: {mode:o}"
        );
    }
    let (fine, said) = init(String::new(), &answers).await?;
    ensure!(!fine && said.contains("is there already"), "{said}");

    // From there on it is the handbook's way.
    let opens = later(now(), 3 * 86_400);
    let filled = crate::stories::story::upgrade(opens).replace("id: v2\n", "id: v2.3.1\n");
    w.write("upgrades/v2.3.1.yaml", &filled)?;
    let good = herald(&w, &["check"]).await?;
    ensure!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stdout)
    );
    w.start().await?;
    approved(&w, team).await?;
    w.on_discord("where it stands").await?;
    w.on_matrix("where it stands").await?;
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}
