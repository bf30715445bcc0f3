//! Opening a store by its address: which database, how it is connected to, and its schema brought up to date.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection, Executor, Transaction,
    any::{AnyPoolOptions, install_default_drivers},
    error::DatabaseError,
    query_scalar,
};

use super::migrate::{migrate, refuse_other};
use crate::ports::StoreError;

/// SQLite's result code for a file that is something else.
const SQLITE_NOT_A_DATABASE: &str = "26";
/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pool's figure for a connection's age may be out of date by this much when it is compared.
const AGE_SLACK: Duration = Duration::from_secs(5);

/// The database behind a store. The two differ in the words that are here; all other SQL is one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// By the scheme of an address.
    pub fn of(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    /// The statement that begins a transaction which will write. SQLite's takes the one writer's place at once, so that it
    /// never fails halfway.
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN READ WRITE",
        }
    }

    /// The database's own time in milliseconds since 1970: the one clock that all replicas have in common.
    pub fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// The settings of each new connection.
    fn settings(self) -> &'static [&'static str] {
        match self {
            // Every commit is on the disk before it counts.
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
            ],
            // A replica that hangs in a transaction must not keep the others from taking over.
            Self::Postgres => &[
                "SET statement_timeout = '5s'",
                "SET lock_timeout = '5s'",
                "SET idle_in_transaction_session_timeout = '5s'",
                // Kept from a failover, it would outlast it.
                "SET default_transaction_read_only = off",
            ],
        }
    }
}

/// A pool with its dialect.
#[derive(Clone)]
pub struct Database {
    pub pool: AnyPool,
    pub dialect: Dialect,
    /// It may hold a password.
    address: String,
    discarded: Discarded,
    /// SQLite's file, unless the store is in memory.
    file: Option<OpenFile>,
}

/// The file that was opened, and its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenFile {
    path: PathBuf,
    id: (u64, u64),
}

impl OpenFile {
    fn of(address: &str) -> Option<Self> {
        let path = file_of(address).to_owned();
        let id = identity(&path)?;
        Some(Self { path, id })
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Elsewhere a file that is open can't be removed.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.exists().then_some((0, 0))
}

/// The path in an address of SQLite's.
pub fn file_of(address: &str) -> &Path {
    let file = address.strip_prefix("sqlite:").unwrap_or(address);
    let file = file.strip_prefix("//").unwrap_or(file).split('?').next();
    Path::new(file.unwrap_or_default())
}

/// Refuses the database of another program, which is looked at and left as it is.
async fn refuse_others_file(address: &str, create: bool) -> Result<(), StoreError> {
    let file = file_of(address);
    let has_content = std::fs::metadata(file).is_ok_and(|about| about.is_file() && about.len() > 0);
    if address.contains(":memory:") || !has_content {
        return Ok(());
    }
    let look = async {
        let mut connection =
            AnyConnection::connect(&format!("sqlite://{}?mode=ro", file.display())).await?;
        let tables: Vec<String> =
            query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
                .fetch_all(&mut connection)
                .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(tables)
    };
    // What can't be looked at says why when it is opened.
    let Ok(tables) = look.await else {
        return Ok(());
    };
    let is_own = tables.iter().any(|table| table == "schema_steps");
    match tables.first() {
        Some(table) if !is_own => Err(StoreError::Refused(format!(
            "{address} is another program's database: it has a table `{table}` and none of herald's; name another file"
        ))),
        None if !create => Err(StoreError::Refused(format!(
            "no herald has used {address} yet"
        ))),
        _ => Ok(()),
    }
}

/// The connections that are not used again: those made before this instant, and those that can't be told apart from them.
type Discarded = Arc<Mutex<Option<Instant>>>;

impl Database {
    /// `create`: makes the file, or in a database that is there the tables, if they are missing.
    pub async fn open(url: &str, create: bool) -> Result<Self, StoreError> {
        install_default_drivers();
        let shown = shown(url);
        let dialect = Dialect::of(url).ok_or_else(|| {
            StoreError::Refused(format!(
                "`{shown}` is not a store herald knows; write sqlite://… or postgres://…"
            ))
        })?;
        let mut address = url.to_owned();
        if dialect == Dialect::Sqlite && create && !url.contains(":memory:") {
            address.push(if url.contains('?') { '&' } else { '?' });
            address.push_str("mode=rwc");
        }
        if dialect == Dialect::Sqlite {
            refuse_others_file(&shown, create).await?;
        }
        let discarded = Discarded::default();
        let pool = match options(dialect, discarded.clone()).connect(&address).await {
            Ok(pool) => pool,
            Err(error) => {
                let error = cause(dialect, &address, error).await;
                return Err(unopened(dialect, &shown, &error, create));
            }
        };
        let database = Self {
            file: OpenFile::of(&shown).filter(|_| dialect == Dialect::Sqlite),
            pool,
            dialect,
            address,
            discarded,
        };
        if create || dialect == Dialect::Sqlite {
            migrate(&database).await?;
        } else {
            refuse_other(&database).await?;
        }
        Ok(database)
    }

