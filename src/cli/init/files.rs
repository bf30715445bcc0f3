//! The files that `herald init` writes, made of the answers.

use std::{fmt::Write, path::PathBuf};

use crate::{config::ConfigFiles, ports::NamedPlace};

/// Everything that was asked for, secrets aside.
pub struct Answers {
    pub discord: Option<DiscordAnswers>,
    pub matrix: Option<MatrixAnswers>,
    pub chain: Chain,
    pub zone: String,
    /// A link at which people get help, and one at which the team alone reads.
    pub help: String,
    pub team: String,
    pub you: You,
    /// The folder of the secrets' files.
    pub secrets: PathBuf,
}

pub struct DiscordAnswers {
    pub server: NamedPlace,
    pub public: NamedPlace,
    pub operators: Option<NamedPlace>,
    /// The role that notices for validators notify.
    pub validators: Option<NamedPlace>,
    /// `ADDRESS,CA`, where Discord's API is not to be looked up.
    pub route: Option<String>,
}

pub struct MatrixAnswers {
    pub homeserver: String,
    pub user: String,
    pub public: NamedPlace,
    pub operators: Option<NamedPlace>,
    /// Notices for validators notify everybody in the room.
    pub notifies_room: bool,
}

pub struct Chain {
    pub name: String,
    pub endpoints: Vec<String>,
}

/// Whoever sets herald up, and may approve.
pub struct You {
    pub name: String,
    pub discord: Option<String>,
    pub matrix: Option<String>,
}

/// The files of the config folder, herald.yaml last.
pub const NAMES: [&str; 5] = [
    "plan.yaml",
    "help.yaml",
    "checklist.yaml",
    "people.yaml",
    "herald.yaml",
];

/// The files of the config folder with their texts.
pub fn texts(answers: &Answers) -> impl Iterator<Item = (&'static str, String)> {
    let embedded = ConfigFiles::embedded();
    let text = |file: &Option<crate::config::SourceFile>| {
        file.as_ref().map(|f| f.text.clone()).unwrap_or_default()
    };
    let texts = [
        plan(&embedded.plan.text, answers),
        help(&text(&embedded.help), answers),
        text(&embedded.checklist),
        people(&answers.you),
        deployment(answers),
    ];
    NAMES.into_iter().zip(texts)
}

/// A text as YAML takes it: JSON's strings are YAML's, but for what YAML does not take as it is.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut quoted = String::new();
    for c in json.chars() {
        if c.is_control()
            || matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            )
        {
            let _ = write!(quoted, "\\u{:04x}", u32::from(c));
        } else {
            quoted.push(c);
        }
    }
    quoted
}

/// The example's plan in one's own zone. One person approves until there are two, and validators are notified where a
/// channel says who they are.
fn plan(example: &str, answers: &Answers) -> String {
    let has_role = answers
        .discord
        .as_ref()
        .is_some_and(|d| d.validators.is_some());
    let notifies = has_role || answers.matrix.as_ref().is_some_and(|m| m.notifies_room);
    let example = match notifies {
        true => example.to_owned(),
        false => example
            .replace("        mention: [validators]\n", "")
            .replace(", mention: [validators]", ""),
    };
    let zone = quoted(&answers.zone);
    let changed = example.lines().map(|line| {
        if line.starts_with("zone: ") {
            format!("zone: {zone}")
        } else if line.starts_with("  zones: {") {
            format!("  zones: {{ {zone}: 1 }}   # write where your people live")
        } else if let Some((before, _)) = line.split_once("approval: two") {
            format!(
                "{before}approval: one     # write two, once two people in people.yaml may approve"
            )
        } else {
            line.to_owned()
        }
    });
    joined(changed)
}

/// The example's help, with one's own links in place of its contacts'.
fn help(example: &str, answers: &Answers) -> String {
    let changed = example.lines().map(|line| {
        let link = match line.contains("{ id: operators,") {
            true => &answers.team,
            false => &answers.help,
        };
        match (line.split_once("url: \""), line.ends_with("\" }")) {
            (Some((before, _)), true) => format!("{before}url: {} }}", quoted(link)),
            _ => line.to_owned(),
        }
    });
    joined(changed)
}

fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn people(you: &You) -> String {
    let mut text = format!(
        "# Who is who. People listed here may approve notices and give commands.\n\
         # Roles: core_developer, validator, communication_team, operator. `herald schema` describes the rest.\n\
         people:\n  - name: {}\n",
        quoted(&you.name)
    );
    for (platform, id) in [("discord", &you.discord), ("matrix", &you.matrix)] {
        if let Some(id) = id {
            let _ = writeln!(text, "    {platform}: {}", quoted(id));
        }
    }
    text + "    roles: [communication_team, operator]\n"
}

fn deployment(answers: &Answers) -> String {
    let secret = |file: &str| {
        let path = answers.secrets.join(file);
        format!("{{ file: {} }}", quoted(&path.display().to_string()))
    };
    let mut text = String::from(
        "# Where herald runs and where it speaks. The example in the handbook has what else there is.\n\
         store:\n  url: sqlite://herald.db        # made at the first start; keep it on a disk that lasts\n",
    );
    let mut channels = Vec::new();
    if let Some(discord) = &answers.discord {
        let server = commented(&discord.server);
        let _ = write!(
            text,
            "\ndiscord:\n  token: {}\n  guild: {server}\n",
            secret("discord-token")
        );
        if let Some((address, ca)) = discord.route.as_ref().and_then(|r| r.split_once(',')) {
            let (address, ca) = (quoted(address), quoted(ca));
            let _ = writeln!(text, "  route: {{ address: {address}, ca: {ca} }}");
        }
        let mentions = discord.validators.as_ref().map(|role| &*role.id);
        channels.push(channel("discord", "upgrades", &discord.public, mentions));
        channels.push(for_operators("discord", discord.operators.as_ref()));
    }
    if let Some(matrix) = &answers.matrix {
        let _ = write!(
            text,
            "\nmatrix:\n  homeserver: {}\n  user: {}\n  password: {}\n  device: HERALD                 # keep it the same over restarts: it keeps posts from being made twice\n  store: matrix                  # a folder for session and encryption keys\n  passphrase: {}\n",
            quoted(&matrix.homeserver),
            quoted(&matrix.user),
            secret("matrix-password"),
            secret("matrix-passphrase")
        );
        let mentions = matrix.notifies_room.then_some("@room");
        channels.push(channel("matrix", "upgrades", &matrix.public, mentions));
        channels.push(for_operators("matrix", matrix.operators.as_ref()));
    }
    let endpoints: Vec<String> = answers.chain.endpoints.iter().map(|e| quoted(e)).collect();
    let _ = write!(
        text,
        "\nchains:\n  {}:\n    endpoints: [{}]\n\nchannels:\n{}",
        quoted(&answers.chain.name),
        endpoints.join(", "),
        channels.concat()
    );
    text
}

fn channel(platform: &str, name: &str, place: &NamedPlace, mentions: Option<&str>) -> String {
    let place = commented(place);
    let mut text = format!("  {platform}-{name}:\n    platform: {platform}\n    place: {place}\n");
    if let Some(id) = mentions {
        let _ = writeln!(text, "    mentions: {{ validators: [{}] }}", quoted(id));
    }
    text
}

fn for_operators(platform: &str, place: Option<&NamedPlace>) -> String {
    place.map_or_else(String::new, |place| {
        channel(platform, "operations", place, None) + "    for: operators\n"
    })
}

