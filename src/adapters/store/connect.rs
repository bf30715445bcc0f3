//! Opening a store by its address: which database, how it is connected to, and its schema brought up to date.

use std::time::Duration;

use sqlx::{
    Any, AnyPool, Executor, Row, Transaction,
    any::{AnyPoolOptions, install_default_drivers},
};

use super::{rows::fault, schema};
use crate::ports::StoreError;

/// How long a connection is waited for, and how long PostgreSQL may work on one statement.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two differ in few words; all other SQL is one text.
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

    /// How a transaction that will write begins: SQLite's takes the one writer's place at once, so it never fails halfway.
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// The database's own time in milliseconds since 1970: the one clock that all replicas have in common.
    pub fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// What each new connection is told.
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
            ],
        }
    }
}

/// A pool with its dialect.
#[derive(Clone)]
pub struct Database {
    pub pool: AnyPool,
    pub dialect: Dialect,
}

impl Database {
    /// `create`: makes the file, or in a database that is there the tables, if they are missing.
    pub async fn open(url: &str, create: bool) -> Result<Self, StoreError> {
        install_default_drivers();
        let shown = shown(url);
        let Some(dialect) = Dialect::of(url) else {
            return Err(fault(format!(
                "`{shown}` is not a store herald knows; write sqlite://… or postgres://…"
            )));
        };
        let mut address = url.to_owned();
        if dialect == Dialect::Sqlite && create && !url.contains(":memory:") {
            address.push(if url.contains('?') { '&' } else { '?' });
            address.push_str("mode=rwc");
        }
        let options = match dialect {
            // SQLite has one writer anyway, and a store in memory lives in its connection.
            Dialect::Sqlite => AnyPoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None),
            Dialect::Postgres => AnyPoolOptions::new().max_connections(5),
        };
        let pool = options
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for setting in dialect.settings() {
                        connection.execute(*setting).await?;
                    }
                    Ok(())
                })
            })
            .connect(&address)
            .await
            .map_err(|e| unopened(dialect, &shown, &e))?;
        let database = Self { pool, dialect };
        if create || dialect == Dialect::Sqlite {
            database.migrate().await?;
        } else {
            database.refuse_other().await?;
        }
        Ok(database)
    }

    /// A transaction that will write.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.pool
            .begin_with(self.dialect.begin())
            .await
            .map_err(fault)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            // Replicas that start at once come one after the other. The number means nothing, it is only the same for all.
            run(&mut tx, "SELECT pg_advisory_xact_lock(7311048254)").await?;
        }
        run(
            &mut tx,
            "CREATE TABLE IF NOT EXISTS schema_steps (step INTEGER PRIMARY KEY)",
        )
        .await?;
        let done = done(&mut tx).await?;
        for (step, statements) in schema::STEPS.iter().enumerate().skip(done) {
            for statement in schema::statements(statements, self.dialect) {
                sqlx::query(sqlx::AssertSqlSafe(statement))
                    .execute(&mut *tx)
                    .await
                    .map_err(fault)?;
            }
            let number = i32::try_from(step).map_err(fault)?;
            sqlx::query("INSERT INTO schema_steps (step) VALUES ($1)")
                .bind(number)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
    }

    /// A command that only looks makes no tables.
    async fn refuse_other(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = done(&mut tx)
            .await
            .map_err(|_| fault("no herald has used this database yet"))?;
        if done < schema::STEPS.len() {
            return Err(fault(
                "it was written by an older herald; the next `herald run` brings it up to date",
            ));
        }
        Ok(())
    }
}

/// How many steps of the schema are done; more than we know is another herald's.
async fn done(tx: &mut Transaction<'_, Any>) -> Result<usize, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM schema_steps")
        .fetch_one(&mut **tx)
        .await
        .map_err(fault)?;
    let done = usize::try_from(row.try_get::<i64, _>("n").map_err(fault)?).unwrap_or(0);
    if done > schema::STEPS.len() {
        return Err(fault(
            "it was written by a newer herald; run that version, or restore a copy",
        ));
    }
    Ok(done)
}

pub async fn run(tx: &mut Transaction<'_, Any>, statement: &'static str) -> Result<(), StoreError> {
    sqlx::query(statement)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    Ok(())
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

fn unopened(dialect: Dialect, shown: &str, error: &sqlx::Error) -> StoreError {
    match dialect {
        Dialect::Sqlite => fault(format!(
            "{shown} can't be opened: {error}; check that its folder exists and may be written to"
        )),
        Dialect::Postgres => fault(format!(
            "{shown} can't be opened: {error}; check that the server is up, and the database, user and password right"
        )),
    }
}

#[cfg(test)]
mod tests {
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
    async fn a_database_that_is_away_is_told_without_its_password() {
        let Err(StoreError(said)) =
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
}
