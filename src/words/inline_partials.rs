//! Lays partials into the templates that include them.
//!
//! Handlebars gives each partial a copy of everything that it may speak of, which costs more than writing it. Where a partial
//! takes nothing but what there is anyway, it reads the same in the place where it is included. What that is not sure of is
//! left as it is.

use std::collections::{BTreeMap, BTreeSet};

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, Path, RenderContext, Renderable, Template,
    template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement},
};

/// The helper that writes what was laid in. The review knows it not, so no template has it by itself.
const NAME: &str = "laid-in";
/// So many are laid into one template at most.
const MOST: usize = 100;

/// The templates as they are rendered, and what that takes of the engine.
pub fn laid(templates: &BTreeMap<String, Template>, engine: &mut Handlebars<'_>) -> BTreeMap<String, Template> {
    engine.register_helper(NAME, Box::new(write));
    let mut laid = templates.clone();
    let empty = Template::compile("{{#laid-in}}{{/laid-in}}").ok().and_then(|t| t.elements.into_iter().next());
    let Some(TemplateElement::HelperBlock(frame)) = empty else { return laid };
    // What a block names would reach into a partial that is laid in.
    if templates.values().any(|t| reaches(t, &names)) {
        return laid;
    }
    // So would a line's indent; what is included on such a line stays as it is, with all that it includes.
    let (mut indented, mut next) = (BTreeSet::new(), Vec::new());
    templates.values().for_each(|t| included(t, &mut |d| next.extend(d.indent.is_some().then(|| d.name.as_name()).flatten())));
    while let Some(name) = next.pop() {
        if indented.insert(name)
            && let Some(template) = partial(templates, name)
        {
            included(template, &mut |d| next.extend(d.name.as_name()));
        }
    }
    for (name, template) in &mut laid {
        if !indented.contains(name.strip_prefix("partials/").unwrap_or(name)) {
            Layer { templates, frame: &frame, left: MOST }.template(template, &mut Vec::new());
        }
    }
    laid
}

fn partial<'a>(templates: &'a BTreeMap<String, Template>, name: &str) -> Option<&'a Template> {
    templates.get(&format!("partials/{name}")).or_else(|| templates.get(name))
}

/// Hands on each inclusion of a template, however deep.
fn included<'a>(template: &'a Template, take: &mut dyn FnMut(&'a DecoratorTemplate)) {
    for element in &template.elements {
        let within = match element {
            TemplateElement::HelperBlock(h) => [&h.template, &h.inverse],
            TemplateElement::PartialExpression(d) | TemplateElement::PartialBlock(d) | TemplateElement::DecoratorBlock(d) => {
                take(d);
                [&d.template, &None]
            }
            _ => continue,
        };
        within.into_iter().flatten().for_each(|t| included(t, take));
    }
}

struct Layer<'a> {
    templates: &'a BTreeMap<String, Template>,
    /// A block of the helper, with nothing in it.
    frame: &'a HelperTemplate,
    left: usize,
}

impl Layer<'_> {
    /// `within` are the partials that this is a part of.
    fn template(&mut self, template: &mut Template, within: &mut Vec<String>) {
        for element in &mut template.elements {
            match element {
                TemplateElement::HelperBlock(block) => {
                    for inner in [&mut block.template, &mut block.inverse].into_iter().flatten() {
                        self.template(inner, within);
                    }
                }
                TemplateElement::PartialExpression(included) => {
                    if let Some(block) = self.block(included, within) {
                        *element = TemplateElement::HelperBlock(Box::new(block));
                    }
                }
                _ => {}
            }
        }
    }

    fn block(&mut self, included: &DecoratorTemplate, within: &mut Vec<String>) -> Option<HelperTemplate> {
        let name = included.name.as_name().filter(|name| !within.iter().any(|w| w == name))?;
        let partial = partial(self.templates, name)?;
        let bare = included.params.is_empty() && included.hash.is_empty();
        let plain = bare && included.template.is_none() && included.indent.is_none();
        if !plain || self.left == 0 || reaches(partial, &looks_around) {
            return None;
        }
        self.left -= 1;
        let mut template = partial.clone();
        within.push(name.to_owned());
        self.template(&mut template, within);
        within.pop();
        let mut block = self.frame.clone();
        block.template = Some(template);
        Some(block)
    }
}

/// Whether some element of a template is such a one, however deep.
fn reaches(template: &Template, wanted: &dyn Fn(&TemplateElement) -> bool) -> bool {
    let within = |inner: &Option<Template>| inner.as_ref().is_some_and(|t| reaches(t, wanted));
    template.elements.iter().any(|element| {
        wanted(element)
            || match element {
                TemplateElement::HelperBlock(h) => within(&h.template) || within(&h.inverse),
                TemplateElement::PartialBlock(d) | TemplateElement::DecoratorBlock(d) => within(&d.template),
                _ => false,
            }
    })
}

/// `as |chain|`
fn names(element: &TemplateElement) -> bool {
    matches!(element, TemplateElement::HelperBlock(h) if h.block_param.is_some())
}

