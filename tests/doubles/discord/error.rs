//! Discord's error answers: an HTTP status, a numeric code, a sentence, and for a malformed form
//! the place of each mistake.

use serde_json::{Value, json};

/// An answer that refuses a request.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: u16,
    pub code: u32,
    pub message: String,
    pub errors: Option<Value>,
    /// Whether a bot that keeps the rules could never have been told this. A message that somebody
    /// deleted is bad luck; one of 2,001 characters is the bot's fault.
    pub fault_of_bot: bool,
}

impl ApiError {
    fn new(status: u16, code: u32, message: &str) -> Self {
        ApiError {
            status,
            code,
            message: message.to_owned(),
            errors: None,
            fault_of_bot: false,
        }
    }

    /// Marks the request as one that breaks a rule.
    pub(super) fn blame(mut self) -> Self {
        self.fault_of_bot = true;
        self
    }

    pub(super) fn body(&self) -> Value {
        let mut body = json!({"message": self.message, "code": self.code});
        if let Some(errors) = &self.errors {
            body["errors"] = errors.clone();
        }
        body
    }
}

macro_rules! errors {
    ($($name:ident = $status:literal, $code:literal, $message:literal;)*) => {
        $(pub(super) fn $name() -> ApiError { ApiError::new($status, $code, $message) })*
    };
}

errors! {
    unauthorized = 401, 0, "401: Unauthorized";
    not_found = 404, 0, "404: Not Found";
    method_not_allowed = 405, 0, "405: Method Not Allowed";
    unknown_channel = 404, 10003, "Unknown Channel";
    unknown_guild = 404, 10004, "Unknown Guild";
    unknown_member = 404, 10007, "Unknown Member";
    unknown_message = 404, 10008, "Unknown Message";
    unknown_user = 404, 10013, "Unknown User";
    unknown_emoji = 400, 10014, "Unknown Emoji";
    unknown_webhook = 404, 10015, "Unknown Webhook";
    unknown_interaction = 404, 10062, "Unknown interaction";
    unknown_command = 404, 10063, "Unknown application command";
    unknown_event = 404, 10070, "Unknown Guild Scheduled Event";
    too_many_pins = 400, 30003, "Maximum number of pins reached for the channel (250)";
    too_many_reactions = 400, 30010, "Maximum number of reactions reached (20)";
    too_large = 413, 40005, "Request entity too large";
    already_crossposted = 400, 40033, "This message has already been crossposted.";
    already_acknowledged = 400, 40060, "Interaction has already been acknowledged.";
    missing_access = 403, 50001, "Missing Access";
    not_the_author = 403, 50005, "Cannot edit a message authored by another user";
    cannot_send_here = 400, 50008, "Cannot send messages in a non-text channel";
    wrong_message_type = 400, 50068, "Invalid message type";
    empty_message = 400, 50006, "Cannot send an empty message";
    missing_permissions = 403, 50013, "Missing Permissions";
    system_message = 403, 50021, "Cannot execute action on a system message";
    wrong_channel_type = 400, 50024, "Cannot execute action on this channel type";
    thread_archived = 400, 50083, "Thread is archived";
    invalid_json = 400, 50109, "The request body contains invalid JSON.";
    no_history_to_reply = 400, 160_002, "Cannot reply without permission to read message history";
    thread_exists = 400, 160_004, "A thread has already been created for this message";
    not_in_double = 501, 0, "501: the double does not have this operation";
}

/// One mistake in a form: the path to it (`embeds`, `0`, `title`), a code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub path: Vec<String>,
    pub code: String,
    pub message: String,
}

impl Mistake {
    pub(super) fn new(path: &str, code: &str, message: impl Into<String>) -> Self {
        Mistake {
            path: path
                .split('.')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

/// 50035 with its `errors` object: each level a key, the sentences under `_errors`.
pub(super) fn invalid_form(mistakes: &[Mistake]) -> ApiError {
    let mut errors = json!({});
    for mistake in mistakes {
        let mut at = &mut errors;
        for key in &mistake.path {
            at = &mut at[key.as_str()];
        }
        let one = json!({"code": mistake.code, "message": mistake.message});
        match at["_errors"].as_array_mut() {
            Some(list) => list.push(one),
            None => at["_errors"] = json!([one]),
        }
    }
    let mut error = ApiError::new(400, 50035, "Invalid Form Body").blame();
    error.errors = Some(errors);
    error
}

/// 50035 for a single mistake.
pub(super) fn invalid(path: &str, code: &str, message: &str) -> ApiError {
    invalid_form(&[Mistake::new(path, code, message)])
}
