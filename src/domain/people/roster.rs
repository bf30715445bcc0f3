//! The roster: who runs the network's nodes, and where each stands with an upgrade.
//!
//! Two things, two clocks. **Acknowledged**: a provider has answered a notice that asks for it, in the time the plan gives.
//! **Ready**: its nodes run what is asked for, by the upgrade's date; in an emergency that is as soon as an answer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    campaign::upgrade::{Upgrade, Urgency},
    outbox::{Post, PostState, digest},
    plan::notice::Audience,
};

/// Somebody who runs nodes for the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As its file is called.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// The provider's account on Matrix, where its file has one.
    pub matrix: Option<String>,
    pub nodes: Vec<ProviderNode>,
}

/// One of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderNode {
    pub name: String,
    /// The folder that names its system chain; nothing for one of the relay.
    pub chain: Option<String>,
}

impl Provider {
    /// Returns the nodes of which a name speaks: one, or all of a chain.
    pub fn nodes_of(&self, name: &str) -> Vec<&ProviderNode> {
        let is = |text: &str| text.eq_ignore_ascii_case(name);
        self.nodes
            .iter()
            .filter(|n| is(&n.name) || n.chain.as_deref().is_some_and(is))
            .collect()
    }
}

/// A statement of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// The provider has seen a notice and answers.
    Acknowledged,
    /// A node, or all of them, run what is asked for.
    Ready,
}

impl Claim {
    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Ready => "ready",
        }
    }
}

/// One answer of a provider, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub claim: Claim,
    pub provider: String,
    /// The notice that was acknowledged, by its id; or the node that is ready, nothing for all.
    pub of: String,
    /// The notice's name in the plan.
    pub notice: String,
    /// The place where that notice stands.
    pub link: Option<String>,
    /// The person who answered for the provider.
    pub person: String,
    /// `matrix @ines:example.org`
    pub account: String,
    /// `reaction` or `command`
    pub how: String,
    pub at: Timestamp,
}

/// A notice that asks providers to answer, as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub id: String,
    pub notice: String,
    /// The time at which it was posted first.
    pub at: Timestamp,
    /// The time by which to answer: whoever answers later is late.
    pub by: Timestamp,
    pub link: Option<String>,
}

/// Lists what asks providers for an answer among an upgrade's posts, oldest first. `by` says until when, for the time at
/// which they were asked.
pub fn asks(
    posts: &[Post],
    asking: impl Fn(&Post) -> bool,
    by: impl Fn(Timestamp) -> Timestamp,
) -> Vec<Ask> {
    let mut asks: Vec<Ask> = Vec::new();
    let mut sent: Vec<&Post> = posts
        .iter()
        .filter(|p| p.state == PostState::Sent && p.sent.is_some() && asking(p))
        .collect();
    sent.sort_by_key(|p| p.sent);
    for post in sent {
        let (id, at) = (ask_id(post), post.sent.unwrap_or(post.due));
        if !asks.iter().any(|a| a.id == id) {
            asks.push(Ask {
                id,
                notice: post.notice.clone(),
                at,
                by: by(at),
                link: post.link.clone(),
            });
        }
    }
    asks
}

/// Returns the id of what a post asks, the same for all channels.
pub fn ask_id(post: &Post) -> String {
    digest(&[&post.notice, &post.revision.to_string(), &post.occurrence])
}

/// By when a provider is to be ready; nothing where validators need not do anything.
pub fn ready_by(upgrade: &Upgrade, asks: &[Ask]) -> Option<Timestamp> {
    let duty = upgrade
        .duties
        .get(&Audience::Validators)
        .filter(|d| d.required)?;
    let asked = asks
        .first()
        .filter(|_| upgrade.urgency == Urgency::Emergency)
        .map(|a| a.by);
    Some(duty.by.or(asked).unwrap_or(upgrade.window.opens))
}

/// The state of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStanding<'a> {
    pub provider: &'a Provider,
    /// The time at which it answered the notice that asked last.
    pub acknowledged: Option<Timestamp>,
    /// The time at which the last of its nodes was said to be ready.
    pub ready: Option<Timestamp>,
    /// The number of its nodes that are ready.
    pub ready_nodes: usize,
}

