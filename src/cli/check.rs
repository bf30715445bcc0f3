//! `herald check`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    adapters::clock::SystemClock,
    config::{Finding, Origin, Severity},
    lint,
    ports::Clock,
};

/// `strict`: a warning is as bad as an error.
pub fn run(folder: Option<PathBuf>, json: bool, strict: bool) -> Result<ExitCode> {
    let origin = Origin::choose(folder, true);
    let (findings, summary) = match lint::load(&origin) {
        Ok(loaded) => {
            let mut findings = loaded.warnings;
            let now = SystemClock.now();
            findings.extend(lint::rules(&loaded.config));
            findings.extend(lint::near(&loaded.config, now));
            for file in &loaded.config.upgrades {
                if file.upgrade.window.opens <= now {
                    let mut finding = file.file.wrong(
                        &["window", "opens"],
                        "this window opened already: `herald run` goes on with it if it knows it, and refuses it if it is new",
                        "set a window that is still to come, or remove the file",
                    );
                    finding.severity = Severity::Warning;
                    findings.push(finding);
                }
            }
            let config = &loaded.config;
            let notices = config
                .plan
                .all_notices()
                .map(|(_, n)| &n.id)
                .collect::<std::collections::BTreeSet<_>>()
                .len();
            let counts = (
                notices,
                config.upgrades.len(),
                config.templates.len(),
                config.deployment.channels.len(),
            );
            let parts = [
                (counts.0, "notice"),
                (counts.1, "upgrade"),
                (counts.2, "template"),
                (counts.3, "channel"),
            ];
            (
                findings,
                Some(parts.map(|(n, what)| counted(n, what)).join(", ")),
            )
        }
        Err(findings) => (findings, None),
    };
    print(&findings, json)?;
    let warnings = findings
        .iter()
        .filter(|f| f.severity == Severity::Warning)
        .count();
    let errors = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    match summary {
        Some(summary) if errors == 0 && !(strict && warnings > 0) => {
            if !json {
                out!("Good: {summary}, {}.", counted(warnings, "warning"));
            }
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            if !json {
                out!(
                    "{}, {}.",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                );
            }
            Ok(ExitCode::from(1))
        }
    }
}

fn print(findings: &[Finding], json: bool) -> Result<()> {
    for finding in findings {
        if json {
            out!("{}", serde_json::to_string(finding)?)
        } else {
            out!("{finding}")
        }
    }
    Ok(())
}

/// `1 error`, `2 errors`
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
