//! Readings: groups of named numbers, made from two looks at the machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cpu::{self, Times, percent};
use crate::disk::{self, Disk, Room};
use crate::memory::Memory;
use crate::network::{self, Interface};
use crate::temperature::{self, Sensor};

/// Values that belong together, such as those of the processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// A part of a topic: `cpu`, `memory`, `temperature`, `disk/vda`, `network/eth0`.
    pub name: String,
    /// Names with their units last, such as `used_percent`, and their values.
    pub values: Vec<(String, f64)>,
}

impl Group {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            values: Vec::new(),
        }
    }

    fn add(&mut self, name: impl Into<String>, value: f64) {
        let value = (value * 100.0).round() / 100.0;
        self.values.push((name.into(), value));
    }
}

/// Looks at the machine, and remembers what it saw last.
#[derive(Debug, Default)]
pub struct Sampler {
    last: Option<(Instant, Counters)>,
}

/// What only grows.
#[derive(Debug, Default)]
struct Counters {
    times: Option<Times>,
    disks: Vec<Disk>,
    interfaces: Vec<Interface>,
}

impl Sampler {
    /// What there is to tell now. The first time nothing that is a rate, for it takes two looks.
    pub fn look(&mut self) -> Vec<Group> {
        let now = Instant::now();
        let counters = Counters {
            times: Times::parse(&text("/proc/stat")),
            disks: disk::parse(&text("/proc/diskstats"), |name| {
                Path::new("/sys/block").join(name).join("device").exists()
            }),
            interfaces: network::parse(&text("/proc/net/dev")),
        };
        let mut groups = vec![
            processor(&counters, self.last.as_ref().map(|(_, last)| last)),
            memory(),
            temperatures(temperature::read(Path::new("/sys"))),
            room(),
        ];
        if let Some((then, last)) = &self.last {
            groups.extend(rates(&counters, last, now.duration_since(*then)));
        }
        self.last = Some((now, counters));
        groups.retain(|group| !group.values.is_empty());
        groups
    }
}

fn processor(counters: &Counters, last: Option<&Counters>) -> Group {
    let mut group = Group::new("cpu");
    let earlier = last.and_then(|last| last.times);
    if let Some((times, earlier)) = counters.times.zip(earlier)
        && let Some(usage) = times.usage_percent_since(&earlier)
    {
        group.add("usage_percent", usage);
    }
    if let Some(load) = cpu::parse_load(&text("/proc/loadavg")) {
        for (name, load) in ["load_1min", "load_5min", "load_15min"]
            .into_iter()
            .zip(load)
        {
            group.add(name, load);
        }
    }
    group
}

fn memory() -> Group {
    let mut group = Group::new("memory");
    if let Some(memory) = Memory::parse(&text("/proc/meminfo")) {
        group.add("total_bytes", number(memory.total));
        group.add("available_bytes", number(memory.available));
        let used = memory.total - memory.available;
        group.add("used_percent", percent(used, memory.total));
        if let Some(swap) = memory.swap_used {
            group.add("swap_used_bytes", number(swap));
        }
    }
    group
}

fn temperatures(sensors: Vec<Sensor>) -> Group {
    let mut group = Group::new("temperature");
    for sensor in sensors {
        let name = level(&sensor.name).to_lowercase();
        let taken = |name: &str| group.values.iter().any(|(other, _)| other == name);
        let name = (1..)
            .map(|number| match number {
                1 => format!("{name}_celsius"),
                _ => format!("{name}_{number}_celsius"),
            })
            .find(|name| !taken(name));
        if let Some(name) = name {
            group.add(name, sensor.celsius);
        }
    }
    group
}

fn room() -> Group {
    let mut group = Group::new("disk");
    if let Some(room) = Room::at("/") {
        group.add("total_bytes", number(room.total));
        group.add("available_bytes", number(room.available));
        let used = room.total - room.available;
        group.add("used_percent", percent(used, room.total));
    }
    group
}

