//! People choose a window by reacting; what takes something back answers it; and who is called is called once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    adapters::room::Room,
    config::{Origin, Plan, SourceFile, UpgradeFile},
    domain::{
        campaign::upgrade::{Poll, Upgrade, Window},
        outbox::{Operation, Post, PostState},
        plan::{
            notice::{Happening, Notice, Phase, Trigger},
            schedule::Offset,
        },
    },
    lint,
    listen::feedback::Summariser,
    plan::planner::Planner,
    ports::Platform,
    words::snapshot::ConfigSnapshot,
};

use crate::{
    harness::{chats::HookedChat, hooks::Deafness, pipeline::Pipeline},
    process::cli::changed,
};

const DISCORD: &str = "discord-upgrades";
const MATRIX: &str = "matrix-upgrades";
const OPERATORS: &str = "discord-operations";
const ROLE: &str = "1100000000000000007";
const HOUR: i64 = 3600;

const PROPOSED: &str = "## When?\n\n{{#each poll.windows}}{{number}} {{time opens}}\n{{/each}}";
const COUNTED: &str =
    "{{#each poll.windows}}{{number}} {{votes}}{{#unless @last}}, {{/unless}}{{/each}}";

struct Story {
    world: Pipeline,
    rooms: BTreeMap<String, Arc<Room>>,
    deafness: BTreeMap<String, Arc<Deafness>>,
    summariser: Summariser,
    /// Each vote is another person's.
    voters: AtomicUsize,
}

fn notice(id: &str, template: &str, trigger: Trigger, channels: &[&str]) -> Notice {
    let channels = channels.iter().map(|c| (*c).to_owned()).collect();
    Notice {
        channels,
        ..Notice::new(id, Phase::Scheduling, template, trigger)
    }
}

/// What this story says, and nothing else.
fn notices(plan: &mut Plan) {
    let both = [DISCORD, MATRIX];
    let on = |id, template, happening| notice(id, template, Trigger::On(happening), &both);
    let told = notice(
        "counted",
        "test/counted",
        Trigger::On(Happening::PollClosed),
        &[OPERATORS],
    );
    let soon = notice(
        "soon",
        "test/plain",
        Trigger::At(Offset::Exact(-HOUR)),
        &both,
    );
    let all = vec![
        Notice {
            mention: vec!["validators".into()],
            ..on("proposed", "test/proposed", Happening::WindowProposed)
        },
        on("set", "test/plain", Happening::WindowSet),
        on("moved", "test/plain", Happening::Rescheduled),
        on("off", "test/plain", Happening::Cancelled),
        Notice {
            board: true,
            live: true,
            ..on("board", "test/plain", Happening::Planned)
        },
        soon,
        told,
    ];
    plan.plans
        .values_mut()
        .for_each(|of_urgency| of_urgency.notices = all.clone());
}