/// Returns the state of each of the roster, with the notice that asked last.
pub fn call<'a>(
    roster: &'a [Provider],
    ask: Option<&Ask>,
    answers: &[Answer],
) -> Vec<ProviderStanding<'a>> {
    let standing = |provider: &'a Provider| {
        let own = |claim: Claim| {
            answers
                .iter()
                .filter(move |a| a.claim == claim && a.provider == provider.id)
        };
        let acknowledged = own(Claim::Acknowledged)
            .filter(|a| ask.is_some_and(|ask| ask.id == a.of))
            .map(|a| a.at)
            .min();
        let whole = own(Claim::Ready)
            .filter(|a| a.of.is_empty())
            .map(|a| a.at)
            .min();
        let mut nodes: BTreeSet<&str> = BTreeSet::new();
        let mut last = None;
        for answer in own(Claim::Ready) {
            nodes.extend(
                provider
                    .nodes_of(&answer.of)
                    .iter()
                    .map(|n| n.name.as_str()),
            );
            last = last.max(Some(answer.at));
        }
        let by_nodes =
            last.filter(|_| !provider.nodes.is_empty() && nodes.len() == provider.nodes.len());
        let ready = whole.into_iter().chain(by_nodes).min();
        let ready_nodes = if ready.is_some() {
            provider.nodes.len()
        } else {
            nodes.len()
        };
        ProviderStanding {
            provider,
            acknowledged,
            ready,
            ready_nodes,
        }
    };
    roster.iter().map(standing).collect()
}

/// The numbers, for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessCount {
    pub of: u32,
    pub acknowledged: u32,
    pub ready: u32,
    /// By when the notice that asked last is to be answered.
    pub acknowledge_by: Option<Timestamp>,
    pub ready_by: Option<Timestamp>,
}

impl ReadinessCount {
    /// Nothing where nobody is asked anything.
    pub fn of(
        standings: &[ProviderStanding<'_>],
        ask: Option<&Ask>,
        ready_by: Option<Timestamp>,
    ) -> Option<Self> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let count = |is: &dyn Fn(&ProviderStanding<'_>) -> bool| {
            number(standings.iter().filter(|s| is(s)).count())
        };
        (!standings.is_empty() && ask.is_some()).then(|| Self {
            of: number(standings.len()),
            acknowledged: count(&|s| s.acknowledged.is_some()),
            ready: count(&|s| s.ready.is_some()),
            acknowledge_by: ask.map(|a| a.by),
            ready_by,
        })
    }
}

