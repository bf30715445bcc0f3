//! `herald new upgrade` and `herald new proposal`

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::{Timestamp, civil::DateTime};

use super::{
    open::{Refused, load},
    urgency,
};
use crate::{
    adapters::clock::SystemClock,
    config::{self, Deployment, Origin, Plan, suggest, unfit_id},
    domain::{
        campaign::{Campaign, upgrade::Urgency},
        plan::{language::DEFAULT_LOCALE, schedule::civil_instant},
    },
    ports::Clock,
    words::{
        context::{self, RenderInput},
        length_words,
    },
};

/// The template that a proposal is made with.
const PROPOSAL_TEMPLATE: &str = "appendix/proposal";
/// The hour in the plan's zone at which a proposed window opens, and the hours for which it is open.
const WINDOW_OPENS_HOUR: i8 = 14;
const WINDOW_HOURS: i8 = 2;
/// Characters of an id at most.
const MAX_ID_CHARS: usize = 24;
/// Chains that an upgrade touches at most.
const MAX_CHAINS: usize = 8;

/// Write the beginnings of an upgrade file, or print a proposal to people
#[derive(Debug, Subcommand)]
pub enum NewCommand {
    Upgrade(NewUpgradeArgs),
    /// Print the proposal of an upgrade, in Markdown
    Proposal {
        /// The upgrade's id
        id: String,
    },
}

/// Write a commented upgrade file to fill in
#[derive(Debug, Args)]
pub struct NewUpgradeArgs {
    /// Letters, digits, dots and dashes, such as v2.3.1
    id: String,
    /// Which plan it follows: routine, expedited or emergency
    #[arg(long, default_value = "routine", value_parser = urgency)]
    urgency: Urgency,
    /// Where to write it [default: upgrades/ in the config folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(folder: Option<PathBuf>, command: NewCommand) -> Result<ExitCode> {
    match command {
        NewCommand::Upgrade(args) => upgrade(folder, args),
        NewCommand::Proposal { id } => proposal(folder, &id),
    }
}

fn upgrade(folder: Option<PathBuf>, args: NewUpgradeArgs) -> Result<ExitCode> {
    let id = &args.id;
    if let Some(hint) = unfit_id(id) {
        bail!("`{id}` can't be an id; {hint}");
    }
    if id.chars().count() > MAX_ID_CHARS {
        bail!("`{id}` can't be an id; use up to {MAX_ID_CHARS} characters, such as v2.3.1");
    }
    let origin = Origin::choose(folder, false);
    let (deployment, plan) = config::groundwork(&origin).map_err(Refused)?;
    let here = match &origin {
        Origin::Folder { config, .. } => config.join("upgrades"),
        Origin::Embedded => PathBuf::from("config/upgrades"),
    };
    // The schemas stand beside the usual folder; elsewhere an editor would look for them in vain.
    let schema = args.dir.is_none();
    let dir = args.dir.unwrap_or(here);
    let Some(opens) = first_window(&plan, args.urgency, SystemClock.now()) else {
        bail!(
            "no window can be found: `least_notice` of the {} plan leads out of the calendar",
            args.urgency.name()
        );
    };
    let text = upgrade_file(id, args.urgency, &deployment, &plan, opens, schema);
    fs::create_dir_all(&dir).with_context(|| format!("{} can't be made", dir.display()))?;
    let path = dir.join(format!("{id}.yaml"));
    if let Some(other) = same_name(&dir, id)? {
        bail!(
            "{} is there already; change it, or choose another id",
            other.display()
        );
    }
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            let written = file
                .write_all(text.as_bytes())
                .and_then(|()| file.sync_all());
            if written.is_err() {
                // Half a file would be refused by every command.
                let _ = fs::remove_file(&path);
            }
            written.with_context(|| format!("{} can't be written", path.display()))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already; change it, or choose another id",
                path.display()
            )
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} can't be written", path.display()));
        }
    }
    out!("Wrote {}. Now:", path.display());
    out!(
        "  1. Fill in each TODO, and take out what does not apply: `herald check` names what is left."
    );
    out!(
        "  2. Look at the times: `herald plan window` proposes windows, `herald plan` shows what is posted when."
    );
    out!("  3. Read what will be said: `herald preview --upgrade {id}`.");
    out!("  4. Propose it to people: `herald new proposal {id}`.");
    Ok(ExitCode::SUCCESS)
}

/// Finds the file of an id that is the same but for the case of its letters: on some disks it is the same file.
fn same_name(dir: &Path, id: &str) -> Result<Option<PathBuf>> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("{} can't be listed", dir.display()))?;
    let is_same = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        is_yaml && stem.is_some_and(|stem| stem.eq_ignore_ascii_case(id))
    };
    Ok(entries.flatten().map(|entry| entry.path()).find(is_same))
}

/// The first weekday on which a window leaves people as much notice as the plan gives them.
fn first_window(plan: &Plan, urgency: Urgency, now: Timestamp) -> Option<DateTime> {
    let least = plan
        .plans
        .get(&urgency)
        .map(|p| p.least_notice)
        .unwrap_or_default();
    let earliest = now.checked_add(least).ok()?;
    let mut day = plan.zone.to_datetime(earliest).date();
    loop {
        let opens = day.at(WINDOW_OPENS_HOUR, 0, 0, 0);
        let weekday = day.weekday().to_monday_zero_offset() < 5;
        if weekday && civil_instant(opens, &plan.zone)? > earliest {
            return Some(opens);
        }
        day = day.tomorrow().ok()?;
    }
}

