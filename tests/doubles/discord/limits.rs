//! Rate limits: fixed windows, one for each class of request and channel (or guild), and a global
//! one.
//!
//! The numbers of Discord aren't public; the defaults are those that were seen (five posts in five
//! seconds a channel, one reaction in a quarter of a second), and a test may choose others.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// `limit` requests in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: u32,
    pub per: Duration,
}

impl Rate {
    #[must_use]
    pub const fn new(limit: u32, per: Duration) -> Self {
        Rate { limit, per }
    }
}

/// The rate of each class of request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub post: Rate,
    pub edit: Rate,
    pub delete: Rate,
    pub react: Rate,
    pub crosspost: Rate,
    pub pin: Rate,
    pub thread: Rate,
    pub event: Rate,
    pub command: Rate,
    pub webhook: Rate,
    pub read: Rate,
    pub other: Rate,
    /// Over all requests but those that answer an interaction.
    pub global: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |limit, ms| Rate::new(limit, Duration::from_millis(ms));
        Limits {
            post: rate(5, 5000),
            edit: rate(5, 5000),
            delete: rate(5, 1000),
            react: rate(1, 250),
            crosspost: rate(10, 3_600_000),
            pin: rate(5, 4000),
            thread: rate(5, 5000),
            event: rate(5, 60_000),
            command: rate(5, 20_000),
            webhook: rate(5, 2000),
            read: rate(10, 2000),
            other: rate(10, 2000),
            global: rate(50, 1000),
        }
    }
}

impl Limits {
    /// So wide that no test meets one.
    #[must_use]
    pub fn none() -> Self {
        let wide = Rate::new(1_000_000, Duration::from_secs(1));
        Limits {
            post: wide,
            edit: wide,
            delete: wide,
            react: wide,
            crosspost: wide,
            pin: wide,
            thread: wide,
            event: wide,
            command: wide,
            webhook: wide,
            read: wide,
            other: wide,
            global: wide,
        }
    }
}

/// The class of a request, which names its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Post,
    Edit,
    Delete,
    React,
    Crosspost,
    Pin,
    Thread,
    Event,
    Command,
    /// Answers to interactions: not counted globally.
    Webhook,
    Read,
    Other,
}

impl Class {
    /// The class of an operation, by its method and its path in the description.
    pub(super) fn of(method: &str, template: &str) -> Class {
        let ends = |tail: &str| template.ends_with(tail);
        if template.starts_with("/interactions/") || template.starts_with("/webhooks/") {
            return Class::Webhook;
        }
        match method {
            "GET" => Class::Read,
            _ if template.contains("/reactions") => Class::React,
            _ if ends("/crosspost") => Class::Crosspost,
            _ if template.contains("/pins") => Class::Pin,
            _ if template.contains("/threads") => Class::Thread,
            _ if template.contains("/scheduled-events") => Class::Event,
            _ if template.contains("/commands") => Class::Command,
            "POST" if ends("/messages") => Class::Post,
            "PATCH" if ends("/messages/{message_id}") => Class::Edit,
            "DELETE" if ends("/messages/{message_id}") => Class::Delete,
            _ => Class::Other,
        }
    }

    fn rate(self, limits: &Limits) -> Rate {
        match self {
            Class::Post => limits.post,
            Class::Edit => limits.edit,
            Class::Delete => limits.delete,
            Class::React => limits.react,
            Class::Crosspost => limits.crosspost,
            Class::Pin => limits.pin,
            Class::Thread => limits.thread,
            Class::Event => limits.event,
            Class::Command => limits.command,
            Class::Webhook => limits.webhook,
            Class::Read => limits.read,
            Class::Other => limits.other,
        }
    }
}

#[derive(Debug)]
struct Window {
    used: u32,
    ends: Instant,
}

/// The state of a bucket after a request: what the `X-RateLimit-*` headers tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub class: Class,
    pub limit: u32,
    pub remaining: u32,
    pub reset_after: Duration,
    /// Why the request is refused, if it is.
    pub refused: Option<Scope>,
}

/// Whose limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    User,
    Global,
    Shared,
}

impl Scope {
    pub(super) fn name(self) -> &'static str {
        match self {
            Scope::User => "user",
            Scope::Global => "global",
            Scope::Shared => "shared",
        }
    }
}

/// All windows that are open.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: HashMap<(Class, String), Window>,
    global: Option<Window>,
}

impl Limiter {
    /// Counts one request of `class` on the channel or guild `major`.
    pub(super) fn take(&mut self, limits: &Limits, class: Class, major: &str) -> Quota {
        let now = Instant::now();
        if class != Class::Webhook {
            let (remaining, ends) = spend(&mut self.global, limits.global, now);
            if remaining.is_none() {
                return Quota {
                    class,
                    limit: limits.global.limit,
                    remaining: 0,
                    reset_after: ends - now,
                    refused: Some(Scope::Global),
                };
            }
        }
        let rate = class.rate(limits);
        let key = (class, major.to_owned());
        let mut window = self.windows.remove(&key);
        let (remaining, ends) = spend(&mut window, rate, now);
        if let Some(window) = window {
            self.windows.insert(key, window);
        }
        Quota {
            class,
            limit: rate.limit,
            remaining: remaining.unwrap_or(0),
            reset_after: ends - now,
            refused: remaining.is_none().then_some(Scope::User),
        }
    }
}

/// Takes one from the window, opening a new one if it has ended. `None` if it is empty.
fn spend(window: &mut Option<Window>, rate: Rate, now: Instant) -> (Option<u32>, Instant) {
    let open = match window {
        Some(open) if open.ends > now => open,
        _ => window.insert(Window {
            used: 0,
            ends: now + rate.per,
        }),
    };
    if open.used >= rate.limit {
        return (None, open.ends);
    }
    open.used += 1;
    (Some(rate.limit - open.used), open.ends)
}
