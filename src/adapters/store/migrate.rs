//! The schema, as migrations that are applied in order and never changed afterwards. Times are milliseconds since 1970,
//! ids are text, nested values are JSON text.
//!
//! They are run here and not by `sqlx::migrate!`, for three reasons: the stores of every version keep their list of
//! migrations in `schema_steps`, by which older versions refuse a newer store; all that are missing are applied in one
//! transaction, so that a crash leaves the old schema whole; and the two databases share one text. BIGINT is the name
//! both have for a number of 64 bits.

use sqlx::{Any, Transaction, query, query_scalar, raw_sql};

use super::connect::{Database, Dialect};
use crate::ports::StoreError;

struct SchemaMigration {
    sql: &'static str,
    /// Statements for SQLite alone, run after the others.
    sqlite: &'static str,
}

const fn both(sql: &'static str) -> SchemaMigration {
    SchemaMigration { sql, sqlite: "" }
}

const MIGRATIONS: &[SchemaMigration] = &[
    both(include_str!("migrations/0001_campaigns_and_posts.sql")),
    both(include_str!("migrations/0002_editions.sql")),
    both(include_str!("migrations/0003_requests.sql")),
    SchemaMigration {
        sql: include_str!("migrations/0004_replicas.sql"),
        sqlite: include_str!("migrations/0004_replicas.sqlite.sql"),
    },
    both(include_str!("migrations/0005_entries.sql")),
];

/// The version of the schema: how many migrations a store of this herald has.
pub const VERSION: usize = MIGRATIONS.len();

/// Replicas that start at once migrate one after the other, by this advisory lock. The number is arbitrary, and the same
/// for all versions.
const LOCK_SQL: &str = "SELECT pg_advisory_xact_lock(7311048254)";

/// Brings a database up to date, or fills an empty one.
pub async fn migrate(database: &Database) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    if database.dialect == Dialect::Postgres {
        query(LOCK_SQL).execute(&mut *tx).await?;
    }
    query("CREATE TABLE IF NOT EXISTS schema_steps (step INTEGER PRIMARY KEY)")
        .execute(&mut *tx)
        .await?;
    let applied = refuse_newer(applied(&mut tx).await?)?;
    for (step, migration) in (0_i32..).zip(MIGRATIONS).skip(applied) {
        raw_sql(migration.sql).execute(&mut *tx).await?;
        if database.dialect == Dialect::Sqlite && !migration.sqlite.is_empty() {
            raw_sql(migration.sqlite).execute(&mut *tx).await?;
        }
        query("INSERT INTO schema_steps (step) VALUES ($1)")
            .bind(step)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}

/// Refuses a database whose schema is not this version's: a command that only reads makes no tables.
pub async fn refuse_other(database: &Database) -> Result<(), StoreError> {
    let mut tx = database.pool.begin().await?;
    let applied = match applied(&mut tx).await {
        Err(sqlx::Error::Database(_)) => {
            return Err(StoreError::Refused(
                "no herald has used this database yet".to_owned(),
            ));
        }
        applied => refuse_newer(applied?)?,
    };
    if applied < VERSION {
        return Err(StoreError::Refused(
            "it was written by an older herald; the next `herald run` brings it up to date"
                .to_owned(),
        ));
    }
    Ok(())
}

async fn applied(tx: &mut Transaction<'_, Any>) -> Result<usize, sqlx::Error> {
    let count: i64 = query_scalar("SELECT COUNT(*) FROM schema_steps")
        .fetch_one(&mut **tx)
        .await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn refuse_newer(applied: usize) -> Result<usize, StoreError> {
    if applied > VERSION {
        return Err(StoreError::Refused(
            "it was written by a newer herald; run that version, or restore a copy".to_owned(),
        ));
    }
    Ok(applied)
}
