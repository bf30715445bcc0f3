//! The leader election in SQL. One row holds the lead: the replica that has it, its term, and the time at which its lease
//! ends, on the database's own clock. A takeover raises the term, which is the fencing token: each write of the active
//! replica compares it in its own transaction, so that one which was taken over while it slept can't write any more.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use sqlx::{Any, AssertSqlSafe, Row, Transaction, query, query_scalar};

use super::{
    SqlStore,
    connect::Dialect,
    rows::{text, time},
};
use crate::ports::{Leadership, LeadershipStore, Replica, ReplicaInfo, StoreError};

/// The term that a process which never asked for the lead holds, such as a command at the machine: it is not fenced.
const NO_TERM: i64 = 0;

/// The term that this process holds.
#[derive(Debug, Default)]
pub struct Fence(AtomicI64);

impl Fence {
    /// Refuses to go on in a transaction if another replica has taken over.
    pub async fn check(
        &self,
        tx: &mut Transaction<'_, Any>,
        dialect: Dialect,
    ) -> Result<(), StoreError> {
        let own = self.0.load(Ordering::Acquire);
        if own == NO_TERM {
            return Ok(());
        }
        // The row is locked as shared: a takeover waits for this transaction, and the next check after it sees it.
        let current: i64 = query_scalar(match dialect {
            Dialect::Postgres => "SELECT term FROM leadership WHERE id = 1 FOR SHARE",
            Dialect::Sqlite => "SELECT term FROM leadership WHERE id = 1",
        })
        .fetch_one(&mut **tx)
        .await?;
        if current == own {
            Ok(())
        } else {
            Err(StoreError::Fenced)
        }
    }
}

fn in_milliseconds(ttl: SignedDuration) -> Result<i64, StoreError> {
    i64::try_from(ttl.as_millis()).map_err(|error| StoreError::invalid("a lease's length", error))
}

#[async_trait]
impl LeadershipStore for SqlStore {
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError> {
        let now = self.database.dialect.now();
        let upsert = format!(
            "INSERT INTO replicas (replica, instance, since, seen) SELECT $1, $2, {now}, {now}
             WHERE NOT EXISTS (SELECT 1 FROM replicas WHERE replica = $1 AND instance <> $2 AND seen > {now} - $3)
             ON CONFLICT (replica) DO UPDATE SET seen = excluded.seen, instance = excluded.instance,
             since = CASE WHEN replicas.instance = excluded.instance THEN replicas.since ELSE excluded.since END"
        );
        let upsert = query(AssertSqlSafe(upsert))
            .bind(&me.name)
            .bind(&me.instance)
            .bind(in_milliseconds(ttl)?);
        Ok(self.execute(upsert).await? > 0)
    }

    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError> {
        if !self.present(me, ttl).await? {
            return Ok(Leadership::Doubled);
        }
        let now = self.database.dialect.now();
        let mut tx = self.database.begin().await?;
        let take = format!(
            "UPDATE leadership SET term = CASE WHEN instance = $2 THEN term ELSE term + 1 END,
             replica = $1, instance = $2, until = {now} + $3
             WHERE id = 1 AND (instance = $2 OR until < {now}) RETURNING term"
        );
        let taken: Option<i64> = query_scalar(AssertSqlSafe(take))
            .bind(&me.name)
            .bind(&me.instance)
            .bind(in_milliseconds(ttl)?)
            .fetch_optional(&mut *tx)
            .await?;
        let leadership = match taken {
            Some(term) => Leadership::Mine { term },
            None => Leadership::Theirs {
                replica: query_scalar("SELECT replica FROM leadership WHERE id = 1")
                    .fetch_one(&mut *tx)
                    .await?,
            },
        };
        tx.commit().await?;
        if let Leadership::Mine { term } = leadership {
            self.fence.0.store(term, Ordering::Release);
        }
        Ok(leadership)
    }

    async fn resign(&self, me: &Replica) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        for leave in [
            "UPDATE leadership SET until = 0 WHERE id = 1 AND instance = $1",
            "DELETE FROM replicas WHERE instance = $1",
        ] {
            query(leave).bind(&me.instance).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.database.check_file()?;
        let same = query("UPDATE leadership SET id = id WHERE id = 1");
        self.execute(same).await.map(drop)
    }

    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        let now = self.database.dialect.now();
        let all = format!(
            "SELECT r.replica, r.since, r.seen,
             CASE WHEN l.instance = r.instance AND l.until >= {now} THEN 1 ELSE 0 END AS active
             FROM replicas r, leadership l WHERE l.id = 1 ORDER BY r.replica"
        );
        let rows = query(AssertSqlSafe(all)).fetch_all(self.pool()).await?;
        rows.iter()
            .map(|row| {
                Ok(ReplicaInfo {
                    name: text(row, "replica")?,
                    // The number has 32 bits in PostgreSQL and 64 in SQLite; both are read as 64.
                    active: row.try_get::<i64, _>("active")? == 1,
                    since: time(row, "since")?,
                    seen: time(row, "seen")?,
                })
            })
            .collect()
    }
}
