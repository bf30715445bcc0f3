//! How an upgrade changes: by its file, or by a command; and what there is to say of it.
//!
//! Both write the same fields. A file's edit counts only where the file differs from the one accepted
//! last; where a command has changed such a field since, the two contradict each other and the edit is
//! refused whole.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::upgrade::{Decision, Step, Upgrade, Window};
use crate::domain::{people::reply::Reply, plan::notice::Happening};

/// A command that changes an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "kebab-case")]
pub enum Change {
    Reschedule {
        opens: Timestamp,
        closes: Timestamp,
        reason: Option<String>,
    },
    Cancel {
        reason: String,
    },
    /// The upgrade was tried and did not work.
    Fail {
        reason: String,
    },
    Go,
    NoGo {
        reason: String,
    },
    /// People have done something that no chain shows.
    Step {
        step: Step,
        link: String,
    },
    /// A line in the status.
    Note {
        text: String,
    },
    /// Feedback is closed now.
    Close,
    /// Words that nobody planned, in one channel or in all for everybody.
    Say {
        channel: Option<String>,
        text: String,
    },
    /// A correction on top of the last post of a notice.
    Correct {
        notice: String,
        text: String,
    },
    /// The next planned post of a notice goes out now.
    Announce {
        notice: String,
    },
    /// An item of the checklist is done.
    Tick {
        item: String,
        remark: Option<String>,
    },
    /// The item is not done, after all.
    Untick {
        item: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    #[error("the window closes before it opens; swap the two times")]
    Swapped,
    #[error("{0} was given up already; write a new upgrade, or take that out of its file")]
    GivenUp(String),
    #[error(
        "{0} is applied already; {1} comes too late. If something is wrong, tell people with say"
    )]
    TooLate(String, &'static str),
    #[error("that is so already")]
    Nothing,
    /// The file and a command changed the same fields.
    #[error("{} was changed by a command since the file was read; write what it is now, or give another command", .0.join(" and "))]
    Conflict(Vec<String>),
}

impl ChangeError {
    /// As it is said to whoever gave the command.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Swapped => Reply::WindowSwapped,
            Self::GivenUp(title) => Reply::GivenUp {
                title: title.clone(),
            },
            Self::TooLate(title, command) => Reply::AppliedAlready {
                title: title.clone(),
                command: (*command).to_owned(),
            },
            Self::Nothing => Reply::SoAlready,
            // No command meets this: a file's edit does.
            Self::Conflict(_) => Reply::Words {
                words: self.to_string(),
            },
        }
    }
}

/// In words, for the record.
impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Reschedule {
                opens,
                closes,
                reason,
            } => {
                write!(
                    f,
                    " {opens} to {closes}{}",
                    reason
                        .as_ref()
                        .map(|r| format!(": {r}"))
                        .unwrap_or_default()
                )
            }
            Self::Cancel { reason } | Self::Fail { reason } | Self::NoGo { reason } => {
                write!(f, ": {reason}")
            }
            Self::Step { link, .. } => write!(f, ": {link}"),
            Self::Note { text } => write!(f, ": {text}"),
            Self::Say { channel, text } => {
                write!(f, " in {}: {text}", channel.as_deref().unwrap_or("all"))
            }
            Self::Correct { notice, text } => write!(f, " {notice}: {text}"),
            Self::Announce { notice } => write!(f, " {notice}"),
            Self::Tick { item, remark } => write!(
                f,
                " {item}{}",
                remark
                    .as_ref()
                    .map(|r| format!(": {r}"))
                    .unwrap_or_default()
            ),
            Self::Untick { item } => write!(f, " {item}"),
            Self::Go | Self::Close => Ok(()),
        }
    }
}

