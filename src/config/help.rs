//! `help.yaml`: common problems, their remedies, and who can help.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    files::SourceFile,
    finding::{Finding, suggest},
    plan::Plan,
};

/// Where people find other people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub id: String,
    pub name: String,
    pub url: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// What people type: `/upgrade help stuck`.
    pub id: String,
    pub title: String,
    /// How one sees that one has it.
    pub signs: String,
    /// What to do, step by step.
    pub remedy: Vec<String>,
    /// Of `contacts`: who helps if that doesn't.
    pub contact: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Help {
    #[serde(default)]
    pub contacts: Vec<Contact>,
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
const LONGEST: [(&str, usize); 4] = [("id", 24), ("title", 80), ("signs", 300), ("remedy", 200)];
const MOST_STEPS: usize = 6;

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Help> {
    let help: Help = file.parse(findings)?;
    let before = findings.len();
    let contacts: BTreeSet<&str> = help.contacts.iter().map(|c| c.id.as_str()).collect();
    for (i, contact) in help.contacts.iter().enumerate().filter(|(_, c)| !c.url.starts_with("https://")) {
        let at = ["contacts", &i.to_string(), "url"];
        findings.push(file.wrong(&at, format!("`{}` can't be linked", contact.url), "write an https:// address"));
    }
    let mut ids = BTreeSet::new();
    for (i, topic) in help.topics.iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |key: &[&str], message: String, hint: String| {
            let path: Vec<&str> = ["topics", index.as_str()].into_iter().chain(key.iter().copied()).collect();
            findings.push(file.wrong(&path, message, hint));
        };
        if topic.id.is_empty() || !topic.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            wrong(&["id"], format!("`{}` can't be typed as a topic", topic.id), "use small letters, digits and dashes".to_owned());
        }
        if !ids.insert(topic.id.clone()) {
            wrong(&["id"], format!("a topic `{}` stands above already", topic.id), "give each topic an id of its own".to_owned());
        }
        if let Some(contact) = topic.contact.as_ref().filter(|c| !contacts.contains(c.as_str())) {
            wrong(&["contact"], format!("there is no contact `{contact}`"), suggest(contact, contacts.iter().copied()));
        }
        let texts = [("id", &topic.id), ("title", &topic.title), ("signs", &topic.signs)];
        for (key, text) in texts.into_iter().chain(topic.remedy.iter().map(|r| ("remedy", r))) {
            let most = LONGEST.iter().find(|(k, _)| *k == key).map_or(100, |(_, n)| *n);
            let has = text.chars().count();
            if has > most {
                wrong(&[key], format!("this has {has} characters; {most} fit"), "say it shorter and link to the rest".to_owned());
            }
        }
        if topic.remedy.is_empty() || topic.remedy.len() > MOST_STEPS {
            let message = format!("{} steps are listed; one to {MOST_STEPS} fit", topic.remedy.len());
            wrong(&["remedy"], message, "say what to do, step by step".to_owned());
        }
    }
    (findings.len() == before).then_some(help)
}

/// Notices that point to a topic that is not there.
pub fn check_topics(plan: &Plan, file: &SourceFile, help: &Help, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (urgency, notice) in plan.all_notices() {
        let Some(id) = notice.help.as_ref().filter(|id| help.topic(id).is_none()) else { continue };
        if seen.insert(&notice.id) {
            let hint = suggest(id, help.topics.iter().map(|t| t.id.as_str()).collect::<Vec<_>>());
            let place = plan.place_of(urgency, &notice.id, "help");
            let path: Vec<&str> = place.iter().map(String::as_str).collect();
            findings.push(file.wrong(&path, format!("help.yaml has no topic `{id}`"), hint));
        }
    }
}
