//! The sample holds everything that a context can have: templates are checked and measured with it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::{ApprovalRequest, MAX_TIMELINE_ENTRIES, NUMBER_EMOJI, RenderInput, commands, duty};
use crate::{
    config::{Config, Plan, Topic},
    domain::{
        campaign::{
            Campaign,
            follow_up::FollowUp,
            parachains::{ParachainWatch, StoppedParachain},
            progress::{Awaited, Health, Measurements, Migration, Note, Progress, Stage, State},
            slis::{Shares, Slis},
            upgrade::{
                Decision, Duty, Link, Method, Poll, Referendum, Step, Target, Upgrade, Urgency,
                Window,
            },
        },
        chain::{
            block_times::{Estimate, Stretch},
            fact::{Expected, Fact},
            payload::{Payload, ReferendumNews, ReferendumStatus},
            pending::{ConfigurationChange, PendingChanges, PendingConfiguration, SessionClock},
        },
        people::{
            command::Verb,
            feedback::{MAX_QUOTE_CHARS, MAX_QUOTES, Quote, Summary},
            permission::Role,
            roster::ReadinessCount,
        },
        plan::{
            notice::{Audience, Notice, Phase, Trigger},
            schedule::Offset,
        },
    },
    words::{context::MAX_PROVIDERS_IN_REMINDER, limits::MAX_DETAIL_CHARS},
};