impl Change {
    /// The name that people give it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Step { step, .. } => step.name(),
            other => other.into(),
        }
    }

    /// The change leaves the upgrade as it is: it is of what is said and done around it.
    pub fn is_aside(&self) -> bool {
        match self {
            Self::Note { .. }
            | Self::Close
            | Self::Say { .. }
            | Self::Correct { .. }
            | Self::Announce { .. }
            | Self::Tick { .. }
            | Self::Untick { .. } => true,
            Self::Reschedule { .. }
            | Self::Cancel { .. }
            | Self::Fail { .. }
            | Self::Go
            | Self::NoGo { .. }
            | Self::Step { .. } => false,
        }
    }

    /// The reason that is told with it, where no field of the upgrade holds it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Reschedule { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// The upgrade after it. `applied`: every chain runs the target already.
    pub fn to(&self, upgrade: &Upgrade, applied: bool) -> Result<Upgrade, ChangeError> {
        let mut after = upgrade.clone();
        if self.is_aside() {
            return Ok(after);
        }
        if upgrade.given_up() && !matches!(self, Self::Step { .. } | Self::Reschedule { .. }) {
            return Err(ChangeError::GivenUp(upgrade.title.clone()));
        }
        let too_late = applied
            && matches!(
                self,
                Self::Reschedule { .. } | Self::Cancel { .. } | Self::Go | Self::NoGo { .. }
            );
        if too_late {
            return Err(ChangeError::TooLate(upgrade.title.clone(), self.name()));
        }
        match self {
            Self::Reschedule { opens, closes, .. } => {
                if closes <= opens {
                    return Err(ChangeError::Swapped);
                }
                after.window = Window {
                    opens: *opens,
                    closes: *closes,
                };
                // A new time is a new try.
                (after.poll, after.cancelled, after.failed, after.decision) =
                    (None, None, None, None);
            }
            Self::Cancel { reason } => after.cancelled = Some(reason.clone()),
            Self::Fail { reason } => after.failed = Some(reason.clone()),
            Self::Go => after.decision = Some(Decision::Go),
            Self::NoGo { reason } => after.decision = Some(Decision::NoGo(reason.clone())),
            Self::Step { step, link } => {
                after.steps.insert(*step, link.clone());
            }
            // Nothing of the upgrade itself: see above.
            Self::Note { .. }
            | Self::Close
            | Self::Say { .. }
            | Self::Correct { .. }
            | Self::Announce { .. }
            | Self::Tick { .. }
            | Self::Untick { .. } => {}
        }
        if after == *upgrade {
            Err(ChangeError::Nothing)
        } else {
            Ok(after)
        }
    }
}

/// The names of the fields in which two states of an upgrade differ.
pub fn differing(one: &Upgrade, other: &Upgrade) -> BTreeSet<String> {
    let (one, other) = (fields(one), fields(other));
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

/// The name that a file has for a field.
fn in_file(field: &str) -> &str {
    match field {
        "decision" => "no_go",
        "duties" => "audiences",
        other => other,
    }
}

fn fields(upgrade: &Upgrade) -> Map<String, Value> {
    match serde_json::to_value(upgrade) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The outcome of a file that was read again.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub upgrade: Upgrade,
    /// Fields that a command has changed and no file has agreed to since.
    pub commanded: BTreeSet<String>,
}

/// The upgrade after its file was read again: `last` is the file as it was accepted last, `commanded`
/// the fields that commands have changed since.
pub fn merge(
    current: &Upgrade,
    last: &Upgrade,
    file: &Upgrade,
    commanded: &BTreeSet<String>,
) -> Result<Merged, ChangeError> {
    let (now, new) = (fields(current), fields(file));
    let edited = differing(last, file);
    let agrees = |name: &String| now.get(name) == new.get(name);
    let conflicts: Vec<String> = edited
        .iter()
        .filter(|name| commanded.contains(*name) && !agrees(name))
        .cloned()
        .collect();
    if !conflicts.is_empty() {
        return Err(ChangeError::Conflict(
            conflicts
                .iter()
                .map(|field| in_file(field).to_owned())
                .collect(),
        ));
    }
    let mut merged = now.clone();
    for name in &edited {
        match new.get(name) {
            Some(value) => merged.insert(name.clone(), value.clone()),
            None => merged.remove(name),
        };
    }
    let commanded = commanded
        .iter()
        .filter(|name| !agrees(name))
        .cloned()
        .collect();
    // Fields of one upgrade and of another make an upgrade: both were read as one.
    let upgrade = serde_json::from_value(Value::Object(merged)).unwrap_or_else(|_| file.clone());
    Ok(Merged { upgrade, commanded })
}

/// Something to say of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub happening: Happening,
    pub detail: Option<String>,
}

