//! The store over SQL: SQLite or PostgreSQL, one text for both.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, AnyPool, Row, Transaction};

use super::{
    batch::write_batch,
    connect::{Database, run},
    group_commit::{Begun, Write, WriteQueue},
    leadership::Fence,
    rows::{self, fault, from_json, json, time},
};
use crate::{
    domain::{
        campaign::{Campaign, change::Change},
        chain::{
            block::Memory,
            fact::{Fact, FactKind},
        },
        outbox::post::{Body, Operation, Post, PostKey, PostState},
    },
    ports::{
        Approved, AttemptOutcome, Batch, Leadership, Record, RecordKind, Replica, ReplicaInfo,
        Request, Store, StoreError,
    },
};

/// An attempt that began so many milliseconds in the future was made by a clock that was set back since: its lease and
/// its next try are times of that clock, for which nobody need wait.
const CLOCK_SET_BACK: i64 = 60_000;

pub struct SqlStore {
    pub(super) database: Database,
    pub(super) fence: Fence,
    pub(super) sheaf: WriteQueue,
}

impl SqlStore {
    /// Opens a store by its address, and makes it if it is missing: the file of `sqlite://…`, the tables of `postgres://…`;
    /// `sqlite::memory:` forgets everything.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, true).await
    }

    /// Opens one that must be there already.
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, false).await
    }

    async fn open_with(url: &str, create: bool) -> Result<Self, StoreError> {
        Ok(Self {
            database: Database::open(url, create).await?,
            fence: Fence::default(),
            sheaf: WriteQueue::default(),
        })
    }

    fn pool(&self) -> &AnyPool {
        &self.database.pool
    }

    /// A transaction that writes only if no other replica has taken over.
    pub(super) async fn fenced(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.database.begin().await?;
        self.fence.check(&mut tx, self.database.dialect).await?;
        Ok(tx)
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError> {
        self.appear(me, ttl).await
    }

    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError> {
        self.take_lead(me, ttl).await
    }

    async fn resign(&self, me: &Replica) -> Result<(), StoreError> {
        self.give_up_lead(me).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        self.all_replicas().await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tx = self.fenced().await?;
        write_batch(&mut tx, &batch).await?;
        tx.commit().await.map_err(fault)
    }

    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError> {
        let rows = sqlx::query("SELECT * FROM upgrades ORDER BY accepted, id")
            .fetch_all(self.pool())
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                Ok(Campaign {
                    upgrade: from_json(row.try_get("upgrade").map_err(fault)?)?,
                    progress: from_json(row.try_get("progress").map_err(fault)?)?,
                    revision: u32::try_from(row.try_get::<i64, _>("revision").map_err(fault)?)
                        .map_err(fault)?,
                    accepted: time(row.try_get("accepted").map_err(fault)?)?,
                    file: row
                        .try_get::<Option<String>, _>("file")
                        .map_err(fault)?
                        .map(|f| from_json(&f))
                        .transpose()?,
                    commanded: from_json(row.try_get("commanded").map_err(fault)?)?,
                })
            })
            .collect()
    }

    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError> {
        let rows = sqlx::query("SELECT * FROM memories")
            .fetch_all(self.pool())
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get("chain").map_err(fault)?,
                    from_json(row.try_get("memory").map_err(fault)?)?,
                ))
            })
            .collect()
    }

    async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        let rows = sqlx::query("SELECT fact FROM facts ORDER BY number")
            .fetch_all(self.pool())
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| from_json(row.try_get("fact").map_err(fault)?))
            .collect()
    }

    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError> {
        let query =
            sqlx::query("SELECT fact FROM facts WHERE kind = $1 ORDER BY number").bind(kind.name());
        let rows = query.fetch_all(self.pool()).await.map_err(fault)?;
        rows.iter()
            .map(|row| from_json(row.try_get("fact").map_err(fault)?))
            .collect()
    }

    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError> {
        let query = sqlx::query(
            "SELECT * FROM posts WHERE upgrade = $1 ORDER BY due, rank, channel, number",
        )
        .bind(upgrade);
        let rows = query.fetch_all(self.pool()).await.map_err(fault)?;
        rows.iter().map(rows::post).collect()
    }

    async fn waiting(&self) -> Result<Vec<Post>, StoreError> {
        let query = sqlx::query(
            "SELECT * FROM posts WHERE state IN ('planned', 'held') ORDER BY due, rank, channel, number",
        );
        query
            .fetch_all(self.pool())
            .await
            .map_err(fault)?
            .iter()
            .map(rows::post)
            .collect()
    }

    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError> {
        let query = sqlx::query("SELECT * FROM posts WHERE key = $1").bind(&key.0);
        query
            .fetch_optional(self.pool())
            .await
            .map_err(fault)?
            .as_ref()
            .map(rows::post)
            .transpose()
    }

    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError> {
        let query = sqlx::query(
            "SELECT *, (SELECT began FROM attempts WHERE key = posts.key AND number = posts.attempts) AS began
             FROM posts WHERE channel = $1 AND state IN ('planned', 'sending') ORDER BY due, rank, number LIMIT 1",
        )
        .bind(channel);
        let Some(row) = query.fetch_optional(self.pool()).await.map_err(fault)? else {
            return Ok(None);
        };
        let ms = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(fault);
        let leased = ms("lease_until")?.is_some_and(|until| until > now.as_millisecond());
        let ahead = ms("began")?
            .is_some_and(|began| began > now.as_millisecond().saturating_add(CLOCK_SET_BACK));
        let post = rows::post(&row)?;
        let held = post.next_attempt.is_some_and(|at| at > now)
            || (post.state == PostState::Sending && leased);
        Ok((post.due <= now && (ahead || !held)).then_some(post))
    }

    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        let begun = Begun {
            key: post.key.clone(),
            attempts: post.attempts,
            body: json(body)?,
            late,
            now,
            lease_until,
        };
        self.write_together(Write::Begin(begun)).await
    }

    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError> {
        self.write_together(Write::Finish(key.clone(), outcome.clone()))
            .await
            .map(|_| ())
    }

    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError> {
        let query =
            sqlx::query("SELECT MIN(began) AS began FROM attempts WHERE key = $1").bind(&key.0);
        let row = query.fetch_one(self.pool()).await.map_err(fault)?;
        rows::get::<Option<i64>>(&row, "began")?
            .map(time)
            .transpose()
    }

    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError> {
        let query = sqlx::query(
            "SELECT * FROM posts WHERE upgrade = $1 AND channel = $2 AND operation = $3 AND state = 'sent' ORDER BY due DESC, number DESC LIMIT 1",
        )
        .bind(upgrade)
        .bind(channel)
        .bind(operation.name());
        query
            .fetch_optional(self.pool())
            .await
            .map_err(fault)?
            .as_ref()
            .map(rows::post)
            .transpose()
    }

    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query(
            "SELECT due, COALESCE(next_attempt, 0) AS next, COALESCE(lease_until, 0) AS lease
             FROM posts WHERE channel = $1 AND state IN ('planned', 'sending') ORDER BY due, rank, number LIMIT 1",
        )
        .bind(channel);
        let Some(row) = query.fetch_optional(self.pool()).await.map_err(fault)? else {
            return Ok(None);
        };
        let ms = |column: &str| rows::get::<i64>(&row, column);
        Ok(Some(time(ms("due")?.max(ms("next")?).max(ms("lease")?))?))
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        let mut tx = self.fenced().await?;
        run(&mut tx, "DELETE FROM troubles").await?;
        // What has a body was begun once: it is read back before it is sent. The rest is rendered anew.
        run(&mut tx, "UPDATE posts SET state = 'sending', next_attempt = NULL WHERE state = 'parked' AND body IS NOT NULL").await?;
        run(&mut tx, "UPDATE posts SET state = 'planned', next_attempt = NULL WHERE state = 'parked' AND body IS NULL").await?;
        tx.commit().await.map_err(fault)
    }

    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let query = match trouble {
            Some(trouble) => sqlx::query(
                "INSERT INTO troubles (part, trouble, since) VALUES ($1, $2, $3) ON CONFLICT (part) DO UPDATE SET trouble = excluded.trouble",
            )
            .bind(part)
            .bind(trouble)
            .bind(at.as_millisecond()),
            None => sqlx::query("DELETE FROM troubles WHERE part = $1").bind(part),
        };
        query.execute(self.pool()).await.map_err(fault)?;
        Ok(())
    }

    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM troubles ORDER BY part")
            .fetch_all(self.pool())
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get("part").map_err(fault)?,
                    row.try_get("trouble").map_err(fault)?,
                    time(row.try_get("since").map_err(fault)?)?,
                ))
            })
            .collect()
    }

    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO requests (number, upgrade, change, author, at)
             SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4 FROM requests RETURNING number",
        )
        .bind(upgrade)
        .bind(json(change)?)
        .bind(author)
        .bind(at.as_millisecond())
        .fetch_one(self.pool())
        .await
        .map_err(fault)?;
        row.try_get("number").map_err(fault)
    }

    async fn requests(&self) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query("SELECT * FROM requests WHERE outcome IS NULL ORDER BY number")
            .fetch_all(self.pool())
            .await
            .map_err(fault)?;
        rows.iter().map(rows::request).collect()
    }

    async fn outcome(&self, request: i64) -> Result<Option<String>, StoreError> {
        let query = sqlx::query("SELECT outcome FROM requests WHERE number = $1").bind(request);
        let row = query.fetch_optional(self.pool()).await.map_err(fault)?;
        row.map_or(Ok(None), |row| row.try_get("outcome").map_err(fault))
    }

    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError> {
        let query = sqlx::query("SELECT * FROM approvals WHERE upgrade = $1 ORDER BY at, person")
            .bind(upgrade);
        query
            .fetch_all(self.pool())
            .await
            .map_err(fault)?
            .iter()
            .map(rows::approved)
            .collect()
    }

    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError> {
        let text = if replace {
            "INSERT INTO entries (kind, upgrade, id, at, value) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (kind, upgrade, id) DO UPDATE SET at = excluded.at, value = excluded.value"
        } else {
            "INSERT INTO entries (kind, upgrade, id, at, value) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
        };
        let query = sqlx::query(text)
            .bind(entry.kind.name())
            .bind(&entry.upgrade)
            .bind(&entry.id);
        let query = query
            .bind(entry.at.as_millisecond())
            .bind(json(&entry.value)?);
        Ok(query
            .execute(self.pool())
            .await
            .map_err(fault)?
            .rows_affected()
            == 1)
    }

    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM entries WHERE kind = $1 AND upgrade = $2 AND id = $3")
            .bind(kind.name())
            .bind(upgrade)
            .bind(id);
        Ok(query
            .execute(self.pool())
            .await
            .map_err(fault)?
            .rows_affected()
            == 1)
    }

    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError> {
        let query =
            sqlx::query("SELECT * FROM entries WHERE kind = $1 AND upgrade = $2 ORDER BY at, id")
                .bind(kind.name())
                .bind(upgrade);
        query
            .fetch_all(self.pool())
            .await
            .map_err(fault)?
            .iter()
            .map(|row| rows::entry(row, kind))
            .collect()
    }

    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let query =
            sqlx::query("INSERT INTO answered (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(id)
                .bind(at.as_millisecond());
        Ok(query
            .execute(self.pool())
            .await
            .map_err(fault)?
            .rows_affected()
            == 1)
    }
}
