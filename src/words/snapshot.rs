//! The configuration in force, with its templates compiled.

use std::sync::Arc;

use super::Renderer;
use crate::config::{Config, Plan};

/// The files in force, with their templates compiled. A change replaces all of it at once.
#[derive(Debug)]
pub struct ConfigSnapshot {
    pub config: Config,
    pub renderer: Arc<Renderer>,
}

impl ConfigSnapshot {
    pub fn plan(&self) -> &Plan {
        &self.config.plan
    }
}
