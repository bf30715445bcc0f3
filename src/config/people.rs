//! `people.yaml`: who is who, across both platforms.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::LazyLock,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::yaml::{
    finding::{Finding, suggest},
    kinds::{DiscordId, MatrixId, TextUpTo},
    source::SourceFile,
    values::comparable_name,
};
use crate::{
    domain::{
        people::{command::Verb, feedback::Voice, permission::Permissions, roster::Provider},
        plan::notice::Audience,
    },
    ports::{Platform, canonical_matrix_id, is_discord_id, is_matrix_id},
};

pub use crate::domain::people::permission::Role;

/// The people, across both platforms.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeopleFile {
    /// One entry a human, however many accounts.
    people: Vec<RawPerson>,
    /// The roles that may give each command. Without it: the communication team and operators, among operators.
    #[serde(default)]
    permissions: RawPermissions,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawPermissions {
    /// The roles that may give a command; an empty list is nobody. approve is a listed person's in any case.
    commands: RawCommands,
    /// The roles that roles of the Discord server stand for.
    discord: Vec<RawDiscordRole>,
    /// The roles that power in the operators' room on Matrix stands for.
    matrix: Vec<RawPower>,
}

/// The commands that are not for everybody, each with the roles that may give it.
#[derive(Default)]
struct RawCommands(BTreeMap<Verb, BTreeSet<Role>>);

/// The commands whose rights a file may give to others.
fn privileged() -> impl Iterator<Item = Verb> {
    Verb::ALL
        .iter()
        .copied()
        .filter(|verb| verb.is_privileged())
}

impl<'de> Deserialize<'de> for RawCommands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static VERB_NAMES: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| privileged().map(Verb::name).collect());
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawCommands;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("struct RawCommands")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawCommands, A::Error> {
                let mut commands = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Some(verb) = privileged().find(|verb| verb.name() == name) else {
                        return Err(de::Error::unknown_field(&name, &VERB_NAMES));
                    };
                    if commands.contains_key(&verb) {
                        return Err(de::Error::duplicate_field(verb.name()));
                    }
                    commands.insert(verb, map.next_value()?);
                }
                Ok(RawCommands(commands))
            }
        }
        deserializer.deserialize_struct("RawCommands", &VERB_NAMES, Entries)
    }
}

impl JsonSchema for RawCommands {
    fn schema_name() -> Cow<'static, str> {
        "RawCommands".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties: serde_json::Map<String, serde_json::Value> = privileged()
            .map(|verb| {
                let roles = generator.subschema_for::<Vec<Role>>();
                (verb.name().to_owned(), roles.to_value())
            })
            .collect();
        json_schema!({
            "type": "object",
            "description": "The commands that are not for everybody.",
            "properties": properties,
            "additionalProperties": false,
        })
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
    /// The name that people call them by.
    #[schemars(with = "TextUpTo<40>")]
    name: String,
    /// The user's id on Discord, a number in quotes.
    #[schemars(with = "Option<DiscordId>")]
    discord: Option<String>,
    /// The user's id on Matrix: "@anna:example.org".
    #[schemars(with = "Option<MatrixId>")]
    matrix: Option<String>,
    /// The parts they take in an upgrade; communication_team and operator may approve.
    #[schemars(length(min = 1))]
    roles: Vec<Role>,
    /// The audience their feedback counts for; validators for those who are one, without it.
    audience: Option<Audience>,
    /// The provider for whom they answer: the name of its file in roster/, without the ending.
    #[schemars(with = "Option<TextUpTo<80>>")]
    provider: Option<String>,
}

/// One human, however many accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub discord: Option<String>,
    pub matrix: Option<String>,
    pub roles: Vec<Role>,
    pub audience: Option<Audience>,
    /// The provider for whom they answer, by id.
    pub provider: Option<String>,
}

impl Person {
    pub fn account(&self, platform: Platform) -> Option<&str> {
        match platform {
            Platform::Discord => self.discord.as_deref(),
            Platform::Matrix => self.matrix.as_deref(),
            // herald listens to nobody there.
            Platform::Irc => None,
        }
    }
}

/// The account that a provider's own file names on a platform.
pub fn account_of(provider: &Provider, platform: Platform) -> Option<&str> {
    match platform {
        Platform::Discord | Platform::Irc => None,
        Platform::Matrix => provider.matrix.as_deref(),
    }
}

