//! One notice of the plan, from its file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::{
    deployment::{ChannelConfig, Deployment, channel_hint},
    yaml::{
        finding::{Finding, suggest},
        kinds::{self, Length},
        source::SourceFile,
        values::{comparable_name, length, zone},
    },
};
use crate::{
    domain::plan::{
        language::split,
        notice::{
            Approval, Audience, Happening, LatePolicy, MissedPolicy, Notice, PRIVATE_NOTICE, Phase,
            SAID_NOTICE, Trigger,
        },
        schedule::{CronRule, Offset},
    },
    ports::Readers,
};

/// The longest title of a notice: it stands in a line with a time.
const MAX_TITLE_CHARS: u32 = 60;

/// A notice: what is said to whom, where and when. It has one of `at`, `cron` and `on`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["at"] }, { "required": ["cron"] }, { "required": ["on"] }]))]
pub(super) struct RawNotice {
    /// A name of its own in the plan.
    #[schemars(length(min = 1))]
    id: String,
    /// What people read of it before it is posted, such as "Reminder, one week before"; its id without. The words of a
    /// language may translate it.
    #[schemars(with = "Option<kinds::TextUpTo<MAX_TITLE_CHARS>>")]
    title: Option<String>,
    /// To group notices by.
    phase: Phase,
    /// Below templates/, without the ending: execution/applied.
    #[schemars(with = "kinds::Template")]
    template: String,
    /// The time before or after the window opens: -7d (civil days), -24h, +10m (exact).
    #[schemars(with = "Option<kinds::Offset>")]
    at: Option<String>,
    /// A repeated civil time between two offsets.
    cron: Option<RawCron>,
    /// The event after which it is posted.
    #[schemars(with = "Option<Happening>")]
    on: Option<String>,
    /// The time to wait after the event (`on`).
    #[schemars(with = "Option<Length>")]
    after: Option<String>,
    /// To whom it speaks; to all three without.
    #[serde(default)]
    audiences: Vec<Audience>,
    /// The channels it goes to; without, all channels of its readers.
    #[schemars(with = "Option<Vec<kinds::Channel>>", length(min = 1))]
    channels: Option<Vec<String>>,
    /// The readers whose channels it goes to, where none is named.
    #[serde(default)]
    to: Readers,
    /// Groups that are notified, as channels name them.
    #[serde(default)]
    #[schemars(with = "Vec<kinds::Group>")]
    mention: Vec<String>,
    /// Opens a thread for feedback below the post.
    #[serde(default)]
    feedback: bool,
    /// Asks people to answer that they have seen it.
    #[serde(default)]
    acknowledge: bool,
    /// How many people have to agree before it is posted.
    #[serde(default)]
    approval: RawApproval,
    /// The time before it is due at which they are asked; 24h without.
    #[schemars(with = "Option<Length>")]
    ask_before: Option<String>,
    /// Held for longer than this it is of no use any more; 2h without.
    #[schemars(with = "Option<Length>")]
    useful_for: Option<String>,
    /// The fate of a notice that could not be posted in time.
    #[serde(default)]
    late: LatePolicy,
    /// The fate of a notice by the clock whose time was over before the upgrade was accepted: `now` in the phase
    /// preparation and `skip` in the others, without.
    if_missed: Option<MissedPolicy>,
    /// A live notice: its posts are edited when a chain moves on.
    #[serde(default)]
    live: bool,
    /// The status board: a live post that shows what `board` lists.
    #[serde(default)]
    board: bool,
    /// The window stands in the Discord server's calendar, and moves and ends with the upgrade.
    #[serde(default)]
    event: bool,
    /// A picture of the block times goes with it.
    #[serde(default)]
    picture: bool,
    /// The items of checklist.yaml that must be ticked before it is posted; it is held until then.
    #[serde(default)]
    #[schemars(with = "Vec<kinds::Item>")]
    needs: Vec<String>,
    /// The topic of help.yaml it points to.
    #[schemars(with = "Option<kinds::Topic>")]
    help: Option<String>,
}

/// How many people have to agree.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawApproval {
    /// Nobody.
    #[default]
    None,
    /// One person.
    One,
    /// Two different people.
    Two,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawCron {
    /// Minute, hour, day, month, weekday; weekdays are named: "0 9 * * Mon-Fri".
    #[schemars(with = "kinds::Cron")]
    expression: String,
    /// An IANA name; the plan's zone without.
    #[schemars(with = "Option<kinds::Zone>")]
    zone: Option<String>,
    /// Not before this offset from the window.
    #[schemars(with = "kinds::Offset")]
    from: String,
    /// And before this one.
    #[schemars(with = "kinds::Offset")]
    until: String,
}

