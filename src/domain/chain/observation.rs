//! Observations, which no block can show: a chain that stands still, one whose finality hangs behind, and a
//! herald that can't see.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// From when on something is worth a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// No finalized block for so long, at every node that answers.
    pub stalled_after: SignedDuration,
    /// Finality so many blocks of six seconds behind.
    pub lagging_from: u64,
    /// The window is open for so long, and nothing was authorized.
    pub overdue_after: SignedDuration,
    /// The window is open for so long, operators were asked, and still nothing was authorized.
    pub delayed_after: SignedDuration,
    /// Authorized so many blocks ago, and not applied.
    pub unapplied_after: u64,
    /// A migration so many blocks without a step.
    pub stuck_after: u64,
    /// An estimate that moved by more is told anew.
    pub drift: SignedDuration,
}

/// One endpoint of a chain, as it looks now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSight {
    /// Scheme and host.
    pub name: String,
    pub answers: bool,
    pub head: u64,
    /// For how long its finalized head had not moved when it was asked last.
    pub unmoved: SignedDuration,
    /// Why it is not used, in words for an operator.
    pub trouble: Option<String>,
    /// The time from one request to the next, where it allows no more.
    pub interval: Option<SignedDuration>,
}

/// All endpoints of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    pub endpoints: Vec<EndpointSight>,
    /// Best minus finalized, in blocks, where it is known.
    pub lag: Option<u64>,
    /// For how long no endpoint that can be used has answered.
    pub unseen: SignedDuration,
}

impl Sight {
    pub fn answering(&self) -> usize {
        self.endpoints.iter().filter(|e| e.answers).count()
    }
}

/// The ways in which a chain can be in trouble, or out of sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum MatterKind {
    /// No block is finalized, as all nodes say.
    Stalled,
    /// Finality hangs behind.
    Lagging,
    /// herald itself can't see the chain.
    Blind,
}