impl Story {
    async fn new() -> Self {
        let dir = changed("config/plan.yaml", "zone:", "zone:");
        std::fs::create_dir(dir.path().join("templates/test")).unwrap();
        for (name, text) in [
            ("proposed", PROPOSED),
            ("counted", COUNTED),
            ("plain", "{{notice.id}}: {{time window.opens}}"),
        ] {
            std::fs::write(
                dir.path().join(format!("templates/test/{name}.md.hbs")),
                text,
            )
            .unwrap();
        }
        let origin = Origin::Folder {
            config: dir.path().join("config"),
            templates: dir.path().join("templates"),
        };
        let mut loaded = lint::load(&origin).unwrap();
        notices(&mut loaded.config.plan);
        let (mut rooms, mut deafness) = (BTreeMap::new(), BTreeMap::new());
        let world = Pipeline::build(
            &["paseo"],
            |_| {},
            |core| {
                for (name, outlet) in &mut core.outlets {
                    let room = Arc::new(Room::new(outlet.platform));
                    let hook = Arc::new(Deafness::default());
                    outlet.chat = Arc::new(HookedChat {
                        inner: room.clone(),
                        hook: hook.clone(),
                    });
                    let id = if outlet.platform == Platform::Discord {
                        ROLE
                    } else {
                        "@room"
                    };
                    outlet.mentions = [("validators".to_owned(), vec![id.to_owned()])].into();
                    rooms.insert(name.clone(), room);
                    deafness.insert(name.clone(), hook);
                }
            },
        );
        let world = world.await;
        world.core.files.replace(ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        });
        let summariser = Summariser::new(world.core.clone());
        Self {
            world,
            rooms,
            deafness,
            summariser,
            voters: AtomicUsize::new(0),
        }
    }

    fn after(&self, hours: i64) -> Timestamp {
        self.world
            .sample
            .window
            .opens
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap()
    }

    fn window(&self, hours: i64) -> Window {
        Window {
            opens: self.after(hours),
            closes: self.after(hours + 2),
        }
    }

    /// Two windows, three and four days on, to be decided within one.
    fn asked(&self) -> Upgrade {
        let poll = Poll {
            windows: vec![self.window(72), self.window(96)],
            decide_by: self.after(24),
        };
        Upgrade {
            window: self.window(72),
            poll: Some(poll),
            ..self.world.upgrade("v2", &["paseo"])
        }
    }

    fn set(&self, hours: i64) -> Upgrade {
        Upgrade {
            window: self.window(hours),
            poll: None,
            ..self.asked()
        }
    }

    async fn plan(&self, upgrade: &Upgrade) {
        self.world.step(1);
        self.world.plan(std::slice::from_ref(upgrade)).await;
        self.world.settle().await;
    }

    /// The newest post of a notice that is out in a channel.
    async fn post(&self, notice: &str, channel: &str) -> Post {
        let posts = self.world.posts("v2").await;
        let own = |p: &&Post| {
            p.notice == notice && p.channel == channel && p.operation == Operation::Post
        };
        posts
            .into_iter()
            .rev()
            .find(|p| own(&p))
            .unwrap_or_else(|| panic!("no {notice} in {channel}"))
    }

    async fn react(&self, channel: &str, emoji: &str) {
        let id = self.post("proposed", channel).await.remote.unwrap();
        let who = self.voters.fetch_add(1, Ordering::Relaxed).to_string();
        self.rooms[channel].react(&id, &who, emoji);
    }

    async fn votes(&self) -> Option<Vec<u32>> {
        self.world
            .core
            .campaign("v2")
            .await
            .unwrap()
            .unwrap()
            .progress
            .votes
    }

    /// Counts what is due: how many polls were counted, and whether one has to wait.
    async fn count(&self) -> (usize, bool) {
        let came_to = self.summariser.tick().await.unwrap();
        self.world.settle().await;
        (came_to.upgrades, came_to.waits)
    }
}

#[tokio::test]
async fn people_vote_operators_are_told_and_the_file_decides() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    let (on_discord, on_matrix) = (
        s.post("proposed", DISCORD).await,
        s.post("proposed", MATRIX).await,
    );
    let said = on_discord.body.clone().unwrap();
    assert!(
        said.text.starts_with("## When?\n")
            && said.text.contains("1️⃣")
            && said.text.ends_with(&format!("\n\n<@&{ROLE}>")),
        "{said:?}"
    );
    assert!(on_matrix.body.clone().unwrap().text.ends_with("\n\n@room"));
    let (root, root_on_matrix) = (on_discord.remote.unwrap(), on_matrix.remote.unwrap());
    assert_eq!(s.rooms[DISCORD].mentioned(&root), [ROLE]);
    assert_eq!(s.rooms[MATRIX].mentioned(&root_on_matrix), ["@room"]);
    assert!(
        s.world
            .store
            .posts("v2")
            .await
            .unwrap()
            .iter()
            .all(|p| p.notice != "soon"),
        "no window, no reminder"
    );

    // Three vote, each as their client writes it, and somebody only waves.
    s.react(DISCORD, "2️⃣").await;
    s.react(DISCORD, "2️⃣").await;
    s.react(DISCORD, "👋").await;
    s.react(MATRIX, "1\u{20e3}").await;
    assert_eq!(s.count().await, (0, false), "not before its time");
    s.world.clock.step_to(s.after(24));
    assert_eq!(
        (s.count().await, s.votes().await),
        ((1, false), Some(vec![1, 2]))
    );
    assert_eq!(s.world.text("v2", "counted", OPERATORS).await, "1️⃣ 1, 2️⃣ 2");
    s.react(DISCORD, "1️⃣").await;
    assert_eq!(
        (s.count().await, s.votes().await),
        ((0, false), Some(vec![1, 2])),
        "counted once"
    );
    assert_eq!(s.world.told("v2", OPERATORS).await, ["counted"]);

    // The operators write what was chosen into the file.
    s.plan(&s.set(96)).await;
    let told = s.world.told("v2", DISCORD).await;
    assert_eq!(
        told.iter()
            .filter(|t| !t.starts_with("board"))
            .collect::<Vec<_>>(),
        ["proposed", "proposed mark", "set"]
    );
    let set = s.post("set", DISCORD).await.remote.unwrap();
    assert_eq!(
        s.rooms[DISCORD].answered(&set),
        Some(root.clone()),
        "where people were asked"
    );
    let marked = s.rooms[DISCORD].text(&root).unwrap();
    assert!(
        marked.starts_with("> **New time:** the window now opens") && marked.ends_with(&said.text),
        "{marked}"
    );
    assert_eq!(s.rooms[DISCORD].mentioned(&root), [ROLE], "called once");
    let reminders: Vec<Post> = s
        .world
        .store
        .posts("v2")
        .await
        .unwrap()
        .into_iter()
        .filter(|p| p.notice == "soon")
        .collect();
    assert!(
        reminders
            .iter()
            .all(|p| p.state == PostState::Planned && p.due == s.after(95)),
        "{reminders:?}"
    );
    assert_eq!((reminders.len(), s.votes().await), (2, None));
}

