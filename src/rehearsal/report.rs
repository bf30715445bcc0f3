//! The output of a rehearsal: posts as a person would see them, or lines of JSON.

use std::{io::Write, sync::Arc};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

use super::controls::Controls;
use crate::{
    domain::{chain::fact::Fact, outbox::Post},
    ports::{Markup, Platform},
    words::{Zone, distance},
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
            Markup::Discord => as_read_on_discord(&body.text, sent),
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

/// Discord's Markdown as its client shows it: times read, marks gone, links with their address.
pub fn as_read_on_discord(text: &str, now: Timestamp) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => {
                let mut following = after.chars();
                out.extend(following.next());
                following.as_str()
            }
            '<' if after.starts_with("t:") => time_mark(after, now, &mut out),
            '[' => match after
                .split_once("](<")
                .and_then(|(label, tail)| Some((label, tail.split_once(">)")?)))
            {
                Some((label, (url, behind))) if !label.contains('\n') => {
                    out.push_str(&format!("{label} ({url})"));
                    behind
                }
                _ => {
                    out.push('[');
                    after
                }
            },
            '*' if after.starts_with('*') => after.get(1..).unwrap_or_default(),
            c => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// Reads `t:SECONDS:F>` and returns what is behind it.
fn time_mark<'a>(mark: &'a str, now: Timestamp, out: &mut String) -> &'a str {
    let Some((inside, behind)) = mark.split_once('>') else {
        return mark;
    };
    let mut parts = inside.split(':').skip(1);
    let at = parts
        .next()
        .and_then(|s| s.parse().ok())
        .and_then(|s| Timestamp::from_second(s).ok());
    match (at, parts.next()) {
        (Some(at), Some("R")) => out.push_str(&distance(at.duration_since(now))),
        (Some(_), _) => out.push_str("‹in your own time›"),
        (None, _) => {}
    }
    behind
}
