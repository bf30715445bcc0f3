//! Where herald remembers: SQLite, in a file for `run` and in memory for `rehearse`.

mod rows;
mod schema;
mod sql;

pub use sql::SqlStore;
