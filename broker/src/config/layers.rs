//! The layers of the configuration and how one lies upon another: defaults, file, environment,
//! flags. Unknown names are problems in every layer.
//!
//! Does not answer for what values mean (`value`) or which are allowed together (`super`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, LISTENER_KEYS};
use super::listeners::Listener;
use super::problem::{Origin, Problem, nearest};
use super::value::Raw;

/// How environment variables begin that are meant for the configuration.
pub const ENVIRONMENT_PREFIX: &str = "DUNLIN__";
/// What stands between the parts of a key in an environment variable.
const SEPARATOR: &str = "__";
/// More listeners than anybody has; a bound for indexes.
const LISTENERS_MAX: usize = 1000;

/// Where a configuration is read from. Kept, so that a reload reads the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with [`ENVIRONMENT_PREFIX`] and those that tell the
    /// state directory matter.
    pub environment: Environment,
    /// The command line's flags.
    pub flags: Flags,
}

/// Environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The directory for state when no layer names one: `$XDG_STATE_HOME/dunlin`, else
    /// `~/.local/state/dunlin`, else, as a system service has no home, `/var/lib/dunlin`.
    pub(super) fn data_dir(&self) -> PathBuf {
        // As the XDG Base Directory specification says, relative paths don't count. A path that
        // isn't text couldn't be printed; it doesn't count either.
        let directory = |name: &str| {
            let value = self.0.get(&OsString::from(name))?.to_str()?;
            Some(PathBuf::from(value)).filter(|path| path.is_absolute())
        };
        let state = directory("XDG_STATE_HOME")
            .or_else(|| directory("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(|| PathBuf::from("/var/lib"));
        state.join("dunlin")
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// The flags that are configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`: replaces all configured listeners when there is at least one.
    pub listen: Vec<String>,
    /// `--allow-anonymous`: for every listener.
    pub allow_anonymous: bool,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// One listener, as far as the layers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenerSettings {
    /// The layer that brought it.
    pub(super) origin: Origin,
    pub(super) settings: BTreeMap<&'static str, Setting>,
}

/// All that the layers say; of each key the highest layer's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) values: BTreeMap<&'static str, Setting>,
    pub(super) listeners: Vec<ListenerSettings>,
}

impl Settings {
    /// Lays the layers upon each other; what is wrong in them goes to `problems`.
    pub(super) fn read(sources: &Sources, problems: &mut Vec<Problem>) -> Self {
        let mut settings = Self {
            values: BTreeMap::new(),
            listeners: vec![default_listener()],
        };
        if let Some(path) = &sources.file {
            match std::fs::read_to_string(path) {
                Ok(text) => settings.add_file(path, &text, problems),
                Err(error) => problems.push(Problem::Unreadable {
                    path: path.clone(),
                    reason: error.to_string(),
                }),
            }
        }
        settings.add_environment(&sources.environment, problems);
        settings.add_flags(&sources.flags, problems);
        settings
    }

    fn add_file(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) {
        let file = File {
            path: path.into(),
            text,
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut last = None;
        for error in &errors {
            let origin = file.at(error.span().unwrap_or_default());
            // What else the parser says of a line follows from the first.
            if last.as_ref() != Some(&origin) {
                let reason = error.message().to_owned();
                problems.push(Problem::Syntax {
                    origin: origin.clone(),
                    reason,
                });
            }
            last = Some(origin);
        }
        // What a broken file seems to say isn't worth reporting.
        if errors.is_empty() {
            self.add_table("", table.get_ref(), &file, problems);
        }
    }

    fn add_table(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        file: &File<'_>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let path = match prefix {
                "" => name.get_ref().to_string(),
                table => format!("{table}.{}", name.get_ref()),
            };
            let origin = file.at(name.span());
            let is_table = KEYS
                .iter()
                .any(|key| key.path.split_once('.').is_some_and(|key| key.0 == path));
            if path == "listeners" {
                self.replace_listeners(value.get_ref(), origin, file, problems);
            } else if is_table {
                match value.get_ref() {
                    DeValue::Table(table) => self.add_table(&path, table, file, problems),
                    other => problems.push(Problem::invalid(
                        &path,
                        &raw(other),
                        &origin,
                        format!("{path} is a table: write [{path}] and its keys below"),
                    )),
                }
            } else {
                self.set(path, raw(value.get_ref()), origin, problems);
            }
        }
    }

    fn set(&mut self, path: String, raw: Raw, origin: Origin, problems: &mut Vec<Problem>) {
        match KEYS.iter().find(|key| key.path == path) {
            Some(key) => {
                self.values.insert(key.path, Setting { raw, origin });
            }
            None => {
                // A name at the wrong level is the likeliest mistake, then a misspelled one.
                let name = path.rsplit('.').next().unwrap_or_default();
                let nearest = KEYS
                    .iter()
                    .map(|key| key.path)
                    .find(|key| key.rsplit('.').next() == Some(name))
                    .or_else(|| nearest(&path, key_and_table_names()))
                    .map(str::to_owned);
                problems.push(Problem::Unknown {
                    key: path,
                    origin,
                    nearest,
                });
            }
        }
    }

    fn replace_listeners(
        &mut self,
        value: &DeValue<'_>,
        origin: Origin,
        file: &File<'_>,
        problems: &mut Vec<Problem>,
    ) {
        self.listeners.clear();
        let advice = "listeners is an array of tables: write [[listeners]] and its keys below, at least once";
        let tables = match value {
            DeValue::Array(array) if !array.is_empty() => array,
            other => {
                problems.push(Problem::invalid("listeners", &raw(other), &origin, advice));
                return;
            }
        };
        for (index, element) in tables.iter().enumerate() {
            let DeValue::Table(table) = element.get_ref() else {
                let origin = file.at(element.span());
                problems.push(Problem::invalid(
                    "listeners",
                    &raw(element.get_ref()),
                    &origin,
                    advice,
                ));
                continue;
            };
            let mut listener = ListenerSettings {
                origin: file.at(element.span()),
                settings: BTreeMap::new(),
            };
            for (name, value) in table {
                let origin = file.at(name.span());
                listener.set(
                    index,
                    name.get_ref(),
                    raw(value.get_ref()),
                    origin,
                    problems,
                );
            }
            self.listeners.push(listener);
        }
    }

    fn add_environment(&mut self, environment: &Environment, problems: &mut Vec<Problem>) {
        for (name, value) in &environment.0 {
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let origin = Origin::Environment(name.clone().into_owned());
            let path = rest.replace(SEPARATOR, ".").to_lowercase();
            let raw = Raw::Untyped(value.to_string_lossy().into_owned());
            if value.to_str().is_none() {
                problems.push(Problem::invalid(&path, &raw, &origin, "use UTF-8"));
            } else if rest != rest.to_uppercase() {
                let nearest = Some(variable(&path));
                problems.push(Problem::Unknown {
                    key: path,
                    origin,
                    nearest,
                });
            } else if let Some(listener) = path.strip_prefix("listeners.") {
                self.set_listener_from_environment(listener, raw, origin, problems);
            } else {
                self.set(path, raw, origin, problems);
            }
        }
    }

    /// `path` is `INDEX.KEY`; the index is of a listener of a lower layer, or the next one.
    fn set_listener_from_environment(
        &mut self,
        path: &str,
        raw: Raw,
        origin: Origin,
        problems: &mut Vec<Problem>,
    ) {
        let parsed = path
            .split_once('.')
            .and_then(|(index, name)| Some((index.parse::<usize>().ok()?, name)));
        let Some((index, name)) = parsed else {
            let nearest = Some("DUNLIN__LISTENERS__0__ADDRESS".to_owned());
            problems.push(Problem::Unknown {
                key: format!("listeners.{path}"),
                origin,
                nearest,
            });
            return;
        };
        if index == self.listeners.len() && index < LISTENERS_MAX {
            self.listeners.push(ListenerSettings {
                origin: origin.clone(),
                settings: BTreeMap::new(),
            });
        }
        let listeners = self.listeners.len();
        match self.listeners.get_mut(index) {
            Some(listener) => listener.set(index, name, raw, origin, problems),
            None => problems.push(Problem::invalid(
                &format!("listeners[{index}].{name}"),
                &raw,
                &origin,
                format!("there is no listener before this one: the next index is {listeners}"),
            )),
        }
    }

    fn add_flags(&mut self, flags: &Flags, problems: &mut Vec<Problem>) {
        let setting = |text: &str, flag| Setting {
            raw: Raw::Untyped(text.to_owned()),
            origin: Origin::Flag(flag),
        };
        if !flags.listen.is_empty() {
            self.listeners.clear();
        }
        for address in &flags.listen {
            self.listeners.push(ListenerSettings {
                origin: Origin::Flag("--listen"),
                settings: BTreeMap::from([("address", setting(address, "--listen"))]),
            });
        }
        if flags.allow_anonymous {
            for listener in &mut self.listeners {
                let allow = Setting {
                    raw: Raw::Bool(true),
                    origin: Origin::Flag("--allow-anonymous"),
                };
                listener.settings.insert("allow_anonymous", allow);
            }
        }
        if let Some(path) = &flags.data_dir {
            let lossy = setting(&path.to_string_lossy(), "--data-dir");
            if path.to_str().is_none() {
                problems.push(Problem::invalid(
                    "data_dir",
                    &lossy.raw,
                    &lossy.origin,
                    "use UTF-8",
                ));
            } else {
                self.values.insert("data_dir", lossy);
            }
        }
        if let Some(level) = &flags.log_level {
            self.values
                .insert("log.level", setting(level, "--log-level"));
        }
        if let Some(format) = &flags.log_format {
            self.values
                .insert("log.format", setting(format, "--log-format"));
        }
    }
}