/// Makes an upgrade with everything in it; `filler(n)` makes a text of up to `n` characters.
pub fn sample(plan: &Plan, filler: impl Fn(usize) -> String) -> (Campaign, Fact) {
    let now = Timestamp::from_second(1_796_130_000).unwrap_or(Timestamp::UNIX_EPOCH);
    let duty = || Duty {
        required: true,
        what: filler(100),
        node_version: Some(filler(12)),
        by: Some(now),
    };
    let upgrade = Upgrade {
        id: filler(20),
        title: filler(60),
        summary: filler(140),
        urgency: Urgency::Expedited,
        method: Method::Governance,
        window: Window {
            opens: now,
            closes: now,
        },
        chains: (0..8)
            .map(|i| {
                (
                    format!("{}{i}", filler(11)),
                    Target {
                        spec_version: u32::MAX,
                        code_hash: None,
                    },
                )
            })
            .collect(),
        changes: vec![filler(60); 3],
        links: vec![
            Link {
                name: filler(20),
                url: format!("https://{}", filler(72))
            };
            2
        ],
        duties: Audience::iter().map(|a| (a, duty())).collect(),
        referendum: Some(Referendum {
            chain: filler(16),
            index: u32::MAX,
        }),
        poll: Some(Poll {
            windows: vec![
                Window {
                    opens: now,
                    closes: now
                };
                9
            ],
            decide_by: now,
        }),
        rollback: Some(filler(160)),
        steps: Step::iter()
            .map(|step| (step, format!("https://{}", filler(92))))
            .collect(),
        decision: Some(Decision::NoGo(filler(160))),
        cancelled: Some(filler(160)),
        failed: Some(filler(160)),
        unplanned: false,
        joined: None,
    };
    let fact = Fact {
        payload: Payload::AuthorizationRejected { error: filler(66) },
        chain: filler(20),
        block: 99_999_999,
        hash: format!("0x{}", "0".repeat(64)),
        spec_version: u32::MAX,
        time: Some(now),
        on: Some(filler(20)),
        expected: Some(Expected {
            chain: filler(20),
            block: 99_999_999,
            estimate: Some(Estimate {
                at: now,
                band: SignedDuration::from_mins(95),
            }),
        }),
        late: true,
    };
    let mut progress = Progress::new(&upgrade);
    progress.state = State::Completed;
    progress.applied_at = Some(now);
    progress.scheduled = Some(fact.clone());
    progress.referendum = Some(ReferendumNews {
        index: 1234,
        status: ReferendumStatus::ConfirmAborted,
    });
    progress
        .chains
        .values_mut()
        .for_each(|chain| chain.withdrawn = true);
    progress.unexamined = vec!["paseo: 12345678 to 12345679".to_owned()];
    progress.feedback = Some(feedback(plan, &filler));
    let note = || Note {
        at: now,
        text: filler(160),
    };
    progress.notes = vec![note(), note(), note()];
    progress.roll = Some(ReadinessCount {
        of: 999,
        acknowledged: 999,
        ready: 999,
        acknowledge_by: Some(now),
        ready_by: Some(now),
    });
    for (n, chain) in progress.chains.values_mut().enumerate() {
        chain.spec_version = Some(u32::MAX);
        chain.applied = Some(fact.clone());
        chain.ahead = Some(fact.clone());
        chain.transaction_version = Some("99 to 100".to_owned());
        chain.migration = Some(Migration {
            total: Some(99),
            done: 98,
            running: true,
            ..Migration::default()
        });
        let stretch = Stretch {
            blocks: 999,
            ms: 5_994_000,
            longest_ms: 99_900,
            transactions: 9999,
            failed: 999,
            busy: 0,
            missed_slots: Some(99),
        };
        chain.record = Some(Measurements {
            before: stretch.clone(),
            after: stretch,
            worst_lag: 99,
            code: Some(fact.hash.clone()),
            code_planned: Some(fact.hash.clone()),
            answering: Some((9, 9)),
            follow_up: FollowUp {
                session: Some(99_998),
                era: None,
                // One of the chains is a relay.
                pending: Some(if n == 0 {
                    pending(now)
                } else {
                    PendingChanges::default()
                }),
            },
            ..Measurements::default()
        });
        chain.health = Some(Health {
            since: now,
            last: now,
            made: 9999,
            blocks: 9999,
            busy: 9999,
            transactions: 9999,
            failed: 9999,
            longest_gap: 9999,
            restarts: 0,
            trouble: None,
            awaited_until: None,
            slis: Slis {
                last: Some(Shares {
                    made: 1.0,
                    finalized: 1.0,
                    in_time: 1.0,
                    final_in_time: 1.0,
                }),
                ..Slis::default()
            },
        });
        let is_relay = n == 0;
        chain.stage = Stage::Applied;
        chain.awaited = Some(if is_relay {
            Awaited::PendingConfig
        } else {
            Awaited::Session
        });
        chain.parachains = (n == 0).then(parachains);
    }
    (
        Campaign {
            progress,
            ..Campaign::new(upgrade, now)
        },
        fact,
    )
}

fn feedback(plan: &Plan, filler: &impl Fn(usize) -> String) -> Summary {
    let nobody = |_: &str, _: &str| crate::domain::people::feedback::Voice {
        who: String::new(),
        audience: None,
    };
    let empty = Summary::of(&Default::default(), &[], &plan.feedback.meanings, nobody);
    let groups = Audience::iter().map(Some).chain([None]);
    let counts_of = |audience| crate::domain::people::feedback::OfAudience {
        audience,
        reactions: empty.reactions.clone(),
        replies: 999,
    };
    let quote = || Quote {
        audience: Some(Audience::Validators),
        text: filler(MAX_QUOTE_CHARS),
    };
    Summary {
        audiences: groups.map(counts_of).collect(),
        quotes: (0..MAX_QUOTES).map(|_| quote()).collect(),
        ..empty
    }
}

/// Makes a problem, an approval and a reason, each at its longest.
pub fn sample_extras(filler: impl Fn(usize) -> String) -> (Topic, ApprovalRequest, String) {
    let topic = Topic {
        id: filler(24),
        title: filler(80),
        signs: filler(300),
        remedy: vec![filler(200); 6],
        contact: None,
    };
    let asked = ApprovalRequest {
        code: filler(6),
        persons: 2,
        given: vec![filler(40)],
        until: Timestamp::UNIX_EPOCH,
    };
    (topic, asked, filler(MAX_DETAIL_CHARS))
}

