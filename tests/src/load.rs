//! The load generator: what one broker costs beside another, in CPU time and memory, with every message accounted for.
//!
//! It speaks MQTT 3.1.1 encoded by mqttbytes, a codec that isn't ours: batches are encoded before they're needed, frames
//! that come are looked at in place, and mqttbytes decodes the control packets and every thousandth message. What the
//! generator itself costs is printed beside what it measures; a measurement in which it costs too much is called
//! invalid. Brokers are started here, one process each, and ended by their process ids.

pub mod brokers;
pub mod idle;
pub mod one_to_one;
pub mod retained;
mod scan;
mod socket;
mod wire;

use std::time::Duration;

use crate::raw::Outcome;

/// The middle one of these, or the mean of the two in the middle; 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        (at(middle.wrapping_sub(1)) + at(middle)) / 2.0
    }
}

/// The smallest and the largest.
fn spread(values: &[f64]) -> (f64, f64) {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(0.0, f64::max);
    (min, max)
}

/// The time below which so many thousandths of these sorted times lie.
fn percentile(sorted: &[Duration], thousandths: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (sorted.len() * thousandths / 1000).min(last);
    sorted.get(at).copied().unwrap_or_default()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// What the machine was busy with, to be read beside each figure: the load averages of 1, 5 and 15 minutes.
///
/// # Errors
/// When the kernel doesn't say.
pub fn machine() -> Outcome<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism()?;
    Ok(format!("load average {}; {cores} cores", load.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(spread(&[2.0, 1.0, 3.0]), (1.0, 3.0));
    }

    #[test]
    fn percentiles_are_of_what_is_there() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 500), Duration::from_millis(51));
        assert_eq!(percentile(&times, 990), Duration::from_millis(100));
        assert_eq!(percentile(&times, 1000), Duration::from_millis(100));
        assert_eq!(percentile(&[], 500), Duration::ZERO);
    }
}
