//! What a test chooses about the pretended server before it starts.

use std::time::Duration;

use super::limits::Limits;

/// Permission bits, by Discord's names.
pub mod permission {
    pub const MANAGE_CHANNELS: u64 = 1 << 4;
    pub const ADD_REACTIONS: u64 = 1 << 6;
    pub const VIEW_CHANNEL: u64 = 1 << 10;
    pub const SEND_MESSAGES: u64 = 1 << 11;
    pub const MANAGE_MESSAGES: u64 = 1 << 13;
    pub const EMBED_LINKS: u64 = 1 << 14;
    pub const ATTACH_FILES: u64 = 1 << 15;
    pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
    pub const MENTION_EVERYONE: u64 = 1 << 17;
    pub const USE_APPLICATION_COMMANDS: u64 = 1 << 31;
    pub const MANAGE_EVENTS: u64 = 1 << 33;
    pub const MANAGE_THREADS: u64 = 1 << 34;
    pub const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
    pub const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
    pub const CREATE_EVENTS: u64 = 1 << 44;
    pub const PIN_MESSAGES: u64 = 1 << 51;

    /// What an operator would grant in the invitation: enough to publish, nothing to moderate.
    pub const INVITED: u64 = ADD_REACTIONS
        | VIEW_CHANNEL
        | SEND_MESSAGES
        | EMBED_LINKS
        | ATTACH_FILES
        | READ_MESSAGE_HISTORY
        | MENTION_EVERYONE
        | MANAGE_EVENTS
        | CREATE_PUBLIC_THREADS
        | SEND_MESSAGES_IN_THREADS
        | CREATE_EVENTS
        | PIN_MESSAGES;
}

/// The kinds of channel that the double has, beside the threads that grow in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    Text,
    Announcement,
    Forum,
}

impl ChannelKind {
    /// Discord's number for the kind.
    pub(super) fn number(self) -> u8 {
        match self {
            ChannelKind::Text => 0,
            ChannelKind::Announcement => 5,
            ChannelKind::Forum => 15,
        }
    }
}

/// The server's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests allowed a bucket.
    pub limits: Limits,
    /// Whether the application has the privileged MESSAGE_CONTENT intent. Without it other people's
    /// text and embeds come empty, unless they mention the bot, and asking for it closes the
    /// gateway with 4014.
    pub message_content: bool,
    /// What the bot may do in the guild.
    pub permissions: u64,
    /// For how long a nonce names its message.
    pub nonce_window: Duration,
    /// The heartbeat interval that HELLO tells.
    pub heartbeat: Duration,
    /// How many invalid requests (401, 403, 429) within ten minutes block the address.
    pub invalid_cap: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            message_content: false,
            permissions: permission::INVITED,
            nonce_window: Duration::from_secs(300),
            heartbeat: Duration::from_millis(41_250),
            invalid_cap: 10_000,
        }
    }
}
