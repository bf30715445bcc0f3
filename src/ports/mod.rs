//! The ports: traits that say what herald needs of the outside. Adapters implement them.

mod chain;
mod chat;
mod clock;
mod commands;
pub mod lease;
mod platform;
mod store;

pub use self::{
    chain::{Chain, ChainError, Head},
    chat::{Accepted, Chat, ChatError, NamedPlace, Outgoing, Outlet},
    clock::Clock,
    commands::{Admission, Asker, CommandHandler},
    platform::{
        Capabilities, IdFormat, Markup, Pictures, Platform, Readers, RightsModel, TextLimit,
        canonical_matrix_id, is_discord_id, is_matrix_id,
    },
    store::{
        Approved, AttemptOutcome, AuditEntry, Batch, CampaignStore, Leadership, LeadershipStore,
        Move, OutboxStore, Record, RecordKind, RecordStore, Replica, ReplicaInfo, Request,
        RequestStore, Store, StoreError, Supersede,
    },
};
pub use crate::domain::outbox::Handling;
