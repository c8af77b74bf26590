//! Values of the configuration: what a key takes (`Kind`), what stands in a layer (`Setting`), what it
//! means (`Value`).
//!
//! Does not answer for which keys there are (`keys`) nor for units (`units`).

use std::net::{Ipv4Addr, SocketAddr};

use ::config::ValueKind;

use super::problem::{Origin, printable};
use super::units::{Unit, bytes, bytes_text, digits, duration_text, milliseconds};

/// The most bytes that a key takes.
#[cfg(target_pointer_width = "64")]
pub(super) const BYTES_MAX: u64 = 1 << 40;
#[cfg(not(target_pointer_width = "64"))]
pub(super) const BYTES_MAX: u64 = 1 << 31;

/// The longest value that a message repeats in full, in characters.
const SHOWN_MAX: usize = 100;

/// A value as it stands in a layer, not yet understood, with its [`Origin`].
pub(super) type Setting = ::config::Value;

/// What no key takes, by what it is shown as: a float, a date, an array, a table.
pub(super) fn unusable(shown: impl ToString) -> ValueKind {
    vec![shown.to_string()].into()
}

/// The value as it was written.
pub(super) fn shown(setting: &Setting) -> String {
    match &setting.kind {
        ValueKind::String(text) if is_typed(setting) => format!("\"{}\"", shortened(text)),
        ValueKind::String(text) if text.is_empty() => "\"\"".into(),
        ValueKind::String(text) => shortened(text),
        ValueKind::Array(shown) => shown
            .iter()
            .map(|shown| shortened(&shown.to_string()))
            .collect(),
        other => other.to_string(),
    }
}

/// False for text from the environment or a flag: its type is whatever the key takes.
fn is_typed(setting: &Setting) -> bool {
    match Origin::of(setting) {
        Origin::Default | Origin::File { .. } => true,
        Origin::Environment(_) | Origin::Flag(_) => false,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => printable(text.get(..end).unwrap_or_default()) + "...",
        None => printable(text),
    }
}

/// A value that its key's [`Kind`] has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    /// A count, bytes, or a duration in the key's own unit.
    Number(u64),
    Text(String),
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Count {
        min: u64,
        max: u64,
    },
    Bytes {
        min: u64,
        max: u64,
    },
    Duration {
        /// What the bounds and the value are counted in.
        unit: Unit,
        min: u64,
        max: u64,
        /// The value that "never" stands for.
        never: Option<u64>,
    },
    Choice(&'static [&'static str]),
    /// The beginning of a Client Identifier or Topic Name: no wildcards, no control characters.
    Prefix {
        bytes_max: usize,
    },
    Path,
    Address,
}

impl Kind {
    /// Understands a value.
    ///
    /// # Errors
    /// What would be valid, or what to write instead.
    pub(super) fn parse(self, setting: &Setting) -> Result<Value, String> {
        self.understand(setting)
            .unwrap_or_else(|| Err(format!("use {}", self.expected())))
    }

    /// `None` is a value that needs no words of its own.
    fn understand(self, setting: &Setting) -> Option<Result<Value, String>> {
        let value = match self {
            Self::Bool => match &setting.kind {
                ValueKind::Boolean(value) => Value::Bool(*value),
                _ => Value::Bool(untyped(setting)?.parse().ok()?),
            },
            Self::Count { min, max } => Value::Number(within(integer(setting)?, min, max)?),
            Self::Bytes { min, max } => {
                let bytes = match text(setting) {
                    Some(text) => bytes(text)?,
                    None => integer(setting)?,
                };
                Value::Number(within(bytes, min, max)?)
            }
            Self::Duration {
                unit,
                min,
                max,
                never,
            } => {
                let text = text(setting)?;
                if text == "never" {
                    return never.map(|value| Ok(Value::Number(value)));
                }
                let ms = milliseconds(text)?;
                if !ms.is_multiple_of(unit.in_ms()) {
                    return None;
                }
                Value::Number(within(ms / unit.in_ms(), min, max)?)
            }
            Self::Choice(choices) => {
                let text = text(setting).filter(|text| choices.contains(text))?;
                Value::Text(text.to_owned())
            }
            Self::Prefix { bytes_max } => {
                let text = text(setting).filter(|text| {
                    text.len() <= bytes_max
                        && !text
                            .chars()
                            .any(|char| char.is_control() || "+#".contains(char))
                })?;
                Value::Text(text.to_owned())
            }
            Self::Path => return Some(path(text(setting)?)),
            Self::Address => {
                let address = address(text(setting)?);
                return Some(address.map(|address| Value::Text(address.to_string())));
            }
        };
        Some(Ok(value))
    }

