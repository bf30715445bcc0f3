//! `herald schema`

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::config;

/// Write the JSON Schema of every file, for editors
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// One file each in this folder, instead of all to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: SchemaArgs) -> Result<ExitCode> {
    let schemas = config::schemas();
    let Some(folder) = args.out else {
        out!("{}", serde_json::to_string_pretty(&schemas)?);
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    for (name, schema) in &schemas {
        let path = folder.join(format!("{name}.schema.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
        fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))?;
        out!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
