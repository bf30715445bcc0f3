//! `checklist.yaml`: what a validator does before and after an upgrade.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{files::SourceFile, finding::Finding, schema::Text};

/// Items of a validator, ticked one by one by the reaction with their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// Up to nine, each in one short line.
    #[schemars(with = "Vec<Text<120>>", length(max = 9))]
    pub before: Vec<String>,
    /// Up to nine, each in one short line.
    #[schemars(with = "Vec<Text<120>>", length(max = 9))]
    pub after: Vec<String>,
}

/// There are reactions for so many numbers.
const MOST: usize = 9;
const LONGEST: usize = 120;

/// What a validator does before and after an upgrade.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// For those who run a validator.
    validators: Checklist,
}

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Checklist> {
    let raw: Raw = file.parse(findings)?;
    let before = findings.len();
    for (key, items) in [("before", &raw.validators.before), ("after", &raw.validators.after)] {
        if items.len() > MOST {
            let message = format!("{} items are listed; {MOST} fit", items.len());
            findings.push(file.wrong(&["validators", key], message, "keep what each validator has to do"));
        }
        for (i, item) in items.iter().enumerate() {
            let has = item.chars().count();
            if item.trim().is_empty() || has > LONGEST {
                let at = ["validators", key, &i.to_string()];
                findings.push(file.wrong(&at, format!("this has {has} characters; 1 to {LONGEST} fit"), "say it in one short line"));
            }
        }
    }
    (findings.len() == before).then_some(raw.validators)
}
