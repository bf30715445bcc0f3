//! Group commit: claims and outcomes of many channels, written in one transaction.
//!
//! Each post takes two writes, and each transaction waits for the disk. Where a hundred channels post at once, the worker
//! that has the turn flushes the writes of all that wait. Nobody is told that a write is done before it is on the disk.

use parking_lot::{Mutex as SyncMutex, MutexGuard};

use jiff::Timestamp;
use sqlx::{Any, Transaction, query};
use tokio::sync::{Mutex, oneshot};

use super::SqlStore;
use crate::{
    domain::outbox::PostKey,
    ports::{AttemptOutcome, StoreError},
};

/// The longest group, so that a transaction stays short.
const MAX_WRITES_IN_GROUP: usize = 200;

/// A post that a worker wants to begin.
pub struct NewAttempt {
    pub key: PostKey,
    /// The number of attempts that the worker has seen: the first worker that raises it gets the post.
    pub attempts: u32,
    pub body: String,
    pub late: bool,
    pub now: Timestamp,
    pub lease_until: Timestamp,
}

pub enum Write {
    Begin(NewAttempt),
    Finish(PostKey, AttemptOutcome),
}

struct QueuedWrite {
    write: Write,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

/// Writes that wait for the next flush.
#[derive(Default)]
pub struct WriteQueue {
    waiting: SyncMutex<Vec<QueuedWrite>>,
    /// The turn to flush, which one worker has at a time.
    turn: Mutex<()>,
}

impl WriteQueue {
    fn waiting(&self) -> MutexGuard<'_, Vec<QueuedWrite>> {
        self.waiting.lock()
    }

    fn next_group(&self) -> Vec<QueuedWrite> {
        let mut waiting = self.waiting();
        let length = waiting.len().min(MAX_WRITES_IN_GROUP);
        waiting.drain(..length).collect()
    }

    /// Writes this together with what others have to write now. `false`: another worker has the post.
    pub async fn write(&self, store: &SqlStore, write: Write) -> Result<bool, StoreError> {
        let (done, mut written) = oneshot::channel();
        self.waiting().push(QueuedWrite { write, done });
        loop {
            let _turn = self.turn.lock().await;
            // Another worker may have flushed it meanwhile.
            if let Ok(result) = written.try_recv() {
                return result;
            }
            let group = self.next_group();
            if group.is_empty() {
                // The worker that took it along was broken off: it may be written or not, as after a crash.
                return Err(StoreError::Unavailable("it was broken off".to_owned()));
            }
            flush(store, group).await;
        }
    }
}

/// Commits a group and tells each of its workers what came of it. A receiver that is gone was broken off.
async fn flush(store: &SqlStore, group: Vec<QueuedWrite>) {
    let (writes, waiting): (Vec<Write>, Vec<_>) =
        group.into_iter().map(|w| (w.write, w.done)).unzip();
    match commit(store, &writes).await {
        Ok(results) => {
            for (done, result) in waiting.into_iter().zip(results) {
                let _ = done.send(Ok(result));
            }
        }
        Err(error) => {
            for done in waiting {
                let _ = done.send(Err(error.clone()));
            }
        }
    }
}

async fn commit(store: &SqlStore, writes: &[Write]) -> Result<Vec<bool>, StoreError> {
    let mut tx = store.fenced().await?;
    let mut results = Vec::with_capacity(writes.len());
    for write in writes {
        results.push(match write {
            Write::Begin(claim) => begin(&mut tx, claim).await?,
            Write::Finish(key, outcome) => {
                finish(&mut tx, key, outcome).await?;
                true
            }
        });
    }
    tx.commit().await?;
    Ok(results)
}

async fn begin(tx: &mut Transaction<'_, Any>, claim: &NewAttempt) -> Result<bool, sqlx::Error> {
    let update = query(
        "UPDATE posts SET state = 'sending', body = COALESCE(body, $1), late = $2, attempts = attempts + 1,
           lease_until = $3, next_attempt = NULL
         WHERE key = $4 AND attempts = $5 AND state IN ('planned', 'sending')",
    )
    .bind(&claim.body)
    .bind(i64::from(claim.late))
    .bind(claim.lease_until.as_millisecond())
    .bind(&claim.key.0)
    .bind(i64::from(claim.attempts));
    if update.execute(&mut **tx).await?.rows_affected() != 1 {
        return Ok(false);
    }
    query("INSERT INTO attempts (key, number, began) VALUES ($1, $2, $3)")
        .bind(&claim.key.0)
        .bind(i64::from(claim.attempts) + 1)
        .bind(claim.now.as_millisecond())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

async fn finish(
    tx: &mut Transaction<'_, Any>,
    key: &PostKey,
    outcome: &AttemptOutcome,
) -> Result<(), sqlx::Error> {
    let (update, ended) = match outcome {
        AttemptOutcome::Sent { accepted, at } => (
            query(
                "UPDATE posts SET state = 'sent', remote = $2, link = $3, sent = $4, lease_until = NULL, error = NULL
                 WHERE key = $1",
            )
            .bind(&key.0)
            .bind(&accepted.id)
            .bind(&accepted.link)
            .bind(at.as_millisecond()),
            "sent",
        ),
        AttemptOutcome::Retry {
            error,
            not_before,
            aside,
        } => (
            query(
                "UPDATE posts SET lease_until = NULL, error = $2, next_attempt = $3,
                   due = CASE WHEN $4 = 1 THEN $3 ELSE due END
                 WHERE key = $1",
            )
            .bind(&key.0)
            .bind(error)
            .bind(not_before.as_millisecond())
            .bind(i64::from(*aside)),
            error.as_str(),
        ),
        AttemptOutcome::Unsaid { reason } => (
            query(
                "UPDATE posts SET state = 'planned', body = NULL, late = 0, lease_until = NULL, next_attempt = NULL,
                   error = $2
                 WHERE key = $1",
            )
            .bind(&key.0)
            .bind(reason),
            reason.as_str(),
        ),
        AttemptOutcome::Parked { error: reason } => (given_up("parked", key, reason), reason.as_str()),
        AttemptOutcome::Dropped { reason } => (given_up("superseded", key, reason), reason.as_str()),
        AttemptOutcome::Skipped { reason } => (given_up("skipped", key, reason), reason.as_str()),
    };
    update.execute(&mut **tx).await?;
    query("UPDATE attempts SET ended = $2 WHERE key = $1 AND ended IS NULL")
        .bind(&key.0)
        .bind(ended)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn given_up<'q>(
    state: &'static str,
    key: &'q PostKey,
    reason: &'q str,
) -> sqlx::query::Query<'q, Any, sqlx::any::AnyArguments> {
    query("UPDATE posts SET state = $2, lease_until = NULL, error = $3 WHERE key = $1")
        .bind(&key.0)
        .bind(state)
        .bind(reason)
}