/// Builds the context in which everything is there that can be.
pub fn of_everything(sample: &Campaign, config: &Config, moment: &RenderInput<'_>) -> Value {
    let notice = Notice {
        acknowledge: true,
        ..Notice::new(
            "n".repeat(24),
            Phase::Scheduling,
            "",
            Trigger::At(Offset::Exact(0)),
        )
    };
    let mut value = super::of(sample, Some(&notice), config, moment);
    let long = |n: usize| "m".repeat(n);
    let contact =
        json!({ "id": long(24), "name": long(40), "url": format!("https://{}", long(72)) });
    let numbered: Vec<Value> = NUMBER_EMOJI
        .iter()
        .map(|n| json!({ "number": n, "text": long(120) }))
        .collect();
    let topics: Vec<Value> = (0..12)
        .map(|_| json!({ "id": long(16), "title": long(40) }))
        .collect();
    let Some(map) = value.as_object_mut() else {
        return value;
    };
    let validators = sample.upgrade.duties.get(&Audience::Validators);
    // The sample is given up as well, and such an upgrade asks nothing.
    let must = validators.map(|d| duty(Audience::Validators, d, false));
    map.insert("must".into(), json!(must));
    map.insert("contacts".into(), json!([contact]));
    map.insert(
        "checklist".into(),
        json!({ "before": numbered, "after": numbered, "is_after": true }),
    );
    map.insert("help".into(), json!({ "id": long(24), "title": long(80), "elsewhere": [{ "platform": "Matrix", "prefix": "!" }] }));
    map.insert("topics".into(), json!(topics));
    map.insert("commands".into(), commands(Verb::ALL));
    let entry = json!({ "at": sample.accepted.as_second(), "what": long(24) });
    map.insert("timeline".into(), json!(vec![entry; MAX_TIMELINE_ENTRIES]));
    let step = json!({ "item": "1.1a", "role": Role::CommunicationTeam, "text": long(90), "done": true, "by": long(30), "at": sample.accepted.as_second(), "remark": long(160) });
    map.insert(
        "process".into(),
        json!({ "items": vec![step; 24], "done": 24, "of": 24 }),
    );
    map.insert(
        "missing".into(),
        json!(vec![long(40); MAX_PROVIDERS_IN_REMINDER]),
    );
    if let Some(upgrade) = map.get_mut("upgrade").and_then(Value::as_object_mut) {
        upgrade.insert("no_go".into(), json!(sample.upgrade.no_go()));
    }
    if let Some(topic) = map.get_mut("topic").and_then(Value::as_object_mut) {
        topic.insert("contact".into(), contact);
    }
    value
}

/// Makes as many parachains that have stopped as a post names, and more.
fn parachains() -> ParachainWatch {
    let parachain = |id| StoppedParachain {
        id,
        last: 99_999_999,
        back: (id % 2 == 0).then_some(99_999_999),
    };
    let mut watch = ParachainWatch::default();
    watch.stopped.extend((9_990..9_996).map(parachain));
    watch
}

/// Makes changes of each kind, as many as a post names.
fn pending(now: Timestamp) -> PendingChanges {
    let value = |name: &str| ConfigurationChange::Value {
        name: name.to_owned(),
        from: "x".repeat(40),
        to: "x".repeat(40),
    };
    let feature = ConfigurationChange::NodeFeature {
        number: 7,
        on: true,
    };
    let name = "scheduler_params.on_demand_target_queue_utilization";
    PendingChanges {
        sessions: Some(SessionClock {
            current: 99_998,
            next: now,
            length: 14_400,
        }),
        next_era: Some(now),
        configurations: vec![PendingConfiguration {
            session: 99_999,
            changes: vec![feature, value(name)],
        }],
        calls: vec![99_999_999],
    }
}
