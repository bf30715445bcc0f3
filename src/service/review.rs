//! Reviews what only rendering shows: does every notice fit a post, with every value at its longest?

use serde_json::Value;

use crate::{
    config::{Config, Finding},
    domain::{
        fact::Fact,
        notice::{Notice, Trigger},
    },
    ports::{Accepting, Platform},
    service::context::{self, Moment},
    template::Renderer,
};

/// Discord's limit for a message, in characters.
pub const DISCORD_LIMIT: usize = 2000;

/// A finding for each notice that can't be rendered at its hour: one by the clock has no fact to speak of.
pub fn renders(config: &Config, renderer: &Renderer, sample: &Accepting, fact: &Fact) -> Vec<Finding> {
    let mut findings = Vec::new();
    for notice in distinct(config) {
        let timed = match notice.trigger {
            Trigger::On(happening) => happening.without_fact(),
            _ => true,
        };
        let moment = Moment { fact: (!timed).then_some(fact), due: Some(sample.accepted), ..Moment::default() };
        let rendered = renderer.markdown(&notice.template, &context::of(sample, Some(notice), config, &moment));
        let Some(file) = config.templates.get(&notice.template) else { continue };
        match rendered {
            Ok(text) if text.trim().is_empty() => {
                findings.push(file.at((1, 1), format!("this says nothing for the notice `{}`", notice.id), "write some words".to_owned()));
            }
            Ok(_) => {}
            Err(error) => {
                let hint = format!("guard it for the notice `{}`, which has no fact: {{{{#if fact}}}}…{{{{/if}}}}", notice.id);
                findings.push(file.at((1, 1), error, hint));
            }
        }
    }
    findings
}

/// A finding for each notice that could be too long for a channel it goes to.
pub fn lengths(config: &Config, renderer: &Renderer, worst: &Value) -> Vec<Finding> {
    distinct(config).into_iter().filter(|n| on_discord(config, n)).filter_map(|n| too_long(config, renderer, worst, n)).collect()
}

/// Every notice of every urgency, each once.
fn distinct(config: &Config) -> Vec<&Notice> {
    let mut notices: Vec<&Notice> = Vec::new();
    for (_, notice) in config.plan.all_notices() {
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    notices
}

fn on_discord(config: &Config, notice: &Notice) -> bool {
    notice.channels.iter().any(|c| config.deployment.channels.get(c).is_some_and(|c| c.platform == Platform::Discord))
}

fn too_long(config: &Config, renderer: &Renderer, worst: &Value, notice: &Notice) -> Option<Finding> {
    let file = config.templates.get(&notice.template)?;
    let markdown = match renderer.markdown(&notice.template, worst) {
        Ok(markdown) => markdown,
        Err(error) => return Some(file.at((1, 1), error, "mend the template".to_owned())),
    };
    let body = renderer.body(&markdown, Platform::Discord, jiff::Timestamp::UNIX_EPOCH);
    let length = body.text.chars().count();
    (length > DISCORD_LIMIT).then(|| {
        file.at(
            (1, 1),
            format!("with every value at its longest this makes {length} characters; a post on Discord holds {DISCORD_LIMIT}"),
            "shorten the template; notices are never split".to_owned(),
        )
    })
}