#[tokio::test]
async fn who_votes_in_the_clients_own_way_and_reacts_counts_once_and_a_counted_vote_is_closed() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    let vote = async || {
        let posts = s.world.posts("v2").await;
        let votes: Vec<Post> = posts
            .into_iter()
            .filter(|p| p.operation == Operation::Poll)
            .collect();
        assert_eq!(
            votes.iter().map(|p| p.channel.as_str()).collect::<Vec<_>>(),
            [MATRIX],
            "where the platform has votes"
        );
        votes[0].clone()
    };
    let made = vote().await;
    let choices = made.body.clone().unwrap().ballot.unwrap().choices;
    assert_eq!(
        choices.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(),
        ["1️⃣", "2️⃣"],
        "{choices:?}"
    );
    let (post, id, room) = (
        s.post("proposed", MATRIX).await.remote.unwrap(),
        made.remote.unwrap(),
        &s.rooms[MATRIX],
    );
    room.react(&id, "anna", "1️⃣");
    room.react(&post, "anna", "1\u{20e3}");
    room.react(&post, "ben", "2️⃣");
    assert!(!room.is_closed(&id));
    s.world.clock.step_to(s.after(24));
    assert_eq!(
        (s.count().await, s.votes().await),
        ((1, false), Some(vec![1, 1]))
    );
    assert!(room.is_closed(&id));
}

#[tokio::test]
async fn a_vote_on_what_is_no_longer_proposed_is_closed() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    let posts = s.world.posts("v2").await;
    let id = posts
        .into_iter()
        .find(|p| p.operation == Operation::Poll)
        .unwrap()
        .remote
        .unwrap();
    s.plan(&s.set(96)).await;
    assert!(s.rooms[MATRIX].is_closed(&id));
}

#[tokio::test]
async fn a_poll_whose_time_to_vote_is_over_is_put_to_nobody() {
    let s = Story::new().await;
    let late = s.asked();
    s.world.clock.step_to(s.after(24));
    let file = UpgradeFile {
        upgrade: late,
        file: SourceFile {
            name: "upgrades/v2.yaml".into(),
            text: String::new(),
        },
    };
    let planned = Planner::new(s.world.core.clone())
        .tick_with(&[file])
        .await
        .unwrap();
    let [refused] = &planned.refused[..] else {
        panic!("{:?}", planned.refused)
    };
    assert!(
        refused
            .message
            .contains("the time to vote on its window is over"),
        "{refused}"
    );
    assert_eq!(s.world.store.upgrades().await.unwrap().len(), 0);
}

