//! A chat that can do little: campaigns on IRC, through the real planner, dispatcher and store, to a strict server.

mod server;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use upgrade_herald::{
    adapters::irc::{Irc, IrcSettings},
    config::Origin,
    domain::outbox::{Body, Operation, PostKey},
    lint,
    ports::{Chat, ChatError, Clock, Outgoing, Outlet, Platform, Readers},
    words::snapshot::ConfigSnapshot,
};

use self::server::{PASSWORD, Server};
use crate::harness::pipeline::{Pipeline, authorized};

const CHANNEL: &str = "#upgrades";

const PLAN: &str = "
zone: Europe/Berlin
verification: { healthy_for: 60s, complete_after: 60s, max_block_gap: 60s }
feedback:
  open_for: 40s
  reactions: [{ emoji: 👍, means: all fine }]
notices:
  - { id: board, phase: preparation, template: preparation/board, on: planned, board: true }
  - { id: announced, phase: preparation, template: preparation/announced, on: planned }
  - { id: rescheduled, phase: scheduling, template: scheduling/rescheduled, on: rescheduled }
  - { id: applied, phase: validation, template: validation/applied, on: applied, feedback: true }
  - { id: verified, phase: validation, template: validation/verified, on: verified }
  - { id: feedback, phase: post-deployment, template: post-deployment/feedback, on: feedback_closed }
";

