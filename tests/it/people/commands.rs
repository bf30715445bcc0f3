//! The command language: who may order what, and what becomes of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use upgrade_herald::{
    adapters::room::Room,
    answer::AnswerService,
    config::{People, Person},
    domain::{
        campaign::upgrade::Decision,
        people::{
            command::{Command, Kind, Verb},
            permission::{Permissions, Role},
        },
    },
    plan::planner::Planner,
    ports::{Asker, CommandHandler, Outlet, Platform, Readers},
    words::snapshot::ConfigSnapshot,
};

use crate::{
    doubles::discord::{ChannelKind, Options},
    harness::pipeline::Pipeline,
    harness::world::{self, PATIENCE, later, now},
    support::{DevnetOptions, wait},
};

const DISCORD_ROLE: &str = "1100000000000000021";

/// Four people of one role each, on both platforms; two more that nobody has listed, of whom one has a role on Discord and
/// power on Matrix. Two places on each platform: one for the public, one for operators.
async fn world() -> Pipeline {
    let w = Pipeline::build(
        &["relay"],
        |_| {},
        |core| {
            let (mut config, renderer) = (
                core.snapshot().config.clone(),
                core.snapshot().renderer.clone(),
            );
            let person = |(i, role): (usize, &Role)| Person {
                name: format!("{} (invented)", role.name()),
                discord: Some((11 + i).to_string()),
                matrix: Some(format!("@{}:example.org", role.name())),
                roles: vec![*role],
                ..Person::default()
            };
            config.people = People {
                all: Role::ALL.iter().enumerate().map(person).collect(),
                permissions: Permissions {
                    commands: [(
                        Verb::Preview,
                        [Role::CoreDeveloper, Role::CommunicationTeam, Role::Operator].into(),
                    )]
                    .into(),
                    discord: [(DISCORD_ROLE.to_owned(), [Role::Operator].into())].into(),
                    matrix: [(50, [Role::CommunicationTeam].into())].into(),
                },
            };
            core.files.replace(ConfigSnapshot { config, renderer });
            let chat = Arc::new(Room::new(Platform::Matrix));
            let room = Outlet {
                chat,
                place: "!ops:example.org".into(),
                readers: Readers::Operators,
                ..core.outlets["matrix-upgrades"].clone()
            };
            core.outlets.insert("matrix-operations".into(), room);
        },
    )
    .await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.settle().await;
    w
}

/// The planner ticks beside an answer, as it does in a running herald.
async fn followed<T>(w: &Pipeline, answer: impl Future<Output = T>) -> T {
    let planner = Planner::new(w.core.clone());
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            planner.tick_with(&[]).await.unwrap();
        }
    };
    tokio::select! {
        answer = answer => answer,
        never = ticking => never,
    }
}

/// A value that each part takes.
fn sample(kind: Kind) -> &'static str {
    match kind {
        Kind::Topic => "import",
        Kind::Code => "abcdef",
        Kind::Notice => "reminder-1d",
        Kind::Upgrade => "v2",
        Kind::Time => "2099-01-02 14:00",
        Kind::Length => "2h",
        Kind::Before => "1h",
        Kind::List => "process",
        Kind::Item => "1.1",
        Kind::Channel => "all",
        Kind::Node => "HARBOUR/1",
        Kind::Confirm => "yes",
        Kind::Words(_) => "words",
    }
}

fn command(verb: Verb) -> Command {
    let needed = verb
        .parts()
        .iter()
        .filter(|p| p.required)
        .map(|p| (p.name, sample(p.kind)));
    Command::from_options(verb.name(), needed).unwrap()
}

