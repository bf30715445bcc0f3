//! The key of a post: it makes one message of however many attempts.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Operation;

/// 24 hex digits, short enough for a Discord nonce (25). One key belongs to one content for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PostKey(pub String);

/// The parts that tell a post from every other.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    pub upgrade: &'a str,
    pub revision: u32,
    pub notice: &'a str,
    pub occurrence: &'a str,
    pub channel: &'a str,
    pub operation: Operation,
    pub edition: u32,
}

impl PostKey {
    pub fn of(parts: KeyParts<'_>) -> Self {
        Self(digest(&[
            parts.upgrade,
            &parts.revision.to_string(),
            parts.notice,
            parts.occurrence,
            parts.channel,
            parts.operation.name(),
            &parts.edition.to_string(),
        ]))
    }
}

impl std::fmt::Display for PostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// 24 hex digits that stand for these texts, in this order.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut digits = ::hex::encode(hash.finalize());
    digits.truncate(24);
    digits
}

/// Tells apart the things that people say of an upgrade: after a change of the window, the same words are another occurrence.
pub fn occurrence_of(revision: u32, detail: Option<&str>) -> String {
    digest(&[&revision.to_string(), detail.unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_in_each_part_and_fit_a_nonce() {
        let edition = |upgrade, revision, notice, occurrence, channel, operation, edition| {
            PostKey::of(KeyParts {
                upgrade,
                revision,
                notice,
                occurrence,
                channel,
                operation,
                edition,
            })
        };
        let key = |u, r, n, o, c, op| edition(u, r, n, o, c, op, 0);
        let one = key("u", 1, "n", "1", "c", Operation::Post);
        assert_eq!(one.0.len(), 24);
        assert_eq!(one, key("u", 1, "n", "1", "c", Operation::Post));
        let others = [
            key("v", 1, "n", "1", "c", Operation::Post),
            key("u", 2, "n", "1", "c", Operation::Post),
            key("u", 1, "m", "1", "c", Operation::Post),
            key("u", 1, "n", "2", "c", Operation::Post),
            key("u", 1, "n", "1", "d", Operation::Post),
            key("u", 1, "n", "1", "c", Operation::Thread),
            key("u1", 1, "n", "1", "c", Operation::Post),
            key("un", 1, "", "1", "c", Operation::Post),
            edition("u", 1, "n", "1", "c", Operation::Edit, 1),
            edition("u", 1, "n", "1", "c", Operation::Edit, 2),
        ];
        for other in others {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_key_is_written_as_it_is_and_words_said_after_a_change_are_another_occurrence() {
        assert_eq!(PostKey("abc".into()).to_string(), "abc");
        let said = [
            occurrence_of(1, Some("go")),
            occurrence_of(2, Some("go")),
            occurrence_of(1, None),
        ];
        assert_eq!(said[0], digest(&["1", "go"]));
        assert!(said[0] != said[1] && said[0] != said[2] && said[0].len() == 24);
    }
}
