//! The chat platforms, what each can do, and the readers of a channel, as files and commands name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::outbox::{Body, Operation};

/// The chat platforms; a rehearsal's rooms imitate one each.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Discord,
    Matrix,
    Irc,
}

impl Platform {
    pub const ALL: [Self; 3] = [Self::Discord, Self::Matrix, Self::Irc];

    pub fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Matrix => "matrix",
            Self::Irc => "irc",
        }
    }

    /// This is the one table of what platforms can do: everything else asks it and compares no platform.
    pub fn capabilities(self) -> &'static Capabilities {
        match self {
            Self::Discord => &DISCORD_CAPABILITIES,
            Self::Matrix => &MATRIX_CAPABILITIES,
            Self::Irc => &IRC_CAPABILITIES,
        }
    }

    /// The channel of reminders that go to one person alone. No channel of a file has a space in its name.
    pub fn private_channel(self) -> Option<String> {
        self.capabilities()
            .private_messages
            .then(|| format!("private {}", self.name()))
    }
}

/// The abilities of a chat, and its way of writing.
#[derive(Debug)]
pub struct Capabilities {
    /// The platform's name as people write it.
    pub title: &'static str,
    pub markup: Markup,
    pub max_text: TextLimit,
    pub pictures: Pictures,
    /// People can press buttons below a post.
    pub buttons: bool,
    /// A card with the upgrade's state can stand below a post.
    pub cards: bool,
    /// The platform has votes of its own; elsewhere people vote by reactions where there are some.
    pub native_polls: bool,
    /// Posts can be handed on to servers that follow the channel.
    pub publishing: bool,
    /// The platform keeps a calendar of events.
    pub calendar: bool,
    pub threads: bool,
    pub reactions: bool,
    pub edits: bool,
    pub pins: bool,
    /// One person can be written to alone.
    pub private_messages: bool,
    /// Commands begin with this character, where herald takes some.
    pub command_prefix: Option<char>,
    pub rights: RightsModel,
    /// The ids of places where herald can speak.
    pub places: IdFormat,
    /// The ids of those who can be mentioned.
    pub mentions: IdFormat,
}

impl Capabilities {
    /// True if the platform has what a row of the outbox would do. What it hasn't gets no row.
    pub fn allows(&self, operation: Operation) -> bool {
        match operation {
            // A mark is a message of its own where a post can't be edited.
            Operation::Post | Operation::Preview | Operation::Mark => true,
            Operation::Thread => self.threads,
            Operation::Edit => self.edits,
            Operation::Publish => self.publishing,
            Operation::Pin | Operation::Unpin => self.pins,
            Operation::Event => self.calendar,
            Operation::Poll | Operation::Close => self.native_polls,
            Operation::Picture => self.pictures == Pictures::Apart,
        }
    }

    /// True if people's answers to a message can be read there.
    pub fn answers_are_read(&self) -> bool {
        self.reactions || self.threads
    }
}

/// The dialect that a platform reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Discord's Markdown.
    Discord,
    /// HTML, and the same in plain text.
    Matrix,
    /// One line without any markup.
    Plain,
}

impl Markup {
    /// The separator of two paragraphs.
    pub fn paragraph_break(self) -> &'static str {
        match self {
            Self::Discord | Self::Matrix => "\n\n",
            Self::Plain => " | ",
        }
    }
}

/// How pictures reach a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// A message holds words and a picture.
    WithText,
    /// A picture is a message of its own.
    Apart,
    Unsupported,
}

/// The platform's own way to say who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsModel {
    /// Roles of the server, by id.
    Roles,
    /// Power levels in each room.
    PowerLevels,
    Unsupported,
}

/// The longest message, as the platform counts it, plain and formatted text together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLimit {
    Chars(usize),
    Bytes(usize),
}

impl TextLimit {
    pub fn max(self) -> usize {
        match self {
            Self::Chars(max) | Self::Bytes(max) => max,
        }
    }

    pub fn count(self, text: &str) -> usize {
        match self {
            Self::Chars(_) => text.chars().count(),
            Self::Bytes(_) => text.len(),
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Chars(_) => "characters",
            Self::Bytes(_) => "bytes",
        }
    }

    pub fn length(self, body: &Body) -> usize {
        self.count(&body.text) + body.html.as_deref().map_or(0, |html| self.count(html))
    }
}

