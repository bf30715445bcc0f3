//! A real PostgreSQL server, and databases in it.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::anyhow;
use sqlx::{AnyConnection, Connection, Executor};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{installed, leash::Leash, ports, repo, wait, with_tail};

const READY: Duration = Duration::from_secs(60);

/// A server on a free port of the loopback interface.
pub struct Postgres {
    dir: PathBuf,
    /// None for the shared one, whose folder its leash removes: statics are never dropped.
    owned: Option<TempDir>,
    port: u16,
    process: Option<Leash>,
}

impl Postgres {
    /// Starts one for this test alone: to stop it, or to be alone on it. Takes about two seconds.
    pub async fn start() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("postgres-")?;
        Self::start_in(dir.path().into(), Some(dir)).await
    }

    /// The one server of this test process, started when first asked for. Others use it too: make your own database.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || {
                Self::start_in(TempDir::with_prefix("postgres-")?.keep(), None).await
            })
            .await
    }

    async fn start_in(dir: PathBuf, owned: Option<TempDir>) -> anyhow::Result<Self> {
        let mut postgres = Self {
            dir,
            owned,
            port: ports::free()?,
            process: None,
        };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// Another server with what this one has had until now. It only reads, as what a failover has left behind; this one goes
    /// on.
    pub async fn standby(&mut self) -> anyhow::Result<Self> {
        self.stop();
        let dir = TempDir::with_prefix("postgres-")?;
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.dir.join("data"), dir.path().join("data")])
            .status()?;
        anyhow::ensure!(copied.success(), "cp");
        let _ = std::fs::remove_file(dir.path().join("data/postmaster.pid"));
        std::fs::write(dir.path().join("data/standby.signal"), "")?;
        self.start_again().await?;
        Self::start_in(dir.path().into(), Some(dir)).await
    }

    /// Kills it, as a crash would.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// The same server again: same address and databases.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.stop();
        let mut command = Command::new(repo().join("tests/postgres/up.sh"));
        command.arg(&self.dir).arg(self.port.to_string());
        command.env("HERALD_TEST_POSTGRES", installed("HERALD_TEST_POSTGRES")?);
        let (stdout, stderr) = (self.dir.join("stdout.log"), self.dir.join("stderr.log"));
        let remove = if self.owned.is_some() {
            None
        } else {
            Some(self.dir.as_path())
        };
        let mut process = Leash::start(&command, &stdout, &stderr, remove)?;
        sqlx::any::install_default_drivers();
        let url = self.url("postgres");
        let ready = wait::until("PostgreSQL to be up", READY, async || {
            if let Some(code) = process.exit_code() {
                return Some(Err(anyhow!("PostgreSQL ended with code {code}")));
            }
            AnyConnection::connect(&url).await.is_ok().then_some(Ok(()))
        });
        with_tail(ready.await.and_then(|ready| ready), &stderr)?;
        self.process = Some(process);
        Ok(())
    }

    /// The server hangs: connections stand, nothing is answered. Until [`thaw`](Self::thaw).
    pub fn freeze(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal("STOP");
        }
    }

    pub fn thaw(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal("CONT");
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://herald@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// A new, empty database; gives its address.
    pub async fn database(&self) -> anyhow::Result<String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("herald_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut connection = AnyConnection::connect(&self.url("postgres")).await?;
        connection
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await?;
        Ok(self.url(&name))
    }
}
