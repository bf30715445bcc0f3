//! The command line of `herald`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use upgrade_herald::cli;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("herald: {error:#}");
            ExitCode::from(1)
        }
    }
}
