//! Loads a configuration whole: reads its files, compiles its templates and lints both.

use std::sync::Arc;

use super::posts;
use crate::{
    config::{self, Config, ConfigFiles, Finding, Origin, Severity},
    words::{Renderer, Zone, context},
};

/// A configuration that passed its review, with its templates compiled.
pub struct Loaded {
    pub config: Config,
    pub renderer: Arc<Renderer>,
    pub warnings: Vec<Finding>,
}

/// Loads what is to be posted in earnest, as [`load`] does: what is still the example's is an error.
pub fn load_own(origin: &Origin) -> Result<Loaded, Vec<Finding>> {
    let examples = ConfigFiles::read(origin).map(|files| config::examples(&files));
    let examples = examples.map_err(|finding| vec![finding])?;
    match load(origin) {
        Ok(loaded) if examples.is_empty() => Ok(loaded),
        Ok(loaded) => Err([examples, loaded.warnings].concat()),
        Err(findings) => Err([examples, findings].concat()),
    }
}

/// Loads and reviews everything; `Err` holds every error found.
pub fn load(origin: &Origin) -> Result<Loaded, Vec<Finding>> {
    let (config, mut findings) = config::load(origin)?;
    let zone = Zone(config.plan.zone.clone());
    let (sample, fact) = context::sample(&config.plan, |n| "m".repeat(n));
    let (topic, asked, long) = context::sample_extras(|n| "m".repeat(n));
    let since = Some(sample.accepted.as_second());
    let troubles = [context::Trouble {
        kind: "stalled",
        chain: Some("chain".into()),
        block: Some(1),
        since,
        posts: Some(1),
    }];
    let moment = context::RenderInput {
        fact: Some(&fact),
        due: Some(sample.accepted),
        late: true,
        thread: Some("https://discord.com/channels/1100000000000000001/1100000000000000002"),
        next: Some(("notice", sample.accepted)),
        troubles: &troubles,
        detail: Some(&long),
        topic: Some(&topic),
        approval: Some(&asked),
        ..context::RenderInput::default()
    };
    let context = context::of_everything(&sample, &config, &moment);
    let renderer = Renderer::new(&config.templates, &config.languages, zone, &context)?;
    findings.extend(posts(&config, &renderer, &sample, &fact, &context));
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(findings);
    }
    Ok(Loaded {
        config,
        renderer: Arc::new(renderer),
        warnings: findings,
    })
}
