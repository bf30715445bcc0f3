//! What may go out: approvals, upgrades that don't go on, and what was missed.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    adapters::room::Room,
    answer::AnswerService,
    config::{People, Person, Role},
    domain::{
        campaign::upgrade::{Decision, Upgrade, Window},
        outbox::{Operation, Post, PostState},
        people::command::Command,
        plan::{
            notice::{Approval, Happening, LatePolicy, Notice, Phase, Trigger},
            schedule::Offset,
        },
    },
    ports::{Asker, Clock, CommandHandler, Outlet, Platform, Readers},
    words::snapshot::ConfigSnapshot,
};

use crate::{
    harness::pipeline::{Pipeline, authorized},
    process::cli::{changed, herald},
};

const DISCORD: &str = "discord-upgrades";
const MATRIX: &str = "matrix-upgrades";
const OPERATORS: &str = "discord-operations";

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// `at` minutes from the window's opening, to both public channels; of use for two hours.
fn timed(id: &str, at: i64) -> Notice {
    let trigger = Trigger::At(Offset::Exact(at * 60));
    let approval = Approval {
        useful_for: minutes(120),
        ..Approval::default()
    };
    Notice {
        channels: vec![DISCORD.into(), MATRIX.into()],
        approval,
        ..Notice::new(id, Phase::Scheduling, "scheduling/reminder", trigger)
    }
}

fn on(id: &str, happening: Happening, template: &str, channels: &[&str]) -> Notice {
    let channels = channels.iter().map(|c| c.to_string()).collect();
    Notice {
        channels,
        ..Notice::new(id, Phase::Execution, template, Trigger::On(happening))
    }
}

/// Asked for ten minutes before, and of use for half an hour.
fn approved_by(persons: u32, notice: Notice) -> Notice {
    Notice {
        approval: Approval {
            persons,
            ask_before: minutes(10),
            useful_for: minutes(30),
        },
        ..notice
    }
}

fn person(name: &str, number: u64, role: Role) -> Person {
    let handle = name.split(' ').next().unwrap().to_lowercase();
    Person {
        name: name.into(),
        discord: Some(number.to_string()),
        matrix: Some(format!("@{handle}:example.org")),
        roles: vec![role],
        ..Person::default()
    }
}

/// Ada and Ben may approve, Cleo validates. It is fifty minutes before the window; the plan is these notices, and what
/// operators are told.
async fn world(notices: Vec<Notice>) -> Pipeline {
    world_of(&["relay"], notices).await
}

async fn world_of(chains: &[&str], mut notices: Vec<Notice>) -> Pipeline {
    notices.push(on(
        "told-held",
        Happening::Held,
        "operations/notice",
        &[OPERATORS],
    ));
    notices.push(on(
        "told-expired",
        Happening::Expired,
        "operations/notice",
        &[OPERATORS],
    ));
    let in_all = |plan: &mut upgrade_herald::config::Plan| {
        plan.plans
            .values_mut()
            .for_each(|p| p.notices = notices.clone())
    };
    let w = Pipeline::build(chains, in_all, |core| {
        let (mut config, renderer) = (
            core.snapshot().config.clone(),
            core.snapshot().renderer.clone(),
        );
        let ben = person("Ben Invented", 12, Role::Operator);
        config.people = People {
            all: vec![
                person("Ada Invented", 11, Role::CommunicationTeam),
                ben,
                person("Cleo Invented", 13, Role::Validator),
            ],
            ..People::default()
        };
        core.files.replace(ConfigSnapshot { config, renderer });
        let chat = Arc::new(Room::new(Platform::Matrix));
        let room = Outlet {
            chat,
            place: "!operations:example.org".into(),
            readers: Readers::Operators,
            ..core.outlets[MATRIX].clone()
        };
        core.outlets.insert("matrix-operations".into(), room);
    })
    .await;
    w.plan(&[w.upgrade("v2", chains)]).await;
    w.settle().await;
    w
}

