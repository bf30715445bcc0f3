//! herald as a process: its command line, and what watches over it.

pub mod cli;
pub mod health_file;