#[tokio::test]
async fn nobody_may_more_than_the_table_says() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    let roles = [DISCORD_ROLE.to_owned(), "1100000000000000022".to_owned()];
    let other_roles = ["1100000000000000022".to_owned()];
    let place = |channel: &str| w.core.outlets[channel].place.clone();
    let places = [
        (Platform::Discord, "upgrades", place("discord-upgrades")),
        (Platform::Discord, "operations", place("discord-operations")),
        (Platform::Discord, "elsewhere", "1".to_owned()),
        (Platform::Matrix, "upgrades", place("matrix-upgrades")),
        (Platform::Matrix, "operations", place("matrix-operations")),
        (
            Platform::Matrix,
            "elsewhere",
            "!elsewhere:example.org".to_owned(),
        ),
    ];
    let mut table: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut asked = 0;
    for (platform, where_, place) in &places {
        let mut who: Vec<(String, Asker<'_>)> = Vec::new();
        let accounts: Vec<(String, String)> = w
            .core
            .snapshot()
            .config
            .people
            .all
            .iter()
            .map(|p| {
                (
                    p.roles[0].name().to_owned(),
                    if *platform == Platform::Discord {
                        p.discord.clone()
                    } else {
                        p.matrix.clone()
                    }
                    .unwrap(),
                )
            })
            .collect();
        for (name, account) in &accounts {
            who.push((name.clone(), Asker::new(*platform, account, place)));
        }
        // Power and roles count on their own platform alone, and power in the operators' room alone.
        who.push((
            "a stranger".into(),
            Asker {
                roles: &other_roles,
                power: Some(49),
                ..Asker::new(*platform, "99", place)
            },
        ));
        who.push((
            "one with power 50".into(),
            Asker {
                power: Some(50),
                ..Asker::new(*platform, "99", place)
            },
        ));
        who.push((
            "one with the Discord role".into(),
            Asker {
                roles: &roles,
                ..Asker::new(*platform, "99", place)
            },
        ));
        for (name, asker) in who {
            for &verb in Verb::ALL {
                asked += 1;
                let said = followed(&w, service.answer(&asker, &Ok(command(verb))))
                    .await
                    .text;
                let denied = ["operators' channel", "is for ", "I don't know your account"]
                    .iter()
                    .any(|no| said.contains(no));
                assert!(
                    !denied || verb.is_privileged(),
                    "{name} in {where_}: {said}"
                );
                assert!(
                    denied || !verb.is_privileged() || *where_ == "operations",
                    "{name} in {where_} may {}",
                    verb.name()
                );
                if !denied && verb.is_privileged() {
                    table
                        .entry(format!("{} in {where_}: {name}", platform.name()))
                        .or_default()
                        .push(verb.name());
                }
            }
        }
    }
    println!(
        "{}",
        serde_json::json!({ "asked": asked, "allowed": table.values().map(Vec::len).sum::<usize>() })
    );
    insta::assert_snapshot!(
        table
            .iter()
            .map(|(who, verbs)| format!("{who}: {}\n", verbs.join(", ")))
            .collect::<String>()
    );
}

