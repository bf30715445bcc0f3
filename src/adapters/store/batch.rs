//! A batch: everything that one step of a service changes.

use sqlx::{Any, Transaction};

use super::rows::{fault, json};
use crate::{
    domain::outbox::post::{Post, PostKey},
    ports::{Batch, Move, StoreError},
};

async fn insert_post(tx: &mut Transaction<'_, Any>, post: &Post) -> Result<(), StoreError> {
    let fact = post.fact.as_ref().map(json).transpose()?;
    sqlx::query(
        "INSERT INTO posts (key, upgrade, revision, notice, occurrence, channel, operation, due, rank, state, late, fact, attempts, edition, detail, number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, (SELECT COALESCE(MAX(number), 0) + 1 FROM posts))
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(&post.key.0)
    .bind(&post.upgrade)
    .bind(i64::from(post.revision))
    .bind(&post.notice)
    .bind(&post.occurrence)
    .bind(&post.channel)
    .bind(post.operation.name())
    .bind(post.due.as_millisecond())
    .bind(post.rank)
    .bind(post.state.name())
    .bind(i64::from(post.late))
    .bind(fact)
    .bind(i64::from(post.edition))
    .bind(&post.detail)
    .execute(&mut **tx)
    .await
    .map_err(fault)?;
    Ok(())
}

/// Only what waits can be moved: what was begun is 'sending'.
async fn move_post(
    tx: &mut Transaction<'_, Any>,
    key: &PostKey,
    step: &Move,
) -> Result<(), StoreError> {
    let query = match step {
        Move::Due(due) => {
            sqlx::query("UPDATE posts SET due = $2 WHERE key = $1 AND state IN ('planned', 'held')").bind(&key.0).bind(due.as_millisecond())
        }
        Move::Supersede => {
            sqlx::query("UPDATE posts SET state = 'superseded' WHERE key = $1 AND state IN ('planned', 'held')").bind(&key.0)
        }
        Move::Hold(reason) => sqlx::query("UPDATE posts SET state = 'held', error = $2 WHERE key = $1 AND state IN ('planned', 'held')")
            .bind(&key.0)
            .bind(reason),
        Move::Release => sqlx::query("UPDATE posts SET state = 'planned', error = NULL WHERE key = $1 AND state = 'held'").bind(&key.0),
        Move::Expire(reason) => {
            sqlx::query("UPDATE posts SET state = 'expired', error = $2 WHERE key = $1 AND state IN ('planned', 'held')")
                .bind(&key.0)
                .bind(reason)
        }
    };
    query.execute(&mut **tx).await.map_err(fault)?;
    Ok(())
}

pub async fn write_batch(tx: &mut Transaction<'_, Any>, batch: &Batch) -> Result<(), StoreError> {
    for accepted in &batch.upgrades {
        sqlx::query(
            "INSERT INTO upgrades (id, upgrade, progress, revision, accepted, file, commanded) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET upgrade = excluded.upgrade, progress = excluded.progress, revision = excluded.revision,
             file = excluded.file, commanded = excluded.commanded",
        )
        .bind(&accepted.upgrade.id)
        .bind(json(&accepted.upgrade)?)
        .bind(json(&accepted.progress)?)
        .bind(i64::from(accepted.revision))
        .bind(accepted.accepted.as_millisecond())
        .bind(accepted.file.as_ref().map(json).transpose()?)
        .bind(json(&accepted.commanded)?)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    }
    for (chain, memory) in &batch.memories {
        sqlx::query("INSERT INTO memories (chain, memory) VALUES ($1, $2) ON CONFLICT (chain) DO UPDATE SET memory = excluded.memory")
            .bind(chain)
            .bind(json(memory)?)
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
    }
    for fact in &batch.facts {
        let block = i64::try_from(fact.block).map_err(fault)?;
        sqlx::query(
            "INSERT INTO facts (chain, block, kind, detail, fact, number)
             VALUES ($1, $2, $3, $4, $5, (SELECT COALESCE(MAX(number), 0) + 1 FROM facts)) ON CONFLICT DO NOTHING",
        )
        .bind(&fact.chain)
        .bind(block)
        .bind(fact.kind().name())
        .bind(fact.detail())
        .bind(json(fact)?)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    }
    for (key, step) in &batch.moves {
        move_post(tx, key, step).await?;
    }
    for (number, outcome) in &batch.answered {
        let query = sqlx::query("UPDATE requests SET outcome = $2 WHERE number = $1")
            .bind(number)
            .bind(outcome);
        query.execute(&mut **tx).await.map_err(fault)?;
    }
    for given in &batch.approvals {
        sqlx::query("INSERT INTO approvals (upgrade, code, person, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(&given.upgrade)
            .bind(&given.code)
            .bind(&given.person)
            .bind(given.at.as_millisecond())
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
    }
    for old in &batch.supersede {
        // Posts of happenings have revision 0 and stay.
        sqlx::query(
            "UPDATE posts SET state = 'superseded'
             WHERE upgrade = $1 AND revision > 0 AND revision < $2 AND due <= $3 AND state IN ('planned', 'held')",
        )
        .bind(&old.upgrade)
        .bind(i64::from(old.below))
        .bind(old.due_by.as_millisecond())
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    }
    for post in &batch.posts {
        insert_post(tx, post).await?;
    }
    Ok(())
}