impl News {
    fn plain(happening: Happening) -> Self {
        Self {
            happening,
            detail: None,
        }
    }

    fn because(happening: Happening, detail: &str) -> Self {
        Self {
            happening,
            detail: Some(detail.to_owned()),
        }
    }
}

/// The news to tell when an upgrade changes from `before` (nothing: it is new) to `after`, in order.
pub fn news(before: Option<&Upgrade>, after: &Upgrade) -> Vec<News> {
    let mut news = Vec::new();
    if before.is_none() {
        news.push(News::plain(Happening::Planned));
    }
    news.extend(news_of_steps(before, after));
    news.extend(news_of_the_end(before, after));
    if after.given_up() {
        return news;
    }
    let of_window = news_of_the_window(before, after).iter();
    news.extend(of_window.map(|happening| News::plain(*happening)));
    let duties = |b: &Upgrade| b.duties != after.duties || b.chains != after.chains;
    if before.is_some_and(|b| !b.unplanned && duties(b)) {
        news.push(News::plain(Happening::Changed));
    }
    let decided = before.and_then(|b| b.decision.as_ref()) != after.decision.as_ref();
    match &after.decision {
        Some(Decision::Go) if decided => news.push(News::plain(Happening::Go)),
        Some(Decision::NoGo(reason)) if decided => {
            news.push(News::because(Happening::NoGo, reason));
        }
        _ => {}
    }
    news
}

/// Steps that people have taken since, each with its link.
fn news_of_steps(before: Option<&Upgrade>, after: &Upgrade) -> Vec<News> {
    let known = |step: &Step| before.and_then(|b| b.steps.get(step));
    let new = after
        .steps
        .iter()
        .filter(|(step, link)| known(step) != Some(link));
    new.map(|(step, link)| {
        let happening = match step {
            Step::UnderReview => Happening::UnderReview,
            Step::RolledBack => Happening::RolledBack,
            Step::Documented => Happening::Documented,
            Step::Reviewed => Happening::Reviewed,
        };
        News::because(happening, link)
    })
    .collect()
}

/// The upgrade was given up since, each way with its reason.
fn news_of_the_end(before: Option<&Upgrade>, after: &Upgrade) -> Vec<News> {
    let was = |reason: fn(&Upgrade) -> &Option<String>| {
        before.is_some_and(|upgrade| reason(upgrade).is_some())
    };
    let ends = [
        (
            Happening::Cancelled,
            &after.cancelled,
            was(|u| &u.cancelled),
        ),
        (Happening::Failed, &after.failed, was(|u| &u.failed)),
    ];
    let new = ends.into_iter().filter(|(_, _, told)| !told);
    new.filter_map(|(happening, reason, _)| Some(News::because(happening, reason.as_ref()?)))
        .collect()
}

/// The window, or the choice between several, is another.
fn news_of_the_window(before: Option<&Upgrade>, after: &Upgrade) -> &'static [Happening] {
    match (&after.poll, before) {
        (Some(poll), before)
            if before.and_then(|b| b.poll.as_ref()) != Some(poll)
                || before.is_some_and(Upgrade::given_up) =>
        {
            &[Happening::WindowProposed]
        }
        (None, None) => &[Happening::WindowSet],
        (None, Some(before)) if before.poll.is_some() => {
            &[Happening::WindowSet, Happening::WindowChosen]
        }
        // The window of a campaign that nobody planned was made up.
        (None, Some(before)) if before.unplanned && !after.unplanned => &[],
        // Nobody need plan anew for another end: the calendar, the page and the board show it.
        (None, Some(before)) if before.window.opens != after.window.opens || before.given_up() => {
            &[Happening::Rescheduled]
        }
        _ => &[],
    }
}

