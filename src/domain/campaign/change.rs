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
    #[error("{0} is applied already; {1} comes too late")]
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
    news.extend(news_of_the_window(before, after).map(News::plain));
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
fn news_of_the_window(before: Option<&Upgrade>, after: &Upgrade) -> Option<Happening> {
    match (&after.poll, before) {
        (Some(poll), before)
            if before.and_then(|b| b.poll.as_ref()) != Some(poll)
                || before.is_some_and(Upgrade::given_up) =>
        {
            Some(Happening::WindowProposed)
        }
        (None, None) => Some(Happening::WindowSet),
        (None, Some(before)) if before.poll.is_some() => Some(Happening::WindowSet),
        // The window of a campaign that nobody planned was made up.
        (None, Some(before)) if before.unplanned && !after.unplanned => None,
        // Nobody need plan anew for another end: the calendar, the page and the board show it.
        (None, Some(before)) if before.window.opens != after.window.opens || before.given_up() => {
            Some(Happening::Rescheduled)
        }
        _ => None,
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
    use crate::domain::campaign::upgrade::Poll;

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
        assert_eq!(names(Some(&asked), &set), ["window_set"]);
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
}