/// How ids of one kind look on a platform.
#[derive(Debug)]
pub struct IdFormat {
    pub fits: fn(&str) -> bool,
    /// Advice on what to write instead of an id that doesn't fit.
    pub hint: &'static str,
}

static DISCORD_CAPABILITIES: Capabilities = Capabilities {
    title: "Discord",
    markup: Markup::Discord,
    max_text: TextLimit::Chars(2_000),
    pictures: Pictures::WithText,
    buttons: true,
    cards: true,
    // Discord's polls end at their own time, so people vote by reactions.
    native_polls: false,
    publishing: true,
    calendar: true,
    threads: true,
    reactions: true,
    edits: true,
    pins: true,
    private_messages: true,
    command_prefix: Some('/'),
    rights: RightsModel::Roles,
    places: IdFormat {
        fits: is_discord_id,
        hint: "write the channel's id, a number in quotes (copy it with developer mode on)",
    },
    mentions: IdFormat {
        fits: is_discord_id,
        hint: "write the role's id, a number in quotes (copy it with developer mode on)",
    },
};

static MATRIX_CAPABILITIES: Capabilities = Capabilities {
    title: "Matrix",
    markup: Markup::Matrix,
    // An event holds 65,536 bytes, and its envelope needs the rest.
    max_text: TextLimit::Bytes(60_000),
    pictures: Pictures::Apart,
    buttons: false,
    cards: false,
    native_polls: true,
    publishing: false,
    calendar: false,
    threads: true,
    reactions: true,
    edits: true,
    pins: true,
    private_messages: true,
    command_prefix: Some('!'),
    rights: RightsModel::PowerLevels,
    places: IdFormat {
        fits: is_matrix_place,
        hint: "write the room's id (!…) or its alias (#…:server), in quotes",
    },
    mentions: IdFormat {
        fits: |id| id == "@room" || is_matrix_id(id),
        hint: "write \"@room\", or a user's id such as \"@anna:example.org\"",
    },
};

static IRC_CAPABILITIES: Capabilities = Capabilities {
    title: "IRC",
    markup: Markup::Plain,
    // A line holds 512 bytes, of which the names of sender and channel take some.
    max_text: TextLimit::Bytes(400),
    pictures: Pictures::Unsupported,
    buttons: false,
    cards: false,
    native_polls: false,
    publishing: false,
    calendar: false,
    threads: false,
    reactions: false,
    edits: false,
    pins: false,
    private_messages: false,
    command_prefix: None,
    rights: RightsModel::Unsupported,
    places: IdFormat {
        fits: is_irc_channel,
        hint: "write the channel's name (#…), in quotes",
    },
    mentions: IdFormat {
        fits: |_| false,
        hint: "remove `mentions`: nobody is notified on IRC",
    },
};

/// `!abc:example.org`, `!abc` as newer rooms have it, or `#upgrades:example.org`
fn is_matrix_place(place: &str) -> bool {
    let (name, server) = match place.split_once(':') {
        Some((name, server)) => (name, Some(server)),
        None => (place, None),
    };
    let has_server = server.is_some_and(|server| !server.is_empty());
    let is_whole = has_server || (server.is_none() && place.starts_with('!'));
    name.len() > 1
        && place.starts_with(['!', '#'])
        && is_whole
        && !place.contains(char::is_whitespace)
}

/// `#upgrades`
fn is_irc_channel(place: &str) -> bool {
    let outside = |c: char| c.is_whitespace() || c.is_control() || c == ',';
    place.len() > 1 && place.starts_with('#') && !place.contains(outside)
}

/// Discord's ids are numbers, never zero. One that is written in two ways would be two.
pub fn is_discord_id(id: &str) -> bool {
    !id.starts_with(['0', '+']) && id.parse::<u64>().is_ok()
}

/// `@anna:example.org`
pub fn is_matrix_id(id: &str) -> bool {
    let parts = id.strip_prefix('@').and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(name, server)| !name.is_empty() && !server.is_empty())
        && !id.contains(char::is_whitespace)
}

/// Returns an id on Matrix as servers send it: the case of a host's letters makes no other host.
pub fn canonical_matrix_id(id: &str) -> String {
    match id.split_once(':') {
        Some((name, host)) => format!("{name}:{}", host.to_ascii_lowercase()),
        None => id.to_owned(),
    }
}

/// The readers of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// Everybody.
    #[default]
    Public,
    /// The people who run herald and the upgrade.
    Operators,
}