/// Notices by the clock are to be planned anew: the window they count from is another, or they were withdrawn.
/// Another poll makes the posts of the one before wrong too.
pub fn moves(before: &Upgrade, after: &Upgrade) -> bool {
    before.window.opens != after.window.opens
        || before.poll != after.poll
        || before.given_up() != after.given_up()
}

/// Why posts that are out no longer hold, if they don't.
pub fn stale(before: &Upgrade, after: &Upgrade) -> Option<&'static str> {
    if moves(before, after) {
        Some("window")
    } else {
        (before.duties != after.duties || before.chains != after.chains).then_some("duties")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        campaign::upgrade::{Duty, Poll, Target},
        plan::notice::Audience,
    };

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    fn upgrade() -> Upgrade {
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: at(0),
                closes: at(2),
            },
            BTreeMap::new(),
        )
    }

    fn names(before: Option<&Upgrade>, after: &Upgrade) -> Vec<&'static str> {
        news(before, after)
            .iter()
            .map(|n| n.happening.name())
            .collect()
    }

    #[test]
    fn a_command_and_an_edit_of_something_else_both_hold() {
        let last = upgrade();
        let current = Change::Reschedule {
            opens: at(24),
            closes: at(26),
            reason: None,
        }
        .to(&last, false)
        .unwrap();
        let commanded = differing(&last, &current);
        assert_eq!(commanded, BTreeSet::from(["window".to_owned()]));
        let file = Upgrade {
            summary: "New words".into(),
            ..last.clone()
        };
        let merged = merge(&current, &last, &file, &commanded).unwrap();
        assert_eq!(
            (merged.upgrade.window.opens, merged.upgrade.summary.as_str()),
            (at(24), "New words")
        );
        assert_eq!(
            merged.commanded, commanded,
            "the file still has the old window"
        );
    }

    #[test]
    fn an_edit_of_what_a_command_changed_is_refused_unless_it_agrees() {
        let last = upgrade();
        let current = Change::Reschedule {
            opens: at(24),
            closes: at(26),
            reason: None,
        }
        .to(&last, false)
        .unwrap();
        let commanded = differing(&last, &current);
        let moved = |opens, closes| Upgrade {
            window: Window {
                opens: at(opens),
                closes: at(closes),
            },
            ..last.clone()
        };
        let refused = merge(&current, &last, &moved(48, 50), &commanded);
        assert_eq!(refused, Err(ChangeError::Conflict(vec!["window".into()])));
        let agreed = merge(&current, &last, &moved(24, 26), &commanded).unwrap();
        assert!(agreed.commanded.is_empty());
        // From here on the file may move it again.
        let again = merge(
            &agreed.upgrade,
            &moved(24, 26),
            &moved(72, 74),
            &agreed.commanded,
        )
        .unwrap();
        assert_eq!(again.upgrade.window.opens, at(72));
    }

    #[test]
    fn a_field_taken_out_of_the_file_is_taken_back() {
        let last = Upgrade {
            cancelled: Some("a fault".into()),
            ..upgrade()
        };
        let merged = merge(&last, &last, &upgrade(), &BTreeSet::new()).unwrap();
        assert_eq!(merged.upgrade.cancelled, None);
        assert_eq!(
            names(Some(&last), &merged.upgrade),
            ["rescheduled"],
            "it is on again"
        );
    }

    #[test]
    fn what_changed_is_said_once_and_in_order() {
        let set = upgrade();
        assert_eq!(names(None, &set), ["planned", "window_set"]);
        let poll = Poll {
            windows: vec![set.window.clone(); 2],
            decide_by: at(-1),
        };
        let asked = Upgrade {
            poll: Some(poll),
            ..upgrade()
        };
        assert_eq!(names(None, &asked), ["planned", "window_proposed"]);
        assert_eq!(names(Some(&asked), &set), ["window_set", "window_chosen"]);
        assert!(names(Some(&set), &set).is_empty());
        let again = Upgrade {
            poll: asked.poll.clone().map(|poll| Poll {
                decide_by: at(-2),
                ..poll
            }),
            ..upgrade()
        };
        assert_eq!(
            (names(Some(&asked), &again), moves(&asked, &again)),
            (vec!["window_proposed"], true),
            "a new vote"
        );
        let no_go = Change::NoGo {
            reason: "a fault".into(),
        }
        .to(&set, false)
        .unwrap();
        assert_eq!(names(Some(&set), &no_go), ["no_go"]);
        let later = Change::Reschedule {
            opens: at(24),
            closes: at(26),
            reason: None,
        }
        .to(&no_go, false)
        .unwrap();
        assert_eq!(
            (names(Some(&no_go), &later), later.decision.clone()),
            (vec!["rescheduled"], None)
        );
        let step = Change::Step {
            step: Step::Documented,
            link: "https://docs.example.org".into(),
        }
        .to(&later, true)
        .unwrap();
        assert_eq!(names(Some(&later), &step), ["documented"]);
        let mut updated = step.clone();
        updated.duties.insert(
            crate::domain::plan::notice::Audience::Validators,
            crate::domain::campaign::upgrade::Duty {
                required: true,
                what: "Update".into(),
                node_version: None,
                by: None,
            },
        );
        assert_eq!(
            (names(Some(&step), &updated), stale(&step, &updated)),
            (vec!["changed"], Some("duties"))
        );
        let cancelled = Change::Cancel {
            reason: "a fault".into(),
        }
        .to(&step, false)
        .unwrap();
        assert_eq!(names(Some(&step), &cancelled), ["cancelled"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let set = upgrade();
        let cancel = Change::Cancel {
            reason: "a fault".into(),
        };
        assert_eq!(
            Change::Reschedule {
                opens: at(2),
                closes: at(1),
                reason: None
            }
            .to(&set, false),
            Err(ChangeError::Swapped)
        );
        assert!(matches!(
            cancel.to(&set, true),
            Err(ChangeError::TooLate(..))
        ));
        let cancelled = cancel.to(&set, false).unwrap();
        assert!(matches!(
            Change::Go.to(&cancelled, false),
            Err(ChangeError::GivenUp(_))
        ));
        let go = Change::Go.to(&set, false).unwrap();
        assert_eq!(Change::Go.to(&go, false), Err(ChangeError::Nothing));
    }

    fn fault() -> String {
        "a fault".to_owned()
    }

    fn reschedule(reason: Option<&str>) -> Change {
        Change::Reschedule {
            opens: at(24),
            closes: at(26),
            reason: reason.map(str::to_owned),
        }
    }

    /// Every change, with its words for the record and whether it leaves the upgrade as it is.
    fn changes() -> Vec<(Change, &'static str, bool)> {
        let (text, item, notice) = (
            || "words".to_owned(),
            || "2.1".to_owned(),
            || "reminder".to_owned(),
        );
        let say = |channel: Option<&str>| Change::Say {
            channel: channel.map(str::to_owned),
            text: text(),
        };
        let tick = |remark: Option<&str>| Change::Tick {
            item: item(),
            remark: remark.map(str::to_owned),
        };
        let step = Change::Step {
            step: Step::UnderReview,
            link: "https://forum.example.org".to_owned(),
        };
        let correct = Change::Correct {
            notice: notice(),
            text: text(),
        };
        let to = "reschedule 2027-01-16T08:00:00Z to 2027-01-16T10:00:00Z";
        let why = "reschedule 2027-01-16T08:00:00Z to 2027-01-16T10:00:00Z: nodes are late";
        vec![
            (reschedule(None), to, false),
            (reschedule(Some("nodes are late")), why, false),
            (Change::Cancel { reason: fault() }, "cancel: a fault", false),
            (Change::Fail { reason: fault() }, "fail: a fault", false),
            (Change::Go, "go", false),
            (Change::NoGo { reason: fault() }, "no-go: a fault", false),
            (step, "under_review: https://forum.example.org", false),
            (Change::Note { text: text() }, "note: words", true),
            (Change::Close, "close", true),
            (say(None), "say in all: words", true),
            (say(Some("news")), "say in news: words", true),
            (correct, "correct reminder: words", true),
            (
                Change::Announce { notice: notice() },
                "announce reminder",
                true,
            ),
            (tick(None), "tick 2.1", true),
            (tick(Some("done")), "tick 2.1: done", true),
            (Change::Untick { item: item() }, "untick 2.1", true),
        ]
    }

    #[test]
    fn each_change_has_words_and_only_some_change_the_upgrade() {
        let mut over = upgrade();
        over.cancelled = Some(fault());
        for (change, words, is_aside) in changes() {
            assert_eq!(change.to_string(), words);
            assert_eq!(change.is_aside(), is_aside, "{words}");
            let reason = words.ends_with("late").then_some("nodes are late");
            assert_eq!(change.reason(), reason, "{words}");
            let unchanged = change.to(&over, true) == Ok(over.clone());
            assert_eq!(unchanged, is_aside, "{words}");
        }
    }

    #[test]
    fn what_is_over_is_changed_by_few() {
        let mut cancelled = upgrade();
        cancelled.cancelled = Some(fault());
        // Whether it is refused once the upgrade is given up, and once it is applied.
        let refused = |name: &str| match name {
            "cancel" | "go" | "no-go" => (true, true),
            "fail" => (true, false),
            "reschedule" => (false, true),
            _ => (false, false),
        };
        for (change, words, _) in changes() {
            let outcomes = (
                matches!(
                    change.to(&cancelled, false),
                    Err(ChangeError::GivenUp(title)) if title == "Two"
                ),
                matches!(
                    change.to(&upgrade(), true),
                    Err(ChangeError::TooLate(title, name)) if title == "Two" && name == change.name()
                ),
            );
            assert_eq!(outcomes, refused(change.name()), "{words}");
        }
        let anew = reschedule(None).to(&cancelled, false).unwrap();
        assert_eq!((anew.cancelled, anew.window.opens), (None, at(24)));
        let failed = Change::Fail { reason: fault() }.to(&upgrade(), true);
        assert_eq!(failed.unwrap().failed, Some(fault()));
        let at_once = Change::Reschedule {
            opens: at(2),
            closes: at(2),
            reason: None,
        };
        assert_eq!(at_once.to(&upgrade(), false), Err(ChangeError::Swapped));
    }

    #[test]
    fn what_is_refused_is_said_in_a_sentence() {
        let conflict = ChangeError::Conflict(vec!["window".into(), "title".into()]);
        let words = conflict.to_string();
        let title = || "Two".to_owned();
        let refused = [
            (ChangeError::Swapped, Reply::WindowSwapped),
            (
                ChangeError::GivenUp(title()),
                Reply::GivenUp { title: title() },
            ),
            (
                ChangeError::TooLate(title(), "go"),
                Reply::AppliedAlready {
                    title: title(),
                    command: "go".into(),
                },
            ),
            (ChangeError::Nothing, Reply::SoAlready),
            (conflict, Reply::Words { words }),
        ];
        for (error, reply) in refused {
            assert_eq!(error.reply(), reply);
        }
    }

    #[test]
    fn a_conflict_names_the_keys_of_the_file() {
        let last = upgrade();
        let current = Change::Go.to(&last, false).unwrap();
        let commanded: BTreeSet<String> =
            ["decision", "duties", "summary"].map(str::to_owned).into();
        let mut file = Upgrade {
            summary: "New words".into(),
            decision: Some(Decision::NoGo(fault())),
            ..last.clone()
        };
        file.duties = duties();
        assert_eq!(
            merge(&current, &last, &file, &commanded),
            Err(ChangeError::Conflict(
                ["no_go", "audiences", "summary"].map(str::to_owned).into()
            ))
        );
    }

    fn duties() -> BTreeMap<Audience, Duty> {
        let duty = Duty {
            required: true,
            what: "Update".into(),
            node_version: None,
            by: None,
        };
        BTreeMap::from([(Audience::Validators, duty)])
    }

    fn changed(before: &Upgrade, change: impl Fn(&mut Upgrade)) -> Upgrade {
        let mut after = before.clone();
        change(&mut after);
        after
    }

    #[test]
    fn each_way_to_another_upgrade_has_its_news_and_makes_posts_stale_or_not() {
        let set = upgrade();
        let asked = changed(&set, |u| {
            let windows = vec![u.window.clone(); 2];
            let decide_by = at(-1);
            u.poll = Some(Poll { windows, decide_by });
        });
        let cancelled = changed(&set, |u| u.cancelled = Some(fault()));
        let failed = changed(&set, |u| u.failed = Some(fault()));
        let unplanned = changed(&set, |u| u.unplanned = true);
        let target = |spec_version| Target {
            spec_version,
            code_hash: None,
        };
        let more = changed(&set, |u| {
            u.chains.insert("relay".into(), target(2));
        });
        let later = changed(&set, |u| u.window.opens = at(1));
        let longer = changed(&set, |u| u.window.closes = at(3));
        let go = changed(&set, |u| u.decision = Some(Decision::Go));
        let reviewed = |link: &str| {
            changed(&set, |u| {
                u.steps.insert(Step::Reviewed, link.to_owned());
                u.steps.insert(Step::RolledBack, "here".to_owned());
                u.steps.insert(Step::UnderReview, "here".to_owned());
            })
        };
        let steps: &[&str] = &["under_review", "rolled_back", "reviewed"];
        let joined_later = changed(&later, |u| u.duties = duties());
        let again = changed(&asked, |u| u.cancelled = Some(fault()));
        type Case<'a> = (&'a Upgrade, Upgrade, &'a [&'a str], Option<&'static str>);
        let cases: [Case<'_>; 21] = [
            (&asked, asked.clone(), &[], None),
            (&set, set.clone(), &[], None),
            (&set, later.clone(), &["rescheduled"], Some("window")),
            (&set, longer, &[], None),
            (&set, asked.clone(), &["window_proposed"], Some("window")),
            (
                &asked,
                set.clone(),
                &["window_set", "window_chosen"],
                Some("window"),
            ),
            (&again, asked.clone(), &["window_proposed"], Some("window")),
            (&set, cancelled.clone(), &["cancelled"], Some("window")),
            (&set, failed.clone(), &["failed"], Some("window")),
            (&cancelled, cancelled.clone(), &[], None),
            (&failed, set.clone(), &["rescheduled"], Some("window")),
            (
                &cancelled,
                changed(&cancelled, |u| u.failed = Some(fault())),
                &["failed"],
                None,
            ),
            (&set, more.clone(), &["changed"], Some("duties")),
            (
                &set,
                changed(&set, |u| u.duties = duties()),
                &["changed"],
                Some("duties"),
            ),
            (&set, go.clone(), &["go"], None),
            (&go, go.clone(), &[], None),
            (&go, set.clone(), &[], None),
            (&set, reviewed("here"), steps, None),
            (&reviewed("here"), reviewed("there"), &["reviewed"], None),
            (&unplanned, joined_later, &[], Some("window")),
            (
                &unplanned,
                changed(&later, |u| u.unplanned = true),
                &["rescheduled"],
                Some("window"),
            ),
        ];
        for (n, (before, after, told, why)) in cases.into_iter().enumerate() {
            assert_eq!(names(Some(before), &after), told, "case {n}");
            assert_eq!(stale(before, &after), why, "case {n}");
            let is_moved = moves(before, &after);
            assert_eq!(is_moved, why == Some("window"), "case {n}");
        }
        assert_eq!(names(None, &cancelled), ["planned", "cancelled"]);
        let no_go = changed(&set, |u| u.decision = Some(Decision::NoGo(fault())));
        for (after, happening) in [
            (&cancelled, Happening::Cancelled),
            (&failed, Happening::Failed),
            (&no_go, Happening::NoGo),
        ] {
            let detail = Some(fault());
            assert_eq!(news(Some(&set), after), [News { happening, detail }]);
        }
        assert_eq!(names(Some(&no_go), &no_go), [""; 0]);
    }
}
