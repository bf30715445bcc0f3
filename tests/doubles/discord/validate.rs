//! The OpenAPI description as a router and as a judge: which operation a request is, whether its
//! parameters and body fit, and which fields Discord doesn't know.
//!
//! Schemas are compiled when an operation is first used, each with only the definitions that it
//! reaches: all of them together take seconds in a debug build.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value, json};

use super::error::{ApiError, Mistake, invalid_form};

/// The description, read once in a process.
pub(super) struct Spec {
    definitions: Map<String, Value>,
    operations: Vec<Operation>,
}

/// One method on one path.
pub(super) struct Operation {
    pub method: String,
    /// `/channels/{channel_id}/messages`
    pub template: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    body_required: bool,
    validator: OnceLock<Validator>,
    /// The schema of the JSON that a success answers, if there is any.
    answer: Option<Value>,
    answer_validator: OnceLock<Validator>,
}

/// What a path leads to.
pub(super) enum Found {
    Operation(&'static Operation, BTreeMap<String, String>),
    WrongMethod,
    Nothing,
}

const REF: &str = "#/components/schemas/";

impl Spec {
    pub(super) fn shared() -> &'static Spec {
        static SPEC: OnceLock<Spec> = OnceLock::new();
        SPEC.get_or_init(|| {
            let path = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/doubles/discord/openapi.json"
            );
            let text = std::fs::read_to_string(path).expect("the OpenAPI description");
            Spec::new(serde_json::from_str(&text).expect("a JSON description"))
        })
    }

    fn new(mut raw: Value) -> Spec {
        let Value::Object(mut definitions) = raw["components"]["schemas"].take() else {
            panic!("a description without schemas");
        };
        correct(&mut definitions);
        let mut operations = Vec::new();
        for (template, item) in raw["paths"].as_object().expect("paths") {
            for method in ["get", "put", "post", "patch", "delete"] {
                let Some(found) = item.get(method) else {
                    continue;
                };
                let lists = [&item["parameters"], &found["parameters"]];
                let body = &found["requestBody"]["content"]["application/json"]["schema"];
                operations.push(Operation {
                    method: method.to_uppercase(),
                    template: template.clone(),
                    parameters: lists
                        .iter()
                        .filter_map(|list| list.as_array())
                        .flatten()
                        .cloned()
                        .collect(),
                    body: body.is_object().then(|| body.clone()),
                    body_required: found["requestBody"]["required"] == true,
                    validator: OnceLock::new(),
                    answer: answer_schema(found),
                    answer_validator: OnceLock::new(),
                });
            }
        }
        Spec {
            definitions,
            operations,
        }
    }

    /// The operation that `method` on `path` (still percent-encoded) is. Among templates that fit,
    /// the one with the most literal segments wins.
    pub(super) fn find(&'static self, method: &str, path: &str) -> Found {
        let best = self
            .operations
            .iter()
            .filter_map(|operation| {
                let (values, literal) = fit(&operation.template, path)?;
                Some((operation, values, literal))
            })
            .max_by_key(|(operation, _, literal)| (*literal, operation.method == method));
        match best {
            Some((operation, values, _)) if operation.method == method => {
                Found::Operation(operation, values)
            }
            Some(_) => Found::WrongMethod,
            None => Found::Nothing,
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|at| at.strip_prefix(REF));
        name.and_then(|name| self.definitions.get(name))
            .unwrap_or(schema)
    }

    /// Checks path and query parameters. Unknown query parameters come back as complaints: Discord
    /// ignores them, but a bot that sends one expects something of it.
    pub(super) fn parameters(
        &self,
        operation: &Operation,
        path: &BTreeMap<String, String>,
        query: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, ApiError> {
        let mut known = BTreeSet::new();
        let mut mistakes = Vec::new();
        for parameter in &operation.parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = match parameter["in"].as_str() {
                Some("path") => path.get(name),
                Some("query") => {
                    known.insert(name);
                    query.get(name)
                }
                _ => continue,
            };
            match value {
                Some(value) => mistakes.extend(self.parameter(name, &parameter["schema"], value)),
                None if parameter["required"] == true => mistakes.push(Mistake::new(
                    name,
                    "BASE_TYPE_REQUIRED",
                    "This field is required",
                )),
                None => {}
            }
        }
        if !mistakes.is_empty() {
            return Err(invalid_form(&mistakes));
        }
        let unknown = query.keys().filter(|name| !known.contains(name.as_str()));
        Ok(unknown
            .map(|name| format!("unknown query parameter `{name}`"))
            .collect())
    }

    fn parameter(&self, name: &str, schema: &Value, value: &str) -> Option<Mistake> {
        let schema = self.resolve(schema);
        let wrong = |code, message: String| Some(Mistake::new(name, code, message));
        if schema["format"] == "snowflake" && value.parse::<u64>().is_err() {
            let message = format!("Value \"{value}\" is not snowflake.");
            return wrong("NUMBER_TYPE_COERCE", message);
        }
        match schema["type"].as_str() {
            Some("integer") => {
                let Ok(number) = value.parse::<i64>() else {
                    let message = format!("Value \"{value}\" is not int.");
                    return wrong("NUMBER_TYPE_COERCE", message);
                };
                if let Some(least) = schema["minimum"].as_i64()
                    && number < least
                {
                    let message = format!("int value should be greater than or equal to {least}.");
                    return wrong("NUMBER_TYPE_MIN", message);
                }
                if let Some(most) = schema["maximum"].as_i64()
                    && number > most
                {
                    let message = format!("int value should be less than or equal to {most}.");
                    return wrong("NUMBER_TYPE_MAX", message);
                }
                None
            }
            Some("boolean") if !["true", "false", "True", "False", "1", "0"].contains(&value) => {
                wrong(
                    "BOOLEAN_TYPE_CONVERT",
                    "Must be either true or false.".into(),
                )
            }
            _ => None,
        }
    }

    /// Checks a body. Fields that Discord doesn't know come back as complaints: it ignores them.
    pub(super) fn body(
        &self,
        operation: &Operation,
        body: &Value,
    ) -> Result<Vec<String>, ApiError> {
        let Some(schema) = &operation.body else {
            return Ok(match body {
                Value::Null => vec![],
                _ => vec!["a body where none is known".to_owned()],
            });
        };
        if body.is_null() && !operation.body_required {
            return Ok(vec![]);
        }
        let validator = operation.validator.get_or_init(|| self.compile(schema));
        let mut mistakes = Vec::new();
        for error in validator.iter_errors(body) {
            explain(&error, &mut mistakes);
        }
        if !mistakes.is_empty() {
            return Err(invalid_form(&mistakes));
        }
        let mut unknown = Vec::new();
        self.unknown(&[schema], body, "", &mut unknown);
        Ok(unknown)
    }

    /// What in an answer of the double itself differs from the description, for its own tests.
    pub(super) fn answer(&self, operation: &Operation, body: &Value) -> Vec<String> {
        let Some(schema) = &operation.answer else {
            return vec![];
        };
        let validator = operation
            .answer_validator
            .get_or_init(|| self.compile(schema));
        let mut mistakes = Vec::new();
        validator
            .iter_errors(body)
            .for_each(|error| explain(&error, &mut mistakes));
        mistakes
            .iter()
            .map(|one| format!("{}: {}", one.path.join("."), one.message))
            .collect()
    }

    fn compile(&self, schema: &Value) -> Validator {
        let mut reached = Map::new();
        let mut open = vec![schema];
        while let Some(next) = open.pop() {
            match next {
                Value::Object(map) => {
                    let name = map.get("$ref").and_then(Value::as_str);
                    if let Some(name) = name.and_then(|at| at.strip_prefix(REF))
                        && !reached.contains_key(name)
                    {
                        let definition = &self.definitions[name];
                        reached.insert(name.to_owned(), definition.clone());
                        open.push(definition);
                    }
                    open.extend(map.values());
                }
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        let root = json!({"allOf": [schema], "components": {"schemas": reached}});
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .with_format("snowflake", |text: &str| text.parse::<u64>().is_ok())
            .build(&root)
            .expect("a schema of the description compiles")
    }

    /// Walks `value` along `schemas` together, as a union: a field is unknown if none of the
    /// alternatives has it.
    fn unknown(&self, schemas: &[&Value], value: &Value, at: &str, found: &mut Vec<String>) {
        let mut leaves = Vec::new();
        for schema in schemas {
            self.leaves(schema, &mut leaves);
        }
        match value {
            Value::Object(fields) => {
                let open = |leaf: &&Value| {
                    !matches!(
                        leaf["additionalProperties"],
                        Value::Null | Value::Bool(false)
                    )
                };
                if leaves.iter().any(open)
                    || !leaves.iter().any(|leaf| leaf["properties"].is_object())
                {
                    return;
                }
                for (name, value) in fields {
                    let known: Vec<&Value> = leaves
                        .iter()
                        .filter_map(|leaf| leaf["properties"].get(name))
                        .collect();
                    let at = if at.is_empty() {
                        name.clone()
                    } else {
                        format!("{at}.{name}")
                    };
                    if known.is_empty() {
                        found.push(format!("unknown field `{at}`"));
                    } else {
                        self.unknown(&known, value, &at, found);
                    }
                }
            }
            Value::Array(items) => {
                let known: Vec<&Value> =
                    leaves.iter().filter_map(|leaf| leaf.get("items")).collect();
                for (index, item) in items.iter().enumerate() {
                    self.unknown(&known, item, &format!("{at}.{index}"), found);
                }
            }
            _ => {}
        }
    }

    fn leaves<'a>(&'a self, schema: &'a Value, into: &mut Vec<&'a Value>) {
        let schema = self.resolve(schema);
        into.push(schema);
        for union in ["allOf", "anyOf", "oneOf"] {
            for part in schema[union].as_array().into_iter().flatten() {
                self.leaves(part, into);
            }
        }
    }
}

