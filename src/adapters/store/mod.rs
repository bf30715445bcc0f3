//! Where herald remembers: SQLite in a file, or PostgreSQL for several replicas; in memory for `rehearse`.

mod batch;
mod connect;
mod copy;
mod group_commit;
mod leadership;
mod lock;
mod rows;
mod schema;
mod sql;

pub use self::lock::Lock;
pub use self::sql::SqlStore;