impl MatterKind {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The trouble with a chain, and since when it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matter {
    pub kind: MatterKind,
    pub since: Timestamp,
    /// A stall or a lag was told to everybody, and is still to be taken back.
    #[serde(default)]
    pub public: bool,
}

/// The trouble that the sight shows, if it shows any. `lag`: how far finality is behind, in blocks of six seconds.
/// `still_after`: the time without a block that is a stall on this chain. `before` is the trouble there was until now.
///
/// A stall takes two nodes that answer and have not moved. One alone may itself be what stands still, so then
/// herald can't tell: it is blind.
pub fn matter(
    sight: &Sight,
    lag: Option<u64>,
    still_after: SignedDuration,
    limits: &Limits,
    before: Option<MatterKind>,
) -> Option<MatterKind> {
    if sight.unseen >= limits.stalled_after {
        return Some(MatterKind::Blind);
    }
    let mut answering = sight
        .endpoints
        .iter()
        .filter(|e| e.answers && e.trouble.is_none())
        .peekable();
    if answering.peek().is_none() {
        // A moment without an answer changes nothing yet.
        return before;
    }
    let all_stand = answering.clone().all(|e| e.unmoved >= still_after);
    match (all_stand, answering.count()) {
        (true, 1) => return Some(MatterKind::Blind),
        (true, _) => return Some(MatterKind::Stalled),
        _ => {}
    }
    // Once behind, it has to come well back: no to and fro.
    let bound = if before == Some(MatterKind::Lagging) {
        limits.lagging_from / 2
    } else {
        limits.lagging_from
    };
    match lag {
        Some(lag) => (lag > bound).then_some(MatterKind::Lagging),
        None => before.filter(|kind| *kind == MatterKind::Lagging),
    }
}

#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        Self {
            stalled_after: SignedDuration::from_mins(3),
            lagging_from: 30,
            overdue_after: SignedDuration::from_mins(30),
            delayed_after: SignedDuration::from_hours(1),
            unapplied_after: 600,
            stuck_after: 100,
            drift: SignedDuration::from_mins(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(answers: bool, unmoved: i64) -> EndpointSight {
        EndpointSight {
            answers,
            unmoved: SignedDuration::from_secs(unmoved),
            ..EndpointSight::default()
        }
    }
    fn sight(endpoints: Vec<EndpointSight>, lag: u64, unseen: i64) -> Sight {
        Sight {
            endpoints,
            lag: Some(lag),
            unseen: SignedDuration::from_secs(unseen),
        }
    }

    #[test]
    fn a_stall_takes_two_nodes_that_answer() {
        let limits = Limits::default();
        let of = |endpoints, lag, unseen| {
            let sight = sight(endpoints, lag, unseen);
            matter(&sight, Some(lag), limits.stalled_after, &limits, None)
        };
        assert_eq!(
            of(vec![endpoint(true, 200), endpoint(true, 181)], 0, 0),
            Some(MatterKind::Stalled)
        );
        assert_eq!(
            of(vec![endpoint(true, 200), endpoint(true, 5)], 0, 0),
            None,
            "one moves"
        );
        assert_eq!(
            of(vec![endpoint(true, 200), endpoint(false, 200)], 0, 0),
            Some(MatterKind::Blind),
            "one alone can't tell"
        );
        assert_eq!(of(vec![endpoint(true, 200)], 0, 0), Some(MatterKind::Blind));
        assert_eq!(
            of(vec![endpoint(false, 500), endpoint(false, 500)], 0, 190),
            Some(MatterKind::Blind)
        );
        assert_eq!(
            of(vec![endpoint(false, 500), endpoint(false, 500)], 0, 20),
            None,
            "a moment away"
        );
    }

    #[test]
    fn a_node_that_was_left_is_no_witness() {
        let left = EndpointSight {
            trouble: Some("shows another chain".into()),
            ..endpoint(true, 500)
        };
        assert_eq!(
            matter(
                &sight(vec![endpoint(true, 500), left], 0, 0),
                Some(0),
                Limits::default().stalled_after,
                &Limits::default(),
                None
            ),
            Some(MatterKind::Blind)
        );
    }

    #[test]
    fn finality_behind_has_to_come_well_back() {
        let limits = Limits::default();
        let of = |lag, before| {
            matter(
                &sight(vec![endpoint(true, 6)], lag, 0),
                Some(lag),
                limits.stalled_after,
                &limits,
                before,
            )
        };
        assert_eq!(of(31, None), Some(MatterKind::Lagging));
        assert_eq!(of(30, None), None);
        assert_eq!(of(16, Some(MatterKind::Lagging)), Some(MatterKind::Lagging));
        assert_eq!(of(15, Some(MatterKind::Lagging)), None);
    }

    #[test]
    fn a_moment_without_an_answer_ends_no_stall() {
        assert_eq!(
            matter(
                &sight(vec![endpoint(false, 0)], 0, 10),
                Some(0),
                Limits::default().stalled_after,
                &Limits::default(),
                Some(MatterKind::Stalled)
            ),
            Some(MatterKind::Stalled)
        );
    }

    #[test]
    fn each_limit_is_where_it_says() {
        let limits = Limits::default();
        let seen = |unmoved, unseen| {
            let endpoints = vec![endpoint(true, unmoved), endpoint(true, unmoved)];
            let sight = sight(endpoints, 0, unseen);
            matter(&sight, Some(0), limits.stalled_after, &limits, None)
        };
        assert_eq!(
            (seen(179, 179), seen(180, 0), seen(0, 180)),
            (None, Some(MatterKind::Stalled), Some(MatterKind::Blind))
        );
        let unknown = |before| {
            let sight = Sight {
                lag: None,
                ..sight(vec![endpoint(true, 6)], 0, 0)
            };
            matter(&sight, None, limits.stalled_after, &limits, before)
        };
        let lagging = Some(MatterKind::Lagging);
        assert_eq!(unknown(lagging), lagging);
        assert_eq!(unknown(Some(MatterKind::Stalled)), None);
        let three = [true, false, true].map(|answers| endpoint(answers, 0));
        assert_eq!(sight(three.into(), 0, 0).answering(), 2);
        assert_eq!(MatterKind::Blind.name(), "blind");
    }
}
