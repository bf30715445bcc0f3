//! Permissions: one table says who may give which command, and where. All that it does not allow is denied.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

use super::command::{Rights, Verb};

/// A part that somebody has in an upgrade.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Writes the runtime.
    CoreDeveloper,
    /// Runs a validator.
    Validator,
    /// Writes and approves what is posted.
    CommunicationTeam,
    /// Runs herald; may approve as well.
    Operator,
}

impl Role {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the words for those who have it, in a sentence.
    pub fn people(self) -> &'static str {
        match self {
            Self::CoreDeveloper => "core developers",
            Self::Validator => "validators",
            Self::CommunicationTeam => "the communication team",
            Self::Operator => "operators",
        }
    }

    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The table, and what accounts show beside `people.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The roles that may give a command which is not for everybody. One that is left out is for the communication team
    /// and operators.
    pub commands: BTreeMap<Verb, BTreeSet<Role>>,
    /// Roles of the Discord server stand for these.
    pub discord: BTreeMap<String, BTreeSet<Role>>,
    /// A power level in the operators' room on Matrix, and all above it, stands for these.
    pub matrix: BTreeMap<i64, BTreeSet<Role>>,
}

/// All that is known of somebody who gives a command, and of the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub roles: BTreeSet<Role>,
    /// One of `people.yaml`.
    pub mapped: bool,
    /// The place is one for operators.
    pub among_operators: bool,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The command is given among operators alone.
    Place,
    /// An approval is a person's, and nobody knows whose account this is.
    Unmapped,
    /// Others may.
    Role,
}

impl Permissions {
    /// The roles that may give a command; nothing where everybody may.
    pub fn of(&self, verb: Verb) -> Option<BTreeSet<Role>> {
        let usual = match verb.rights() {
            Rights::Everybody => return None,
            Rights::Team | Rights::ListedTeam => &[Role::CommunicationTeam, Role::Operator][..],
            Rights::AnyRole => Role::ALL,
        };
        let own = self.commands.get(&verb).cloned();
        Some(own.unwrap_or_else(|| usual.iter().copied().collect()))
    }

    pub fn may(&self, verb: Verb, who: &Standing) -> Result<(), Denial> {
        let Some(allowed) = self.of(verb) else {
            return Ok(());
        };
        if !who.among_operators {
            return Err(Denial::Place);
        }
        if verb.rights() == Rights::ListedTeam && !who.mapped {
            return Err(Denial::Unmapped);
        }
        if who.roles.is_disjoint(&allowed) {
            Err(Denial::Role)
        } else {
            Ok(())
        }
    }

    /// Returns whether this is a role of one who may approve.
    pub fn may_approve(&self, roles: &[Role]) -> bool {
        self.of(Verb::Approve)
            .is_some_and(|allowed| roles.iter().any(|role| allowed.contains(role)))
    }

    /// An account's roles by those that it has on the Discord server.
    pub fn by_discord_roles<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> BTreeSet<Role> {
        ids.into_iter()
            .filter_map(|id| self.discord.get(id))
            .flatten()
            .copied()
            .collect()
    }

    /// An account's roles by its power in the operators' room.
    pub fn by_power(&self, level: i64) -> BTreeSet<Role> {
        self.matrix
            .range(..=level)
            .flat_map(|(_, roles)| roles)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(roles: &[Role], mapped: bool, among_operators: bool) -> Standing {
        Standing {
            roles: roles.iter().copied().collect(),
            mapped,
            among_operators,
        }
    }

    #[test]
    fn what_is_not_allowed_is_denied() {
        let mut table = Permissions::default();
        for &verb in Verb::ALL {
            for &role in Role::ALL {
                let may = table.may(verb, &who(&[role], true, true)).is_ok();
                let of_the_team = matches!(role, Role::CommunicationTeam | Role::Operator)
                    || matches!(verb, Verb::Tick | Verb::Untick);
                assert_eq!(
                    may,
                    !verb.is_privileged() || of_the_team,
                    "{verb:?} {role:?}"
                );
                assert_eq!(
                    table.may(verb, &who(&[role], true, false)).is_ok(),
                    !verb.is_privileged()
                );
            }
            assert_eq!(
                table.may(verb, &who(&[], true, true)).is_ok(),
                !verb.is_privileged()
            );
        }
        assert_eq!(
            table.may(Verb::Approve, &who(&[Role::Operator], false, true)),
            Err(Denial::Unmapped)
        );
        table
            .commands
            .insert(Verb::Preview, BTreeSet::from([Role::CoreDeveloper]));
        assert_eq!(
            table.may(Verb::Preview, &who(&[Role::Operator], true, true)),
            Err(Denial::Role)
        );
        assert_eq!(
            table.may(Verb::Preview, &who(&[Role::CoreDeveloper], false, true)),
            Ok(())
        );
        table.commands.insert(Verb::Cancel, BTreeSet::new());
        assert_eq!(
            table.may(Verb::Cancel, &who(Role::ALL, true, true)),
            Err(Denial::Role)
        );
    }

    #[test]
    fn accounts_show_what_they_are_by_role_and_power() {
        let table = Permissions {
            discord: [("7".to_owned(), BTreeSet::from([Role::Operator]))].into(),
            matrix: [
                (50, BTreeSet::from([Role::CommunicationTeam])),
                (100, BTreeSet::from([Role::Operator])),
            ]
            .into(),
            ..Permissions::default()
        };
        assert_eq!(
            table.by_discord_roles(["6", "7"]),
            BTreeSet::from([Role::Operator])
        );
        assert_eq!(table.by_power(49), BTreeSet::new());
        assert_eq!(
            table.by_power(99),
            BTreeSet::from([Role::CommunicationTeam])
        );
        assert_eq!(
            table.by_power(100),
            BTreeSet::from([Role::CommunicationTeam, Role::Operator])
        );
    }

    #[test]
    fn whoever_may_give_the_command_may_approve() {
        let mut table = Permissions::default();
        let may = |table: &Permissions| {
            let roles = Role::ALL.iter().filter(|role| table.may_approve(&[**role]));
            roles.map(|role| role.people()).collect::<Vec<_>>()
        };
        assert_eq!(may(&table), ["the communication team", "operators"]);
        assert!(table.may_approve(&[Role::Validator, Role::Operator]));
        assert!(!table.may_approve(&[]));
        let others = [Role::CoreDeveloper, Role::Validator].into();
        table.commands.insert(Verb::Approve, others);
        assert_eq!(may(&table), ["core developers", "validators"]);
        assert_eq!(Role::CommunicationTeam.name(), "communication_team");
    }
}
