//! A campaign: one upgrade as it was accepted, what changes it, and how far it has come.

pub mod chain_progress;
pub mod change;
mod comparison;
pub mod follow_up;
pub mod health;
pub mod notes;
pub mod parachains;
pub mod progress;
pub mod slis;
pub mod upgrade;

use std::collections::BTreeSet;

use jiff::Timestamp;

use self::{
    progress::{Progress, Stage, State},
    upgrade::Upgrade,
};

/// An upgrade as accepted, with how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub upgrade: Upgrade,
    pub progress: Progress,
    /// Raised when the window moves.
    pub revision: u32,
    pub accepted: Timestamp,
    /// As a file had it that was accepted last, if one was.
    pub file: Option<Upgrade>,
    /// Fields that a command has changed since.
    pub commanded: BTreeSet<String>,
}

impl Campaign {
    /// Just known, with everything still to come.
    pub fn new(upgrade: Upgrade, now: Timestamp) -> Self {
        Self {
            progress: Progress::new(&upgrade),
            upgrade,
            revision: 1,
            accepted: now,
            file: None,
            commanded: BTreeSet::new(),
        }
    }

    /// Returns whether people mean it by this id: its own, or that of the file which joined it.
    pub fn is_called(&self, id: &str) -> bool {
        self.upgrade.id == id || self.upgrade.joined.as_deref() == Some(id)
    }

    /// The time at which the votes on its window are to be counted, as long as they are not.
    pub fn votes_due(&self) -> Option<Timestamp> {
        let progress = &self.progress;
        let open = progress.state == State::Scheduled
            && progress.votes.is_none()
            && !self.upgrade.given_up();
        self.upgrade
            .poll
            .as_ref()
            .filter(|_| open)
            .map(|poll| poll.decide_by)
    }

    /// The number of times its window was moved, after one was set.
    pub fn moved(&self) -> u32 {
        let revisions = self.revision.saturating_sub(1);
        self.progress.moved.unwrap_or(revisions)
    }

    /// The number by which calendars tell what is newer: it rises whenever the window changes or the upgrade is called off.
    pub fn sequence(&self) -> u32 {
        self.revision.saturating_sub(1) * 2
            + u32::from(self.upgrade.given_up())
            + self.progress.end_moved
    }

    /// The reason why people hold it back, as long as nothing is applied and nobody has given it up.
    pub fn on_hold(&self) -> Option<&str> {
        let waits = self.progress.state < State::Applied && !self.upgrade.given_up();
        self.upgrade.no_go().filter(|_| waits)
    }

    /// The standing in one word: what people have decided, or else what the chains show.
    pub fn standing(&self) -> &'static str {
        let waits = self.progress.state == State::Scheduled;
        match &self.upgrade {
            u if u.cancelled.is_some() => "cancelled",
            u if u.failed.is_some() => "failed",
            u if waits && u.poll.is_some() => "planned",
            _ if waits && self.progress.delayed => "delayed",
            _ => self.progress.state.name(),
        }
    }
}

