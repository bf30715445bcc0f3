//! Where herald remembers: SQLite in a file, or PostgreSQL for several replicas; in memory for `rehearse`.

mod batch;
mod connect;
mod copy;
mod lead;
mod lock;
mod rows;
mod schema;
mod sql;
mod together;

pub use lock::Lock;
pub use sql::SqlStore;