/// A place's id, and its name for whoever reads the file.
fn commented(place: &NamedPlace) -> String {
    format!("{} # {}", quoted(&place.id), place.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Origin, Readers},
        lint,
    };

    fn place(id: &str, name: &str) -> NamedPlace {
        NamedPlace::new(id.into(), name)
    }

    fn answers() -> Answers {
        Answers {
            discord: Some(DiscordAnswers {
                server: place("71", "Harbour \"one\"\n#2\u{2028}    locale: de"),
                public: place("72", "upgrades"),
                operators: Some(place("73", "team")),
                validators: Some(place("74", "validators")),
                route: None,
            }),
            matrix: Some(MatrixAnswers {
                homeserver: "https://matrix.harbour.test".into(),
                user: "@herald:harbour.test".into(),
                public: place("#upgrades:harbour.test", "Upgrades"),
                operators: None,
                notifies_room: true,
            }),
            chain: Chain {
                name: "paseo".into(),
                endpoints: vec![
                    "wss://one.harbour.test".into(),
                    "wss://two.harbour.test".into(),
                ],
            },
            zone: "America/New_York".into(),
            help: "https://harbour.test/help".into(),
            team: "https://harbour.test/team".into(),
            you: You {
                name: "Ada: Invented".into(),
                discord: Some("75".into()),
                matrix: None,
            },
            secrets: "secrets".into(),
        }
    }

    fn loaded(answers: &Answers) -> lint::Loaded {
        let dir = tempfile::tempdir().unwrap();
        let (config, templates) = (dir.path().join("config"), dir.path().join("templates"));
        std::fs::create_dir_all(&config).unwrap();
        std::fs::create_dir_all(&templates).unwrap();
        crate::config::extract_templates(&templates).unwrap();
        for (name, text) in texts(answers) {
            std::fs::write(config.join(name), text).unwrap();
        }
        let origin = Origin::Folder { config, templates };
        let loaded = lint::load_own(&origin).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let warned: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(warned.is_empty(), "{warned:#?}");
        loaded
    }

    #[test]
    fn what_is_written_is_good_and_says_what_was_answered() {
        let loaded = loaded(&answers());
        let config = &loaded.config;
        assert_eq!(config.plan.zone.iana_name(), Some("America/New_York"));
        assert_eq!(config.people.all[0].name, "Ada: Invented");
        let channels: Vec<_> = config
            .deployment
            .channels
            .iter()
            .map(|(name, c)| (name.as_str(), c.place.as_str(), c.readers))
            .collect();
        assert_eq!(
            channels,
            [
                ("discord-operations", "73", Readers::Operators),
                ("discord-upgrades", "72", Readers::Public),
                ("matrix-upgrades", "#upgrades:harbour.test", Readers::Public),
            ]
        );
        assert_eq!(
            config.deployment.channels["matrix-upgrades"].mentions["validators"],
            ["@room"]
        );
        let urls: Vec<&str> = config
            .help
            .contacts
            .iter()
            .map(|c| c.url.as_str())
            .collect();
        let (help, team) = ("https://harbour.test/help", "https://harbour.test/team");
        assert_eq!(urls, [help, help, team]);
    }

    #[test]
    fn nobody_is_notified_where_no_channel_says_whom() {
        let mut answers = answers();
        answers.discord.as_mut().unwrap().validators = None;
        answers.matrix.as_mut().unwrap().notifies_room = false;
        let loaded = loaded(&answers);
        let plans = loaded.config.plan.plans.values();
        let mut notices = plans.flat_map(|plan| &plan.notices);
        assert!(notices.all(|notice| notice.mention.is_empty()));
        answers.matrix = None;
        assert_eq!(
            loaded_channels(&answers),
            ["discord-operations", "discord-upgrades"]
        );
    }

    fn loaded_channels(answers: &Answers) -> Vec<String> {
        let channels = loaded(answers).config.deployment.channels;
        channels.into_keys().collect()
    }

    #[test]
    fn a_text_is_read_back_whatever_stands_in_it() {
        for text in [
            "a\"b\\c",
            "one\ntwo",
            "\u{7f}\u{85}\u{2028}\u{feff}",
            "no",
            "#: {}",
        ] {
            let read: String = serde_yaml::from_str(&quoted(text)).unwrap();
            assert_eq!(read, text);
        }
    }
}
