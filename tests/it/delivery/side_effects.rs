//! What the platforms have around a post: pins, a calendar, channels that others follow, cards, windows to write into.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    doubles::discord::{ChannelKind, Fault, Faults, OneShot, Options, permission},
    harness::world::{PATIENCE, World, later, now},
    support::{DevnetOptions, devnet::blob, wait},
};

const PLAN: &str = "
zone: Europe/Berlin
verification: { healthy_for: 30s, complete_after: 30s, max_block_gap: 60s }
feedback: { open_for: 30s, reactions: [{ emoji: 👍, means: all fine }] }
notices:
  - { id: board, phase: preparation, template: preparation/board, on: planned, board: true, event: true }
  - { id: announced, phase: preparation, template: preparation/announced, on: planned }
  - { id: rescheduled, phase: scheduling, template: scheduling/rescheduled, on: rescheduled }
  - { id: cancelled, phase: scheduling, template: scheduling/cancelled, on: cancelled }
  - { id: applied, phase: validation, template: validation/applied, on: applied, feedback: true }
  - { id: completed, phase: post-deployment, template: post-deployment/completed, on: completed }
  - { id: feedback, phase: post-deployment, template: post-deployment/feedback-summary, on: feedback_closed }
";

fn published(w: &World) -> Result<u64> {
    let news = w.discord.add_channel("news", ChannelKind::Announcement);
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    let channel =
        format!("channels:\n  news: {{ platform: discord, place: \"{news}\", publish: true }}\n");
    w.write(
        "herald.yaml",
        &deployment.replacen("channels:\n", &channel, 1),
    )?;
    Ok(news)
}

async fn event_when(w: &World, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let events = async || w.discord.scheduled_events().into_iter().find(|e| wanted(e));
    wait::until(what, PATIENCE, events)
        .await
        .map_err(|e| e.context(format!("{:#?}", w.discord.scheduled_events())))
}

