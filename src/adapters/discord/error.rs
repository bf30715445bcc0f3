//! How a request to Discord failed, put in words.

use serenity::{Error, all::HttpError, http::ErrorResponse};

use super::{
    health::{NEW_TOKEN, TOKEN_REVOKED},
    place,
};
use crate::ports::ChatError;

/// Discord's numbers for what can go wrong here.
pub(super) mod code {
    pub const UNKNOWN_CHANNEL: isize = 10003;
    pub const UNKNOWN_GUILD: isize = 10004;
    pub const UNKNOWN_MESSAGE: isize = 10008;
    pub const SLOW_MODE: isize = 20016;
    pub const PUBLISHED_ALREADY: isize = 40033;
    pub const MISSING_ACCESS: isize = 50001;
    pub const NOT_THE_AUTHOR: isize = 50005;
    pub const NOT_A_TEXT_CHANNEL: isize = 50008;
    pub const MISSING_PERMISSIONS: isize = 50013;
    pub const INVALID_FORM: isize = 50035;
    pub const OVERLOADED: isize = 130_000;
    pub const THREAD_EXISTS: isize = 160_004;
    /// A locked thread answers this once it is archived.
    pub const THREAD_ARCHIVED: isize = 50083;
    pub const THREAD_LOCKED: isize = 160_005;
    pub const TOO_MANY_THREADS: isize = 160_006;
    pub const BLOCKED_BY_AUTOMOD: isize = 200_000;
    pub const TITLE_BLOCKED_BY_AUTOMOD: isize = 200_001;
    /// serenity's mark of an error without Discord's JSON: a proxy's or a firewall's answer.
    pub const NO_JSON: isize = -1;
}

/// How a request failed.
#[derive(Debug)]
pub(super) enum DiscordFault {
    /// No answer, or one that asks to come again. What was asked for may have been done.
    Unsure {
        reason: String,
        after_ms: Option<u64>,
    },
    /// 401.
    Token,
    /// Discord said no, with its number for the reason and its words.
    Code { code: isize, words: String },
}

impl From<Error> for DiscordFault {
    fn from(error: Error) -> Self {
        let unsure = |reason: String| Self::Unsure {
            reason,
            after_ms: None,
        };
        match error {
            Error::Http(HttpError::UnsuccessfulRequest(response)) => answered(response),
            Error::Http(HttpError::InvalidHeader(_)) => Self::Token,
            Error::Http(HttpError::Request(e)) => unsure(network(e)),
            Error::Http(e) => unsure(format!("the request to Discord failed: {e}")),
            Error::Json(_) | Error::Decode(..) => {
                unsure("Discord's answer could not be read".into())
            }
            // serenity checks lengths before it asks
            Error::Model(e) => Self::Code {
                code: code::INVALID_FORM,
                words: e.to_string(),
            },
            // the rest doesn't come from requests; its words may hold what should not be shown
            _ => unsure("the request to Discord failed".into()),
        }
    }
}

/// An answer that isn't a success. The URL is left out: an interaction's has its secret in it.
fn answered(response: ErrorResponse) -> DiscordFault {
    let status = response.status_code.as_u16();
    let code = response.error.code;
    let unsure = |reason: String| DiscordFault::Unsure {
        reason,
        after_ms: None,
    };
    match (status, code) {
        (401, _) => DiscordFault::Token,
        (429, _) => unsure("Discord's rate limit refuses the request (429)".into()),
        (500.., _) | (408, _) | (_, code::OVERLOADED) => {
            unsure(format!("Discord answered {status}"))
        }
        (_, code::NO_JSON) => unsure(format!(
            "something on the way to Discord answered {status}: a proxy, or Discord blocks this address for now"
        )),
        (_, code::SLOW_MODE) => unsure("the channel's slow mode holds the request back".into()),
        _ => {
            let words: String = HttpError::UnsuccessfulRequest(response)
                .to_string()
                .chars()
                .filter(|c| !c.is_control())
                .take(300)
                .collect();
            DiscordFault::Code {
                code,
                words: format!("Discord answered {status} ({code}): {words}"),
            }
        }
    }
}

