//! Memory: /proc/meminfo.

/// What the machine has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What programs could get without swapping.
    pub available: u64,
    /// Swapped out, if there is swap.
    pub swap_used: Option<u64>,
}

impl Memory {
    /// From the text of /proc/meminfo.
    #[must_use]
    pub fn parse(meminfo: &str) -> Option<Self> {
        let total = field(meminfo, "MemTotal")?;
        let swap_total = field(meminfo, "SwapTotal").filter(|&total| total > 0);
        let swap_free = field(meminfo, "SwapFree");
        Some(Self {
            total,
            available: field(meminfo, "MemAvailable")?.min(total),
            swap_used: swap_total
                .zip(swap_free)
                .map(|(total, free)| total.saturating_sub(free)),
        })
    }
}

/// The field in bytes; the file has it in units of 1024.
fn field(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:       2000 kB\nMemFree:        100 kB\nMemAvailable:   1500 kB\n\
                    SwapTotal:      10 kB\nSwapFree:       4 kB\n";
        let expected = Memory {
            total: 2_048_000,
            available: 1_536_000,
            swap_used: Some(6144),
        };
        assert_eq!(Memory::parse(text), Some(expected));
    }

    #[test]
    fn a_machine_may_have_no_swap() {
        let text = "MemTotal: 2000 kB\nMemAvailable: 3000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        let expected = Memory {
            total: 2_048_000,
            available: 2_048_000,
            swap_used: None,
        };
        assert_eq!(Memory::parse(text), Some(expected));
    }

    #[test]
    fn odd_contents_are_nothing() {
        for text in [
            "",
            "MemTotal: 5 kB",
            "MemTotal: -5 kB\nMemAvailable: 1 kB",
            "MemTotal: 5\nMemAvailable: 1",
            "MemTotalx: 5 kB\nMemAvailable: 1 kB",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB",
        ] {
            assert_eq!(Memory::parse(text), None, "{text:?}");
        }
    }
}
