//! Network: /proc/net/dev.

/// What an interface has carried since it came up, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Such as `eth0`.
    pub name: String,
    /// To this machine.
    pub received: u64,
    /// From this machine.
    pub sent: u64,
}

/// The interfaces that have carried anything, without loopback, from the text of /proc/net/dev.
#[must_use]
pub fn parse(dev: &str) -> Vec<Interface> {
    dev.lines()
        .filter_map(interface)
        .filter(|interface| interface.name != "lo")
        .filter(|interface| interface.received > 0 || interface.sent > 0)
        .collect()
}

fn interface(line: &str) -> Option<Interface> {
    // An alias has a colon in its name.
    let (name, counters) = line.rsplit_once(':')?;
    let mut counters = counters.split_whitespace().map(|field| field.parse().ok());
    let received = counters.next().flatten()?;
    // Packets, errors and so on, up to the first counter of what was sent.
    let sent = counters.nth(7).flatten()?;
    let name = name.trim();
    (!name.is_empty()).then(|| Interface {
        name: name.to_owned(),
        received,
        sent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n  \
        eth0: 2500 20 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n  \
        ifb0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";

    #[test]
    fn interfaces_are_read() {
        let expected = Interface {
            name: "eth0".to_owned(),
            received: 2500,
            sent: 900,
        };
        assert_eq!(parse(DEV), [expected]);
    }

    #[test]
    fn odd_contents_are_nothing() {
        for text in [
            "",
            "eth0:",
            "eth0: 1 2 3",
            ":1 2 3 4 5 6 7 8 9",
            "eth0: x 2 3 4 5 6 7 8 9",
        ] {
            assert_eq!(parse(text), [], "{text:?}");
        }
    }
}