/// The schema of the first success that has one.
fn answer_schema(operation: &Value) -> Option<Value> {
    let responses = operation["responses"].as_object()?;
    let success = responses
        .iter()
        .filter(|(status, _)| status.starts_with('2'));
    let schema = |response: &Value| {
        response["content"]["application/json"]
            .get("schema")
            .cloned()
    };
    success.filter_map(|(_, response)| schema(response)).next()
}

/// What the documentation says and the description doesn't: text of 2,000 characters, not 4,000
/// (that is for subscribers); `nsfw` on commands; permissions as a string; the ids of files to send
/// as numbers, as the documentation's examples have them.
fn correct(definitions: &mut Map<String, Value>) {
    for (name, definition) in definitions {
        let Some(properties) = definition
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        if let Some(content) = properties.get_mut("content")
            && content["maxLength"] == 4000
        {
            content["maxLength"] = json!(2000);
        }
        if name == "BaseCreateMessageCreateRequest" {
            // serenity always sends them; set, they would be without effect in a forum.
            properties.insert("tts".into(), json!({"enum": [false, null]}));
            properties.insert("enforce_nonce".into(), json!({"enum": [false, null]}));
        }
        if name == "MessageAttachmentRequest" {
            properties.insert("id".into(), json!({"type": ["integer", "string"]}));
        }
        if name.starts_with("ApplicationCommand") && properties.contains_key("dm_permission") {
            properties.insert("nsfw".into(), json!({"type": ["boolean", "null"]}));
            if let Some(permissions) = properties.get_mut("default_member_permissions") {
                *permissions =
                    json!({"type": ["integer", "string", "null"], "pattern": "^[0-9]+$"});
            }
        }
    }
}

