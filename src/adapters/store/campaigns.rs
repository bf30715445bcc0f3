//! Campaigns, chains, facts and approvals in SQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::{
    SqlStore,
    batch::write_batch,
    rows::{json, text},
};
use crate::{
    domain::{
        campaign::Campaign,
        chain::{fact::Fact, fact_kind::FactKind, memory::Memory},
    },
    ports::{Approved, Batch, CampaignStore, StoreError},
};

#[async_trait]
impl CampaignStore for SqlStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tx = self.fenced().await?;
        write_batch(&mut tx, &batch).await?;
        Ok(tx.commit().await?)
    }

    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError> {
        let all = query_as("SELECT * FROM upgrades ORDER BY accepted, id");
        Ok(all.fetch_all(self.pool()).await?)
    }

    async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError> {
        let one = query_as("SELECT * FROM upgrades WHERE id = $1").bind(id);
        Ok(one.fetch_optional(self.pool()).await?)
    }

    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError> {
        let rows = query("SELECT chain, memory FROM memories")
            .fetch_all(self.pool())
            .await?;
        rows.iter()
            .map(|row| Ok((text(row, "chain")?, json(row, "memory")?)))
            .collect()
    }

    async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        let all = query_as("SELECT fact FROM facts ORDER BY number");
        Ok(all.fetch_all(self.pool()).await?)
    }

    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError> {
        let some = query_as("SELECT fact FROM facts WHERE kind = $1 ORDER BY number");
        Ok(some.bind(kind.name()).fetch_all(self.pool()).await?)
    }

    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError> {
        let given = query_as("SELECT * FROM approvals WHERE upgrade = $1 ORDER BY at, person");
        Ok(given.bind(upgrade).fetch_all(self.pool()).await?)
    }
}
