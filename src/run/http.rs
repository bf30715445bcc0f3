//! Serves the status page and what monitors ask for, for as long as the process runs, active or standing by.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::health_file::HealthFile;
use crate::{
    adapters::clock::SystemClock,
    config::{Config, Web},
    outbox::Core,
    ports::{Chain, Outlet, Store},
    web::{self, Site},
    words::{Renderer, snapshot::ConfigSnapshot},
};

/// The servers, which end when this is dropped.
pub(super) struct Serving {
    pub site: Arc<Site>,
    _tasks: JoinSet<()>,
}

/// The pages are made from these until the process is active.
pub(super) struct PageSource<'a> {
    pub config: &'a Config,
    pub renderer: &'a Arc<Renderer>,
    pub outlets: &'a BTreeMap<String, Outlet>,
    pub chains: &'a BTreeMap<String, Arc<dyn Chain>>,
    pub store: &'a Arc<dyn Store>,
}

/// Takes the addresses of herald.yaml, where it names some.
pub(super) async fn start(
    shown: PageSource<'_>,
    health_file: &Arc<HealthFile>,
    stop: &CancellationToken,
) -> Result<Option<Serving>> {
    let Some(Web {
        listen,
        operations,
        address,
        title,
    }) = shown.config.deployment.web.clone()
    else {
        return Ok(None);
    };
    let snapshot = ConfigSnapshot {
        config: shown.config.clone(),
        renderer: shown.renderer.clone(),
    };
    let core = Arc::new(Core::new(
        snapshot,
        shown.outlets.clone(),
        Arc::new(SystemClock),
        shown.store.clone(),
    ));
    let mut tasks = JoinSet::new();
    let public = match listen {
        Some(at) => Some(web::bind(at, "listen").await.map_err(anyhow::Error::msg)?),
        None => None,
    };
    let monitors = match operations {
        Some(at) => Some(
            web::bind(at, "operations")
                .await
                .map_err(anyhow::Error::msg)?,
        ),
        None => None,
    };
    let here = public
        .as_ref()
        .and_then(|l| l.local_addr().ok())
        .map(|at| format!("http://{at}/"))
        .unwrap_or_default();
    let health = {
        let health_file = health_file.clone();
        move || health_file.health()
    };
    let site = Site::new(
        core,
        address.unwrap_or(here),
        title,
        shown.chains.clone(),
        health,
    );
    if let Some(listener) = public {
        tracing::info!("the page is at http://{}/", listener.local_addr()?);
        tasks.spawn(site.clone().keep(stop.clone()));
        tasks.spawn(serve(listener, site.public(), stop.clone()));
    }
    if let Some(listener) = monitors {
        tracing::info!(
            "monitors find /healthz, /readyz and /metrics at http://{}/",
            listener.local_addr()?
        );
        tasks.spawn(serve(listener, site.operations(), stop.clone()));
    }
    Ok(Some(Serving {
        site,
        _tasks: tasks,
    }))
}

async fn serve(listener: tokio::net::TcpListener, router: axum::Router, stop: CancellationToken) {
    if let Err(error) = web::serve(listener, router, stop).await {
        tracing::error!("nothing is served any more: {error}");
    }
}
