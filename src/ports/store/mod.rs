//! The store, as one port for each concern. A store implements them all, over one database.

mod campaigns;
mod error;
mod leadership;
mod outbox;
mod records;
mod requests;

pub use self::{
    campaigns::{Approved, Batch, CampaignStore, Move, Supersede},
    error::StoreError,
    leadership::{Leadership, LeadershipStore, Replica, ReplicaInfo},
    outbox::{AttemptOutcome, OutboxStore},
    records::{AuditEntry, Record, RecordKind, RecordStore},
    requests::{Request, RequestStore},
};

/// Every port of a store, so that one `Arc<dyn Store>` is handed around.
pub trait Store:
    CampaignStore + OutboxStore + RequestStore + RecordStore + LeadershipStore
{
}

impl<T> Store for T where
    T: CampaignStore + OutboxStore + RequestStore + RecordStore + LeadershipStore
{
}
