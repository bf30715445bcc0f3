//! Prints log lines and findings on stderr.

use std::{io::IsTerminal, process::ExitCode};

use crate::config::{Finding, in_order};

/// Prints findings for a person on stderr; for a failed load, with the exit code.
pub fn refuse(findings: &[Finding]) -> ExitCode {
    for finding in in_order(findings.to_vec()) {
        eprintln!("{finding}");
    }
    ExitCode::from(1)
}

/// Logs go to stderr; `RUST_LOG` chooses what is said.
pub fn log(default: &str) {
    let mut filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    // Some of these print whole requests, with what is secret in them, at the levels a debugging operator would ask for.
    for quiet in [
        "serenity=error",
        "tungstenite=info",
        "matrix_sdk=off",
        "matrix_sdk_base=error",
        "matrix_sdk_crypto=error",
        "hyper=info",
        "reqwest=info",
        // It repeats each failed try of a connection; the reason is logged once by whoever watches the store.
        "sqlx_core::pool=off",
    ] {
        if let Ok(directive) = quiet.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would be told on stderr, which is what can't be written to: that panics.
        .log_internal_errors(false)
        .try_init();
}