impl ListenerSettings {
    fn set(
        &mut self,
        index: usize,
        name: &str,
        raw: Raw,
        origin: Origin,
        problems: &mut Vec<Problem>,
    ) {
        match LISTENER_KEYS.iter().find(|key| key.path == name) {
            Some(key) => {
                self.settings.insert(key.path, Setting { raw, origin });
            }
            None => problems.push(Problem::Unknown {
                key: format!("listeners[{index}].{name}"),
                origin,
                nearest: nearest(name, LISTENER_KEYS.iter().map(|key| key.path)).map(str::to_owned),
            }),
        }
    }
}

/// The names that can stand in the environment or a file, tables included.
fn key_and_table_names() -> impl Iterator<Item = &'static str> {
    let tables = KEYS
        .iter()
        .filter_map(|key| key.path.split_once('.'))
        .map(|(table, _)| table);
    KEYS.iter()
        .map(|key| key.path)
        .chain(tables)
        .chain(["listeners"])
}

/// The environment variable of a key.
fn variable(path: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        path.replace('.', SEPARATOR).to_uppercase()
    )
}

fn default_listener() -> ListenerSettings {
    let address = Raw::Text(Listener::default().address.to_string());
    ListenerSettings {
        origin: Origin::Default,
        settings: BTreeMap::from([(
            "address",
            Setting {
                raw: address,
                origin: Origin::Default,
            },
        )]),
    }
}

/// A file's name and text, to tell lines.
struct File<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl File<'_> {
    fn at(&self, span: Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Origin::File {
            path: self.path.clone(),
            line,
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(integer) => {
            match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(value) => Raw::Integer(value),
                // Longer than any number here may be.
                Err(_) => Raw::Other(integer.to_string()),
            }
        }
        DeValue::Float(float) => Raw::Other(float.to_string()),
        DeValue::Datetime(datetime) => Raw::Other(datetime.to_string()),
        DeValue::Array(array) if array.is_empty() => Raw::Other("[]".into()),
        DeValue::Array(_) => Raw::Other("[...]".into()),
        DeValue::Table(_) => Raw::Other("{...}".into()),
    }
}