impl Pipeline {
    /// Goes on to so many minutes from the window's opening.
    async fn minute(&self, minute: i64) {
        self.clock.step_to(
            self.sample
                .window
                .opens
                .checked_add(minutes(minute))
                .unwrap(),
        );
        self.settle().await;
    }

    async fn all(&self, notice: &str) -> Vec<Post> {
        let posts = self.store.posts("v2").await.unwrap();
        posts
            .into_iter()
            .filter(|p| p.notice == notice && p.operation != Operation::Preview)
            .collect()
    }

    /// The state of a notice's posts, which is the same in all channels.
    async fn stands(&self, notice: &str) -> PostState {
        let states: Vec<PostState> = self.all(notice).await.iter().map(|p| p.state).collect();
        assert!(
            !states.is_empty() && states.iter().all(|s| *s == states[0]),
            "{notice}: {states:?}"
        );
        states[0]
    }

    /// The codes that operators were asked about, in their order.
    async fn asked(&self, channel: &str) -> Vec<Post> {
        let posts = self.posts("v2").await.into_iter();
        posts
            .filter(|p| p.operation == Operation::Preview && p.channel == channel)
            .collect()
    }

    /// What operators were told of what is held, or expired.
    async fn told_operators(&self, notice: &str) -> Vec<String> {
        let sent = self
            .posts("v2")
            .await
            .into_iter()
            .filter(|p| p.notice == notice);
        sent.map(|p| p.detail.unwrap_or_default()).collect()
    }

    async fn say(&self, platform: Platform, user: &str, channel: &str, words: &[&str]) -> String {
        let asker = Asker::new(platform, user, &self.core.outlets[channel].place);
        let text = AnswerService::new(self.core.clone())
            .answer(&asker, &Command::from_line(&words.join(" ")))
            .await
            .text;
        self.settle().await;
        text
    }

    async fn ada(&self, code: &str) -> String {
        self.say(Platform::Discord, "11", OPERATORS, &["approve", code])
            .await
    }

    async fn ben(&self, code: &str) -> String {
        self.say(
            Platform::Matrix,
            "@ben:example.org",
            "matrix-operations",
            &["approve", code],
        )
        .await
    }

    async fn change(&self, change: impl FnOnce(&mut Upgrade)) {
        let mut upgrade = self
            .core
            .campaign("v2")
            .await
            .unwrap()
            .unwrap()
            .file
            .unwrap();
        change(&mut upgrade);
        self.plan(&[upgrade]).await;
        self.settle().await;
    }
}

#[tokio::test]
async fn operators_hear_once_what_the_public_does_not_get_of_a_new_upgrade() {
    let w = world(vec![
        timed("a-day-before", -1_440),
        timed("an-hour-before", -60),
        timed("soon", -30),
        on(
            "told-missed",
            Happening::Missed,
            "operations/missed",
            &[OPERATORS],
        ),
    ])
    .await;
    w.change(|upgrade| upgrade.title = "Another title".into())
        .await;
    assert_eq!(
        w.told_operators("told-missed").await,
        ["a-day-before, an-hour-before"]
    );
}

/// A board with an entry in the calendar, words that the window is set, a channel of operators that hears of it too, and an announcement.
fn first_words() -> Vec<Notice> {
    let board = Notice {
        board: true,
        live: true,
        calendar: Some(DISCORD.into()),
        ..on(
            "board",
            Happening::Planned,
            "preparation/board",
            &[DISCORD, MATRIX],
        )
    };
    vec![
        approved_by(1, timed("announced", -30)),
        board,
        on(
            "window-set",
            Happening::WindowSet,
            "scheduling/window-set",
            &[DISCORD],
        ),
        on(
            "op-planned",
            Happening::Planned,
            "operations/notice",
            &[OPERATORS],
        ),
    ]
}

