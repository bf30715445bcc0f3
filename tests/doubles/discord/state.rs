//! The server's memory: one guild with its people, channels, messages and events.
//!
//! Everything lies behind one lock and changes through the functions here and in `routes`, so that
//! a test sees the same state as the bot. Whoever changes something that others hear of calls
//! [`State::dispatch`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    clock::{DISCORD_EPOCH_MS, now_ms},
    error::{ApiError, missing_access, missing_permissions, unknown_channel},
    faults::Fate,
    gateway::Session,
    limits::Limiter,
    options::{Options, permission},
};

/// Flag of a message that has a thread.
pub(super) const HAS_THREAD: u64 = 1 << 5;
/// Flag of an answer that only the asker sees.
pub(super) const EPHEMERAL: u64 = 1 << 6;
/// Flag of an answer that is still to come.
pub(super) const LOADING: u64 = 1 << 7;
/// Flag of a message that was published to followers.
pub(super) const CROSSPOSTED: u64 = 1 << 0;

/// Message types that people (and bots) write: plain, reply, answer to a slash command.
pub(super) const ORDINARY: [u8; 3] = [0, 19, 20];

/// A message, as the server keeps it.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: u64,
    pub channel_id: u64,
    pub author_id: u64,
    /// Discord's message type: 0 plain, 6 pin notice, 18 and 21 thread notices, 19 reply, 20 answer
    /// to a slash command.
    pub kind: u8,
    pub content: String,
    /// What it said before each of its edits, oldest first.
    pub history: Vec<String>,
    /// An array of embeds as sent.
    pub embeds: Value,
    pub components: Value,
    pub attachments: Vec<Attachment>,
    pub nonce: Option<String>,
    pub reactions: Vec<Reaction>,
    pub thread_id: Option<u64>,
    pub reply_to: Option<u64>,
    pub pinned: bool,
    pub crossposted: bool,
    pub edited: bool,
    /// When it was written and last edited, in Unix milliseconds.
    pub created_ms: u64,
    pub edited_ms: Option<u64>,
    pub flags: u64,
    /// What the author sent as `allowed_mentions`, or null.
    pub allowed_mentions: Value,
    /// Whom it notified.
    pub mentions: Vec<u64>,
    pub mention_roles: Vec<u64>,
    pub mention_everyone: bool,
    pub(super) interaction: Option<u64>,
    pub(super) pinned_ms: u64,
    pub(super) accepted: Instant,
}

/// A file of a message, as people see it and as it is read out to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub id: u64,
    pub name: String,
    pub description: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

/// An emoji under a message and the people who chose it, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    pub emoji: String,
    pub users: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub name: String,
    pub roles: Vec<u64>,
    pub permissions: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub name: String,
    pub permissions: u64,
    pub managed: bool,
    /// Anybody may mention it.
    pub mentionable: bool,
}

/// A channel or a thread.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub id: u64,
    /// 0 text, 5 announcement, 15 forum, 10 and 11 threads.
    pub kind: u8,
    pub name: String,
    pub topic: Option<String>,
    pub parent: Option<u64>,
    pub owner: u64,
    pub position: usize,
    pub archived: bool,
    pub locked: bool,
    pub archive_minutes: u64,
    pub archived_ms: u64,
    pub created_ms: u64,
    pub applied_tags: Value,
    pub last_pin_ms: Option<u64>,
    /// Permissions that the bot doesn't have here.
    pub denied: u64,
}

impl Channel {
    pub(super) fn is_thread(&self) -> bool {
        matches!(self.kind, 10..=12)
    }
}

/// A slash command that somebody gave, and what the bot has answered.
#[derive(Clone, Debug)]
pub(super) struct Interaction {
    pub token: String,
    pub user: u64,
    pub channel: u64,
    pub command: String,
    pub created: Instant,
    pub acknowledged_after: Option<Duration>,
    pub answered_after: Option<Duration>,
    pub deferred: bool,
    pub answered: bool,
    pub answer: Option<u64>,
    /// Of what is being typed: nothing proposed yet, or what was.
    pub proposed: Option<Vec<String>>,
    pub typing: bool,
    /// It is a press, so a window may open.
    pub pressed: bool,
    /// The window that was opened.
    pub modal: Option<Value>,
    /// As it was sent, for another delivery.
    pub event: Value,
}

