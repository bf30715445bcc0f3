//! Reading YAML: source files, spans, findings.

pub(crate) mod finding;
pub(crate) mod placeholder;
pub(crate) mod source;
pub(crate) mod span;