#[tokio::test]
async fn nothing_is_said_in_public_before_what_was_approved() {
    let w = world(first_words()).await;
    assert_eq!(w.stands("op-planned").await, PostState::Sent);
    for notice in ["board", "window-set"] {
        assert_eq!(w.stands(notice).await, PostState::Held, "{notice}");
        let why = w.all(notice).await[0].error.clone();
        assert_eq!(
            why.as_deref(),
            Some("no approved post of this upgrade is out yet")
        );
    }
    // They will be asked to approve the announcement.
    assert!(w.told_operators("told-held").await.is_empty());
    w.minute(-40).await;
    let code = w.asked(OPERATORS).await[0].occurrence.clone();
    w.minute(-35).await;
    w.ada(&code).await;
    assert_eq!(w.stands("announced").await, PostState::Planned);
    assert_eq!(w.stands("board").await, PostState::Held);
    w.minute(-30).await;
    assert_eq!(w.stands("announced").await, PostState::Sent);
    for notice in ["board", "window-set"] {
        assert_eq!(w.stands(notice).await, PostState::Sent, "{notice}");
        let late = w.all(notice).await.iter().any(|p| p.late);
        assert!(!late, "{notice} was to come with the announcement");
    }
}

#[tokio::test]
async fn what_nobody_approved_is_said_once_a_chain_begins_and_never_if_it_is_cancelled() {
    let w = world(first_words()).await;
    w.minute(10).await;
    assert_eq!(w.stands("board").await, PostState::Held);
    w.block("relay", 1, &[authorized("0xaa")]).await;
    assert_eq!(w.stands("board").await, PostState::Sent);

    let w = world(first_words()).await;
    w.change(|upgrade| upgrade.cancelled = Some("A fault was found.".into()))
        .await;
    for notice in ["board", "window-set"] {
        assert_eq!(w.stands(notice).await, PostState::Superseded, "{notice}");
    }
}

