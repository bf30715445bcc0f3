//! Reviews what only rendering shows: does every notice fit a post, with every value at its longest?

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    config::{ChannelConfig, Config, Finding, SourceFile},
    domain::{
        fact::Fact,
        notice::{Notice, Trigger},
    },
    ports::{Accepting, Platform},
    service::{
        context::{self, Moment},
        mention,
    },
    template::Renderer,
};

/// Discord's limit for a message, in characters.
pub const DISCORD_LIMIT: usize = 2000;

/// A finding for each notice that can't be rendered at its hour: one by the clock has no fact to speak of.
pub fn renders(config: &Config, renderer: &Renderer, sample: &Accepting, fact: &Fact) -> Vec<Finding> {
    let mut findings = Vec::new();
    for notice in distinct(config) {
        let moment = Moment { fact: has_fact(notice).then_some(fact), due: Some(sample.accepted), ..Moment::default() };
        let context = context::of(sample, Some(notice), config, &moment);
        for (locale, file) in versions(config, renderer, notice, |_| true) {
            match renderer.markdown(&notice.template, locale, &context) {
                Ok(text) if text.says_nothing() => {
                    let message = format!("this says nothing for the notice `{}`", notice.id);
                    findings.push(file.at((1, 1), message, "write some words".to_owned()));
                }
                Ok(_) => {}
                Err(error) => {
                    let hint = format!("guard it for the notice `{}`, which has no fact: {{{{#if fact}}}}…{{{{/if}}}}", notice.id);
                    findings.push(file.at((1, 1), error, hint));
                }
            }
        }
    }
    findings
}

/// A finding for each notice that could be too long for a channel it goes to.
pub fn lengths(config: &Config, renderer: &Renderer, worst: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut factless = worst.clone();
    factless.as_object_mut().and_then(|context| context.insert("fact".to_owned(), Value::Null));
    for notice in distinct(config) {
        let worst = if has_fact(notice) { worst } else { &factless };
        for (locale, file) in versions(config, renderer, notice, |channel| channel.platform == Platform::Discord) {
            findings.extend(too_long(config, renderer, worst, notice, (locale, file)));
        }
    }
    findings
}

/// One by the clock, or by people, has no fact to speak of.
fn has_fact(notice: &Notice) -> bool {
    matches!(notice.trigger, Trigger::On(happening) if !happening.without_fact())
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

/// The files that a notice is made from, each once, with a locale that leads to it: one a language of the
/// channels it goes to, where it has a translation.
fn versions<'a>(
    config: &'a Config,
    renderer: &Renderer,
    notice: &Notice,
    counts: impl Fn(&ChannelConfig) -> bool,
) -> Vec<(&'a str, &'a SourceFile)> {
    let channels = notice.channels.iter().filter_map(|name| config.deployment.channels.get(name)).filter(|c| counts(c));
    let by_file: BTreeMap<String, &str> = channels.map(|c| (renderer.source(&notice.template, &c.locale), c.locale.as_str())).collect();
    by_file.into_iter().filter_map(|(source, locale)| Some((locale, config.templates.get(&source)?))).collect()
}

fn too_long(config: &Config, renderer: &Renderer, worst: &Value, notice: &Notice, (locale, file): (&str, &SourceFile)) -> Option<Finding> {
    let text = match renderer.markdown(&notice.template, locale, worst) {
        Ok(text) => text,
        Err(error) => return Some(file.at((1, 1), error, "mend the template".to_owned())),
    };
    let mut body = renderer.body(&text, Platform::Discord, jiff::Timestamp::UNIX_EPOCH);
    // Those who are mentioned are named in the post too: the channel with the most of them counts.
    let channels = notice.channels.iter().filter_map(|name| config.deployment.channels.get(name));
    let called = channels.filter(|c| c.platform == Platform::Discord).map(|c| mention::whom(notice, &c.mentions));
    mention::name(&mut body, Platform::Discord, called.max_by_key(Vec::len).unwrap_or_default());
    let length = body.text.chars().count();
    (length > DISCORD_LIMIT).then(|| {
        file.at(
            (1, 1),
            format!("with every value at its longest this makes {length} characters; a post on Discord holds {DISCORD_LIMIT}"),
            "shorten the template; notices are never split".to_owned(),
        )
    })
}