#[tokio::test]
async fn the_team_changes_an_upgrade_from_either_platform_and_it_is_told() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    let team = Asker::new(
        Platform::Matrix,
        "@communication_team:example.org",
        "!ops:example.org",
    );
    let say = async |line: &str| {
        followed(&w, service.answer(&team, &Command::from_line(line)))
            .await
            .text
    };
    let upgrade = async || w.core.campaign("v2").await.unwrap().unwrap().upgrade;
    let opens = upgrade().await.window.opens;

    let said = say("no-go Two nodes don't sync.").await;
    insta::assert_snapshot!(said, @"done: no-go of Paseo runtime 2.3.1, asked for by communication_team (invented) on matrix.");
    assert_eq!(
        upgrade().await.decision,
        Some(Decision::NoGo("Two nodes don't sync.".into()))
    );
    insta::assert_snapshot!(say("status").await, @r"
    Paseo runtime 2.3.1 — scheduled, on hold: Two nodes don't sync.

    Must I update my node? Yes, at once, if it is older than v1.21.0.

    • Validators — action needed: Update your node and watch it through the upgrade.
    • Developers — action needed: Test your tools against the new metadata.
    • Users — no action: Nothing to do; transactions may take a few seconds longer.

    Window: Tue 9 Mar 2027, 14:00 CET (13:00 UTC), in 50 minutes, until Tue 9 Mar 2027, 16:00 CET (15:00 UTC).

    • relay: waiting, target 2

    Next notice: no go, Tue 9 Mar 2027, 13:10 CET (12:10 UTC).
    ");
    insta::assert_snapshot!(say("no-go Two nodes don't sync.").await, @"I can't do that: that is so already.");
    insta::assert_snapshot!(say("go upgrade=v2").await, @"done: go of Paseo runtime 2.3.1, asked for by communication_team (invented) on matrix.");
    insta::assert_snapshot!(say("go upgrade=v3").await, @"I know no upgrade v3: did you mean v2?");

    let said = say("postpone 2h nodes are late").await;
    insta::assert_snapshot!(said, @"The window would open Tue 9 Mar 2027, 16:00 CET (15:00 UTC), in the night of people in Singapore (23:00). This is posted at once in discord-upgrades, matrix-upgrades, and notifies people in discord-upgrades, matrix-upgrades. To do it, give the command again with confirm=yes (--confirm in a shell).");
    let said = say("postpone 2h confirm=yes nodes are late").await;
    insta::assert_snapshot!(said, @"done: Paseo runtime 2.3.1 now opens Tue 9 Mar 2027, 16:00 CET (15:00 UTC) and closes Tue 9 Mar 2027, 18:00 CET (17:00 UTC), asked for by communication_team (invented) on matrix.");
    assert_eq!(
        upgrade().await.window.opens,
        opens + jiff::SignedDuration::from_hours(2)
    );
    let posts = w.store.posts("v2").await.unwrap();
    assert!(
        posts
            .iter()
            .any(|p| p.detail.as_deref() == Some("nodes are late")),
        "the reason is told with it"
    );
    insta::assert_snapshot!(say("reschedule 2001-01-01 10:00").await, @"I can't do that: Mon 1 Jan 2001, 10:00 CET (09:00 UTC) is over already; name a time that is still to come.");
    insta::assert_snapshot!(say("reschedule soon").await, @"I can't do that: opens soon is not a time; write 2026-12-01 14:00 (in Europe/Berlin) or 2026-12-01T13:00:00Z.");
    insta::assert_snapshot!(say("reschedule").await, @"I don't understand that: reschedule needs opens: When the window opens: 2026-12-01 14:00 in the plan's zone.");

    let said = say("preview reminder-1d").await;
    assert!(said.contains(&w.sample.title), "{said}");
    insta::assert_snapshot!(say("preview reminder-1").await, @"The plan has no notice reminder-1: did you mean reminder-1d?");
    assert!(say("schedule").await.contains("You hear from us"));
    assert!(say("checklist").await.contains("0 of 19 steps are done"));
    assert!(
        say("checklist validators")
            .await
            .contains("Before the upgrade")
    );
    let help = say("help").await;
    assert!(
        Verb::ALL.iter().all(|verb| help.contains(verb.name())),
        "{help}"
    );
    let public = Asker::new(
        Platform::Matrix,
        "@a:x",
        &w.core.outlets["matrix-upgrades"].place,
    );
    let help = service
        .answer(&public, &Command::from_line("help"))
        .await
        .text;
    assert!(
        help.contains("checklist") && !help.contains("postpone"),
        "nobody is offered what they may not do: {help}"
    );

    insta::assert_snapshot!(say("cancel confirm=yes The release is withdrawn.").await, @"done: cancel of Paseo runtime 2.3.1, asked for by communication_team (invented) on matrix.");
    assert_eq!(
        upgrade().await.cancelled.as_deref(),
        Some("The release is withdrawn.")
    );
    insta::assert_snapshot!(say("go").await, @"I can't do that: Paseo runtime 2.3.1 was given up already; write a new upgrade, or take that out of its file.");
    let hostile = say("cancel @everyone [click](https://evil.example) **now**").await;
    insta::assert_snapshot!(hostile, @"I can't do that: Paseo runtime 2.3.1 was given up already; write a new upgrade, or take that out of its file.");
}

#[tokio::test]
async fn what_may_be_meant_is_proposed_to_who_may_say_it() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    let (public, ops) = (
        w.core.outlets["discord-upgrades"].place.clone(),
        w.core.outlets["discord-operations"].place.clone(),
    );
    let anybody = Asker::new(Platform::Discord, "99", &public);
    let team = Asker::new(Platform::Discord, "13", &ops);
    let all = service.choices(&anybody, Verb::Help, "topic", "").await;
    assert!(
        all.len() >= 7 && all.contains(&"import".to_owned()),
        "{all:?}"
    );
    assert_eq!(
        service.choices(&anybody, Verb::Help, "topic", " IMP").await,
        ["import"]
    );
    assert_eq!(
        service.choices(&anybody, Verb::Status, "upgrade", "").await,
        ["v2"]
    );
    assert!(
        service
            .choices(&anybody, Verb::Preview, "notice", "")
            .await
            .is_empty()
    );
    let notices = service
        .choices(&team, Verb::Preview, "notice", "remind")
        .await;
    assert!(
        notices.len() > 2 && notices.iter().all(|n| n.starts_with("remind")),
        "{notices:?}"
    );
    assert!(
        service
            .choices(&team, Verb::Cancel, "reason", "")
            .await
            .is_empty()
    );
}

