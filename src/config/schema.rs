//! Derives the JSON Schema of a configuration file from the types. Only tests do this: the library
//! contains the result, `schema.json`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{Config, DeliverBudget, FactorsEntry, MappedSymbol, ModelEntry};
use crate::abi::INSTRUMENT_TYPES;
use crate::factors::Registry;
use crate::os::threads::Scheduler;
use crate::pipeline::rehearsal::Warm;
use crate::stages::{Stage, SymbolStyle};

/// What `schema.json` should hold.
fn derived() -> Value {
    let mut schema = schemars::schema_for!(Config);
    // The same keys under their alternative names.
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (key, other) in [("models", "model"), ("scheduler", "policy")] {
            if let Some(models) = properties.get(key).cloned() {
                properties.insert(other.into(), models);
            }
        }
    }
    schema.to_value()
}

/// One `T`, or a list of them.
pub(super) struct OneOrMany<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_list", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}

/// A placement's name, or a list of its lanes.
pub(super) struct PlacementKey;

impl JsonSchema for PlacementKey {
    fn schema_name() -> Cow<'static, str> {
        "Placement".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lane = generator.subschema_for::<Vec<Stage>>();
        json_schema!({"anyOf": [
            {"enum": ["auto", "inline", "fused", "split"]},
            {"type": "array", "items": lane}
        ]})
    }
}

/// Whether and how often lanes keep themselves warm.
pub(super) struct WarmKey;

impl JsonSchema for WarmKey {
    fn schema_name() -> Cow<'static, str> {
        "Warm".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"enum": ["auto", "off"]},
            {"type": "integer", "minimum": Warm::SHORTEST, "maximum": Warm::LONGEST}
        ]})
    }
}

/// How long `signal_on_data` waits.
pub(super) struct BudgetKey;

impl JsonSchema for BudgetKey {
    fn schema_name() -> Cow<'static, str> {
        "DeliverBudget".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"enum": ["auto"]},
            {"type": "integer", "minimum": 1, "maximum": DeliverBudget::LONGEST_US}
        ]})
    }
}

/// A policy, or one with its priority.
pub(super) struct SchedulerKey;

impl JsonSchema for SchedulerKey {
    fn schema_name() -> Cow<'static, str> {
        "Scheduler".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (least, most) = Scheduler::PRIORITIES.into_inner();
        json_schema!({"anyOf": [
            {"enum": ["other", "ordinary", "fifo", "rr", "inherit"]},
            {
                "type": "object",
                "properties": {
                    "policy": {"enum": ["fifo", "rr"]},
                    "priority": {"type": "integer", "minimum": least, "maximum": most, "default": 1}
                },
                "required": ["policy"],
                "additionalProperties": false
            }
        ]})
    }
}

/// A style, or an object with a style and the names of single instruments.
pub(super) struct Symbols;

impl JsonSchema for Symbols {
    fn schema_name() -> Cow<'static, str> {
        "Symbols".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let style = generator.subschema_for::<SymbolStyle>();
        let map = generator.subschema_for::<Vec<MappedSymbol>>();
        json_schema!({
            "description": "How instruments are named: a style, or an object.",
            "anyOf": [
                style,
                {
                    "type": "object",
                    "properties": {"style": style, "map": map},
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// A type's name, or the host's number for it.
pub(super) struct InstrumentType;

impl JsonSchema for InstrumentType {
    fn schema_name() -> Cow<'static, str> {
        "InstrumentType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"enum": INSTRUMENT_TYPES},
            {"type": "integer", "minimum": i8::MIN, "maximum": i8::MAX}
        ]})
    }
}

impl JsonSchema for FactorsEntry {
    fn schema_name() -> Cow<'static, str> {
        "FactorSet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let registry = Registry::builtin();
        let names: Vec<_> = registry.names().collect();
        let known = registry.iter().map(|set| {
            let mut properties = (set.params_schema)();
            properties.insert("set".into(), json!({"const": set.name}));
            json!({
                "type": "object",
                "properties": properties,
                "required": ["set"],
                "additionalProperties": false
            })
        });
        // A Rust host may have factor sets of its own.
        let other = json!({
            "type": "object",
            "properties": {"set": {"type": "string", "not": {"enum": names}}},
            "required": ["set"]
        });
        let mut forms = vec![json!({"type": "string"})];
        forms.extend(known);
        forms.push(other);
        json_schema!({
            "description": "A factor set: its name, or an object with the name and the set's parameters.",
            "anyOf": forms
        })
    }
}

impl JsonSchema for ModelEntry {
    fn schema_name() -> Cow<'static, str> {
        "Model".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A model: its name, a file's path, or an object.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "name": {
                            "type": "string",
                            "description": "What reports and signals call it. Default: the file's name without its extension, or the kind."
                        },
                        "kind": {
                            "type": "string",
                            "description": "With a file linear, lightgbm, xgboost or onnx (default: told from its content); without one test0000 or none."
                        },
                        "file": {
                            "type": "string",
                            "description": "The model file, relative to this file."
                        },
                        "outputs": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Which of an ONNX model's outputs to send. Default: all."
                        },
                        "check_names": {
                            "type": "boolean",
                            "default": true,
                            "description": "Whether a model that knows its inputs' names must find the factors under these names, in this order."
                        },
                        "iterations": {
                            "anyOf": [
                                {"enum": ["best", "all"]},
                                {"type": "integer", "minimum": 1, "maximum": u32::MAX}
                            ],
                            "description": "How many iterations of an ensemble run. Default: as many as the class that saved the file predicts with."
                        }
                    },
                    "anyOf": [{"required": ["file"]}, {"required": ["kind"]}],
                    "additionalProperties": false
                }
            ]
        })
    }
}