/// The person behind an account, as far as files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAccount<'a> {
    /// As people call them; the account itself, of who isn't listed.
    pub name: &'a str,
    pub person: Option<&'a Person>,
    pub provider: Option<&'a Provider>,
    pub audience: Option<Audience>,
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

    /// The person whose account this is; one that isn't listed is nobody here.
    pub fn by_account(&self, platform: Platform, id: &str) -> Option<&Person> {
        self.all.iter().find(|p| p.account(platform) == Some(id))
    }

    /// Looks an account up in the files: people.yaml, and a provider's own file of its account on Matrix.
    pub fn known<'a>(
        &'a self,
        roster: &'a [Provider],
        platform: Platform,
        id: &'a str,
    ) -> KnownAccount<'a> {
        let person = self.by_account(platform, id);
        let listed = person.and_then(|p| p.provider.as_deref());
        let own = |p: &&Provider| match listed {
            Some(provider) => p.id == provider,
            None => account_of(p, platform) == Some(id),
        };
        let provider = roster.iter().find(own);
        let is_validator =
            provider.is_some() || person.is_some_and(|p| p.roles.contains(&Role::Validator));
        let audience = person
            .and_then(|p| p.audience)
            .or(is_validator.then_some(Audience::Validators));
        let name = person
            .map(|p| p.name.as_str())
            .or(provider.map(|p| p.name.as_str()))
            .unwrap_or(id);
        KnownAccount {
            name,
            person,
            provider,
            audience,
        }
    }

    /// One voice for all accounts of one person.
    pub fn voice(&self, roster: &[Provider], platform: Platform, id: &str) -> Voice {
        let known = self.known(roster, platform, id);
        let who = known
            .person
            .map_or_else(|| format!("{} {id}", platform.name()), |p| p.name.clone());
        Voice {
            who,
            audience: known.audience,
        }
    }

    pub fn by_name(&self, name: &str) -> Option<&Person> {
        self.all.iter().find(|p| p.name == name)
    }
}

/// Reads the people; `providers` are the ids of those who have a file in the roster.
pub fn read(
    file: &SourceFile,
    providers: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Option<People> {
    let mut raw: RawPeopleFile = file.parse(findings)?;
    for person in &mut raw.people {
        person.matrix = person.matrix.take().map(|id| canonical_matrix_id(&id));
    }
    let before = findings.len();
    let (mut names, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for (i, person) in raw.people.iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |key: &str, message: String, hint: &str| {
            findings.push(file.wrong(&["people", &index, key], message, hint))
        };
        if person.name.trim().is_empty()
            || person.name.chars().count() > 40
            || person.name.chars().any(char::is_control)
        {
            wrong(
                "name",
                format!("`{}` can't be a name", person.name),
                "write what people call them, in up to 40 characters",
            );
        }
        if !names.insert(comparable_name(&person.name)) {
            wrong(
                "name",
                format!("`{}` stands above already", person.name),
                "one entry a human, with both accounts",
            );
        }
        if person.discord.as_ref().is_some_and(|id| !is_discord_id(id)) {
            wrong(
                "discord",
                "this is not an account on Discord".to_owned(),
                "write the user's id, a number in quotes",
            );
        }
        if person.matrix.as_ref().is_some_and(|id| !is_matrix_id(id)) {
            wrong(
                "matrix",
                "this is not an account on Matrix".to_owned(),
                "write the user's id, such as \"@anna:example.org\"",
            );
        }
        if let Some(id) = person
            .provider
            .as_ref()
            .filter(|id| !providers.contains(*id))
        {
            let known = providers.iter().map(String::as_str);
            let message = format!("`{id}` is no provider of the roster");
            findings.push(file.wrong(&["people", &index, "provider"], message, suggest(id, known)));
        }
        let mut wrong = |key: &str, message: String, hint: &str| {
            findings.push(file.wrong(&["people", &index, key], message, hint))
        };
        for (key, id) in [("discord", &person.discord), ("matrix", &person.matrix)] {
            if let Some(id) = id
                .as_ref()
                .filter(|id| !accounts.insert((key, (*id).clone())))
            {
                wrong(
                    key,
                    format!("`{id}` belongs to somebody above already"),
                    "an account is one person's",
                );
            }
        }
        if person.roles.is_empty() {
            wrong(
                "roles",
                format!("{} has no role", person.name),
                "write, for example, [communication_team]",
            );
        }
    }
    let person = |p: RawPerson| Person {
        name: p.name,
        discord: p.discord,
        matrix: p.matrix,
        roles: p.roles,
        audience: p.audience,
        provider: p.provider,
    };
    let permissions = permissions(raw.permissions, file, findings);
    (findings.len() == before).then(|| People {
        all: raw.people.into_iter().map(person).collect(),
        permissions,
    })
}

fn permissions(raw: RawPermissions, file: &SourceFile, findings: &mut Vec<Finding>) -> Permissions {
    for (i, RawDiscordRole { id, .. }) in raw.discord.iter().enumerate() {
        if !is_discord_id(id) {
            let message = "this is not a role on Discord";
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
            findings.push(file.wrong(
                &["permissions", "matrix", &i.to_string(), "level"],
                message,
                "write 1 or more, such as 50",
            ));
        }
    }
    let mut permissions = Permissions {
        commands: raw.commands.0,
        ..Permissions::default()
    };
    let mut twice = |list: &str, i: usize, key: &str, shown: &str| {
        let message = format!("`{shown}` stands for this role above already");
        findings.push(file.wrong(
            &["permissions", list, &i.to_string(), key],
            message,
            "leave one of the two out",
        ));
    };
    for (i, RawDiscordRole { id, role }) in raw.discord.into_iter().enumerate() {
        if !permissions
            .discord
            .entry(id.clone())
            .or_default()
            .insert(role)
        {
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
        for verb in Verb::ALL {
            let given = serde_json::json!({ verb.name(): ["validator"] });
            let read = serde_json::from_value::<RawCommands>(given);
            assert_eq!(read.is_ok(), verb.is_privileged(), "{verb:?}");
            let given = BTreeMap::from([(*verb, BTreeSet::from([Role::Validator]))]);
            assert!(read.map_or(true, |read| read.0 == given));
        }
    }
}