/// The campaign that a new file is about: one of the chains it names shows an upgrade that could be the file's.
pub fn joined_by<'a>(known: &'a [Campaign], file: &Upgrade) -> Option<&'a Campaign> {
    let fits = |campaign: &&Campaign| {
        campaign.upgrade.chains.iter().any(|(name, target)| {
            let applied = campaign
                .progress
                .chains
                .get(name)
                .is_some_and(|c| c.stage >= Stage::Applied);
            file.chains.get(name).is_some_and(|wanted| {
                if applied {
                    wanted.spec_version == target.spec_version
                } else {
                    wanted.spec_version >= target.spec_version
                }
            })
        })
    };
    known
        .iter()
        .filter(|campaign| campaign.upgrade.unplanned && campaign.upgrade.joined.is_none())
        .find(fits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        upgrade::{Decision, Poll, Target, Window},
        *,
    };

    type Change = fn(&mut Campaign);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    fn upgrade(id: &str, spec_version: u32) -> Upgrade {
        let window = Window {
            opens: at(0),
            closes: at(2),
        };
        let target = Target {
            spec_version,
            code_hash: None,
        };
        let chains = BTreeMap::from([("relay".to_owned(), target)]);
        Upgrade::new(id, "Three", window, chains)
    }

    /// Version 3 for one chain, after some changes.
    fn campaign(change: impl Fn(&mut Campaign)) -> Campaign {
        let mut campaign = Campaign::new(upgrade("v3", 3), at(-24));
        change(&mut campaign);
        campaign
    }

    fn asks(campaign: &mut Campaign) {
        campaign.upgrade.poll = Some(Poll {
            windows: vec![campaign.upgrade.window.clone(); 2],
            decide_by: at(-1),
        });
    }

    fn fault() -> Option<String> {
        Some("a fault".to_owned())
    }

    fn no_go() -> Option<Decision> {
        Some(Decision::NoGo("a fault".to_owned()))
    }

    #[test]
    fn the_standing_is_what_people_decided_or_else_what_the_chains_show() {
        let cases: [(&str, Change); 8] = [
            ("scheduled", |_| {}),
            ("planned", |c| {
                asks(c);
                c.progress.delayed = true;
            }),
            ("delayed", |c| c.progress.delayed = true),
            ("authorized", |c| c.progress.state = State::Authorized),
            ("authorized", |c| {
                asks(c);
                c.progress.delayed = true;
                c.progress.state = State::Authorized;
            }),
            ("cancelled", |c| {
                asks(c);
                c.upgrade.cancelled = fault();
            }),
            ("failed", |c| {
                c.progress.state = State::Applied;
                c.upgrade.failed = fault();
            }),
            ("cancelled", |c| {
                (c.upgrade.cancelled, c.upgrade.failed) = (fault(), fault());
            }),
        ];
        for (n, (standing, change)) in cases.into_iter().enumerate() {
            assert_eq!(campaign(change).standing(), standing, "case {n}");
        }
    }

    #[test]
    fn votes_are_due_as_long_as_they_can_be_counted() {
        let cases: [(bool, Change); 5] = [
            (true, asks),
            (false, |_| {}),
            (false, |c| {
                asks(c);
                c.progress.state = State::Authorized;
            }),
            (false, |c| {
                asks(c);
                c.progress.votes = Some(vec![1, 2]);
            }),
            (false, |c| {
                asks(c);
                c.upgrade.cancelled = fault();
            }),
        ];
        for (n, (are_due, change)) in cases.into_iter().enumerate() {
            let due = campaign(change).votes_due();
            assert_eq!(due, are_due.then_some(at(-1)), "case {n}");
        }
    }

    #[test]
    fn people_hold_it_back_until_it_is_applied_or_given_up() {
        let cases: [(bool, Change); 5] = [
            (true, |c| c.upgrade.decision = no_go()),
            (true, |c| {
                c.upgrade.decision = no_go();
                c.progress.state = State::Applying;
            }),
            (false, |c| c.upgrade.decision = Some(Decision::Go)),
            (false, |c| {
                c.upgrade.decision = no_go();
                c.progress.state = State::Applied;
            }),
            (false, |c| {
                c.upgrade.decision = no_go();
                c.upgrade.failed = fault();
            }),
        ];
        for (n, (is_held, change)) in cases.into_iter().enumerate() {
            let campaign = campaign(change);
            assert_eq!(campaign.on_hold(), is_held.then_some("a fault"), "case {n}");
        }
    }

    #[test]
    fn calendars_see_a_higher_number_after_each_change() {
        let moved = campaign(|c| {
            c.revision = 3;
            c.progress.moved = Some(1);
        });
        assert_eq!((moved.moved(), moved.sequence()), (1, 4));
        let off = campaign(|c| {
            (c.revision, c.progress.moved, c.progress.end_moved) = (3, None, 7);
            c.upgrade.cancelled = fault();
        });
        assert_eq!((off.moved(), off.sequence()), (2, 12));
        let new = campaign(|_| {});
        assert_eq!((new.moved(), new.sequence()), (0, 0));
    }

    #[test]
    fn a_file_joins_a_campaign_that_shows_what_it_could_bring() {
        fn unplanned(c: &mut Campaign) {
            c.upgrade.unplanned = true;
        }
        fn at_stage(c: &mut Campaign, stage: Stage) {
            unplanned(c);
            c.progress.chains.values_mut().for_each(|p| p.stage = stage);
        }
        type Case = (&'static [u32], Change);
        // The versions of files that join it.
        let cases: [Case; 6] = [
            (&[3, 4], unplanned),
            (&[3, 4], |c| at_stage(c, Stage::Applying)),
            (&[3], |c| at_stage(c, Stage::Applied)),
            (&[3], |c| at_stage(c, Stage::Completed)),
            (&[], |_| {}),
            (&[], |c| {
                unplanned(c);
                c.upgrade.joined = Some("file".to_owned());
            }),
        ];
        for (n, (versions, change)) in cases.into_iter().enumerate() {
            let known = [campaign(change)];
            let joins = |version: &u32| joined_by(&known, &upgrade("file", *version)).is_some();
            let joining: Vec<u32> = [2, 3, 4].into_iter().filter(joins).collect();
            assert_eq!(joining, versions, "case {n}");
        }
        let elsewhere = Upgrade {
            chains: BTreeMap::new(),
            ..upgrade("file", 3)
        };
        assert_eq!(joined_by(&[campaign(unplanned)], &elsewhere), None);
    }

    #[test]
    fn a_campaign_has_the_name_of_the_file_that_joined_it_too() {
        let joined = campaign(|c| c.upgrade.joined = Some("file".to_owned()));
        let called = ["v3", "file", "v4"].map(|id| joined.is_called(id));
        assert_eq!(called, [true, true, false]);
    }
}
