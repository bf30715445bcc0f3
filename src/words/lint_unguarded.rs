//! Finds where a template speaks of a fact, though the notice it is for may have none.
//!
//! Handlebars writes nothing for a value that is not there, so the sentence would have a hole.

use handlebars::{
    Template,
    template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement},
};

/// A part of a fact that is written without asking whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unguarded {
    /// The template it stands in, a notice's own or a partial, as registered, without a language.
    pub template: String,
    pub place: (usize, usize),
    /// The variable as written: `fact.block`.
    pub variable: String,
}

/// Finds a template's unguarded parts; `find` gives the templates that it includes.
pub fn unguarded<'a>(name: &str, find: &dyn Fn(&str) -> Option<&'a Template>) -> Vec<Unguarded> {
    let mut search = Search {
        find,
        found: Vec::new(),
    };
    search.template(name, false);
    search.found
}

struct Search<'a, 'f> {
    find: &'f dyn Fn(&str) -> Option<&'a Template>,
    found: Vec<Unguarded>,
}

impl Search<'_, '_> {
    fn template(&mut self, name: &str, guarded: bool) {
        if let Some(template) = (self.find)(name).filter(|_| !guarded) {
            self.elements(name, template);
        }
    }

    /// Searches the elements that no guard stands around.
    fn elements(&mut self, name: &str, template: &Template) {
        for (i, element) in template.elements.iter().enumerate() {
            let place = template.mapping.get(i).map_or((1, 1), |m| (m.0, m.1));
            match element {
                TemplateElement::Expression(h) => self.expression(name, h, place),
                TemplateElement::HelperBlock(h) => self.block(name, h),
                TemplateElement::PartialExpression(d) | TemplateElement::PartialBlock(d) => {
                    self.partial(name, d)
                }
                _ => {}
            }
        }
    }

    fn partial(&mut self, name: &str, d: &DecoratorTemplate) {
        if let Some(partial) = d.name.as_name() {
            self.template(partial, false);
        }
        d.template.iter().for_each(|t| self.elements(name, t));
    }

    fn expression(&mut self, name: &str, h: &HelperTemplate, place: (usize, usize)) {
        let own = h.params.is_empty().then_some(&h.name);
        for variable in own
            .into_iter()
            .chain(&h.params)
            .filter_map(Parameter::as_name)
            .filter(|raw| is_of_fact(raw))
        {
            self.found.push(Unguarded {
                template: name.to_owned(),
                place,
                variable: variable.to_owned(),
            });
        }
    }

    fn block(&mut self, name: &str, h: &HelperTemplate) {
        let (then, otherwise) = match (h.name.as_name().unwrap_or_default(), h.params.first()) {
            ("unless", Some(condition)) => swapped(proves(condition)),
            ("if" | "with" | "each", Some(condition)) => proves(condition),
            _ => proves_call(h),
        };
        if !then {
            h.template.iter().for_each(|t| self.elements(name, t));
        }
        if !otherwise {
            h.inverse.iter().for_each(|t| self.elements(name, t));
        }
    }
}

fn is_of_fact(raw: &str) -> bool {
    let mut rest = raw.strip_prefix("@root.").unwrap_or(raw);
    while let Some(after) = ["../", "./", "this."]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))
    {
        rest = after;
    }
    rest == "fact" || rest.starts_with("fact.") || rest.starts_with("fact/")
}

fn swapped((then, otherwise): (bool, bool)) -> (bool, bool) {
    (otherwise, then)
}

/// Says whether there is a fact for sure if a condition holds, and if it doesn't.
fn proves(condition: &Parameter) -> (bool, bool) {
    match condition {
        Parameter::Subexpression(sub) => match sub.as_element() {
            TemplateElement::Expression(h) => proves_call(h),
            _ => (false, false),
        },
        other => (other.as_name().is_some_and(is_of_fact), false),
    }
}

fn proves_call(h: &HelperTemplate) -> (bool, bool) {
    let compares = h.params.iter().any(|p| p.as_name().is_some_and(is_of_fact));
    let mut each = h.params.iter().map(proves);
    match h.name.as_name().unwrap_or_default() {
        "eq" | "gt" | "gte" | "lt" | "lte" => (compares, false),
        "ne" => (false, compares),
        "not" => each.next().map_or((false, false), swapped),
        "and" => (
            h.params.iter().any(|p| proves(p).0),
            h.params.iter().all(|p| proves(p).1),
        ),
        "or" => (
            h.params.iter().all(|p| proves(p).0),
            h.params.iter().any(|p| proves(p).1),
        ),
        _ => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let own = Template::compile(text).unwrap();
        let late = Template::compile("{{#if fact.late}}{{time fact.time}}{{/if}}").unwrap();
        let seen = Template::compile("in {{fact.block}}").unwrap();
        let find = |name: &str| match name {
            "late" => Some(&late),
            "seen" => Some(&seen),
            _ => Some(&own),
        };
        unguarded("own", &find)
            .into_iter()
            .map(|u| format!("{} {}:{} {}", u.template, u.place.0, u.place.1, u.variable))
            .collect()
    }

    #[test]
    fn a_fact_that_is_asked_for_first_may_be_spoken_of() {
        for text in [
            "{{#if fact}}{{fact.block}}{{/if}}",
            "{{> late}}{{#if fact.time}}{{time fact.time}}{{/if}}",
            "{{#if (eq fact.kind \"stalled\")}}{{fact.detail}}{{else}}no{{/if}}",
            "{{#unless fact}}no{{else}}{{fact.block}}{{/unless}}",
            "{{#with fact}}{{block}}{{/with}}",
            "{{#if (and late fact)}}{{> seen}}{{/if}}",
            "{{#if (not fact)}}no{{else}}{{fact.block}}{{/if}}",
            "{{#if (ne fact.kind \"stalled\")}}no{{else}}{{fact.block}}{{/if}}",
            "{{#if (or fact.time fact.on)}}{{#each chains}}{{../fact.block}}{{/each}}{{/if}}",
        ] {
            assert_eq!(found(text), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn one_that_is_not_is_found_where_it_stands() {
        for (text, place) in [
            ("one\ntwo {{fact.block}}", "own 2:5 fact.block"),
            (
                "{{#if late}}{{short fact.hash}}{{/if}}",
                "own 1:13 fact.hash",
            ),
            (
                "{{#if fact}}yes{{else}}{{fact.block}}{{/if}}",
                "own 1:24 fact.block",
            ),
            (
                "{{#if (or late fact)}}{{fact.block}}{{/if}}",
                "own 1:23 fact.block",
            ),
            (
                "{{#each chains}}{{../fact.block}}{{/each}}",
                "own 1:17 ../fact.block",
            ),
            ("{{#if late}}{{> seen}}{{/if}}", "seen 1:4 fact.block"),
            (
                "{{#if (ne fact.kind \"stalled\")}}{{@root.fact.block}}{{/if}}",
                "own 1:33 @root.fact.block",
            ),
        ] {
            assert_eq!(found(text), [place], "{text}");
        }
    }
}