#[tokio::test]
async fn two_people_agree_on_two_platforms_and_it_goes_out_in_time() {
    let mut w = world(vec![approved_by(2, timed("reminder", -30))]).await;
    w.minute(-41).await;
    assert!(w.asked(OPERATORS).await.is_empty(), "it is not time to ask");
    w.minute(-40).await;
    w.settle().await;
    let (asked, in_room) = (w.asked(OPERATORS).await, w.asked("matrix-operations").await);
    assert_eq!(
        (asked.len(), in_room.len()),
        (1, 1),
        "one preview for both channels it goes to"
    );
    let (code, body) = (asked[0].occurrence.clone(), asked[0].body.clone().unwrap());
    insta::assert_snapshot!(body.text.replace(&code, "CODE"), @r"
    **Please approve “reminder”** for discord-upgrades, matrix-upgrades, due <t:1804595400:F> · Tue 9 Mar 2027, 13:30 CET (12:30 UTC): `/upgrade approve CODE`. It takes 2 people.

    ## Reminder: Paseo runtime 2.3.1, <t:1804597200:R>
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.

    **Window:** <t:1804597200:F> · Tue 9 Mar 2027, 14:00 CET (13:00 UTC), <t:1804597200:R>, until <t:1804604400:F> · Tue 9 Mar 2027, 16:00 CET (15:00 UTC).

    **More:** [Release notes](<https://releases.example.org/v2.3.1>)
    ");
    assert!(body.mentions.is_empty());
    let html = in_room[0].body.clone().unwrap().html.unwrap();
    insta::assert_snapshot!(html.replace(&code, "CODE"), @r#"
    <p><strong>Please approve “reminder”</strong> for discord-upgrades, matrix-upgrades, due Tue 9 Mar 2027, 13:30 CET (12:30 UTC): <code>!upgrade approve CODE</code>. It takes 2 people.</p><hr><h2>Reminder: Paseo runtime 2.3.1, in 30 minutes</h2>
    <p><strong>Must I update my node?</strong> Yes, at once, if it is older than <strong>v1.21.0</strong>.</p>
    <ul>
    <li><strong>Validators</strong> — <strong>action needed</strong>: Update your node and watch it through the upgrade.</li>
    <li><strong>Developers</strong> — <strong>action needed</strong>: Test your tools against the new metadata.</li>
    <li><strong>Users</strong> — no action: Nothing to do; transactions may take a few seconds longer.</li>
    </ul>
    <p><strong>Window:</strong> Tue 9 Mar 2027, 14:00 CET (13:00 UTC), in 30 minutes, until Tue 9 Mar 2027, 16:00 CET (15:00 UTC).</p>
    <p><strong>More:</strong> <a href="https://releases.example.org/v2.3.1">Release notes</a></p>
    "#);

    let said = w.ada(&code.to_uppercase()).await;
    insta::assert_snapshot!(said, @"Thank you, Ada Invented. reminder is approved by 1 of 2; somebody else has to agree as well.");
    w.restart(None);
    // The same person on the other platform is the same person.
    let said = w
        .say(
            Platform::Matrix,
            "@ada:example.org",
            "matrix-operations",
            &["approve", &code],
        )
        .await;
    insta::assert_snapshot!(said, @"You have approved reminder already: 1 of 2. Somebody else has to agree as well.");
    let said = w.ben(&code).await;
    insta::assert_snapshot!(said, @"Thank you, Ben Invented. reminder is approved by 2 of 2. It goes out Tue 9 Mar 2027, 13:30 CET (12:30 UTC).");
    insta::assert_snapshot!(w.ada(&code).await, @"reminder is approved already, by Ada Invented and Ben Invented. Nothing more is needed.");
    assert_eq!(w.stands("reminder").await, PostState::Planned);
    w.restart(None);
    w.minute(-30).await;
    assert_eq!(w.stands("reminder").await, PostState::Sent);
    assert!(w.all("reminder").await.iter().all(|p| !p.late));
    assert!(
        w.told_operators("told-held").await.is_empty()
            && w.told_operators("told-expired").await.is_empty()
    );
    assert_eq!(w.asked(OPERATORS).await.len(), 1);
}

#[tokio::test]
async fn another_text_wants_another_approval_and_what_is_agreed_late_says_so() {
    let mut w = world(vec![approved_by(2, timed("reminder", -30))]).await;
    w.minute(-40).await;
    let old = w.asked(OPERATORS).await[0].occurrence.clone();
    w.ada(&old).await;
    w.change(|u| u.title = "Another title".into()).await;
    let asked = w.asked(OPERATORS).await;
    assert_eq!(asked.len(), 2);
    let new = asked[1].occurrence.clone();
    assert!(
        asked[1]
            .body
            .clone()
            .unwrap()
            .text
            .contains("Another title")
    );
    let said = w.ben(&old).await;
    insta::assert_snapshot!(said.replace(&new, "NEW").replace(&old, "OLD"), @"Nothing waits under OLD; if the text was changed, its code is another now. Open: NEW for reminder.");
    // What Ada agreed to was another text.
    insta::assert_snapshot!(w.ben(&new).await, @"Thank you, Ben Invented. reminder is approved by 1 of 2; somebody else has to agree as well.");

    w.minute(-30).await;
    assert_eq!(w.stands("reminder").await, PostState::Held);
    w.restart(None);
    w.minute(-20).await;
    assert_eq!(
        w.told_operators("told-held").await,
        [format!("reminder: approved by 1 of 2, code {new}")]
    );
    let said = w.ada(&new).await;
    insta::assert_snapshot!(said, @"Thank you, Ada Invented. reminder is approved by 2 of 2. It goes out now.");
    assert_eq!(w.stands("reminder").await, PostState::Sent);
    let text = w.text("v2", "reminder", DISCORD).await;
    insta::assert_snapshot!(text, @r"
    ## Reminder: Another title, <t:1804597200:R>
    *Posted late: this was due <t:1804595400:F> · Tue 9 Mar 2027, 13:30 CET (12:30 UTC).*

    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.

    **Window:** <t:1804597200:F> · Tue 9 Mar 2027, 14:00 CET (13:00 UTC), <t:1804597200:R>, until <t:1804604400:F> · Tue 9 Mar 2027, 16:00 CET (15:00 UTC).

    **More:** [Release notes](<https://releases.example.org/v2.3.1>)
    ");
    assert!(w.told_operators("told-expired").await.is_empty());
}

#[tokio::test]
async fn what_nobody_agrees_to_is_held_and_expires_and_holds_up_nothing() {
    let mut w = world(vec![
        approved_by(
            1,
            Notice {
                feedback: true,
                ..timed("reminder", -30)
            },
        ),
        timed("second", -20),
    ])
    .await;
    for minute in [-30, -29, -21] {
        w.minute(minute).await;
        assert_eq!(
            w.stands("reminder").await,
            PostState::Held,
            "the thread waits with its post"
        );
        w.restart(None);
    }
    let code = w.asked(OPERATORS).await[0].occurrence.clone();
    assert_eq!(
        w.told_operators("told-held").await,
        [format!("reminder: approved by 0 of 1, code {code}")],
        "once for all channels"
    );
    assert_eq!(
        w.all("reminder").await[0].error.as_deref(),
        Some(&*format!("approved by 0 of 1, code {code}"))
    );
    w.minute(-20).await;
    assert_eq!(w.stands("second").await, PostState::Sent);
    w.minute(-1).await;
    assert_eq!(w.stands("reminder").await, PostState::Held);
    w.minute(0).await;
    w.restart(None);
    w.minute(1).await;
    assert_eq!(w.stands("reminder").await, PostState::Expired);
    assert_eq!(w.told_operators("told-expired").await.len(), 1);
    assert_eq!(w.told_operators("told-held").await.len(), 1);
    insta::assert_snapshot!(w.ada(&code).await.replace(&code, "CODE"), @"Nothing waits for approval, under CODE or another code.");
    assert_eq!(w.stands("reminder").await, PostState::Expired);
}

#[tokio::test]
async fn who_agreed_in_time_is_heard_however_long_herald_was_away() {
    let mut w = world(vec![approved_by(1, timed("reminder", -30))]).await;
    w.minute(-30).await;
    let code = w.asked(OPERATORS).await[0].occurrence.clone();
    // Written down by another process, and nobody looks for an hour.
    let approved = upgrade_herald::ports::Approved {
        upgrade: "v2".into(),
        code,
        person: "Ben Invented".into(),
        at: w.clock.now(),
    };
    w.store
        .commit(upgrade_herald::ports::Batch {
            approvals: vec![approved],
            ..Default::default()
        })
        .await
        .unwrap();
    w.restart(None);
    w.minute(30).await;
    assert_eq!(w.stands("reminder").await, PostState::Sent);
    assert!(w.all("reminder").await.iter().all(|p| p.late));
}

#[tokio::test]
async fn what_has_happened_waits_for_approval_as_well() {
    let applied = Notice {
        feedback: true,
        live: true,
        ..on(
            "applied",
            Happening::Applied,
            "validation/applied",
            &[DISCORD],
        )
    };
    let mut w = world(vec![approved_by(1, applied)]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    assert_eq!(w.stands("applied").await, PostState::Held);
    let asked = w.asked(OPERATORS).await;
    let text = asked[0].body.clone().unwrap().text;
    // It reads as it will.
    insta::assert_snapshot!(text.replace(&asked[0].occurrence, "CODE"), @r#"
    **Please approve “applied”** for discord-upgrades, due <t:1804594224:F> · Tue 9 Mar 2027, 13:10 CET (12:10 UTC): `/upgrade approve CODE`. It takes one person.

    ## Paseo runtime 2.3.1: applied, being verified
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - relay runs `spec_version` **2**, proven in block **103**

    We now watch blocks, finality and transactions for 10 minutes. This is not yet the all-clear.

    - **Validators** — keep your node running, and look whether it follows.
    - **Developers** — take the new metadata, and see that your tools read it.
    - **Users** — better wait with transactions until "verified".

    **How is it for you?** React here, or reply in the thread:

    - 👍 all fine
    - ⚠️ a problem
    - ❓ a question
    "#);
    w.restart(None);
    w.block("relay", 2, &[]).await;
    assert_eq!(
        w.asked(OPERATORS).await.len(),
        1,
        "blocks make no other text of it"
    );
    insta::assert_snapshot!(w.ada(&asked[0].occurrence).await, @"Thank you, Ada Invented. applied is approved by 1 of 1. It goes out now.");
    assert_eq!(w.told("v2", DISCORD).await, ["applied", "applied thread"]);
    assert_eq!(w.told_operators("told-held").await.len(), 1);
}

#[tokio::test]
async fn nobody_else_approves_and_nobody_in_public() {
    let w = world(vec![approved_by(1, timed("reminder", -30))]).await;
    w.minute(-40).await;
    let code = w.asked(OPERATORS).await[0].occurrence.clone();
    let cleo = w
        .say(Platform::Discord, "13", OPERATORS, &["approve", &code])
        .await;
    insta::assert_snapshot!(cleo, @"approve is for the communication team and operators; people.yaml says who they are.");
    let nobody = w
        .say(Platform::Discord, "99", OPERATORS, &["approve", &code])
        .await;
    insta::assert_snapshot!(nobody, @"I don't know your account. Who may approve stands in people.yaml; please ask there.");
    for channel in [DISCORD, MATRIX] {
        let outlet = w.core.outlets[channel].platform;
        let account = if outlet == Platform::Discord {
            "11"
        } else {
            "@ada:example.org"
        };
        let public = w.say(outlet, account, channel, &["approve", &code]).await;
        assert_eq!(
            public,
            "Approvals are given in the operators' channel. Please write that there."
        );
    }
    let wrong = w.ada("zzzzzz").await;
    assert_eq!(
        wrong.replace(&code, "CODE"),
        "Nothing waits under zzzzzz; if the text was changed, its code is another now. Open: CODE for reminder."
    );
    assert!(
        w.ada("<@&1>").await.contains("Nothing waits"),
        "whatever is typed is answered"
    );
    assert!(w.ada("<@&1> `*x*`").await.contains("approve takes no"));
    let bare = w
        .say(Platform::Discord, "11", OPERATORS, &["approve"])
        .await;
    assert!(bare.contains("Please write the code"), "{bare}");
    assert!(w.store.approvals("v2").await.unwrap().is_empty());
    w.minute(-30).await;
    assert_eq!(w.stands("reminder").await, PostState::Held);
}

#[tokio::test]
async fn a_no_go_holds_what_the_clock_says_until_go() {
    let no_go = |reason: &str| Some(Decision::NoGo(reason.to_owned()));
    let started = on(
        "started",
        Happening::Authorized,
        "execution/authorized",
        &[DISCORD],
    );
    let mut w = world(vec![
        timed("reminder", -30),
        timed("last", -10),
        timed("late", 60),
        started,
    ])
    .await;
    w.change(|u| u.decision = no_go("a validator stands still"))
        .await;
    w.minute(-30).await;
    assert_eq!(w.stands("reminder").await, PostState::Held);
    assert_eq!(
        w.told_operators("told-held").await,
        ["reminder: the final checks are not passed"]
    );
    w.restart(None);
    w.minute(-10).await;
    w.change(|u| u.decision = Some(Decision::Go)).await;
    for notice in ["reminder", "last"] {
        assert_eq!(w.stands(notice).await, PostState::Sent);
    }
    let text = w.text("v2", "reminder", DISCORD).await;
    assert!(text.contains("Posted late"), "{text}");
    assert!(!w.text("v2", "last", DISCORD).await.contains("Posted late"));

    // Once more, and nobody takes it back while the last word is of use. What happens is said all the same.
    w.change(|u| u.decision = no_go("a node is missing")).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    assert_eq!(w.stands("started").await, PostState::Sent);
    w.minute(60).await;
    assert_eq!(w.stands("late").await, PostState::Held);
    w.minute(120).await;
    assert_eq!(
        w.stands("late").await,
        PostState::Expired,
        "the window is over"
    );
    w.change(|u| u.decision = Some(Decision::Go)).await;
    assert_eq!(w.stands("late").await, PostState::Expired);
    assert_eq!(
        w.told_operators("told-expired").await,
        ["late: the final checks are not passed"]
    );
}

#[tokio::test]
async fn a_delay_is_said_and_holds_the_clock_until_something_begins() {
    let asks = on(
        "op-late",
        Happening::Overdue,
        "operations/notice",
        &[OPERATORS],
    );
    let delayed = on(
        "delay",
        Happening::Delayed,
        "execution/observed",
        &[DISCORD],
    );
    let mut w = world(vec![
        asks,
        delayed,
        timed("halfway", 65),
        timed("later", 75),
    ])
    .await;
    w.see("relay", &[(true, 1)], 0);
    w.minute(31).await;
    w.observe("relay").await;
    assert_eq!(
        (
            w.told("v2", OPERATORS).await.len(),
            w.told("v2", DISCORD).await.len()
        ),
        (1, 0),
        "operators are asked first"
    );
    // Who can't see says nothing.
    w.minute(61).await;
    w.see("relay", &[(false, 900)], 0);
    w.observe("relay").await;
    assert!(w.told("v2", DISCORD).await.is_empty());
    w.see("relay", &[(true, 1)], 0);
    for _ in 0..3 {
        w.observe("relay").await;
        w.restart(None);
    }
    assert_eq!(w.told("v2", DISCORD).await, ["delay"]);
    assert_eq!(
        w.core.campaign("v2").await.unwrap().unwrap().standing(),
        "delayed"
    );
    w.minute(65).await;
    assert_eq!(w.stands("halfway").await, PostState::Held);
    assert_eq!(
        w.told_operators("told-held").await,
        ["halfway: the upgrade is delayed"]
    );
    w.block("relay", 1, &[authorized("0xaa")]).await;
    assert_eq!(w.stands("halfway").await, PostState::Sent);
    w.minute(75).await;
    assert_eq!(w.stands("later").await, PostState::Sent);
    assert_eq!(
        w.core.campaign("v2").await.unwrap().unwrap().standing(),
        "authorized"
    );
}

#[tokio::test]
async fn nobody_is_told_of_a_delay_while_a_chain_has_blocks_that_were_not_read() {
    let w = world_of(
        &["people", "relay"],
        vec![on(
            "delay",
            Happening::Delayed,
            "execution/observed",
            &[DISCORD],
        )],
    )
    .await;
    w.minute(61).await;
    for chain in ["people", "relay"] {
        w.see(chain, &[(true, 1)], 0);
    }
    w.chains["people"].sight.lock().unwrap().endpoints[0].head = 110;
    w.observe("relay").await;
    assert!(
        w.told("v2", DISCORD).await.is_empty(),
        "one of these blocks may have begun it"
    );
    w.chains["people"].sight.lock().unwrap().endpoints[0].head = 100;
    w.observe("people").await;
    w.observe("relay").await;
    assert_eq!(w.told("v2", DISCORD).await, ["delay"]);
}

#[tokio::test]
async fn a_new_window_is_a_new_try() {
    let delayed = on(
        "delay",
        Happening::Delayed,
        "execution/observed",
        &[DISCORD],
    );
    let w = world(vec![
        delayed,
        approved_by(1, timed("unapproved", -30)),
        timed("halfway", 65),
    ])
    .await;
    w.see("relay", &[(true, 1)], 0);
    w.minute(-30).await;
    assert_eq!(w.stands("unapproved").await, PostState::Held);
    w.minute(61).await;
    w.observe("relay").await;
    w.minute(65).await;
    assert_eq!(w.stands("halfway").await, PostState::Held);
    let later = |at: Timestamp| at.checked_add(SignedDuration::from_hours(24)).unwrap();
    w.change(|u| {
        u.window = Window {
            opens: later(u.window.opens),
            closes: later(u.window.closes),
        }
    })
    .await;
    let held = w
        .store
        .posts("v2")
        .await
        .unwrap()
        .into_iter()
        .filter(|p| p.state == PostState::Held)
        .count();
    assert_eq!(held, 0, "what was held for the old window is withdrawn");
    w.minute(24 * 60 + 65).await;
    let halfway: Vec<PostState> = w.all("halfway").await.iter().map(|p| p.state).collect();
    assert!(
        halfway.contains(&PostState::Sent) && halfway.contains(&PostState::Superseded),
        "{halfway:?}"
    );
    // Nothing began there either: that is said once more.
    w.observe("relay").await;
    assert_eq!(
        w.told("v2", DISCORD).await,
        ["delay", "delay mark", "delay", "halfway"]
    );
}

#[tokio::test]
async fn of_what_was_missed_the_plan_says_what_is_still_told() {
    let late = |policy, notice: Notice| Notice {
        late: policy,
        ..notice
    };
    let newest = |id: &str, at| Notice {
        feedback: true,
        ..late(LatePolicy::Newest, timed(id, at))
    };
    let notices = vec![
        newest("first", -40),
        newest("second", -30),
        newest("third", -20),
        late(LatePolicy::Skip, timed("brief", -45)),
        timed("plain", -48),
    ];
    let mut w = world(notices).await;
    w.clock
        .step_to(w.sample.window.opens.checked_add(minutes(-10)).unwrap());
    w.restart(None);
    w.settle().await;
    let mut told = w.told("v2", DISCORD).await;
    told.sort();
    assert_eq!(told, ["plain", "third", "third thread"]);
    assert!(
        w.text("v2", "third", DISCORD).await.contains("Posted late")
            && w.text("v2", "plain", DISCORD).await.contains("Posted late")
    );
    for notice in ["first", "second", "brief"] {
        assert_eq!(
            w.stands(notice).await,
            PostState::Skipped,
            "with its thread"
        );
    }
    let reason = w.all("brief").await[0].error.clone().unwrap();
    assert!(
        reason.starts_with("missed at Tue 9 Mar 2027, 13:15 CET"),
        "{reason}"
    );
    assert!(
        w.all("first").await[0]
            .error
            .clone()
            .unwrap()
            .ends_with("a later one takes its place")
    );

    // The clock jumps back over all of them, and on again.
    let told = w.posts("v2").await.len();
    w.restart(w.sample.window.opens.checked_sub(minutes(47)).ok());
    w.settle().await;
    w.change(|_| ()).await;
    for minute in [-30, -20, -10, -1] {
        w.minute(minute).await;
    }
    assert_eq!(w.posts("v2").await.len(), told, "nothing is said twice");
}

#[tokio::test]
async fn in_time_nothing_is_left_out() {
    let w = world(vec![
        Notice {
            late: LatePolicy::Newest,
            ..timed("first", -40)
        },
        Notice {
            late: LatePolicy::Skip,
            ..timed("second", -40)
        },
    ])
    .await;
    w.minute(-39).await;
    assert_eq!(w.told("v2", DISCORD).await, ["first", "second"]);
}

#[test]
fn a_rehearsal_has_invented_people_agree() {
    let dir = changed("config/plan.yaml", "zone", "zone");
    let approved = |plan: &str, id: &str, what: &str| {
        plan.replacen(
            &format!("id: {id},"),
            &format!("id: {id}, approval: {what},"),
            1,
        )
    };
    let plan = approved(
        &approved(crate::stories::story::PLAN, "announced", "two"),
        "applied",
        "one",
    );
    std::fs::write(dir.path().join("config/plan.yaml"), plan).unwrap();
    let output = herald(dir.path(), &["rehearse", "--once", "--plan", "expedited"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for words in [
        "○ two invented people approve announced",
        "○ an invented person approves applied",
        "· announced · preview ·",
    ] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
    }
    assert!(
        !said.contains("Posted late") && !said.contains("expired"),
        "{said}"
    );
}
