//! `people.yaml`: who is who, across both platforms.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    deployment::is_matrix_id,
    files::SourceFile,
    finding::Finding,
    schema::{DiscordId, MatrixId, Text},
};
pub use crate::domain::permission::Role;
use crate::{
    domain::{command::Verb, permission::Permissions},
    ports::Platform,
};

/// Who is who, across both platforms.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// One entry a human, however many accounts.
    people: Vec<RawPerson>,
    /// Who may give which command. Without it: the communication team and operators, among operators.
    #[serde(default)]
    permissions: RawPermissions,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawPermissions {
    /// The roles that may give a command; an empty list is nobody. approve is a listed person's in any case.
    commands: RawCommands,
    /// What roles of the Discord server stand for.
    discord: Vec<RawDiscordRole>,
    /// What power in the operators' room on Matrix stands for.
    matrix: Vec<RawPower>,
}

/// The commands that are not for everybody.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawCommands {
    preview: Option<Vec<Role>>,
    approve: Option<Vec<Role>>,
    go: Option<Vec<Role>>,
    #[serde(rename = "no-go")]
    no_go: Option<Vec<Role>>,
    reschedule: Option<Vec<Role>>,
    postpone: Option<Vec<Role>>,
    cancel: Option<Vec<Role>>,
}

impl RawCommands {
    fn each(self) -> impl Iterator<Item = (Verb, BTreeSet<Role>)> {
        let all = [
            (Verb::Preview, self.preview),
            (Verb::Approve, self.approve),
            (Verb::Go, self.go),
            (Verb::NoGo, self.no_go),
            (Verb::Reschedule, self.reschedule),
            (Verb::Postpone, self.postpone),
            (Verb::Cancel, self.cancel),
        ];
        all.into_iter().filter_map(|(verb, roles)| Some((verb, roles?.into_iter().collect())))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDiscordRole {
    /// The role's id on Discord, a number in quotes.
    #[schemars(with = "DiscordId")]
    id: String,
    role: Role,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPower {
    /// This power level and up; 50 is a moderator's, 100 an administrator's.
    #[schemars(range(min = 1))]
    level: i64,
    role: Role,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    /// What people call them.
    #[schemars(with = "Text<40>")]
    name: String,
    /// The user's id on Discord, a number in quotes.
    #[schemars(with = "Option<DiscordId>")]
    discord: Option<String>,
    /// The user's id on Matrix: "@anna:example.org".
    #[schemars(with = "Option<MatrixId>")]
    matrix: Option<String>,
    /// What they do in an upgrade; communication_team and operator may approve.
    #[schemars(length(min = 1))]
    roles: Vec<Role>,
}

/// One human, however many accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub discord: Option<String>,
    pub matrix: Option<String>,
    pub roles: Vec<Role>,
}

/// Everybody who is known, and who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    pub all: Vec<Person>,
    pub permissions: Permissions,
}

impl People {
    pub fn may_approve(&self, person: &Person) -> bool {
        self.permissions.may_approve(&person.roles)
    }

    /// Whose account this is; who isn't listed is nobody here.
    pub fn by_account(&self, platform: Platform, id: &str) -> Option<&Person> {
        self.all.iter().find(|p| match platform {
            Platform::Discord => p.discord.as_deref() == Some(id),
            Platform::Matrix => p.matrix.as_deref() == Some(id),
        })
    }

    pub fn by_name(&self, name: &str) -> Option<&Person> {
        self.all.iter().find(|p| p.name == name)
    }
}

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<People> {
    let raw: Raw = file.parse(findings)?;
    let before = findings.len();
    let (mut names, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for (i, person) in raw.people.iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |key: &str, message: String, hint: &str| findings.push(file.wrong(&["people", &index, key], message, hint));
        if person.name.trim().is_empty() || person.name.chars().count() > 40 || person.name.chars().any(char::is_control) {
            wrong("name", format!("`{}` can't be a name", person.name), "write what people call them, in up to 40 characters");
        }
        if !names.insert(&person.name) {
            wrong("name", format!("`{}` stands above already", person.name), "one entry a human, with both accounts");
        }
        if let Some(id) = person.discord.as_ref().filter(|id| !id.parse::<u64>().is_ok_and(|n| n > 0)) {
            wrong("discord", format!("`{id}` is not an account on Discord"), "write the user's id, a number in quotes");
        }
        if let Some(id) = person.matrix.as_ref().filter(|id| !is_matrix_id(id)) {
            wrong("matrix", format!("`{id}` is not an account on Matrix"), "write the user's id, such as \"@anna:example.org\"");
        }
        for (key, id) in [("discord", &person.discord), ("matrix", &person.matrix)] {
            if let Some(id) = id.as_ref().filter(|id| !accounts.insert((key, (*id).clone()))) {
                wrong(key, format!("`{id}` belongs to somebody above already"), "an account is one person's");
            }
        }
        if person.roles.is_empty() {
            wrong("roles", format!("{} has no role", person.name), "write, for example, [communication_team]");
        }
    }
    let person = |p: RawPerson| Person { name: p.name, discord: p.discord, matrix: p.matrix, roles: p.roles };
    let permissions = permissions(raw.permissions, file, findings);
    (findings.len() == before).then(|| People { all: raw.people.into_iter().map(person).collect(), permissions })
}

fn permissions(raw: RawPermissions, file: &SourceFile, findings: &mut Vec<Finding>) -> Permissions {
    for (i, RawDiscordRole { id, .. }) in raw.discord.iter().enumerate() {
        if !id.parse::<u64>().is_ok_and(|n| n > 0) {
            let message = format!("`{id}` is not a role on Discord");
            findings.push(file.wrong(
                &["permissions", "discord", &i.to_string(), "id"],
                message,
                "write the role's id, a number in quotes",
            ));
        }
    }
    for (i, RawPower { level, .. }) in raw.matrix.iter().enumerate() {
        if *level < 1 {
            let message = format!("power level {level} is everybody's");
            findings.push(file.wrong(&["permissions", "matrix", &i.to_string(), "level"], message, "write 1 or more, such as 50"));
        }
    }
    let mut permissions = Permissions { commands: raw.commands.each().collect(), ..Permissions::default() };
    let mut twice = |list: &str, i: usize, key: &str, shown: &str| {
        let message = format!("`{shown}` stands for this role above already");
        findings.push(file.wrong(&["permissions", list, &i.to_string(), key], message, "leave one of the two out"));
    };
    for (i, RawDiscordRole { id, role }) in raw.discord.into_iter().enumerate() {
        if !permissions.discord.entry(id.clone()).or_default().insert(role) {
            twice("discord", i, "id", &id);
        }
    }
    for (i, RawPower { level, role }) in raw.matrix.into_iter().enumerate() {
        if !permissions.matrix.entry(level).or_default().insert(role) {
            twice("matrix", i, "level", &level.to_string());
        }
    }
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_for_everybody_can_be_given_to_others() {
        let all = || Some(vec![Role::Validator]);
        let raw =
            RawCommands { preview: all(), approve: all(), go: all(), no_go: all(), reschedule: all(), postpone: all(), cancel: all() };
        let given: BTreeSet<Verb> = raw.each().map(|(verb, _)| verb).collect();
        assert_eq!(given, Verb::ALL.into_iter().filter(|v| v.is_privileged()).collect());
    }
}
