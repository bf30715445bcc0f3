//! One file a command.

/// Prints a result. A closed pipe (`herald plan | head`) is the reader's choice, not a fault.
macro_rules! out {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

pub mod approve;
pub mod change;
pub mod check;
pub mod facts;
mod mentions;
pub mod new;
pub mod plan;
pub mod preview;
pub mod rehearse;
pub mod reload;
pub mod run;
pub mod schema;
pub mod status;
pub mod window;
