//! Matrix rooms as people have them: encrypted, upgraded, with clients that warn of what no account has signed.

use std::{path::Path, process::Output};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    doubles::discord::{Options, permission},
    harness::world::{PASSWORD, PATIENCE, World, later, now},
    support::{DevnetOptions, Sealed, Synapse, wait},
};

const PLAN: &str = "
zone: Europe/Berlin
feedback: { open_for: 1h, reactions: [{ emoji: 👍, means: all fine }] }
notices:
  - { id: announced, phase: preparation, template: preparation/announced, on: planned, feedback: true }
  - { id: rescheduled, phase: scheduling, template: scheduling/rescheduled, on: rescheduled }
  - { id: documented, phase: post-deployment, template: post-deployment/documented, on: documented }
";

pub async fn herald(w: &World, args: &[&str]) -> Result<Output> {
    herald_in(w, w.dir.path(), args).await
}

async fn herald_in(w: &World, folder: &Path, args: &[&str]) -> Result<Output> {
    let out = tokio::process::Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("TEST_DISCORD_TOKEN", w.discord.token())
        .env("TEST_MATRIX_PASSWORD", PASSWORD)
        .output()
        .await?;
    Ok(out)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn deployment(w: &World, change: impl FnOnce(String) -> String) -> Result<()> {
    let text = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write("herald.yaml", &change(text))
}

/// A device of herald's as the homeserver shows it to others, and whether its account has signed it.
async fn device(w: &World, device: &str) -> Result<(Value, bool)> {
    let asked = json!({ "device_keys": { (&w.user_id): [] } });
    let keys = w
        .alice
        .call(Method::POST, &["keys", "query"], Some(asked))
        .await?;
    let own = keys["device_keys"][&w.user_id][device].clone();
    // The homeserver takes no signature that doesn't fit.
    let signer = keys["self_signing_keys"][&w.user_id]["keys"]
        .as_object()
        .and_then(|k| k.keys().next().cloned())
        .unwrap_or_default();
    let signed = own["signatures"][&w.user_id]
        .as_object()
        .is_some_and(|s| s.contains_key(&signer) && !signer.is_empty());
    Ok((own, signed))
}

/// An encrypted room with herald and dora in it, whose client has nothing of herald's.
async fn sealed(w: &World) -> Result<(String, Sealed)> {
    let sealing = json!({ "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } });
    let room = w
        .alice
        .create_room_with(
            json!({ "name": "Sealed", "preset": "private_chat", "initial_state": [sealing] }),
        )
        .await?;
    let mut dora = Sealed::start(
        Synapse::shared().await?,
        &w.user_id[1..].replace(":localhost", "-dora"),
    )
    .await?;
    for who in [&w.user_id, &dora.user_id] {
        w.alice.invite(&room, who).await?;
    }
    dora.order(json!({ "do": "join", "room": room })).await?;
    Ok((room, dora))
}

/// A herald that posts in an encrypted room; when its upgrade opens, the room, and dora, who reads there.
async fn started_in_a_sealed_room() -> Result<(World, Timestamp, String, Sealed)> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (room, dora) = sealed(&w).await?;
    let old = w.room.clone();
    deployment(&w, |text| {
        text.replace(&format!("\"{old}\""), &format!("\"{room}\""))
    })?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 7_200);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    Ok((w, opens, room, dora))
}

async fn stop(w: &mut World) -> Result<()> {
    w.herald.sigterm();
    ensure!(w.herald.wait(PATIENCE).await? == 0, "it stops when told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_room_is_read_by_another_client_over_a_restart_and_a_lost_store() -> Result<()>
{
    let (mut w, opens, room, mut dora) = started_in_a_sealed_room().await?;

    // A post, its thread, a command and its answer, a reply and a reaction.
    let post = dora.read(&w.user_id, "is coming").await?["event"]
        .as_str()
        .context("an id")?
        .to_owned();
    dora.read(&w.user_id, "tell us here what you see").await?;
    dora.say(&room, "!upgrade status").await?;
    dora.read(&w.user_id, "scheduled").await?;
    dora.order(
        json!({ "do": "reply", "room": room, "root": post, "body": "My explorer is behind." }),
    )
    .await?;
    dora.order(json!({ "do": "react", "room": room, "event": post, "key": "👍" }))
        .await?;
    let (before, signed) = device(&w, "HERALD").await?;
    ensure!(signed, "no client warns of the device: {before}");

    // Over a restart it is the same device, and goes on in the same room.
    stop(&mut w).await?;
    w.start().await?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 3_600)),
    )?;
    dora.read(&w.user_id, "has a new time").await?;
    ensure!(
        device(&w, "HERALD").await?.0["keys"] == before["keys"],
        "the same device"
    );

    // The recovery key is printed once, and kept nowhere.
    stop(&mut w).await?;
    let made = herald(&w, &["recovery"]).await?;
    let key = text(&made.stdout).trim().to_owned();
    ensure!(
        made.status.success() && key.split(' ').count() > 8,
        "{key} {}",
        text(&made.stderr)
    );
    let again = herald(&w, &["recovery"]).await?;
    ensure!(
        !again.status.success() && text(&again.stderr).contains("set up already"),
        "{}",
        text(&again.stderr)
    );

    // The store is lost, and a wrong key is told apart from the right one.
    std::fs::remove_dir_all(w.dir.path().join("matrix"))?;
    std::fs::write(w.dir.path().join("recovery.key"), "EsT0 wrong")?;
    deployment(&w, |text| {
        text.replace(
            "  store: matrix\n",
            "  store: matrix\n  device: HERALD2\n  recovery: { file: recovery.key }\n",
        )
    })?;
    w.start().await?;
    ensure!(
        w.herald.stderr().contains("the recovery key doesn't open"),
        "{}",
        w.herald.stderr()
    );
    ensure!(!device(&w, "HERALD2").await?.1, "nobody has signed it");
    stop(&mut w).await?;
    std::fs::write(w.dir.path().join("recovery.key"), &key)?;
    w.start().await?;
    wait::until("the new device is signed", PATIENCE, async || {
        device(&w, "HERALD2").await.ok().filter(|d| d.1)
    })
    .await?;
    ensure!(!w.herald.stderr().contains(&key), "a secret is in no log");

    // It goes on: its next post is read, an old question is not answered again, nothing is posted twice.
    w.write(
        "upgrades/v2.yaml",
        &format!(
            "{}steps: {{ documented: \"https://example.org/notes\" }}\n",
            crate::stories::story::upgrade(later(opens, 3_600))
        ),
    )?;
    dora.read(&w.user_id, "example.org/notes").await?;
    let from_herald = |s: &Value| s["sender"] == w.user_id.as_str();
    let before = dora.all().iter().filter(|s| from_herald(s)).count();
    dora.say(&room, "!upgrade schedule").await?;
    wait::until("an answer from the new device", PATIENCE, async || {
        (dora.all().iter().filter(|s| from_herald(s)).count() > before).then_some(())
    })
    .await?;
    let posts = |s: &&Value| {
        from_herald(s)
            && s["body"]
                .as_str()
                .is_some_and(|b| b.starts_with("Devnet runtime 2 is coming"))
    };
    ensure!(
        dora.all().iter().filter(posts).count() == 1,
        "once: {:#?}",
        dora.all()
    );
    let lost: Vec<Value> = dora
        .unread()
        .into_iter()
        .filter(|e| e["sender"] == w.user_id.as_str())
        .collect();
    ensure!(lost.is_empty(), "unreadable: {lost:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_homeserver_has_ended_is_taken_back_on_the_same_device() -> Result<()> {
    let (mut w, opens, room, mut dora) = started_in_a_sealed_room().await?;
    dora.read(&w.user_id, "is coming").await?;
    let (before, _) = device(&w, "HERALD").await?;

    // Another program logs in as the device and out again: herald ends, and goes on with the same device and new keys.
    let login = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": w.user_id }, "password": PASSWORD, "device_id": "HERALD" });
    let sign_out = async |w: &World| -> Result<String> {
        let login = Some(login.clone());
        let answer = w.alice.call(Method::POST, &["login"], login).await?;
        let token = answer["access_token"].as_str().context("a token")?;
        w.alice.log_out(token).await?;
        ensure!(device(w, "HERALD").await?.0.is_null(), "the device is gone");
        Ok(token.to_owned())
    };
    let token = sign_out(&w).await?;
    // What happens in the room ends a sync that waits.
    dora.say(&room, "Is it soon?").await?;
    ensure!(w.herald.wait(PATIENCE).await? == 1, "it ends");
    let said = w.herald.stderr();
    ensure!(said.contains("has ended herald's session"), "{said}");
    w.start().await?;
    let words = "has logged in again as device HERALD";
    ensure!(w.herald.stderr().contains(words), "{}", w.herald.stderr());
    let status = text(&herald(&w, &["status"]).await?.stdout);
    ensure!(status.contains(words), "{status}");
    let (after, _) = device(&w, "HERALD").await?;
    ensure!(
        after["keys"].is_object() && after["keys"] != before["keys"],
        "new keys: {after}"
    );
    ensure!(
        w.dir.path().join("matrix/sdk-before-1").is_dir(),
        "the old keys lie aside"
    );
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 3_600)),
    )?;
    dora.read(&w.user_id, "has a new time").await?;

    // If that happens again a moment later, herald does not end a second time: somebody has to see why.
    sign_out(&w).await?;
    dora.say(&room, "And now?").await?;
    wait::until("the session's end is told", PATIENCE, async || {
        let status = text(&herald(&w, &["status"]).await.ok()?.stdout);
        status.contains("posts wait").then_some(())
    })
    .await?;
    stop(&mut w).await?;
    w.start().await?;
    w.write(
        "upgrades/v2.yaml",
        &format!(
            "{}steps: {{ documented: \"https://example.org/notes\" }}\n",
            crate::stories::story::upgrade(later(opens, 3_600))
        ),
    )?;
    dora.read(&w.user_id, "example.org/notes").await?;
    ensure!(
        !w.herald.stderr().contains(PASSWORD) && !w.herald.stderr().contains(&token),
        "a secret is in no log"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_voted_on_in_the_clients_own_way_in_open_and_in_encrypted_rooms() -> Result<()>
{
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (_, told) = w.operators().await?;
    let (sealed, mut dora) = sealed(&w).await?;
    let channel = format!("channels:\n  sealed: {{ platform: matrix, place: \"{sealed}\" }}\n");
    deployment(&w, |text| text.replacen("channels:\n", &channel, 1))?;
    let plan = "
zone: Europe/Berlin
feedback: { open_for: 1h, reactions: [] }
notices:
  - { id: proposed, phase: scheduling, template: scheduling/window-proposed, on: window_proposed }
  - { id: counted, phase: scheduling, template: operations/poll-closed, on: poll_closed, to: operators }
";
    w.write("plan.yaml", plan)?;
    w.start().await?;
    // All of it is done by then, with a herald that is killed and started again.
    let decide_by = later(now(), 90);
    let window = |hours: i64| {
        format!(
            "{{ opens: \"{}\", closes: \"{}\" }}",
            later(decide_by, 3_600 * hours),
            later(decide_by, 3_600 * (hours + 1))
        )
    };
    let whole = crate::stories::story::upgrade(later(decide_by, 3_600));
    let asked: Vec<&str> = whole
        .lines()
        .filter(|line| !line.starts_with("window:"))
        .collect();
    let poll = format!(
        "poll:\n  windows:\n    - {}\n    - {}\n  decide_by: \"{decide_by}\"\n",
        window(24),
        window(48)
    );
    w.write("upgrades/v2.yaml", &format!("{}\n{poll}", asked.join("\n")))?;

    // In the encrypted room a client that isn't herald's reads the question, answers, and reacts besides: one voice.
    let post = dora.read(&w.user_id, "which window suits you").await?["event"]
        .as_str()
        .context("an id")?
        .to_owned();
    let vote = dora
        .heard("the vote", |s| {
            s["answers"].is_array() && s["decrypted"] == true
        })
        .await?;
    ensure!(vote["answers"] == json!(["1️⃣", "2️⃣"]), "{vote}");
    let vote = vote["event"].as_str().context("an id")?.to_owned();
    dora.order(json!({ "do": "vote", "room": sealed, "event": vote, "answers": ["2️⃣"] }))
        .await?;
    dora.order(json!({ "do": "react", "room": sealed, "event": post, "key": "2️⃣" }))
        .await?;

    // In the open one somebody thinks again, and somebody's client knows reactions alone.
    let me = w.user_id.clone();
    let is_vote =
        |e: &Value| e["type"] == "org.matrix.msc3381.poll.start" && e["sender"] == me.as_str();
    let open = w.alice.wait_for(&w.room, is_vote, PATIENCE).await?;
    ensure!(
        open["content"]["org.matrix.msc1767.text"]
            .as_str()
            .is_some_and(|t| t.contains("2️⃣")),
        "the same in words: {open}"
    );
    let open = open["event_id"].as_str().context("an id")?.to_owned();
    for answers in [json!(["1️⃣"]), json!(["2️⃣"])] {
        let relation = json!({ "rel_type": "m.reference", "event_id": open });
        let content = json!({ "m.relates_to": relation, "org.matrix.msc3381.poll.response": { "answers": answers } });
        w.alice
            .send(&w.room, "org.matrix.msc3381.poll.response", content)
            .await?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asks = w.on_matrix("which window suits you").await?["event_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    w.bob.react(&w.room, &asks, "1️⃣").await?;

    // What was chosen while herald was away counts as well, and nothing is asked twice.
    w.herald.sigkill();
    w.herald.wait(PATIENCE).await?;
    w.start().await?;
    let counted = |e: &Value| {
        e["sender"] == w.user_id.as_str()
            && e["content"]["body"]
                .as_str()
                .is_some_and(|b| b.contains("votes on the window"))
    };
    let counted = w.alice.wait_for(&told, counted, PATIENCE * 3).await?;
    let words = counted["content"]["body"].as_str().unwrap_or_default();
    let votes = |number: &str| {
        words
            .lines()
            .find(|l| l.contains(number))
            .map(|l| l.trim_end_matches('*').ends_with(&number[..1]))
    };
    ensure!(
        (votes("1️⃣"), votes("2️⃣")) == (Some(true), Some(true)),
        "{words}"
    );
    dora.heard("the vote is closed", |s| s["ended"] == vote.as_str())
        .await?;
    w.alice
        .wait_for(
            &w.room,
            |e| e["type"] == "org.matrix.msc3381.poll.end",
            PATIENCE,
        )
        .await?;
    let votes = w
        .alice
        .messages(&w.room)
        .await?
        .iter()
        .filter(|e| is_vote(e))
        .count();
    ensure!(
        votes == 1
            && dora
                .all()
                .iter()
                .filter(|s| s["answers"].is_array())
                .count()
                == 1,
        "once in each room"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_room_is_followed_and_commands_there_are_heard() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 7_200);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    w.on_matrix("is coming").await?;
    let answer = w
        .alice
        .call(
            Method::POST,
            &["rooms", &w.room, "upgrade"],
            Some(json!({ "new_version": "11" })),
        )
        .await?;
    let next = answer["replacement_room"]
        .as_str()
        .context("a room")?
        .to_owned();
    // An invitation to a room that only claims to come after this one is left lying.
    let create = json!({ "name": "Not it", "creation_content": { "predecessor": { "room_id": w.room, "event_id": "$made-up" } } });
    let other = w.alice.create_room_with(create).await?;
    w.alice.invite(&other, &w.user_id).await?;
    w.alice.invite(&next, &w.user_id).await?;
    w.alice.invite(&next, &w.bob.user_id).await?;
    w.bob.join(&next).await?;
    let joined = |member: Value| member["membership"] == "join";
    let member = |room: String| {
        let (alice, user) = (&w.alice, w.user_id.clone());
        async move {
            alice
                .call(
                    Method::GET,
                    &["rooms", &room, "state", "m.room.member", &user],
                    None,
                )
                .await
        }
    };
    wait::until("it joins the new room", PATIENCE, async || {
        member(next.clone())
            .await
            .ok()
            .filter(|m| joined(m.clone()))
    })
    .await?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 3_600)),
    )?;
    let from_herald = |words: &'static str| {
        let user = w.user_id.clone();
        move |e: &Value| {
            e["sender"] == user.as_str()
                && e["content"]["body"]
                    .as_str()
                    .is_some_and(|b| b.contains(words))
        }
    };
    w.alice
        .wait_for(&next, from_herald("has a new time"), PATIENCE)
        .await?;
    w.bob.say(&next, "!upgrade status").await?;
    w.alice
        .wait_for(&next, from_herald("scheduled"), PATIENCE)
        .await?;

    // After a restart too, though the file names the old one.
    stop(&mut w).await?;
    w.start().await?;
    w.write(
        "upgrades/v2.yaml",
        &format!(
            "{}steps: {{ documented: \"https://example.org/notes\" }}\n",
            crate::stories::story::upgrade(later(opens, 3_600))
        ),
    )?;
    let from_herald = |e: &Value| {
        e["sender"] == w.user_id.as_str()
            && e["content"]["body"]
                .as_str()
                .is_some_and(|b| b.contains("example.org/notes"))
    };
    w.alice.wait_for(&next, from_herald, PATIENCE).await?;
    ensure!(
        !joined(
            w.alice
                .call(
                    Method::GET,
                    &["rooms", &other, "state", "m.room.member", &w.user_id],
                    None
                )
                .await?
        ),
        "not the other one"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_as_good_as_a_password() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let login = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": w.user_id }, "password": PASSWORD, "device_id": "MADE" });
    let token = w.alice.call(Method::POST, &["login"], Some(login)).await?["access_token"]
        .as_str()
        .context("a token")?
        .to_owned();
    std::fs::write(w.dir.path().join("token"), "syt_wrong")?;
    deployment(&w, |text| {
        text.replace(
            "password: { env: TEST_MATRIX_PASSWORD }",
            "token: { file: token }",
        )
    })?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 7_200);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    let refused = herald(&w, &["run"]).await?;
    let words = text(&refused.stderr);
    ensure!(
        !refused.status.success()
            && words.contains("refuses the access token")
            && !words.contains("syt_wrong"),
        "{words}"
    );
    std::fs::write(w.dir.path().join("token"), &token)?;
    w.start().await?;
    w.on_matrix("is coming").await?;
    stop(&mut w).await?;
    w.start().await?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 3_600)),
    )?;
    w.on_matrix("has a new time").await?;
    ensure!(
        device(&w, "MADE").await?.0["device_id"] == "MADE",
        "the token's own device"
    );
    ensure!(!w.herald.stderr().contains(&token), "a secret is in no log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_there_and_what_is_missing() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let plan = PLAN.replace(
        "on: planned, feedback: true",
        "on: planned, feedback: true, board: true, event: true",
    );
    w.write("plan.yaml", &plan)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 7_200)),
    )?;
    let doctor = async |w: &World| -> Result<(i32, Vec<Value>)> {
        let out = herald(w, &["doctor", "--json"]).await?;
        let lines = text(&out.stdout)
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>();
        Ok((
            out.status.code().unwrap_or(-1),
            lines.with_context(|| text(&out.stderr))?,
        ))
    };
    let has = |needs: &[Value], verdict: &str, words: &str| {
        ensure!(
            needs.iter().any(|n| n["verdict"] == verdict
                && n["words"].as_str().is_some_and(|w| w.contains(words))),
            "no {verdict} “{words}”: {needs:#?}"
        );
        Ok(())
    };

    // All is there but what an operator may want besides.
    let (code, needs) = doctor(&w).await?;
    ensure!(
        code == 0 && needs.iter().all(|n| n["verdict"] != "wrong"),
        "{needs:#?}"
    );
    for words in [
        "the token is good",
        "permissions=",
        "GUILDS alone",
        "may do there all that posting takes",
        "the password is good",
        "in the room, which is not encrypted",
        "finalized block",
        "is made at the first start",
    ] {
        has(&needs, "good", words)?;
    }
    for words in [
        "may not pin the status board",
        "one endpoint alone",
        "passphrase",
    ] {
        has(&needs, "lacking", words)?;
    }
    let asked: Vec<&Value> = needs
        .iter()
        .filter(|n| {
            n["words"]
                .as_str()
                .is_some_and(|w| w.contains("Message Content Intent"))
        })
        .collect();
    ensure!(asked.len() == 1, "{needs:#?}");

    // Beside a herald that runs, the device is left alone.
    w.start().await?;
    let (code, needs) = doctor(&w).await?;
    ensure!(code == 0, "{needs:#?}");
    has(&needs, "good", "a herald runs on it")?;
    has(&needs, "lacking", "the herald that runs has the device")?;

    // Nor does it harm one that runs elsewhere with the same device.
    w.on_matrix("is coming").await?;
    let other = tempfile::tempdir()?;
    for name in ["config", "templates", "ca.pem"] {
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(w.dir.path().join(name))
            .arg(other.path())
            .status()?;
        ensure!(copied.success(), "{name}");
    }
    let out = herald_in(&w, other.path(), &["doctor"]).await?;
    let said = text(&out.stdout);
    ensure!(
        out.status.success() && said.contains("the password is good"),
        "{said}{}",
        text(&out.stderr)
    );
    ensure!(!other.path().join("matrix").exists(), "it keeps nothing");
    let moved = later(now(), 9_000);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(moved))?;
    w.on_matrix("has a new time").await?;
    stop(&mut w).await?;

    // Of the device it tells once there is one.
    let (_, needs) = doctor(&w).await?;
    has(&needs, "good", "the session is good")?;
    has(&needs, "good", "is signed by its account")?;
    has(&needs, "lacking", "no recovery")?;

    // Permissions taken away, the node gone, the room left.
    w.discord
        .set_permissions(permission::VIEW_CHANNEL | permission::SEND_MESSAGES);
    deployment(&w, |text| {
        let chain = w.chain.url().to_string();
        text.replace(&chain, "ws://127.0.0.1:9")
    })?;
    w.alice
        .call(
            Method::POST,
            &["rooms", &w.room, "kick"],
            Some(json!({ "user_id": w.user_id })),
        )
        .await?;
    let (code, needs) = doctor(&w).await?;
    ensure!(code == 1, "{needs:#?}");
    for words in ["Read Message History", "127.0.0.1:9", "invite"] {
        has(&needs, "wrong", words)?;
    }
    let plain = herald(&w, &["doctor"]).await?;
    ensure!(
        text(&plain.stdout).contains("✗ channel discord: "),
        "{}",
        text(&plain.stdout)
    );
    let shown = format!("{}{}", text(&plain.stdout), text(&plain.stderr));
    ensure!(
        !shown.contains(PASSWORD) && !shown.contains(&w.discord.token()),
        "no secrets"
    );
    Ok(())
}
