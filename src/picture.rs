//! Pictures for posts (drawn elsewhere for now).

use crate::domain::post::Picture;

/// Block times around an upgrade, in seconds, oldest first.
pub struct BlockTimes {
    pub chain: String,
    pub version_before: u32,
    pub version_after: u32,
    pub before: Vec<f64>,
    pub after: Vec<f64>,
}

pub fn block_times(_data: &BlockTimes) -> Picture {
    Picture { name: String::new(), alt: String::new(), width: 0, height: 0, png: Vec::new() }
}
