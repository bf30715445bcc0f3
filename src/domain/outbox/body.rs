//! The content of a post, for every platform the same shape.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The content that a chat is given. It is rendered once, then frozen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Discord's Markdown, or Matrix's plain body.
    pub text: String,
    /// Matrix's `formatted_body`.
    pub html: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// The accounts that a new message notifies, as the platform names them: a role's id on Discord, a user's with an @
    /// before it; `@room` or a user's id on Matrix. The text names them already. An edit keeps them and notifies nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// Buttons below the message, where a platform has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// The small print below a post, where a platform has a place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// The entry in the calendar, where the platform has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<CalendarEvent>,
    /// The vote, where the platform has votes of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballot: Option<Ballot>,
}

/// A question with what can be chosen, as many of it as one likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    pub question: String,
    /// Each with the reaction that means the same.
    pub choices: Vec<(String, String)>,
}

/// The state of an upgrade in a few lines, below a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub text: String,
    /// Red, green and blue.
    pub colour: u32,
}

/// An upgrade's window in a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarEvent {
    pub name: String,
    pub about: String,
    /// The place where people find more.
    pub place: String,
    pub opens: Timestamp,
    pub closes: Timestamp,
    pub stage: CalendarEventStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarEventStage {
    /// The window is to come.
    Scheduled,
    Active,
    Completed,
    Cancelled,
}

/// A command that is given by a press.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub label: String,
    /// As people would write it: `ack upgrade=v2.3.1`.
    pub line: String,
}

/// A picture, with the words for who can't see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `block-times.png`
    pub name: String,
    pub alt: String,
    pub width: u32,
    pub height: u32,
    #[serde(with = "in_hex")]
    pub png: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("name", &self.name)
            .field("alt", &self.alt)
            .field("bytes", &self.png.len())
            .finish()
    }
}

mod in_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::hex;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not hex"))
    }
}

/// Shortens a text to `max` characters; the last of them is an ellipsis if there were more.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars()
        .take(max.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("éééééé", 5), "éééé…");
    }

    #[test]
    fn a_picture_is_stored_in_hex_and_shown_by_its_size() {
        let picture = Picture {
            name: "block-times.png".into(),
            alt: "Block times".into(),
            width: 2,
            height: 1,
            png: vec![0, 171],
        };
        let stored =
            r#"{"name":"block-times.png","alt":"Block times","width":2,"height":1,"png":"0x00ab"}"#;
        assert_eq!(serde_json::to_string(&picture).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Picture>(stored).unwrap(), picture);
        let broken = stored.replace("0x00ab", "0x0");
        let error = serde_json::from_str::<Picture>(&broken).unwrap_err();
        assert!(error.to_string().starts_with("not hex"), "{error}");
        assert_eq!(
            format!("{picture:?}"),
            r#"Picture { name: "block-times.png", alt: "Block times", bytes: 2 }"#
        );
    }
}
