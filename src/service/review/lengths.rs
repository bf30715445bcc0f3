//! Does every notice fit a post, with every value at its longest?
//!
//! What herald itself puts around the words counts as well: the line on top of a post that no longer holds, the
//! request to approve it, and the people it mentions.

use serde_json::{Value, json};

use super::{distinct, versions};
use crate::{
    config::{ChannelConfig, Config, Finding, Readers, SourceFile},
    domain::notice::{Notice, Trigger},
    ports::Platform,
    service::dispatcher::{MARK_TEMPLATE, PREVIEW_TEMPLATE},
    template::Renderer,
};

/// Discord's limit for a message, in characters.
pub const DISCORD_LIMIT: usize = 2000;
/// Of a Matrix event's 65,536 bytes, what is left for words: plain and formatted together.
pub const MATRIX_LIMIT: usize = 60_000;
/// `<@&1100000000000000001>` and a space.
const MENTION: usize = 25;

pub(super) fn of(config: &Config, renderer: &Renderer, worst: &Value) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut factless = worst.clone();
    factless.as_object_mut().and_then(|context| context.insert("fact".to_owned(), Value::Null));
    for notice in distinct(config) {
        // One by the clock, or by people, has no fact to speak of.
        let has_fact = matches!(notice.trigger, Trigger::On(happening) if !happening.without_fact());
        let worst = if has_fact { worst } else { &factless };
        for platform in [Platform::Discord, Platform::Matrix] {
            let mut channels = notice.channels.clone();
            if notice.approval.persons > 0 {
                // Those who approve it see it too.
                channels.extend(config.deployment.channels_for(Readers::Operators));
            }
            let on = |channel: &ChannelConfig| channel.platform == platform;
            for (locale, file) in versions(config, renderer, &notice.template, &channels, on) {
                let finding = Measure { config, renderer, notice, locale, platform }.finding(worst, file);
                // Notices often share a template.
                findings.extend(finding.filter(|f| !findings.contains(f)));
            }
        }
    }
    findings
}

/// One notice as one platform gets it in one language.
struct Measure<'a> {
    config: &'a Config,
    renderer: &'a Renderer,
    notice: &'a Notice,
    locale: &'a str,
    platform: Platform,
}

impl Measure<'_> {
    fn finding(&self, worst: &Value, file: &SourceFile) -> Option<Finding> {
        let (length, with) = match self.length(worst) {
            Ok(measured) => measured,
            Err(error) => return Some(file.at((1, 1), error, "mend the template".to_owned())),
        };
        let (limit, holds) = match self.platform {
            Platform::Discord => (DISCORD_LIMIT, "characters; a post on Discord holds"),
            Platform::Matrix => (MATRIX_LIMIT, "bytes; a post on Matrix holds"),
        };
        (length > limit).then(|| {
            let message = format!("with every value at its longest{with} this makes {length} {holds} {limit}");
            file.at((1, 1), message, "shorten the template; notices are never split".to_owned())
        })
    }

    /// The longest that can become of it, and what is counted beside the template.
    fn length(&self, worst: &Value) -> Result<(usize, String), String> {
        let text = self.of(&self.notice.template, worst)?;
        let mut around: Vec<&str> = Vec::new();
        let mut extra = 0;
        if self.notice.of_the_window() && !self.notice.live {
            extra += self.mark(worst)? + 2;
            around.push("the line on top of a post that no longer holds");
        }
        let mentions = self.mentions();
        if mentions > 0 {
            extra += mentions * MENTION + 1;
            around.push("those it mentions");
        }
        if self.notice.approval.persons > 0 {
            // A preview has this line on top, and neither of the others.
            let mut asked = worst.clone();
            if let Some(approval) = asked.get_mut("approval").and_then(Value::as_object_mut) {
                approval.insert("channels".to_owned(), json!(self.notice.channels));
            }
            let header = self.of(PREVIEW_TEMPLATE, &asked)? + 2;
            if header > extra {
                (extra, around) = (header, vec!["the request to approve it"]);
            }
        }
        let with = if around.is_empty() { String::new() } else { format!(", and with {},", around.join(" and ")) };
        Ok((text + extra, with))
    }

    /// As the platform counts it.
    fn of(&self, template: &str, worst: &Value) -> Result<usize, String> {
        let text = self.renderer.markdown(template, self.locale, worst)?;
        let body = self.renderer.body(&text, self.platform, jiff::Timestamp::UNIX_EPOCH);
        Ok(match self.platform {
            Platform::Discord => body.text.chars().count(),
            Platform::Matrix => body.text.len() + body.html.map_or(0, |html| html.len()),
        })
    }

    /// The line on top says one of several things, so not all that could be there is there at once.
    fn mark(&self, worst: &Value) -> Result<usize, String> {
        let mut longest = self.of(MARK_TEMPLATE, worst)?;
        let mut other = worst.clone();
        for (part, key, value) in [
            ("upgrade", "cancelled", json!(null)),
            ("upgrade", "failed", json!(null)),
            ("window", "set", json!(true)),
            ("window", "set", json!(false)),
        ] {
            if let Some(part) = other.get_mut(part).and_then(Value::as_object_mut) {
                part.insert(key.to_owned(), value);
            }
            longest = longest.max(self.of(MARK_TEMPLATE, &other)?);
        }
        Ok(longest)
    }

    /// As many as one of its channels mentions at most.
    fn mentions(&self) -> usize {
        let channels = self.notice.channels.iter().filter_map(|name| self.config.deployment.channels.get(name));
        let of = |channel: &ChannelConfig| self.notice.mention.iter().filter_map(|group| channel.mentions.get(group)).map(Vec::len).sum();
        channels.filter(|c| c.platform == self.platform).map(of).max().unwrap_or(0)
    }
}
