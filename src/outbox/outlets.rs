//! The channels that posts go to: those of the files, and a private one on each platform.

use std::collections::BTreeMap;

use crate::ports::{Outlet, Platform, Readers};

/// A channel by its name. A private one is reached by the connection of its platform.
pub fn find(outlets: &BTreeMap<String, Outlet>, channel: &str) -> Option<Outlet> {
    let private = || {
        let mut all = Platform::ALL.into_iter();
        let platform = all.find(|p| p.private_channel().as_deref() == Some(channel))?;
        let beside = outlets.values().find(|o| o.platform == platform)?;
        Some(Outlet {
            place: String::new(),
            readers: Readers::Public,
            mentions: BTreeMap::new(),
            ..beside.clone()
        })
    };
    outlets.get(channel).cloned().or_else(private)
}

/// The names of all channels that posts may wait for.
pub fn names(outlets: &BTreeMap<String, Outlet>) -> Vec<String> {
    let private = Platform::ALL
        .into_iter()
        .filter(|platform| outlets.values().any(|o| o.platform == *platform))
        .filter_map(Platform::private_channel);
    outlets.keys().cloned().chain(private).collect()
}
