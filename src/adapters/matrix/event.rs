//! The few fields we read of an event. Whatever has another shape is nobody's business here and is skipped.

use matrix_sdk::{
    deserialized_responses::TimelineEvent,
    ruma::{
        MilliSecondsSinceUnixEpoch, events::poll::unstable_start::UnstablePollStartContentBlock,
    },
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// The content field that carries a post's key.
pub(super) const KEY_FIELD: &str = "org.upgrade-herald.key";
pub(super) const MESSAGE_TYPE: &str = "m.room.message";
pub(super) const ENCRYPTED_TYPE: &str = "m.room.encrypted";

#[derive(Debug, Deserialize)]
pub(super) struct SyncEvent {
    #[serde(rename = "type")]
    pub kind: String,
    pub event_id: String,
    pub sender: String,
    /// By the sender's homeserver.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(default)]
    pub content: EventContent,
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct EventContent {
    pub msgtype: Option<String>,
    pub body: Option<String>,
    #[serde(rename = "org.upgrade-herald.key")]
    pub key: Option<String>,
    #[serde(rename = "m.relates_to", default)]
    pub relates_to: Relation,
    #[serde(rename = "org.matrix.msc3381.poll.start")]
    pub poll: Option<UnstablePollStartContentBlock>,
    #[serde(rename = "org.matrix.msc3381.poll.response", alias = "m.poll.response")]
    pub vote: Option<Vote>,
}

/// The answers that somebody chose.
#[derive(Debug, Deserialize)]
pub(super) struct Vote {
    pub answers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Relation {
    pub rel_type: Option<String>,
    pub event_id: Option<String>,
    /// An annotation's emoji.
    pub key: Option<String>,
    #[serde(rename = "m.in_reply_to")]
    pub in_reply_to: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Unsigned {
    /// Told by the server to the sending device only.
    transaction_id: Option<String>,
    redacted_because: Option<IgnoredAny>,
    /// The edits of an event that servers tell beside it.
    #[serde(rename = "m.relations")]
    relations: Option<Value>,
}

impl SyncEvent {
    /// The event as decrypted, if it could be; `None` when it lacks what an event must have.
    pub fn read(event: &TimelineEvent) -> Option<Self> {
        serde_json::from_str(event.raw().json().get()).ok()
    }

    /// Milliseconds since 1970.
    pub fn at_ms(&self) -> i64 {
        i64::from(self.origin_server_ts.0)
    }

    pub fn is_redacted(&self) -> bool {
        self.unsigned.redacted_because.is_some()
    }

    pub fn is_edit(&self) -> bool {
        self.content.relates_to.rel_type.as_deref() == Some("m.replace")
    }

    /// The message that it gives new words.
    pub fn edited(&self) -> Option<&str> {
        self.content
            .relates_to
            .event_id
            .as_deref()
            .filter(|_| self.is_edit())
    }

    /// The words of a message as they are now, its last edit counted in.
    pub fn words(&self) -> Option<&str> {
        let edit = self
            .unsigned
            .relations
            .as_ref()
            .and_then(|r| r.pointer("/m.replace/content/m.new_content/body"));
        edit.and_then(Value::as_str)
            .or(self.content.body.as_deref())
    }

    /// The root of the thread it is in.
    pub fn thread(&self) -> Option<&str> {
        let relation = &self.content.relates_to;
        relation
            .event_id
            .as_deref()
            .filter(|_| relation.rel_type.as_deref() == Some("m.thread"))
    }

    /// A message that can be read, neither redacted nor an edit of another.
    pub fn is_message(&self) -> bool {
        self.kind == MESSAGE_TYPE
            && self.content.msgtype.is_some()
            && !self.is_redacted()
            && !self.is_edit()
    }

    /// True if it is the post with this key, or the edit: each has its own. The transaction id tells it even of one we
    /// can't decrypt.
    pub fn is_post(&self, key: &str) -> bool {
        self.content.key.as_deref() == Some(key)
            || self.unsigned.transaction_id.as_deref() == Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content: &str, unsigned: &str) -> SyncEvent {
        serde_json::from_str(&format!(
            r#"{{"type":"m.room.message","event_id":"$e","sender":"@a:x","origin_server_ts":5,"content":{content},"unsigned":{unsigned}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_post_is_known_by_its_field_or_its_transaction() {
        let content = format!(r#"{{"msgtype":"m.text","{KEY_FIELD}":"k"}}"#);
        assert!(event(&content, "{}").is_post("k"));
        assert!(!event(&content, "{}").is_post("l"));
        assert!(event("{}", r#"{"transaction_id":"k"}"#).is_post("k"));
    }

    #[test]
    fn an_edit_has_a_key_of_its_own_and_names_its_original() {
        let edit = format!(
            r#"{{"{KEY_FIELD}":"k","m.new_content":{{"{KEY_FIELD}":"l"}},"m.relates_to":{{"rel_type":"m.replace","event_id":"$o"}}}}"#
        );
        let edit = event(&edit, "{}");
        assert!(edit.is_post("k") && !edit.is_post("l"));
        assert_eq!(edit.edited(), Some("$o"));
        assert_eq!(
            event(
                r#"{"m.relates_to":{"rel_type":"m.thread","event_id":"$o"}}"#,
                "{}"
            )
            .edited(),
            None
        );
    }

    #[test]
    fn redacted_ones_and_edits_are_no_messages() {
        assert!(event(r#"{"msgtype":"m.text"}"#, "{}").is_message());
        assert!(!event("{}", "{}").is_message());
        assert!(
            !event(
                r#"{"msgtype":"m.text"}"#,
                r#"{"redacted_because":{"type":"m.room.redaction"}}"#
            )
            .is_message()
        );
        assert!(
            !event(
                r#"{"msgtype":"m.text","m.relates_to":{"rel_type":"m.replace"}}"#,
                "{}"
            )
            .is_message()
        );
    }

    #[test]
    fn a_thread_is_told_from_a_plain_reply() {
        let of = |relation: &str| {
            event(&format!(r#"{{"m.relates_to":{relation}}}"#), "{}")
                .thread()
                .map(str::to_owned)
        };
        assert_eq!(
            of(r#"{"rel_type":"m.thread","event_id":"$r","m.in_reply_to":{"event_id":"$x"}}"#)
                .as_deref(),
            Some("$r")
        );
        assert_eq!(of(r#"{"m.in_reply_to":{"event_id":"$x"}}"#), None);
    }
}