mod tests {
    use super::*;
    use crate::config::schema;

    /// Writes `schema.json` anew if this variable is set.
    const RENEW: &str = "SIGNAL_RENEW_SCHEMA";

    #[test]
    fn the_file_is_what_the_types_say() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/schema.json");
        let derived = format!("{:#}\n", derived());
        if std::env::var_os(RENEW).is_some() {
            std::fs::write(file, &derived).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).unwrap() == derived,
            "src/config/schema.json is out of date: {RENEW}=1 cargo test --lib config::schema"
        );
    }

    /// The keys that the error for an unknown key lists.
    fn known_keys(json: &str) -> Vec<String> {
        let refusal = Config::from_json(json).unwrap_err().to_string();
        let list = refusal.split("expected ").nth(1).unwrap();
        let names = list.split('`').skip(1).step_by(2);
        names.map(String::from).collect()
    }

    fn schema_keys(object: &Value) -> Vec<String> {
        let properties = object["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    }

    #[test]
    fn the_schema_has_exactly_the_keys_that_are_read() {
        let schema = schema();
        let sorted = |mut keys: Vec<String>| {
            keys.sort_unstable();
            keys
        };
        assert_eq!(
            sorted(schema_keys(&schema)),
            sorted(known_keys(r#"{"?": 1}"#))
        );
        // Each key that holds an object of further keys, so that none is missed.
        let properties = schema["properties"].as_object().unwrap();
        let sections = properties.iter().filter_map(|(section, value)| {
            let name = value["$ref"].as_str()?.strip_prefix("#/$defs/")?;
            let object = &schema["$defs"][name];
            object.get("properties").map(|_| (section, object))
        });
        let mut compared = Vec::new();
        for (section, object) in sections {
            assert_eq!(
                sorted(schema_keys(object)),
                sorted(known_keys(&format!(r#"{{"{section}": {{"?": 1}}}}"#))),
                "{section}"
            );
            compared.push(section.clone());
        }
        let all = [
            "capture",
            "health",
            "instruments",
            "latency",
            "limits",
            "overload",
            "rings",
        ];
        assert_eq!(sorted(compared), all);
    }

    /// Each number of a configuration: its section, its key, and its part of the schema.
    fn numbers(schema: &Value) -> Vec<(Option<String>, String, Value)> {
        let of = |section: Option<&str>, object: &Value| {
            let properties = object["properties"].as_object().unwrap().clone();
            let numbers = properties.into_iter();
            let numbers = numbers.filter(|(_, value)| value["maximum"].is_u64());
            let row = |(key, value)| (section.map(str::to_owned), key, value);
            numbers.map(row).collect::<Vec<_>>()
        };
        let mut all = of(None, schema);
        for (section, value) in schema["properties"].as_object().unwrap() {
            let name = value["$ref"]
                .as_str()
                .and_then(|path| path.rsplit('/').next());
            let object = name.map(|name| &schema["$defs"][name]);
            if let Some(object) = object.filter(|object| object["properties"].is_object()) {
                all.extend(of(Some(section), object));
            }
        }
        all
    }

    /// The types in `layer.rs` define the bounds, `Config::default` the defaults.
    #[test]
    fn bounds_and_defaults_are_the_same_wherever_they_stand() {
        let numbers = numbers(&schema());
        assert_eq!(numbers.len(), 16);
        for (section, key, value) in numbers {
            let number = |name: &str| value[name].as_i64().unwrap();
            let (low, high) = (number("minimum"), number("maximum"));
            let read = |number: i128| {
                let pair = format!(r#""{key}": {number}"#);
                Config::from_json(&match &section {
                    Some(section) => format!(r#"{{"{section}": {{{pair}}}}}"#),
                    None => format!("{{{pair}}}"),
                })
            };
            // A key may stand for no number of its own.
            let default = value["default"].as_i64();
            for allowed in [low, high].into_iter().chain(default) {
                assert!(read(allowed.into()).is_ok(), "{key}: {allowed}");
            }
            for refused in [i128::from(low) - 1, i128::from(high) + 1] {
                let said = read(refused).unwrap_err().to_string();
                assert!(said.contains(&format!("from {low} to {high}")), "{said}");
            }
            let text = value["description"].as_str().unwrap();
            // Texts set thousands apart by commas.
            let text = text.replace('\n', " ").replace(',', "");
            let default = default.map_or("Default: ".into(), |number| format!("Default {number}"));
            assert!(text.contains(&default), "{key}: {text}");
            let section = section.as_deref().unwrap_or_default();
            // The section's text states it once for all of its keys.
            let bounds = format!("{low} to {high}");
            assert!(
                section == "rings" || text.contains(&bounds),
                "{key}: {text}"
            );
        }
        assert!(
            schema()["$defs"]["Rings"]
                .to_string()
                .contains("2 to 1,048,576")
        );
    }

    #[test]
    fn it_documents_each_key_and_its_default() {
        let schema = schema();
        for (key, value) in schema["properties"].as_object().unwrap() {
            let described = value.get("description").or_else(|| value.get("$ref"));
            assert!(described.is_some(), "{key} has no description: {value}");
        }
        assert_eq!(schema["properties"]["placement"]["default"], "auto");
        let ring = &schema["$defs"]["Rings"]["properties"]["egress"];
        assert_eq!(
            (&ring["minimum"], &ring["default"]),
            (&2.into(), &4096.into())
        );
    }
}
