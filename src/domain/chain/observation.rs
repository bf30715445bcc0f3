//! Observations, which no block can show: a chain that stands still, one whose finality hangs behind, and a
//! herald that can't see.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::domain::{
    campaign::{
        progress::{Progress, Stage, State},
        upgrade::Upgrade,
    },
    plan::notice::Happening,
};

/// From when on something is worth a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// No finalized block for so long, at every node that answers.
    pub stalled_after: SignedDuration,
    /// Finality so many blocks behind.
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

/// The trouble that the sight shows, if it shows any. `before` is the trouble there was until now.
///
/// A stall takes two nodes that answer and have not moved. One alone may itself be what stands still, so then
/// herald can't tell: it is blind.
pub fn matter(sight: &Sight, limits: &Limits, before: Option<MatterKind>) -> Option<MatterKind> {
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
    let all_stand = answering.clone().all(|e| e.unmoved >= limits.stalled_after);
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
    match sight.lag {
        Some(lag) => (lag > bound).then_some(MatterKind::Lagging),
        None => before.filter(|kind| *kind == MatterKind::Lagging),
    }
}

impl Progress {
    /// The window has been open for long, and nothing was authorized: said once.
    pub fn overdue(&mut self, upgrade: &Upgrade, now: Timestamp, limits: &Limits) -> bool {
        self.still_waits(upgrade, now, limits.overdue_after) && self.told.insert(Happening::Overdue)
    }

    /// Still nothing was authorized long after operators were asked, and nobody has called it off: said once, and notices by the
    /// clock wait from then on.
    pub fn delays(&mut self, upgrade: &Upgrade, now: Timestamp, limits: &Limits) -> bool {
        let begun = self.chains.values().any(|c| c.stage > Stage::Waiting);
        let called_off = upgrade.given_up() || upgrade.poll.is_some() || upgrade.no_go().is_some();
        if begun || called_off || !self.still_waits(upgrade, now, limits.delayed_after) {
            return false;
        }
        self.delayed = true;
        self.told.insert(Happening::Delayed)
    }

    fn still_waits(&self, upgrade: &Upgrade, now: Timestamp, for_long: SignedDuration) -> bool {
        let window = &upgrade.window;
        let open = now < window.closes && now.duration_since(window.opens) > for_long;
        open && self.state == State::Scheduled && !upgrade.unplanned
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::campaign::upgrade::{Decision, Target, Window};

    /// Its window opens at minute 0 and closes after three hours.
    fn upgrade() -> Upgrade {
        let chains = BTreeMap::from([(
            "relay".to_owned(),
            Target {
                spec_version: 2,
                code_hash: None,
            },
        )]);
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: minute(0),
                closes: minute(180),
            },
            chains,
        )
    }

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + n * 60).unwrap()
    }

    #[test]
    fn operators_are_asked_and_then_a_delay_is_said_once() {
        let (upgrade, limits) = (upgrade(), Limits::default());
        let mut progress = Progress::new(&upgrade);
        assert!(
            !progress.overdue(&upgrade, minute(30), &limits)
                && progress.overdue(&upgrade, minute(31), &limits)
        );
        assert!(!progress.delays(&upgrade, minute(60), &limits) && !progress.delayed);
        assert!(progress.delays(&upgrade, minute(61), &limits) && progress.delayed);
        assert!(!progress.delays(&upgrade, minute(90), &limits), "said once");
        assert!(!progress.overdue(&upgrade, minute(90), &limits));
    }

    #[test]
    fn what_began_or_was_called_off_is_not_delayed() {
        let (planned, limits) = (upgrade(), Limits::default());
        let delays =
            |upgrade: &Upgrade, at| Progress::new(upgrade).delays(upgrade, minute(at), &limits);
        assert!(delays(&planned, 61));
        assert!(!delays(&planned, 180), "the window is over");
        assert!(!delays(
            &Upgrade {
                decision: Some(Decision::NoGo("a fault".into())),
                ..planned.clone()
            },
            61
        ));
        assert!(!delays(
            &Upgrade {
                cancelled: Some("a fault".into()),
                ..planned.clone()
            },
            61
        ));
        assert!(!delays(
            &Upgrade {
                unplanned: true,
                ..planned.clone()
            },
            61
        ));
        let mut begun = Progress::new(&planned);
        begun
            .chains
            .values_mut()
            .for_each(|c| c.stage = Stage::Authorized);
        assert!(!begun.delays(&planned, minute(61), &limits) && !begun.delayed);
    }

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
        let of = |endpoints, lag, unseen| matter(&sight(endpoints, lag, unseen), &limits, None);
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
                &Limits::default(),
                None
            ),
            Some(MatterKind::Blind)
        );
    }

    #[test]
    fn finality_behind_has_to_come_well_back() {
        let limits = Limits::default();
        let of = |lag, before| matter(&sight(vec![endpoint(true, 6)], lag, 0), &limits, before);
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
                &Limits::default(),
                Some(MatterKind::Stalled)
            ),
            Some(MatterKind::Stalled)
        );
    }
}
