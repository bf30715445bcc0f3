//! Records and troubles in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::query;

use super::{
    SqlStore,
    rows::{record, text, time, to_json},
};
use crate::ports::{Record, RecordKind, RecordStore, StoreError};

#[async_trait]
impl RecordStore for SqlStore {
    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError> {
        let insert = if replace {
            "INSERT INTO entries (kind, upgrade, id, at, value) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (kind, upgrade, id) DO UPDATE SET at = excluded.at, value = excluded.value"
        } else {
            "INSERT INTO entries (kind, upgrade, id, at, value) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING"
        };
        let insert = query(insert)
            .bind(entry.kind.name())
            .bind(&entry.upgrade)
            .bind(&entry.id)
            .bind(entry.at.as_millisecond())
            .bind(to_json(&entry.value)?);
        Ok(self.execute(insert).await? == 1)
    }

    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError> {
        let delete = query("DELETE FROM entries WHERE kind = $1 AND upgrade = $2 AND id = $3")
            .bind(kind.name())
            .bind(upgrade)
            .bind(id);
        Ok(self.execute(delete).await? == 1)
    }

    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError> {
        let rows = query("SELECT * FROM entries WHERE kind = $1 AND upgrade = $2 ORDER BY at, id")
            .bind(kind.name())
            .bind(upgrade)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok(record(row, kind)?)).collect()
    }

    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let change = match trouble {
            Some(trouble) => query(
                "INSERT INTO troubles (part, trouble, since) VALUES ($1, $2, $3)
                 ON CONFLICT (part) DO UPDATE SET trouble = excluded.trouble",
            )
            .bind(part)
            .bind(trouble)
            .bind(at.as_millisecond()),
            None => query("DELETE FROM troubles WHERE part = $1").bind(part),
        };
        self.execute(change).await.map(drop)
    }

    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
        let rows = query("SELECT * FROM troubles ORDER BY part")
            .fetch_all(self.pool())
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    text(row, "part")?,
                    text(row, "trouble")?,
                    time(row, "since")?,
                ))
            })
            .collect()
    }
}
