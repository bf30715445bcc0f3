//! What follows an upgrade: the session and the era after it, configurations that come into effect later, migrations; and
//! which of these "verified" waits for.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::domain::chain::{block::Block, pending::PendingChanges};

/// The longest that something is awaited where no clock tells when it comes: an era takes a day.
const MAX_AWAITED: SignedDuration = SignedDuration::from_hours(48);

/// What an upgrade may have set in motion, which "verified" waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Awaited {
    /// The next session has begun.
    Session,
    /// Each configuration of the relay that was pending when the upgrade was applied is in effect.
    PendingConfig,
    /// The next era of staking has begun.
    Era,
    /// No multi-block migration is under way.
    Migrations,
}

/// What was to follow when an upgrade was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// Session and era in which the upgrade was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<u32>,
    /// The changes that were scheduled then and are still to come; `None` until they are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingChanges>,
}

impl FollowUp {
    /// Of an upgrade that was applied in this block.
    pub(super) fn begin(block: &Block) -> Self {
        Self {
            session: block.session,
            era: block.era,
            pending: None,
        }
    }

    /// Takes the changes that were to come when the upgrade was applied, by what has passed since. Returns them in words if
    /// a configuration is among them.
    pub(super) fn learn(
        &mut self,
        block: u64,
        session: Option<u32>,
        pending: &PendingChanges,
    ) -> Option<String> {
        let pending = self.pending.insert(pending.clone());
        pending.pass(block, session);
        (!pending.configurations.is_empty()).then(|| pending.to_string())
    }

    /// The first of what the plan lists that is not over by a block. Once a chain is verified, only a migration may begin anew.
    pub(super) fn first_awaited(
        &self,
        after: &[Awaited],
        block: &Block,
        is_verified: bool,
    ) -> Option<Awaited> {
        let is_still = |before: Option<u32>, now: Option<u32>| {
            before.is_some_and(|before| now.is_none_or(|now| now <= before))
        };
        let pending = self.pending.as_ref();
        after.iter().copied().find(|awaited| match awaited {
            Awaited::Migrations => block.migrating,
            _ if is_verified => false,
            Awaited::Session => is_still(self.session, block.session),
            Awaited::PendingConfig => pending.is_none_or(|p| !p.configurations.is_empty()),
            Awaited::Era => is_still(self.era, block.era),
        })
    }

    /// The time by which what is awaited is to be over, of a chain that was applied then.
    pub(super) fn due(&self, awaited: Awaited, applied: Timestamp) -> Timestamp {
        let is_unread = awaited == Awaited::PendingConfig && self.pending.is_none();
        if is_unread || awaited == Awaited::Migrations {
            return applied;
        }
        let latest = || applied.checked_add(MAX_AWAITED).ok();
        self.expected(awaited).or_else(latest).unwrap_or(applied)
    }

    /// The time at which what is awaited is to be over, where the chain's clock tells.
    pub(super) fn expected(&self, awaited: Awaited) -> Option<Timestamp> {
        let pending = self.pending.as_ref()?;
        match awaited {
            Awaited::Session | Awaited::PendingConfig => {
                pending.sessions?.begins(self.number_of(awaited)?)
            }
            Awaited::Era => pending.next_era,
            Awaited::Migrations => None,
        }
    }

    /// The number of the session or the era with which it is over; nothing while it is not known.
    pub(super) fn number_of(&self, awaited: Awaited) -> Option<u32> {
        match awaited {
            Awaited::Session => self.session?.checked_add(1),
            Awaited::PendingConfig => Some(self.pending.as_ref()?.configurations.last()?.session),
            Awaited::Era => self.era?.checked_add(1),
            Awaited::Migrations => None,
        }
    }

