//! Claims and records of many channels, written together.
//!
//! Each post takes two writes, and each write waits for the disk. Where a hundred channels post at once, whoever is first
//! writes for all who wait, in one transaction: nobody hears that theirs is done before it is on the disk.

use std::sync::{Mutex as Latch, PoisonError};

use jiff::Timestamp;
use sqlx::{Any, Transaction};
use tokio::sync::{Mutex, oneshot};

use super::{SqlStore, rows::fault};
use crate::{
    domain::outbox::post::PostKey,
    ports::{AttemptOutcome, StoreError},
};

/// So many at once: a transaction stays short.
const MOST: usize = 200;

/// A post that is to be begun.
pub struct Begun {
    pub key: PostKey,
    /// As many as were seen: whoever raises the number first has the post.
    pub attempts: u32,
    pub body: String,
    pub late: bool,
    pub now: Timestamp,
    pub lease_until: Timestamp,
}

pub enum Write {
    Begin(Begun),
    Finish(PostKey, AttemptOutcome),
}

struct Waiting {
    write: Write,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

/// What waits to be written.
#[derive(Default)]
pub struct WriteQueue {
    waiting: Latch<Vec<Waiting>>,
    /// Held by who writes.
    turn: Mutex<()>,
}

impl WriteQueue {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let most = waiting.len().min(MOST);
        waiting.drain(..most).collect()
    }
}

impl SqlStore {
    /// Writes this with what others have to write now. `false`: the post was not to be had.
    pub(super) async fn write_together(&self, write: Write) -> Result<bool, StoreError> {
        let (done, mut written) = oneshot::channel();
        self.sheaf.waiting().push(Waiting { write, done });
        loop {
            let turn = self.sheaf.turn.lock().await;
            // Somebody else may have written it meanwhile.
            if let Ok(result) = written.try_recv() {
                return result;
            }
            let sheaf = self.sheaf.take();
            if sheaf.is_empty() {
                // Who took it along was broken off before the end: it may be written or not, as after a crash.
                return Err(StoreError("it was broken off".to_owned()));
            }
            let (writes, waiting): (Vec<Write>, Vec<_>) =
                sheaf.into_iter().map(|w| (w.write, w.done)).unzip();
            match self.write_all(&writes).await {
                Ok(results) => waiting
                    .into_iter()
                    .zip(results)
                    .for_each(|(done, result)| drop(done.send(Ok(result)))),
                Err(error) => waiting
                    .into_iter()
                    .for_each(|done| drop(done.send(Err(StoreError(error.0.clone()))))),
            }
            drop(turn);
        }
    }

    async fn write_all(&self, writes: &[Write]) -> Result<Vec<bool>, StoreError> {
        let mut tx = self.fenced().await?;
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            results.push(match write {
                Write::Begin(begun) => begin(&mut tx, begun).await?,
                Write::Finish(key, outcome) => {
                    finish(&mut tx, key, outcome).await.map(|()| true)?
                }
            });
        }
        tx.commit().await.map_err(fault)?;
        Ok(results)
    }
}

async fn begin(tx: &mut Transaction<'_, Any>, post: &Begun) -> Result<bool, StoreError> {
    let claimed = sqlx::query(
        "UPDATE posts SET state = 'sending', body = COALESCE(body, $1), late = $2, attempts = attempts + 1, lease_until = $3, next_attempt = NULL
         WHERE key = $4 AND attempts = $5 AND state IN ('planned', 'sending')",
    )
    .bind(&post.body)
    .bind(i64::from(post.late))
    .bind(post.lease_until.as_millisecond())
    .bind(&post.key.0)
    .bind(i64::from(post.attempts))
    .execute(&mut **tx)
    .await
    .map_err(fault)?
    .rows_affected()
        == 1;
    if claimed {
        sqlx::query("INSERT INTO attempts (key, number, began) VALUES ($1, $2, $3)")
            .bind(&post.key.0)
            .bind(i64::from(post.attempts) + 1)
            .bind(post.now.as_millisecond())
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
    }
    Ok(claimed)
}

async fn finish(
    tx: &mut Transaction<'_, Any>,
    key: &PostKey,
    outcome: &AttemptOutcome,
) -> Result<(), StoreError> {
    let (query, ended) = match outcome {
        AttemptOutcome::Sent { accepted, at } => (
            sqlx::query(
                "UPDATE posts SET state = 'sent', remote = $2, link = $3, sent = $4, lease_until = NULL, error = NULL WHERE key = $1",
            )
            .bind(&key.0)
            .bind(&accepted.id)
            .bind(&accepted.link)
            .bind(at.as_millisecond()),
            "sent",
        ),
        AttemptOutcome::Retry { error, not_before } => (
            // What waits aside lets others pass.
            sqlx::query(
                "UPDATE posts SET lease_until = NULL, error = $2, next_attempt = $3,
                   due = CASE WHEN operation IN ('publish', 'pin', 'unpin', 'event', 'close') THEN $3 ELSE due END
                 WHERE key = $1",
            )
                .bind(&key.0)
                .bind(error)
                .bind(not_before.as_millisecond()),
            error.as_str(),
        ),
        AttemptOutcome::Parked { error } => (
            sqlx::query("UPDATE posts SET state = 'parked', lease_until = NULL, error = $2 WHERE key = $1").bind(&key.0).bind(error),
            error.as_str(),
        ),
        AttemptOutcome::Unsaid { reason } => (
            sqlx::query(
                "UPDATE posts SET state = 'planned', body = NULL, late = 0, lease_until = NULL, next_attempt = NULL, error = $2 WHERE key = $1",
            )
            .bind(&key.0)
            .bind(reason),
            reason.as_str(),
        ),
        AttemptOutcome::Dropped { reason } => (
            sqlx::query("UPDATE posts SET state = 'superseded', lease_until = NULL, error = $2 WHERE key = $1")
                .bind(&key.0)
                .bind(reason),
            reason.as_str(),
        ),
        AttemptOutcome::Skipped { reason } => (
            sqlx::query("UPDATE posts SET state = 'skipped', lease_until = NULL, error = $2 WHERE key = $1").bind(&key.0).bind(reason),
            reason.as_str(),
        ),
    };
    query.execute(&mut **tx).await.map_err(fault)?;
    sqlx::query("UPDATE attempts SET ended = $2 WHERE key = $1 AND ended IS NULL")
        .bind(&key.0)
        .bind(ended)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    Ok(())
}
