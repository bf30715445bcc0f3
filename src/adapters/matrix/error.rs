//! Failures of the SDK, by what each calls for: waiting, an operator, or a new login.

use std::error::Error as StdError;

use matrix_sdk::{
    HttpError,
    reqwest::StatusCode,
    ruma::api::error::{ErrorBody, ErrorKind, FromHttpResponseError, RetryAfter},
};
use thiserror::Error;

use super::Matrix;
use crate::ports::ChatError;

/// How long what somebody has to mend is left alone.
pub(super) const MENDABLE_MS: u64 = 60_000;

/// The homeserver has ended the session, and takes the password.
#[derive(Debug, Error)]
#[error(
    "the homeserver has ended herald's session ({reason}); herald ends as well, and logs in again when it is started"
)]
pub struct SessionEnded {
    pub(super) reason: String,
}

/// A failure by what is to be done about it. No text of it holds a token or a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MatrixFault {
    /// The session is no longer good for anything. `soft`: the device still is, only the token has run out.
    Session { reason: String, soft: bool },
    /// The fault may go away by itself; nothing is to be tried again before so many milliseconds, if the server said so.
    Passing {
        reason: String,
        after_ms: Option<u64>,
    },
    /// The homeserver forbids it.
    Forbidden { reason: String },
    /// The fault stays until somebody changes something.
    Lasting {
        reason: String,
        remedy: &'static str,
    },
}

/// Puts a failed action into words; a lost session becomes the trouble an operator sees.
pub(super) fn failed(matrix: &Matrix, action: &str, error: &matrix_sdk::Error) -> ChatError {
    match fault(error) {
        MatrixFault::Session { reason, .. } => {
            let reason = logged_out(&reason);
            matrix.set_trouble(Some(reason.clone()));
            ChatError::Retry {
                reason: format!("{action}: {reason}"),
                after_ms: None,
            }
        }
        MatrixFault::Passing { reason, after_ms } => ChatError::Retry {
            reason: format!("{action}: {reason}"),
            after_ms,
        },
        // Nothing is given up while somebody can mend it.
        MatrixFault::Forbidden { reason } => ChatError::Retry {
            reason: format!("{action}: {reason}; {}", way_in(matrix, is_ban(&reason))),
            after_ms: Some(MENDABLE_MS),
        },
        MatrixFault::Lasting { reason, remedy } => ChatError::Refused {
            reason: format!("{action}: {reason}"),
            remedy: remedy.into(),
        },
    }
}

/// Servers have no code of their own for a ban, so it is known by their words.
fn is_ban(reason: &str) -> bool {
    reason.to_lowercase().contains("banned")
}

/// Says what somebody has to do so that we can post in a room. An account that is banned can't be invited.
pub(super) fn way_in(matrix: &Matrix, is_banned: bool) -> String {
    let lift = if is_banned {
        format!("lift the ban of {} in the room, then ", matrix.me)
    } else {
        String::new()
    };
    format!(
        "{lift}invite {} to the room and give it the power level to post there",
        matrix.me
    )
}

pub(super) fn logged_out(reason: &str) -> String {
    format!(
        "the homeserver has ended herald's session ({reason}); posts wait. herald logs in again by itself where it has a password that is right, at most every ten minutes; with an access token, make a new one, put it where `token` in herald.yaml says, and start herald again"
    )
}

pub(super) fn fault(error: &matrix_sdk::Error) -> MatrixFault {
    use matrix_sdk::Error;
    match error {
        Error::Http(error) => http(error),
        Error::AuthenticationRequired => MatrixFault::Session {
            reason: "there is no session".into(),
            soft: false,
        },
        Error::WrongRoomState(_) => MatrixFault::Forbidden {
            reason: "not a member of the room".into(),
        },
        Error::Timeout => passing("no answer within the timeout"),
        Error::Identifier(error) => MatrixFault::Lasting {
            reason: error.to_string(),
            remedy: "correct the id in the configuration",
        },
        // the SDK's own store or encryption: nothing is lost by waiting, and the text says what is wrong
        other => passing(&plain(&other.to_string())),
    }
}

pub(super) fn http(error: &HttpError) -> MatrixFault {
    match error {
        HttpError::Reqwest(error) if error.is_timeout() => passing("no answer within the timeout"),
        HttpError::Reqwest(error) => passing(&format!(
            "the homeserver can't be reached: {}",
            innermost(error)
        )),
        HttpError::Cached(error) => http(error),
        HttpError::Api(answer) => match answer.as_ref() {
            FromHttpResponseError::Server(_) => match error.as_client_api_error() {
                Some(error) => matrix(error.status_code, &error.body),
                None => MatrixFault::Lasting {
                    reason: "the homeserver asks for another way of proving who we are".into(),
                    remedy: "allow this account password logins",
                },
            },
            _ => passing("the homeserver's answer can't be understood"),
        },
        other => passing(&plain(&other.to_string())),
    }
}

