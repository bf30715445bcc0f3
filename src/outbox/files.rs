//! The files in force.

use std::sync::Arc;

use tokio::sync::watch;

use crate::words::snapshot::ConfigSnapshot;

/// The cell that holds the files in force: read by everybody, replaced as a whole.
pub struct Files(watch::Sender<Arc<ConfigSnapshot>>);

impl Files {
    pub fn new(snapshot: ConfigSnapshot) -> Self {
        Self(watch::Sender::new(Arc::new(snapshot)))
    }

    pub fn in_force(&self) -> Arc<ConfigSnapshot> {
        self.0.borrow().clone()
    }

    /// Puts other files in force.
    pub fn replace(&self, snapshot: ConfigSnapshot) {
        self.0.send_replace(Arc::new(snapshot));
    }
}
