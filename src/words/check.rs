//! Reviews templates before anything is rendered: unknown variables, unknown partials and helpers,
//! unescaped output, and partials that include each other (which would overflow the stack).

use std::collections::BTreeMap;

use handlebars::{
    Template,
    template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement},
};
use serde_json::Value;

use crate::{
    config::{Finding, SourceFile},
    domain::plan::language::split,
};

const HELPER_NAMES: [&str; 23] = [
    "time", "left", "short", "span", "word", "command", "if", "unless", "each", "with", "lookup",
    "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len", "else", "raw",
];

/// Names that stand for seconds, each with the helper that writes it so that people can read it.
const SECONDS_NAMES: [(&str, &str); 13] = [
    ("opens", "time"),
    ("closes", "time"),
    ("by", "time"),
    ("at", "time"),
    ("due", "time"),
    ("time", "time"),
    ("since", "time"),
    ("until", "time"),
    ("decide_by", "time"),
    ("healthy_for", "span"),
    ("complete_after", "span"),
    ("length", "span"),
    ("band", "span"),
];

pub fn all(
    templates: &BTreeMap<String, Template>,
    files: &BTreeMap<String, SourceFile>,
    sample: &Value,
    findings: &mut Vec<Finding>,
) {
    for (name, template) in templates {
        let Some(file) = files.get(name) else {
            continue;
        };
        let (original, locale) = split(name);
        // A partial may be empty, if somebody wants nothing there.
        if file.text.trim().is_empty() && !name.starts_with("partials/") {
            findings.push(file.at(
                (1, 1),
                "there is nothing in it".to_owned(),
                "write some words, or remove the file".to_owned(),
            ));
        }
        if let Some(cycle) = cycle(original, locale, templates, &mut Vec::new()) {
            findings.push(file.at(
                (1, 1),
                format!("partials include each other: {}", cycle.join(" → ")),
                "break the circle".to_owned(),
            ));
            continue;
        }
        let mut review = Review {
            file,
            templates,
            sample,
            findings,
        };
        review.template(template, &Scope::root(sample));
    }
}

fn key(partial: &str) -> String {
    if partial.contains('/') {
        partial.to_owned()
    } else {
        format!("partials/{partial}")
    }
}

/// Finds the circle that a template is in, by its partials in the template's own language.
fn cycle(
    name: &str,
    locale: Option<&str>,
    templates: &BTreeMap<String, Template>,
    path: &mut Vec<String>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|n| n == name) {
        let mut circle = path.split_off(start);
        circle.push(name.to_owned());
        return Some(circle);
    }
    let translated = locale.and_then(|locale| templates.get(&format!("{name}.{locale}")));
    let template = translated.or_else(|| templates.get(name))?;
    path.push(name.to_owned());
    let mut names = Vec::new();
    partials(template, &mut names);
    for partial in names {
        if let Some(found) = cycle(&key(&partial), locale, templates, path) {
            return Some(found);
        }
    }
    path.pop();
    None
}

fn partials(template: &Template, names: &mut Vec<String>) {
    for element in &template.elements {
        match element {
            TemplateElement::PartialExpression(d) | TemplateElement::PartialBlock(d) => {
                names.extend(d.name.as_name().map(str::to_owned));
                d.template.iter().for_each(|t| partials(t, names));
            }
            TemplateElement::HelperBlock(h) => h
                .template
                .iter()
                .chain(&h.inverse)
                .for_each(|t| partials(t, names)),
            _ => {}
        }
    }
}

/// Returns the kind of value that a helper wants instead of this one, and an example.
fn misfit(helper: &str, raw: &str, value: &Value) -> Option<(&'static str, &'static str)> {
    let last = raw.rsplit(['.', '/']).next().unwrap_or_default();
    let kind = SECONDS_NAMES
        .iter()
        .find(|(name, _)| *name == last)
        .map(|(_, kind)| *kind);
    match helper {
        "time" | "left" => {
            (!value.is_number() || kind == Some("span")).then_some(("a time", "window.opens"))
        }
        "span" => (!value.is_number() || kind == Some("time"))
            .then_some(("a length in seconds", "verification.healthy_for")),
        "short" => (!value.is_string()).then_some(("a text", "fact.hash")),
        "word" => (!value.is_string()).then_some(("one of herald's words", "upgrade.state")),
        "each" => (!(value.is_array() || value.is_object())).then_some(("a list", "chains")),
        _ => None,
    }
}

/// The meaning of names at a place in a template.
#[derive(Clone)]
struct Scope<'a> {
    /// The values of `this` here and around it; the last is the innermost.
    stack: Vec<Option<&'a Value>>,
    /// The names given by `as |x|`.
    named: Vec<(String, Option<&'a Value>)>,
}

impl<'a> Scope<'a> {
    fn root(sample: &'a Value) -> Self {
        Self {
            stack: vec![Some(sample)],
            named: Vec::new(),
        }
    }

