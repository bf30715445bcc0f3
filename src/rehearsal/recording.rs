//! A recording: blocks, storage, versions and metadata of an upgrade that was executed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The recording in the binary: a small runtime upgraded by authorize and apply.
const EMBEDDED: &str = include_str!("recording.json");

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
    /// What `Core_version` answers, SCALE in hex.
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
        Self::parse(EMBEDDED)
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let recording: Self = serde_json::from_str(text).map_err(|e| format!("this is not a recording: {e}"))?;
        if recording.blocks.len() < 2 {
            return Err("the recording has fewer than two blocks".to_owned());
        }
        if let Some(pair) = recording.blocks.windows(2).find(|w| matches!(w, [a, b] if b.number != a.number + 1)) {
            return Err(format!("the blocks around {} don't follow each other", pair.first().map_or(0, |b| b.number)));
        }
        if let Some(block) = recording.blocks.iter().find(|b| !recording.metadata.contains_key(&b.runtime_version.spec_version.to_string()))
        {
            return Err(format!(
                "block {} has spec_version {}, whose metadata is not in the recording",
                block.number, block.runtime_version.spec_version
            ));
        }
        Ok(recording)
    }

    /// The versions before and after.
    pub fn versions(&self) -> (u32, u32) {
        let of = |block: Option<&RecordedBlock>| block.map_or(0, |b| b.runtime_version.spec_version);
        (of(self.blocks.first()), of(self.blocks.last()))
    }
}
