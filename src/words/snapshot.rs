//! The configuration in force, with its templates compiled.

use std::sync::Arc;

use super::Renderer;
use crate::config::{Config, Plan};

/// The files as they are in force, with their templates compiled: replaced as a whole when they change.
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
