//! `people.yaml`: who is who, across both platforms.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    deployment::is_matrix_id,
    files::SourceFile,
    finding::Finding,
    schema::{DiscordId, MatrixId, Text},
};
use crate::ports::Platform;

/// Who is who, across both platforms.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// One entry a human, however many accounts.
    people: Vec<RawPerson>,
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

/// What somebody does in an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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

/// One human, however many accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub discord: Option<String>,
    pub matrix: Option<String>,
    pub roles: Vec<Role>,
}

impl Person {
    pub fn may_approve(&self) -> bool {
        self.roles.iter().any(|r| matches!(r, Role::CommunicationTeam | Role::Operator))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People(pub Vec<Person>);

impl People {
    /// Whose account this is; who isn't listed is nobody here.
    pub fn by_account(&self, platform: Platform, id: &str) -> Option<&Person> {
        self.0.iter().find(|p| match platform {
            Platform::Discord => p.discord.as_deref() == Some(id),
            Platform::Matrix => p.matrix.as_deref() == Some(id),
        })
    }

    pub fn by_name(&self, name: &str) -> Option<&Person> {
        self.0.iter().find(|p| p.name == name)
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
    (findings.len() == before).then(|| People(raw.people.into_iter().map(person).collect()))
}
