//! `herald health`: says whether the herald that writes a health file is alive and well.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::run::health_file;

pub fn run(file: Option<&Path>, ready: bool) -> Result<ExitCode> {
    let (words, well) = health_file::read(file, ready)?;
    out!("{words}");
    Ok(ExitCode::from(u8::from(!well)))
}
