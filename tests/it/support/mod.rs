//! The real world for tests: a homeserver, a chain, people, and the bot's own binary as a process.
//!
//! Everything here is a process of its own on loopback, started for the test that asks and gone with it, however the test ends
//! ([`leash`]). Where the servers are installed `tests/run` says; a test without them fails with the command that installs them.
//!
//! Included by the integration tests and, with `#[path]`, by benchmarks: so nothing here may say `crate::`.
#![allow(
    dead_code,
    unused_imports,
    reason = "each that includes this uses a part of it"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait on real processes, so they read the real clock and environment"
)]

pub mod devnet;
pub mod forwarder;
pub mod herald;
pub mod leash;
pub mod postgres;
pub mod sealed;
pub mod synapse;
pub mod wait;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

pub use devnet::{Devnet, DevnetOptions};
pub use forwarder::Forwarder;
pub use herald::Herald;
pub use postgres::Postgres;
pub use sealed::Sealed;
pub use synapse::{Person, Synapse};

/// The repository, whoever includes this.
pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Ports of the loopback interface.
pub mod ports {
    /// One that nobody listens on now. Another process may take it before you do: a server that can choose its own is safer.
    pub fn free() -> std::io::Result<u16> {
        Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port())
    }
}

/// Says that the running test can't be run here; `tests/run` counts it as skipped. Return from the test after it.
pub fn skip(reason: &str) {
    // straight to the stream: what goes through eprintln! is kept from the eye when a test passes
    std::io::stderr()
        .write_all(format!("\nSKIPPED: {reason}\n").as_bytes())
        .ok();
}

/// A folder that `tests/run --setup` makes, by the variable that names it.
pub fn installed(variable: &str) -> anyhow::Result<PathBuf> {
    let dir = match std::env::var_os(variable) {
        Some(dir) => PathBuf::from(dir),
        None => from_tests_run(variable)?,
    };
    if !dir.is_dir() {
        bail!("what {variable} names is not installed: run tests/run --setup");
    }
    Ok(dir)
}

/// The place `tests/run` itself would use: it alone knows the rule.
fn from_tests_run(variable: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("bash")
        .arg("tests/run")
        .arg("--env")
        .current_dir(repo())
        .output()
        .context("tests/run --env")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))
        .map(PathBuf::from)
        .with_context(|| {
            format!(
                "{variable} is not set and tests/run --env does not tell: run tests/run --setup"
            )
        })
}

/// Adds the end of a process's output to what went wrong with it.
fn with_tail<T>(result: anyhow::Result<T>, output: &Path) -> anyhow::Result<T> {
    result.map_err(|error| anyhow::anyhow!("{error:#}; its output ends:\n{}", tail(output, 30)))
}

/// The last lines of a file, for messages; empty if it can't be read.
fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .map(|line| format!("  | {line}\n"))
        .collect()
}
