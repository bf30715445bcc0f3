//! The services of a rehearsal: those of `herald run`, ticked by the driver instead of by time.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    listen::{feedback::Summariser, rollcall::Rollcall},
    outbox::Core,
    plan::planner::Planner,
    ports::Chain,
    watch::watcher::Watcher,
};

pub(super) struct RehearsalServices {
    pub watcher: Watcher,
    pub dispatcher: Dispatcher,
    pub summariser: Summariser,
    pub rollcall: Rollcall,
    pub gate: Gate,
    pub planner: Planner,
}

impl RehearsalServices {
    pub fn new(core: &Arc<Core>, nodes: &BTreeMap<String, Arc<dyn Chain>>) -> Self {
        Self {
            watcher: Watcher::new(core.clone(), nodes.clone()),
            dispatcher: Dispatcher::new(core.clone()),
            summariser: Summariser::new(core.clone()),
            rollcall: Rollcall::new(core.clone()),
            gate: Gate::new(core.clone()),
            planner: Planner::new(core.clone()),
        }
    }
}