/// The values of a template's parameters in a path, and how many segments are literal.
fn fit(template: &str, path: &str) -> Option<(BTreeMap<String, String>, usize)> {
    let (mut values, mut literal) = (BTreeMap::new(), 0);
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(_) if segment.is_empty() => return None,
            Some(name) => {
                values.insert(name.to_owned(), percent_decode(segment));
            }
            None if expected == segment => literal += 1,
            None => return None,
        }
    }
    segments.next().is_none().then_some((values, literal))
}

/// `%F0%9F%91%8D` as text; what isn't valid stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [a, b, ..] if *first == b'%' => std::str::from_utf8(&[*a, *b])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Translates a schema's complaint into Discord's words. For a union it tells about the
/// alternative that came closest.
fn explain(error: &ValidationError<'_>, into: &mut Vec<Mistake>) {
    let path: Vec<String> = error
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let mut add = |code: &str, message: String| {
        let path = path.clone();
        let code = code.to_owned();
        into.push(Mistake {
            path,
            code,
            message,
        });
    };
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match closest(context, path.len()) {
                Some(errors) => errors.iter().for_each(|error| explain(error, into)),
                None => add("UNION_TYPE_CHOICES", error.to_string()),
            }
        }
        ValidationErrorKind::MaxLength { limit } => add(
            "BASE_TYPE_MAX_LENGTH",
            format!("Must be {limit} or fewer in length."),
        ),
        ValidationErrorKind::MinLength { limit } => add(
            "BASE_TYPE_MIN_LENGTH",
            format!("Must be {limit} or more in length."),
        ),
        ValidationErrorKind::MaxItems { limit } => add(
            "BASE_TYPE_MAX_LENGTH",
            format!("Must be {limit} or fewer in length."),
        ),
        ValidationErrorKind::Required { property } => {
            let mut path = path.clone();
            path.extend(property.as_str().map(str::to_owned));
            into.push(Mistake {
                path,
                code: "BASE_TYPE_REQUIRED".into(),
                message: "This field is required".into(),
            });
        }
        ValidationErrorKind::Enum { options } => add(
            "BASE_TYPE_CHOICES",
            format!("Value must be one of {options}."),
        ),
        ValidationErrorKind::Maximum { limit } => add(
            "NUMBER_TYPE_MAX",
            format!("int value should be less than or equal to {limit}."),
        ),
        ValidationErrorKind::Minimum { limit } => add(
            "NUMBER_TYPE_MIN",
            format!("int value should be greater than or equal to {limit}."),
        ),
        ValidationErrorKind::Format { format } => add(
            "BASE_TYPE_PARSE",
            format!("Could not parse {}. Should be {format}.", error.instance()),
        ),
        _ => add("BASE_TYPE_BAD_VALUE", error.to_string()),
    }
}

/// The alternative that was meant: one that doesn't complain about the value's kind (another JSON
/// type, or another `type` field), and among those the one whose complaints lie deepest.
fn closest<'a>(
    context: &'a [Vec<ValidationError<'static>>],
    here: usize,
) -> Option<&'a Vec<ValidationError<'static>>> {
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().split('/').count() - 1;
    let of_kind = |error: &ValidationError<'_>| match error.kind() {
        ValidationErrorKind::Type { .. } => depth(error) == here,
        ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => {
            depth(error) == here + 1 && error.instance_path().as_str().ends_with("/type")
        }
        _ => false,
    };
    context
        .iter()
        .filter(|errors| !errors.is_empty())
        .max_by_key(|errors| (!errors.iter().any(of_kind), errors.iter().map(depth).max()))
}