async fn pinned(w: &World) -> Result<Vec<String>> {
    let state = w
        .alice
        .state(&w.room, "m.room.pinned_events")
        .await
        .unwrap_or_default();
    Ok(state["pinned"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect())
}

/// herald may pin in the room.
async fn may_pin(w: &World) -> Result<()> {
    let mut levels = w.alice.state(&w.room, "m.room.power_levels").await?;
    levels["users"][&w.user_id] = json!(50);
    w.alice
        .set_state(&w.room, "m.room.power_levels", levels)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn board_calendar_and_followers_go_along_with_an_upgrade() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    may_pin(&w).await?;
    let news = published(&w)?;
    let opens = later(now(), 3_600);
    w.write("plan.yaml", PLAN)?;
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;

    // Pinned on both, and each post of the announcement channel handed on.
    let board = w.on_discord("where it stands").await?;
    wait::until("the board is pinned", PATIENCE, async || {
        w.discord.message(board.id).filter(|m| m.pinned)
    })
    .await?;
    let on_matrix = w.on_matrix("where it stands").await?["event_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    wait::until("the board is pinned in the room", PATIENCE, async || {
        pinned(&w).await.ok().filter(|p| p.contains(&on_matrix))
    })
    .await?;
    let handed_on = async || {
        let posts: Vec<_> = w
            .discord
            .messages(news)
            .into_iter()
            .filter(|m| m.kind == 0)
            .collect();
        (posts.len() == 2 && posts.iter().all(|m| m.crossposted)).then_some(())
    };
    wait::until("both posts are handed on", PATIENCE, handed_on).await?;
    ensure!(
        w.discord.messages(w.channel).iter().all(|m| !m.crossposted),
        "in that channel alone"
    );

    // A card below each post: the state's colour, times for each reader, and the mark by which it is found.
    let card = &board.embeds[0];
    ensure!(
        card["color"] == 0x3b_6e_a5
            && card["description"]
                .as_str()
                .is_some_and(|d| d.contains("<t:")),
        "{card}"
    );
    ensure!(
        card["footer"]["text"]
            .as_str()
            .is_some_and(|f| f.starts_with("upgrade-herald")),
        "{card}"
    );

    // One event, which moves with the window.
    let event = event_when(&w, "an event", |_| true).await?;
    ensure!(
        event["name"] == "Devnet runtime 2" && event["status"] == 1 && event["entity_type"] == 3,
        "{event}"
    );
    let starts = |e: &Value| {
        e["scheduled_start_time"]
            .as_str()
            .and_then(|t| t.parse::<jiff::Timestamp>().ok())
    };
    ensure!(starts(&event) == Some(opens), "{event}");
    let moved = later(opens, 1_800);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(moved))?;
    w.on_discord("has a new time").await?;
    event_when(&w, "the event moves", |e| starts(e) == Some(moved)).await?;

    // Under way, applied, over: and the board's card with it.
    w.chain.authorize(&blob("mini-1000002")).await?;
    event_when(&w, "the event is under way", |e| e["status"] == 2).await?;
    w.chain.apply(&blob("mini-1000002")).await?;
    let applied = w.on_discord("applied, being verified").await?;

    // A press opens a window, and what is written there is feedback.
    let carol = w.discord.add_person("carol");
    let window = w
        .discord
        .press_for_window(carol, w.channel, &applied, "Tell us how it went")
        .await;
    let window = window.map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let answer = w
        .discord
        .submit(carol, w.channel, &window, "All my nodes are \"fine\" \\o/")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        answer.ephemeral && answer.content.contains("Thank you"),
        "{}",
        answer.content
    );
    let details = w
        .discord
        .press(carol, w.channel, &applied, "Details")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        details.ephemeral && details.content.contains("1000002"),
        "{}",
        details.content
    );

    // All is over: the event, and the board turns green.
    event_when(&w, "the event is over", |e| e["status"] == 3).await?;
    wait::until("the board is green", PATIENCE, async || {
        w.discord
            .message(board.id)
            .filter(|m| m.embeds[0]["color"] == 0x2e_8b_57)
            .map(drop)
    })
    .await?;
    let card = w
        .discord
        .message(board.id)
        .map(|m| m.embeds[0].clone())
        .unwrap_or_default();
    ensure!(
        card["footer"] == board.embeds[0]["footer"],
        "an edit keeps the mark: {card}"
    );
    ensure!(
        w.discord.scheduled_events().len() == 1,
        "one event: {:#?}",
        w.discord.scheduled_events()
    );

    // It makes room when all is over.
    let summary = w.on_discord("what you told us").await?;
    ensure!(summary.content.contains("fine"), "{}", summary.content);
    wait::until("the board is pinned no more", PATIENCE, async || {
        w.discord.message(board.id).filter(|m| !m.pinned)
    })
    .await?;
    wait::until("nor in the room", PATIENCE, async || {
        pinned(&w).await.ok().filter(|p| !p.contains(&on_matrix))
    })
    .await?;
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );

    // The review of it, as a page and for a script.
    w.herald.sigterm();
    ensure!(w.herald.wait(PATIENCE).await? == 0, "it stops when told");
    let page = w.dir.path().join("review.html");
    let said = |args: &[&str]| crate::process::cli::herald(w.dir.path(), args);
    let made = said(&["report", "v2", "--html", &page.to_string_lossy()]);
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let review: Value = serde_json::from_slice(&said(&["report", "v2", "--json"]).stdout)?;
    ensure!(review.to_string().contains("1000002"), "{review:#}");
    if let Some(views) = crate::stories::pages::look(&page, "review")? {
        views.iter().try_for_each(crate::stories::pages::is_good)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_around_a_post_holds_up_none_and_is_done_once() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let news = published(&w)?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    // Pins, the calendar and handing on fail at first: cut after they were done, refused, and told to wait.
    let cut = |method: &str, path: String| OneShot::new(method, &path, Fault::DropAfter);
    let guild = w.discord.guild_id();
    let script = [
        cut("POST", format!("/guilds/{guild}/scheduled-events")),
        OneShot::new(
            "POST",
            &format!("/channels/{news}/messages/"),
            Fault::Limit {
                retry_after: 8.0,
                shared: false,
            },
        ),
    ];
    w.discord.set_faults(Faults {
        script: script.into(),
        ..Faults::default()
    });
    w.start().await?;
    w.on_discord("where it stands").await?;
    w.on_discord("is coming").await?;
    event_when(&w, "an event", |_| true).await?;
    wait::until("both posts are handed on", PATIENCE, async || {
        let posts: Vec<_> = w
            .discord
            .messages(news)
            .into_iter()
            .filter(|m| m.kind == 0)
            .collect();
        (posts.len() == 2 && posts.iter().all(|m| m.crossposted)).then_some(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    ensure!(
        w.discord.scheduled_events().len() == 1,
        "made once: {:#?}",
        w.discord.scheduled_events()
    );

    // What the bot may not do is said with what to allow, holds nothing up, and is done once it may.
    let all = permission::INVITED;
    w.discord
        .set_permissions(all & !permission::CREATE_EVENTS & !permission::MANAGE_EVENTS);
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 600)),
    )?;
    w.on_discord("has a new time").await?;
    w.herald
        .wait_for_output("allow the bot's role: Create Events", PATIENCE)
        .await?;
    w.discord.set_permissions(all);

    // Called off: the event with it.
    let file = format!(
        "{}cancelled: a fault was found\n",
        crate::stories::story::upgrade(later(opens, 600))
    );
    w.write("upgrades/v2.yaml", &file)?;
    w.on_discord("cancelled").await?;
    event_when(&w, "the event is called off", |e| e["status"] == 4).await?;
    let status = crate::process::cli::herald(w.dir.path(), &["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure!(status.contains("(v2): cancelled"), "{status}");
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

/// A message in a channel or a thread, waited for.
async fn said(w: &World, place: u64, words: &str) -> Result<crate::doubles::discord::Message> {
    let find = async || {
        w.discord
            .messages(place)
            .into_iter()
            .find(|m| m.content.contains(words))
    };
    wait::until(words, PATIENCE, find)
        .await
        .map_err(|e| e.context(format!("{:#?}", w.discord.messages(place))))
}

/// An upgrade that is told in a forum: which, and when its window opens.
fn in_forum(w: &World) -> Result<(u64, jiff::Timestamp)> {
    let forum = w.discord.add_channel("upgrades-forum", ChannelKind::Forum);
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write(
        "herald.yaml",
        &deployment.replacen(&format!("\"{}\"", w.channel), &format!("\"{forum}\""), 1),
    )?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    Ok((forum, opens))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_forum_an_upgrade_has_one_topic_which_holds_all_that_is_said_of_it() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let (forum, opens) = in_forum(&w)?;
    // The answer to the opening of the topic is lost: the topic is found again.
    w.discord.add_fault(OneShot::new(
        "POST",
        &format!("/channels/{forum}/threads"),
        Fault::DropAfter,
    ));
    w.start().await?;
    let topics = async || Some(w.discord.threads(forum)).filter(|t| !t.is_empty());
    let (topic, title) = wait::until("a topic", PATIENCE, topics).await?.remove(0);
    ensure!(title == "Devnet runtime 2", "{title}");
    ensure!(
        said(&w, topic, "A test of everything").await?.id == topic,
        "the first words are the topic's"
    );
    let board = said(&w, topic, "kept up to date").await?;
    wait::until("the board is pinned", PATIENCE, async || {
        w.discord.message(board.id).filter(|m| m.pinned)
    })
    .await?;

    // A command in the topic is one in the forum; and over a restart it is the same topic, archived meanwhile.
    let carol = w.discord.add_person("carol");
    let answer = w
        .discord
        .slash(carol, topic, "upgrade", "status")
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    ensure!(
        answer.content.contains("Devnet runtime 2"),
        "{}",
        answer.content
    );
    w.herald.sigterm();
    ensure!(w.herald.wait(PATIENCE).await? == 0, "it stops when told");
    w.discord.archive(topic, true, false).await;
    w.start().await?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 1_800)),
    )?;
    said(&w, topic, "has a new time").await?;
    ensure!(
        w.discord.threads(forum).len() == 1,
        "one topic: {:?}",
        w.discord.threads(forum)
    );

    // What is answered to the question, and not what was said before, is feedback.
    w.discord.say(topic, carol, "When does it begin?").await;
    w.chain.authorize(&blob("mini-1000002")).await?;
    w.chain.apply(&blob("mini-1000002")).await?;
    let asked = said(&w, topic, "tell us here what you see").await?;
    w.discord
        .say(topic, carol, "Our indexer lags behind.")
        .await;
    ensure!(asked.channel_id == topic, "asked in the topic");
    let summary = said(&w, topic, "what you told us").await?;
    ensure!(
        summary.content.contains("Replies: **1**"),
        "{}",
        summary.content
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_is_opened_anew() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (forum, opens) = in_forum(&w)?;
    w.start().await?;
    let said = async |words: &str| {
        let all = || {
            w.discord
                .threads(forum)
                .into_iter()
                .flat_map(|(topic, _)| w.discord.messages(topic))
        };
        wait::until(words, PATIENCE, async || {
            all().find(|m| m.content.contains(words))
        })
        .await
    };
    let old = said("is coming").await?.channel_id;
    w.discord.delete_channel(old).await;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 1_800)),
    )?;
    ensure!(
        said("has a new time").await?.channel_id != old,
        "in a topic of its own"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_and_a_deleted_channel_are_told_and_nothing_is_lost() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let second = w.discord.add_channel("second", ChannelKind::Text);
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    std::fs::write(w.dir.path().join("token"), w.discord.token())?;
    let deployment = deployment.replace("{ env: TEST_DISCORD_TOKEN }", "{ file: token }");
    w.write(
        "herald.yaml",
        &deployment.replacen(
            "channels:\n",
            &format!("channels:\n  second: {{ platform: discord, place: \"{second}\" }}\n"),
            1,
        ),
    )?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    w.on_discord("is coming").await?;
    wait::until("both", PATIENCE, async || {
        w.discord
            .messages(second)
            .into_iter()
            .find(|m| m.content.contains("is coming"))
    })
    .await?;

    // A channel goes: what was to be said there is kept with the reason, and the other channels go on.
    w.discord.delete_channel(second).await;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 600)),
    )?;
    w.on_discord("has a new time").await?;
    w.herald
        .wait_for_output(&format!("channel {second}"), PATIENCE)
        .await?;
    wait::until("the trouble in the status", PATIENCE, async || {
        let status = crate::delivery::encrypted::herald(&w, &["status"])
            .await
            .ok()?;
        let words = String::from_utf8_lossy(&status.stdout).into_owned();
        let told = words.contains("is not there (any more)") && words.contains(&second.to_string());
        told.then_some(())
    })
    .await?;

    // The token is taken back: herald says so, on the chat that is left to it, and Matrix goes on.
    let new = w.discord.revoke_token().await;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 1_200)),
    )?;
    let moved = |e: &Value| {
        e["content"]["body"]
            .as_str()
            .is_some_and(|b| b.contains("has a new time"))
    };
    wait::until("Matrix goes on", PATIENCE, async || {
        let said = w.alice.messages(&w.room).await.ok()?;
        (said.iter().filter(|e| moved(e)).count() >= 2).then_some(())
    })
    .await?;
    w.herald
        .wait_for_output("Discord refuses the bot's token", PATIENCE)
        .await?;

    // With a new one, and without the channel that is gone, it goes on where it stood.
    w.herald.sigterm();
    w.herald.wait(PATIENCE).await?;
    std::fs::write(w.dir.path().join("token"), &new)?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    let without: Vec<&str> = deployment
        .lines()
        .filter(|line| !line.contains(&second.to_string()))
        .collect();
    w.write("herald.yaml", &without.join("\n"))?;
    w.start().await?;
    wait::until("what waited is said", PATIENCE, async || {
        let all = w.discord.messages(w.channel);
        (all.iter()
            .filter(|m| m.content.contains("has a new time"))
            .count()
            == 2)
            .then_some(())
    })
    .await?;
    for token in [new.as_str(), new.trim_end_matches("-anew")] {
        ensure!(!w.herald.stderr().contains(token), "a secret is in no log");
    }
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