fn upgrade_file(
    id: &str,
    urgency: Urgency,
    deployment: &Deployment,
    plan: &Plan,
    opens: DateTime,
    schema: bool,
) -> String {
    let names: Vec<&String> = deployment.chains.keys().collect();
    let chain = |(i, name): (usize, &&String)| {
        let line = format!("{}: {{ spec_version: TODO }}", quoted(name));
        if i < MAX_CHAINS {
            format!("  {line}\n")
        } else {
            format!("  # {line}\n")
        }
    };
    let chains: String = names.iter().enumerate().map(chain).collect();
    let least = plan
        .plans
        .get(&urgency)
        .map(|p| p.least_notice)
        .unwrap_or_default();
    let notice = if least.is_zero() {
        "no notice".to_owned()
    } else {
        format!("{} of notice", length_words(least))
    };
    let date = opens.strftime("%Y-%m-%d");
    let first = if schema {
        "# yaml-language-server: $schema=../schemas/upgrade.schema.json\n"
    } else {
        ""
    };
    let relay = names.first().map_or("chain", |name| name.as_str());
    let filled = [
        ("{id}", quoted(id)),
        ("{urgency}", urgency.name().to_owned()),
        ("{zone}", plan.zone_name.clone()),
        ("{notice}", notice),
        ("{opens}", format!("{date} {WINDOW_OPENS_HOUR:02}:00")),
        (
            "{closes}",
            format!("{date} {:02}:00", WINDOW_OPENS_HOUR + WINDOW_HOURS),
        ),
        ("{date}", date.to_string()),
        ("{chains}", chains),
        ("{chain}", quoted(relay)),
    ];
    let text = filled
        .into_iter()
        .fold(UPGRADE_FILE.to_owned(), |text, (name, value)| {
            text.replace(name, &value)
        });
    format!("{first}{text}")
}

/// A text that YAML might take for a number is put in quotes.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    if plain && !word {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}

const UPGRADE_FILE: &str = r#"# One upgrade, by the {urgency} plan. Fill in each TODO: `herald check` names those that are left.
# Times are in {zone} unless they carry their own: {date}T13:00:00Z.
id: {id}
title: TODO               # what people call it, in up to 60 characters
summary: TODO             # what it is and why, in one sentence of up to 140
urgency: {urgency}
method: sudo              # sudo or governance

window:                   # the {urgency} plan gives people {notice}
  opens: {opens}
  closes: {closes}
# Or let people choose, and set the window when they have:
# poll:
#   windows:
#     - { opens: {opens}, closes: {closes} }
#     - { opens: …, closes: … }
#   decide_by: …          # before the first of them

chains:                   # take out those it does not touch; higher than what each runs now
{chains}  # With `code_hash: "0x…"` beside the version, the code that runs is compared with it.

# Where governance decides, its news is told:
# referendum: { chain: {chain}, index: 123 }

changes:                  # up to three that people notice, each in up to 60 characters
  - TODO

links:                    # up to two
  - { name: Release notes, url: "https://TODO" }

# rollback: …             # what to do if it goes wrong, in up to 160 characters

# What people have done, and where to read of it. Each is told once, when it is written here:
# steps: { under_review: "https://…", documented: "https://…", reviewed: "https://…" }

audiences:                # "must I do something, and by when?" leads every post
  validators:
    action: required      # required or none
    what: TODO            # in up to 100 characters
    node_version: TODO    # the oldest node that does, or take it out
    by: TODO              # a time before the window, or take it out
  developers:
    action: required
    what: TODO
  users:
    action: none
    what: TODO
"#;

fn proposal(folder: Option<PathBuf>, id: &str) -> Result<ExitCode> {
    let loaded = load(folder)?;
    let upgrades = &loaded.config.upgrades;
    let Some(found) = upgrades.iter().find(|u| u.upgrade.id == id) else {
        let ids: Vec<&str> = upgrades.iter().map(|u| u.upgrade.id.as_str()).collect();
        bail!("there is no upgrade `{id}`; {}", suggest(id, ids));
    };
    if !loaded.config.templates.contains_key(PROPOSAL_TEMPLATE) {
        bail!("there is no template for a proposal; write templates/{PROPOSAL_TEMPLATE}.md.hbs");
    }
    let now = SystemClock.now();
    let context = context::of(
        &Campaign::new(found.upgrade.clone(), now),
        None,
        &loaded.config,
        &RenderInput::default(),
    );
    let text = loaded
        .renderer
        .markdown(PROPOSAL_TEMPLATE, DEFAULT_LOCALE, &context.into())
        .map_err(anyhow::Error::msg)?;
    out!("{}", loaded.renderer.document(&text, now).trim());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Deployment, Plan) {
        config::groundwork(&Origin::Embedded).unwrap()
    }

    #[test]
    fn the_window_is_the_first_weekday_afternoon_that_leaves_enough_notice() {
        let (_, mut plan) = sample();
        plan.zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        plan.plans.get_mut(&Urgency::Routine).unwrap().least_notice =
            jiff::SignedDuration::from_hours(48);
        for (now, opens) in [
            ("2026-11-24T08:00:00Z", "2026-11-26T14:00:00"), // Tuesday to Thursday
            ("2026-11-24T13:00:00Z", "2026-11-27T14:00:00"), // a moment too late for Thursday
            ("2026-11-26T08:00:00Z", "2026-11-30T14:00:00"), // Saturday becomes Monday
        ] {
            assert_eq!(
                first_window(&plan, Urgency::Routine, now.parse().unwrap()),
                Some(opens.parse().unwrap()),
                "{now}"
            );
        }
    }

    #[test]
    fn what_yaml_takes_for_something_else_is_quoted() {
        let said = ["v2.3.1", "2026", "1e5", "on", "a-b_c", "№1"].map(quoted);
        assert_eq!(
            said,
            ["v2.3.1", "\"2026\"", "\"1e5\"", "\"on\"", "a-b_c", "\"№1\""]
        );
    }
}
