//! The files an operator writes, read and checked as one: everything wrong is found at once.
//!
//! Raw serde shapes refuse unknown keys; the second pass turns them into the domain's types and
//! collects what only meaning can tell. Every [`Finding`] names file, line and column, and a remedy.

mod checklist;
mod deployment;
mod examples;
mod files;
mod help;
pub(crate) mod locale;
mod notice;
mod people;
mod plan;
mod roster;
mod schema;
mod upgrade;
mod yaml;

use std::collections::BTreeMap;

use self::yaml::placeholder;
use crate::domain::{
    campaign::upgrade::Upgrade,
    people::roster::Provider,
    plan::{language::Language, notice::Notice},
};

pub use self::checklist::{Checklist, ChecklistItem};
pub use self::deployment::{
    ChainConfig, ChannelConfig, Delivery, Deployment, DiscordConfig, MatrixConfig, OnDoubt, Secret,
    StoreAt, Web,
};
pub use self::examples::examples;
pub use self::files::{ConfigFiles, Origin, extract_templates, is_built_in};
pub use self::help::{Contact, Help, Topic};
pub use self::locale::{shipped_replies, template_error};
pub use self::people::{KnownAccount, People, Person, Role, account_of};
pub use self::plan::{Feedback, Plan, UrgencyPlan};
pub use self::schema::all as schemas;
pub use self::upgrade::{UpgradeFile, unfit_id};
pub use self::yaml::finding::{Finding, Severity, hint, in_order, suggest};
pub use self::yaml::source::SourceFile;
pub use self::yaml::values::{instant, linkable};
pub use crate::ports::Readers;

/// Everything the configuration says.
#[derive(Clone, Debug)]
pub struct Config {
    pub deployment: Deployment,
    pub plan: Plan,
    pub upgrades: Vec<UpgradeFile>,
    pub people: People,
    pub help: Help,
    pub checklist: Checklist,
    /// The providers, who run nodes, by id.
    pub roster: Vec<Provider>,
    /// The files themselves, for what is found in them later.
    pub sources: Sources,
    /// Template name (`execution/applied`; of a translation `execution/applied.de`) to its file.
    pub templates: BTreeMap<String, SourceFile>,
    /// By locale; English is always there.
    pub languages: BTreeMap<String, Language>,
}

impl Config {
    /// A finding: what only a start can follow has changed.
    pub fn deployment_changed(&self) -> Finding {
        self.sources.deployment.at(
            (1, 1),
            "this has changed since herald was started".into(),
            "start herald again to follow it".into(),
        )
    }
}

/// The files of a configuration that are not upgrades or templates.
#[derive(Clone, Debug)]
pub struct Sources {
    pub deployment: SourceFile,
    pub plan: SourceFile,
    pub people: Option<SourceFile>,
}

/// Reads everything. `Err` has at least one finding that is an error; warnings come with `Ok`.
pub fn load(origin: &Origin) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
    let files = ConfigFiles::read(origin).map_err(|finding| vec![finding])?;
    let mut findings = files.passed_over.clone();
    let deployment = deployment::read(&files.deployment, &mut findings);
    let languages = locale::read(&files.words, &mut findings);
    locale::translations(&files.templates, &files.words, &mut findings);
    if let Some(deployment) = &deployment {
        locale::channels(&files.deployment, deployment, &files.words, &mut findings);
    }
    let plan = plan::read(
        &files.plan,
        deployment.as_ref(),
        &files.templates,
        &mut findings,
    );
    let mut upgrades = Vec::new();
    if let (Some(deployment), Some(plan)) = (&deployment, &plan) {
        for file in &files.upgrades {
            if let Some(upgrade) = upgrade::read(file, deployment, plan, &mut findings) {
                upgrades.push(UpgradeFile {
                    upgrade,
                    file: file.clone(),
                });
            }
        }
        upgrade::check_ids(&upgrades, &mut findings);
    }
    let roster = roster::read(&files.roster, &mut findings);
    let people = files.people.as_ref().map_or(Some(People::default()), |f| {
        people::read(f, &roster::ids(&files.roster), &mut findings)
    });
    let help = files
        .help
        .as_ref()
        .map_or(Some(Help::default()), |f| help::read(f, &mut findings));
    let checklist = files
        .checklist
        .as_ref()
        .map_or(Some(Checklist::default()), |f| {
            checklist::read(f, &mut findings)
        });
    if let Some(plan) = &plan {
        missing_files(&files, plan, &mut findings);
    }
    if let (Some(plan), Some(help), Some(_)) = (&plan, &help, &files.help) {
        help::check_topics(plan, &files.plan, help, &mut findings);
    }
    if let (Some(plan), Some(checklist), Some(_)) = (&plan, &checklist, &files.checklist) {
        checklist::check_needs(plan, &files.plan, checklist, &mut findings);
    }
    for file in files.read_by_people() {
        placeholder::find(file, &mut findings);
        placeholder::warn_of_comments(file, &mut findings);
    }
    match (deployment, plan, people, help, checklist) {
        (Some(deployment), Some(plan), Some(people), Some(help), Some(checklist))
            if findings.iter().all(|f| f.severity == Severity::Warning) =>
        {
            let sources = Sources {
                deployment: files.deployment,
                plan: files.plan,
                people: files.people,
            };
            let templates = files.templates;
            Ok((
                Config {
                    deployment,
                    plan,
                    upgrades,
                    people,
                    help,
                    checklist,
                    roster,
                    sources,
                    templates,
                    languages,
                },
                findings,
            ))
        }
        _ => Err(findings),
    }
}