/// An answer in Matrix's own error format, or of whatever stands before the homeserver.
fn matrix(status: StatusCode, body: &ErrorBody) -> MatrixFault {
    let ErrorBody::Standard(standard) = body else {
        return passing(&format!(
            "something before the homeserver answers with {status}"
        ));
    };
    let reason = plain(&format!(
        "{} ({})",
        standard.message,
        standard.kind.errcode()
    ));
    match &standard.kind {
        ErrorKind::LimitExceeded(limit) => {
            let after_ms = match limit.retry_after {
                Some(RetryAfter::Delay(delay)) => u64::try_from(delay.as_millis()).ok(),
                _ => None,
            };
            MatrixFault::Passing { reason, after_ms }
        }
        ErrorKind::UnknownToken(token) => MatrixFault::Session {
            reason,
            soft: token.soft_logout,
        },
        ErrorKind::MissingToken
        | ErrorKind::Unauthorized
        | ErrorKind::UserLocked
        | ErrorKind::UserDeactivated
        | ErrorKind::UserSuspended => MatrixFault::Session {
            reason,
            soft: false,
        },
        ErrorKind::ResourceLimitExceeded(_) | ErrorKind::UserLimitExceeded(_) => {
            MatrixFault::Passing {
                reason,
                after_ms: None,
            }
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            MatrixFault::Passing {
                reason,
                after_ms: None,
            }
        }
        // M_BAD_STATE on Synapse, M_FORBIDDEN elsewhere.
        _ if is_ban(&reason) => MatrixFault::Forbidden { reason },
        ErrorKind::Forbidden
        | ErrorKind::GuestAccessForbidden
        | ErrorKind::UnableToAuthorizeJoin
        | ErrorKind::UnableToGrantJoin => MatrixFault::Forbidden { reason },
        ErrorKind::TooLarge => MatrixFault::Lasting {
            reason,
            remedy: "shorten the notice: an event holds 64 KiB with both its forms",
        },
        ErrorKind::NotFound => MatrixFault::Lasting {
            reason,
            remedy: "look whether the room or the message still exists and is written right in the configuration",
        },
        ErrorKind::Unrecognized => MatrixFault::Lasting {
            reason,
            remedy: "look whether the homeserver's address is right",
        },
        _ => MatrixFault::Lasting {
            reason,
            remedy: "look at the room and the account in another client",
        },
    }
}

/// Returns whether the server knows no such thing.
pub(super) fn is_unknown(error: &matrix_sdk::Error) -> bool {
    matches!(error.client_api_error_kind(), Some(ErrorKind::NotFound))
}

/// The server's own words for a failure, or the SDK's.
pub(super) fn words(error: &matrix_sdk::Error) -> String {
    match fault(error) {
        MatrixFault::Session { reason, .. }
        | MatrixFault::Passing { reason, .. }
        | MatrixFault::Forbidden { reason }
        | MatrixFault::Lasting { reason, .. } => reason,
    }
}

fn passing(reason: &str) -> MatrixFault {
    MatrixFault::Passing {
        reason: reason.into(),
        after_ms: None,
    }
}

/// The cause below all the layers, which is the one that says something, and holds no address.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    plain(&cause.to_string())
}

/// A server's or library's words on one line and not too long.
pub(super) fn plain(words: &str) -> String {
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> MatrixFault {
        let body = match serde_json::from_str(body) {
            Ok(standard) => ErrorBody::Standard(standard),
            Err(_) => ErrorBody::Json(serde_json::Value::Null),
        };
        matrix(StatusCode::from_u16(status).unwrap(), &body)
    }

    #[test]
    fn a_ban_is_known_by_the_servers_words() {
        assert!(is_ban("You are banned from this room (M_FORBIDDEN)"));
        assert!(matches!(
            answer(
                403,
                r#"{"errcode":"M_BAD_STATE","error":"Cannot join user who was banned"}"#
            ),
            MatrixFault::Forbidden { .. }
        ));
        assert!(is_ban("@herald:example.org has been Banned (M_FORBIDDEN)"));
        assert!(!is_ban("You are not invited to this room. (M_FORBIDDEN)"));
    }

    #[test]
    fn each_answer_calls_for_its_own() {
        let limited = answer(
            429,
            r#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow down","retry_after_ms":1500}"#,
        );
        assert_eq!(
            limited,
            MatrixFault::Passing {
                reason: "slow down (M_LIMIT_EXCEEDED)".into(),
                after_ms: Some(1500)
            }
        );
        assert!(matches!(answer(502, "<html>"), MatrixFault::Passing { .. }));
        assert!(matches!(answer(404, "<html>"), MatrixFault::Passing { .. }));
        assert!(matches!(
            answer(500, r#"{"errcode":"M_UNKNOWN","error":"oops"}"#),
            MatrixFault::Passing { .. }
        ));
        assert!(matches!(
            answer(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#),
            MatrixFault::Forbidden { .. }
        ));
        assert!(matches!(
            answer(413, r#"{"errcode":"M_TOO_LARGE","error":"no"}"#),
            MatrixFault::Lasting { .. }
        ));
        let soft = answer(
            401,
            r#"{"errcode":"M_UNKNOWN_TOKEN","error":"expired","soft_logout":true}"#,
        );
        assert_eq!(
            soft,
            MatrixFault::Session {
                reason: "expired (M_UNKNOWN_TOKEN)".into(),
                soft: true
            }
        );
    }
}
