//! Processor: /proc/stat and /proc/loadavg.

/// Time that all processors together have spent since the start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// All of it.
    pub total: u64,
    /// Of it with nothing to do, waiting for disks included.
    pub idle: u64,
}

impl Times {
    /// From the text of /proc/stat.
    #[must_use]
    pub fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; what follows is counted in user already.
        let fields: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map_while(|field| field.parse().ok())
            .collect();
        let idle = fields.get(3)?.saturating_add(*fields.get(4).unwrap_or(&0));
        let total = fields
            .iter()
            .fold(0, |sum: u64, &field| sum.saturating_add(field));
        Some(Self { total, idle })
    }

    /// Which part of the time since `earlier` was spent working, in percent. `None` if none has passed.
    #[must_use]
    pub fn usage_percent_since(&self, earlier: &Self) -> Option<f64> {
        let total = self
            .total
            .checked_sub(earlier.total)
            .filter(|&ticks| ticks > 0)?;
        // The time spent waiting may go back a little.
        let idle = self.idle.saturating_sub(earlier.idle).min(total);
        Some(percent(total - idle, total))
    }
}

/// The mean number of processes that ran or waited for a disk, over 1, 5 and 15 minutes, from the text of
/// /proc/loadavg.
#[must_use]
pub fn parse_load(loadavg: &str) -> Option<[f64; 3]> {
    let mut fields = loadavg.split_whitespace().map(|field| field.parse().ok());
    let mut next = || {
        fields
            .next()
            .flatten()
            .filter(|load: &f64| load.is_finite())
    };
    Some([next()?, next()?, next()?])
}

/// `part` of `whole` in percent; 0 of nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    // Exact up to 2^53, which no size reaches that matters here.
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  100 10 50 800 20 1 2 3 40 5\ncpu0 100 10 50 800 20 1 2 3 40 5\nintr 1\n";

    #[test]
    fn times_are_read() {
        let expected = Times {
            total: 986,
            idle: 820,
        };
        assert_eq!(Times::parse(STAT), Some(expected));
    }

    #[test]
    fn usage_is_the_part_that_was_not_idle() {
        let times = |total, idle| Times { total, idle };
        let usage = |now: Times, then| now.usage_percent_since(&then);
        assert_eq!(usage(times(200, 175), times(100, 100)), Some(25.0));
        assert_eq!(usage(times(200, 100), times(100, 101)), Some(100.0));
        assert_eq!(usage(times(200, 900), times(100, 100)), Some(0.0));
        assert_eq!(usage(times(100, 100), times(100, 100)), None);
        assert_eq!(usage(times(100, 100), times(200, 100)), None);
    }

    #[test]
    fn odd_contents_are_nothing() {
        for text in [
            "",
            "cpu",
            "cpu \n",
            "cpu  1 2 3",
            "cpu  a b c d",
            "cpu0 1 2 3 4",
            "cpu  1 2 3 -4",
        ] {
            assert_eq!(Times::parse(text), None, "{text:?}");
        }
        let huge = format!("cpu  {0} {0} {0} {0} {0}", u64::MAX);
        assert_eq!(Times::parse(&huge).map(|times| times.total), Some(u64::MAX));
    }

    #[test]
    fn load_is_read() {
        assert_eq!(
            parse_load("0.21 0.29 0.48 2/97 2346\n"),
            Some([0.21, 0.29, 0.48])
        );
        for text in ["", "0.1 0.2", "a b c", "nan inf 1"] {
            assert_eq!(parse_load(text), None, "{text:?}");
        }
    }
}
