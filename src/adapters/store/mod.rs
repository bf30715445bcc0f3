//! The store over SQL: SQLite in a file, PostgreSQL for several replicas, or SQLite in memory for `rehearse`.

mod batch;
mod campaigns;
mod connect;
mod copy;
mod group_commit;
mod leadership;
mod lock;
mod migrate;
mod outbox;
mod records;
mod requests;
mod rows;
mod sql;

pub use self::connect::file_of;
pub use self::lock::Lock;
pub use self::sql::SqlStore;
