//! The output of a rehearsal: posts as a person would see them, or lines of JSON.

use std::{io::Write, sync::Arc};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

use super::controls::Controls;
use crate::{
    domain::{chain::fact::Fact, outbox::Post},
    ports::{Markup, Platform},
    words::{Zone, as_words},
};

/// The output of a rehearsal: text or JSON on stdout, the bar on stderr.
pub struct Output {
    json: bool,
    bar: ProgressBar,
    zone: Zone,
    /// The controls, where a viewer elsewhere is told.
    controls: Option<Arc<Controls>>,
}

impl Output {
    pub fn new(json: bool, quiet: bool, zone: Zone) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(100),
            if quiet {
                ProgressDrawTarget::hidden()
            } else {
                ProgressDrawTarget::stderr()
            },
        );
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {percent:>3}%  {prefix:<16} {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            json,
            bar,
            zone,
            controls: None,
        }
    }

    /// Lines for people go to the controls of a browser instead of stdout; posts are seen there in their rooms.
    pub fn shown_by(self, controls: Arc<Controls>) -> Self {
        Self {
            controls: Some(controls),
            ..self
        }
    }

    fn line(&self, text: &str) {
        if self.controls.is_some() {
            return;
        }
        self.bar.suspend(|| {
            // A closed pipe is the reader's choice, not a fault.
            let _ = writeln!(std::io::stdout(), "{text}");
        });
    }

    /// For people only.
    pub fn say(&self, text: &str) {
        if let Some(controls) = &self.controls {
            controls.tell(text);
        }
        if !self.json {
            self.line(text);
        }
    }

    pub fn progress(&self, percent: u64, phase: &str, now: Timestamp) {
        self.bar.set_position(percent.min(100));
        self.bar.set_prefix(phase.to_owned());
        self.bar.set_message(self.zone.written(now));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub fn fact(&self, fact: &Fact) {
        if self.json {
            self.line(&json!(fact).to_string());
        } else {
            if let Some(controls) = &self.controls {
                controls.tell(&format!(
                    "● {} · {} · block {}",
                    fact.chain,
                    fact.kind().name(),
                    fact.block
                ));
            }
            let time = fact.time.map(|t| self.zone.written(t)).unwrap_or_default();
            self.line(&format!(
                "\n  ● {} · {} · block {} · spec_version {} · {time}",
                fact.chain,
                fact.kind().name(),
                fact.block,
                fact.spec_version
            ));
        }
    }

    pub fn post(&self, post: &Post, platform: Platform) {
        let (Some(body), Some(sent)) = (&post.body, post.sent) else {
            return;
        };
        if self.json {
            let line = json!({
                "upgrade": post.upgrade,
                "notice": post.notice,
                "channel": post.channel,
                "platform": platform,
                "operation": post.operation,
                "key": post.key,
                "due": post.due,
                "posted": sent,
                "text": body.text,
            });
            self.line(&line.to_string());
            return;
        }
        let title = format!(
            "── {} · {} · {} · {} ",
            post.channel,
            post.notice,
            post.operation.name(),
            self.zone.written(sent)
        );
        let rule = "─".repeat(78_usize.saturating_sub(title.chars().count()));
        let text = match platform.capabilities().markup {
            Markup::Discord => as_words(&body.text, sent),
            Markup::Matrix | Markup::Plain => body.text.clone(),
        };
        let text = match &body.event {
            Some(event) => {
                format!(
                    "{}: {} to {}, {:?}",
                    event.name,
                    self.zone.written(event.opens),
                    self.zone.written(event.closes),
                    event.stage
                )
            }
            None => text,
        };
        let text: String = text.lines().map(|l| format!("   {l}\n")).collect();
        self.line(&format!("\n{title}{rule}\n{}", text.trim_end()));
    }
}
