//! Reviews what no single file shows.
//!
//! [`posts`] finds what could not be posted as it is; herald does not start with such a finding.
//! [`rules`] finds where the plan breaks its own rules (notice, nights, posts a day) and what could
//! never come: `herald check` shows it. [`near`] needs the clock as well.

mod coverage;
mod expected;
mod lengths;
mod load;
mod promises;
mod reach;
mod renders;
mod templates;
mod windows;

use jiff::{Timestamp, civil::date};
use serde_json::Value;
use strum::IntoEnumIterator;

use crate::{
    config::{ChannelConfig, Config, Finding, Plan, Severity, SourceFile},
    domain::{
        campaign::{
            Campaign,
            upgrade::{Urgency, Window},
        },
        chain::fact::Fact,
        plan::{notice::Notice, schedule::civil_instant},
    },
    words::Renderer,
};

pub use self::expected::{ExpectedPosts, expected_posts};
pub use self::load::{Loaded, load, load_own, load_usable};
pub use self::windows::near;

/// Finds what can't be posted: a notice that can't be rendered at its hour, says nothing, or does
/// not fit. `worst` is the context with every value at its longest.
pub fn posts(
    config: &Config,
    renderer: &Renderer,
    sample: &Campaign,
    fact: &Fact,
    worst: &Value,
) -> Vec<Finding> {
    let mut findings = renders::of(config, renderer, sample, fact);
    findings.extend(lengths::of(config, renderer, worst));
    findings
}

/// Finds what the plan asks of itself and does not keep, and what can never come.
pub fn rules(config: &Config) -> Vec<Finding> {
    let mut findings = windows::of(config);
    for urgency in Urgency::iter() {
        let trials = trials(config, urgency);
        promises::of(config, urgency, &trials, &mut findings);
        reach::of(config, urgency, &trials, &mut findings);
    }
    coverage::of(config, &mut findings);
    templates::of(config, &mut findings);
    // A notice of all urgencies is checked once for each, so a finding may come twice.
    let mut once: Vec<Finding> = Vec::new();
    for finding in findings {
        if !once.contains(&finding) {
            once.push(finding);
        }
    }
    once
}

/// A window that the plan is tried with: that of one of its upgrades, or an imagined one.
struct TrialWindow {
    /// The name that a finding gives it.
    name: String,
    window: Window,
    several_chains: bool,
}

impl TrialWindow {
    /// Returns when a notice by the clock is due.
    fn times(&self, notice: &Notice, plan: &Plan) -> Vec<Timestamp> {
        notice.trigger.times(self.window.opens, &plan.zone)
    }
}

fn trials(config: &Config, urgency: Urgency) -> Vec<TrialWindow> {
    let upgrades = config
        .upgrades
        .iter()
        .map(|u| &u.upgrade)
        .filter(|u| u.urgency == urgency && !u.given_up());
    let mut trials: Vec<TrialWindow> = upgrades
        .flat_map(|u| {
            let windows = u
                .poll
                .as_ref()
                .map_or(std::slice::from_ref(&u.window), |p| &p.windows);
            windows.iter().map(|w| TrialWindow {
                name: u.id.clone(),
                window: w.clone(),
                several_chains: u.chains.len() > 1,
            })
        })
        .collect();
    if trials.is_empty() {
        trials.extend(imagined(&config.plan));
    }
    trials
}

/// Imagines an upgrade on a Tuesday at 14:00, far from any change of the clocks.
fn imagined(plan: &Plan) -> Option<TrialWindow> {
    let opens = civil_instant(date(2027, 6, 8).at(14, 0, 0, 0), &plan.zone)?;
    let closes = opens
        .checked_add(jiff::SignedDuration::from_hours(2))
        .ok()?;
    Some(TrialWindow {
        name: "any upgrade".to_owned(),
        window: Window { opens, closes },
        several_chains: true,
    })
}

/// True if somebody of the public reads the notice.
fn is_public(notice: &Notice, config: &Config) -> bool {
    let mut channels = notice.channels.iter();
    channels.any(|c| config.deployment.is_public(c))
}

/// Makes a finding at a key of a notice.
fn at_notice(
    config: &Config,
    urgency: Urgency,
    id: &str,
    key: &str,
    message: String,
    hint: &str,
) -> Finding {
    let place = config.plan.place_of(urgency, id, key);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    config.sources.plan.wrong(&place, message, hint)
}

fn warning(finding: Finding) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..finding
    }
}

/// Lists every notice of every urgency, each once.
fn distinct(config: &Config) -> Vec<&Notice> {
    let mut notices: Vec<&Notice> = Vec::new();
    for (_, notice) in config.plan.all_notices() {
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    notices
}

/// Lists the files that a notice's template is made from, each once, with a locale that leads to
/// it: one for each language of the channels that has a translation.
fn versions<'a>(
    config: &'a Config,
    renderer: &Renderer,
    template: &str,
    channels: &[String],
    counts: impl Fn(&ChannelConfig) -> bool,
) -> Vec<(&'a str, &'a SourceFile)> {
    let mut found: Vec<(&str, &SourceFile)> = Vec::new();
    for channel in channels
        .iter()
        .filter_map(|name| config.deployment.channels.get(name))
        .filter(|c| counts(c))
    {
        let file = config
            .templates
            .get(&renderer.source(template, &channel.locale));
        found.extend(
            file.filter(|file| !found.iter().any(|(_, known)| known == file))
                .map(|file| (channel.locale.as_str(), file)),
        );
    }
    found
}