const TWO: &str = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n\
    \x20 - { id: announced, phase: preparation, template: preparation/announced, on: planned, to: public }\n\
    \x20 - { id: moved, phase: scheduling, template: scheduling/rescheduled, on: rescheduled, to: public }\n";

/// On the real homeserver and the double: by a role of the server, and by power in the operators' room.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_words_do_the_same_on_both_platforms() -> Result<()> {
    let mut w = world::World::new(Options::default(), DevnetOptions::default()).await?;
    let role = w.discord.add_role("upgrade team", false);
    let (dana, eve) = (
        w.discord.add_person_with("Dana", &[role], 0),
        w.discord.add_person("Eve"),
    );
    let operations = w.discord.add_channel("operations", ChannelKind::Text);
    let room = w.alice.create_room("Operations").await?;
    for user in [&w.bob.user_id, &w.user_id] {
        w.alice.invite(&room, user).await?;
    }
    w.bob.join(&room).await?;
    let config = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    let more = format!(
        "channels:\n  discord-operations: {{ platform: discord, place: \"{operations}\", for: operators }}\n  \
         matrix-operations: {{ platform: matrix, place: \"{room}\", for: operators }}\n"
    );
    w.write("herald.yaml", &config.replace("channels:\n", &more))?;
    w.write("plan.yaml", TWO)?;
    w.write("people.yaml", &format!("people: []\npermissions:\n  discord: [{{ id: \"{role}\", role: operator }}]\n  matrix: [{{ level: 50, role: communication_team }}]\n"))?;
    let opens = later(now(), 9_000);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    w.on_discord("is coming").await?;

    let discord =
        async |who, channel, verb: &str, options: &[(&str, serde_json::Value)]| -> Result<String> {
            let answer = w
                .discord
                .slash_with(who, channel, "upgrade", verb, options)
                .await
                .map_err(|e| anyhow::anyhow!("{e:?}"))?;
            assert!(answer.ephemeral, "only the asker sees it");
            Ok(answer.content)
        };
    let late = [
        ("by", "1h".into()),
        ("confirm", "yes".into()),
        ("reason", "Nodes are late.".into()),
    ];
    assert!(
        discord(eve, operations, "postpone", &late)
            .await?
            .contains("is for the communication team and operators")
    );
    assert!(
        discord(dana, w.channel, "postpone", &late)
            .await?
            .contains("operators' channel")
    );
    let done = discord(dana, operations, "postpone", &late).await?;
    assert!(
        done.contains(" now opens ") && done.contains("on discord"),
        "{done}"
    );
    assert!(
        w.on_discord("Nodes are late.")
            .await?
            .content
            .contains("Devnet")
    );
    w.on_matrix("Nodes are late.").await?;
    let proposed = w
        .discord
        .types(dana, operations, "upgrade", "preview", "notice", "mo")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    assert_eq!(proposed, ["moved"]);
    assert!(
        w.discord
            .types(eve, w.channel, "upgrade", "preview", "notice", "mo")
            .await
            .is_ok_and(|p| p.is_empty())
    );

    // bob is in the operators' room without power, and alice made it.
    let matrix = async |who: &crate::support::Person, line: &str| -> Result<String> {
        let asked = who.say(&room, line).await?;
        let what = format!("an answer to {line}");
        let answer = wait::until(&what, PATIENCE, async || {
            let all = w.alice.messages(&room).await.ok()?;
            all.into_iter().find(|e| {
                e["sender"] == w.user_id.as_str()
                    && e["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == asked.as_str()
            })
        });
        Ok(answer.await?["content"]["body"]
            .as_str()
            .context("words")?
            .to_owned())
    };
    assert!(
        matrix(&w.bob, "!upgrade cancel We give up.")
            .await?
            .contains("is for the communication team and operators")
    );
    assert!(
        matrix(&w.bob, "!upgrade schedule")
            .await?
            .contains("No more notices")
    );
    let done = matrix(&w.alice, "!upgrade no-go Two nodes don't sync.").await?;
    assert!(
        done.contains("done: no-go of") && done.contains(&w.alice.user_id),
        "{done}"
    );
    assert!(
        discord(eve, w.channel, "status", &[])
            .await?
            .contains("Two nodes don't sync.")
    );
    assert!(
        matrix(&w.alice, "!upgrade go upgrade=v3")
            .await?
            .contains("I know no upgrade v3")
    );
    assert_eq!(w.discord.violations(), Vec::<String>::new());
    Ok(())
}
