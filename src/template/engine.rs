//! Handlebars with our helpers, Markdown escaping and no surprises.

use std::collections::BTreeMap;

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, Template};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    check, discord, matrix,
    times::{Zone, left_mark, time_mark, without_marks},
};
use crate::{
    config::{Finding, SourceFile},
    domain::post::Body,
    ports::Platform,
};

/// Renders notices for both platforms.
pub struct Renderer {
    engine: Handlebars<'static>,
    zone: Zone,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Renderer {
    /// Compiles every template; unknown variables are found by following each path in `sample`, a
    /// context in which everything that can be there is there.
    pub fn new(templates: &BTreeMap<String, SourceFile>, zone: Zone, sample: &Value) -> Result<Self, Vec<Finding>> {
        let mut engine = Handlebars::new();
        engine.register_escape_fn(escape);
        engine.register_helper("time", Box::new(time));
        engine.register_helper("left", Box::new(left));
        engine.register_helper("short", Box::new(short));
        let mut findings = Vec::new();
        let mut compiled = BTreeMap::new();
        for (name, file) in templates {
            match Template::compile_with_name(&file.text, name.clone()) {
                Ok(template) => {
                    compiled.insert(name.clone(), template);
                }
                Err(error) => {
                    let place = error.pos().unwrap_or((1, 1));
                    findings.push(file.at(
                        place,
                        format!("this is not a template: {}", error.reason()),
                        "look for an unclosed {{ or a missing {{/…}}".to_owned(),
                    ));
                }
            }
        }
        check::all(&compiled, templates, sample, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        for (name, template) in compiled {
            if let Some(short) = name.strip_prefix("partials/") {
                engine.register_template(short, template.clone());
            }
            engine.register_template(&name, template);
        }
        Ok(Self { engine, zone })
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The Markdown of a notice. Errors name template, line and reason.
    pub fn markdown(&self, template: &str, context: &Value) -> Result<String, String> {
        self.engine.render(template, context).map_err(|e| format!("templates/{template}.md.hbs: {e}"))
    }

    /// What a platform is given.
    pub fn body(&self, markdown: &str, platform: Platform, now: Timestamp) -> Body {
        match platform {
            Platform::Discord => Body { text: discord::write(markdown, &self.zone), html: None, ..Body::default() },
            Platform::Matrix => {
                let (html, text) = matrix::write(markdown, &self.zone, now);
                Body { text, html: Some(html), ..Body::default() }
            }
        }
    }
}

/// Makes a value harmless in Markdown: one line, no formatting, no link, no mark.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for c in without_marks(value).chars() {
        match c {
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => out.push(' '),
            c if c.is_ascii_punctuation() && !matches!(c, '\'' | ',' | '?' | '/' | ':' | ';' | '%' | '=' | '$' | '"' | '^') => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn time(h: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> HelperResult {
    out.write(&time_mark(second(h, "time")?))?;
    Ok(())
}

fn left(h: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> HelperResult {
    out.write(&left_mark(second(h, "left")?))?;
    Ok(())
}

fn second(h: &Helper<'_>, name: &'static str) -> Result<i64, RenderErrorReason> {
    let value = h.param(0).map(|p| p.value());
    value.and_then(Value::as_i64).ok_or_else(|| RenderErrorReason::Other(format!("{{{{{name} …}}}} wants a time, such as window.opens")))
}

/// A hash, shortened to what an eye compares.
fn short(h: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> HelperResult {
    let value = h.param(0).and_then(|p| p.value().as_str()).unwrap_or_default();
    let count = value.chars().count();
    let text = if count > 14 {
        let tail: String = value.chars().skip(count - 4).collect();
        format!("{}…{tail}", value.chars().take(8).collect::<String>())
    } else {
        value.to_owned()
    };
    out.write(&escape(&text))?;
    Ok(())
}