/// Notices every few seconds, each with a number of its own.
fn many(count: usize) -> String {
    let notice = |i: usize| {
        format!(
            "  - {{ id: n{i}, phase: scheduling, template: scheduling/countdown, at: -{}s }}\n",
            (count - i) * 2
        )
    };
    format!(
        "zone: UTC\nfeedback: {{ open_for: 1h, reactions: [] }}\nnotices:\n{}",
        (0..count).map(notice).collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_discord_does_nothing_is_lost_and_commands_are_answered_again() -> Result<()> {
    const NOTICES: usize = 24;
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", &many(NOTICES))?;
    w.start().await?;
    // Its first notice is due in 15 s.
    w.plan_v2(i64::try_from(NOTICES)? * 2 + 30).await?;
    let carol = w.discord.add_person("carol");
    let answered = async || {
        // As somebody who tries again until it works.
        wait::until("an answer", PATIENCE, async || {
            w.discord
                .slash(carol, w.channel, "upgrade", "status")
                .await
                .ok()
                .filter(|a| a.content.contains("Devnet runtime 2"))
                .map(drop)
        })
        .await
    };
    answered().await?;
    w.on_discord("Countdown").await?;
    let post = |fault| {
        w.discord.add_fault(OneShot::new(
            "POST",
            &format!("/channels/{}/messages", w.channel),
            fault,
        ))
    };
    let pause = async || tokio::time::sleep(Duration::from_secs(4)).await;

    // The way in: too much for a route, too much at all, out of order, cut before and after, slow.
    for fault in [
        Fault::Limit {
            retry_after: 1.5,
            shared: true,
        },
        Fault::Limit {
            retry_after: 0.7,
            shared: false,
        },
        Fault::Refuse(502),
        Fault::Refuse(503),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Stall(Duration::from_secs(6)),
    ] {
        post(fault);
        pause().await;
    }
    // The gateway: cut, told to come again, sessions that are no more, twice ready.
    w.discord.cut_gateway().await;
    answered().await?;
    w.discord.ask_reconnect().await;
    answered().await?;
    w.discord.invalid_session(true).await;
    answered().await?;
    w.discord.invalid_session(false).await;
    answered().await?;
    w.discord.close_gateway(4000).await;
    answered().await?;
    ensure!(
        w.discord.commands().len() == 1,
        "registered once: {:#?}",
        w.discord.commands()
    );

    // Every notice is there once, in its order.
    let keys = async || {
        let keys = w.keys_on_discord();
        (keys.len() == NOTICES).then_some(keys)
    };
    let keys = wait::until("all notices", PATIENCE, keys).await?;
    let once: std::collections::BTreeSet<&String> = keys.iter().collect();
    ensure!(once.len() == NOTICES, "twice: {keys:?}");
    let said: Vec<u64> = w.discord.messages(w.channel).iter().map(|m| m.id).collect();
    ensure!(said.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );

    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_somebody_deletes_holds_nothing_up() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    let board = w.on_discord("where it stands").await?;
    wait::until("it is pinned", PATIENCE, async || {
        w.discord.message(board.id).filter(|m| m.pinned)
    })
    .await?;
    // The next edit finds no message: the board is made anew and pinned, and what comes after it is posted.
    w.discord.delete_said(board.id).await;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 900)),
    )?;
    w.on_discord("has a new time").await?;
    let anew = wait::until("another board, pinned", PATIENCE, async || {
        let mut all = w.discord.messages(w.channel).into_iter();
        all.find(|m| m.content.contains("where it stands") && m.pinned)
    })
    .await?;
    ensure!(anew.id != board.id, "another message");
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(opens, 1_800)),
    )?;
    wait::until("moved again", PATIENCE, async || {
        let all = w.discord.messages(w.channel);
        (all.iter()
            .filter(|m| m.content.contains("has a new time"))
            .count()
            >= 2)
            .then_some(())
    })
    .await?;
    let edited = |m: &crate::doubles::discord::Message| m.content != anew.content;
    w.discord.message_when(anew.id, edited).await;
    let boards = w.discord.messages(w.channel);
    let boards = boards
        .iter()
        .filter(|m| m.content.contains("where it stands"));
    ensure!(boards.count() == 1, "one board");
    let status = crate::delivery::encrypted::herald(&w, &["status"]).await?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure!(!status.contains("board in discord"), "{status}");
    let warned = w.herald.stderr();
    ensure!(
        !warned.contains("dropped: it would change nothing"),
        "{warned}"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discord_delivers_twice_is_followed_once_over_a_restart_too() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let (operators, _) = w.operators().await?;
    let carol = w.discord.add_person("carol");
    w.write(
        "people.yaml",
        &format!("people:\n  - {{ name: Carol, discord: \"{carol}\", roles: [operator] }}\n"),
    )?;
    w.write("plan.yaml", PLAN)?;
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    // The command is registered though Discord is away at first.
    for _ in 0..2 {
        w.discord
            .add_fault(OneShot::new("POST", "/applications/", Fault::Refuse(503)));
    }
    w.start().await?;
    w.herald
        .wait_for_output(
            "could not be registered on Discord and is tried again",
            PATIENCE,
        )
        .await?;
    w.on_discord("is coming").await?;
    let say = [
        ("channel", Value::from("discord")),
        ("text", Value::from("Something that nobody planned.")),
    ];
    let answer = w
        .discord
        .slash_with(carol, operators, "upgrade", "say", &say)
        .await
        .map_err(|e| anyhow::anyhow!("{e:?}"))?;
    w.on_discord("nobody planned").await?;
    let answers = |w: &World| {
        let asked = w.discord.requests();
        asked
            .iter()
            .filter(|(_, path)| path.starts_with("/interactions/"))
            .count()
    };
    let before = answers(&w);
    w.discord.deliver_again();
    w.herald.sigterm();
    ensure!(w.herald.wait(PATIENCE).await? == 0, "it stops when told");
    w.start().await?;
    w.discord.deliver_again();
    // Commands are heeded in their order, so that this one is answered after those.
    let status = w.discord.slash(carol, operators, "upgrade", "status").await;
    status.map_err(|e| anyhow::anyhow!("{e:?}"))?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = w.discord.messages(w.channel);
    let said = said.iter().filter(|m| m.content.contains("nobody planned"));
    ensure!(said.count() == 1, "said once; the answer was {answer:?}");
    ensure!(
        answers(&w) == before + 1,
        "the second delivery is not answered: {:#?}",
        w.discord.requests()
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_channels_that_are_one_room_by_two_names_are_refused() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    let alias = format!("#{}", w.user_id.trim_start_matches('@'));
    w.alice
        .call(
            reqwest::Method::PUT,
            &["directory", "room", &alias],
            Some(json!({ "room_id": w.room })),
        )
        .await?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    let more = format!(
        "channels:\n  by-alias: {{ platform: matrix, place: \"{alias}\", for: operators }}\n"
    );
    w.write("herald.yaml", &deployment.replacen("channels:\n", &more, 1))?;
    w.write("plan.yaml", PLAN)?;
    w.herald.start()?;
    w.herald
        .wait_for_output(
            "channels by-alias and matrix in herald.yaml are one place on Matrix",
            PATIENCE,
        )
        .await?;
    ensure!(w.herald.wait(PATIENCE).await? != 0, "it does not run");
    let doctor = crate::delivery::encrypted::herald(&w, &["doctor"]).await?;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(doctor.contains("are one place on Matrix"), "{doctor}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_parts_to_the_asker_alone() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 1_000,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", PLAN)?;
    let step = |i: usize| {
        format!(
            "  - {{ item: \"1.{i}\", role: core_developer, text: \"Step {i}: {}\" }}\n",
            "x".repeat(75)
        )
    };
    w.write(
        "checklist.yaml",
        &format!(
            "process:\n{}validators: {{ before: [Update.], after: [Look.] }}\n",
            (1..=24).map(step).collect::<String>()
        ),
    )?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 3_600)),
    )?;
    w.start().await?;
    let carol = w.discord.add_person("carol");
    let answer = w
        .discord
        .slash_with(
            carol,
            w.channel,
            "upgrade",
            "checklist",
            &[("part", "process".into())],
        )
        .await;
    let answer = answer.map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let behind = wait::until("the rest", PATIENCE, async || {
        Some(w.discord.behind(&answer))
            .filter(|all| all.iter().any(|m| m.content.contains("Step 24")))
    })
    .await?;
    let all: Vec<&str> = std::iter::once(answer.content.as_str())
        .chain(behind.iter().map(|m| m.content.as_str()))
        .collect();
    ensure!(
        all.len() > 1 && all.iter().all(|part| part.chars().count() <= 2_000),
        "{} parts",
        all.len()
    );
    for i in 1..=24 {
        ensure!(
            all.iter()
                .filter(|part| part.contains(&format!("Step {i}:")))
                .count()
                == 1,
            "step {i} once, and whole"
        );
    }
    ensure!(
        answer.ephemeral && behind.iter().all(|m| m.flags & 64 != 0),
        "to the asker alone"
    );
    ensure!(
        w.discord.violations().is_empty(),
        "{:#?}",
        w.discord.violations()
    );
    Ok(())
}
