//! How readings travel, and how people read them.

use serde_json::{Map, Value};

use crate::sampler::Group;

/// A topic below the machine's own, and its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Such as `cpu` or `cpu/usage_percent`.
    pub topic: String,
    /// JSON or a number.
    pub payload: String,
}

/// One reading for the whole group, as a JSON object.
#[must_use]
pub fn json(group: &Group) -> Reading {
    let values = group
        .values
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(*value)));
    Reading {
        topic: group.name.clone(),
        payload: Value::from(values.collect::<Map<_, _>>()).to_string(),
    }
}

/// One reading for each value, as a bare number.
#[must_use]
pub fn plain(group: &Group) -> Vec<Reading> {
    let reading = |(name, value): &(String, f64)| Reading {
        topic: format!("{}/{name}", group.name),
        payload: value.to_string(),
    };
    group.values.iter().map(reading).collect()
}

/// A payload for people: numbers with their units, other text as it is, without control characters.
#[must_use]
pub fn readable(topic: &str, payload: &[u8]) -> String {
    let name = topic.rsplit('/').next().unwrap_or_default();
    match serde_json::from_slice(payload) {
        Ok(Value::Object(values)) => {
            let texts = values.iter().map(|(name, value)| match value.as_f64() {
                Some(number) => with_unit(name, number),
                None => format!("{} {value}", spoken(name)),
            });
            texts.collect::<Vec<_>>().join(", ")
        }
        Ok(Value::Number(number)) => match number.as_f64() {
            Some(number) => with_unit(name, number),
            None => number.to_string(),
        },
        _ => String::from_utf8_lossy(payload).escape_debug().to_string(),
    }
}

fn with_unit(name: &str, value: f64) -> String {
    let (name, text) = if let Some(name) = name.strip_suffix("_percent") {
        (name, format!("{value:.1} %"))
    } else if let Some(name) = name.strip_suffix("_celsius") {
        (name, format!("{value:.1} °C"))
    } else if let Some(name) = name.strip_suffix("_bytes_per_s") {
        (name, format!("{}/s", bytes(value)))
    } else if let Some(name) = name.strip_suffix("_bytes") {
        (name, bytes(value))
    } else {
        (name, value.to_string())
    };
    format!("{} {text}", spoken(name))
}

fn spoken(name: &str) -> String {
    name.replace('_', " ").escape_debug().to_string()
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let digits = usize::from(unit != "B");
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group {
            name: "memory".to_owned(),
            values: vec![
                ("total_bytes".to_owned(), 4096.0),
                ("used_percent".to_owned(), 12.5),
            ],
        }
    }

    #[test]
    fn a_group_is_one_object_or_a_number_each() {
        let reading = |topic: &str, payload: &str| Reading {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
        };
        let object = r#"{"total_bytes":4096.0,"used_percent":12.5}"#;
        assert_eq!(json(&group()), reading("memory", object));
        let numbers = [
            reading("memory/total_bytes", "4096"),
            reading("memory/used_percent", "12.5"),
        ];
        assert_eq!(plain(&group()), numbers);
    }

    #[test]
    fn both_forms_are_readable() {
        let reading = json(&group());
        let text = readable("telemetry/h/memory", reading.payload.as_bytes());
        assert_eq!(text, "total 4.0 KiB, used 12.5 %");
        let expected = [
            ("disk/vda/read_bytes_per_s", "10", "read 10 B/s"),
            ("temperature/core_0_celsius", "48.31", "core 0 48.3 °C"),
            ("memory/total_bytes", "16492674416640", "total 15.0 TiB"),
            ("cpu/load_1min", "0.5", "load 1min 0.5"),
            ("status", "online", "online"),
            ("status", "on\x1b[2Jline", "on\\u{1b}[2Jline"),
            ("x", r#"{"a":"b","c":null}"#, "a \"b\", c null"),
            ("x", "{broken", "{broken"),
        ];
        for (topic, payload, text) in expected {
            assert_eq!(readable(topic, payload.as_bytes()), text, "{topic}");
        }
    }
}
