//! Requests in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{query, query_as, query_scalar};

use super::{SqlStore, rows::to_json};
use crate::{
    domain::{campaign::change::Change, people::reply::Outcome},
    ports::{Request, RequestStore, StoreError},
};

#[async_trait]
impl RequestStore for SqlStore {
    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let number = query_scalar(
            "INSERT INTO requests (number, upgrade, change, author, at)
             SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4 FROM requests RETURNING number",
        )
        .bind(upgrade)
        .bind(to_json(change)?)
        .bind(author)
        .bind(at.as_millisecond());
        // By itself the row would be given before it is committed, and a commit that fails would not be told.
        let mut tx = self.database.begin().await?;
        let number = number.fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(number)
    }

    async fn requests(&self) -> Result<Vec<Request>, StoreError> {
        let open = query_as("SELECT * FROM requests WHERE outcome IS NULL ORDER BY number");
        Ok(open.fetch_all(self.pool()).await?)
    }

    async fn outcome(&self, request: i64) -> Result<Option<Outcome>, StoreError> {
        let outcome =
            query_scalar::<_, Option<String>>("SELECT outcome FROM requests WHERE number = $1");
        let found = outcome.bind(request).fetch_optional(self.pool()).await?;
        Ok(found.flatten().as_deref().map(Outcome::from_stored))
    }

    async fn discard(&self, request: i64, outcome: &Outcome) -> Result<bool, StoreError> {
        let update =
            query("UPDATE requests SET outcome = $2 WHERE number = $1 AND outcome IS NULL")
                .bind(request)
                .bind(to_json(outcome)?);
        Ok(self.execute(update).await? == 1)
    }

    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let insert = query("INSERT INTO answered (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(at.as_millisecond());
        Ok(self.execute(insert).await? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_has_no_room_is_an_error_and_is_not_there() -> Result<(), StoreError> {
        let store = SqlStore::open("sqlite::memory:").await?;
        let note = Change::Note {
            text: "x".repeat(100_000),
        };
        query("PRAGMA max_page_count = 1")
            .execute(store.pool())
            .await?;
        let given = store.request("v2", &note, "Ada", Timestamp::UNIX_EPOCH);
        assert!(given.await.is_err());
        assert!(store.requests().await?.is_empty());
        query("PRAGMA max_page_count = 1000000")
            .execute(store.pool())
            .await?;
        let given = store.request("v2", &note, "Ada", Timestamp::UNIX_EPOCH);
        assert_eq!(given.await?, 1);
        Ok(())
    }
}