const TEMPLATES: [(&str, &str); 11] = [
    (
        "preparation/board",
        "**{{upgrade.title}}** is {{word upgrade.state}}.",
    ),
    (
        "preparation/announced",
        "## {{upgrade.title}} is coming\n\nIt opens {{time window.opens}}, `{{left window.opens}}`.\n\n- [more](https://example.org/a_b)\n",
    ),
    (
        "scheduling/rescheduled",
        "{{upgrade.title}} has a new time: {{time window.opens}}.",
    ),
    ("validation/applied", "## {{upgrade.title}}: **applied**"),
    ("validation/verified", "## {{upgrade.title}}: **verified**"),
    ("post-deployment/feedback", "{{upgrade.title}}: thank you."),
    (
        "scheduling/mark",
        "> **New time:** it now opens {{time window.opens}}.",
    ),
    ("operations/approval", "Please approve {{notice.id}}."),
    ("validation/feedback-thread", "How is it?"),
    (
        "scheduling/private",
        "{{upgrade.title}} opens {{time window.opens}}.",
    ),
    ("scheduling/said", "{{#each lines}}{{this}}{{/each}}"),
];

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Files of a herald that speaks on IRC alone.
fn files(server: &Server) -> (TempDir, Origin) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in TEMPLATES {
        write(dir.path(), &format!("templates/{name}.md.hbs"), text);
    }
    let deployment = format!(
        "
irc: {{ server: \"{}\", nick: herald, password: {{ env: TEST_IRC_PASSWORD }} }}
chains: {{ relay: {{ endpoints: [\"ws://127.0.0.1:9\"] }} }}
channels:
  irc: {{ platform: irc, place: \"{CHANNEL}\" }}
",
        server.address
    );
    write(dir.path(), "config/herald.yaml", &deployment);
    write(dir.path(), "config/plan.yaml", PLAN);
    let origin = Origin::Folder {
        config: dir.path().join("config"),
        templates: dir.path().join("templates"),
    };
    (dir, origin)
}

fn irc(server: &Server) -> Arc<Irc> {
    Irc::new(IrcSettings {
        server: server.address.to_string(),
        nick: "herald".into(),
        password: Some(PASSWORD.to_owned().into()),
        timeout: Duration::from_secs(10),
    })
}

/// A chain, and herald with the one channel on IRC.
async fn world(server: &Server) -> (TempDir, Pipeline) {
    let (dir, origin) = files(server);
    let loaded = lint::load(&origin).unwrap();
    let outlet = Outlet {
        platform: Platform::Irc,
        chat: irc(server),
        place: CHANNEL.into(),
        readers: Readers::Public,
        locale: "en".into(),
        mentions: BTreeMap::new(),
    };
    let put_in_force = |core: &mut upgrade_herald::outbox::Core| {
        core.files.replace(ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        });
        core.outlets = BTreeMap::from([("irc".to_owned(), outlet)]);
    };
    let w = Pipeline::build(&["relay"], |_| {}, put_in_force).await;
    server.set_time(w.clock.now());
    (dir, w)
}

#[tokio::test]
async fn a_campaign_is_told_where_nothing_can_be_edited_reacted_to_or_hung_below() {
    let server = Server::start().await;
    let (_dir, w) = world(&server).await;
    let mut upgrade = w.upgrade("v2", &["relay"]);
    upgrade.title = "Runtime 2".into();
    w.plan(std::slice::from_ref(&upgrade)).await;
    w.settle().await;

    // Another window: what was said can't be edited, so it is said again with what has changed.
    upgrade.window.opens += SignedDuration::from_hours(1);
    upgrade.window.closes += SignedDuration::from_hours(1);
    w.plan(std::slice::from_ref(&upgrade)).await;
    w.settle().await;

    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    for _ in 0..30 {
        w.block("relay", 2, &[]).await;
    }

    assert_eq!(server.wrong(), Vec::<String>::new());
    assert_eq!(server.connections(), 1, "one connection for all");
    let said = server.said_by("herald", CHANNEL);
    let mut rest = said.iter();
    for wanted in [
        "Runtime 2 is scheduled.",
        "Runtime 2 is coming | It opens ",
        "Runtime 2: applied",
        "Runtime 2: verified",
    ] {
        assert!(
            rest.any(|line| line.starts_with(wanted)),
            "{wanted}: {said:#?}"
        );
    }
    assert!(
        said.iter()
            .any(|line| line.contains("more (https://example.org/a_b)")),
        "a link is its address: {said:#?}"
    );
    for anew in ["Runtime 2 has a new time: ", "> New time: it now opens "] {
        assert!(
            said.iter().any(|line| line.starts_with(anew)),
            "{anew}: {said:#?}"
        );
    }

    // What the chat can't do has no row, so nothing of it failed either.
    let rows = w.store.posts("v2").await.unwrap();
    let possible = [Operation::Post, Operation::Mark];
    assert!(
        rows.iter()
            .all(|p| possible.contains(&p.operation) && p.error.is_none()),
        "{rows:#?}"
    );
}

#[tokio::test]
async fn a_post_whose_echo_was_lost_is_found_and_not_said_twice() {
    let server = Server::start().await;
    let (_dir, w) = world(&server).await;
    let upgrade = w.upgrade("v2", &["relay"]);
    server.break_before_the_next_echo();
    w.plan(std::slice::from_ref(&upgrade)).await;
    for _ in 0..5 {
        w.settle().await;
        w.step(60);
    }
    let said = server.said_by("herald", CHANNEL);
    assert_eq!(said.len(), 2, "the board and the announcement: {said:?}");
    assert_eq!(w.told("v2", "irc").await, ["board", "announced"]);
    assert_eq!(server.wrong(), Vec::<String>::new());
}

#[tokio::test]
async fn others_tags_are_not_believed_and_a_short_history_leaves_a_doubt() {
    let server = Server::start().await;
    let irc = irc(&server);
    let key = PostKey("0a1b".into());
    let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
    server.set_time(noon);
    server.say("mallory", CHANNEL, Some("0a1b"), "I am herald");
    assert_eq!(irc.find(CHANNEL, &key, noon).await.unwrap(), None);

    let body = Body {
        text: "first\r\nQUIT :second".into(),
        ..Body::default()
    };
    let out = Outgoing {
        key: &key,
        body: &body,
        answers: None,
        of: None,
    };
    let sent = irc.send(CHANNEL, out).await.unwrap();
    assert_eq!(
        irc.find(CHANNEL, &key, noon).await.unwrap(),
        Some(sent),
        "its own is found"
    );
    assert_eq!(
        server.said_by("herald", CHANNEL),
        ["first  QUIT :second"],
        "one line, whatever a text holds"
    );

    for n in 0..100 {
        server.say("anna", CHANNEL, None, &format!("line {n}"));
    }
    let before = noon - SignedDuration::from_hours(1);
    let doubt = irc.find(CHANNEL, &key, before).await;
    assert!(matches!(doubt, Err(ChatError::Doubt { .. })), "{doubt:?}");

    let long = Body {
        text: "x".repeat(401),
        ..Body::default()
    };
    let refused = irc.send(CHANNEL, Outgoing { body: &long, ..out }).await;
    assert!(
        matches!(refused, Err(ChatError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(server.wrong(), Vec::<String>::new());
}

#[test]
fn a_template_that_no_line_holds_is_refused_before_anything_is_said() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let (dir, origin) = files(&server);
    let long = "word ".repeat(100);
    write(dir.path(), "templates/validation/verified.md.hbs", &long);
    let findings = lint::load(&origin).err().unwrap();
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    assert!(
        said.contains("499 bytes; a post on IRC holds 400"),
        "{said}"
    );
}
