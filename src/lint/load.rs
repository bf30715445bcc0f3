//! Loads a configuration whole: reads its files, compiles its templates and lints both.

use std::sync::Arc;

use super::posts;
use crate::{
    config::{self, Config, ConfigFiles, Finding, Origin, Severity, SourceFile},
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
/// which is in its store. A broken upgrade's file is passed over; where another file is broken, all but herald.yaml are the
/// ones in the binary. `Err` has the findings.
pub fn load_usable(origin: &Origin) -> Result<(Loaded, Vec<Finding>), Vec<Finding>> {
    let found = match load(origin) {
        Ok(loaded) => return Ok((loaded, Vec::new())),
        Err(found) => found,
    };
    let is_broken = |file: &SourceFile| {
        found
            .iter()
            .any(|finding| finding.severity == Severity::Error && finding.file == file.name)
    };
    let without_broken = ConfigFiles::read(origin).ok().and_then(|mut files| {
        files.upgrades.retain(|file| !is_broken(file));
        load_files(files).ok()
    });
    let with_defaults = || {
        let deployment = ConfigFiles::deployment_of(origin)?;
        let upgrades = Vec::new();
        let files = ConfigFiles {
            deployment,
            upgrades,
            ..ConfigFiles::embedded()
        };
        load_files(files).ok()
    };
    match without_broken.or_else(with_defaults) {
        Some(loaded) => Ok((loaded, found)),
        None => Err(found),
    }
}

/// Loads and reviews everything; `Err` holds every error found.
pub fn load(origin: &Origin) -> Result<Loaded, Vec<Finding>> {
    load_files(ConfigFiles::read(origin).map_err(|finding| vec![finding])?)
}

fn load_files(files: ConfigFiles) -> Result<Loaded, Vec<Finding>> {
    let (config, mut findings) = config::load_files(files)?;
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
