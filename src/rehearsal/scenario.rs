//! What a rehearsal plays, and what comes in between.

use jiff::Timestamp;

use crate::domain::{
    campaign::{
        change::Change,
        upgrade::{Upgrade, Window},
    },
    outbox::{Post, PostState},
    plan::schedule::Offset,
};

/// What comes in between, once people have heard of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// The window moves by a day.
    Reschedule,
    Cancel,
}

/// One upgrade to play.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub upgrade: Upgrade,
    pub twist: Option<Twist>,
}

/// So many different notices by the clock are out before anything comes in between.
const HEARD: usize = 2;

impl Scenario {
    /// The window in which the chains will act.
    pub fn window(&self, zone: &jiff::tz::TimeZone) -> Window {
        match self.twist {
            Some(Twist::Reschedule) => {
                let later = |at: Timestamp| Offset::Days(1).from(at, zone).unwrap_or(at);
                Window {
                    opens: later(self.upgrade.window.opens),
                    closes: later(self.upgrade.window.closes),
                }
            }
            _ => self.upgrade.window.clone(),
        }
    }

    /// The command that is given now, and what it is in words.
    pub fn command(
        &self,
        posts: &[Post],
        zone: &jiff::tz::TimeZone,
    ) -> Option<(Change, &'static str)> {
        let twist = self.twist?;
        let by_clock = posts.iter().filter(|p| p.is_message() && p.revision > 0);
        let mut out: Vec<&str> = by_clock
            .filter(|p| p.state == PostState::Sent)
            .map(|p| p.notice.as_str())
            .collect();
        out.sort_unstable();
        out.dedup();
        if out.len() < HEARD {
            return None;
        }
        Some(match twist {
            Twist::Reschedule => {
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
            Twist::Cancel => (
                Change::Cancel {
                    reason: "A fault was found in the last tests.".to_owned(),
                },
                "the team takes the upgrade off",
            ),
        })
    }
}
