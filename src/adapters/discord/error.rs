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
    pub const UNKNOWN_EVENT: isize = 10070;
    pub const SLOW_MODE: isize = 20016;
    pub const EDITED_TOO_OFTEN_TO_ANNOUNCE: isize = 20022;
    pub const CHANNEL_WRITTEN_TOO_OFTEN: isize = 20028;
    pub const SERVER_WRITTEN_TOO_OFTEN: isize = 20029;
    pub const TOO_MANY_PINS: isize = 30003;
    pub const TOO_MANY_COMMANDS_A_DAY: isize = 30034;
    pub const TOO_MANY_EVENTS: isize = 30038;
    pub const OLD_MESSAGE_EDITED_TOO_OFTEN: isize = 30046;
    pub const PRIVATE_CHANNELS_TOO_FAST: isize = 40003;
    pub const SENDING_DISABLED: isize = 40004;
    pub const TOO_LARGE: isize = 40005;
    /// Discord has turned off what was asked for, for everybody, until it turns it on again.
    pub const FEATURE_DISABLED: isize = 40006;
    pub const PUBLISHED_ALREADY: isize = 40033;
    pub const RESOURCE_LIMITED: isize = 40062;
    pub const MISSING_ACCESS: isize = 50001;
    pub const NOT_THE_AUTHOR: isize = 50005;
    pub const NOT_A_TEXT_CHANNEL: isize = 50008;
    pub const VERIFICATION_TOO_HIGH: isize = 50009;
    pub const MISSING_PERMISSIONS: isize = 50013;
    pub const INVALID_FORM: isize = 50035;
    pub const APPLICATION_NOT_AVAILABLE: isize = 110_001;
    pub const OVERLOADED: isize = 130_000;
    pub const NO_HISTORY_TO_REPLY_TO: isize = 160_002;
    pub const THREAD_EXISTS: isize = 160_004;
    /// A locked thread answers this once it is archived.
    pub const THREAD_ARCHIVED: isize = 50083;
    pub const THREAD_LOCKED: isize = 160_005;
    pub const TOO_MANY_THREADS: isize = 160_006;
    pub const TOO_MANY_ANNOUNCEMENT_THREADS: isize = 160_007;
    pub const EVENT_IS_OVER: isize = 180_000;
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
    /// An answer came and can't be read: what was asked for was done.
    Unreadable { reason: String },
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
            Error::Json(e) => Self::Unreadable {
                reason: without_values(&e.to_string()),
            },
            Error::Decode(words, _) => Self::Unreadable {
                reason: words.into(),
            },
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
        (500.., _) | (408, _) => unsure(format!("Discord answered {status}")),
        // Whoever on the way refuses the size refuses it again.
        (413, code::NO_JSON) => DiscordFault::Code {
            code: code::TOO_LARGE,
            words: "the request is too large (413)".into(),
        },
        (_, code::NO_JSON) => unsure(format!(
            "something on the way to Discord answered {status}: a proxy, or Discord blocks this address for now"
        )),
        (_, code::SLOW_MODE) => unsure("the channel's slow mode holds the request back".into()),
        (_, code) if is_passing(code) => unsure(format!(
            "Discord takes this no more for now ({status}, {code})"
        )),
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

/// Codes of refusals that end by themselves: limits on how often, and what Discord has turned off for a while.
fn is_passing(code: isize) -> bool {
    matches!(
        code,
        code::EDITED_TOO_OFTEN_TO_ANNOUNCE
            | code::CHANNEL_WRITTEN_TOO_OFTEN
            | code::SERVER_WRITTEN_TOO_OFTEN
            | code::TOO_MANY_COMMANDS_A_DAY
            | code::OLD_MESSAGE_EDITED_TOO_OFTEN
            | code::PRIVATE_CHANNELS_TOO_FAST
            | code::SENDING_DISABLED
            | code::FEATURE_DISABLED
            | code::RESOURCE_LIMITED
            | code::APPLICATION_NOT_AVAILABLE
            | code::OVERLOADED
    )
}

