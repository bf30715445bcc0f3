//! The chat platforms.