    /// Finds a path's value. `Err` names the first missing part; `Ok(None)` can't be known here.
    fn resolve(&self, raw: &str) -> Result<Option<&'a Value>, String> {
        let mut depth = self.stack.len().saturating_sub(1);
        let mut rest = raw;
        if let Some(after) = rest.strip_prefix("@root.") {
            (depth, rest) = (0, after);
        } else if rest.starts_with('@') {
            return Ok(None);
        }
        while let Some(after) = rest.strip_prefix("../") {
            (depth, rest) = (depth.saturating_sub(1), after);
        }
        let rest = rest
            .strip_prefix("this.")
            .or_else(|| rest.strip_prefix("./"))
            .unwrap_or(rest);
        let mut at = self.stack.get(depth).copied().flatten();
        let mut parts: Vec<&str> = rest
            .split(['.', '/'])
            .filter(|p| !p.is_empty() && *p != "this")
            .collect();
        if let Some((_, value)) = parts
            .first()
            .and_then(|first| self.named.iter().rev().find(|(n, _)| n == first))
        {
            at = *value;
            parts.remove(0);
        }
        for part in parts {
            let Some(value) = at else { return Ok(None) };
            at = Some(match value {
                Value::Object(map) => map.get(part).ok_or_else(|| part.to_owned())?,
                Value::Array(list) => part
                    .trim_matches(['[', ']'])
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| list.get(i))
                    .ok_or_else(|| part.to_owned())?,
                _ => return Err(part.to_owned()),
            });
        }
        Ok(at)
    }
}

struct Review<'a, 'f> {
    file: &'a SourceFile,
    templates: &'a BTreeMap<String, Template>,
    sample: &'a Value,
    findings: &'f mut Vec<Finding>,
}

