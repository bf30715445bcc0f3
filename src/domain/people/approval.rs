//! The rules of the gate: do people agree to a notice's text, and does its upgrade go on?
//!
//! People approve a text, not a notice: what they type is its code, and other words have another code.

use jiff::Timestamp;

use crate::domain::{
    campaign::{
        progress::{Progress, State},
        upgrade::Upgrade,
    },
    outbox::digest,
    plan::notice::{Happening, Notice, Trigger},
};

/// Small letters and digits that nobody takes for one another.
const CODE_ALPHABET: &str = "23456789abcdefghjkmnpqrstuvwxyz";
const CODE_LENGTH: usize = 6;

/// Returns the code that people type to approve a text that is made of these parts, in this order.
pub fn text_code(parts: &[&str]) -> String {
    let digits = digest(parts);
    let mut number = digits
        .get(..16)
        .and_then(|d| u64::from_str_radix(d, 16).ok())
        .unwrap_or_default();
    let base = CODE_ALPHABET.len() as u64;
    let mut code = String::with_capacity(CODE_LENGTH);
    for _ in 0..CODE_LENGTH {
        code.extend(
            usize::try_from(number % base)
                .ok()
                .and_then(|place| CODE_ALPHABET.chars().nth(place)),
        );
        number /= base;
    }
    code
}

/// The partials that a template names, as files are called: `partials/window`.
pub fn partials(template: &str) -> Vec<String> {
    let name = |tag: &str| {
        let named = tag
            .trim_start_matches(['~', '#', ' '])
            .strip_prefix('>')?
            .trim_start();
        let name: String = named
            .chars()
            .take_while(|c| !c.is_whitespace() && !matches!(c, '}' | '~'))
            .collect();
        Some(if name.contains('/') {
            name
        } else {
            format!("partials/{name}")
        })
    };
    template.split("{{").skip(1).filter_map(name).collect()
}

/// The agreement of people to a notice, so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// The code of the text as it is now.
    pub code: String,
    /// How many different people it takes.
    pub persons: u32,
    /// The people who have agreed to this text, and when; each once, the first before the others.
    pub given: Vec<(String, Timestamp)>,
}

impl Consent {
    pub fn complete(&self) -> bool {
        self.given.len() >= self.persons as usize
    }

    /// Returns when the last one needed agreed.
    fn since(&self) -> Option<Timestamp> {
        self.given
            .get((self.persons as usize).checked_sub(1)?)
            .map(|(_, at)| *at)
    }

    /// People agreed only when it was due already: they know that it comes late.
    pub fn after(&self, due: Timestamp) -> bool {
        self.since().is_some_and(|at| at >= due)
    }

    /// `approved by 1 of 2, code k7m2qx`
    pub fn words(&self) -> String {
        format!(
            "approved by {} of {}, code {}",
            self.given.len(),
            self.persons,
            self.code
        )
    }
}

/// Why a notice that is due does not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not enough people agree to its text.
    Approval(Consent),
    /// The final checks are not passed, and why.
    NoGo(String),
    /// Items of the checklist are not done.
    Checklist(Vec<String>),
    /// Nothing began in the window.
    Delayed,
    /// It would say in public what an approved post says first.
    Announcement,
    /// It would say that all is well, and that no longer holds.
    Withdrawn,
}

impl Hold {
    /// For operators.
    pub fn words(&self) -> String {
        match self {
            Self::Approval(consent) => consent.words(),
            Self::NoGo(_) => "the final checks are not passed".to_owned(),
            Self::Checklist(items) => format!("it waits for {} of the checklist", items.join(", ")),
            Self::Delayed => "the upgrade is delayed".to_owned(),
            Self::Announcement => "no approved post of this upgrade is out yet".to_owned(),
            Self::Withdrawn => "what it says no longer holds: the chain needs a look".to_owned(),
        }
    }