fn rates(now: &Counters, last: &Counters, passed: Duration) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut group = |name: String, rates: [(&str, u64, u64); 2]| {
        let mut group = Group::new(name);
        for (name, now, earlier) in rates {
            // Counters start over when a device is plugged in again.
            if let Some(bytes) = now.checked_sub(earlier)
                && !passed.is_zero()
            {
                group.add(name, number(bytes) / passed.as_secs_f64());
            }
        }
        groups.push(group);
    };
    for disk in &now.disks {
        if let Some(earlier) = last.disks.iter().find(|last| last.name == disk.name) {
            let read = ("read_bytes_per_s", disk.read, earlier.read);
            let written = ("written_bytes_per_s", disk.written, earlier.written);
            group(format!("disk/{}", level(&disk.name)), [read, written]);
        }
    }
    for interface in &now.interfaces {
        let name = &interface.name;
        if let Some(earlier) = last.interfaces.iter().find(|last| last.name == *name) {
            let received = ("received_bytes_per_s", interface.received, earlier.received);
            let sent = ("sent_bytes_per_s", interface.sent, earlier.sent);
            group(format!("network/{}", level(name)), [received, sent]);
        }
    }
    groups
}

/// This machine's name; `machine` where it has none.
#[must_use]
pub fn host_name() -> String {
    let name = text("/proc/sys/kernel/hostname");
    match name.trim() {
        "" | "(none)" => "machine".to_owned(),
        name => level(name),
    }
}

/// The name as one level of a topic: without separators, wildcards and spaces.
#[must_use]
pub fn level(name: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    name.chars()
        .map(|char| if plain(char) { char } else { '_' })
        .collect()
}

/// What can't be read is empty, and so says nothing.
fn text(path: &str) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Exact up to 2^53 bytes, 8 PiB.
fn number(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(read: u64, received: u64) -> Counters {
        Counters {
            times: None,
            disks: vec![Disk {
                name: "sda".to_owned(),
                read,
                written: 0,
            }],
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                received,
                sent: 7,
            }],
        }
    }

    fn group(name: &str, values: &[(&str, f64)]) -> Group {
        Group {
            name: name.to_owned(),
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    #[test]
    fn rates_are_per_second() {
        let two_seconds = Duration::from_secs(2);
        let found = rates(&counters(3000, 5001), &counters(1000, 5000), two_seconds);
        let disk = [("read_bytes_per_s", 1000.0), ("written_bytes_per_s", 0.0)];
        let network = [("received_bytes_per_s", 0.5), ("sent_bytes_per_s", 0.0)];
        assert_eq!(
            found,
            [group("disk/sda", &disk), group("network/eth0", &network)]
        );
    }

    #[test]
    fn a_counter_that_starts_over_is_left_out() {
        let second = Duration::from_secs(1);
        let found = rates(&counters(1, 1), &counters(1000, 1), second);
        assert_eq!(
            found.first(),
            Some(&group("disk/sda", &[("written_bytes_per_s", 0.0)]))
        );
        let found = rates(&counters(1, 1), &Counters::default(), second);
        assert_eq!(found, []);
        let found = rates(&counters(1, 1), &counters(1, 1), Duration::ZERO);
        assert!(found.iter().all(|group| group.values.is_empty()));
    }

    #[test]
    fn sensors_of_one_name_are_told_apart() {
        let sensor = |name: &str, celsius| Sensor {
            name: name.to_owned(),
            celsius,
        };
        let found = temperatures(vec![sensor("Core 0", 40.0), sensor("Core 0", 41.456)]);
        let expected = [("core_0_celsius", 40.0), ("core_0_2_celsius", 41.46)];
        assert_eq!(found, group("temperature", &expected));
    }

    #[test]
    fn names_become_levels() {
        assert_eq!(level("a/b+c#d e"), "a_b_c_d_e");
        assert_eq!(level("raspberry-pi_2.local"), "raspberry-pi_2.local");
    }

    #[test]
    fn this_machine_can_be_looked_at_twice() {
        let mut sampler = Sampler::default();
        sampler.look();
        for group in sampler.look() {
            assert!(!group.values.is_empty(), "{group:?}");
            assert!(group.values.iter().all(|(_, value)| value.is_finite()));
        }
    }
}
