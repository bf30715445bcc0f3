//! Checks that every notice fits a post, with every value at its longest.
//!
//! The text that herald itself puts around the words counts as well: the line on top of a post that
//! no longer holds, the request to approve it, and the people it mentions.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
};

use serde_json::{Value, json};

use super::{distinct, versions};
use crate::{
    config::{ChannelConfig, Config, Finding, SourceFile},
    domain::plan::notice::{Happening, Notice, Trigger},
    ports::{Platform, Readers},
    words::{Context, Renderer, Text, context::MAX_PROVIDERS_IN_REMINDER, templates},
};

/// One mention is at most this long: `<@&1100000000000000001>` and a space.
const MAX_MENTION_CHARS: usize = 25;

pub(super) fn of(config: &Config, renderer: &Renderer, worst: &Value) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut factless = worst.clone();
    factless
        .as_object_mut()
        .and_then(|context| context.insert("fact".to_owned(), Value::Null));
    let (full, factless) = (
        Ruler::new(renderer, worst.clone()),
        Ruler::new(renderer, factless),
    );
    for notice in distinct(config) {
        // A notice by the clock, or by people, has no fact to speak of.
        let has_fact = notice.trigger.happening_with_fact().is_some();
        let ruler = if has_fact { &full } else { &factless };
        for platform in Platform::ALL {
            let mut channels = notice.channels.clone();
            if notice.approval.persons > 0 {
                // The people who approve it see it too.
                channels.extend(config.deployment.channels_for(Readers::Operators));
            }
            let on = |channel: &ChannelConfig| channel.platform == platform;
            for (locale, file) in versions(config, renderer, &notice.template, &channels, on) {
                let finding = Measure {
                    config,
                    ruler,
                    notice,
                    locale,
                    platform,
                }
                .finding(file);
                // Notices often share a template.
                findings.extend(finding.filter(|f| !findings.contains(f)));
            }
        }
    }
    findings
}

/// Measures templates with one context, each once: notices share templates, and platforms their words.
struct Ruler<'a> {
    renderer: &'a Renderer,
    worst: Context,
    texts: RefCell<BTreeMap<(String, String), Result<Text, String>>>,
    lengths: RefCell<BTreeMap<(String, String, Platform), usize>>,
    /// Rulers for the other cases of the line on top.
    marks: OnceCell<Vec<Ruler<'a>>>,
}

impl<'a> Ruler<'a> {
    fn new(renderer: &'a Renderer, worst: Value) -> Self {
        Self {
            renderer,
            worst: worst.into(),
            texts: RefCell::default(),
            lengths: RefCell::default(),
            marks: OnceCell::new(),
        }
    }

    /// Returns a template's length, as the platform counts it.
    fn template_length(
        &self,
        template: &str,
        locale: &str,
        platform: Platform,
    ) -> Result<usize, String> {
        let key = (template.to_owned(), locale.to_owned(), platform);
        if let Some(length) = self.lengths.borrow().get(&key) {
            return Ok(*length);
        }
        let render = || self.renderer.markdown(template, locale, &self.worst);
        let text = self
            .texts
            .borrow_mut()
            .entry((key.0.clone(), key.1.clone()))
            .or_insert_with(render)
            .clone()?;
        let length = self.length(&text, platform);
        self.lengths.borrow_mut().insert(key, length);
        Ok(length)
    }

    fn length(&self, text: &Text, platform: Platform) -> usize {
        let body = self
            .renderer
            .body(text, platform, jiff::Timestamp::UNIX_EPOCH);
        platform.capabilities().max_text.length(&body)
    }

    /// Returns the length of the longest line on top, which says one of several things.
    fn mark(&self, locale: &str, platform: Platform) -> Result<usize, String> {
        let mut longest = self.template_length(templates::MARK, locale, platform)?;
        let others = self.marks.get_or_init(|| {
            let failed = self.with("upgrade", "cancelled", json!(null));
            let other = failed.with("upgrade", "failed", json!(null));
            let (set, unset) = (
                other.with("window", "set", json!(true)),
                other.with("window", "set", json!(false)),
            );
            vec![failed, other, set, unset]
        });
        for ruler in others {
            longest = longest.max(ruler.template_length(templates::MARK, locale, platform)?);
        }
        Ok(longest)
    }

    /// Makes a ruler with another value somewhere.
    fn with(&self, part: &str, key: &str, value: Value) -> Self {
        let mut worst = self.worst.data().clone();
        if let Some(part) = worst.get_mut(part).and_then(Value::as_object_mut) {
            part.insert(key.to_owned(), value);
        }
        Self::new(self.renderer, worst)
    }
}

/// One notice as one platform gets it in one language.
struct Measure<'a> {
    config: &'a Config,
    ruler: &'a Ruler<'a>,
    notice: &'a Notice,
    locale: &'a str,
    platform: Platform,
}

impl Measure<'_> {
    fn finding(&self, file: &SourceFile) -> Option<Finding> {
        let (length, with) = match self.length() {
            Ok(measured) => measured,
            Err(error) => return Some(file.at((1, 1), error, "mend the template".to_owned())),
        };
        let platform = self.platform.capabilities();
        let (limit, unit) = (platform.max_text.max(), platform.max_text.unit());
        (length > limit).then(|| {
            let message = format!(
                "with every value at its longest{with} this makes {length} {unit}; a post on {} holds {limit}",
                platform.title
            );
            file.at(
                (1, 1),
                message,
                "shorten the template; notices are never split".to_owned(),
            )
        })
    }

    /// Returns the greatest length of the notice, and names what is counted beside the template.
    fn length(&self) -> Result<(usize, String), String> {
        let text = self.template_length(self.ruler, &self.notice.template)?;
        let mut around: Vec<&str> = Vec::new();
        let mut extra = 0;
        if self.notice.of_the_window() && !self.notice.live {
            extra += self.ruler.mark(self.locale, self.platform)? + 2;
            around.push("the line on top of a post that no longer holds");
        }
        let mentions = self.mentions();
        if mentions > 0 {
            extra += mentions * MAX_MENTION_CHARS + 1;
            around.push("those it mentions");
        }
        if self.notice.approval.persons > 0 {
            // A preview has this line on top, and neither of the others.
            let asked = self
                .ruler
                .with("approval", "channels", json!(self.notice.channels));
            let header = self.template_length(&asked, templates::APPROVAL_PREVIEW)? + 2;
            if header > extra {
                (extra, around) = (header, vec!["the request to approve it"]);
            }
        }
        let with = if around.is_empty() {
            String::new()
        } else {
            format!(", and with {},", around.join(" and "))
        };
        Ok((text + extra, with))
    }

    fn template_length(&self, ruler: &Ruler<'_>, template: &str) -> Result<usize, String> {
        ruler.template_length(template, self.locale, self.platform)
    }

    /// Counts the most people whom one channel mentions, and those who are missing from the roll.
    fn mentions(&self) -> usize {
        let channels = self
            .notice
            .channels
            .iter()
            .filter_map(|name| self.config.deployment.channels.get(name));
        let mentioned_in = |channel: &ChannelConfig| {
            self.notice
                .mention
                .iter()
                .filter_map(|group| channel.mentions.get(group))
                .map(Vec::len)
                .sum()
        };
        let names = matches!(
            self.notice.trigger,
            Trigger::On(Happening::Unacknowledged | Happening::Unready)
        );
        channels
            .filter(|c| c.platform == self.platform)
            .map(mentioned_in)
            .max()
            .unwrap_or(0)
            + if names { MAX_PROVIDERS_IN_REMINDER } else { 0 }
    }
}
