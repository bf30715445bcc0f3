//! The names of the templates that herald looks for by itself. A notice names every other one.

/// The card below a post. Without this template posts have no card.
pub const CARD: &str = "preparation/card";
/// The event in a server's calendar.
pub const CALENDAR_EVENT: &str = "preparation/event";
/// The first post of an upgrade's topic in a forum. Without this template it holds the upgrade's summary.
pub const TOPIC: &str = "preparation/topic";
/// A vote, where a platform has votes of its own: the question, and a line for each window. Without this template people
/// vote by reactions.
pub const BALLOT: &str = "scheduling/ballot";
/// The line on top of a post that no longer holds, or that is corrected.
pub const MARK: &str = "scheduling/mark";
/// The text above a preview that people have to approve.
pub const APPROVAL_PREVIEW: &str = "operations/approval";
/// The first message of a feedback thread.
pub const FEEDBACK_THREAD: &str = "validation/feedback-thread";