#[derive(Debug)]
pub(super) struct State {
    pub options: Options,
    pub token: String,
    pub gateway_url: String,
    pub guild: u64,
    pub bot: u64,
    pub bot_role: u64,
    last_id: u64,
    pub people: BTreeMap<u64, Person>,
    pub roles: BTreeMap<u64, Role>,
    pub channels: BTreeMap<u64, Channel>,
    pub messages: BTreeMap<u64, Message>,
    pub nonces: HashMap<(u64, String), (Instant, u64)>,
    /// Messages with a field that a bot can't read.
    pub spoiled: BTreeSet<u64>,
    pub commands: BTreeMap<u64, Value>,
    pub events: BTreeMap<u64, Value>,
    pub interactions: BTreeMap<u64, Interaction>,
    pub sessions: Vec<Session>,
    pub identifies: usize,
    pub mute_heartbeats: bool,
    pub limiter: Limiter,
    pub fate: Fate,
    pub limited: usize,
    pub invalid: VecDeque<Instant>,
    pub requests: Vec<(String, String)>,
    pub violations: Vec<String>,
}

impl State {
    pub(super) fn new(options: Options, gateway_url: String) -> Self {
        let mut state = State {
            options,
            token: String::new(),
            gateway_url,
            guild: 0,
            bot: 0,
            bot_role: 0,
            last_id: 0,
            people: BTreeMap::new(),
            roles: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: BTreeMap::new(),
            nonces: HashMap::new(),
            spoiled: BTreeSet::new(),
            commands: BTreeMap::new(),
            events: BTreeMap::new(),
            interactions: BTreeMap::new(),
            sessions: Vec::new(),
            identifies: 0,
            mute_heartbeats: false,
            limiter: Limiter::default(),
            fate: Fate::default(),
            limited: 0,
            invalid: VecDeque::new(),
            requests: Vec::new(),
            violations: Vec::new(),
        };
        state.guild = state.next_id();
        state.bot = state.next_id();
        state.bot_role = state.next_id();
        // Invented, in the shape of the real ones: libraries check for two dots.
        state.token = format!(
            "ZG91YmxlLW9ubHk{}.Double.not-a-secret-{}",
            state.bot, state.guild
        );
        let everyone = Role {
            name: "@everyone".into(),
            permissions: 0,
            managed: false,
            mentionable: false,
        };
        let bots = Role {
            name: "herald".into(),
            permissions: state.options.permissions,
            managed: true,
            mentionable: false,
        };
        state.roles = BTreeMap::from([(state.guild, everyone), (state.bot_role, bots)]);
        let bot = Person {
            name: "herald".into(),
            roles: vec![state.bot_role],
            permissions: state.options.permissions,
        };
        let owner = Person {
            name: "owner".into(),
            roles: vec![],
            permissions: u64::MAX >> 11,
        };
        state.people = BTreeMap::from([(state.bot, bot), (state.guild - 1, owner)]);
        state
    }

    /// A snowflake later than every one before.
    pub(super) fn next_id(&mut self) -> u64 {
        let now = now_ms().saturating_sub(DISCORD_EPOCH_MS) << 22;
        self.last_id = now.max(self.last_id + 1);
        self.last_id
    }

    /// Makes a person of an id that isn't known yet.
    pub(super) fn meet(&mut self, user: u64) {
        self.people.entry(user).or_insert_with(|| Person {
            name: format!("person-{user}"),
            roles: vec![],
            permissions: permission::INVITED | permission::USE_APPLICATION_COMMANDS,
        });
    }

