//! Loads a configuration whole: reads its files, compiles its templates and lints both.

use std::sync::Arc;

use serde_json::Value;

use super::posts;
use crate::{
    config::{self, Config, ConfigFiles, Finding, Origin, Severity},
    domain::{campaign::Campaign, chain::fact::Fact},
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

/// Loads what can be used of files of which some can't: for commands about what a herald that runs has accepted already,
/// which is in its store. With it come the findings; `Err` has them where there is no store to look at.
pub fn load_usable(origin: &Origin) -> Result<(Loaded, Vec<Finding>), Vec<Finding>> {
    let found = match load(origin) {
        Ok(loaded) => return Ok((loaded, Vec::new())),
        Err(found) => found,
    };
    let files = ConfigFiles::read(origin)
        .ok()
        .or_else(|| ConfigFiles::bare(origin));
    let Some(mut config) = files.and_then(config::usable) else {
        return Err(found);
    };
    let renderer = match Samples::of(&config).renderer(&config) {
        Ok(renderer) => renderer,
        Err(_) => {
            config = config.with_built_in_words();
            Samples::of(&config).renderer(&config)?
        }
    };
    let loaded = Loaded {
        config,
        renderer: Arc::new(renderer),
        warnings: Vec::new(),
    };
    Ok((loaded, found))
}

/// Loads and reviews everything; `Err` holds every error found.
pub fn load(origin: &Origin) -> Result<Loaded, Vec<Finding>> {
    let (config, mut findings) = config::load(origin)?;
    let samples = Samples::of(&config);
    let renderer = samples.renderer(&config)?;
    let Samples {
        campaign,
        fact,
        context,
    } = &samples;
    findings.extend(posts(&config, &renderer, campaign, fact, context));
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(findings);
    }
    Ok(Loaded {
        config,
        renderer: Arc::new(renderer),
        warnings: findings,
    })
}

/// A campaign as long as one can be, and all that a template may say of it.
struct Samples {
    campaign: Campaign,
    fact: Fact,
    context: Value,
}

impl Samples {
    fn of(config: &Config) -> Self {
        let (campaign, fact) = context::sample(&config.plan, |n| "m".repeat(n));
        let (topic, asked, long) = context::sample_extras(|n| "m".repeat(n));
        let since = Some(campaign.accepted.as_second());
        let troubles = [context::Trouble {
            kind: "stalled",
            chain: Some("chain".into()),
            block: Some(1),
            since,
            posts: Some(1),
        }];
        let moment = context::RenderInput {
            fact: Some(&fact),
            due: Some(campaign.accepted),
            late: true,
            thread: Some("https://discord.com/channels/1100000000000000001/1100000000000000002"),
            next: Some(("notice", campaign.accepted)),
            troubles: &troubles,
            detail: Some(&long),
            topic: Some(&topic),
            approval: Some(&asked),
            ..context::RenderInput::default()
        };
        let context = context::of_everything(&campaign, config, &moment);
        Self {
            campaign,
            fact,
            context,
        }
    }

    fn renderer(&self, config: &Config) -> Result<Renderer, Vec<Finding>> {
        let zone = Zone(config.plan.zone.clone());
        Renderer::new(&config.templates, &config.languages, zone, &self.context)
    }
}