/// The surroundings that a notice is read with.
pub(super) struct NoticeScope<'a> {
    pub file: &'a SourceFile,
    pub zone: &'a TimeZone,
    pub deployment: Option<&'a Deployment>,
    pub templates: &'a BTreeMap<String, SourceFile>,
}

/// A happening by its name.
pub(super) fn happening(
    file: &SourceFile,
    path: &[&str],
    name: &str,
    findings: &mut Vec<Finding>,
) -> Option<Happening> {
    let found = Happening::parse(name);
    if found.is_none() {
        let hint = suggest(name, Happening::of_plans().map(Happening::name));
        findings.push(file.wrong(path, format!("nothing is called `{name}`"), hint));
    }
    found
}

/// The notices of one list; `list` is its key path.
pub(super) fn read_notices(
    scope: &NoticeScope<'_>,
    list: &[&str],
    raw: &[RawNotice],
    findings: &mut Vec<Finding>,
) -> Vec<Notice> {
    let (mut notices, mut ids) = (Vec::new(), BTreeMap::new());
    for (i, notice) in raw.iter().enumerate() {
        let reader = NoticeReader {
            scope,
            list,
            index: i.to_string(),
        };
        notices.extend(reader.read(notice, findings));
        if [SAID_NOTICE, PRIVATE_NOTICE].contains(&notice.id.as_str()) {
            findings.push(reader.wrong(
                "id",
                "this name is taken by what is posted beside the plan",
                "call it something else",
            ));
        }
        if notice.id.trim().is_empty() {
            findings.push(reader.wrong(
                "id",
                "a notice needs a name",
                "write what it is, such as reminder-1d",
            ));
        }
        if notice.id.starts_with('-') {
            findings.push(reader.wrong(
                "id",
                format!("`{}` looks like an option on the command line", notice.id),
                "begin the name with a letter or a digit",
            ));
        }
        let first = *ids.entry(comparable_name(&notice.id)).or_insert(i);
        if let Some(first) = raw.get(first).filter(|_| first != i) {
            findings.push(reader.wrong(
                "id",
                format!("a notice `{}` stands above already", first.id),
                "give each notice an id of its own",
            ));
        }
    }
    notices
}

/// Reads one notice; `index` is its place in the list.
struct NoticeReader<'a> {
    scope: &'a NoticeScope<'a>,
    list: &'a [&'a str],
    index: String,
}