    pub(super) fn blame(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// What the bot may do in a channel; a thread has its parent's permissions.
    pub(super) fn permissions(&self, channel: &Channel) -> u64 {
        let parent = channel.parent.and_then(|parent| self.channels.get(&parent));
        self.options.permissions & !channel.denied & !parent.map_or(0, |parent| parent.denied)
    }

    /// The channel, if the bot may see it and has all of `needed` there.
    pub(super) fn channel(&self, id: u64, needed: u64) -> Result<Channel, ApiError> {
        let channel = self.channels.get(&id).ok_or_else(unknown_channel)?;
        let granted = self.permissions(channel);
        if granted & permission::VIEW_CHANNEL == 0 {
            return Err(missing_access());
        }
        if granted & needed != needed {
            return Err(missing_permissions());
        }
        Ok(channel.clone())
    }

    /// Adds a channel of Discord's `kind`.
    pub(super) fn new_channel(
        &mut self,
        id: u64,
        kind: u8,
        name: &str,
        owner: u64,
    ) -> &mut Channel {
        let channel = Channel {
            id,
            kind,
            name: name.to_owned(),
            topic: None,
            parent: None,
            owner,
            position: self.channels.len(),
            archived: false,
            locked: false,
            archive_minutes: 4320,
            archived_ms: now_ms(),
            created_ms: now_ms(),
            applied_tags: json!([]),
            last_pin_ms: None,
            denied: 0,
        };
        self.channels.entry(id).or_insert(channel)
    }

    /// A message with nothing in it, not yet in its channel.
    pub(super) fn draft(&mut self, channel: u64, author: u64, kind: u8) -> Message {
        Message {
            id: self.next_id(),
            channel_id: channel,
            author_id: author,
            kind,
            content: String::new(),
            history: vec![],
            embeds: json!([]),
            components: json!([]),
            attachments: vec![],
            nonce: None,
            reactions: vec![],
            thread_id: None,
            reply_to: None,
            pinned: false,
            crossposted: false,
            edited: false,
            created_ms: now_ms(),
            edited_ms: None,
            flags: 0,
            allowed_mentions: Value::Null,
            mentions: vec![],
            mention_roles: vec![],
            mention_everyone: false,
            interaction: None,
            pinned_ms: 0,
            accepted: Instant::now(),
        }
    }

    /// Puts a message into its channel and tells everybody. A message wakes an archived thread.
    pub(super) fn publish(&mut self, message: Message) {
        let (id, channel) = (message.id, message.channel_id);
        let hidden = message.flags & EPHEMERAL != 0;
        self.messages.insert(id, message);
        if hidden {
            return;
        }
        if let Some(thread) = self.channels.get_mut(&channel)
            && thread.archived
        {
            thread.archived = false;
            thread.archived_ms = now_ms();
            self.thread_event("THREAD_UPDATE", channel);
        }
        self.message_event("MESSAGE_CREATE", id);
    }

    /// Works out whom a message notifies: what the text names, as far as `allowed_mentions` lets it.
    pub(super) fn notify(&self, message: &mut Message) {
        let allowed = &message.allowed_mentions;
        let listed = |kind: &str, id: u64| {
            let id = id.to_string();
            let parsed =
                |list: &Value| list.as_array().is_some_and(|l| l.iter().any(|n| n == kind));
            let named = |list: &Value| list.as_array().is_some_and(|l| l.contains(&json!(id)));
            allowed.is_null() || parsed(&allowed["parse"]) || named(&allowed[kind])
        };
        let users = marks(&message.content, "<@");
        message.mentions = users
            .into_iter()
            .filter(|id| self.people.contains_key(id) && listed("users", *id))
            .collect();
        let roles = marks(&message.content, "<@&");
        let may = message.author_id != self.bot
            || self
                .channels
                .get(&message.channel_id)
                .is_some_and(|c| self.permissions(c) & permission::MENTION_EVERYONE != 0);
        let mentionable = |id: &u64| {
            self.roles
                .get(id)
                .is_some_and(|role| may || role.mentionable)
        };
        message.mention_roles = roles
            .into_iter()
            .filter(|id| mentionable(id) && listed("roles", *id))
            .collect();
        let all = ["@everyone", "@here"]
            .iter()
            .any(|mark| message.content.contains(mark));
        message.mention_everyone = all && may && listed("everyone", 0);
        let replied = allowed.is_null() || allowed["replied_user"] == true;
        if let Some(original) = message.reply_to.and_then(|id| self.messages.get(&id))
            && replied
            && !message.mentions.contains(&original.author_id)
        {
            message.mentions.push(original.author_id);
        }
    }

    /// The messages of a channel that everybody sees, oldest first.
    pub(super) fn visible(&self, channel: u64) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages
            .values()
            .filter(move |message| message.channel_id == channel && message.flags & EPHEMERAL == 0)
    }

    /// A message of a channel.
    pub(super) fn message(&self, channel: u64, id: u64) -> Result<&Message, ApiError> {
        self.messages
            .get(&id)
            .filter(|message| message.channel_id == channel && message.flags & EPHEMERAL == 0)
            .ok_or_else(super::error::unknown_message)
    }
}

/// The ids in marks such as `<@123>`.
fn marks(text: &str, open: &str) -> Vec<u64> {
    let mut found: Vec<u64> = text
        .split(open)
        .skip(1)
        .filter_map(|rest| rest.split_once('>')?.0.trim_start_matches('!').parse().ok())
        .collect();
    found.dedup();
    found
}
