//! One file a command.

/// Prints a result. A closed pipe (`herald plan | head`) is the reader's choice, not a fault.
macro_rules! out {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

pub mod approve;
pub mod args;
pub mod change;
pub mod check;
pub mod doctor;
pub mod facts;
pub mod health;
pub mod new;
pub mod plan;
pub mod plan_window;
pub mod preview;
pub mod recovery;
pub mod rehearse;
pub mod report;
pub mod roster;
pub mod schema;
pub mod status;
pub mod store;

use crate::run::address;
use anyhow::{Result, bail};
use secrecy::ExposeSecret;

use crate::{adapters::store::SqlStore, config::Deployment};

/// The store of a herald that runs, or ran.
pub(crate) async fn existing_store(deployment: &Deployment) -> Result<SqlStore> {
    match SqlStore::open_existing(address(&deployment.store)?.expose_secret()).await {
        Ok(store) => Ok(store),
        Err(error) => bail!("{error}; `herald run` makes it at its first start"),
    }
}
