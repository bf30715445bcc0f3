//! Each notice has one Markdown source, which becomes what each platform shows best.
//!
//! A Handlebars template, in the channel's language if it is translated, gives Markdown with time
//! marks, and that becomes Discord's Markdown, or Matrix's HTML and plain text. The characters of
//! values have stand-ins meanwhile, so nothing from a file, a chain or a chat can format, link or mention.

pub mod ballot;
pub mod card;
mod check;
pub mod context;
mod discord;
mod engine;
#[cfg(feature = "web")]
pub(crate) mod html_preview;
pub mod icalendar;
pub mod limits;
pub(crate) mod lint_unguarded;
mod literal;
mod matrix;
pub mod mention;
pub mod picture;
pub mod render;
mod replies;
pub mod snapshot;
pub mod templates;
mod times;

pub use self::discord::as_words;
pub use self::engine::{Renderer, Text, escape};
pub use self::lint_unguarded::Unguarded;
pub use self::literal::is_disruptive;
pub use self::times::{Zone, distance, length_words};
/// The values that a template is rendered with.
pub use handlebars::Context;

#[cfg(test)]
mod characters;
#[cfg(test)]
mod tests;
