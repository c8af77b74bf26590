//! Disks: /proc/diskstats for what is read and written, the file system for the room on it.

/// What a disk has done since the start, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Such as `sda` or `mmcblk0`.
    pub name: String,
    /// From the disk.
    pub read: u64,
    /// To the disk.
    pub written: u64,
}

/// The unit of /proc/diskstats, whatever the disk's own is.
const SECTOR: u64 = 512;

/// The disks that have done anything, from the text of /proc/diskstats. `is_whole` tells disks from their
/// partitions.
#[must_use]
pub fn parse(diskstats: &str, is_whole: impl Fn(&str) -> bool) -> Vec<Disk> {
    diskstats
        .lines()
        .filter_map(disk)
        .filter(|disk| disk.read > 0 || disk.written > 0)
        .filter(|disk| is_whole(&disk.name))
        .collect()
}

fn disk(line: &str) -> Option<Disk> {
    // major minor name reads merged sectors ms writes merged sectors ...
    let mut fields = line.split_whitespace();
    let name = fields.nth(2)?;
    let mut sectors = |skip| {
        let sectors = fields.nth(skip)?.parse::<u64>().ok()?;
        sectors.checked_mul(SECTOR)
    };
    Some(Disk {
        name: name.to_owned(),
        read: sectors(2)?,
        written: sectors(3)?,
    })
}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its size.
    pub total: u64,
    /// What programs may still write.
    pub available: u64,
}

impl Room {
    /// Of the file system that `path` is on; `None` where it can't be told.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let stat = rustix::fs::statvfs(path).ok()?;
        let total = stat.f_blocks.checked_mul(stat.f_frsize)?;
        let available = stat.f_bavail.checked_mul(stat.f_frsize)?;
        (total > 0).then(|| Self {
            total,
            available: available.min(total),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n 254       0 vda 10 1 4 3 20 2 \
                         6 9 0 0 0\n 254       1 vda1 10 1 4 3 20 2 6 9 0 0 0\n";

    #[test]
    fn disks_are_read() {
        let expected = Disk {
            name: "vda".to_owned(),
            read: 2048,
            written: 3072,
        };
        assert_eq!(parse(STATS, |name| name == "vda"), [expected]);
        assert_eq!(parse(STATS, |_| true).len(), 2);
    }

    #[test]
    fn odd_contents_are_nothing() {
        for text in [
            "",
            "254 0",
            "254 0 vda",
            "254 0 vda 10 1 4 3 20 2",
            "254 0 vda 10 1 x 3 20 2 6",
            "254 0 vda 10 1 18446744073709551615 3 20 2 6",
        ] {
            assert_eq!(parse(text, |_| true), [], "{text:?}");
        }
    }

    #[test]
    fn the_root_has_room_and_nothing_has_none() {
        let room = Room::at("/");
        assert!(room.is_some_and(|room| room.total >= room.available));
        assert_eq!(Room::at("/does/not/exist"), None);
    }
}
