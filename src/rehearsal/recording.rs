//! A recording: blocks, storage, versions and metadata of an upgrade that was executed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use subxt::ext::codec::{Compact, Decode, Encode};

use crate::domain::hex;

/// The recording in the binary: a small runtime upgraded by authorize and apply.
const EMBEDDED_RECORDING: &str = include_str!("recording.json");

#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    pub chain: String,
    pub keys: BTreeMap<String, String>,
    pub blocks: Vec<RecordedBlock>,
    /// By `spec_version`.
    pub metadata: BTreeMap<String, RecordedMetadata>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedBlock {
    pub number: u64,
    pub hash: String,
    pub header: Value,
    /// The answer of `Core_version`, SCALE in hex.
    pub core_version: String,
    pub runtime_version: RuntimeVersion,
    /// Storage key to value, both in hex.
    pub storage: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeVersion {
    pub spec_version: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RecordedMetadata {
    pub versions: Option<String>,
    /// The answer of `Metadata_metadata_at_version`, by its argument.
    #[serde(default)]
    pub at: BTreeMap<String, String>,
    pub plain: Option<String>,
}

impl Recording {
    pub fn embedded() -> Result<Self, String> {
        Self::parse(EMBEDDED_RECORDING)
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let recording: Self =
            serde_json::from_str(text).map_err(|e| format!("this is not a recording: {e}"))?;
        if recording.blocks.len() < 2 {
            return Err("the recording has fewer than two blocks".to_owned());
        }
        if let Some(pair) = recording
            .blocks
            .windows(2)
            .find(|w| matches!(w, [a, b] if b.number != a.number + 1))
        {
            return Err(format!(
                "the blocks around {} don't follow each other",
                pair.first().map_or(0, |b| b.number)
            ));
        }
        if let Some(block) = recording.blocks.iter().find(|b| {
            !recording
                .metadata
                .contains_key(&b.runtime_version.spec_version.to_string())
        }) {
            return Err(format!(
                "block {} has spec_version {}, whose metadata is not in the recording",
                block.number, block.runtime_version.spec_version
            ));
        }
        Ok(recording)
    }

    /// Renumbers the versions of the same blocks: the one at the end becomes `after`, the one at the
    /// beginning the number below it. For rehearsing an upgrade that nobody has recorded yet.
    pub fn renumbered(mut self, after: u32) -> Self {
        let (first, last) = self.versions();
        let number = |version: u32| match version {
            v if v == last => after,
            v if v == first => after.saturating_sub(1),
            v => v,
        };
        for block in &mut self.blocks {
            let version = number(block.runtime_version.spec_version);
            block.core_version = with_spec_version(&block.core_version, version)
                .unwrap_or_else(|| block.core_version.clone());
            block.runtime_version.spec_version = version;
            if let Some(value) = self
                .keys
                .get("lastRuntimeUpgrade")
                .and_then(|key| block.storage.get_mut(key))
            {
                *value = with_last_upgrade(value, number).unwrap_or_else(|| value.clone());
            }
        }
        let metadata = std::mem::take(&mut self.metadata);
        self.metadata = metadata
            .into_iter()
            .map(|(v, m)| (v.parse().map_or(v, |v: u32| number(v).to_string()), m))
            .collect();
        self
    }

    /// The versions before and after.
    pub fn versions(&self) -> (u32, u32) {
        let of =
            |block: Option<&RecordedBlock>| block.map_or(0, |b| b.runtime_version.spec_version);
        (of(self.blocks.first()), of(self.blocks.last()))
    }
}

/// `Core_version`: two names, the authoring version, then the number.
fn with_spec_version(value: &str, version: u32) -> Option<String> {
    let mut bytes = hex::decode(value)?;
    let mut rest = &bytes[..];
    String::decode(&mut rest).ok()?;
    String::decode(&mut rest).ok()?;
    u32::decode(&mut rest).ok()?;
    let at = bytes.len() - rest.len();
    bytes
        .get_mut(at..at + 4)?
        .copy_from_slice(&version.to_le_bytes());
    Some(hex::encode(&bytes))
}

/// `System.LastRuntimeUpgrade`: the number, compact, and a name.
fn with_last_upgrade(value: &str, number: impl Fn(u32) -> u32) -> Option<String> {
    let bytes = hex::decode(value)?;
    let mut rest = &bytes[..];
    let version = Compact::<u32>::decode(&mut rest).ok()?.0;
    let mut changed = Compact(number(version)).encode();
    changed.extend_from_slice(rest);
    Some(hex::encode(&changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unrecorded_upgrade_plays_under_its_own_numbers() {
        let recording = Recording::embedded().unwrap().renumbered(2_003_001);
        assert_eq!(recording.versions(), (2_003_000, 2_003_001));
        assert!(
            recording.metadata.contains_key("2003000")
                && recording.metadata.contains_key("2003001")
        );
        let last = recording.blocks.last().unwrap();
        let proof = hex::decode(&last.storage[&recording.keys["lastRuntimeUpgrade"]]).unwrap();
        assert_eq!(
            Compact::<u32>::decode(&mut &proof[..]).unwrap().0,
            2_003_001
        );
    }
}
