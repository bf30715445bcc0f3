//! The outbox in SQL: posts and the attempts at them.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{FromRow, Row, query, query_as, query_scalar};

use super::{
    SqlStore,
    group_commit::{NewAttempt, Write},
    rows::{milliseconds, to_json},
};
use crate::{
    domain::outbox::{Body, Operation, Post, PostKey, PostState},
    ports::{AttemptOutcome, OutboxStore, StoreError},
};

/// An attempt that began so many milliseconds in the future was made by a clock that was set back since: its lease and
/// its next try are times of that clock, for which nobody need wait.
const CLOCK_SET_BACK_MS: i64 = 60_000;

#[async_trait]
impl OutboxStore for SqlStore {
    async fn waiting(&self) -> Result<Vec<Post>, StoreError> {
        let posts = query_as(
            "SELECT * FROM posts WHERE state IN ('planned', 'held') ORDER BY due, rank, channel, number",
        );
        Ok(posts.fetch_all(self.pool()).await?)
    }

    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError> {
        let posts =
            query_as("SELECT * FROM posts WHERE upgrade = $1 ORDER BY due, rank, channel, number");
        Ok(posts.bind(upgrade).fetch_all(self.pool()).await?)
    }

    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError> {
        let post = query_as("SELECT * FROM posts WHERE key = $1").bind(&key.0);
        Ok(post.fetch_optional(self.pool()).await?)
    }

    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError> {
        let newest = query_as(
            "SELECT * FROM posts WHERE upgrade = $1 AND channel = $2 AND operation = $3 AND state = 'sent'
             ORDER BY due DESC, number DESC LIMIT 1",
        )
        .bind(upgrade)
        .bind(channel)
        .bind(operation.name());
        Ok(newest.fetch_optional(self.pool()).await?)
    }

    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError> {
        let first = query(
            "SELECT *, (SELECT began FROM attempts WHERE key = posts.key AND number = posts.attempts) AS began
             FROM posts WHERE channel = $1 AND state IN ('planned', 'sending') ORDER BY due, rank, number LIMIT 1",
        )
        .bind(channel);
        let Some(row) = first.fetch_optional(self.pool()).await? else {
            return Ok(None);
        };
        let post = Post::from_row(&row)?;
        let at = now.as_millisecond();
        let leased = row
            .try_get::<Option<i64>, _>("lease_until")?
            .is_some_and(|until| until > at);
        let set_back = row
            .try_get::<Option<i64>, _>("began")?
            .is_some_and(|began| began > at.saturating_add(CLOCK_SET_BACK_MS));
        let held = post.next_attempt.is_some_and(|next| next > now)
            || (post.state == PostState::Sending && leased);
        Ok((post.due <= now && (set_back || !held)).then_some(post))
    }

    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        let first = query(
            "SELECT due, COALESCE(next_attempt, 0) AS next, COALESCE(lease_until, 0) AS lease
             FROM posts WHERE channel = $1 AND state IN ('planned', 'sending') ORDER BY due, rank, number LIMIT 1",
        )
        .bind(channel);
        let Some(row) = first.fetch_optional(self.pool()).await? else {
            return Ok(None);
        };
        let (due, next, lease): (i64, i64, i64) = (
            row.try_get("due")?,
            row.try_get("next")?,
            row.try_get("lease")?,
        );
        Ok(Some(milliseconds("due", due.max(next).max(lease))?))
    }

    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        let claim = NewAttempt {
            key: post.key.clone(),
            attempts: post.attempts,
            body: to_json(body)?,
            late,
            now,
            lease_until,
        };
        self.queue.write(self, Write::Begin(claim)).await
    }

    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError> {
        let write = Write::Finish(key.clone(), outcome.clone());
        self.queue.write(self, write).await.map(|_| ())
    }

    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError> {
        let began =
            query_scalar::<_, Option<i64>>("SELECT MIN(began) FROM attempts WHERE key = $1");
        let began = began.bind(&key.0).fetch_one(self.pool()).await?;
        Ok(began.map(|ms| milliseconds("began", ms)).transpose()?)
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        let mut tx = self.fenced().await?;
        for change in [
            "DELETE FROM troubles",
            // A post with a body was begun once: it is read back before it is sent. The rest is rendered anew.
            "UPDATE posts SET state = 'sending', next_attempt = NULL WHERE state = 'parked' AND body IS NOT NULL",
            "UPDATE posts SET state = 'planned', next_attempt = NULL WHERE state = 'parked' AND body IS NULL",
        ] {
            query(change).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}