    /// Says that something awaited is not over.
    pub(super) fn reason(&self, awaited: Awaited) -> String {
        match (awaited, self.number_of(awaited)) {
            (Awaited::Migrations, _) => "a migration is under way".to_owned(),
            (Awaited::Era, number) => format!("era {} has not begun", number.unwrap_or_default()),
            (_, Some(session)) => format!("session {session} has not begun"),
            (_, None) => "the changes that follow the upgrade could not be read".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::pending::{ConfigurationChange, PendingConfiguration, SessionClock};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    /// Sessions of an hour, the 8th is to begin in an hour; a configuration from each of these sessions on.
    fn pending(sessions: &[u32]) -> PendingChanges {
        let configuration = |session: &u32| PendingConfiguration {
            session: *session,
            changes: vec![ConfigurationChange::NodeFeature {
                number: 7,
                on: true,
            }],
        };
        PendingChanges {
            sessions: Some(SessionClock {
                current: 7,
                next: at(1),
                length: 3600,
            }),
            next_era: Some(at(5)),
            configurations: sessions.iter().map(configuration).collect(),
            calls: vec![150],
        }
    }

    fn applied() -> FollowUp {
        FollowUp {
            session: Some(7),
            era: Some(3),
            pending: Some(pending(&[8, 9])),
        }
    }

    fn block(session: Option<u32>, era: Option<u32>, migrating: bool) -> Block {
        Block {
            session,
            era,
            migrating,
            ..Block::default()
        }
    }

    #[test]
    fn it_begins_with_the_block_in_which_the_upgrade_was_applied() {
        let begun = FollowUp::begin(&block(Some(7), Some(3), true));
        let expected = FollowUp {
            pending: None,
            ..applied()
        };
        assert_eq!(begun, expected);
    }

    #[test]
    fn what_is_listed_is_awaited_until_a_block_shows_that_it_is_over() {
        // What the plan lists, session, era, migrating; whether it is awaited.
        let cases = [
            (Awaited::Session, Some(7), None, false, true),
            (Awaited::Session, Some(8), None, false, false),
            (Awaited::Session, None, None, false, true),
            (Awaited::Era, None, Some(3), false, true),
            (Awaited::Era, None, Some(4), false, false),
            (Awaited::Era, None, None, false, true),
            (Awaited::Migrations, Some(7), Some(3), false, false),
            (Awaited::Migrations, Some(8), Some(4), true, true),
            (Awaited::PendingConfig, Some(8), Some(4), false, true),
        ];
        for (listed, session, era, migrating, is_awaited) in cases {
            let block = block(session, era, migrating);
            let found = applied().first_awaited(&[listed], &block, false);
            assert_eq!(found, is_awaited.then_some(listed), "{listed:?} {block:?}");
            let later = applied().first_awaited(&[listed], &block, true);
            let stays = listed == Awaited::Migrations && migrating;
            assert_eq!(later, stays.then_some(listed), "verified: {listed:?}");
        }
        let first = |listed: &[Awaited]| {
            applied().first_awaited(listed, &block(Some(8), Some(3), false), false)
        };
        assert_eq!(first(&[Awaited::Session, Awaited::Era]), Some(Awaited::Era));
        assert_eq!(first(&[]), None);
    }

    #[test]
    fn a_chain_without_sessions_or_eras_awaits_none() {
        let none = FollowUp::begin(&Block::default());
        let first = |listed: Awaited| none.first_awaited(&[listed], &Block::default(), false);
        assert_eq!((first(Awaited::Session), first(Awaited::Era)), (None, None));
        // What could not be read may be there.
        assert_eq!(first(Awaited::PendingConfig), Some(Awaited::PendingConfig));
    }

    #[test]
    fn changes_are_learnt_by_what_has_passed_since() {
        // Block and session of the last block; what is told, and the configurations and calls that are left.
        let told = "session 8: node feature 7 on; session 9: node feature 7 on; block 150: a new scheduled call";
        let cases = [
            (100, Some(7), Some(told), 2, 1),
            (100, None, Some(told), 2, 1),
            (150, Some(8), Some("session 9: node feature 7 on"), 1, 0),
            (100, Some(9), None, 0, 1),
        ];
        for (block, session, told, configurations, calls) in cases {
            let mut follow_up = FollowUp::default();
            let words = follow_up.learn(block, session, &pending(&[8, 9]));
            assert_eq!(words.as_deref(), told);
            let left = follow_up.pending.unwrap();
            assert_eq!(
                (left.configurations.len(), left.calls.len()),
                (configurations, calls)
            );
        }
    }

    #[test]
    fn what_is_awaited_has_a_number_a_time_and_words() {
        let read = applied();
        let (unread, none) = (
            FollowUp {
                pending: None,
                ..applied()
            },
            FollowUp::default(),
        );
        let cases = [
            (
                &read,
                Awaited::Session,
                Some(8),
                Some(at(1)),
                at(1),
                "session 8 has not begun",
            ),
            (
                &read,
                Awaited::PendingConfig,
                Some(9),
                Some(at(2)),
                at(2),
                "session 9 has not begun",
            ),
            (
                &read,
                Awaited::Era,
                Some(4),
                Some(at(5)),
                at(5),
                "era 4 has not begun",
            ),
            (
                &read,
                Awaited::Migrations,
                None,
                None,
                at(0),
                "a migration is under way",
            ),
            (
                &unread,
                Awaited::Session,
                Some(8),
                None,
                at(48),
                "session 8 has not begun",
            ),
            (
                &unread,
                Awaited::Era,
                Some(4),
                None,
                at(48),
                "era 4 has not begun",
            ),
            (
                &unread,
                Awaited::PendingConfig,
                None,
                None,
                at(0),
                "the changes that follow the upgrade could not be read",
            ),
            (
                &none,
                Awaited::Session,
                None,
                None,
                at(48),
                "the changes that follow the upgrade could not be read",
            ),
        ];
        for (follow_up, awaited, number, expected, due, reason) in cases {
            assert_eq!(follow_up.number_of(awaited), number, "{awaited:?}");
            assert_eq!(follow_up.expected(awaited), expected, "{awaited:?}");
            assert_eq!(follow_up.due(awaited, at(0)), due, "{awaited:?}");
            assert_eq!(follow_up.reason(awaited), reason);
        }
    }
}
