//! Reading the configuration again for a running broker, and saying what that changes.
//!
//! Does not answer for the signal that asks for it, nor for handing the new limits to the engine.

use tracing::{error, info, warn};

use crate::config::{Config, Loaded, Sources};
use crate::telemetry::Telemetry;

/// Reads the same layers again that the broker was started with.
#[derive(Clone, Debug)]
pub struct Reloader {
    sources: Sources,
    telemetry: Telemetry,
}

impl Reloader {
    /// `sources` are those of the start; `telemetry` gets a new log level.
    #[must_use]
    pub fn new(sources: Sources, telemetry: Telemetry) -> Self {
        Self { sources, telemetry }
    }

    /// Reads and checks all layers, changes the log level, and logs what changes and what would take
    /// a restart. Reads a file, so it may block for as long as the disk does.
    ///
    /// The configuration from now on, for the caller to apply; `None` when the new one isn't valid,
    /// and then nothing changes.
    #[must_use]
    pub fn reload(&self, running: &Config) -> Option<Config> {
        let new = match Loaded::read(&self.sources) {
            Ok(loaded) => loaded.config,
            Err(problems) => {
                error!("not reloaded, the configuration in force stays: {problems}");
                return None;
            }
        };
        let reloaded = running.reload(&new);
        if let Err(error) = self.telemetry.set_level(reloaded.config.log.level) {
            error!(%error, "the log level stays");
        }
        for change in &reloaded.applied {
            info!(key = %change.key, before = %change.before, after = %change.after, "reloaded");
        }
        for change in &reloaded.needs_restart {
            warn!(key = %change.key, before = %change.before, after = %change.after, "takes a restart");
        }
        let [applied, needs_restart] =
            [&reloaded.applied, &reloaded.needs_restart].map(|changes| changes.len());
        info!(applied, needs_restart, "configuration read again");
        Some(reloaded.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags, LogLevel};
    use crate::telemetry::tests::{Memory, in_memory};

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_changes_is_applied_and_said_and_the_rest_is_said() -> Outcome {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("dunlin.toml");
        std::fs::write(&file, "")?;
        let flags = Flags {
            data_dir: Some("/d".into()),
            ..Flags::default()
        };
        let sources = Sources {
            file: Some(file.clone()),
            environment: Environment::default(),
            flags,
        };
        let running = Loaded::read(&sources)?.config;
        let memory = Memory::default();
        let (subscriber, telemetry) = in_memory(&running.log, &memory);
        let reloader = Reloader::new(sources, telemetry);

        tracing::subscriber::with_default(subscriber, || -> Outcome {
            std::fs::write(&file, "[log]\nlevel = \"debug\"\n[runtime]\nworkers = 1\n")?;
            let config = reloader.reload(&running).ok_or("it was valid")?;
            let mut expected = running.clone();
            expected.log.level = LogLevel::Debug;
            assert_eq!(config, expected);
            tracing::debug!("heard");
            assert_eq!(
                memory.events(),
                [
                    r#"INFO reloaded key=log.level before="info" after="debug""#,
                    "WARN takes a restart key=runtime.workers before=0 after=1",
                    "INFO configuration read again applied=1 needs_restart=1",
                    "DEBUG heard",
                ]
            );

            std::fs::write(&file, "[log]\nlevel = \"loud\"\n")?;
            assert_eq!(reloader.reload(&config), None);
            tracing::debug!("still heard");
            let events = memory.events();
            let refused = "ERROR not reloaded, the configuration in force stays: the configuration has a problem:";
            assert_eq!(events.first().map(String::as_str), Some(refused));
            assert_eq!(events.last().map(String::as_str), Some("DEBUG still heard"));
            Ok(())
        })
    }
}
