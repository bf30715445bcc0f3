//! Happenings are the events that a notice can wait for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::domain::chain::fact_kind::FactKind;

/// An event that a notice waits for. A notice that says that something *happened* waits for one of
/// these, never for the hour alone.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Happening {
    /// The upgrade is known to herald.
    Planned,
    /// The proposal can be read and answered.
    UnderReview,
    /// People may choose a window.
    WindowProposed,
    /// The window is known: from the upgrade's file, or chosen from several.
    WindowSet,
    /// The window was chosen from several that people could vote on.
    WindowChosen,
    /// The duties or the target versions differ from those that were announced.
    Changed,
    /// The final checks are passed.
    Go,
    /// The final checks are not passed.
    NoGo,
    /// The window has been open for long, operators were asked, and nothing was authorized.
    Delayed,
    /// The upgrade will not happen.
    Cancelled,
    /// The upgrade was tried and did not work.
    Failed,
    /// There is guidance on taking the upgrade back.
    RolledBack,
    /// The documentation speaks of the new runtime.
    Documented,
    /// The review after the upgrade can be read.
    Reviewed,
    /// The votes on the window were counted.
    PollClosed,
    /// A notice is due and was not approved.
    Held,
    /// A notice was held until it was of no use any more.
    Expired,
    /// Notices are left out, since their time was over before the upgrade was accepted.
    Missed,
    /// A change of files, or a command, was refused.
    Refused,
    /// Providers have not answered a notice that asks for it.
    Unacknowledged,
    /// Providers are not ready.
    Unready,
    /// The time to answer, or to be ready, is over.
    RollCalled,
    /// Several people have the same problem.
    ProblemRaised,
    /// The draft of the review after the upgrade is ready.
    ReviewDrafted,
    /// A chain shows an upgrade that nobody announced.
    Unplanned,
    /// The referendum on the upgrade moved on.
    Referendum,
    /// The upgrade's call is to be dispatched at a known block.
    Scheduled,
    /// The upgrade's call was dispatched, and succeeded.
    Dispatched,
    /// The upgrade's call was dispatched, and failed.
    DispatchFailed,
    /// The code is authorized on the first chain.
    Authorized,
    /// A parachain's code goes ahead at a known block of its relay.
    GoAhead,
    /// The time expected for a known block has moved by more than the plan lets pass.
    EstimateMoved,
    /// The first of several chains runs its target.
    FirstApplied,
    /// Every chain runs its target `spec_version`, proven in finalized blocks.
    Applied,
    /// Transactions signed for the version before are refused: offline signers need an update.
    TransactionVersion,
    /// Storage migrations have begun on the first chain that has some.
    MigrationStarted,
    /// Configurations of a relay were pending when the upgrade was applied.
    ChangesPending,
    /// Every chain has been healthy for `verification.healthy_for` since all that `verification.after` lists was over.
    Verified,
    /// Every chain has stayed healthy for `verification.complete_after` more.
    Completed,
    /// The feedback window has closed and the answers were counted.
    FeedbackClosed,
    /// The window in the upgrade file moved.
    Rescheduled,
    /// An authorized code was refused by the chain.
    AuthorizationRejected,
    /// Root's call was included, but the call inside failed.
    SudoFailed,
    /// A transaction that carried code was included, and the chain refused the code.
    CodeRefused,
    /// Validators rejected a parachain's new code.
    PvfRejected,
    /// A parachain's new code was thrown away.
    Discarded,
    /// A chain runs a version, or a code, that is not the target's.
    VersionUnexpected,
    /// A migration stopped with an error.
    MigrationFailed,
    /// A migration makes no step for many blocks.
    MigrationStuck,
    /// Authorized code was not applied for many blocks.
    Unapplied,
    /// An applied chain is not verified for far longer than that takes.
    Unverified,
    /// The window is open, and nothing was authorized.
    Overdue,
    /// A chain finalizes no blocks.
    Stalled,
    /// A chain's finality hangs behind.
    Lagging,
    /// A chain that stood still or hung behind goes on.
    Recovered,
    /// Parachains have stopped since the upgrade of their relay.
    ParachainsStopped,
    /// The parachains that had stopped make blocks again.
    ParachainsRecovered,
    /// The chain began again from another genesis.
    Reset,
    /// Events in a range of blocks could not be read.
    Unexamined,
    /// People say something that nobody planned; no plan has a notice of it.
    Said,
    /// herald itself can't see a chain.
    Blind,
    /// herald sees the chain again.
    Sighted,
}

/// All chains are well.
pub(super) const ALL_CLEAR: [Happening; 2] = [Happening::Verified, Happening::Completed];

impl Happening {
    /// Every happening that a plan may have a notice of.
    pub fn of_plans() -> impl Iterator<Item = Self> + Clone {
        Self::iter().filter(|happening| *happening != Self::Said)
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The happening of this name, if a plan may have a notice of it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::of_plans().find(|happening| happening.name() == name)
    }

    /// True if only operators hear of it, since it says nothing of the chain itself.
    pub fn for_operators(self) -> bool {
        matches!(
            self,
            Self::Blind
                | Self::Sighted
                | Self::Unexamined
                | Self::Overdue
                | Self::PollClosed
                | Self::Held
                | Self::Expired
                | Self::Missed
                | Self::Refused
                | Self::RollCalled
                | Self::ProblemRaised
                | Self::ReviewDrafted
        )
    }

