//! Temperatures: /sys/class/thermal and /sys/class/hwmon.

use std::fs;
use std::path::{Path, PathBuf};

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// As the kernel calls it; sensors may share a name.
    pub name: String,
    /// Degrees.
    pub celsius: f64,
}

/// The sensors below `sys`, which is `/sys` but in tests. None is no error: many machines have none, or
/// show none to a container.
#[must_use]
pub fn read(sys: &Path) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    for zone in folders(&sys.join("class/thermal"), "thermal_zone") {
        sensors.extend(sensor(&zone.join("temp"), text(&zone.join("type"))));
    }
    for chip in folders(&sys.join("class/hwmon"), "hwmon") {
        let name = text(&chip.join("name")).unwrap_or_default();
        for index in 1..=16 {
            let label = text(&chip.join(format!("temp{index}_label")));
            let label = label.unwrap_or_else(|| index.to_string());
            let input = chip.join(format!("temp{index}_input"));
            sensors.extend(sensor(&input, Some(format!("{name} {label}"))));
        }
    }
    sensors
}

fn sensor(input: &Path, name: Option<String>) -> Option<Sensor> {
    let celsius = parse(&text(input)?)?;
    let name = name.filter(|name| !name.is_empty());
    Some(Sensor {
        name: name.unwrap_or_else(|| "sensor".to_owned()),
        celsius,
    })
}

/// The kernel gives thousandths of a degree; a sensor that is absent gives what no machine survives.
fn parse(text: &str) -> Option<f64> {
    let thousandths: i32 = text.parse().ok()?;
    let celsius = f64::from(thousandths) / 1000.0;
    (-100.0..=200.0).contains(&celsius).then_some(celsius)
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// In order, so that sensors of one name keep theirs.
fn folders(path: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_read() {
        assert_eq!(parse("48312"), Some(48.312));
        assert_eq!(parse("-5000"), Some(-5.0));
        for odd in ["", "x", "48.3", "999999999999", "-273200", "2147483647"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn no_sensors_are_no_error() {
        assert_eq!(read(Path::new("/does/not/exist")), []);
    }
}