/// It speaks of what is around it: `../`, or a block that it was given; or has partials of its own.
fn looks_around(element: &TemplateElement) -> bool {
    let is_up = |p: &Parameter| goes_up(p);
    match element {
        TemplateElement::Expression(h) | TemplateElement::HtmlExpression(h) | TemplateElement::HelperBlock(h) => {
            std::iter::once(&h.name).chain(&h.params).chain(h.hash.values()).any(is_up)
        }
        TemplateElement::PartialExpression(d) => {
            d.name.as_name().is_none_or(|name| name.starts_with('@')) || d.params.iter().chain(d.hash.values()).any(is_up)
        }
        TemplateElement::RawString(_) | TemplateElement::Comment(_) => false,
        // Blocks with partials of their own, and whatever else there may be one day.
        _ => true,
    }
}

fn goes_up(parameter: &Parameter) -> bool {
    match parameter {
        Parameter::Name(name) => name.contains("../"),
        Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => raw.contains("../"),
        Parameter::Literal(_) => false,
        Parameter::Subexpression(inner) => looks_around(inner.as_element()),
        _ => true,
    }
}

fn write<'reg, 'rc>(
    h: &Helper<'rc>,
    engine: &'reg Handlebars<'reg>,
    context: &'rc Context,
    rc: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    h.template().map_or(Ok(()), |t| t.render(engine, context, rc, out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEMPLATES: [(&str, &str); 14] = [
        ("partials/one", "one {{title}} {{#if chain}}{{chain.name}}{{/if}}\n"),
        ("partials/two", "{{> one}}\nand {{#each chains}}{{@index}}:{{> name}}{{#unless @last}}, {{/unless}}{{/each}}\n"),
        ("partials/name", "{{name}} of {{@root.title}}"),
        ("partials/up", "{{../title}} {{name}}"),
        ("partials/round", "{{#if deep}}{{#with deep}}{{title}}{{> round}}{{/with}}{{/if}}"),
        ("partials/around", "<{{> @partial-block}}>"),
        ("a/plain", "Before\n\n{{> one}}\n\n{{> two}}\nafter ({{> name}}).\n"),
        ("a/each", "{{#each chains}}\n- {{> name}} {{> up}}\n{{/each}}\n"),
        ("a/round", "{{> round}}"),
        ("a/around", "{{#> around}}{{> one}}{{/around}}"),
        ("a/hash", "{{> one title=\"other\"}} {{> name deep}}"),
        ("partials/lines", "{{title}}\n{{> one}}\nthe end\n"),
        ("a/indented", "List:\n  {{> lines}}\n{{> lines}}\nand {{> one}} {{> name}}\n"),
        ("a/missing", "{{#if absent}}{{> nowhere}}{{/if}}{{> one}}"),
    ];

    fn compiled(templates: &[(&str, &str)]) -> BTreeMap<String, Template> {
        templates.iter().map(|(name, text)| ((*name).to_owned(), Template::compile_with_name(text, (*name).to_owned()).unwrap())).collect()
    }

    fn written(templates: &BTreeMap<String, Template>, engine: &mut Handlebars<'_>, name: &str) -> Result<String, String> {
        for (name, template) in templates {
            engine.register_template(name, template.clone());
            if let Some(short) = name.strip_prefix("partials/") {
                engine.register_template(short, template.clone());
            }
        }
        let context = json!({
            "title": "T", "chain": { "name": "c" }, "chains": [{ "name": "x", "title": "X" }, { "name": "y" }],
            "deep": { "title": "D", "name": "d", "deep": { "title": "DD" } },
        });
        engine.render(name, &context).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_laid_in_reads_as_what_was_included() {
        let templates = compiled(&TEMPLATES);
        let mut engine = Handlebars::new();
        let laid = laid(&templates, &mut engine);
        let includes = |t: &Template| reaches(t, &|e| matches!(e, TemplateElement::PartialExpression(_)));
        assert!(includes(&templates["a/plain"]) && !includes(&laid["a/plain"]));
        for (name, _) in TEMPLATES {
            let before = written(&templates, &mut Handlebars::new(), name);
            assert_eq!(written(&laid, &mut engine, name), before, "{name}");
        }
    }

    #[test]
    fn an_error_names_the_partial_and_what_names_or_indents_is_left_alone() {
        let broken = compiled(&[("partials/broken", "{{title}}\n{{nohelper title}}"), ("a/b", "\n\n{{> broken}}")]);
        let mut engine = Handlebars::new();
        let laid_in = laid(&broken, &mut engine);
        let error = written(&laid_in, &mut engine, "a/b").unwrap_err();
        assert_eq!(error, written(&broken, &mut Handlebars::new(), "a/b").unwrap_err());
        assert!(error.contains("partials/broken") && error.contains("line 2"), "{error}");
        let lay = |other: &str| {
            let templates = compiled(&[TEMPLATES[0], TEMPLATES[1], TEMPLATES[2], ("a/other", other), ("a/plain", "{{> one}}")]);
            let laid = laid(&templates, &mut Handlebars::new());
            templates.into_iter().filter(|(name, t)| laid[name] != *t).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(lay("- {{#each chains as |title|}}{{> one}}{{/each}}").is_empty());
        assert_eq!(lay("text\n{{> two}}\n"), ["a/other", "a/plain", "partials/two"]);
        assert_eq!(lay("text\n  {{> two}}\n"), ["a/plain"], "what is included by what is indented stays too");
    }
}
