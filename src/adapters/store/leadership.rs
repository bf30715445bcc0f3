//! Which replica is active. One row says so, until a time on the database's own clock; its term is raised with each
//! takeover. Whoever is active renews it in time, and each of its writes looks at the term in the same transaction: one
//! that was taken over while it slept can't write any more.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use sqlx::{Any, Row, Transaction};

use super::{
    SqlStore,
    connect::Dialect,
    rows::{fault, get, time},
};
use crate::ports::{Leadership, Replica, ReplicaInfo, StoreError};

/// The term this process holds; 0 for one that never asked, such as a command at the machine.
#[derive(Debug, Default)]
pub struct Fence(AtomicI64);

impl Fence {
    pub async fn check(
        &self,
        tx: &mut Transaction<'_, Any>,
        dialect: Dialect,
    ) -> Result<(), StoreError> {
        let term = self.0.load(Ordering::Acquire);
        if term == 0 {
            return Ok(());
        }
        // Shared: a takeover waits for this transaction, and what comes after the takeover sees it.
        let query = match dialect {
            Dialect::Postgres => "SELECT term FROM leadership WHERE id = 1 FOR SHARE",
            Dialect::Sqlite => "SELECT term FROM leadership WHERE id = 1",
        };
        let row = sqlx::query(query)
            .fetch_one(&mut **tx)
            .await
            .map_err(fault)?;
        if get::<i64>(&row, "term")? == term {
            Ok(())
        } else {
            Err(fault(
                "another replica has taken over, so nothing is written here",
            ))
        }
    }
}

impl SqlStore {
    /// Says that this replica is there; `false` if another process under its name was heard of within `ttl`.
    pub(super) async fn appear(
        &self,
        me: &Replica,
        ttl: SignedDuration,
    ) -> Result<bool, StoreError> {
        let now = self.database.dialect.now();
        let ttl = i64::try_from(ttl.as_millis()).map_err(fault)?;
        let query = format!(
            "INSERT INTO replicas (replica, instance, since, seen) SELECT $1, $2, {now}, {now}
             WHERE NOT EXISTS (SELECT 1 FROM replicas WHERE replica = $1 AND instance <> $2 AND seen > {now} - $3)
             ON CONFLICT (replica) DO UPDATE SET seen = excluded.seen, instance = excluded.instance,
             since = CASE WHEN replicas.instance = excluded.instance THEN replicas.since ELSE excluded.since END"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(&me.name)
            .bind(&me.instance)
            .bind(ttl);
        Ok(query
            .execute(&self.database.pool)
            .await
            .map_err(fault)?
            .rows_affected()
            > 0)
    }

    /// Takes the lead if nobody has it, or keeps it, for `ttl` from now; says who has it otherwise.
    pub(super) async fn take_lead(
        &self,
        me: &Replica,
        ttl: SignedDuration,
    ) -> Result<Leadership, StoreError> {
        if !self.appear(me, ttl).await? {
            return Ok(Leadership::Doubled);
        }
        let now = self.database.dialect.now();
        let ttl = i64::try_from(ttl.as_millis()).map_err(fault)?;
        let mut tx = self.database.begin().await?;
        let take = format!(
            "UPDATE leadership SET term = CASE WHEN instance = $2 THEN term ELSE term + 1 END, replica = $1, instance = $2, until = {now} + $3
             WHERE id = 1 AND (instance = $2 OR until < {now}) RETURNING term"
        );
        let take = sqlx::query(sqlx::AssertSqlSafe(take))
            .bind(&me.name)
            .bind(&me.instance)
            .bind(ttl);
        let taken = take.fetch_optional(&mut *tx).await.map_err(fault)?;
        let leadership = match taken {
            Some(row) => {
                let term = get::<i64>(&row, "term")?;
                Leadership::Mine { term }
            }
            None => {
                let row = sqlx::query("SELECT replica FROM leadership WHERE id = 1")
                    .fetch_one(&mut *tx)
                    .await
                    .map_err(fault)?;
                Leadership::Theirs {
                    replica: row.try_get("replica").map_err(fault)?,
                }
            }
        };
        tx.commit().await.map_err(fault)?;
        if let Leadership::Mine { term } = leadership {
            self.fence.0.store(term, Ordering::Release);
        }
        Ok(leadership)
    }

    /// Leaves the lead to others at once, and the list of replicas.
    pub(super) async fn give_up_lead(&self, me: &Replica) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let leave = sqlx::query("UPDATE leadership SET until = 0 WHERE id = 1 AND instance = $1")
            .bind(&me.instance);
        leave.execute(&mut *tx).await.map_err(fault)?;
        let forget = sqlx::query("DELETE FROM replicas WHERE instance = $1").bind(&me.instance);
        forget.execute(&mut *tx).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }

    pub(super) async fn all_replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        let now = self.database.dialect.now();
        let query = format!(
            "SELECT r.replica, r.since, r.seen, CASE WHEN l.instance = r.instance AND l.until >= {now} THEN 1 ELSE 0 END AS active
             FROM replicas r, leadership l WHERE l.id = 1 ORDER BY r.replica"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_all(&self.database.pool)
            .await
            .map_err(fault)?;
        let known = |row| {
            let at = |column| time(get(row, column)?);
            // 1 is a number of 32 bits in PostgreSQL and of 64 in SQLite
            let active = get::<i64>(row, "active")? == 1;
            Ok(ReplicaInfo {
                name: get(row, "replica")?,
                active,
                since: at("since")?,
                seen: at("seen")?,
            })
        };
        rows.iter().map(known).collect()
    }
}
