//! Numbers with units, both ways: durations and sizes. A number that doesn't fit is no number.

/// The unit that a duration is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
}

impl Unit {
    pub(super) fn in_ms(self) -> u64 {
        match self {
            Self::Milliseconds => 1,
            Self::Seconds => 1000,
        }
    }
}

/// Digits, with underscores between them as TOML has them.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    // `parse` alone would take a sign too.
    let is_number = text.starts_with(|char: char| char.is_ascii_digit())
        && plain.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { plain.parse().ok() } else { None }
}

/// A number and its unit.
fn with_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|char: char| !char.is_ascii_digit() && char != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((digits(number)?, unit.trim_start()))
}

const MILLISECONDS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let (_, factor) = MILLISECONDS.into_iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(factor)
}

/// The longest unit that gives a whole number.
pub(super) fn duration_text(number: u64, unit: Unit) -> String {
    let ms = number.saturating_mul(unit.in_ms());
    if ms == 0 {
        return "0s".into();
    }
    for (name, factor) in MILLISECONDS {
        if ms.is_multiple_of(factor) {
            return format!("{}{name}", ms / factor);
        }
    }
    format!("{ms}ms")
}

const BINARY: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];
const DECIMAL: [(&str, u64); 6] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
    ("", 1),
];

pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let (_, factor) = BINARY
        .into_iter()
        .chain(DECIMAL)
        .find(|(name, _)| *name == unit)?;
    number.checked_mul(factor)
}

/// The largest binary unit that gives a whole number, else bytes.
pub(super) fn bytes_text(bytes: u64) -> String {
    for (name, factor) in BINARY {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{name}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_take_underscores_but_no_sign() {
        assert_eq!(digits("1_000"), Some(1000));
        for text in ["", "_1", "+1", "-1", "1.0", "1e3", "99999999999999999999"] {
            assert_eq!(digits(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_in_the_largest_unit_that_is_exact() {
        for (number, unit, text) in [
            (0, Unit::Seconds, "0s"),
            (1, Unit::Milliseconds, "1ms"),
            (90_000, Unit::Milliseconds, "90s"),
            (120, Unit::Seconds, "2m"),
            (86_400, Unit::Seconds, "1d"),
            (90_000, Unit::Seconds, "25h"),
        ] {
            assert_eq!(duration_text(number, unit), text);
            assert_eq!(milliseconds(text), Some(number * unit.in_ms()), "{text}");
        }
        for (number, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1 << 10, "1KiB"),
            (5 << 40, "5TiB"),
        ] {
            assert_eq!(bytes_text(number), text);
            assert_eq!(bytes(text), Some(number), "{text}");
        }
    }
}