    /// Tells of a file that was removed or replaced under an open store: what is written to it then is lost.
    pub fn check_file(&self) -> Result<(), StoreError> {
        let Some(OpenFile { path, id }) = &self.file else {
            return Ok(());
        };
        if identity(path) == Some(*id) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was removed or replaced while herald runs; stop herald, put the same file back, and start it",
            path.display()
        )))
    }

    /// Begins a transaction that will write.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begun = self.pool.begin_with(self.dialect.begin()).await;
        if begun.is_err() && self.dialect == Dialect::Postgres {
            // The server behind these connections may be the one that was failed over from, which writes no more.
            *self.discarded.lock() = Some(Instant::now());
        }
        match begun {
            Ok(tx) => Ok(tx),
            Err(error) => Err(cause(self.dialect, &self.address, error).await.into()),
        }
    }
}

/// Returns why no connection could be made, where the pool only says that none came in time: it tries until then, and keeps
/// the reason to itself.
async fn cause(dialect: Dialect, address: &str, error: sqlx::Error) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) || address.contains(":memory:") {
        return error;
    }
    let connect = async {
        let mut connection = AnyConnection::connect(address).await?;
        apply_settings(dialect, &mut connection).await?;
        connection.close().await
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(Err(reason)) => reason,
        // All connections are in use.
        _ => error,
    }
}

async fn apply_settings(
    dialect: Dialect,
    connection: &mut AnyConnection,
) -> Result<(), sqlx::Error> {
    for setting in dialect.settings() {
        connection.execute(*setting).await?;
    }
    Ok(())
}

/// Tells whether a connection is to be used again. One whose rollback failed is in its transaction for good.
async fn is_fit(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback that is under way comes before the answer.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn options(dialect: Dialect, discarded: Discarded) -> AnyPoolOptions {
    let options = match dialect {
        // SQLite has one writer anyway, and a store in memory lives in its connection.
        Dialect::Sqlite => AnyPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None),
        Dialect::Postgres => AnyPoolOptions::new().max_connections(5),
    };
    options
        .acquire_timeout(CONNECT_TIMEOUT)
        .before_acquire(move |connection, meta| {
            let is_discarded =
                (discarded.lock()).is_some_and(|at| meta.age + AGE_SLACK >= at.elapsed());
            Box::pin(async move { Ok(!is_discarded && is_fit(connection).await?) })
        })
        .after_connect(move |connection, _| Box::pin(apply_settings(dialect, connection)))
}

/// An address without user and password.
fn shown(url: &str) -> String {
    match (Dialect::of(url), url.split_once("://")) {
        (Some(Dialect::Postgres), Some((scheme, rest))) => {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            format!(
                "{scheme}://{}",
                rest.rsplit_once('@').map_or(rest, |(_, host)| host)
            )
        }
        (Some(Dialect::Sqlite), _) => url.to_owned(),
        // Whatever it is, it may hold a secret.
        _ => format!("{}:…", url.split(':').next().unwrap_or_default()),
    }
}

fn unopened(dialect: Dialect, shown: &str, error: &sqlx::Error, create: bool) -> StoreError {
    let why = match dialect {
        Dialect::Sqlite => why_no_file_opens(shown, error, create),
        Dialect::Postgres => format!(
            "{error}; check that the server is up, and the database, user and password right"
        ),
    };
    StoreError::Unavailable(format!("{shown} can't be opened: {why}"))
}

/// Says why SQLite can't open the file of an address: SQLite itself has one code for several reasons.
fn why_no_file_opens(address: &str, error: &sqlx::Error, create: bool) -> String {
    let file = file_of(address);
    let code = error.as_database_error().and_then(DatabaseError::code);
    if file.is_dir() {
        "it is a folder; name a file in it".to_owned()
    } else if !create && !file.exists() {
        "there is no such file; `herald run` makes it at its first start".to_owned()
    } else if code.is_some_and(|code| code == SQLITE_NOT_A_DATABASE) {
        "it is not a database; name another file, or move this one away".to_owned()
    } else {
        format!("{error}; check that its folder exists and may be written to")
    }
}