/// Reads what can be used of files, whatever is wrong with the rest. In place of a plan that can't be used stands the
/// built-in one, and in place of the other files nothing. `None` where herald.yaml can't be used.
pub fn usable(files: ConfigFiles) -> Option<Config> {
    let mut ignored = Vec::new();
    let (embedded, wrong) = (ConfigFiles::embedded(), &mut ignored);
    let deployment = deployment::read(&files.deployment, wrong)?;
    let plan = plan::read(&files.plan, Some(&deployment), &files.templates, wrong)
        .or_else(|| plan::read(&embedded.plan, None, &embedded.templates, wrong))?;
    let read_upgrade = |file: SourceFile| {
        let upgrade = upgrade::read(&file, &deployment, &plan, &mut Vec::new())?;
        Some(UpgradeFile { upgrade, file })
    };
    let upgrades = files
        .upgrades
        .into_iter()
        .filter_map(read_upgrade)
        .collect();
    let known = roster::ids(&files.roster);
    let people = files
        .people
        .as_ref()
        .and_then(|file| people::read(file, &known, wrong));
    let help = files.help.as_ref().and_then(|file| help::read(file, wrong));
    let checklist = files
        .checklist
        .as_ref()
        .and_then(|file| checklist::read(file, wrong));
    Some(Config {
        upgrades,
        people: people.unwrap_or_default(),
        help: help.unwrap_or_default(),
        checklist: checklist.unwrap_or_default(),
        roster: roster::read(&files.roster, wrong),
        sources: Sources {
            deployment: files.deployment,
            plan: files.plan,
            people: files.people,
        },
        languages: locale::read(&files.words, wrong),
        templates: files.templates,
        deployment,
        plan,
    })
}

impl Config {
    /// The same with the built-in templates and words.
    #[must_use]
    pub fn with_built_in_words(self) -> Self {
        let embedded = ConfigFiles::embedded();
        Self {
            languages: locale::read(&embedded.words, &mut Vec::new()),
            templates: embedded.templates,
            ..self
        }
    }
}

/// Finds files that aren't there, and that notices of the plan point to.
fn missing_files(files: &ConfigFiles, plan: &Plan, findings: &mut Vec<Finding>) {
    let is_asked_for = |is: fn(&Notice) -> bool| plan.all_notices().any(|(_, notice)| is(notice));
    let rows = [
        (
            "help.yaml",
            files.help.is_none() && is_asked_for(|notice| notice.help.is_some()),
            "notices of the plan point to its topics",
        ),
        (
            "checklist.yaml",
            files.checklist.is_none() && is_asked_for(|notice| !notice.needs.is_empty()),
            "notices of the plan wait for its items",
        ),
    ];
    for (name, _, why) in rows.iter().filter(|(_, is_missed, _)| *is_missed) {
        findings.push(files.plan.missing_beside(name, why));
    }
}

/// Deployment and plan alone, for a file that is yet to be written: other upgrades may be half done.
pub fn groundwork(origin: &Origin) -> Result<(Deployment, Plan), Vec<Finding>> {
    let mut findings = Vec::new();
    let files = ConfigFiles::read(origin).map_err(|finding| vec![finding])?;
    let deployment = deployment::read(&files.deployment, &mut findings);
    let plan = plan::read(
        &files.plan,
        deployment.as_ref(),
        &files.templates,
        &mut findings,
    );
    deployment.zip(plan).ok_or(findings)
}

/// Reads one upgrade file from outside of the configuration (`rehearse --upgrade FILE`).
pub fn load_upgrade(
    path: &std::path::Path,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<Upgrade, Vec<Finding>> {
    let mut findings = Vec::new();
    let file = SourceFile::from_disk(path).map_err(|f| vec![f])?;
    let read = upgrade::read(&file, deployment, plan, &mut findings);
    placeholder::find(&file, &mut findings);
    placeholder::warn_of_comments(&file, &mut findings);
    match read {
        Some(upgrade) if findings.iter().all(|f| f.severity == Severity::Warning) => Ok(upgrade),
        _ => Err(findings),
    }
}
