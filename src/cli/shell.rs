//! `herald completions` and `herald man`: what a package puts beside the binary.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Print a script that completes herald's commands and options in a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Print the manual page of herald, or write one for each command
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for a page of each command
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "herald", &mut script);
    print(&script)
}

pub fn man(args: ManArgs) -> Result<ExitCode> {
    let Some(folder) = args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return print(&page);
    };
    fs::create_dir_all(&folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
        .with_context(|| format!("{} can't be written", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &[u8]) -> Result<ExitCode> {
    super::note_unwritten(stdout().write_all(text));
    Ok(ExitCode::SUCCESS)
}
