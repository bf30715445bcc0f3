//! The things that are done in a channel for a notice, and the rules that each of them keeps.

use serde::{Deserialize, Serialize};

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Operation {
    /// A message of its own.
    Post,
    /// A feedback thread below the post of the same notice, with an opening message.
    Thread,
    /// The picture that belongs to a post, where the platform takes it as a message of its own.
    Picture,
    /// New words for a post that is out.
    Edit,
    /// A line on top of a post that is out and no longer holds.
    Mark,
    /// A notice as it will read, shown to those who may approve it.
    Preview,
    /// A post is handed on to the servers that follow its channel.
    Publish,
    /// A post is pinned in its channel.
    Pin,
    /// The pin is taken off.
    Unpin,
    /// The window in the calendar of a Discord server; each edition is what it says from then on.
    Event,
    /// A vote on what a post proposes, where the platform has votes of its own.
    Poll,
    /// The vote is closed.
    Close,
}

/// The rules that an operation keeps: everything that tells it from the others on its way to a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The order among operations of one notice that are due at the same time, from 0 to 9.
    pub order: i64,
    /// The operation whose message this one hangs on; without that message there is nothing to do.
    pub root: Option<Operation>,
    /// Planned with its post, it is held, moved and withdrawn with it as well.
    pub is_companion: bool,
    /// Posts behind it in the channel wait for it. An operation that says nothing there waits aside instead.
    pub blocks_channel: bool,
    /// Done twice it is done once, so nothing is read back before the next attempt.
    pub is_idempotent: bool,
    /// The operation's loss is no fault: where there is nothing to do it is dropped, and nobody has to look.
    pub is_optional: bool,
    /// Editions of the operation follow one another, and one that changes nothing is not done.
    pub has_editions: bool,
    /// A chat's refusal, and whether somebody has to look.
    pub when_refused: Refusal,
    pub content: Content,
    pub action: Action,
}

/// The content of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The notice's own words.
    Notice,
    /// The opening message of a feedback thread.
    ThreadOpening,
    Picture,
    /// A line on top of what the post says.
    Mark,
    Preview,
    CalendarEvent,
    Ballot,
    /// No words: it changes what is out.
    Nothing,
}

/// The one thing that a chat is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Send,
    OpenThread,
    Edit,
    Handle(Handling),
    Calendar,
}

/// A thing done to a message of ours that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The message is handed on to the servers that follow its channel.
    Publish,
    Pin,
    Unpin,
    /// A vote takes no more votes.
    Close,
}

/// The end of an operation that a chat refuses for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The operation is given up until somebody looks.
    Park,
    /// The message was deleted or may not be changed any more: there is nothing left to do.
    Drop,
}

/// A message in the channel that others wait for.
const MESSAGE: Rules = Rules {
    order: 0,
    root: None,
    is_companion: false,
    blocks_channel: true,
    is_idempotent: false,
    is_optional: true,
    has_editions: false,
    when_refused: Refusal::Park,
    content: Content::Notice,
    action: Action::Send,
};

/// A silent change of what is out, which holds up no post.
const SILENT: Rules = Rules {
    order: 9,
    blocks_channel: false,
    is_idempotent: true,
    content: Content::Nothing,
    ..MESSAGE
};