    /// What the key takes, to follow "use".
    fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Count { .. } => format!("a whole number from {}", self.range()),
            Self::Bytes { .. } => {
                format!(
                    "a size from {}, such as \"64KiB\" or \"2MiB\"",
                    self.range()
                )
            }
            Self::Duration {
                unit: Unit::Milliseconds,
                ..
            } => {
                format!(
                    "a duration from {}, such as \"250ms\" or \"5s\"",
                    self.range()
                )
            }
            Self::Duration {
                unit: Unit::Seconds,
                ..
            } => {
                format!(
                    "a duration from {}, in whole seconds, such as \"90s\" or \"1h\"",
                    self.range()
                )
            }
            Self::Choice(_) => format!("one of {}", self.range()),
            Self::Prefix { .. } | Self::Path | Self::Address => self.range(),
        }
    }

    /// The valid values in a few words, for the documentation's table.
    pub(super) fn range(self) -> String {
        match self {
            Self::Bool => "true, false".into(),
            Self::Count { min, max } => format!("{min} to {max}"),
            Self::Bytes { min, max } => format!("{} to {}", bytes_text(min), bytes_text(max)),
            Self::Duration {
                unit,
                min,
                max,
                never,
            } => {
                let [min, max] = [min, max].map(|bound| duration_text(bound, unit));
                let never = if never.is_some() { " or \"never\"" } else { "" };
                format!("{min} to {max}{never}")
            }
            Self::Choice(choices) => choices
                .iter()
                .map(|choice| format!("\"{choice}\""))
                .collect::<Vec<_>>()
                .join(", "),
            Self::Prefix { bytes_max } => {
                format!("text of at most {bytes_max} bytes without +, # and control characters")
            }
            Self::Path => "a path".into(),
            Self::Address => {
                "an IP address and a port such as \"127.0.0.1:1883\" or \"[::1]:1883\"".into()
            }
        }
    }

    /// The value as it is written in TOML; [`Kind::parse`] takes it back.
    pub(super) fn toml(self, value: &Value) -> String {
        match (value, self) {
            (Value::Bool(value), _) => value.to_string(),
            (Value::Number(number), Self::Bytes { .. }) => format!("\"{}\"", bytes_text(*number)),
            (
                Value::Number(number),
                Self::Duration {
                    never: Some(never), ..
                },
            ) if *number == never => "\"never\"".into(),
            (Value::Number(number), Self::Duration { unit, .. }) => {
                format!("\"{}\"", duration_text(*number, unit))
            }
            (Value::Number(number), _) => number.to_string(),
            (Value::Text(text), _) => toml::Value::String(text.clone()).to_string(),
        }
    }
}

fn text(setting: &Setting) -> Option<&str> {
    match &setting.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

fn untyped(setting: &Setting) -> Option<&str> {
    text(setting).filter(|_| !is_typed(setting))
}

fn within(number: u64, min: u64, max: u64) -> Option<u64> {
    (min..=max).contains(&number).then_some(number)
}

fn integer(setting: &Setting) -> Option<u64> {
    match &setting.kind {
        // As the file's integers come.
        ValueKind::I128(value) => u64::try_from(*value).ok(),
        _ => digits(untyped(setting)?),
    }
}

fn path(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("use the path of a directory".into());
    }
    if text == "~" || text.starts_with("~/") {
        return Err("~ isn't expanded here: write the whole path".into());
    }
    Ok(Value::Text(text.to_owned()))
}