    /// Tells reasons apart, so that each is told once: another person's agreement makes no other reason.
    pub fn token(&self) -> &str {
        match self {
            Self::Approval(consent) => &consent.code,
            Self::NoGo(reason) => reason,
            Self::Checklist(_) => "checklist",
            Self::Delayed => "delayed",
            Self::Announcement => "announcement",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Why a notice is held now, if it is.
pub fn hold(
    notice: &Notice,
    upgrade: &Upgrade,
    progress: &Progress,
    consent: &Consent,
) -> Option<Hold> {
    if !consent.complete() {
        return Some(Hold::Approval(consent.clone()));
    }
    let undone: Vec<String> = notice
        .needs
        .iter()
        .filter(|item| !progress.ticks.contains_key(*item))
        .cloned()
        .collect();
    if !undone.is_empty() {
        return Some(Hold::Checklist(undone));
    }
    let least = match notice.trigger {
        Trigger::On(Happening::Verified) => State::Verified,
        Trigger::On(Happening::Completed) => State::Completed,
        _ => State::Scheduled,
    };
    if progress.state < least {
        return Some(Hold::Withdrawn);
    }
    // Facts are told whatever people have decided.
    if !notice.trigger.is_by_clock() {
        return None;
    }
    match upgrade.no_go() {
        Some(reason) => Some(Hold::NoGo(reason.to_owned())),
        None => (progress.delayed && progress.state == State::Scheduled).then_some(Hold::Delayed),
    }
}

/// The gate's verdict on a post that is due, or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Hold(Hold),
    /// The post is of no use any more; the words say why it was held.
    Expire(String),
}

/// From then on a notice that was due at `due` is of no use any more. Where only the upgrade holds it, the
/// window's end ends its use as well.
pub fn useful_until(
    notice: &Notice,
    upgrade: &Upgrade,
    due: Timestamp,
    for_approval: bool,
) -> Timestamp {
    let until = due
        .checked_add(notice.approval.useful_for)
        .unwrap_or(Timestamp::MAX);
    let closes = upgrade.window.closes;
    if for_approval || due >= closes {
        until
    } else {
        until.min(closes)
    }
}

/// One post of a notice, with how it stands.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub notice: &'a Notice,
    pub upgrade: &'a Upgrade,
    pub progress: &'a Progress,
    pub consent: &'a Consent,
    pub due: Timestamp,
    /// The post is held already, and not only now due.
    pub held: bool,
    /// The post would tell the public what a file says before any post that was approved.
    pub is_first_word: bool,
}

impl Case<'_> {
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        if now < self.due {
            return Verdict::Pass;
        }
        if self.is_first_word {
            return Verdict::Hold(Hold::Announcement);
        }
        let until = |for_approval| useful_until(self.notice, self.upgrade, self.due, for_approval);
        match hold(self.notice, self.upgrade, self.progress, self.consent) {
            Some(hold) if now < until(matches!(hold, Hold::Approval(_) | Hold::Checklist(_))) => {
                Verdict::Hold(hold)
            }
            Some(hold) => Verdict::Expire(hold.words()),
            // Approved while it was of use, it goes out, however long nobody looked. If the upgrade held it, the
            // upgrade goes on too late for it.
            None if self.held
                && now >= until(false)
                && !self.consent.after(self.due)
                && !self.notice.repeats_the_announcement() =>
            {
                Verdict::Expire("the upgrade went on too late for it".to_owned())
            }
            None => Verdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;

    use super::*;
    use crate::domain::{
        campaign::{
            notes::Tick,
            upgrade::{Decision, Window},
        },
        plan::{
            notice::{Approval, Happening, Phase, Trigger},
            schedule::Offset,
        },
    };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    /// Opens at minute 0, closes after two hours.
    fn upgrade() -> Upgrade {
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: at(0),
                closes: at(120),
            },
            BTreeMap::new(),
        )
    }

    fn notice(persons: u32) -> Notice {
        let approval = Approval {
            persons,
            ask_before: SignedDuration::from_hours(24),
            useful_for: SignedDuration::from_hours(2),
        };
        Notice {
            approval,
            ..Notice::new(
                "reminder",
                Phase::Scheduling,
                "scheduling/reminder",
                Trigger::At(Offset::Exact(-3600)),
            )
        }
    }

    fn agreed(persons: u32, given: &[(&str, i64)]) -> Consent {
        Consent {
            code: "k7m2qx".into(),
            persons,
            given: given
                .iter()
                .map(|(who, minute)| (who.to_string(), at(*minute)))
                .collect(),
        }
    }

    #[test]
    fn a_code_is_short_and_without_look_alikes_and_another_for_each_text() {
        let codes: std::collections::BTreeSet<String> = (0..500)
            .map(|n| text_code(&["text", &n.to_string()]))
            .collect();
        assert_eq!(codes.len(), 500);
        assert!(
            codes.iter().all(|c| c.len() == 6
                && !c.contains(['0', 'o', '1', 'l', 'i'])
                && *c == c.to_lowercase()),
            "{codes:?}"
        );
        assert_eq!(text_code(&["a", "b"]), text_code(&["a", "b"]));
        assert_ne!(text_code(&["a", "b"]), text_code(&["ab", ""]));
    }

    #[test]
    fn a_templates_partials_are_found() {
        let text = "{{> late}} {{~> window ~}}\n{{#> answers/frame}}{{/answers/frame}} {{title}} {{#if (gt a b)}}{{>must}}{{/if}}";
        assert_eq!(
            partials(text),
            [
                "partials/late",
                "partials/window",
                "answers/frame",
                "partials/must"
            ]
        );
    }

    #[test]
    fn two_have_to_agree_where_two_are_asked() {
        let (upgrade, progress) = (upgrade(), Progress::new(&upgrade()));
        let of = |consent: &Consent, minute| {
            Case {
                notice: &notice(2),
                upgrade: &upgrade,
                progress: &progress,
                consent,
                due: at(-60),
                held: true,
                is_first_word: false,
            }
            .verdict(at(minute))
        };
        let one = agreed(2, &[("Ada", -90)]);
        assert_eq!(of(&one, -61), Verdict::Pass, "not due yet");
        assert_eq!(of(&one, -60), Verdict::Hold(Hold::Approval(one.clone())));
        assert_eq!(
            of(&one, 60),
            Verdict::Expire("approved by 1 of 2, code k7m2qx".into())
        );
        let both = agreed(2, &[("Ada", -90), ("Ben", 30)]);
        assert_eq!(of(&both, 31), Verdict::Pass);
        assert_eq!(
            of(&both, 600),
            Verdict::Pass,
            "they agreed in time, and it was herald that was away"
        );
    }

    #[test]
    fn a_no_go_holds_what_the_clock_says_and_not_what_has_happened() {
        let (mut upgrade, progress) = (upgrade(), Progress::new(&upgrade()));
        upgrade.decision = Some(Decision::NoGo("a fault".into()));
        let nobody = Consent::default();
        let timed = notice(0);
        let case = Case {
            notice: &timed,
            upgrade: &upgrade,
            progress: &progress,
            consent: &nobody,
            due: at(-60),
            held: false,
            is_first_word: false,
        };
        assert_eq!(
            case.verdict(at(-59)),
            Verdict::Hold(Hold::NoGo("a fault".into()))
        );
        assert_eq!(
            case.verdict(at(61)),
            Verdict::Expire("the final checks are not passed".into()),
            "an hour's notice of two hours ago"
        );
        let applied = Notice {
            trigger: Trigger::On(Happening::Applied),
            ..notice(0)
        };
        assert_eq!(
            Case {
                notice: &applied,
                ..case
            }
            .verdict(at(-59)),
            Verdict::Pass
        );
        // Taken back in time, and too late.
        upgrade.decision = Some(Decision::Go);
        let case = Case {
            notice: &timed,
            upgrade: &upgrade,
            progress: &progress,
            consent: &nobody,
            due: at(-60),
            held: true,
            is_first_word: false,
        };
        assert_eq!(case.verdict(at(-10)), Verdict::Pass);
        assert_eq!(
            case.verdict(at(61)),
            Verdict::Expire("the upgrade went on too late for it".into())
        );
        assert_eq!(
            Case {
                held: false,
                ..case
            }
            .verdict(at(61)),
            Verdict::Pass,
            "it was herald that was away"
        );
    }

    #[test]
    fn what_a_delay_holds_ends_with_the_window() {
        let (upgrade, mut progress) = (upgrade(), Progress::new(&upgrade()));
        progress.delayed = true;
        let (timed, nobody) = (notice(0), Consent::default());
        let case = Case {
            notice: &timed,
            upgrade: &upgrade,
            progress: &progress,
            consent: &nobody,
            due: at(60),
            held: true,
            is_first_word: false,
        };
        assert_eq!(case.verdict(at(119)), Verdict::Hold(Hold::Delayed));
        assert_eq!(
            case.verdict(at(120)),
            Verdict::Expire("the upgrade is delayed".into())
        );
        // One for after the window has its own time.
        assert_eq!(
            Case {
                due: at(180),
                ..case
            }
            .verdict(at(200)),
            Verdict::Hold(Hold::Delayed)
        );
        progress.state = State::Authorized;
        let case = Case {
            notice: &timed,
            upgrade: &upgrade,
            progress: &progress,
            consent: &nobody,
            due: at(60),
            held: true,
            is_first_word: false,
        };
        assert_eq!(case.verdict(at(90)), Verdict::Pass);
    }

    #[test]
    fn what_a_file_says_waits_however_long_until_something_is_approved() {
        let (upgrade, progress) = (upgrade(), Progress::new(&upgrade()));
        let of = |happening, persons| Notice {
            trigger: Trigger::On(happening),
            ..notice(persons)
        };
        let repeats = |happening, persons| of(happening, persons).repeats_the_announcement();
        assert!(repeats(Happening::Planned, 0) && repeats(Happening::WindowSet, 0));
        assert!(!repeats(Happening::Planned, 1), "it has its own approval");
        assert!(!repeats(Happening::Applied, 0), "a fact");

        let (board, nobody) = (of(Happening::Planned, 0), Consent::default());
        let case = Case {
            notice: &board,
            upgrade: &upgrade,
            progress: &progress,
            consent: &nobody,
            due: at(-60),
            held: true,
            is_first_word: true,
        };
        assert_eq!(case.verdict(at(-61)), Verdict::Pass, "not due yet");
        for minute in [-60, 600] {
            assert_eq!(case.verdict(at(minute)), Verdict::Hold(Hold::Announcement));
        }
        let approved = Case {
            is_first_word: false,
            ..case
        };
        assert_eq!(approved.verdict(at(600)), Verdict::Pass);
    }

    #[test]
    fn a_code_stays_what_it_was() {
        let codes = [text_code(&["text"]), text_code(&[])];
        assert_eq!(codes, ["xvdzd6", "h4njjz"]);
    }

    #[test]
    fn a_hold_says_why_and_is_told_once_for_each_reason() {
        let consent = agreed(2, &[("Ada", 0)]);
        let rows = [
            (
                Hold::Approval(consent),
                "approved by 1 of 2, code k7m2qx",
                "k7m2qx",
            ),
            (
                Hold::Announcement,
                "no approved post of this upgrade is out yet",
                "announcement",
            ),
            (
                Hold::NoGo("a fault".into()),
                "the final checks are not passed",
                "a fault",
            ),
            (
                Hold::Checklist(vec!["2.1".into(), "2.2".into()]),
                "it waits for 2.1, 2.2 of the checklist",
                "checklist",
            ),
            (Hold::Delayed, "the upgrade is delayed", "delayed"),
        ];
        for (hold, words, token) in rows {
            assert_eq!((hold.words().as_str(), hold.token()), (words, token));
        }
    }

    #[test]
    fn what_the_checklist_holds_waits_for_its_items_as_long_as_it_is_of_use() {
        let (upgrade, mut progress) = (upgrade(), Progress::new(&upgrade()));
        let notice = Notice {
            needs: vec!["2.1".into(), "2.2".into()],
            ..notice(0)
        };
        let tick = |progress: &mut Progress, item: &str| {
            let tick = Tick {
                at: at(0),
                by: "Ada".into(),
                remark: None,
            };
            progress.ticks.insert(item.into(), tick);
        };
        tick(&mut progress, "2.1");
        let consent = Consent::default();
        let verdict = |progress: &Progress, minute| {
            Case {
                notice: &notice,
                upgrade: &upgrade,
                progress,
                consent: &consent,
                due: at(60),
                held: true,
                is_first_word: false,
            }
            .verdict(at(minute))
        };
        let held = Verdict::Hold(Hold::Checklist(vec!["2.2".into()]));
        // The window's end ends nothing here.
        assert_eq!(verdict(&progress, 179), held);
        let over = "it waits for 2.2 of the checklist";
        assert_eq!(verdict(&progress, 180), Verdict::Expire(over.into()));
        tick(&mut progress, "2.2");
        assert_eq!(verdict(&progress, 119), Verdict::Pass);
        let late = "the upgrade went on too late for it";
        assert_eq!(verdict(&progress, 120), Verdict::Expire(late.into()));
    }

    #[test]
    fn an_all_clear_that_no_longer_holds_is_held() {
        use State::{Applied, Completed, Verified};
        let rows = [
            (Happening::Verified, Applied, Some(Hold::Withdrawn)),
            (Happening::Verified, Verified, None),
            (Happening::Completed, Verified, Some(Hold::Withdrawn)),
            (Happening::Completed, Completed, None),
            (Happening::Applied, State::Scheduled, None),
        ];
        for (happening, state, held) in rows {
            let notice = Notice {
                trigger: Trigger::On(happening),
                ..notice(0)
            };
            let mut progress = Progress::new(&upgrade());
            progress.state = state;
            let found = hold(&notice, &upgrade(), &progress, &Consent::default());
            assert_eq!(found, held, "{happening:?} {state:?}");
        }
    }

    #[test]
    fn people_who_agreed_when_it_was_due_know_that_it_is_late() {
        let both = agreed(2, &[("Ada", 1), ("Ben", 5), ("Cem", 9)]);
        let after = [4, 5, 6].map(|minute| both.after(at(minute)));
        assert_eq!(after, [true, true, false]);
        assert!(!Consent::default().after(at(0)) && Consent::default().complete());
        assert!(!agreed(2, &[("Ada", 1)]).after(at(0)));
    }

    #[test]
    fn the_use_of_a_notice_ends_by_its_time_or_with_the_window() {
        let until = |due, for_approval| {
            let until = useful_until(&notice(0), &upgrade(), at(due), for_approval);
            until.duration_since(at(0)).as_mins()
        };
        assert_eq!((until(-60, false), until(60, true)), (60, 180));
        assert_eq!(until(60, false), 120, "the window's end");
        assert_eq!((until(119, false), until(120, false)), (120, 240));
    }
}
