//! This binary, started again as a process that may be killed: herald's real store, services and chats, and nothing around
//! them that takes time to start. What it is to do stands in a variable.

use std::{path::Path, process::Command};

use anyhow::Result;
use serde_json::Value;

use crate::support::leash::Leash;

const ORDERS: &str = "HERALD_TEST_WORKER";

/// What this process is to do, if it was started as a worker.
#[allow(clippy::disallowed_methods)]
pub fn orders() -> Option<Value> {
    let text = std::env::var(ORDERS).ok()?;
    Some(serde_json::from_str(&text).expect("orders in JSON"))
}

/// A process that runs `test`, which looks for its orders first. Its output is in `dir`, in files of this name.
pub fn start(test: &str, orders: &Value, dir: &Path, name: &str) -> Result<Leash> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--exact", test, "--nocapture"])
        .env(ORDERS, orders.to_string());
    Leash::start(
        &command,
        &dir.join(format!("{name}.out")),
        &dir.join(format!("{name}.err")),
        None,
    )
}
