//! A campaign: one upgrade as it was accepted, what changes it, and how far it has come.

pub mod chain_progress;
pub mod change;
pub mod health;
pub mod notes;
pub mod progress;
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
