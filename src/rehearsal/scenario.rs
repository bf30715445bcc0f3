//! A scenario: the upgrade that a rehearsal plays, and what the team changes on the way.

use jiff::Timestamp;

use crate::domain::{
    campaign::{
        change::Change,
        upgrade::{Upgrade, Window},
    },
    outbox::{Post, PostState},
    plan::schedule::Offset,
};

/// A change that the team makes once people have heard of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedChange {
    /// The window moves by a day.
    Reschedule,
    Cancel,
}

/// An upgrade to play.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub upgrade: Upgrade,
    pub change: Option<PlannedChange>,
}

/// Notices by the clock that are out before the team changes anything.
const NOTICES_BEFORE_CHANGE: usize = 2;

impl Scenario {
    /// Returns the window in which the chains will act.
    pub fn window(&self, zone: &jiff::tz::TimeZone) -> Window {
        match self.change {
            Some(PlannedChange::Reschedule) => {
                let later = |at: Timestamp| Offset::Days(1).from(at, zone).unwrap_or(at);
                Window {
                    opens: later(self.upgrade.window.opens),
                    closes: later(self.upgrade.window.closes),
                }
            }
            _ => self.upgrade.window.clone(),
        }
    }

    /// Returns the change that is made now, and what it is in words.
    pub fn command(
        &self,
        posts: &[Post],
        zone: &jiff::tz::TimeZone,
    ) -> Option<(Change, &'static str)> {
        let change = self.change?;
        let by_clock = posts.iter().filter(|p| p.is_message() && p.revision > 0);
        let mut out: Vec<&str> = by_clock
            .filter(|p| p.state == PostState::Sent)
            .map(|p| p.notice.as_str())
            .collect();
        out.sort_unstable();
        out.dedup();
        if out.len() < NOTICES_BEFORE_CHANGE {
            return None;
        }
        Some(match change {
            PlannedChange::Reschedule => {
                let Window { opens, closes } = self.window(zone);
                let reason = Some("More time to test was asked for.".to_owned());
                (
                    Change::Reschedule {
                        opens,
                        closes,
                        reason,
                    },
                    "the team moves the window by a day",
                )
            }
            PlannedChange::Cancel => (
                Change::Cancel {
                    reason: "A fault was found in the last tests.".to_owned(),
                },
                "the team takes the upgrade off",
            ),
        })
    }
}
