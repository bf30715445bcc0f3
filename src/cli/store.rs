//! `herald store export FILE`, `herald store import FILE`

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::open::{existing_store, load};
use crate::{
    adapters::store::{Lock, SqlStore},
    config::Deployment,
    run::address,
};

/// Move a store to another database: export it, name the other in store.url, import it
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Write everything that is remembered into a file, or to stdout as -, while no herald runs on it
    Export { file: PathBuf },
    /// Take over what was exported into an empty store, whole or not at all; - reads stdin
    Import { file: PathBuf },
}

pub async fn run(folder: Option<PathBuf>, command: StoreCommand) -> Result<ExitCode> {
    let deployment = &load(folder)?.config.deployment;
    match command {
        StoreCommand::Export { file } => export(deployment, &file).await?,
        StoreCommand::Import { file } => import(deployment, &file).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody may run on it meanwhile: the file's lock says so for SQLite, the store itself for PostgreSQL.
fn lock(deployment: &Deployment) -> Result<Option<Lock>> {
    let address = address(&deployment.store)?;
    let own = !deployment.store.shared() && !address.expose_secret().contains(":memory:");
    own.then(|| Lock::take(address.expose_secret()))
        .transpose()
        .map_err(|e| anyhow!("{e}"))
}

async fn export(deployment: &Deployment, file: &Path) -> Result<()> {
    let _lock = lock(deployment)?;
    let store = existing_store(deployment).await?;
    let rows = if is_stream(file) {
        store
            .export(&mut io::stdout().lock())
            .await
            .map_err(|e| anyhow!("{e}"))?
    } else {
        if file.exists() {
            bail!("{} is there already; name another file", file.display());
        }
        // Whole or not at all: a name that is there is a file that is complete.
        let folder = file
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let cannot = || format!("{} can't be written", file.display());
        let beside = folder.join(format!(
            ".{}.part",
            file.file_name().context("a file's name")?.to_string_lossy()
        ));
        let mut out = BufWriter::new(File::create(&beside).with_context(cannot)?);
        let rows = store.export(&mut out).await.map_err(|e| anyhow!("{e}"));
        let rows = rows.and_then(|rows| {
            out.flush()
                .and_then(|()| out.get_ref().sync_all())
                .and_then(|()| std::fs::rename(&beside, file))
                .with_context(cannot)?;
            Ok(rows)
        });
        rows.inspect_err(|_| drop(std::fs::remove_file(&beside)))?
    };
    eprintln!(
        "{rows} rows written; import them before any herald runs on this store again, or what it posts is posted twice"
    );
    Ok(())
}

async fn import(deployment: &Deployment, file: &Path) -> Result<()> {
    let _lock = lock(deployment)?;
    let store = SqlStore::open(address(&deployment.store)?.expose_secret())
        .await
        .map_err(|e| anyhow!("{e}"))?;
    let rows = if is_stream(file) {
        store.import(io::stdin().lock()).await
    } else {
        let opened =
            File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
        store.import(BufReader::new(opened)).await
    };
    let rows = rows.map_err(|e| anyhow!("{}: {e}; nothing was imported", file.display()))?;
    eprintln!("{rows} rows imported; `herald run` goes on from there");
    Ok(())
}

fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}
