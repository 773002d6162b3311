//! What does an editor have to know to complete and to check a configuration?
//!
//! The JSON schema comes from the settings' own types. Names that only the registry knows are added as closed lists, and
//! `null`, which TOML does not have, is taken out.

use serde_json::{Map, Value, json};

use super::{Config, names};
use crate::collect::schedule;
use crate::panel::PROTOCOLS;

/// Spans between samples, as [`crate::model::unit::parse_duration`] reads them.
const SPAN: &str = r"^\s*([0-9]+(\.[0-9]+)?\s*(ns|us|ms|s|m|h|d|w)?\s*)+$";

/// A protocol and one of its ports.
const PORT: &str =
    "^(PROTOCOL)/(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";

/// The schema.
pub(super) fn of_file() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    without_null(&mut schema);
    set(&mut schema, "", "title", json!("netglance.toml"));
    set(&mut schema, "", "additionalProperties", json!(false));
    if let Some(top) = schema.as_object_mut() {
        // every section may be left out
        top.remove("required");
    }
    set(&mut schema, "/properties/view", "enum", list(names::views()));
    set(&mut schema, "/properties/interval", "pattern", json!(SPAN));
    set(&mut schema, "/$defs/Interval", "pattern", json!(SPAN));
    set(&mut schema, "/properties/toggles/items", "enum", list(names::toggles()));
    set(&mut schema, "/$defs/Layout/properties/overview/items", "enum", list(names::panels()));
    set(&mut schema, "/$defs/Threshold/properties/table", "enum", list(names::tables()));
    set(&mut schema, "/$defs/Threshold", "allOf", Value::Array(columns()));
    set(&mut schema, "/$defs/Services", "additionalProperties", json!(false));
    let port = json!({ PORT.replace("PROTOCOL", &PROTOCOLS.join("|")): { "type": "string", "pattern": r"\S" } });
    set(&mut schema, "/$defs/Services", "patternProperties", port);
    let actions = names::actions();
    close(&mut schema, "/properties/keys", actions.iter().map(String::as_str));
    for (section, names) in [("collect", names::collectors().collect::<Vec<_>>()), ("show", names::tables().collect())]
    {
        let target = schema.pointer(&format!("/properties/{section}/$ref")).and_then(Value::as_str);
        let Some(at) = target.and_then(|target| target.strip_prefix('#')).map(str::to_owned) else { continue };
        close(&mut schema, &at, names.into_iter());
    }
    schema
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    names.collect()
}

fn set(schema: &mut Value, at: &str, key: &str, value: Value) {
    if let Some(place) = schema.pointer_mut(at).and_then(Value::as_object_mut) {
        place.insert(key.to_owned(), value);
    }
}

/// Makes an object with values of one form into one with these keys only.
fn close<'a>(schema: &mut Value, at: &str, names: impl Iterator<Item = &'a str>) {
    let form = schema.pointer(at).and_then(|place| place.get("additionalProperties")).cloned().unwrap_or_default();
    let properties: Map<String, Value> = names.map(|name| (name.to_owned(), form.clone())).collect();
    set(schema, at, "properties", Value::Object(properties));
    set(schema, at, "additionalProperties", json!(false));
}

/// For each table the columns that a threshold on it may name.
fn columns() -> Vec<Value> {
    let one = |table: &&crate::model::Table| {
        let columns = list(table.columns.iter().map(|column| &*column.name));
        json!({
            "if": { "properties": { "table": { "const": &*table.name } } },
            "then": { "properties": { "column": { "enum": columns } } },
        })
    };
    schedule::tables().iter().copied().map(|table| one(&table)).collect()
}

/// Takes out what says that something may be `null`.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            let null = json!({ "type": "null" });
            if let Some(Value::Array(forms)) = map.get_mut("anyOf") {
                forms.retain(|form| *form != null);
            }
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}