impl Operation {
    /// The table of what an operation is.
    #[rustfmt::skip]
    pub const fn rules(self) -> Rules {
        use Operation::{Poll, Post};
        match self {
            Self::Post => Rules { is_optional: false, ..MESSAGE },
            Self::Thread => Rules {
                order: 1, root: Some(Post), is_companion: true, is_optional: false,
                content: Content::ThreadOpening, action: Action::OpenThread, ..MESSAGE
            },
            Self::Picture => Rules {
                order: 2, root: Some(Post), is_companion: true, content: Content::Picture, ..MESSAGE
            },
            Self::Poll => Rules {
                order: 3, root: Some(Post), is_companion: true, content: Content::Ballot, ..MESSAGE
            },
            Self::Edit => Rules {
                order: 4, root: Some(Post), has_editions: true, when_refused: Refusal::Drop,
                action: Action::Edit, ..MESSAGE
            },
            Self::Mark => Rules {
                order: 5, root: Some(Post), when_refused: Refusal::Drop,
                content: Content::Mark, action: Action::Edit, ..MESSAGE
            },
            Self::Preview => Rules { order: 6, content: Content::Preview, ..MESSAGE },
            Self::Publish => Rules {
                order: 7, root: Some(Post), is_companion: true,
                action: Action::Handle(Handling::Publish), ..SILENT
            },
            Self::Pin => Rules {
                order: 8, root: Some(Post), is_companion: true, when_refused: Refusal::Drop,
                action: Action::Handle(Handling::Pin), ..SILENT
            },
            Self::Unpin => Rules {
                root: Some(Post), when_refused: Refusal::Drop,
                action: Action::Handle(Handling::Unpin), ..SILENT
            },
            // Another edition follows with the next change.
            Self::Event => Rules {
                is_companion: true, has_editions: true, when_refused: Refusal::Drop, content: Content::CalendarEvent, action: Action::Calendar, ..SILENT
            },
            // A vote is a message of its own, beside its post.
            Self::Close => Rules {
                root: Some(Poll), when_refused: Refusal::Drop,
                action: Action::Handle(Handling::Close), ..SILENT
            },
        }
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    fn named(is: impl Fn(Rules) -> bool) -> Vec<&'static str> {
        let all = Operation::VARIANTS.iter();
        all.filter(|o| is(o.rules())).map(|o| o.name()).collect()
    }

    #[test]
    fn each_rule_holds_for_these_operations() {
        assert_eq!(
            named(|r| !r.blocks_channel),
            ["publish", "pin", "unpin", "event", "close"]
        );
        assert_eq!(
            named(|r| r.is_idempotent),
            ["publish", "pin", "unpin", "event", "close"]
        );
        assert_eq!(
            named(|r| r.is_companion),
            ["thread", "picture", "publish", "pin", "event", "poll"]
        );
        assert_eq!(named(|r| r.root.is_none()), ["post", "preview", "event"]);
        assert_eq!(named(|r| r.root == Some(Operation::Poll)), ["close"]);
        assert_eq!(named(|r| !r.is_optional), ["post", "thread"]);
        assert_eq!(named(|r| r.has_editions), ["edit", "event"]);
        assert_eq!(
            named(|r| r.when_refused == Refusal::Drop),
            ["edit", "mark", "pin", "unpin", "event", "close"]
        );
        assert_eq!(
            named(|r| r.content == Content::Nothing),
            ["publish", "pin", "unpin", "close"]
        );
        let contents = [
            (Content::Notice, "post edit"),
            (Content::ThreadOpening, "thread"),
            (Content::Picture, "picture"),
            (Content::Mark, "mark"),
            (Content::Preview, "preview"),
            (Content::CalendarEvent, "event"),
            (Content::Ballot, "poll"),
        ];
        for (content, names) in contents {
            assert_eq!(named(|r| r.content == content).join(" "), names);
        }
        assert_eq!(named(|r| r.action == Action::Edit), ["edit", "mark"]);
        assert_eq!(
            named(|r| r.action == Action::Send),
            ["post", "picture", "preview", "poll"]
        );
    }

    #[test]
    fn names_are_read_back_and_orders_differ_while_others_wait() {
        for operation in Operation::VARIANTS {
            assert_eq!(Operation::parse(operation.name()), Some(*operation));
            assert!((0..10).contains(&operation.rules().order));
        }
        assert_eq!(Operation::parse("Post"), None);
        let mut orders: Vec<i64> = Operation::VARIANTS
            .iter()
            .map(|o| o.rules())
            .filter(|r| r.order < 9)
            .map(|r| r.order)
            .collect();
        orders.sort_unstable();
        assert_eq!(orders, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