#[tokio::test]
async fn another_poll_starts_anew() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    s.react(DISCORD, "1️⃣").await;
    s.world.clock.step_to(s.after(24));
    assert_eq!((s.count().await.0, s.votes().await), (1, Some(vec![1, 0])));
    let old = s.post("proposed", DISCORD).await.remote.unwrap();

    // Nobody can make the second: the first stays, another is asked about, and there is a day more.
    let poll = Poll {
        windows: vec![s.window(72), s.window(120)],
        decide_by: s.after(48),
    };
    s.plan(&Upgrade {
        poll: Some(poll),
        ..s.asked()
    })
    .await;
    let new = s.post("proposed", DISCORD).await.remote.unwrap();
    assert_ne!(old, new, "people are asked again");
    assert!(
        s.rooms[DISCORD]
            .text(&old)
            .unwrap()
            .starts_with("> **No longer so:** a new window is being chosen.")
    );
    assert_eq!((s.count().await, s.votes().await), ((0, false), None));
    s.react(DISCORD, "2️⃣").await;
    s.world.clock.step_to(s.after(48));
    assert_eq!(
        (s.count().await.0, s.votes().await),
        (1, Some(vec![0, 1])),
        "the old votes are gone"
    );
    assert_eq!(s.world.told("v2", OPERATORS).await, ["counted", "counted"]);
}

#[tokio::test]
async fn a_chat_that_cannot_be_read_is_waited_for_until_the_count_is_of_no_use() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    s.react(DISCORD, "1️⃣").await;
    s.react(MATRIX, "1️⃣").await;
    s.deafness[MATRIX].deaf.store(true, Ordering::Relaxed);
    s.world.clock.step_to(s.after(24));
    assert_eq!((s.count().await, s.votes().await), ((0, true), None));
    let troubles = s.world.store.troubles().await.unwrap();
    assert!(
        troubles
            .iter()
            .any(|(part, words, _)| part == "votes in matrix-upgrades"
                && words.contains("no answer in time")),
        "{troubles:?}"
    );
    s.world.clock.step_to(s.after(48));
    assert_eq!(
        (s.count().await, s.votes().await),
        ((1, false), Some(vec![1, 0])),
        "a day is enough"
    );
    assert!(
        s.world
            .store
            .troubles()
            .await
            .unwrap()
            .iter()
            .all(|(part, ..)| part != "votes in matrix-upgrades")
    );
}

#[tokio::test]
async fn a_chat_that_cannot_be_read_is_asked_ever_more_rarely_and_counted_when_it_can_be() {
    let s = Story::new().await;
    s.plan(&s.asked()).await;
    s.react(DISCORD, "1️⃣").await;
    s.react(MATRIX, "1️⃣").await;
    s.deafness[MATRIX].deaf.store(true, Ordering::Relaxed);
    s.world.clock.step_to(s.after(24));
    // A herald looks each ten seconds, for an hour.
    for _ in 0..360 {
        assert_eq!(s.count().await, (0, true));
        s.world.step(10);
    }
    let asked = s.deafness[MATRIX].asked.load(Ordering::Relaxed);
    assert!((5..=20).contains(&asked), "asked {asked} times");
    s.deafness[MATRIX].deaf.store(false, Ordering::Relaxed);
    s.world.step(300);
    assert_eq!(
        (s.count().await, s.votes().await),
        ((1, false), Some(vec![2, 0]))
    );
    assert!(s.world.store.troubles().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_takes_something_back_answers_what_was_said_last() {
    let s = Story::new().await;
    s.plan(&s.set(72)).await;
    assert_eq!(
        s.rooms[DISCORD].answered(&s.post("set", DISCORD).await.remote.unwrap()),
        None,
        "nobody was asked"
    );
    s.plan(&s.set(96)).await;
    s.plan(&Upgrade {
        cancelled: Some("a fault".into()),
        ..s.set(96)
    })
    .await;
    for channel in [DISCORD, MATRIX] {
        let mut ids = Vec::new();
        for notice in ["set", "moved", "off"] {
            ids.push(s.post(notice, channel).await.remote.unwrap());
        }
        let answered: Vec<Option<String>> =
            ids.iter().map(|id| s.rooms[channel].answered(id)).collect();
        assert_eq!(
            answered,
            [None, Some(ids[0].clone()), Some(ids[1].clone())],
            "{channel}: never the board"
        );
    }
}
