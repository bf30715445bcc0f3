//! Edits, pictures, mentions, answers and votes: the adapters by themselves, against the double of Discord and a real homeserver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upgrade_herald::{
    adapters::{discord, matrix},
    domain::{
        outbox::{Body, CalendarEvent, CalendarEventStage, Picture, PostKey},
        people::{
            command::{Command, Misread, Verb},
            feedback::votes,
        },
    },
    ports::{
        Accepted, Admission, Asker, Chat, ChatError, CommandHandler, Handling, Outgoing, StoreError,
    },
    words::picture::{BlockTimes, block_times},
};

use crate::{
    doubles::discord::{ChannelKind, Double, Fault, Faults, Limits, OneShot, Options, permission},
    harness::world::{PASSWORD, PATIENCE, later, now},
    support::{Person, Synapse, wait},
};

const TIMEOUT: Duration = Duration::from_secs(10);

fn key(digit: u8) -> PostKey {
    PostKey(format!("{digit:024}"))
}

fn body(text: &str) -> Body {
    Body {
        text: text.into(),
        html: Some(format!("<b>{text}</b>")),
        ..Body::default()
    }
}

fn picture() -> Picture {
    let data = BlockTimes {
        chain: "paseo".into(),
        version_before: 1,
        version_after: 2,
        before: vec![6.0; 60],
        after: vec![6.0, 18.0, 62.0, 6.0],
    };
    block_times(&data)
}

fn pictured(text: &str) -> Body {
    Body {
        picture: Some(picture()),
        ..body(text)
    }
}

async fn send(chat: &dyn Chat, place: &str, digit: u8, body: &Body) -> Result<Accepted, ChatError> {
    chat.send(
        place,
        Outgoing {
            key: &key(digit),
            body,
            answers: None,
            of: None,
        },
    )
    .await
}

async fn edit(
    chat: &dyn Chat,
    place: &str,
    id: &str,
    digit: u8,
    text: &str,
) -> Result<Accepted, ChatError> {
    chat.edit(
        place,
        id,
        Outgoing {
            key: &key(digit),
            body: &body(text),
            answers: None,
            of: None,
        },
    )
    .await
}