impl<'a> Review<'a, '_> {
    fn template(&mut self, template: &Template, scope: &Scope<'a>) {
        for (i, element) in template.elements.iter().enumerate() {
            let place = template.mapping.get(i).map_or((1, 1), |m| (m.0, m.1));
            match element {
                TemplateElement::HtmlExpression(_) => {
                    self.say(
                        place,
                        "{{{…}}} would post a value unescaped".to_owned(),
                        "write two braces".to_owned(),
                    );
                }
                TemplateElement::Expression(h) => self.helper(h, scope, place),
                TemplateElement::HelperBlock(h) => self.block(h, scope, place),
                TemplateElement::PartialExpression(d) | TemplateElement::PartialBlock(d) => {
                    self.partial(d, place)
                }
                TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                    self.say(
                        place,
                        "decorators have no use here".to_owned(),
                        "remove it".to_owned(),
                    );
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, place: (usize, usize), message: String, hint: String) {
        self.findings.push(self.file.at(place, message, hint));
    }

    fn partial(&mut self, d: &DecoratorTemplate, place: (usize, usize)) {
        let Some(name) = d.name.as_name() else { return };
        // A partial is named without a language; the template's own language is taken.
        if !self.templates.contains_key(&key(name)) || split(name).1.is_some() {
            let originals = self.templates.keys().filter(|n| split(n).1.is_none());
            let known: Vec<&str> = originals
                .filter_map(|n| n.strip_prefix("partials/"))
                .collect();
            let hint = crate::config::suggest(name, known);
            self.say(place, format!("there is no partial `{name}`"), hint);
        }
    }

    fn helper(&mut self, h: &HelperTemplate, scope: &Scope<'a>, place: (usize, usize)) {
        let name = h.name.as_name().unwrap_or_default();
        if h.params.is_empty() && h.hash.is_empty() {
            self.parameter(&h.name, scope, place);
            self.readable(h.name.as_name().unwrap_or_default(), scope, place);
        } else if !HELPER_NAMES.contains(&name) {
            self.say(
                place,
                format!("there is no helper `{name}`"),
                crate::config::suggest(name, HELPER_NAMES),
            );
        } else {
            self.arguments(name, h, scope, place);
        }
        for parameter in h.params.iter().chain(h.hash.values()) {
            self.parameter(parameter, scope, place);
        }
    }

    /// Checks that the helper has as many values as it takes, and of a kind it can use.
    fn arguments(
        &mut self,
        name: &str,
        h: &HelperTemplate,
        scope: &Scope<'a>,
        place: (usize, usize),
    ) {
        let takes = match name {
            "and" | "or" => h.params.len().max(1),
            "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "lookup" => 2,
            _ => 1,
        };
        if h.params.len() != takes {
            let values = if takes == 1 {
                "one value".to_owned()
            } else {
                format!("{takes} values")
            };
            self.say(
                place,
                format!("`{name}` takes {values}, not {}", h.params.len()),
                "write each behind it, with a space between".to_owned(),
            );
        }
        let options: Vec<&str> = h
            .hash
            .keys()
            .filter(|k| !(matches!(name, "if" | "unless") && *k == "includeZero"))
            .map(String::as_str)
            .collect();
        if !options.is_empty() {
            self.say(
                place,
                format!("`{name}` knows nothing of `{}=`", options.join("=`, `")),
                "remove it".to_owned(),
            );
        }
        let Some(parameter) = h.params.first() else {
            return;
        };
        let value = match parameter {
            Parameter::Literal(value) => Some(value),
            Parameter::Subexpression(_) => None,
            other => other
                .as_name()
                .and_then(|raw| scope.resolve(raw).ok().flatten()),
        };
        let Some(value) = value.filter(|v| !v.is_null()) else {
            return;
        };
        let raw = parameter
            .as_name()
            .map_or_else(|| value.to_string(), str::to_owned);
        if let Some((wanted, example)) = misfit(name, &raw, value) {
            self.say(
                place,
                format!("`{{{{{name} {raw}}}}}` wants {wanted}"),
                format!("for example {{{{{name} {example}}}}}"),
            );
        }
    }

    fn readable(&mut self, raw: &str, scope: &Scope<'a>, place: (usize, usize)) {
        let last = raw.rsplit(['.', '/']).next().unwrap_or_default();
        let helper = SECONDS_NAMES
            .iter()
            .find(|(name, _)| *name == last)
            .map(|(_, helper)| helper);
        match (scope.resolve(raw), helper) {
            (Ok(Some(Value::Number(_))), Some(helper)) => {
                self.say(
                    place,
                    format!("`{raw}` is a number of seconds, which nobody reads"),
                    format!("write {{{{{helper} {raw}}}}}"),
                );
            }
            (Ok(Some(Value::Object(parts))), _) => {
                let parts: Vec<&str> = parts.keys().map(String::as_str).collect();
                self.say(
                    place,
                    format!("`{raw}` is no text: it has parts"),
                    format!("write one of them: {}", parts.join(", ")),
                );
            }
            _ => {}
        }
    }

    fn parameter(&mut self, parameter: &Parameter, scope: &Scope<'a>, place: (usize, usize)) {
        match parameter {
            Parameter::Subexpression(sub) => {
                if let TemplateElement::Expression(h) = sub.as_element() {
                    self.helper(h, scope, place);
                }
            }
            Parameter::Literal(_) => {}
            Parameter::Name(raw) => self.variable(raw, scope, place),
            _ => self.variable(parameter.as_name().unwrap_or_default(), scope, place),
        }
    }

    fn variable(&mut self, raw: &str, scope: &Scope<'a>, place: (usize, usize)) {
        if let Err(missing) = scope.resolve(raw) {
            let mut names: Vec<&str> = Vec::new();
            let here = scope.stack.last().copied().flatten();
            for value in here.into_iter().chain([self.sample]) {
                names.extend(
                    value
                        .as_object()
                        .into_iter()
                        .flat_map(|m| m.keys().map(String::as_str)),
                );
            }
            if let Some((parent, _)) = raw.rsplit_once('.')
                && let Ok(Some(Value::Object(map))) = scope.resolve(parent)
            {
                names = map.keys().map(String::as_str).collect();
            }
            let hint = crate::config::suggest(&missing, names);
            self.say(place, format!("there is no variable `{raw}`"), hint);
        }
    }

    fn block(&mut self, h: &HelperTemplate, scope: &Scope<'a>, place: (usize, usize)) {
        let name = h.name.as_name().unwrap_or_default().to_owned();
        if !HELPER_NAMES.contains(&name.as_str()) {
            self.say(
                place,
                format!("there is no block helper `{name}`"),
                "use if, unless, each or with".to_owned(),
            );
            return;
        }
        self.arguments(&name, h, scope, place);
        for parameter in &h.params {
            self.parameter(parameter, scope, place);
        }
        let value = h
            .params
            .first()
            .and_then(Parameter::as_name)
            .and_then(|raw| scope.resolve(raw).ok())
            .flatten();
        let inner = match name.as_str() {
            "each" => Some(
                value
                    .and_then(|v| v.as_array())
                    .and_then(|list| list.first()),
            ),
            "with" => Some(value),
            _ => None,
        };
        let mut within = scope.clone();
        if let Some(inner) = inner {
            match &h.block_param {
                Some(BlockParam::Single(p)) => within
                    .named
                    .push((p.as_name().unwrap_or_default().to_owned(), inner)),
                Some(BlockParam::Pair((p, q))) => {
                    within
                        .named
                        .push((p.as_name().unwrap_or_default().to_owned(), inner));
                    within
                        .named
                        .push((q.as_name().unwrap_or_default().to_owned(), None));
                }
                _ => within.stack.push(inner),
            }
        }
        h.template.iter().for_each(|t| self.template(t, &within));
        h.inverse.iter().for_each(|t| self.template(t, scope));
    }
}
