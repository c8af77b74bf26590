//! What a process costs, as the kernel counts it: memory, CPU time, open files. And how many files this process may
//! open itself. Linux only, as are the suites that use it.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::raw::{Failure, Outcome};

/// A process's memory in bytes, from `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The part of it that no file backs.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// The memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn memory(process_id: u32) -> Outcome<Memory> {
    let status = fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        // A process that has ended, but wasn't waited for, has no memory to speak of.
        number.map(|kib| kib * 1024).ok_or_else(|| {
            Failure::new(format!(
                "process {process_id} has no {name} (did it end?): {status}"
            ))
        })
    };
    Ok(Memory {
        resident: field("VmRSS:")?,
        anonymous: field("RssAnon:")?,
        peak: field("VmHWM:")?,
    })
}

/// The CPU time that a process took so far, in the program and in the kernel for it. Counted in hundredths of a
/// second.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(process_id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat"))?;
    // The program's name stands in parentheses and may hold anything; fields 14 and 15 are counted from behind it.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' '));
    let ticks: Option<u64> = fields.and_then(|fields| {
        let mut times = fields.skip(11).map(|field| field.parse::<u64>().ok());
        Some(times.next()?? + times.next()??)
    });
    let ticks = ticks.ok_or_else(|| Failure::new(format!("not a process's stat: {stat}")))?;
    Ok(Duration::from_millis(
        ticks * 1000 / rustix::param::clock_ticks_per_second().max(1),
    ))
}

/// How many files, sockets among them, a process has open.
///
/// # Errors
/// When there is no such process.
pub fn open_files(process_id: u32) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{process_id}/fd"))?.count())
}

/// Lets this process, and those it starts, open as many files as the system allows. Gives how many that are.
///
/// # Errors
/// When the system says no.
pub fn raise_open_files() -> Outcome<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(std::io::Error::from)?;
    let files = limit.maximum.unwrap_or(u64::MAX);
    Ok(usize::try_from(files).unwrap_or(usize::MAX))
}

/// Bounds how many files another process may have open; what it has open already stays.
///
/// # Errors
/// When the system says no.
pub fn bound_open_files(process_id: u32, files: u64) -> Outcome {
    let id = i32::try_from(process_id).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| Failure::new(format!("{process_id} is no process id")))?;
    let hard = getrlimit(Resource::Nofile).maximum;
    let bound = Rlimit {
        current: Some(files),
        maximum: hard,
    };
    prlimit(Some(id), Resource::Nofile, bound).map_err(std::io::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_time_and_files() -> Outcome {
        let id = std::process::id();
        let memory = memory(id)?;
        assert!(memory.anonymous > 0 && memory.anonymous < memory.resident);
        assert!(memory.resident <= memory.peak);
        assert!(open_files(id)? >= 3);
        let start = cpu_time(id)?;
        let mut sum = 0_u64;
        while cpu_time(id)? == start {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        assert!(cpu_time(id)? - start < Duration::from_secs(5), "{sum}");
        Ok(())
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(memory(u32::MAX).is_err());
        assert!(cpu_time(u32::MAX).is_err());
        assert!(open_files(u32::MAX).is_err());
    }
}
