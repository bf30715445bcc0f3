//! One suite for every store: in memory, SQLite in a file, PostgreSQL. And what PostgreSQL has beyond: the lead.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    adapters::store::SqlStore,
    domain::{
        campaign::{Campaign, change::Change},
        chain::{fact::Fact, fact_kind::FactKind},
        outbox::{Body, Operation, Post, PostState},
        people::reply::{Outcome, Reply},
    },
    plan::planner::timed,
    ports::{
        Accepted, Approved, AttemptOutcome, Batch, CampaignStore, Leadership, LeadershipStore,
        Move, OutboxStore, Record, RecordKind, RecordStore, Replica, RequestStore, Store,
        StoreError, Supersede,
    },
};

use crate::{
    delivery::kill_points::old_store,
    harness::{plans::every_notice, stores::MemoryStore},
    support::{Forwarder, Postgres, wait},
};

struct Kind {
    name: &'static str,
    url: String,
    _dir: tempfile::TempDir,
}

async fn kinds() -> Result<Vec<Kind>> {
    let dir = tempfile::tempdir()?;
    let file = format!("sqlite://{}", dir.path().join("herald.db").display());
    let postgres = Postgres::shared().await?.database().await?;
    let kind = |name, url| {
        anyhow::Ok(Kind {
            name,
            url,
            _dir: tempfile::tempdir()?,
        })
    };
    Ok(vec![
        kind("memory", "sqlite::memory:".into())?,
        Kind {
            name: "sqlite",
            url: file,
            _dir: dir,
        },
        kind("postgres", postgres)?,
    ])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn sample() -> (Campaign, Vec<Post>) {
    let loaded = every_notice();
    let upgrade = loaded.config.upgrades[0].upgrade.clone();
    let posts = timed(&upgrade, 1, &loaded.config.plan, at(-100_000_000));
    (Campaign::new(upgrade, at(0)), posts)
}

fn body(text: &str) -> Body {
    Body {
        text: text.into(),
        ..Body::default()
    }
}

/// Every promise that services rely on.
async fn keeps_its_promises(store: &dyn Store) -> Result<()> {
    let (campaign, mut posts) = sample();
    let id = campaign.upgrade.id.clone();
    let channel = posts[0].channel.clone();
    posts.retain(|p| p.channel == channel);
    posts.truncate(6);
    // Two that are due in the same instant keep the order in which they were written.
    let (mut one, mut two) = (
        posts[0].beside(Operation::Edit, 2),
        posts[0].beside(Operation::Edit, 1),
    );
    (one.due, two.due) = (at(-900), at(-900));
    posts
        .iter_mut()
        .enumerate()
        .for_each(|(i, p)| p.due = at(i64::try_from(i).unwrap() * 10));

    // What is written in one batch is there, and once.
    let batch = Batch {
        upgrades: vec![campaign.clone()],
        posts: posts.clone(),
        ..Batch::default()
    };
    store.commit(batch.clone()).await?;
    store.commit(batch).await?;
    assert_eq!(store.upgrades().await?, std::slice::from_ref(&campaign));
    assert_eq!(store.campaign(&id).await?.as_ref(), Some(&campaign));
    assert_eq!(store.campaign("another").await?, None);
    assert_eq!(store.posts(&id).await?, posts, "as they were");
    assert_eq!(store.waiting().await?.len(), posts.len());
    let changed = Campaign {
        revision: 2,
        commanded: BTreeSet::from(["window".to_owned()]),
        file: Some(campaign.upgrade.clone()),
        ..campaign.clone()
    };
    store
        .commit(Batch {
            upgrades: vec![changed.clone()],
            posts: vec![one.clone(), two.clone()],
            ..Batch::default()
        })
        .await?;
    assert_eq!(store.upgrades().await?, [changed]);
    let of_one_time: Vec<_> = store
        .posts(&id)
        .await?
        .into_iter()
        .filter(|p| p.due == at(-900))
        .map(|p| p.key)
        .collect();
    assert_eq!(of_one_time, [one.key.clone(), two.key.clone()]);
    for key in [&one.key, &two.key] {
        store
            .finish(
                key,
                &AttemptOutcome::Dropped {
                    reason: "not needed".into(),
                },
            )
            .await?;
    }

    // A channel gives its first post, when it is due; whoever raises its attempts first has it.
    assert_eq!(store.next_due(&channel, at(-1)).await?, None);
    assert_eq!(store.next_time(&channel).await?, Some(at(0)));
    let first = store.next_due(&channel, at(0)).await?.expect("it is due");
    assert_eq!(first.key, posts[0].key);
    assert!(
        store
            .begin(&first, &body("once"), true, at(0), at(30))
            .await?
    );
    assert!(
        !store
            .begin(&first, &body("twice"), false, at(0), at(30))
            .await?,
        "another one has it"
    );
    let begun = store.post(&first.key).await?.expect("it is there");
    assert_eq!(
        (begun.state, begun.attempts, begun.late),
        (PostState::Sending, 1, true)
    );
    assert_eq!(
        begun.body,
        Some(body("once")),
        "a key has one content for ever"
    );
    // Its lease holds the channel, and its backoff.
    assert_eq!(store.next_due(&channel, at(29)).await?, None);
    assert_eq!(store.next_time(&channel).await?, Some(at(30)));
    assert_eq!(
        store.next_due(&channel, at(30)).await?.map(|p| p.key),
        Some(first.key.clone())
    );
    store
        .finish(
            &first.key,
            &AttemptOutcome::Retry {
                error: "away".into(),
                not_before: at(60),
                aside: false,
            },
        )
        .await?;
    assert_eq!(
        (
            store.next_due(&channel, at(59)).await?,
            store.next_time(&channel).await?
        ),
        (None, Some(at(60)))
    );
    // A clock that was set back by more than a minute holds nothing.
    assert!(store.next_due(&channel, at(60)).await?.is_some());
    let again = store
        .next_due(&channel, at(60))
        .await?
        .expect("its time has come");
    assert!(
        store
            .begin(&again, &body("twice"), false, at(60), at(90))
            .await?
    );
    assert!(
        store.next_due(&channel, at(-30)).await?.is_none(),
        "it is not due by this clock"
    );
    assert_eq!(
        store.post(&first.key).await?.and_then(|p| p.body),
        Some(body("once"))
    );
    let accepted_by_chat = Accepted {
        id: "m1".into(),
        link: Some("https://example.org/m1".into()),
    };
    store
        .finish(
            &first.key,
            &AttemptOutcome::Sent {
                accepted: accepted_by_chat,
                at: at(61),
            },
        )
        .await?;
    let sent = store
        .sent(&id, &channel, Operation::Post)
        .await?
        .expect("it was sent");
    assert_eq!(
        (
            sent.remote.as_deref(),
            sent.link.as_deref(),
            sent.sent,
            sent.error
        ),
        (
            Some("m1"),
            Some("https://example.org/m1"),
            Some(at(61)),
            None
        )
    );

    // What turns out not to be out and holds no more has no words again, and is a post like any other that waits.
    let unsaid = store
        .next_due(&channel, at(1000))
        .await?
        .expect("the second");
    assert!(
        store
            .begin(&unsaid, &body("in 1 hour"), false, at(1000), at(1030))
            .await?
    );
    store
        .finish(
            &unsaid.key,
            &AttemptOutcome::Unsaid {
                reason: "not in time".into(),
            },
        )
        .await?;
    let unsaid = store.next_due(&channel, at(1000)).await?.expect("at once");
    assert_eq!(
        (
            unsaid.key.clone(),
            unsaid.state,
            unsaid.attempts,
            unsaid.body
        ),
        (posts[1].key.clone(), PostState::Planned, 1, None)
    );
    assert!(store.waiting().await?.iter().any(|p| p.key == unsaid.key));

    // What waits can be moved, held, let go, and expire; what was begun can't.
    let second = posts[1].key.clone();
    let moves = |step: Move| Batch {
        moves: vec![(second.clone(), step.clone()), (first.key.clone(), step)],
        ..Batch::default()
    };
    store
        .commit(moves(Move::Hold("two have to agree".into())))
        .await?;
    let state = async |key| anyhow::Ok(store.post(key).await?.map(|p| (p.state, p.error)));
    assert_eq!(
        state(&second).await?,
        Some((PostState::Held, Some("two have to agree".into())))
    );
    assert_eq!(state(&first.key).await?, Some((PostState::Sent, None)));
    assert_ne!(
        store.next_due(&channel, at(1000)).await?.map(|p| p.key),
        Some(second.clone()),
        "it no longer blocks its channel"
    );
    store.commit(moves(Move::Release)).await?;
    store.commit(moves(Move::Due(at(5)))).await?;
    assert_eq!(
        store
            .next_due(&channel, at(1000))
            .await?
            .map(|p| (p.key, p.due)),
        Some((second.clone(), at(5)))
    );
    store.commit(moves(Move::Expire("too late".into()))).await?;
    assert_eq!(
        state(&second).await?,
        Some((PostState::Expired, Some("too late".into())))
    );
    let old = Supersede {
        upgrade: id.clone(),
        below: 2,
        due_by: at(20),
    };
    store
        .commit(Batch {
            supersede: vec![old],
            ..Batch::default()
        })
        .await?;
    assert_eq!(
        state(&posts[2].key).await?.map(|s| s.0),
        Some(PostState::Superseded)
    );
    assert_eq!(
        state(&posts[3].key).await?.map(|s| s.0),
        Some(PostState::Planned),
        "due later"
    );

    // Parked is tried again at a start, with its words if it was begun.
    let third = store
        .next_due(&channel, at(1000))
        .await?
        .expect("another one");
    assert!(
        store
            .begin(&third, &body("words"), false, at(1000), at(1030))
            .await?
    );
    store
        .finish(
            &third.key,
            &AttemptOutcome::Parked {
                error: "refused".into(),
            },
        )
        .await?;
    store
        .finish(
            &posts[4].key,
            &AttemptOutcome::Parked {
                error: "no words".into(),
            },
        )
        .await?;
    store
        .set_trouble("channel c", Some("refused"), at(1))
        .await?;
    store
        .set_trouble("channel c", Some("still refused"), at(2))
        .await?;
    store.set_trouble("chain x", Some("away"), at(3)).await?;
    store.set_trouble("chain x", None, at(4)).await?;
    assert_eq!(
        store.troubles().await?,
        [("channel c".to_owned(), "still refused".to_owned(), at(1))]
    );
    store.begin_anew().await?;
    assert!(store.troubles().await?.is_empty());
    assert_eq!(
        state(&third.key).await?.map(|s| s.0),
        Some(PostState::Sending)
    );
    assert_eq!(
        state(&posts[4].key).await?.map(|s| s.0),
        Some(PostState::Planned)
    );

    // Facts once each, in the order in which they were seen.
    let fact = |block: u64, kind| Fact {
        block,
        ..fact(kind)
    };
    let facts = vec![
        fact(9, FactKind::Applied),
        fact(3, FactKind::Authorized),
        fact(9, FactKind::Applied),
    ];
    store
        .commit(Batch {
            facts: facts.clone(),
            ..Batch::default()
        })
        .await?;
    assert_eq!(store.facts().await?, facts[..2]);
    assert_eq!(store.facts_of(FactKind::Authorized).await?, facts[1..2]);

    // Commands are numbered, and answered once.
    let change = Change::Cancel {
        reason: "a fault".into(),
    };
    let numbers = (
        store.request(&id, &change, "Ada", at(7)).await?,
        store.request(&id, &Change::Go, "Ben", at(8)).await?,
    );
    assert!(numbers.0 < numbers.1);
    // One that is discarded is followed by nobody, whoever has read it before.
    let discarded = store.request(&id, &Change::Close, "Ada", at(9)).await?;
    let taken_back = Outcome::Refused(Reply::Discarded {
        person: "Ada".to_owned(),
    });
    assert!(store.discard(discarded, &taken_back).await?);
    assert!(!store.discard(discarded, &taken_back).await?);
    let closed = Batch {
        answered: vec![(discarded, Outcome::Done(Reply::FeedbackClosedNow))],
        upgrades: vec![Campaign {
            revision: 99,
            ..campaign.clone()
        }],
        ..Batch::default()
    };
    assert!(store.commit(closed).await.is_err(), "nothing of it counts");
    assert_ne!(store.upgrades().await?[0].revision, 99);
    assert_eq!(store.outcome(discarded).await?, Some(taken_back));
    assert_eq!(
        store
            .requests()
            .await?
            .iter()
            .map(|r| (&r.change, r.author.as_str()))
            .collect::<Vec<_>>(),
        [(&change, "Ada"), (&Change::Go, "Ben")]
    );
    store
        .commit(Batch {
            answered: vec![(numbers.0, Outcome::Done(Reply::NoteStands))],
            ..Batch::default()
        })
        .await?;
    assert_eq!(
        store.outcome(numbers.0).await?,
        Some(Outcome::Done(Reply::NoteStands))
    );
    assert_eq!(
        (
            store.outcome(numbers.1).await?,
            store.requests().await?.len()
        ),
        (None, 1)
    );
    let given = Approved {
        upgrade: id.clone(),
        code: "k7m2qx".into(),
        person: "Ada".into(),
        at: at(9),
    };
    store
        .commit(Batch {
            approvals: vec![given.clone(), given.clone()],
            ..Batch::default()
        })
        .await?;
    assert_eq!(store.approvals(&id).await?, [given]);
    assert!(
        store.remember("command-1", at(1)).await? && !store.remember("command-1", at(2)).await?
    );

    // Entries stay as they were said first, unless another takes their place.
    let entry = |name: &str, second, word: &str| Record {
        kind: RecordKind::Answer,
        upgrade: id.clone(),
        id: name.into(),
        at: at(second),
        value: serde_json::json!({ "word": word }),
    };
    let (one, two) = (entry("b", 2, "one"), entry("a", 1, "it's \u{1f600}"));
    assert!(store.write(&one, false).await? && store.write(&two, false).await?);
    assert!(!store.write(&entry("b", 3, "again"), false).await?);
    assert_eq!(
        store.entries(RecordKind::Answer, &id).await?,
        [two.clone(), one]
    );
    let other = entry("b", 0, "another");
    assert!(store.write(&other, true).await?);
    assert_eq!(store.entries(RecordKind::Answer, &id).await?, [other, two]);
    assert!(
        store.entries(RecordKind::Act, &id).await?.is_empty()
            && store.entries(RecordKind::Answer, "else").await?.is_empty()
    );
    assert!(
        store.erase(RecordKind::Answer, &id, "b").await?
            && !store.erase(RecordKind::Answer, &id, "b").await?
    );
    assert_eq!(store.entries(RecordKind::Answer, &id).await?.len(), 1);
    Ok(())
}

fn fact(kind: FactKind) -> Fact {
    serde_json::from_value(serde_json::json!({
        "kind": kind, "chain": "paseo", "block": 1, "hash": "0x01", "spec_version": 2, "time": null
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_keeps_its_promises() -> Result<()> {
    // The simulation's own as well.
    keeps_its_promises(&MemoryStore::default())
        .await
        .map_err(|e| e.context("the simulation's"))?;
    for kind in kinds().await? {
        let store = SqlStore::open(&kind.url).await?;
        keeps_its_promises(&store)
            .await
            .map_err(|e| e.context(kind.name))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_another_opening() -> Result<()> {
    for kind in kinds().await?.into_iter().filter(|k| k.name != "memory") {
        let (campaign, posts) = sample();
        let store = SqlStore::open(&kind.url).await?;
        store
            .commit(Batch {
                upgrades: vec![campaign.clone()],
                posts: posts.clone(),
                ..Batch::default()
            })
            .await?;
        drop(store);
        let store = SqlStore::open_existing(&kind.url).await?;
        assert_eq!(
            (
                store.upgrades().await?,
                store.posts(&campaign.upgrade.id).await?.len()
            ),
            (vec![campaign], posts.len()),
            "{}",
            kind.name
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_version_is_taken_over_whole() -> Result<()> {
    for kind in kinds().await?.into_iter().filter(|k| k.name != "memory") {
        old_store(&kind.url).await?;
        if kind.name == "postgres" {
            // Others may still run with it.
            let error = SqlStore::open_existing(&kind.url)
                .await
                .err()
                .expect("a command changes nothing")
                .to_string();
            assert!(
                error.contains("the next `herald run` brings it up to date"),
                "{error}"
            );
        }
        for _ in 0..2 {
            drop(SqlStore::open(&kind.url).await?);
            let store = SqlStore::open_existing(&kind.url).await?;
            let upgrades = store.upgrades().await?;
            assert_eq!(
                upgrades
                    .iter()
                    .map(|a| (
                        a.upgrade.id.as_str(),
                        a.progress.state.name(),
                        a.upgrade.unplanned
                    ))
                    .collect::<Vec<_>>(),
                [("v1", "applied", false)],
                "{}",
                kind.name
            );
            assert_eq!(store.memories().await?["relay"].number, 1);
            assert_eq!(store.facts().await?.len(), 1);
            let posts = store.posts("v1").await?;
            let seen: Vec<_> = posts
                .iter()
                .map(|p| (p.state, p.edition, p.body.as_ref().map(|b| b.text.as_str())))
                .collect();
            assert_eq!(
                seen,
                [
                    (PostState::Sent, 0, Some("hello")),
                    (PostState::Superseded, 0, None)
                ],
                "{}",
                kind.name
            );
            // What was posted then is known for ever.
            let again = Batch {
                posts: posts
                    .iter()
                    .map(|p| Post {
                        state: PostState::Planned,
                        ..p.clone()
                    })
                    .collect(),
                ..Batch::default()
            };
            store.commit(again).await?;
            assert_eq!(store.posts("v1").await?, posts);
        }
    }
    Ok(())
}

/// What a store remembers, written down.
async fn written(store: &SqlStore) -> Result<String> {
    let mut out = Vec::new();
    store.export(&mut out).await?;
    Ok(String::from_utf8(out)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_another_database_and_back_whole() -> Result<()> {
    let kinds: Vec<Kind> = kinds()
        .await?
        .into_iter()
        .filter(|k| k.name != "memory")
        .collect();
    let (first, others) = kinds.split_first().expect("SQLite comes first");
    old_store(&first.url).await?;
    let store = SqlStore::open(&first.url).await?;
    let (campaign, posts) = sample();
    store
        .commit(Batch {
            upgrades: vec![campaign],
            posts: posts.clone(),
            ..Batch::default()
        })
        .await?;
    // In the middle of it: a post in flight, one that was sent, a line break and a quote in words.
    assert!(
        store
            .begin(
                &posts[0],
                &body("one\n\"two\" \u{2713}"),
                true,
                at(1),
                at(60)
            )
            .await?
    );
    assert!(
        store
            .begin(&posts[1], &body("three"), false, at(1), at(60))
            .await?
    );
    let sent = Accepted {
        id: "7".into(),
        link: Some("https://example.org/7".into()),
    };
    store
        .finish(
            &posts[1].key,
            &AttemptOutcome::Sent {
                accepted: sent,
                at: at(2),
            },
        )
        .await?;
    store
        .set_trouble("channel x", Some("it's away"), at(3))
        .await?;
    let text = written(&store).await?;
    drop(store);

    let back = tempfile::tempdir()?;
    let back = format!("sqlite://{}", back.path().join("back.db").display());
    for url in others.iter().map(|k| &k.url).chain([&back]) {
        let store = SqlStore::open(url).await?;
        let lines: Vec<&str> = text.lines().collect();
        let wrong = |i: usize, line: &str| -> String {
            let mut lines = lines.clone();
            lines[i] = line;
            lines.join("\n")
        };
        let other = lines[0].replace(r#""schema":"#, r#""schema":9"#);
        let number = lines[1].replace(r#""revision":"#, r#""revision":"x","was":"#);
        for (bad, said) in [
            (
                lines[..lines.len() - 1].join("\n"),
                "the file ends too early",
            ),
            (
                lines[..lines.len() - 2]
                    .iter()
                    .chain(&lines[lines.len() - 1..])
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n"),
                "copy the file again",
            ),
            (format!("{text}{}", lines[1]), "behind the end"),
            (wrong(0, "{}"), "line 1: this is not what"),
            (wrong(0, &other), "another herald"),
            (
                wrong(1, &number),
                "line 2: `revision` is to be a whole number",
            ),
            (
                wrong(2, r#"{"table":"secrets","row":{}}"#),
                "line 3: there is no table `secrets`",
            ),
            (
                wrong(2, r#"{"table":"memories","row":{"chain":"a"}}"#),
                "line 3: `memory` is missing",
            ),
            (wrong(2, lines[1]), "line 3: "),
        ] {
            let error = store
                .import(bad.as_bytes())
                .await
                .expect_err(said)
                .to_string();
            assert!(error.contains(said), "{said}: {error}");
            assert!(
                store.upgrades().await?.is_empty(),
                "{said}: nothing of it stays"
            );
        }
        assert_eq!(store.import(text.as_bytes()).await?, lines.len() - 2);
        assert_eq!(written(&store).await?, text);
        let error = store
            .import(text.as_bytes())
            .await
            .expect_err("it is full")
            .to_string();
        assert!(error.contains("in use already"), "{error}");
        // Whoever goes on with it finds the post in flight, and reads back before anything else.
        let flying = store.post(&posts[0].key).await?.expect("it is there");
        assert_eq!(
            (flying.state, flying.attempts, flying.late),
            (PostState::Sending, 1, true)
        );
        // And not while somebody runs on it.
        let me = Replica {
            name: "a".into(),
            instance: "1".into(),
        };
        store.lead(&me, SignedDuration::from_secs(60)).await?;
        let error = store
            .export(&mut Vec::new())
            .await
            .expect_err("a replica runs")
            .to_string();
        assert!(
            error.contains("the replica a runs on this store; stop all of them first"),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_workers_one_has_a_post() -> Result<()> {
    for kind in kinds().await?.into_iter().filter(|k| k.name != "memory") {
        let (campaign, posts) = sample();
        let mut stores = Vec::new();
        for _ in 0..4 {
            stores.push(Arc::new(SqlStore::open(&kind.url).await?));
        }
        stores[0]
            .commit(Batch {
                upgrades: vec![campaign],
                posts: posts.clone(),
                ..Batch::default()
            })
            .await?;
        for post in posts.iter().take(20) {
            let tries: Vec<_> = stores
                .iter()
                .map(|store| {
                    let (store, post) = (store.clone(), post.clone());
                    tokio::spawn(async move {
                        store
                            .begin(&post, &body("words"), false, at(0), at(30))
                            .await
                    })
                })
                .collect();
            let mut claims = 0;
            for one in tries {
                claims += usize::from(one.await??);
            }
            assert_eq!(claims, 1, "{}", kind.name);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_nobody_has_used_is_no_store_for_a_command() -> Result<()> {
    let url = Postgres::shared().await?.database().await?;
    let error = SqlStore::open_existing(&url)
        .await
        .err()
        .expect("there is nothing")
        .to_string();
    assert!(
        error.contains("no herald has used this database yet"),
        "{error}"
    );
    // Four that start at once make it once.
    let opened = futures::future::join_all((0..4).map(|_| SqlStore::open(&url))).await;
    opened.into_iter().try_for_each(|o| o.map(drop))?;
    SqlStore::open_existing(&url).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_told_and_left_for_the_one_that_took_over() -> Result<()> {
    let mut primary = Postgres::start().await?;
    let url = primary.database().await?;
    drop(SqlStore::open(&url).await?);
    let standby = primary.standby().await?;
    let door = Forwarder::start(standby.port()).await?;
    let url = url.replace(&primary.port().to_string(), &door.port().to_string());
    let store = SqlStore::open_existing(&url).await?;

    let told = store.check_writable().await.expect_err("it only reads");
    assert!(told.to_string().contains("recovery"), "{told}");
    let note = Change::Note {
        text: "Ready.".to_owned(),
    };
    let record = Record::new(RecordKind::Answer, "v2", "id".to_owned(), at(0), &1)?;
    for (what, refused) in [
        (
            "request",
            store.request("v2", &note, "Ada", at(0)).await.is_err(),
        ),
        ("write", store.write(&record, true).await.is_err()),
        (
            "erase",
            store.erase(RecordKind::Answer, "v2", "id").await.is_err(),
        ),
        ("remember", store.remember("event", at(0)).await.is_err()),
        (
            "trouble",
            store
                .set_trouble("part", Some("words"), at(0))
                .await
                .is_err(),
        ),
        (
            "lead",
            store.lead(&replica("a", "a-1"), LONG).await.is_err(),
        ),
        ("commit", store.commit(Batch::default()).await.is_err()),
    ] {
        assert!(refused, "{what} was told as done");
    }
    assert!(store.upgrades().await?.is_empty(), "it still reads");

    // Connections that stand still lead to the server that only reads: the first refusal is the end of all of them.
    let read = futures::future::join_all((0..4).map(|_| store.upgrades())).await;
    read.into_iter().try_for_each(|read| read.map(drop))?;
    door.lead_to(primary.port());
    let _refused = store.check_writable().await;
    store.check_writable().await?;
    assert!(store.requests().await?.is_empty() && store.troubles().await?.is_empty());
    assert_eq!(store.request("v2", &note, "Ada", at(0)).await?, 1);
    assert!(store.remember("event", at(0)).await?);
    Ok(())
}

/// Longer than any machine stands still, so that a lead of this length ends only where a test wants it to.
const LONG: SignedDuration = SignedDuration::from_hours(1);

fn replica(name: &str, instance: &str) -> Replica {
    Replica {
        name: name.into(),
        instance: instance.into(),
    }
}

/// Renews its lead for a moment and not again; returns when the lead is over by the store's own clock.
async fn falls_silent(store: &SqlStore, me: &Replica) -> Result<()> {
    let kept = store.lead(me, SignedDuration::from_millis(1)).await?;
    assert!(matches!(kept, Leadership::Mine { .. }), "{kept:?}");
    wait::until("the end of the lead", Duration::from_secs(60), async || {
        store
            .replicas()
            .await
            .ok()?
            .iter()
            .all(|known| !known.active)
            .then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_has_the_lead_and_who_was_deposed_writes_nothing() -> Result<()> {
    let url = Postgres::shared().await?.database().await?;
    let (a, b) = (SqlStore::open(&url).await?, SqlStore::open(&url).await?);
    let (anna, ben) = (replica("a", "a-1"), replica("b", "b-1"));
    assert_eq!(a.lead(&anna, LONG).await?, Leadership::Mine { term: 1 });
    assert_eq!(
        a.lead(&anna, LONG).await?,
        Leadership::Mine { term: 1 },
        "renewed"
    );
    assert_eq!(
        b.lead(&ben, LONG).await?,
        Leadership::Theirs {
            replica: "a".into()
        }
    );
    let names = |known: &[upgrade_herald::ports::ReplicaInfo]| {
        known
            .iter()
            .map(|k| (k.name.clone(), k.active))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&b.replicas().await?),
        [("a".to_owned(), true), ("b".to_owned(), false)]
    );
    // Another process under a name that is in use, until nothing was heard of the first for as long.
    assert_eq!(
        b.lead(&replica("a", "a-2"), LONG).await?,
        Leadership::Doubled
    );
    let (campaign, posts) = sample();
    a.commit(Batch {
        upgrades: vec![campaign.clone()],
        posts: posts.clone(),
        ..Batch::default()
    })
    .await?;
    falls_silent(&a, &anna).await?;
    assert_eq!(b.lead(&ben, LONG).await?, Leadership::Mine { term: 2 });
    // The first one wakes up.
    let first = &posts[0];
    for refused in [
        a.begin(first, &body("late"), false, at(0), at(30))
            .await
            .err(),
        a.finish(
            &first.key,
            &AttemptOutcome::Parked {
                error: "late".into(),
            },
        )
        .await
        .err(),
        a.commit(Batch::default()).await.err(),
        a.begin_anew().await.err(),
    ] {
        let refused = refused.expect("it was deposed");
        assert!(
            matches!(refused, StoreError::Fenced)
                && refused
                    .to_string()
                    .contains("another replica has taken over"),
            "{refused}"
        );
    }
    assert_eq!(
        b.post(&first.key).await?.map(|p| (p.state, p.attempts)),
        Some((PostState::Planned, 0))
    );
    assert!(
        b.begin(first, &body("in time"), false, at(0), at(30))
            .await?
    );
    assert_eq!(
        a.lead(&anna, LONG).await?,
        Leadership::Theirs {
            replica: "b".into()
        }
    );
    // Who leaves leaves at once.
    b.resign(&ben).await?;
    assert_eq!(a.lead(&anna, LONG).await?, Leadership::Mine { term: 3 });
    a.commit(Batch::default()).await?;
    assert_eq!(names(&a.replicas().await?), [("a".to_owned(), true)]);
    // A command at the machine is nobody's replica.
    SqlStore::open_existing(&url)
        .await?
        .request(&campaign.upgrade.id, &Change::Go, "Ada", at(0))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_ask_at_once_one_has_the_lead() -> Result<()> {
    let url = Postgres::shared().await?.database().await?;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(SqlStore::open(&url).await?);
    }
    for term in 1..=10 {
        // Each time others: who had the lead before would only renew it.
        let replicas: Vec<Replica> = (0..stores.len())
            .map(|i| format!("r{i}-{term}"))
            .map(|name| replica(&name, &name))
            .collect();
        let asked = stores
            .iter()
            .zip(&replicas)
            .map(|(store, me)| store.lead(me, LONG));
        let answers = futures::future::join_all(asked)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let first = answers
            .iter()
            .position(|a| matches!(a, Leadership::Mine { .. }))
            .unwrap_or_else(|| panic!("nobody: {answers:?}"));
        for (i, answer) in answers.iter().enumerate() {
            let wanted = if i == first {
                Leadership::Mine { term }
            } else {
                Leadership::Theirs {
                    replica: replicas[first].name.clone(),
                }
            };
            assert_eq!(*answer, wanted, "term {term}: {answers:?}");
        }
        falls_silent(&stores[first], &replicas[first]).await?;
    }
    Ok(())
}
