//! The command line: commands, flags, exit codes.
//!
//! Answers for what a user types and what a script can rely on. Each command's work is in a file of
//! its own. Standard output carries what was asked for; messages go to standard error.

mod check_config;
mod client;
mod print_config;
mod publish;
mod serve;
mod subscribe;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Environment, Flags, Sources};

/// How a command ended. The codes are those of sysexits, but for usage errors, which are 2 as in
/// most programs, and for the time of `-W`, which is mosquitto's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped when asked to.
    Ok,
    /// The command line isn't understood.
    Usage,
    /// The time that the user gave is over.
    TimedOut,
    /// What is needed isn't there: an address to listen on, or a broker to connect to.
    Unavailable,
    /// The program or the system failed in a way that configuration doesn't mend.
    Software,
    /// The data directory can't be created or written.
    CantCreate,
    /// Reading or writing failed.
    Io,
    /// The data directory is in use by another broker.
    InUse,
    /// The broker refused what a client asked for.
    Refused,
    /// The configuration isn't valid.
    Config,
}

impl Exit {
    const ALL: [Self; 10] = [
        Self::Ok,
        Self::Usage,
        Self::TimedOut,
        Self::Unavailable,
        Self::Software,
        Self::CantCreate,
        Self::Io,
        Self::InUse,
        Self::Refused,
        Self::Config,
    ];

    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 2,
            Self::TimedOut => 27,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::CantCreate => 73,
            Self::Io => 74,
            Self::InUse => 75,
            Self::Refused => 77,
            Self::Config => 78,
        }
    }

    /// For `--help` and the documentation.
    fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done, or stopped when asked to",
            Self::Usage => "the command line isn't understood",
            Self::TimedOut => "the time that -W allows is over",
            Self::Unavailable => "an address can't be listened on, or a broker can't be reached",
            Self::Software => "the program or the system failed",
            Self::CantCreate => "the data directory can't be created or written",
            Self::Io => "reading or writing failed",
            Self::InUse => "the data directory is in use by another broker",
            Self::Refused => "the broker refused a connection, subscription or message",
            Self::Config => "the configuration isn't valid",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// An MQTT 3.1.1 and 5 broker for edge devices.
#[derive(Debug, Parser)]
#[command(
    name = "dunlin",
    version,
    after_help = exit_codes(),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The flags of `serve`, which is what no command stands for.
    #[command(flatten)]
    serve: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker; the same as no command
    Serve(ConfigArgs),
    /// Check the configuration and say everything that is wrong with it
    CheckConfig(ConfigArgs),
    /// Print the configuration in force as TOML, with the layer each value comes from
    PrintConfig(ConfigArgs),
    /// Publish messages; options as of mosquitto_pub
    Pub(Box<publish::PublishArgs>),
    /// Subscribe and print what comes; options as of mosquitto_sub
    Sub(Box<subscribe::SubscribeArgs>),
}

/// The flags of the commands that read a configuration.
#[derive(Clone, Debug, Default, Args)]
struct ConfigArgs {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the configuration says; may be given several times. Port 0 takes
    /// a free one and prints it
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
    /// Let clients connect without authentication on every address, also from other machines
    #[arg(long)]
    allow_anonymous: bool,
    /// The directory for the broker's data
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The least severe events to log: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How to log: text, json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConfigArgs {
    fn sources(self, environment: Environment) -> Sources {
        let Self {
            config,
            listen,
            allow_anonymous,
            data_dir,
            log_level,
            log_format,
        } = self;
        let flags = Flags {
            listen,
            allow_anonymous,
            data_dir,
            log_level,
            log_format,
        };
        Sources {
            file: config,
            environment,
            flags,
        }
    }
}

/// Runs the command that `arguments` (the program's name first) ask for.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments
        .first()
        .cloned()
        .unwrap_or_else(|| "dunlin".into());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" too, for standard output.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return error
                .print()
                .map_or_else(|error| output_failed(&error), |()| exit);
        }
    };
    let environment = Environment::of_process();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(args.sources(environment), &program),
        Command::CheckConfig(args) => check_config::run(&args.sources(environment)),
        Command::PrintConfig(args) => print_config::run(&args.sources(environment)),
        Command::Pub(args) => {
            let quiet = args.is_quiet();
            client::exit(quiet, publish::run(*args))
        }
        Command::Sub(args) => {
            let quiet = args.is_quiet();
            client::exit(quiet, subscribe::run(*args))
        }
    }
}

fn exit_codes() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// Writes what was asked for to standard output.
fn print(text: &dyn fmt::Display) -> Exit {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(error) => output_failed(&error),
    }
}

fn output_failed(error: &io::Error) -> Exit {
    // Who reads through `head` has what it wanted.
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Ok;
    }
    complain(
        &format_args!("can't write to standard output: {error}"),
        Exit::Io,
    )
}

/// Says on standard error what is wrong.
fn complain(message: &dyn fmt::Display, exit: Exit) -> Exit {
    // Where nobody can be told, the exit code remains.
    drop(writeln!(io::stderr(), "dunlin: {message}"));
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("dunlin").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_reads_the_configuration_takes_the_same_flags() -> Result<(), clap::Error>
    {
        let flags = "--config a.toml --listen 127.0.0.1:0 --listen [::1]:0 --allow-anonymous --data-dir /d \
                     --log-level debug --log-format json";
        for command in ["", "serve", "check-config", "print-config"] {
            let cli = parse(&format!("{command} {flags}"))?;
            let args = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
                Command::Serve(args) | Command::CheckConfig(args) | Command::PrintConfig(args) => {
                    args
                }
                other => panic!("{other:?}"),
            };
            let sources = args.sources(Environment::default());
            let expected = Sources {
                file: Some("a.toml".into()),
                environment: Environment::default(),
                flags: Flags {
                    listen: vec!["127.0.0.1:0".into(), "[::1]:0".into()],
                    allow_anonymous: true,
                    data_dir: Some("/d".into()),
                    log_level: Some("debug".into()),
                    log_format: Some("json".into()),
                },
            };
            assert_eq!(sources, expected, "{command}");
        }
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_a_usage_error() {
        for line in [
            "nonsense",
            "--nonsense",
            "check-config extra",
            "print-config --listen",
        ] {
            let code = parse(line).map_err(|error| error.exit_code()).err();
            assert_eq!(code, Some(i32::from(Exit::Usage.code())), "{line}");
        }
    }

    #[test]
    fn help_and_documentation_have_the_exit_codes() -> io::Result<()> {
        let help = Cli::command().render_help().to_string();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
        let page = std::fs::read_to_string(page)?;
        let (_, table) = page.split_once("## Exit codes").unwrap_or_default();
        for exit in Exit::ALL {
            let line = format!("{:>2}  {}", exit.code(), exit.meaning());
            assert!(help.contains(&line), "{line:?} in {help}");
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(table.lines().any(|line| line == row), "{row:?} in {table}");
        }
        assert_eq!(
            table.lines().filter(|line| line.starts_with("| ")).count(),
            Exit::ALL.len() + 1
        );
        Ok(())
    }
}