/// The innermost cause says most ("certificate verify failed"); the URL is left out.
fn network(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer from Discord in time".into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause = cause.to_string();
    if cause.contains("certificate verify failed") {
        "who answers for Discord has a certificate that is not trusted here: is there a proxy that opens TLS?".into()
    } else if error.is_connect() {
        format!("Discord can't be reached: {cause}")
    } else {
        format!("the connection to Discord broke: {cause}")
    }
}

/// How long what an operator has to mend is left alone.
pub(super) const MENDABLE_MS: u64 = 60_000;

impl DiscordFault {
    pub fn is(&self, wanted: isize) -> bool {
        matches!(self, Self::Code { code, .. } if *code == wanted)
    }

    /// In words for somebody who isn't asked to send again.
    pub fn words(&self) -> String {
        match self {
            Self::Unsure { reason, .. } => reason.clone(),
            Self::Token => format!("{TOKEN_REVOKED}; {NEW_TOKEN}"),
            Self::Code { words, .. } => words.clone(),
        }
    }

    /// `what` was tried, in the channel or thread `place`.
    pub fn during(self, what: &str, place: impl std::fmt::Display) -> ChatError {
        let (code, words) = match self {
            Self::Unsure { reason, after_ms } => {
                return ChatError::Retry {
                    reason: format!("{what} in channel {place}: {reason}"),
                    after_ms,
                };
            }
            // nothing is lost while the operator mends it; asking often would block this address
            Self::Token => {
                return ChatError::Retry {
                    reason: format!("{what} in channel {place}: {TOKEN_REVOKED}; {NEW_TOKEN}"),
                    after_ms: Some(60_000),
                };
            }
            Self::Code { code, words } => (code, words),
        };
        let remedy = match code {
            code::UNKNOWN_CHANNEL => format!("channel {place} is not there (any more): put the id of an existing one in the configuration"),
            code::UNKNOWN_GUILD => "the bot is not in the server: invite it again".into(),
            code::UNKNOWN_MESSAGE => "the message was deleted: post the notice anew if it is still wanted".into(),
            code::MISSING_ACCESS => format!("the bot can't see channel {place}: allow its role “View Channel” there"),
            code::MISSING_PERMISSIONS => {
                format!(
                    "allow the bot's role in channel {place}: {}",
                    place::names(place::NEEDED_PERMISSIONS)
                )
            }
            code::NOT_THE_AUTHOR => "the message is another account's: it was posted by the bot that was in use then".into(),
            code::NOT_A_TEXT_CHANNEL => format!("channel {place} takes no messages: name a text or announcement channel"),
            code::INVALID_FORM => "the notice breaks one of Discord's rules: look at it with `herald preview` and mend its template".into(),
            code::THREAD_ARCHIVED | code::THREAD_LOCKED => format!("thread {place} is locked: a moderator can open it again"),
            code::TOO_MANY_THREADS => "the server has its 1,000 active threads: archive some".into(),
            code::BLOCKED_BY_AUTOMOD | code::TITLE_BLOCKED_BY_AUTOMOD => "the server's AutoMod blocks it: exempt the bot's role".into(),
            _ => "look the number up in Discord's list of error codes, and at the bot's permissions in the channel".into(),
        };
        let reason = format!("{what} in channel {place}: {words}");
        match code {
            // A moderator's slip at the wrong hour: nothing is given up while it can be mended.
            code::UNKNOWN_CHANNEL
            | code::UNKNOWN_GUILD
            | code::MISSING_ACCESS
            | code::MISSING_PERMISSIONS
            | code::THREAD_ARCHIVED
            | code::THREAD_LOCKED
            | code::TOO_MANY_THREADS => ChatError::Retry {
                reason: format!("{reason}; {remedy}"),
                after_ms: Some(MENDABLE_MS),
            },
            _ => ChatError::Refused { reason, remedy },
        }
    }
}
