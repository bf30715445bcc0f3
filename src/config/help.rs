//! `help.yaml`: common problems, their remedies, and who can help.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    plan::Plan,
    yaml::{
        finding::{Finding, suggest},
        kinds::{self, TextUpTo, TopicId},
        source::SourceFile,
        values::{comparable_name, linkable},
    },
};

/// A place where people find other people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// As topics name it.
    #[schemars(with = "TextUpTo<24>")]
    pub id: String,
    /// As people read it.
    #[schemars(with = "TextUpTo<40>")]
    pub name: String,
    /// An https:// address where they are found.
    #[schemars(with = "kinds::ShortLink")]
    pub url: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The word that people type: `/upgrade help stuck`.
    #[schemars(with = "TopicId")]
    pub id: String,
    /// The problem in a few words.
    #[schemars(with = "TextUpTo<80>")]
    pub title: String,
    /// How one sees that one has it.
    #[schemars(with = "TextUpTo<300>")]
    pub signs: String,
    /// The steps to take, one by one: up to six.
    #[schemars(with = "Vec<TextUpTo<200>>", length(min = 1, max = 6))]
    pub remedy: Vec<String>,
    /// The one of `contacts` who helps if that doesn't.
    #[schemars(with = "Option<kinds::Contact>")]
    pub contact: Option<String>,
}

/// Common problems, their remedies, and who can help.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Help {
    /// The places where people find other people.
    #[serde(default)]
    pub contacts: Vec<Contact>,
    /// One problem each.
    pub topics: Vec<Topic>,
}

impl Help {
    pub fn topic(&self, id: &str) -> Option<&Topic> {
        self.topics.iter().find(|t| t.id == id)
    }

    pub fn contact(&self, topic: &Topic) -> Option<&Contact> {
        let id = topic.contact.as_ref()?;
        self.contacts.iter().find(|c| c.id == *id)
    }
}

/// The longest each text may be, in characters, so that an answer fits a post.
const MAX_CHARS: [(&str, usize); 4] = [("id", 24), ("title", 80), ("signs", 300), ("remedy", 200)];
const MOST_STEPS: usize = 6;

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Help> {
    let help: Help = file.parse(findings)?;
    let before = findings.len();
    let contacts: BTreeSet<&str> = help.contacts.iter().map(|c| c.id.as_str()).collect();
    check_contacts(&help.contacts, file, findings);
    let mut ids = BTreeSet::new();
    for (i, topic) in help.topics.iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |key: &[&str], message: String, hint: String| {
            let path: Vec<&str> = ["topics", index.as_str()]
                .into_iter()
                .chain(key.iter().copied())
                .collect();
            findings.push(file.wrong(&path, message, hint));
        };
        if topic.id.is_empty()
            || !topic
                .id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        {
            wrong(
                &["id"],
                format!("`{}` can't be typed as a topic", topic.id),
                "use small letters, digits and dashes".to_owned(),
            );
        }
        if !ids.insert(topic.id.clone()) {
            wrong(
                &["id"],
                format!("a topic `{}` stands above already", topic.id),
                "give each topic an id of its own".to_owned(),
            );
        }
        if let Some(contact) = topic
            .contact
            .as_ref()
            .filter(|c| !contacts.contains(c.as_str()))
        {
            wrong(
                &["contact"],
                format!("there is no contact `{contact}`"),
                suggest(contact, contacts.iter().copied()),
            );
        }
        let texts = [
            ("id", &topic.id),
            ("title", &topic.title),
            ("signs", &topic.signs),
        ];
        for (key, text) in texts
            .into_iter()
            .chain(topic.remedy.iter().map(|r| ("remedy", r)))
        {
            let most = MAX_CHARS
                .iter()
                .find(|(k, _)| *k == key)
                .map_or(100, |(_, n)| *n);
            let has = text.chars().count();
            if has > most
                || text.trim().is_empty()
                || (key == "title" && text.trim().contains('\n'))
            {
                wrong(
                    &[key],
                    format!("this has {has} characters; 1 to {most} fit, a title in one line"),
                    "say it in few words and link to the rest".to_owned(),
                );
            }
        }
        if topic.remedy.is_empty() || topic.remedy.len() > MOST_STEPS {
            let message = format!(
                "{} steps are listed; one to {MOST_STEPS} fit",
                topic.remedy.len()
            );
            wrong(
                &["remedy"],
                message,
                "say what to do, step by step".to_owned(),
            );
        }
    }
    (findings.len() == before).then_some(help)
}

fn check_contacts(contacts: &[Contact], file: &SourceFile, findings: &mut Vec<Finding>) {
    let mut ids = BTreeSet::new();
    for (i, contact) in contacts.iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |key: &str, message: String, hint: &str| {
            findings.push(file.wrong(&["contacts", &index, key], message, hint))
        };
        if !linkable(&contact.url) || contact.url.chars().count() > 80 {
            wrong(
                "url",
                format!("`{}` can't be linked", contact.url),
                "write an https:// address of up to 80 characters",
            );
        }
        if !ids.insert(comparable_name(&contact.id)) {
            wrong(
                "id",
                format!("a contact `{}` stands above already", contact.id),
                "give each contact an id of its own",
            );
        }
        for (key, text, most) in [("id", &contact.id, 24), ("name", &contact.name, 40)] {
            let has = text.chars().count();
            if has > most || text.trim().is_empty() || text.trim().contains('\n') {
                wrong(
                    key,
                    format!("this has {has} characters; 1 to {most} fit, in one line"),
                    "say it in few words",
                );
            }
        }
    }
}

/// Notices that point to a topic that is not there.
pub fn check_topics(plan: &Plan, file: &SourceFile, help: &Help, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (urgency, notice) in plan.all_notices() {
        let Some(id) = notice.help.as_ref().filter(|id| help.topic(id).is_none()) else {
            continue;
        };
        if seen.insert(&notice.id) {
            let hint = suggest(
                id,
                help.topics
                    .iter()
                    .map(|t| t.id.as_str())
                    .collect::<Vec<_>>(),
            );
            let place = plan.place_of(urgency, &notice.id, "help");
            let path: Vec<&str> = place.iter().map(String::as_str).collect();
            findings.push(file.wrong(&path, format!("help.yaml has no topic `{id}`"), hint));
        }
    }
}
