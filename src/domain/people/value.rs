//! The values that a command's parts have.

use std::fmt;

use jiff::SignedDuration;

use crate::domain::plan::schedule::{self, parse_length};

pub use crate::domain::plan::schedule::{Offset, PlanTime};

/// A reminder comes no earlier than this before the window.
const MAX_REMINDER: SignedDuration = SignedDuration::from_hours(24 * 14);

/// A value that is read from what a person has written, and written as they would.
pub trait PartValue: Sized {
    fn read(text: &str) -> Option<Self>;
    /// `None` where nothing was written.
    fn written(&self) -> Option<String>;
}

impl PartValue for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn written(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl<T: PartValue> PartValue for Option<T> {
    fn read(text: &str) -> Option<Self> {
        T::read(text).map(Some)
    }

    fn written(&self) -> Option<String> {
        self.as_ref().and_then(T::written)
    }
}

/// Values that say by themselves how they are written.
macro_rules! written_as_displayed {
    ($($kind:ty: $read:expr,)*) => {$(
        impl PartValue for $kind {
            fn read(text: &str) -> Option<Self> {
                $read(text)
            }

            fn written(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

written_as_displayed! {
    PlanTime: |text: &str| text.parse().ok(),
    Delay: |text: &str| format!("+{text}").parse().ok().map(Delay),
    Reminder: Reminder::of,
    ChecklistPart: |text: &str| text.parse().ok(),
    Channels: |text: &str| Some(Channels::of(text)),
    Confirmed: |text: &str| text.eq_ignore_ascii_case("yes").then_some(Confirmed),
}

/// A time by which something moves: `2h`, or `1d` for the same hour of the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(pub Offset);

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Offset::Days(days) => write!(f, "{days}d"),
            Offset::Exact(seconds) => f.write_str(&schedule::short_length(seconds)),
        }
    }
}

/// The time at which somebody wants to be reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reminder {
    Off,
    Before(SignedDuration),
}

impl Reminder {
    fn of(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("off") {
            return Some(Self::Off);
        }
        let length = parse_length(text).ok()?;
        (!length.is_zero() && length <= MAX_REMINDER).then_some(Self::Before(length))
    }
}

impl fmt::Display for Reminder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Before(length) => f.write_str(&schedule::short_length(length.as_secs())),
        }
    }
}

/// Somebody says that they mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed;

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("yes")
    }
}

/// One of the two checklists.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum ChecklistPart {
    /// The steps of the team.
    Process,
    /// The steps of a validator.
    Validators,
}

impl ChecklistPart {
    pub fn names() -> Vec<String> {
        let names = <Self as strum::VariantNames>::VARIANTS;
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The channels in which something is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channels {
    /// In every channel for the public.
    All,
    /// In the one that herald.yaml calls so.
    One(String),
}

impl Channels {
    fn of(text: &str) -> Self {
        match text {
            "all" => Self::All,
            name => Self::One(name.to_owned()),
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::One(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value as it is written again, after it was read.
    fn again<T: PartValue>(text: &str) -> Option<String> {
        T::read(text)?.written()
    }

    #[test]
    fn a_value_is_written_as_it_is_read() {
        let rows = [
            (again::<String>("a b"), Some("a b")),
            (again::<Option<Confirmed>>("YES"), Some("yes")),
            (again::<Option<Delay>>("2h"), Some("2h")),
            (again::<Delay>("90m"), Some("90m")),
            (again::<Delay>("1d"), Some("1d")),
            (again::<Delay>("-1d"), None),
            (again::<Reminder>("OFF"), Some("off")),
            (again::<Reminder>("120m"), Some("2h")),
            (again::<Reminder>("14d"), Some("336h")),
            (again::<Reminder>("337h"), None),
            (again::<Reminder>("0m"), None),
            (again::<ChecklistPart>("process"), Some("process")),
            (again::<ChecklistPart>("others"), None),
            (again::<Channels>("all"), Some("all")),
            (again::<Channels>("news"), Some("news")),
            (
                again::<PlanTime>("2026-12-01 14:00"),
                Some("2026-12-01 14:00"),
            ),
        ];
        for (n, (written, expected)) in rows.iter().enumerate() {
            assert_eq!(written.as_deref(), *expected, "row {n}");
        }
        assert_eq!(None::<String>.written(), None);
        assert_eq!(ChecklistPart::names(), ["process", "validators"]);
        assert_eq!(Channels::read("all"), Some(Channels::All));
    }
}