/// Codes of refusals that end when somebody mends something, so that nothing is given up meanwhile: a moderator's slip at
/// the wrong hour, or a server that is full.
fn is_mendable(code: isize) -> bool {
    matches!(
        code,
        code::UNKNOWN_CHANNEL
            | code::UNKNOWN_GUILD
            | code::MISSING_ACCESS
            | code::MISSING_PERMISSIONS
            | code::NO_HISTORY_TO_REPLY_TO
            | code::THREAD_ARCHIVED
            | code::THREAD_LOCKED
            | code::TOO_MANY_ANNOUNCEMENT_THREADS
            | code::TOO_MANY_EVENTS
            | code::TOO_MANY_PINS
            | code::TOO_MANY_THREADS
            | code::VERIFICATION_TOO_HIGH
    )
}

/// The words of an error without the text between quotation marks, which comes from the answer.
pub(super) fn without_values(words: &str) -> String {
    let parts = words.split('"').enumerate();
    parts
        .map(|(i, part)| if i % 2 == 0 { part } else { "…" })
        .collect()
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

    /// Names the request in what can't be read of its answer.
    pub fn of(self, request: &str) -> Self {
        match self {
            Self::Unreadable { reason } => Self::Unreadable {
                reason: format!("{request}: {reason}"),
            },
            other => other,
        }
    }

    /// In words for somebody who isn't asked to send again.
    pub fn words(&self) -> String {
        match self {
            Self::Unsure { reason, .. } => reason.clone(),
            Self::Unreadable { reason } => {
                format!("Discord's answer could not be read ({reason})")
            }
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
            fault @ Self::Unreadable { .. } => {
                return ChatError::Retry {
                    reason: format!("{what} in channel {place}: {}", fault.words()),
                    after_ms: None,
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
            code::TOO_MANY_ANNOUNCEMENT_THREADS => "the server has as many active threads in announcement channels as Discord allows: archive some".into(),
            code::TOO_MANY_PINS => format!("channel {place} has as many pins as Discord allows: take some off"),
            code::TOO_MANY_EVENTS => "the server has its 100 events that are not over: end some".into(),
            code::NO_HISTORY_TO_REPLY_TO => format!("allow the bot's role in channel {place}: Read Message History"),
            code::VERIFICATION_TOO_HIGH => "the server's verification level keeps the bot out: verify the account that owns it, or lower the level".into(),
            code::TOO_LARGE => "make the notice or its picture smaller".into(),
            code::BLOCKED_BY_AUTOMOD | code::TITLE_BLOCKED_BY_AUTOMOD => "the server's AutoMod blocks it: exempt the bot's role".into(),
            _ => "look the number up in Discord's list of error codes, and at the bot's permissions in the channel".into(),
        };
        let reason = format!("{what} in channel {place}: {words}");
        match code {
            code if is_mendable(code) => ChatError::Retry {
                reason: format!("{reason}; {remedy}"),
                after_ms: Some(MENDABLE_MS),
            },
            // What it was about is out of reach for good, and may be made anew.
            code::UNKNOWN_MESSAGE | code::NOT_THE_AUTHOR => ChatError::Gone { reason, remedy },
            _ => ChatError::Refused { reason, remedy },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn during(code: isize) -> ChatError {
        let words = "no".into();
        DiscordFault::Code { code, words }.during("posting", 7)
    }

    #[test]
    fn each_code_calls_for_its_own() {
        for code in [
            160_007, 160_006, 160_002, 30_003, 30_038, 50_009, 50_013, 10_003,
        ] {
            let ChatError::Retry { reason, after_ms } = during(code) else {
                panic!("{code} is given up");
            };
            assert_eq!(after_ms, Some(MENDABLE_MS), "{code}");
            assert!(!reason.contains("look the number up"), "{reason}");
        }
        for code in [10_008, 50_005] {
            assert!(matches!(during(code), ChatError::Gone { .. }), "{code}");
        }
        for code in [50_035, 200_000, 40_005, 50_006] {
            assert!(matches!(during(code), ChatError::Refused { .. }), "{code}");
        }
        let passing = [
            20_022, 20_028, 20_029, 30_034, 30_046, 40_003, 40_004, 40_006, 40_062, 110_001,
            130_000,
        ];
        assert!(passing.into_iter().all(is_passing));
        assert!(!passing.into_iter().any(is_mendable));
    }
}