/// Returns the number, from 1 on, of the last step that is over, of steps that are due in this order. What was slept
/// through is not made up for.
pub fn step_due(times: &[Timestamp], now: Timestamp) -> Option<usize> {
    times.iter().rposition(|at| *at <= now).map(|i| i + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        campaign::upgrade::{Duty, Window},
        outbox::{KeyParts, Operation},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn provider(id: &str, nodes: &[(&str, Option<&str>)]) -> Provider {
        let node = |(name, chain): &(&str, Option<&str>)| ProviderNode {
            name: (*name).into(),
            chain: chain.map(Into::into),
        };
        Provider {
            id: id.into(),
            name: id.to_uppercase(),
            matrix: None,
            nodes: nodes.iter().map(node).collect(),
        }
    }

    fn answer(provider: &str, claim: Claim, of: &str, second: i64) -> Answer {
        Answer {
            claim,
            provider: provider.into(),
            of: of.into(),
            notice: "announced".into(),
            link: None,
            person: "Nobody".into(),
            account: "matrix @nobody:example.org".into(),
            how: "command".into(),
            at: at(second),
        }
    }

    #[test]
    fn a_provider_is_ready_when_all_its_nodes_are() {
        let roster = [
            provider(
                "a",
                &[("A/1", None), ("A/2", None), ("A/3", Some("people"))],
            ),
            provider("b", &[]),
            provider("c", &[]),
        ];
        let ask = Ask {
            id: "2".into(),
            notice: "reminder".into(),
            at: at(100),
            by: at(200),
            link: None,
        };
        let of = |answers: &[Answer]| {
            let all = call(&roster, Some(&ask), answers);
            all.iter()
                .map(|s| {
                    (
                        s.acknowledged.is_some(),
                        s.ready.map(Timestamp::as_second),
                        s.ready_nodes,
                    )
                })
                .collect::<Vec<_>>()
        };
        let some = [
            answer("a", Claim::Ready, "a/1", 1),
            answer("a", Claim::Ready, "people", 2),
            answer("b", Claim::Ready, "", 3),
            answer("b", Claim::Acknowledged, "1", 4),
            answer("c", Claim::Acknowledged, "2", 5),
        ];
        assert_eq!(
            of(&some),
            [(false, None, 2), (false, Some(3), 0), (true, None, 0)],
            "the notice before counts no more"
        );
        let mut all = some.to_vec();
        all.push(answer("a", Claim::Ready, "A/2", 9));
        assert_eq!(of(&all)[0], (false, Some(9), 3));
        all.push(answer("a", Claim::Ready, "", 7));
        assert_eq!(of(&all)[0], (false, Some(7), 3));
        let count = ReadinessCount::of(&call(&roster, Some(&ask), &all), Some(&ask), None).unwrap();
        assert_eq!((count.of, count.acknowledged, count.ready), (3, 1, 2));
        assert_eq!(ReadinessCount::of(&[], Some(&ask), None), None);
    }

    #[test]
    fn of_steps_slept_through_the_last_is_taken() {
        let times = [at(10), at(20), at(30)];
        let of = |second| step_due(&times, at(second));
        assert_eq!(
            (of(9), of(10), of(25), of(99)),
            (None, Some(1), Some(2), Some(3))
        );
    }

    #[test]
    fn a_name_is_a_node_or_a_chains_nodes() {
        let nodes = [
            ("A/1", None),
            ("A/2", Some("people")),
            ("A/3", Some("People")),
        ];
        let provider = provider("a", &nodes);
        let named = |name: &str| {
            let nodes = provider.nodes_of(name);
            nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(named("a/1"), ["A/1"]);
        assert_eq!(named("PEOPLE"), ["A/2", "A/3"]);
        assert_eq!(named("relay"), [""; 0]);
        let claims = [Claim::Acknowledged, Claim::Ready];
        for claim in claims {
            assert_eq!(serde_json::to_value(claim).unwrap(), claim.name());
        }
    }

    /// A post that was sent at this second, on this occasion.
    fn sent(channel: &str, occurrence: &str, second: i64) -> Post {
        let parts = KeyParts {
            upgrade: "v2",
            revision: 1,
            notice: "reminder",
            occurrence,
            channel,
            operation: Operation::Post,
            edition: 0,
        };
        Post {
            state: PostState::Sent,
            sent: Some(at(second)),
            link: Some(format!("https://{channel}.example.org")),
            ..Post::planned(parts, 0, at(0))
        }
    }

    #[test]
    fn a_notice_asks_once_from_its_first_post_on() {
        let planned = Post {
            state: PostState::Planned,
            ..sent("news", "3", 5)
        };
        let unsent = Post {
            sent: None,
            ..sent("news", "4", 5)
        };
        let posts = [
            sent("team", "2", 60),
            sent("team", "1", 30),
            sent("news", "1", 20),
            planned,
            unsent,
            sent("quiet", "5", 1),
        ];
        let by = |asked: Timestamp| at(asked.as_second() + 100);
        let found = asks(&posts, |p| p.channel != "quiet", by);
        let ask = |channel: &str, occurrence: &str, second| Ask {
            id: digest(&["reminder", "1", occurrence]),
            notice: "reminder".into(),
            at: at(second),
            by: at(second + 100),
            link: Some(format!("https://{channel}.example.org")),
        };
        assert_eq!(found, [ask("news", "1", 20), ask("team", "2", 60)]);
    }

    #[test]
    fn validators_are_to_be_ready_by_the_date_or_in_time_or_when_the_window_opens() {
        let ask = Ask {
            id: "1".into(),
            notice: "reminder".into(),
            at: at(100),
            by: at(200),
            link: None,
        };
        let by = |required, date: Option<i64>, urgency, asks: &[Ask]| {
            let window = Window {
                opens: at(1000),
                closes: at(2000),
            };
            let duty = Duty {
                required,
                what: "Update".into(),
                node_version: None,
                by: date.map(at),
            };
            let upgrade = Upgrade {
                urgency,
                duties: [(Audience::Validators, duty)].into(),
                ..Upgrade::new("v2", "Two", window, BTreeMap::new())
            };
            let by = ready_by(&upgrade, asks);
            by.map(Timestamp::as_second)
        };
        let (asked, routine, emergency) = ([ask], Urgency::Routine, Urgency::Emergency);
        assert_eq!(by(true, None, routine, &asked), Some(1000));
        assert_eq!(by(true, None, emergency, &asked), Some(200));
        assert_eq!(by(true, None, emergency, &[]), Some(1000));
        assert_eq!(by(true, Some(700), emergency, &asked), Some(700));
        assert_eq!(by(false, Some(700), emergency, &asked), None);
    }

    #[test]
    fn the_numbers_name_the_times_to_answer_by() {
        let roster = [provider("a", &[])];
        let ask = Ask {
            id: "1".into(),
            notice: "reminder".into(),
            at: at(100),
            by: at(200),
            link: None,
        };
        let answers = [
            answer("a", Claim::Acknowledged, "1", 150),
            answer("a", Claim::Acknowledged, "1", 120),
            answer("a", Claim::Ready, "A/1", 130),
            answer("b", Claim::Ready, "", 130),
        ];
        let standings = call(&roster, Some(&ask), &answers);
        assert_eq!(standings[0].acknowledged, Some(at(120)));
        assert_eq!(standings[0].ready, None, "nobody knows of such a node");
        let count = ReadinessCount::of(&standings, Some(&ask), Some(at(300)));
        let expected = ReadinessCount {
            of: 1,
            acknowledged: 1,
            ready: 0,
            acknowledge_by: Some(at(200)),
            ready_by: Some(at(300)),
        };
        assert_eq!(count, Some(expected));
        assert_eq!(ReadinessCount::of(&standings, None, None), None);
    }
}
