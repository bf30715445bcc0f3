//! The command line of `herald`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = upgrade_herald::cli::args::Cli::parse();
    match upgrade_herald::cli::args::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("herald: {error:#}");
            ExitCode::from(1)
        }
    }
}
