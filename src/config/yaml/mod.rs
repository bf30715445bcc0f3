//! YAML as an operator writes it: source files with places, kinds of values, and findings.

pub(super) mod address;
pub(super) mod empty;
pub(super) mod finding;
pub(super) mod kinds;
pub(super) mod placeholder;
pub(super) mod source;
pub(super) mod span;
pub(super) mod values;
mod wording;