/// An address to listen on: `H:P` or `mqtt://H:P`, H an IP address or `localhost`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = match text.split_once("://") {
        None => text,
        Some(("mqtt", rest)) => rest.strip_suffix('/').unwrap_or(rest),
        Some((scheme, _)) => {
            return Err(format!(
                "{scheme} isn't spoken by this version: use mqtt:// (plain TCP) or no scheme"
            ));
        }
    };
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    if let Some(port) = bare
        .strip_prefix("localhost:")
        .and_then(|port| port.parse::<u16>().ok())
    {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let port = bare
        .strip_prefix("*:")
        .or_else(|| bare.strip_prefix(':'))
        .unwrap_or(bare);
    Err(match port.parse::<u16>() {
        Ok(port) => format!(
            "use 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for all networks, [::]:{port} for IPv6 too"
        ),
        Err(_) => format!("use {}", Kind::Address.range()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Kind = Kind::Bytes {
        min: 1 << 10,
        max: 1 << 30,
    };
    const TIMEOUT: Kind = Kind::Duration {
        unit: Unit::Milliseconds,
        min: 100,
        max: 3_600_000,
        never: None,
    };
    const EXPIRY: Kind = Kind::Duration {
        unit: Unit::Seconds,
        min: 0,
        max: 4_294_944_000,
        never: Some(0xFFFF_FFFF),
    };

    fn typed(kind: impl Into<ValueKind>) -> Setting {
        let path = "dunlin.toml".to_owned();
        Origin::File { path, line: 1 }.setting(kind)
    }

    fn untyped(text: &str) -> Setting {
        Origin::Environment("DUNLIN__X".into()).setting(text)
    }

    fn number(kind: Kind, text: &str) -> Option<u64> {
        match kind.parse(&untyped(text)) {
            Ok(Value::Number(number)) => Some(number),
            Ok(other) => panic!("{text} became {other:?}"),
            Err(_) => None,
        }
    }

    #[test]
    fn sizes_take_units() {
        for (text, bytes) in [
            ("64KiB", 64 << 10),
            ("1 MiB", 1 << 20),
            ("1GiB", 1 << 30),
            ("2kB", 2000),
            ("3MB", 3_000_000),
            ("4096", 4096),
            ("4_096B", 4096),
        ] {
            assert_eq!(number(SIZE, text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "64kib",
            "-1MiB",
            "+4096",
            "1.5MiB",
            "1023",
            "2GiB",
            "99999999999999999999",
            "16777216TiB",
            "_4096",
            "4096 B x",
        ] {
            assert_eq!(number(SIZE, text), None, "{text}");
        }
        assert_eq!(SIZE.parse(&typed(4096_i128)), Ok(Value::Number(4096)));
        assert_eq!(
            SIZE.parse(&typed(true)),
            Err("use a size from 1KiB to 1GiB, such as \"64KiB\" or \"2MiB\"".into())
        );
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(number(TIMEOUT, text), Some(ms), "{text}");
        }
        for text in [
            "5",
            "0",
            "5 minutes",
            "-5s",
            "99ms",
            "61m",
            "never",
            "1h1s",
            "18446744073709551615d",
        ] {
            assert_eq!(number(TIMEOUT, text), None, "{text}");
        }
        assert_eq!(
            TIMEOUT.parse(&typed(5_i128)),
            Err("use a duration from 100ms to 1h, such as \"250ms\" or \"5s\"".into())
        );
    }

    #[test]
    fn durations_kept_in_seconds_take_whole_seconds_and_never() {
        assert_eq!(number(EXPIRY, "7d"), Some(604_800));
        assert_eq!(number(EXPIRY, "2000ms"), Some(2));
        assert_eq!(number(EXPIRY, "never"), Some(0xFFFF_FFFF));
        assert_eq!(number(EXPIRY, "1500ms"), None);
        assert_eq!(
            EXPIRY.parse(&typed("1500ms")),
            Err("use a duration from 0s to 49710d or \"never\", in whole seconds, such as \"90s\" or \"1h\"".into())
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (kind, numbers) in [
            (SIZE, &[1024, 1025, 1 << 20, (1 << 20) + 1, 1 << 30][..]),
            (TIMEOUT, &[100, 250, 1000, 1001, 60_000, 90_000, 3_600_000]),
            (EXPIRY, &[0, 1, 60, 61, 86_400, 4_294_944_000, 0xFFFF_FFFF]),
            (Kind::Count { min: 0, max: 9 }, &[0, 9]),
        ] {
            for expected in numbers {
                let text = kind.toml(&Value::Number(*expected));
                assert_eq!(
                    number(kind, text.trim_matches('"')),
                    Some(*expected),
                    "{text}"
                );
            }
        }
        assert_eq!(EXPIRY.toml(&Value::Number(0)), "\"0s\"");
        assert_eq!(EXPIRY.toml(&Value::Number(0xFFFF_FFFF)), "\"never\"");
        assert_eq!(SIZE.toml(&Value::Number(1 << 20)), "\"1MiB\"");
        assert_eq!(TIMEOUT.toml(&Value::Number(90_000)), "\"90s\"");
    }

    #[test]
    fn addresses_are_of_plain_tcp() {
        let listen = |text: &str| address(text).map(|address| address.to_string());
        for (text, address) in [
            ("127.0.0.1:1883", "127.0.0.1:1883"),
            ("mqtt://127.0.0.1:1883", "127.0.0.1:1883"),
            ("mqtt://0.0.0.0:0/", "0.0.0.0:0"),
            ("localhost:1884", "127.0.0.1:1884"),
            ("[::1]:1883", "[::1]:1883"),
            ("mqtt://[::]:1883", "[::]:1883"),
        ] {
            assert_eq!(listen(text), Ok(address.to_owned()), "{text}");
        }
        let needed = "use an IP address and a port such as \"127.0.0.1:1883\" or \"[::1]:1883\"";
        for text in [
            "",
            "127.0.0.1",
            "example.org:1883",
            "127.0.0.1:65536",
            "::1",
            "localhost",
            "127.0.0.1:+1",
        ] {
            assert_eq!(listen(text), Err(needed.to_owned()), "{text}");
        }
        for text in ["1883", ":1883", "*:1883"] {
            assert_eq!(
                listen(text),
                Err("use 127.0.0.1:1883 for this machine alone, 0.0.0.0:1883 for all networks, [::]:1883 for IPv6 too".to_owned()),
                "{text}"
            );
        }
        assert_eq!(
            listen("mqtts://127.0.0.1:8883"),
            Err(
                "mqtts isn't spoken by this version: use mqtt:// (plain TCP) or no scheme"
                    .to_owned()
            )
        );
    }

    #[test]
    fn other_kinds_say_what_they_take() {
        assert_eq!(Kind::Bool.parse(&untyped("true")), Ok(Value::Bool(true)));
        assert_eq!(
            Kind::Bool.parse(&untyped("yes")),
            Err("use true or false".into())
        );
        assert_eq!(
            Kind::Bool.parse(&typed("true")),
            Err("use true or false".into())
        );

        let count = Kind::Count {
            min: 1,
            max: 65_535,
        };
        assert_eq!(count.parse(&untyped("65_535")), Ok(Value::Number(65_535)));
        for setting in [
            typed(0_i128),
            typed(-1_i128),
            typed(65_536_i128),
            untyped("1e3"),
            typed("7"),
        ] {
            assert_eq!(
                count.parse(&setting),
                Err("use a whole number from 1 to 65535".into()),
                "{setting}"
            );
        }

        let choice = Kind::Choice(&["text", "json"]);
        assert_eq!(
            choice.parse(&untyped("json")),
            Ok(Value::Text("json".into()))
        );
        assert_eq!(
            choice.parse(&untyped("JSON")),
            Err("use one of \"text\", \"json\"".into())
        );

        let prefix = Kind::Prefix { bytes_max: 5 };
        assert_eq!(
            prefix.parse(&untyped("auto-")),
            Ok(Value::Text("auto-".into()))
        );
        for text in ["auto-x", "a/+", "#", "a\0"] {
            assert_eq!(
                prefix.parse(&untyped(text)),
                Err("use text of at most 5 bytes without +, # and control characters".into()),
                "{text:?}"
            );
        }

        assert_eq!(
            Kind::Path.parse(&untyped("")),
            Err("use the path of a directory".into())
        );
        assert_eq!(
            Kind::Path.parse(&untyped("~/dunlin")),
            Err("~ isn't expanded here: write the whole path".into())
        );
        assert_eq!(Kind::Path.parse(&typed(1_i128)), Err("use a path".into()));
    }

    #[test]
    fn values_are_shown_short_and_printable() {
        assert_eq!(shown(&typed("a\u{7}\"")), "\"a\\u{7}\"\"");
        assert_eq!(shown(&untyped("")), "\"\"");
        assert_eq!(shown(&untyped(&"é".repeat(200))), "é".repeat(100) + "...");
        assert_eq!(shown(&typed(unusable(1.5))), "1.5");
    }
}
