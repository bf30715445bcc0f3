//! A batch in SQL: everything that one step changes, written into one transaction.

use sqlx::{Any, Transaction, query};

use super::rows::to_json;
use crate::{
    domain::{
        campaign::Campaign,
        chain::{fact::Fact, memory::Memory},
        outbox::{Post, PostKey},
    },
    ports::{Approved, Batch, Move, StoreError, Supersede},
};

type Tx<'t> = Transaction<'t, Any>;

pub async fn write_batch(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    for campaign in &batch.upgrades {
        put_campaign(tx, campaign).await?;
    }
    for (chain, memory) in &batch.memories {
        put_memory(tx, chain, memory).await?;
    }
    for fact in &batch.facts {
        insert_fact(tx, fact).await?;
    }
    for (key, step) in &batch.moves {
        move_post(tx, key, step).await?;
    }
    for (number, outcome) in &batch.answered {
        // A batch may be written twice, so the same outcome counts as well.
        let answer = query(
            "UPDATE requests SET outcome = $2
             WHERE number = $1 AND (outcome IS NULL OR outcome = $2)",
        )
        .bind(number)
        .bind(to_json(outcome)?);
        if answer.execute(&mut **tx).await?.rows_affected() == 0 {
            // It was discarded since it was read: what it would have changed must not count.
            return Err(StoreError::invalid(
                format!("change {number}"),
                "it is answered already",
            ));
        }
    }
    for given in &batch.approvals {
        insert_approval(tx, given).await?;
    }
    for old in &batch.supersede {
        supersede(tx, old).await?;
    }
    for post in &batch.posts {
        insert_post(tx, post).await?;
    }
    Ok(())
}

async fn put_campaign(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<(), StoreError> {
    query(
        "INSERT INTO upgrades (id, upgrade, progress, revision, accepted, file, commanded)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET upgrade = excluded.upgrade, progress = excluded.progress,
           revision = excluded.revision, file = excluded.file, commanded = excluded.commanded",
    )
    .bind(&campaign.upgrade.id)
    .bind(to_json(&campaign.upgrade)?)
    .bind(to_json(&campaign.progress)?)
    .bind(i64::from(campaign.revision))
    .bind(campaign.accepted.as_millisecond())
    .bind(campaign.file.as_ref().map(to_json).transpose()?)
    .bind(to_json(&campaign.commanded)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn put_memory(tx: &mut Tx<'_>, chain: &str, memory: &Memory) -> Result<(), StoreError> {
    query(
        "INSERT INTO memories (chain, memory) VALUES ($1, $2)
         ON CONFLICT (chain) DO UPDATE SET memory = excluded.memory",
    )
    .bind(chain)
    .bind(to_json(memory)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_fact(tx: &mut Tx<'_>, fact: &Fact) -> Result<(), StoreError> {
    let block = i64::try_from(fact.block)
        .map_err(|error| StoreError::invalid("a block's number", error))?;
    query(
        "INSERT INTO facts (chain, block, kind, detail, fact, number)
         VALUES ($1, $2, $3, $4, $5, (SELECT COALESCE(MAX(number), 0) + 1 FROM facts)) ON CONFLICT DO NOTHING",
    )
    .bind(&fact.chain)
    .bind(block)
    .bind(fact.kind().name())
    .bind(fact.detail())
    .bind(to_json(fact)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves a post that waits. One that has begun is 'sending' and stays as it is.
async fn move_post(tx: &mut Tx<'_>, key: &PostKey, step: &Move) -> Result<(), StoreError> {
    let update = match step {
        Move::Due(due) => {
            query("UPDATE posts SET due = $2 WHERE key = $1 AND state IN ('planned', 'held')")
                .bind(&key.0)
                .bind(due.as_millisecond())
        }
        Move::Supersede => query(
            "UPDATE posts SET state = 'superseded' WHERE key = $1 AND state IN ('planned', 'held')",
        )
        .bind(&key.0),
        Move::Hold(reason) => query(
            "UPDATE posts SET state = 'held', error = $2 WHERE key = $1 AND state IN ('planned', 'held')",
        )
        .bind(&key.0)
        .bind(reason),
        Move::Release => query(
            "UPDATE posts SET state = 'planned', error = NULL WHERE key = $1 AND state = 'held'",
        )
        .bind(&key.0),
        Move::Expire(reason) => query(
            "UPDATE posts SET state = 'expired', error = $2 WHERE key = $1 AND state IN ('planned', 'held')",
        )
        .bind(&key.0)
        .bind(reason),
    };
    update.execute(&mut **tx).await?;
    Ok(())
}

async fn insert_approval(tx: &mut Tx<'_>, given: &Approved) -> Result<(), StoreError> {
    query(
        "INSERT INTO approvals (upgrade, code, person, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(&given.upgrade)
    .bind(&given.code)
    .bind(&given.person)
    .bind(given.at.as_millisecond())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Supersedes posts by the clock; posts of happenings have revision 0 and stay.
async fn supersede(tx: &mut Tx<'_>, old: &Supersede) -> Result<(), StoreError> {
    query(
        "UPDATE posts SET state = 'superseded'
         WHERE upgrade = $1 AND revision > 0 AND revision < $2 AND due <= $3 AND state IN ('planned', 'held')",
    )
    .bind(&old.upgrade)
    .bind(i64::from(old.below))
    .bind(old.due_by.as_millisecond())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_post(tx: &mut Tx<'_>, post: &Post) -> Result<(), StoreError> {
    query(
        "INSERT INTO posts (key, upgrade, revision, notice, occurrence, channel, operation, due, rank, state, late,
           fact, attempts, edition, detail, number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14,
           (SELECT COALESCE(MAX(number), 0) + 1 FROM posts))
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
    .bind(post.fact.as_ref().map(to_json).transpose()?)
    .bind(i64::from(post.edition))
    .bind(&post.detail)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
