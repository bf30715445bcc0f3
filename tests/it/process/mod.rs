//! herald as a process: its command line, and what watches over it.

pub mod broken_files;
pub mod cli;
pub mod dry_run;
pub mod health_file;