impl NoticeReader<'_> {
    /// The path of a key of this notice.
    fn path<'k>(&'k self, keys: &[&'k str]) -> Vec<&'k str> {
        self.list
            .iter()
            .copied()
            .chain([self.index.as_str()])
            .chain(keys.iter().copied())
            .collect()
    }

    fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.scope.file.wrong(&self.path(&[key]), message, hint)
    }

    fn check_template(&self, raw: &RawNotice, findings: &mut Vec<Finding>) {
        // A notice names the original; which translation a channel gets, the channel says.
        if !self.scope.templates.contains_key(&raw.template) || split(&raw.template).1.is_some() {
            let names = self.scope.templates.keys().map(String::as_str);
            let names: Vec<&str> = names
                .filter(|n| !n.starts_with("partials/") && split(n).1.is_none())
                .collect();
            let message = format!(
                "there is no template `{}` (templates/{}.md.hbs)",
                raw.template, raw.template
            );
            findings.push(self.wrong("template", message, suggest(&raw.template, names)));
        }
    }

    fn check_title(&self, raw: &RawNotice, findings: &mut Vec<Finding>) {
        let Some(title) = &raw.title else { return };
        if title.trim().is_empty() || title.contains('\n') {
            findings.push(self.wrong(
                "title",
                "a title is a few words on one line",
                "write what people will get, such as Reminder, one week before",
            ));
        }
        let count = title.chars().count();
        if count > MAX_TITLE_CHARS as usize {
            findings.push(self.wrong(
                "title",
                format!("this title has {count} characters, and {MAX_TITLE_CHARS} fit"),
                "shorten it",
            ));
        }
    }

    /// Reads the channels: those that are named, or all that the notice's readers have.
    fn channels(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Vec<String> {
        match (&raw.channels, self.scope.deployment) {
            (None, deployment) => deployment
                .map(|d| d.channels_for(raw.to))
                .unwrap_or_default(),
            (Some(named), _) if named.is_empty() => {
                findings.push(self.wrong(
                    "channels",
                    "this notice goes nowhere",
                    "name a channel, or leave `channels` out for all",
                ));
                Vec::new()
            }
            (Some(named), deployment) => {
                for (i, name) in named.iter().enumerate() {
                    if let Some(deployment) = deployment.filter(|d| !d.channels.contains_key(name))
                    {
                        findings.push(self.scope.file.wrong(
                            &self.path(&["channels", &i.to_string()]),
                            format!("there is no channel `{name}` in herald.yaml"),
                            channel_hint(deployment, name),
                        ));
                    }
                }
                named.clone()
            }
        }
    }

    /// Refuses a public channel for what is said to operators alone.
    fn check_readers(
        &self,
        raw: &RawNotice,
        trigger: &Trigger,
        channels: &[String],
        findings: &mut Vec<Finding>,
    ) {
        if let (Trigger::On(happening), Some(deployment)) = (trigger, self.scope.deployment)
            && happening.for_operators()
            && channels.iter().any(|c| deployment.is_public(c))
        {
            let key = if raw.channels.is_some() {
                "channels"
            } else {
                "id"
            };
            findings.push(self.wrong(
                key,
                format!("`{}` is said to operators alone: it says something of herald, not of the chain", happening.name()),
                "add `to: operators`",
            ));
        }
    }

    fn read(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<Notice> {
        self.check_template(raw, findings);
        self.check_title(raw, findings);
        let trigger = self.trigger(raw, findings);
        let channels = self.channels(raw, findings);
        if let Some(trigger) = &trigger {
            self.check_readers(raw, trigger, &channels, findings);
        }
        self.mentions(raw, &channels, findings);
        let approval = self.approval(raw, findings);
        let delay = self.delay(raw, findings);
        if raw.live && trigger.as_ref().is_none_or(Trigger::is_by_clock) {
            findings.push(self.wrong(
                "live",
                "only a notice that waits for something (`on:`) is kept up to date",
                "remove `live`",
            ));
        }
        if raw.if_missed.is_some() && trigger.as_ref().is_some_and(|t| !t.is_by_clock()) {
            findings.push(self.wrong(
                "if_missed",
                "a notice that waits for something (`on:`) is never missed",
                "remove `if_missed`",
            ));
        }
        let (published, calendar) = self.on_discord(raw, &channels, trigger.as_ref(), findings);
        let audiences = if raw.audiences.is_empty() {
            Audience::iter().collect()
        } else {
            raw.audiences.clone()
        };
        let plain = Notice::new(raw.id.clone(), raw.phase, raw.template.clone(), trigger?);
        Some(Notice {
            audiences,
            channels,
            feedback: raw.feedback,
            live: raw.live || raw.board,
            picture: raw.picture,
            delay: delay?,
            mention: raw.mention.clone(),
            acknowledge: raw.acknowledge,
            approval: approval?,
            late: raw.late,
            if_missed: raw.if_missed.unwrap_or_else(|| MissedPolicy::of(raw.phase)),
            needs: raw.needs.clone(),
            board: raw.board,
            published,
            calendar,
            help: raw.help.clone(),
            title: raw.title.clone().unwrap_or(plain.title),
            ..plain
        })
    }

    /// Checks what Discord has besides: channels that others follow, and a calendar.
    fn on_discord(
        &self,
        raw: &RawNotice,
        channels: &[String],
        trigger: Option<&Trigger>,
        findings: &mut Vec<Finding>,
    ) -> (Vec<String>, Option<String>) {
        let Some(deployment) = self.scope.deployment else {
            return (Vec::new(), None);
        };
        let is = |name: &&String, wanted: &dyn Fn(&ChannelConfig) -> bool| {
            deployment.channels.get(*name).is_some_and(wanted)
        };
        let published = channels
            .iter()
            .filter(|name| is(name, &|c| c.publish))
            .cloned()
            .collect();
        if !raw.event {
            return (published, None);
        }
        if !(raw.live || raw.board) || trigger.is_none_or(Trigger::is_by_clock) {
            let hint = "add `live: true`, or set it on the board";
            findings.push(self.wrong(
                "event",
                "only a notice that is kept up to date can move the event",
                hint,
            ));
        }
        let calendar = channels.iter().find(|name| {
            is(name, &|c| {
                c.platform.capabilities().calendar && c.readers == Readers::Public
            })
        });
        (published, calendar.cloned())
    }

    /// Each group has to be named by a channel the notice goes to.
    fn mentions(&self, raw: &RawNotice, channels: &[String], findings: &mut Vec<Finding>) {
        let Some(deployment) = self.scope.deployment else {
            return;
        };
        let groups: BTreeSet<&str> = channels
            .iter()
            .filter_map(|c| deployment.channels.get(c))
            .flat_map(|c| c.mentions.keys().map(String::as_str))
            .collect();
        for (i, group) in raw
            .mention
            .iter()
            .enumerate()
            .filter(|(_, g)| !groups.contains(g.as_str()))
        {
            findings.push(self.scope.file.wrong(
                &self.path(&["mention", &i.to_string()]),
                format!("no channel of this notice says who `{group}` are"),
                format!("add `mentions: {{ {group}: [\"…\"] }}` to a channel in herald.yaml, or remove it here"),
            ));
        }
    }

    fn approval(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<Approval> {
        let persons = match raw.approval {
            RawApproval::None => 0,
            RawApproval::One => 1,
            RawApproval::Two => 2,
        };
        if persons == 0
            && (raw.ask_before.is_some() || raw.useful_for.is_some() && raw.needs.is_empty())
        {
            let key = if raw.ask_before.is_some() {
                "ask_before"
            } else {
                "useful_for"
            };
            findings.push(self.wrong(
                key,
                "nobody is asked to approve this notice",
                "add `approval: one`, or remove this",
            ));
        }
        if persons > 0
            && self
                .scope
                .deployment
                .is_some_and(|d| d.channels_for(Readers::Operators).is_empty())
        {
            let hint = "add a channel with `for: operators` to herald.yaml";
            findings.push(self.wrong(
                "approval",
                "there is no channel in which to ask for it",
                hint,
            ));
        }
        let mut wait = |key: &str, text: &Option<String>, hours: i64| match text {
            None => Some(SignedDuration::from_hours(hours)),
            Some(text) => length(self.scope.file, &self.path(&[key]), text, findings),
        };
        let (ask_before, useful_for) = (
            wait("ask_before", &raw.ask_before, 24),
            wait("useful_for", &raw.useful_for, 2),
        );
        Some(Approval {
            persons,
            ask_before: ask_before?,
            useful_for: useful_for?,
        })
    }

    fn delay(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<SignedDuration> {
        let Some(after) = &raw.after else {
            return Some(SignedDuration::ZERO);
        };
        if raw.on.is_none() {
            findings.push(self.wrong(
                "after",
                "only what waits for something (`on:`) can come so long after it",
                "use `at:` alone",
            ));
        }
        length(self.scope.file, &self.path(&["after"]), after, findings)
    }

    fn trigger(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<Trigger> {
        match (&raw.at, &raw.cron, &raw.on) {
            (Some(at), None, None) => match at.parse::<Offset>() {
                Ok(offset) => Some(Trigger::At(offset)),
                Err(error) => {
                    findings.push(self.wrong("at", error.to_string(), "for example -7d or -1h"));
                    None
                }
            },
            (None, None, Some(on)) => {
                happening(self.scope.file, &self.path(&["on"]), on, findings).map(Trigger::On)
            }
            (None, Some(cron), None) => self.cron(cron, findings),
            _ => {
                findings.push(self.wrong(
                    "id",
                    format!(
                        "notice `{}` needs one of `at`, `cron` and `on`, and only one",
                        raw.id
                    ),
                    "write, for example, `at: -1d`",
                ));
                None
            }
        }
    }

    fn cron(&self, raw: &RawCron, findings: &mut Vec<Finding>) -> Option<Trigger> {
        let mut wrong = |key: &str, message: String, hint: &str| {
            findings.push(
                self.scope
                    .file
                    .wrong(&self.path(&["cron", key]), message, hint),
            );
        };
        let zone_of = match &raw.zone {
            None => self.scope.zone.clone(),
            Some(name) => match zone(name) {
                Some(zone) => zone,
                None => {
                    wrong(
                        "zone",
                        format!("`{name}` is not a time zone"),
                        "write an IANA name, such as Europe/Berlin",
                    );
                    return None;
                }
            },
        };
        let mut offset = |key: &str, text: &str| match text.parse::<Offset>() {
            Ok(offset) => Some(offset),
            Err(error) => {
                wrong(key, error.to_string(), "for example -7d");
                None
            }
        };
        let (from, until) = (offset("from", &raw.from), offset("until", &raw.until));
        let (from, until) = (from?, until?);
        let apart = |offset: Offset| match offset {
            Offset::Days(days) => days.saturating_mul(86_400),
            Offset::Exact(seconds) => seconds,
        };
        if apart(from) >= apart(until) {
            wrong(
                "until",
                format!(
                    "`until: {}` is not after `from: {}`, so this never comes",
                    raw.until, raw.from
                ),
                "swap the two",
            );
            return None;
        }
        match CronRule::new(&raw.expression, zone_of, from, until) {
            Ok(rule) => Some(Trigger::Cron(Box::new(rule))),
            Err(error) => {
                wrong(
                    "expression",
                    error.to_string(),
                    "for example \"0 9 * * Mon-Fri\"",
                );
                None
            }
        }
    }
}