    /// The kind of fact that stands behind the happening; `None` where no block shows it.
    pub fn fact_kind(self) -> Option<FactKind> {
        Some(match self {
            Self::Unplanned | Self::Authorized => FactKind::Authorized,
            Self::Referendum => FactKind::Referendum,
            Self::Scheduled => FactKind::Scheduled,
            Self::Dispatched | Self::DispatchFailed => FactKind::Dispatched,
            Self::GoAhead | Self::EstimateMoved => FactKind::GoAhead,
            Self::FirstApplied | Self::Applied | Self::Verified | Self::Completed => {
                FactKind::Applied
            }
            Self::TransactionVersion => FactKind::TransactionVersion,
            Self::MigrationStarted => FactKind::MigrationStarted,
            Self::MigrationFailed => FactKind::MigrationFailed,
            Self::MigrationStuck => FactKind::MigrationStuck,
            Self::AuthorizationRejected => FactKind::AuthorizationRejected,
            Self::SudoFailed => FactKind::SudoFailed,
            Self::CodeRefused => FactKind::CodeRefused,
            Self::PvfRejected => FactKind::PvfCheck,
            Self::Discarded => FactKind::Discarded,
            Self::VersionUnexpected => FactKind::VersionUnexpected,
            Self::ChangesPending => FactKind::ChangesPending,
            Self::ParachainsStopped => FactKind::ParachainsStopped,
            Self::ParachainsRecovered => FactKind::ParachainsRecovered,
            Self::Unapplied => FactKind::Unapplied,
            Self::Unverified => FactKind::Unverified,
            Self::Overdue | Self::Delayed => FactKind::Overdue,
            Self::Stalled => FactKind::Stalled,
            Self::Lagging => FactKind::Lagging,
            Self::Recovered => FactKind::Recovered,
            Self::Reset => FactKind::Reset,
            Self::Unexamined => FactKind::Unexamined,
            Self::Blind => FactKind::Blind,
            Self::Sighted => FactKind::Sighted,
            Self::Planned
            | Self::UnderReview
            | Self::WindowProposed
            | Self::WindowSet
            | Self::WindowChosen
            | Self::Rescheduled
            | Self::Changed
            | Self::Go
            | Self::NoGo
            | Self::Cancelled
            | Self::Failed
            | Self::RolledBack
            | Self::Documented
            | Self::Reviewed
            | Self::PollClosed
            | Self::Held
            | Self::Expired
            | Self::Missed
            | Self::Refused
            | Self::Said
            | Self::Unacknowledged
            | Self::Unready
            | Self::RollCalled
            | Self::ProblemRaised
            | Self::ReviewDrafted
            | Self::FeedbackClosed => return None,
        })
    }

    /// No fact of a block stands behind the happening.
    pub fn without_fact(self) -> bool {
        self.fact_kind().is_none()
    }

    /// The happening speaks of the window, so that a post of it is wrong once the window is another.
    pub fn of_the_window(self) -> bool {
        matches!(
            self,
            Self::Planned
                | Self::WindowProposed
                | Self::WindowSet
                | Self::WindowChosen
                | Self::Rescheduled
                | Self::Go
                | Self::NoGo
                | Self::Delayed
        )
    }

    /// True if it takes back what was said; a post of it then answers the last post in its channel.
    pub fn answers(self) -> bool {
        matches!(
            self,
            Self::Rescheduled
                | Self::Changed
                | Self::NoGo
                | Self::Delayed
                | Self::Cancelled
                | Self::Failed
                | Self::RolledBack
        )
    }

    /// True if it says how a chain fares, so that a post of it answers the all-clear where one was given.
    pub fn answers_all_clear(self) -> bool {
        matches!(
            self,
            Self::VersionUnexpected
                | Self::Stalled
                | Self::Lagging
                | Self::Recovered
                | Self::ParachainsStopped
                | Self::ParachainsRecovered
                | Self::Reset
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_happening_has_one_name_in_files_and_in_words() {
        for happening in Happening::iter() {
            assert_eq!(serde_json::to_value(happening).unwrap(), happening.name());
        }
        assert_eq!(Happening::parse("go_ahead"), Some(Happening::GoAhead));
        assert_eq!(Happening::parse("said"), None, "no plan has a notice of it");
    }

    type Property = fn(Happening) -> bool;

    fn named(is: Property) -> Vec<&'static str> {
        let all = Happening::iter().filter(|happening| is(*happening));
        all.map(Happening::name).collect()
    }

    #[test]
    fn each_property_holds_for_these_happenings() {
        let for_operators = "poll_closed held expired missed refused roll_called problem_raised review_drafted overdue unexamined \
            blind sighted";
        let of_the_window =
            "planned window_proposed window_set window_chosen go no_go delayed rescheduled";
        let answers = "changed no_go delayed cancelled failed rolled_back rescheduled";
        let without_fact = "planned under_review window_proposed window_set window_chosen changed go no_go cancelled failed rolled_back \
            documented reviewed poll_closed held expired missed refused unacknowledged unready roll_called problem_raised \
            review_drafted feedback_closed rescheduled said";
        let answers_all_clear = "version_unexpected stalled lagging recovered parachains_stopped parachains_recovered reset";
        let rows: [(Property, &str); 5] = [
            (Happening::for_operators, for_operators),
            (Happening::of_the_window, of_the_window),
            (Happening::answers, answers),
            (Happening::answers_all_clear, answers_all_clear),
            (Happening::without_fact, without_fact),
        ];
        for (is, names) in rows {
            assert_eq!(named(is).join(" "), names);
        }
        assert_eq!(named(|h| Happening::parse(h.name()) != Some(h)), ["said"]);
    }
}
