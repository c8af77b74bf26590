//! Logging: events of `tracing` on standard error, as text or JSON, at a level that can change while
//! the broker runs.
//!
//! Standard output isn't touched: it belongs to the start-up lines that scripts read. Does not
//! answer for metrics.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use crate::config::{Log, LogFormat, LogLevel};

/// Logging that runs.
#[derive(Clone, Debug)]
pub struct Telemetry {
    level: reload::Handle<LevelFilter, Registry>,
}

/// Why logging doesn't start or change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else in this process logs already.
    #[error("logging has been started before: {0}")]
    Started(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The subscriber is gone.
    #[error("the log level can't be changed: {0}")]
    Level(#[from] reload::Error),
}

impl Telemetry {
    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// When the process logs already.
    pub fn start(log: &Log) -> Result<Self, Error> {
        // https://no-color.org: any value but the empty one turns colors off.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colors = io::stderr().is_terminal() && !plain;
        let (subscriber, telemetry) = subscriber(log, colors, io::stderr);
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(telemetry)
    }

    /// Changes the level from now on.
    ///
    /// # Errors
    /// When the subscriber is gone.
    pub fn set_level(&self, level: LogLevel) -> Result<(), Error> {
        Ok(self.level.reload(filter(level))?)
    }
}

fn subscriber<W>(log: &Log, colors: bool, writer: W) -> (impl Subscriber + Send + Sync, Telemetry)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (level, handle) = reload::Layer::new(filter(log.level));
    let format = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // By default a failed write is reported with `eprintln!`, which panics when standard error
        // is what failed.
        .log_internal_errors(false)
        .with_ansi(colors);
    let format = match log.format {
        LogFormat::Text => format.with_target(false).boxed(),
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    };
    (
        Registry::default().with(level).with(format),
        Telemetry { level: handle },
    )
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// Where tests read what was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    /// Logging that goes to memory.
    pub(crate) fn in_memory(
        log: &Log,
        memory: &Memory,
    ) -> (impl Subscriber + Send + Sync, Telemetry) {
        subscriber(log, false, memory.clone())
    }

    impl Memory {
        /// The lines of text since the last call, without their times.
        pub(crate) fn events(&self) -> Vec<String> {
            let event = |line: &str| match line.split_once('Z') {
                Some((time, event)) if time.starts_with("20") => event.trim_start().to_owned(),
                _ => line.to_owned(),
            };
            self.take().lines().map(event).collect()
        }

        fn take(&self) -> String {
            let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&std::mem::take(&mut *bytes)).into_owned()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// A standard error that is closed.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn text_is_a_line_with_level_and_fields() {
        let memory = Memory::default();
        let (subscriber, _telemetry) = subscriber(&Log::default(), false, memory.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(client_id = "lamp", "connected");
            tracing::debug!("not at this level");
        });
        let text = memory.take();
        assert!(
            text.ends_with("INFO connected client_id=\"lamp\"\n"),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(
            !text.contains('\u{1b}'),
            "colors without a terminal: {text:?}"
        );
    }

    #[test]
    fn json_is_an_object_a_line() {
        let memory = Memory::default();
        let log = Log {
            format: LogFormat::Json,
            ..Log::default()
        };
        let (subscriber, _telemetry) = subscriber(&log, false, memory.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(client_id = "a\"b\n", "slow");
        });
        let text = memory.take();
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text:?}");
        for part in [
            r#""level":"WARN""#,
            r#""message":"slow""#,
            r#""client_id":"a\"b\n""#,
        ] {
            assert!(text.contains(part), "{part} in {text:?}");
        }
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let memory = Memory::default();
        let log = Log {
            level: LogLevel::Off,
            ..Log::default()
        };
        let (subscriber, telemetry) = subscriber(&log, false, memory.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("not a word");
            assert!(telemetry.set_level(LogLevel::Debug).is_ok());
            tracing::debug!("heard");
            tracing::trace!("not yet");
        });
        let text = memory.take();
        assert!(text.ends_with("DEBUG heard\n"), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }

    #[test]
    fn a_level_can_not_change_once_the_subscriber_is_gone() {
        let (subscriber, telemetry) = subscriber(&Log::default(), false, Memory::default());
        drop(subscriber);
        assert!(matches!(
            telemetry.set_level(LogLevel::Debug),
            Err(Error::Level(_))
        ));
    }

    #[test]
    fn a_closed_standard_error_stops_nothing() {
        let (subscriber, _telemetry) = subscriber(&Log::default(), false, || Closed);
        tracing::subscriber::with_default(subscriber, || tracing::error!("to nobody"));
    }
}
