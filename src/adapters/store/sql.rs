//! The store over SQL, SQLite or PostgreSQL: one text of SQL for both. Each port is implemented in a file of its own.

use std::io::{BufRead, Write};

use sqlx::{Any, AnyPool, Transaction, any::AnyArguments, query::Query};

use super::{connect::Database, copy, group_commit::WriteQueue, leadership::Fence};
use crate::ports::StoreError;

pub struct SqlStore {
    pub(super) database: Database,
    pub(super) fence: Fence,
    pub(super) queue: WriteQueue,
}

impl SqlStore {
    /// Opens a store by its address, and makes it if it is missing: the file of `sqlite://…`, the tables of `postgres://…`;
    /// `sqlite::memory:` forgets everything.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, true).await
    }

    /// Opens a store that must be there already.
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, false).await
    }

    async fn open_with(url: &str, create: bool) -> Result<Self, StoreError> {
        Ok(Self {
            database: Database::open(url, create).await?,
            fence: Fence::default(),
            queue: WriteQueue::default(),
        })
    }

    /// Writes everything down; gives the number of rows. No herald may run on it: what is posted afterwards would be
    /// posted once more by the store that takes it over.
    pub async fn export(&self, out: &mut impl Write) -> Result<usize, StoreError> {
        copy::export(&self.database, out).await
    }

    /// Takes over what was written down, whole or not at all; gives the number of rows. The store must be empty.
    pub async fn import(&self, text: impl BufRead) -> Result<usize, StoreError> {
        copy::import(&self.database, text).await
    }

    /// Writes by one statement; returns the number of rows. It is a transaction as every write is: one that the database
    /// can't keep is an error, and a connection that only reads is given up.
    pub(super) async fn execute(
        &self,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        let rows = statement.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(rows)
    }

    /// For what only reads.
    pub(super) fn pool(&self) -> &AnyPool {
        &self.database.pool
    }

    /// Begins a transaction that writes only if no other replica has taken over.
    pub(super) async fn fenced(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.database.begin().await?;
        self.fence.check(&mut tx, self.database.dialect).await?;
        Ok(tx)
    }
}
