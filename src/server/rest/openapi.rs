//! How does a program learn what it may ask?
//!
//! An OpenAPI 3.1 document, made from the list of routes.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::{JSON, ROUTES, Route};

/// The document.
pub(super) fn answer() -> Answer {
    Answer::new(JSON, format!("{}\n", document()))
}

pub(super) fn document() -> Value {
    let paths: Map<String, Value> =
        ROUTES.iter().map(|route| (route.path.to_owned(), json!({ "get": operation(route) }))).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "netglance", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": { "refusal": {
            "type": "object",
            "required": ["error", "hint"],
            "properties": {
                "error": { "type": "string", "description": "What is wrong." },
                "hint": { "type": "string", "description": "What to do about it." },
                "column": { "type": "integer", "description": "Place of a mistake in an expression, from 1." },
            },
        } } },
    })
}

/// Names of the parts of a path that stand in braces.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation(route: &Route) -> Value {
    let in_path = parts(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.parameters.iter().map(|parameter| {
        let schema = json!({ "type": parameter.ty });
        json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
    });
    let content: Map<String, Value> = route.media.iter().map(|media| ((*media).to_owned(), json!({}))).collect();
    let refusal = json!({
        "description": "Why there is no answer.",
        "content": { JSON: { "schema": { "$ref": "#/components/schemas/refusal" } } },
    });
    json!({
        "summary": route.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<Value>>(),
        "responses": { "200": { "description": route.summary, "content": content }, "default": refusal },
    })
}