/// As before a second try: within the minutes before now.
async fn find(chat: &dyn Chat, place: &str, digit: u8) -> Result<Option<Accepted>, ChatError> {
    chat.find(place, &key(digit), later(now(), -300)).await
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ChatError>) -> String {
    match result {
        Err(error @ (ChatError::Refused { .. } | ChatError::Gone { .. })) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

// --- Discord --------------------------------------------------------------------------------------

struct OnDiscord {
    double: Double,
    channel: u64,
    place: String,
    chat: Arc<discord::Discord>,
}

async fn on_discord() -> Result<OnDiscord> {
    let double = Double::start(Options::default()).await;
    let channel = double.add_channel("upgrades", ChannelKind::Text);
    let settings = discord::DiscordSettings {
        token: double.token().into(),
        guild: double.guild_id(),
        route: Some(discord::Route {
            address: double.https_addr(),
            ca_pem: double.ca_pem().into(),
        }),
        timeout: TIMEOUT,
    };
    Ok(OnDiscord {
        chat: discord::Discord::connect(settings).await?,
        place: channel.to_string(),
        channel,
        double,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_on_discord_is_edited_twice_and_stays_the_same_post() -> Result<()> {
    let d = on_discord().await?;
    let carol = d.double.add_person("carol");
    let posted = send(&*d.chat, &d.place, 1, &pictured("one")).await?;
    let id: u64 = posted.id.parse()?;
    let before = d.double.message(id).context("the post")?;
    let thread = d
        .chat
        .open_thread(
            &d.place,
            &posted.id,
            "Feedback",
            Outgoing {
                key: &key(9),
                body: &body("say"),
                answers: None,
                of: None,
            },
        )
        .await?;
    d.double.react(d.channel, id, carol, "👍").await;
    d.double.say(thread.id.parse()?, carol, "fine").await;
    let tally = d.chat.heard(&d.place, &posted.id, Some(&thread.id)).await?;

    let loud = format!("two, @everyone and <@{carol}>");
    assert_eq!(
        edit(&*d.chat, &d.place, &posted.id, 2, &loud).await?,
        posted
    );
    assert_eq!(
        edit(&*d.chat, &d.place, &posted.id, 3, "three").await?,
        posted
    );

    let after = d.double.message(id).context("the post")?;
    assert_eq!(
        (after.content.as_str(), after.history),
        ("three", vec!["one".to_owned(), loud])
    );
    assert!(after.edited_ms.is_some());
    assert_eq!(
        (&after.embeds, &after.attachments),
        (&before.embeds, &before.attachments),
        "the mark and the picture stay"
    );
    assert!(
        after.mentions.is_empty() && !after.mention_everyone,
        "nobody is called"
    );
    // The post is found by its own key, and feedback is what it was.
    assert_eq!(find(&*d.chat, &d.place, 1).await?, Some(posted.clone()));
    assert_eq!(find(&*d.chat, &d.place, 3).await?, None);
    assert_eq!(
        d.chat.heard(&d.place, &posted.id, Some(&thread.id)).await?,
        tally
    );
    let counted = tally.tally();
    assert_eq!(
        (
            counted.replies,
            counted.reactions["👍"],
            d.double.messages(d.channel).len()
        ),
        (1, 1, 1)
    );
    assert_eq!(tally.reactions[0].by, carol.to_string());
    assert_eq!(d.double.violations(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_discord_calls_nobody() -> Result<()> {
    let d = on_discord().await?;
    let carol = d.double.add_person("carol");
    let posted = send(&*d.chat, &d.place, 1, &body("one")).await?;
    edit(
        &*d.chat,
        &d.place,
        &posted.id,
        2,
        &format!("@here <@{carol}>"),
    )
    .await?;
    let message = d.double.message(posted.id.parse()?).context("the post")?;
    assert!(message.mentions.is_empty() && !message.mention_everyone);
    assert_eq!(message.allowed_mentions["parse"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_discord_fails_as_a_post_does() -> Result<()> {
    let d = on_discord().await?;
    let carol = d.double.add_person("carol");
    let posted = send(&*d.chat, &d.place, 1, &body("one")).await?;
    // The answer is lost: it may have been done, and is done again.
    let path = format!("/channels/{}/messages/", d.channel);
    d.double.set_faults(Faults {
        script: [OneShot::new("PATCH", &path, Fault::DropAfter)].into(),
        ..Faults::default()
    });
    let lost = edit(&*d.chat, &d.place, &posted.id, 2, "two").await;
    assert!(matches!(lost, Err(ChatError::Retry { .. })), "{lost:?}");
    assert_eq!(
        edit(&*d.chat, &d.place, &posted.id, 2, "two").await?,
        posted
    );
    assert_eq!(
        d.double
            .messages(d.channel)
            .last()
            .map(|m| m.content.as_str()),
        Some("two")
    );

    let long = "é".repeat(2_001);
    assert!(
        refusal(edit(&*d.chat, &d.place, &posted.id, 3, &long).await).contains("2001 characters")
    );
    assert!(
        refusal(edit(&*d.chat, &d.place, "$event", 3, "x").await).contains("no Discord message id")
    );
    let hers = d.double.say(d.channel, carol, "hello").await;
    assert!(
        refusal(edit(&*d.chat, &d.place, &hers.to_string(), 3, "x").await)
            .contains("another account's")
    );
    d.double.delete_said(posted.id.parse()?).await;
    assert!(
        refusal(edit(&*d.chat, &d.place, &posted.id, 3, "three").await)
            .contains("the message was deleted")
    );
    d.double.delete_channel(d.channel).await;
    let gone = edit(&*d.chat, &d.place, &posted.id, 3, "three").await;
    assert!(
        matches!(
            &gone,
            Err(ChatError::Retry {
                after_ms: Some(60_000),
                ..
            })
        ),
        "{gone:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_with_its_post_on_discord() -> Result<()> {
    let d = on_discord().await?;
    let posted = send(&*d.chat, &d.place, 1, &pictured("applied")).await?;
    assert_eq!(
        send(&*d.chat, &d.place, 1, &pictured("applied")).await?,
        posted,
        "the same key is the same message"
    );
    let all = d.double.messages(d.channel);
    let [message] = all.as_slice() else {
        panic!("{all:?}")
    };
    let [file] = message.attachments.as_slice() else {
        panic!("{message:?}")
    };
    let wanted = picture();
    assert_eq!(
        (&file.name, file.description.as_ref(), &file.bytes),
        (&wanted.name, Some(&wanted.alt), &wanted.png)
    );
    assert_eq!(file.content_type.as_deref(), Some("image/png"));
    assert_eq!(message.content, "applied");
    assert_eq!(find(&*d.chat, &d.place, 1).await?, Some(posted));

    // More words than Discord takes are cut, and the picture still comes.
    let mut long = pictured("long");
    long.picture = Some(Picture {
        alt: "é".repeat(1_100),
        ..picture()
    });
    send(&*d.chat, &d.place, 2, &long).await?;
    let last = d.double.messages(d.channel).pop().context("a message")?;
    assert_eq!(
        last.attachments[0]
            .description
            .as_ref()
            .map(|words| words.chars().count()),
        Some(1_024)
    );
    assert_eq!(d.double.violations(), Vec::<String>::new());

    // What a picture needs is asked for at the start, and named when it is taken away later.
    d.chat
        .check_place(&d.place, &d.chat.surroundings().await?)
        .await?;
    d.double.deny(d.channel, permission::ATTACH_FILES);
    let missing = refusal(
        d.chat
            .check_place(&d.place, &d.chat.surroundings().await?)
            .await,
    );
    assert!(
        missing.ends_with("allow its role there: Attach Files"),
        "{missing}"
    );
    // The words may go out without it: it is refused, and not waited for.
    let refused = refusal(send(&*d.chat, &d.place, 3, &pictured("x")).await);
    assert!(refused.contains("Attach Files"), "{refused}");
    send(&*d.chat, &d.place, 3, &body("x")).await?;
    d.double.deny(d.channel, 0);

    // Too large for Discord, and for whatever stands before it.
    let post = format!("/channels/{}/messages", d.channel);
    for fault in [
        Fault::RefuseFor(413, 40_005),
        Fault::Refuse(413),
        Fault::RefuseFor(400, 50_046),
    ] {
        d.double.add_fault(OneShot::new("POST", &post, fault));
        refusal(send(&*d.chat, &d.place, 4, &pictured("y")).await);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_is_passed_over_and_the_field_is_named() -> Result<()> {
    let d = on_discord().await?;
    let first = send(&*d.chat, &d.place, 1, &body("one")).await?;
    let second = send(&*d.chat, &d.place, 2, &body("two")).await?;
    d.double.spoil(second.id.parse()?);
    assert_eq!(find(&*d.chat, &d.place, 1).await?, Some(first.clone()));
    let carol = d.double.add_person("carol");
    d.double
        .react(d.channel, first.id.parse()?, carol, "👍")
        .await;
    let heard = d.chat.heard(&d.place, &first.id, None).await?;
    assert_eq!(heard.reactions.len(), 1);
    let deleted = d
        .chat
        .heard(&d.place, &first.id, Some("1300000000000000001"));
    let deleted = deleted.await?;
    assert_eq!(deleted.reactions.len(), 1);
    assert!(
        deleted
            .unread
            .is_some_and(|why| why.contains("was deleted"))
    );
    match d.chat.heard(&d.place, &second.id, None).await {
        Err(ChatError::Retry { reason, .. }) => assert!(
            reason.contains("reading reactions") && reason.contains("`author.id`"),
            "{reason}"
        ),
        other => panic!("{other:?}"),
    }

    // What was done is done, whatever the answer is.
    let path = format!("/channels/{}/messages/", d.channel);
    d.double
        .add_fault(OneShot::new("PATCH", &path, Fault::Garble));
    edit(&*d.chat, &d.place, &first.id, 3, "more").await?;

    // Nobody is sent to look after the network or Discord's own state for it.
    d.double
        .add_fault(OneShot::new("GET", "/users/@me", Fault::Garble));
    let settings = discord::DiscordSettings {
        token: d.double.token().into(),
        guild: d.double.guild_id(),
        route: Some(discord::Route {
            address: d.double.https_addr(),
            ca_pem: d.double.ca_pem().into(),
        }),
        timeout: TIMEOUT,
    };
    let error = match discord::Discord::connect(settings).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it connected"),
    };
    assert!(
        error.contains("asking for the bot's account") && !error.contains("discordstatus"),
        "{error}"
    );
    Ok(())
}

fn event(opens: i64, stage: CalendarEventStage) -> CalendarEvent {
    CalendarEvent {
        name: "Paseo runtime 2".into(),
        about: "The window.".into(),
        place: "Paseo".into(),
        opens: later(now(), opens),
        closes: later(now(), opens + 3_600),
        stage,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calendar_takes_a_window_wherever_it_is_moved() -> Result<()> {
    use CalendarEventStage::{Active, Completed, Scheduled};
    let d = on_discord().await?;
    d.double.set_limits(Limits::none());
    let write = async |opens: i64, stage| d.chat.calendar(&key(1), &event(opens, stage)).await;
    let statuses = || {
        let all = d.double.scheduled_events();
        let mut all: Vec<u64> = all.iter().filter_map(|e| e["status"].as_u64()).collect();
        all.sort_unstable();
        all
    };
    // Moved, and begun by itself while the window is open: the start is left out.
    write(7_200, Scheduled).await?;
    write(3_600, Scheduled).await?;
    d.double.begin_events();
    write(-60, Scheduled).await?;
    assert_eq!(statuses(), [2]);
    // Moved after that: the event is over, and there is another.
    write(86_400, Scheduled).await?;
    assert_eq!(statuses(), [1, 3]);
    // Moved to where its start has passed: from now on.
    write(-600, Scheduled).await?;
    assert_eq!(statuses(), [1, 3]);
    // It takes longer than its window, and ends.
    write(-7_200, Active).await?;
    assert_eq!(statuses(), [2, 3]);
    write(-7_200, Completed).await?;
    assert_eq!(statuses(), [3, 3]);
    // A window that is over makes no event, and one that was moved there leaves none.
    d.chat.calendar(&key(2), &event(-7_200, Scheduled)).await?;
    d.chat.calendar(&key(3), &event(7_200, Scheduled)).await?;
    d.chat.calendar(&key(3), &event(-7_200, Scheduled)).await?;
    assert_eq!(statuses(), [3, 3, 4]);
    assert_eq!(d.double.violations(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discord_has_turned_off_for_a_while_is_tried_again() -> Result<()> {
    let d = on_discord().await?;
    let posted = send(&*d.chat, &d.place, 1, &body("one")).await?;
    let post = format!("/channels/{}/messages", d.channel);
    let refuse = |method: &str, path: &str, status, code| {
        let fault = Fault::RefuseFor(status, code);
        d.double.add_fault(OneShot::new(method, path, fault));
    };
    for code in [40_006, 40_004, 20_028] {
        refuse("POST", &post, 403, code);
        let answer = send(&*d.chat, &d.place, 2, &body("two")).await;
        assert!(matches!(answer, Err(ChatError::Retry { .. })), "{answer:?}");
    }
    for code in [30_046, 20_022] {
        refuse("PATCH", &post, 400, code);
        let answer = edit(&*d.chat, &d.place, &posted.id, 3, "more").await;
        assert!(matches!(answer, Err(ChatError::Retry { .. })), "{answer:?}");
    }
    refuse(
        "POST",
        &format!("{post}/{}/threads", posted.id),
        400,
        160_007,
    );
    let (key, body) = (key(4), body("a thread"));
    let out = Outgoing {
        key: &key,
        body: &body,
        answers: None,
        of: None,
    };
    let opened = d.chat.open_thread(&d.place, &posted.id, "Feedback", out);
    match opened.await {
        Err(ChatError::Retry { reason, .. }) => {
            assert!(reason.contains("archive some"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// Words that name everybody and some, of whom the post calls these.
fn calling(text: &str, whom: &[&str]) -> Body {
    Body {
        mentions: whom.iter().map(|id| (*id).to_owned()).collect(),
        ..body(text)
    }
}

async fn answer(chat: &dyn Chat, place: &str, digit: u8, to: &str) -> Result<Accepted, ChatError> {
    chat.send(
        place,
        Outgoing {
            key: &key(digit),
            body: &body("an answer"),
            answers: Some(to),
            of: None,
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_on_discord_calls_its_roles_and_nobody_else() -> Result<()> {
    let d = on_discord().await?;
    let (carol, validators, others) = (
        d.double.add_person("carol"),
        d.double.add_role("validators", true),
        d.double.add_role("others", true),
    );
    let text = format!("@everyone @here <@{carol}> <@&{others}> <@&{validators}>");
    let posted = send(
        &*d.chat,
        &d.place,
        1,
        &calling(&text, &[&validators.to_string()]),
    )
    .await?;
    let id = posted.id.parse()?;
    let called = || {
        d.double
            .message(id)
            .map(|m| (m.mention_roles, m.mentions, m.mention_everyone))
    };
    assert_eq!(called(), Some((vec![validators], vec![], false)));

    // A mark above the same words calls nobody again.
    let marked = calling(
        &format!("> no longer so\n\n{text}"),
        &[&validators.to_string()],
    );
    let out = Outgoing {
        key: &key(2),
        body: &marked,
        answers: None,
        of: None,
    };
    assert_eq!(d.chat.edit(&d.place, &posted.id, out).await?, posted);
    assert_eq!(
        d.chat.edit(&d.place, &posted.id, out).await?,
        posted,
        "a lost answer is asked for again"
    );
    assert_eq!(called(), Some((vec![], vec![], false)));
    assert_eq!(d.double.message(id).map(|m| m.content), Some(marked.text));
    assert_eq!(d.double.violations(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_on_discord_that_would_hear_nothing_is_told_with_a_remedy() -> Result<()> {
    let d = on_discord().await?;
    let (open, closed) = (
        d.double.add_role("validators", true),
        d.double.add_role("developers", false),
    );
    let ids = [open.to_string(), closed.to_string(), "7".to_owned()];
    let lines = d
        .chat
        .unheard(&d.place, &ids, &d.chat.surroundings().await?)
        .await?;
    let [gone] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(
        gone.contains("no role 7") && gone.contains("Copy Role ID"),
        "{gone}"
    );

    d.double.deny(d.channel, permission::MENTION_EVERYONE);
    let lines = d
        .chat
        .unheard(&d.place, &ids, &d.chat.surroundings().await?)
        .await?;
    let [shut, _] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(
        shut.contains(&format!("may not mention the role {closed} (@developers)"))
            && shut.contains("let anyone mention it"),
        "{shut}"
    );
    // It is as it was told.
    let text = format!("<@&{open}> <@&{closed}>");
    let posted = send(&*d.chat, &d.place, 1, &calling(&text, &[&ids[0], &ids[1]])).await?;
    assert_eq!(
        d.double
            .message(posted.id.parse()?)
            .map(|m| m.mention_roles),
        Some(vec![open])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_discord_points_to_its_message_and_calls_nobody() -> Result<()> {
    let d = on_discord().await?;
    let posted = send(&*d.chat, &d.place, 1, &body("one")).await?;
    let answered = answer(&*d.chat, &d.place, 2, &posted.id).await?;
    let message = d
        .double
        .message(answered.id.parse()?)
        .context("the answer")?;
    assert_eq!(
        (message.kind, message.reply_to.map(|id| id.to_string())),
        (19, Some(posted.id.clone()))
    );
    assert!(
        message.mentions.is_empty(),
        "herald itself isn't called either"
    );
    assert_eq!(
        answer(&*d.chat, &d.place, 2, &posted.id).await?,
        answered,
        "the same key is the same message"
    );

    // What it answers may be deleted by then, or was said on another platform before the channel moved here.
    d.double.delete_said(posted.id.parse()?).await;
    for (digit, to) in [(3, posted.id.as_str()), (4, "$event:example.org")] {
        let alone = answer(&*d.chat, &d.place, digit, to).await?;
        assert_eq!(
            d.double
                .message(alone.id.parse()?)
                .map(|m| (m.kind, m.content)),
            Some((0, "an answer".to_owned()))
        );
    }
    assert_eq!(d.double.violations(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_on_discord_are_counted_without_a_thread() -> Result<()> {
    let d = on_discord().await?;
    let (carol, dave) = (d.double.add_person("carol"), d.double.add_person("dave"));
    let posted = send(&*d.chat, &d.place, 1, &body("when?")).await?;
    let id = posted.id.parse()?;
    for (person, emoji) in [(carol, "1️⃣"), (dave, "1️⃣"), (dave, "2️⃣")] {
        d.double.react(d.channel, id, person, emoji).await;
    }
    let tally = d.chat.heard(&d.place, &posted.id, None).await?;
    assert_eq!(
        (
            votes(std::slice::from_ref(&tally), &["1️⃣", "2️⃣", "3️⃣"]),
            tally.replies.len()
        ),
        (vec![2, 1, 0], 0)
    );
    d.double.delete_said(id).await;
    assert!(refusal(d.chat.heard(&d.place, &posted.id, None).await).contains("deleted"));
    Ok(())
}

// --- Matrix ---------------------------------------------------------------------------------------

struct OnMatrix {
    alice: Person,
    bob: Person,
    room: String,
    chat: Arc<matrix::Matrix>,
    handler: Arc<CountingHandler>,
    following: JoinHandle<Result<(), matrix::SessionEnded>>,
    _dir: TempDir,
}

impl Drop for OnMatrix {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[derive(Default)]
struct CountingHandler(AtomicU64);

#[async_trait]
impl CommandHandler for CountingHandler {
    fn admit(&self, _: &Asker<'_>) -> Admission {
        Admission::Open
    }
    async fn answer(&self, _: &Asker<'_>, _: &Result<Command, Misread>) -> Body {
        self.0.fetch_add(1, Ordering::Relaxed);
        body("an answer")
    }
    async fn choices(&self, _: &Asker<'_>, _: Verb, _: &str, _: &str) -> Vec<String> {
        Vec::new()
    }
    async fn first_time(&self, _: &str) -> Result<bool, StoreError> {
        Ok(true)
    }
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A room of alice's with bob and herald in it; herald follows it.
async fn on_matrix(is_encrypted: bool) -> Result<OnMatrix> {
    let synapse = Synapse::shared().await?;
    let dir = TempDir::new()?;
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
    let mut state = Vec::new();
    if is_encrypted {
        state.push(json!({ "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } }));
    }
    let room = alice
        .create_room_with(
            json!({ "name": "Upgrades", "preset": "private_chat", "initial_state": state }),
        )
        .await?;
    alice.invite(&room, &bob.user_id).await?;
    bob.join(&room).await?;
    let settings = matrix::MatrixSettings {
        homeserver: synapse.url().into(),
        user,
        password: Some(PASSWORD.into()),
        device: "HERALD".into(),
        store: dir.path().join("matrix"),
        passphrase: None,
        token: None,
        recovery: None,
        timeout: TIMEOUT,
    };
    let chat = matrix::Matrix::connect(settings).await?;
    alice.invite(&room, chat.user()).await?;
    chat.room(&room).await?;
    let handler = Arc::new(CountingHandler::default());
    let following = tokio::spawn(chat.clone().run(handler.clone(), CancellationToken::new()));
    Ok(OnMatrix {
        alice,
        bob,
        room,
        chat,
        handler,
        following,
        _dir: dir,
    })
}

impl OnMatrix {
    /// Herald's own events of a type.
    async fn said(&self, kind: &str) -> Result<Vec<Value>> {
        let all = self.alice.messages(&self.room).await?;
        Ok(all
            .into_iter()
            .filter(|e| e["sender"] == self.chat.user() && e["type"] == kind)
            .collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_on_matrix_is_edited_twice_and_stays_the_same_post() -> Result<()> {
    let m = on_matrix(false).await?;
    let posted = send(&*m.chat, &m.room, 1, &body("one")).await?;
    assert_eq!(edit(&*m.chat, &m.room, &posted.id, 2, "two").await?, posted);
    assert_eq!(
        edit(&*m.chat, &m.room, &posted.id, 3, "three").await?,
        posted
    );
    assert_eq!(
        edit(&*m.chat, &m.room, &posted.id, 3, "three").await?,
        posted,
        "done twice it is done once"
    );

    let said = m.said("m.room.message").await?;
    let [one, two, three] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(one["content"]["body"], "one");
    assert_eq!(
        (&two["content"]["body"], &two["content"]["formatted_body"]),
        (&json!("* two"), &json!("* <b>two</b>"))
    );
    assert_eq!(
        (
            &two["content"]["m.mentions"],
            &two["content"]["m.new_content"]["m.mentions"]
        ),
        (&json!({}), &json!({}))
    );
    assert_eq!(two["content"]["org.upgrade-herald.key"], key(2).0);
    assert_eq!(
        two["content"]["m.new_content"]["org.upgrade-herald.key"],
        key(1).0
    );

    // The homeserver itself tells what the message says now.
    let latest = wait::until("the server to tell of the edit", PATIENCE, async || {
        let event = m.alice.event(&m.room, &posted.id).await.ok()?;
        let latest = event["unsigned"]["m.relations"]["m.replace"].clone();
        (latest["event_id"] == three["event_id"]).then_some(latest)
    })
    .await?;
    assert_eq!(latest["content"]["m.new_content"]["body"], "three");
    assert_eq!(
        latest["content"]["m.new_content"]["formatted_body"],
        "<b>three</b>"
    );

    // An edit in doubt is found by its own key and stands for its message.
    for digit in [1, 2, 3] {
        assert_eq!(
            find(&*m.chat, &m.room, digit).await?,
            Some(posted.clone()),
            "key {digit}"
        );
    }
    assert_eq!(find(&*m.chat, &m.room, 4).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_on_matrix_are_neither_replies_nor_commands() -> Result<()> {
    let m = on_matrix(false).await?;
    let posted = send(&*m.chat, &m.room, 1, &body("one")).await?;
    let thread = m
        .chat
        .open_thread(
            &m.room,
            &posted.id,
            "Feedback",
            Outgoing {
                key: &key(2),
                body: &body("say"),
                answers: None,
                of: None,
            },
        )
        .await?;
    let opening = m.said("m.room.message").await?[1]["event_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let reply = m.bob.reply_in_thread(&m.room, &posted.id, "fine").await?;
    let hello = m.bob.say(&m.room, "hello").await?;
    m.bob.react(&m.room, &posted.id, "👍").await?;

    // Everybody edits, and bob's edits look like commands.
    edit(&*m.chat, &m.room, &posted.id, 3, "two").await?;
    edit(&*m.chat, &m.room, &opening, 4, "say more").await?;
    for (event, within) in [(&reply, true), (&hello, false)] {
        let mut new = json!({ "msgtype": "m.text", "body": "!upgrade status" });
        if within {
            new["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": posted.id });
        }
        let relation = json!({ "rel_type": "m.replace", "event_id": event });
        let content = json!({ "msgtype": "m.text", "body": "!upgrade status", "m.new_content": new, "m.relates_to": relation });
        m.bob.send(&m.room, "m.room.message", content).await?;
    }

    let tally = m.chat.heard(&m.room, &posted.id, Some(&thread.id)).await?;
    let counted = tally.tally();
    assert_eq!(
        (counted.replies, counted.reactions),
        (1, [("👍".to_owned(), 1)].into())
    );
    assert_eq!(
        find(&*m.chat, &m.room, 2).await?,
        Some(thread),
        "the opening is found as the thread it was sent to"
    );
    // A real command comes after them and is answered; they are not.
    m.bob.say(&m.room, "!upgrade status").await?;
    m.alice
        .wait_for(&m.room, |e| e["content"]["msgtype"] == "m.notice", PATIENCE)
        .await?;
    assert_eq!(m.handler.0.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_edited_on_matrix_is_refused_and_nothing_is_sent() -> Result<()> {
    let m = on_matrix(false).await?;
    let posted = send(&*m.chat, &m.room, 1, &body("one")).await?;
    let hers = m.alice.say(&m.room, "hello").await?;
    m.alice.redact(&m.room, &posted.id).await?;
    let deleted = refusal(edit(&*m.chat, &m.room, &posted.id, 2, "two").await);
    assert!(
        deleted.contains("the message was deleted") && deleted.contains("post the notice anew"),
        "{deleted}"
    );
    assert!(refusal(edit(&*m.chat, &m.room, &hers, 2, "two").await).contains("another account's"));
    assert!(
        refusal(
            edit(
                &*m.chat,
                &m.room,
                "$nothing-that-is-there-AAAAAAAAAAAAAAAAAAAAAA",
                2,
                "two"
            )
            .await
        )
        .contains("no such message")
    );
    assert!(refusal(edit(&*m.chat, &m.room, "123", 2, "two").await).contains("not a message's id"));
    assert_eq!(m.said("m.room.message").await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_a_message_of_its_own_on_matrix() -> Result<()> {
    let m = on_matrix(false).await?;
    let posted = send(&*m.chat, &m.room, 1, &pictured("applied")).await?;
    assert_eq!(
        send(&*m.chat, &m.room, 1, &pictured("applied")).await?,
        posted,
        "uploaded again, sent once"
    );
    let said = m.said("m.room.message").await?;
    let [event] = said.as_slice() else {
        panic!("{said:?}")
    };
    let (content, wanted) = (&event["content"], picture());
    assert_eq!(
        (&content["msgtype"], &content["body"], &content["filename"]),
        (&json!("m.image"), &json!(wanted.alt), &json!(wanted.name))
    );
    let info = json!({ "mimetype": "image/png", "w": wanted.width, "h": wanted.height, "size": wanted.png.len() });
    assert_eq!(
        (&content["info"], &content["m.mentions"]),
        (&info, &json!({}))
    );
    let file = m
        .bob
        .download(content["url"].as_str().context("an address")?)
        .await?;
    assert_eq!(file, ("image/png".to_owned(), wanted.png));
    assert_eq!(find(&*m.chat, &m.room, 1).await?, Some(posted));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_encrypted_room_edits_and_pictures_are_encrypted_too() -> Result<()> {
    let m = on_matrix(true).await?;
    let posted = send(&*m.chat, &m.room, 1, &body("one")).await?;
    assert_eq!(edit(&*m.chat, &m.room, &posted.id, 2, "two").await?, posted);
    let shown = send(&*m.chat, &m.room, 3, &pictured("applied")).await?;
    assert_eq!(
        send(&*m.chat, &m.room, 3, &pictured("applied")).await?,
        shown
    );

    assert_eq!(
        m.said("m.room.message").await?,
        Vec::<Value>::new(),
        "nothing lies open"
    );
    let sealed = m.said("m.room.encrypted").await?;
    let [_, edit, image] = sealed.as_slice() else {
        panic!("{sealed:?}")
    };
    assert_eq!(
        edit["content"]["m.relates_to"],
        json!({ "rel_type": "m.replace", "event_id": posted.id }),
        "the server must know"
    );
    assert_eq!(image["event_id"], shown.id);
    for (digit, wanted) in [(1, &posted), (2, &posted), (3, &shown)] {
        assert_eq!(
            find(&*m.chat, &m.room, digit).await?.as_ref(),
            Some(wanted),
            "key {digit}"
        );
    }
    wait::until("the server to tell of the edit", PATIENCE, async || {
        let event = m.alice.event(&m.room, &posted.id).await.ok()?;
        (event["unsigned"]["m.relations"]["m.replace"]["event_id"] == edit["event_id"])
            .then_some(())
    })
    .await?;
    Ok(())
}

/// How often somebody's client would make itself heard for this room.
async fn heard(person: &Person, room: &str) -> Result<i64> {
    let sync = person.call(Method::GET, &["sync"], None).await?;
    sync["rooms"]["join"][room]["unread_notifications"]["highlight_count"]
        .as_i64()
        .context("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_on_matrix_calls_whom_it_says_and_nobody_else() -> Result<()> {
    let m = on_matrix(false).await?;
    let bob = m.bob.user_id.clone();
    let loud = format!("@room {bob} bob");
    // Without the power level @room is only a word, and herald says so at its start.
    let told = m.chat.unheard(&m.room).await?.context("a line")?;
    assert!(
        told.contains("has power level 0 and needs 50")
            && told.contains("raise its power level to 50"),
        "{told}"
    );
    let mut levels = m.alice.state(&m.room, "m.room.power_levels").await?;
    levels["users"][m.chat.user()] = json!(50);
    m.alice
        .set_state(&m.room, "m.room.power_levels", levels)
        .await?;
    assert_eq!(m.chat.unheard(&m.room).await?, None);

    send(&*m.chat, &m.room, 1, &body(&loud)).await?;
    let one = send(&*m.chat, &m.room, 2, &calling(&loud, &[&bob])).await?;
    let all = send(&*m.chat, &m.room, 3, &calling(&loud, &["@room"])).await?;
    let said = m.said("m.room.message").await?;
    let mentions: Vec<&Value> = said.iter().map(|e| &e["content"]["m.mentions"]).collect();
    assert_eq!(
        mentions,
        [
            &json!({}),
            &json!({ "user_ids": [bob] }),
            &json!({ "room": true })
        ]
    );
    wait::until("both calls to be heard", PATIENCE, async || {
        (heard(&m.bob, &m.room).await.ok()? == 2).then_some(())
    })
    .await?;

    // A mark stands above the old words, in both their forms, and calls nobody again.
    for (digit, id, whom) in [(4, &one.id, bob.as_str()), (5, &all.id, "@room")] {
        let marked = calling(&format!("no longer so; {loud}"), &[whom]);
        m.chat
            .edit(
                &m.room,
                id,
                Outgoing {
                    key: &key(digit),
                    body: &marked,
                    answers: None,
                    of: None,
                },
            )
            .await?;
    }
    let said = m.said("m.room.message").await?;
    let marked = &said[4]["content"];
    assert_eq!(
        (
            &marked["m.mentions"],
            &marked["m.new_content"]["m.mentions"]
        ),
        (&json!({}), &json!({ "room": true }))
    );
    assert_eq!(
        marked["m.new_content"]["formatted_body"],
        format!("<b>no longer so; {loud}</b>")
    );
    assert_eq!(
        find(&*m.chat, &m.room, 5).await?.map(|found| found.id),
        Some(all.id),
        "a mark in doubt is found by its own key"
    );
    m.alice
        .say(&m.room, &format!("{bob}, a word to wait for"))
        .await?;
    assert_eq!(heard(&m.bob, &m.room).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_matrix_points_to_its_message_in_encrypted_rooms_too() -> Result<()> {
    for is_encrypted in [false, true] {
        let m = on_matrix(is_encrypted).await?;
        let kind = if is_encrypted {
            "m.room.encrypted"
        } else {
            "m.room.message"
        };
        let posted = send(&*m.chat, &m.room, 1, &calling("one", &["@room"])).await?;
        let answered = answer(&*m.chat, &m.room, 2, &posted.id).await?;
        answer(&*m.chat, &m.room, 3, "1300000000000000000").await?;
        let said = m.said(kind).await?;
        let [first, second, alone] = said.as_slice() else {
            panic!("{said:?}")
        };
        assert_eq!(
            second["content"]["m.relates_to"],
            json!({ "m.in_reply_to": { "event_id": posted.id } })
        );
        assert_eq!(second["event_id"], answered.id);
        assert_eq!(
            alone["content"]["m.relates_to"],
            Value::Null,
            "said on another platform, before the channel moved here"
        );
        assert_eq!(
            first["content"]["m.mentions"].is_null(),
            is_encrypted,
            "whom it calls is nobody else's business"
        );
        for (digit, wanted) in [(1, &posted), (2, &answered)] {
            assert_eq!(
                find(&*m.chat, &m.room, digit).await?.as_ref(),
                Some(wanted),
                "key {digit}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_on_matrix_are_counted_without_a_thread() -> Result<()> {
    for is_encrypted in [false, true] {
        let m = on_matrix(is_encrypted).await?;
        let posted = send(&*m.chat, &m.room, 1, &body("when?")).await?;
        m.alice.react(&m.room, &posted.id, "1️⃣").await?;
        m.bob.react(&m.room, &posted.id, "1\u{20e3}").await?;
        m.bob.react(&m.room, &posted.id, "2️⃣").await?;
        m.bob
            .reply_in_thread(&m.room, &posted.id, "any of them")
            .await?;
        let tally = m.chat.heard(&m.room, &posted.id, None).await?;
        assert_eq!(
            (
                votes(std::slice::from_ref(&tally), &["1️⃣", "2️⃣", "3️⃣"]),
                tally.replies.len()
            ),
            (vec![2, 1, 0], 0)
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_matrix_refuses_is_not_waited_for() -> Result<()> {
    let m = on_matrix(false).await?;
    let mut large = pictured("large");
    large.picture = Some(Picture {
        png: vec![0; 51 << 20],
        ..picture()
    });
    let refused = refusal(send(&*m.chat, &m.room, 1, &large).await);
    assert!(refused.contains("uploading a picture"), "{refused}");
    send(&*m.chat, &m.room, 2, &body("two")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_on_matrix_waits_until_it_is_allowed() -> Result<()> {
    let m = on_matrix(false).await?;
    let posted = send(&*m.chat, &m.room, 1, &body("one")).await?;
    match m.chat.handle(&m.room, &posted.id, Handling::Pin).await {
        Err(ChatError::Retry {
            reason,
            after_ms: Some(60_000),
        }) => assert!(reason.contains("m.room.pinned_events"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let mut levels = m.alice.state(&m.room, "m.room.power_levels").await?;
    levels["users"][m.chat.user()] = json!(50);
    m.alice
        .set_state(&m.room, "m.room.power_levels", levels)
        .await?;
    m.chat.handle(&m.room, &posted.id, Handling::Pin).await?;
    let pinned = m.alice.state(&m.room, "m.room.pinned_events").await?;
    assert_eq!(pinned["pinned"], json!([posted.id]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_a_ban_and_a_second_name_of_a_room_are_told_as_what_they_are() -> Result<()> {
    let m = on_matrix(false).await?;
    let space = m
        .alice
        .create_room_with(
            json!({ "name": "All", "preset": "private_chat", "creation_content": { "type": "m.space" } }),
        )
        .await?;
    m.alice.invite(&space, m.chat.user()).await?;
    let refused = refusal(m.chat.room(&space).await);
    assert!(
        refused.contains("is a space") && refused.contains("name one of the rooms in it"),
        "{refused}"
    );

    let alias = format!(
        "#by-alias-{}:localhost",
        m.chat.user().trim_matches('@').replace(':', "-")
    );
    m.alice
        .call(
            Method::PUT,
            &["directory", "room", &alias],
            Some(json!({ "room_id": m.room })),
        )
        .await?;
    let by_alias = m.chat.room(&alias).await?;
    assert_eq!(
        m.chat.arrival(&by_alias).await?,
        m.chat.arrival(&m.room).await?
    );

    let banned = m.alice.create_room("Closed").await?;
    let ban = json!({ "user_id": m.chat.user() });
    m.alice
        .call(Method::POST, &["rooms", &banned, "ban"], Some(ban))
        .await?;
    match m.chat.room(&banned).await {
        Err(ChatError::Retry { reason, .. }) => {
            assert!(reason.contains("lift the ban"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_homeserver_without_login_by_password_is_told_as_one() -> Result<()> {
    use axum::{Json, Router, http::StatusCode, routing::get};
    let refused = || async {
        let error =
            json!({ "errcode": "M_FORBIDDEN", "error": "Password login has been disabled" });
        (StatusCode::FORBIDDEN, Json(error))
    };
    let flows = || async {
        Json(json!({ "flows": [{ "type": "m.login.sso" }, { "type": "m.login.token" }] }))
    };
    let versions = || async { Json(json!({ "versions": ["v1.1", "v1.11"] })) };
    let app = Router::new()
        .route("/_matrix/client/versions", get(versions))
        .route("/_matrix/client/v3/login", get(flows).post(refused));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let dir = TempDir::new()?;
    let settings = matrix::MatrixSettings {
        homeserver: format!("http://{address}"),
        user: "herald".into(),
        password: Some(PASSWORD.into()),
        device: "HERALD".into(),
        store: dir.path().join("matrix"),
        passphrase: None,
        token: None,
        recovery: None,
        timeout: TIMEOUT,
    };
    let error = match matrix::Matrix::connect(settings).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it logged in"),
    };
    assert!(
        error.contains("has no login by password") && error.contains("make an access token"),
        "{error}"
    );
    server.abort();
    Ok(())
}