#[cfg(test)]
mod tests {
    use sqlx::query;

    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(
            shown("postgres://herald:p@ss:w@db.example.org:5432/herald?sslmode=require"),
            "postgres://db.example.org:5432/herald"
        );
        assert_eq!(
            shown("postgresql://db.example.org/herald"),
            "postgresql://db.example.org/herald"
        );
        assert_eq!(shown("sqlite://herald.db"), "sqlite://herald.db");
        assert_eq!(shown("mysql://me:secret@x/y"), "mysql:…");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_told_by_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.db");
        std::fs::write(&text, "x".repeat(4096)).unwrap();
        let cases = [
            (
                dir.path().join("none.db"),
                "there is no such file; `herald run` makes it",
            ),
            (dir.path().to_owned(), "it is a folder; name a file in it"),
            (text, "it is not a database; name another file"),
        ];
        for (file, why) in cases {
            let opened = Database::open(&format!("sqlite://{}", file.display()), false).await;
            let Err(StoreError::Unavailable(said)) = opened else {
                panic!("{} is opened", file.display())
            };
            assert!(said.contains(why) && !said.contains("code"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_to_again() -> Result<(), StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("store.db").display());
        let database = Database::open(&url, true).await?;
        query("CREATE TABLE filler (text TEXT)")
            .execute(&database.pool)
            .await?;
        let write = async || {
            let mut tx = database.begin().await?;
            query("INSERT INTO filler (text) VALUES ($1)")
                .bind("x".repeat(100_000))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok::<_, StoreError>(())
        };
        write().await?;
        // The file may not grow any more: that is how a full disk looks to SQLite.
        query("PRAGMA max_page_count = 1")
            .execute(&database.pool)
            .await?;
        let StoreError::Unavailable(said) = write().await.unwrap_err() else {
            panic!("it is full")
        };
        assert!(said.contains("full"), "{said}");
        query("PRAGMA max_page_count = 1000000")
            .execute(&database.pool)
            .await?;
        write().await
    }

    #[tokio::test]
    async fn a_connection_whose_rollback_failed_is_thrown_away() -> Result<(), StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("store.db").display());
        let database = Database::open(&url, true).await?;
        let mut tx = database.begin().await?;
        // As SQLite does by itself when a disk is full or broken: the rollback that follows fails.
        query("ROLLBACK").execute(&mut *tx).await?;
        drop(tx);
        database.begin().await?.commit().await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_told_without_its_password() {
        let Err(StoreError::Unavailable(said)) =
            Database::open("postgres://herald:swordfish@127.0.0.1:1/herald", true).await
        else {
            panic!("nobody listens there")
        };
        assert!(
            said.contains("postgres://127.0.0.1:1/herald can't be opened")
                && !said.contains("swordfish"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn another_programs_database_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("other.db");
        let url = format!("sqlite://{}", file.display());
        install_default_drivers();
        let mut other = AnyConnection::connect(&format!("{url}?mode=rwc"))
            .await
            .unwrap();
        query("CREATE TABLE posts (text TEXT)")
            .execute(&mut other)
            .await
            .unwrap();
        other.close().await.unwrap();
        let before = std::fs::read(&file).unwrap();
        for create in [true, false] {
            let Err(StoreError::Refused(said)) = Database::open(&url, create).await else {
                panic!("it is opened")
            };
            assert!(
                said.contains("another program's database: it has a table `posts`"),
                "{said}"
            );
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn a_file_that_is_removed_or_replaced_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (file, aside) = (dir.path().join("store.db"), dir.path().join("aside.db"));
        let database = Database::open(&format!("sqlite://{}", file.display()), true)
            .await
            .unwrap();
        database.check_file().unwrap();
        std::fs::rename(&file, &aside).unwrap();
        assert!(
            database
                .check_file()
                .unwrap_err()
                .to_string()
                .contains("was removed or replaced")
        );
        std::fs::write(&file, "").unwrap();
        database.check_file().unwrap_err();
        std::fs::rename(&aside, &file).unwrap();
        database.check_file().unwrap();
        let memory = Database::open("sqlite::memory:", true).await.unwrap();
        memory.check_file().unwrap();
    }
}
