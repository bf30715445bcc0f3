//! `checklist.yaml`: what people do in the process, and what a validator does before and after an upgrade.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    plan::Plan,
    yaml::{
        finding::{Finding, suggest},
        kinds::{self, TextUpTo},
        source::SourceFile,
    },
};
use crate::domain::people::permission::Role;

/// The steps to be done, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checklist {
    /// The steps of the process, in order; each is ticked by who does it.
    pub process: Vec<ChecklistItem>,
    /// A validator's before the upgrade; each ticks for themselves, by the reaction with its number.
    pub before: Vec<String>,
    /// And after it.
    pub after: Vec<String>,
}

/// A step of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Item")]
pub struct ChecklistItem {
    /// The item's number in the process, from 1.1 on, with a letter where a step has several: 1.3a.
    #[schemars(with = "kinds::Item")]
    pub item: String,
    /// The role that does it, and ticks it.
    pub role: Role,
    /// The thing that is done then, in one short line.
    #[schemars(with = "TextUpTo<90>")]
    pub text: String,
}

/// There are reactions for so many numbers.
const MAX_VALIDATOR_ITEMS: usize = 9;
const MAX_TEXT_CHARS: usize = 120;
/// The process has five phases; an answer holds so many steps.
const MOST_STEPS: usize = 24;
const LONGEST_STEP: usize = 90;

/// Items of a validator, ticked one by one by the reaction with their number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawValidators {
    /// Up to nine, each in one short line.
    #[schemars(with = "Vec<TextUpTo<120>>", length(max = 9))]
    before: Vec<String>,
    /// Up to nine, each in one short line.
    #[schemars(with = "Vec<TextUpTo<120>>", length(max = 9))]
    after: Vec<String>,
}

/// The things that people do in the process, and that a validator does before and after an upgrade.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChecklist {
    /// The steps of the process, in their order.
    #[serde(default)]
    #[schemars(length(max = 24))]
    process: Vec<ChecklistItem>,
    /// For those who run a validator.
    validators: RawValidators,
}

impl Checklist {
    pub fn step(&self, item: &str) -> Option<&ChecklistItem> {
        self.process.iter().find(|i| i.item == item)
    }
}

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Checklist> {
    let raw: RawChecklist = file.parse(findings)?;
    let before = findings.len();
    for (key, items) in [
        ("before", &raw.validators.before),
        ("after", &raw.validators.after),
    ] {
        if items.len() > MAX_VALIDATOR_ITEMS {
            let message = format!(
                "{} items are listed; {MAX_VALIDATOR_ITEMS} fit",
                items.len()
            );
            findings.push(file.wrong(
                &["validators", key],
                message,
                "keep what each validator has to do",
            ));
        }
        for (i, item) in items.iter().enumerate() {
            line(
                file,
                &["validators", key, &i.to_string()],
                item,
                MAX_TEXT_CHARS,
                findings,
            );
        }
    }
    if raw.process.len() > MOST_STEPS {
        let message = format!("{} steps are listed; {MOST_STEPS} fit", raw.process.len());
        findings.push(file.wrong(
            &["process"],
            message,
            "keep what somebody has to do and to tick",
        ));
    }
    let mut seen = BTreeSet::new();
    for (i, step) in raw.process.iter().enumerate() {
        let index = i.to_string();
        if !is_item(&step.item) {
            let message = format!("`{}` is not a step's number", step.item);
            findings.push(file.wrong(
                &["process", &index, "item"],
                message,
                "write it in quotes, from \"1.1\" on, with a letter where a step has several",
            ));
        }
        if !seen.insert(&step.item) {
            findings.push(file.wrong(
                &["process", &index, "item"],
                format!("`{}` stands above already", step.item),
                "add a letter: 1.3a",
            ));
        }
        line(
            file,
            &["process", &index, "text"],
            &step.text,
            LONGEST_STEP,
            findings,
        );
    }
    let RawValidators {
        before: first,
        after,
    } = raw.validators;
    (findings.len() == before).then_some(Checklist {
        process: raw.process,
        before: first,
        after,
    })
}

fn line(file: &SourceFile, at: &[&str], text: &str, longest: usize, findings: &mut Vec<Finding>) {
    let has = text.chars().count();
    if text.trim().is_empty() || has > longest || text.trim().contains('\n') {
        findings.push(file.wrong(
            at,
            format!("this has {has} characters; 1 to {longest} fit, in one line"),
            "say it in one short line",
        ));
    }
}

/// `1.1`, `5.12`, `1.3a`
fn is_item(item: &str) -> bool {
    let number = item
        .strip_suffix(|c: char| c.is_ascii_lowercase())
        .unwrap_or(item);
    let digits =
        |text: &str| (1..=2).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
    number
        .split_once('.')
        .is_some_and(|(phase, step)| ["1", "2", "3", "4", "5"].contains(&phase) && digits(step))
}

/// Checks that what a notice waits for is there.
pub fn check_needs(
    plan: &Plan,
    file: &SourceFile,
    checklist: &Checklist,
    findings: &mut Vec<Finding>,
) {
    for (urgency, notice) in plan.all_notices() {
        for (i, item) in notice
            .needs
            .iter()
            .enumerate()
            .filter(|(_, item)| checklist.step(item).is_none())
        {
            let place = plan.place_of(urgency, &notice.id, "needs");
            let index = i.to_string();
            let path: Vec<&str> = place
                .iter()
                .map(String::as_str)
                .chain([index.as_str()])
                .collect();
            let known = checklist
                .process
                .iter()
                .map(|i| i.item.as_str())
                .collect::<Vec<_>>();
            let finding = file.wrong(
                &path,
                format!("checklist.yaml has no item `{item}`"),
                suggest(item, known),
            );
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
}
