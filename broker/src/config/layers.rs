//! The layers of the configuration: default listener, file, environment, flags. Each is a source of the
//! `config` crate, which lays one upon the other. Unknown names are problems in every layer.
//!
//! Does not answer for what values mean (`value`) or which are allowed together (`super`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::config::builder::DefaultState;
use ::config::{ConfigBuilder, ConfigError, Map, Source, ValueKind};
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, LISTENER_KEYS};
use super::listeners::Listener;
use super::problem::{Origin, Problem, nearest};
use super::value::{Setting, unusable};

/// How environment variables begin that are meant for the configuration.
pub const ENVIRONMENT_PREFIX: &str = "DUNLIN__";
/// What stands between the parts of a key in an environment variable.
const SEPARATOR: &str = "__";

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

/// Lays the layers upon each other; what is wrong in one of them goes to `problems`.
///
/// # Errors
/// What the `config` crate says of a layer that it can't merge.
pub(super) fn merge(
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Result<Setting, ConfigError> {
    let mut builder = ::config::Config::builder().add_source(Layer::default_listener());
    if let Some(path) = &sources.file {
        builder = builder.add_source(Layer::file(path, problems));
    }
    let below = listener_count(&builder)?;
    builder = builder.add_source(Layer::environment(&sources.environment, below, problems));
    let below = listener_count(&builder)?;
    builder = builder.add_source(Layer::flags(&sources.flags, below, problems));
    Ok(builder.build()?.cache)
}

/// How many listeners the layers so far bring; the next one may amend them.
fn listener_count(builder: &ConfigBuilder<DefaultState>) -> Result<usize, ConfigError> {
    Ok(builder.build_cloned()?.get_array("listeners")?.len())
}

/// The value of a key in a table of merged values, if a layer has it.
pub(super) fn find<'a>(table: &'a Setting, path: &str) -> Option<&'a Setting> {
    path.split('.')
        .try_fold(table, |table, name| match &table.kind {
            ValueKind::Table(entries) => entries.get(name),
            _ => None,
        })
}

/// The listeners among all merged values, each a table.
pub(super) fn listeners(merged: &Setting) -> &[Setting] {
    match find(merged, "listeners").map(|listeners| &listeners.kind) {
        Some(ValueKind::Array(listeners)) => listeners,
        _ => &[],
    }
}

/// What one layer says: values and the paths to set them at, such as `limits.connections`,
/// `listeners` and `listeners[0].address`. No path leads into the value of another.
#[derive(Clone, Debug, Default)]
struct Layer(Map<String, Setting>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Setting>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// The other defaults are those of `Config` and need no layer: the layers above amend this one.
    fn default_listener() -> Self {
        let address = Origin::Default.setting(Listener::default().address.to_string());
        let listener = Origin::Default.setting(Map::from([("address".to_owned(), address)]));
        Self::default().with("listeners", Origin::Default.setting(vec![listener]))
    }

    fn with(mut self, path: &str, setting: Setting) -> Self {
        self.0.insert(path.to_owned(), setting);
        self
    }

    fn file(path: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(Problem::Unreadable {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
                return layer;
            }
        };
        let file = File { path, text: &text };
        let (table, errors) = DeTable::parse_recoverable(&text);
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
            layer.add_table("", table.get_ref(), &file, problems);
        }
        layer
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
            let setting = file.at(name.span()).setting(kind(value.get_ref()));
            let is_table = KEYS
                .iter()
                .any(|key| key.path.split_once('.').is_some_and(|key| key.0 == path));
            if path == "listeners" {
                self.add_listeners(value.get_ref(), setting, file, problems);
            } else if is_table {
                match value.get_ref() {
                    DeValue::Table(table) => self.add_table(&path, table, file, problems),
                    _ => problems.push(Problem::invalid(
                        &path,
                        &setting,
                        format!("{path} is a table: write [{path}] and its keys below"),
                    )),
                }
            } else {
                self.add(path, setting, problems);
            }
        }
    }

    /// Adds the value of a key that isn't of a listener.
    fn add(&mut self, path: String, setting: Setting, problems: &mut Vec<Problem>) {
        if KEYS.iter().any(|key| key.path == path) {
            self.0.insert(path, setting);
            return;
        }
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
            origin: Origin::of(&setting),
            nearest,
        });
    }

    fn add_listeners(
        &mut self,
        value: &DeValue<'_>,
        setting: Setting,
        file: &File<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let advice = "listeners is an array of tables: write [[listeners]] and its keys below, at least once";
        let tables = match value {
            DeValue::Array(array) if !array.is_empty() => array,
            _ => {
                problems.push(Problem::invalid("listeners", &setting, advice));
                return;
            }
        };
        let mut listeners = Vec::with_capacity(tables.len());
        for (index, element) in tables.iter().enumerate() {
            let origin = file.at(element.span());
            let DeValue::Table(table) = element.get_ref() else {
                let setting = origin.setting(kind(element.get_ref()));
                problems.push(Problem::invalid("listeners", &setting, advice));
                continue;
            };
            let mut listener = Map::new();
            for (name, value) in table {
                let setting = file.at(name.span()).setting(kind(value.get_ref()));
                if is_listener_key(index, name.get_ref(), &setting, problems) {
                    listener.insert(name.get_ref().to_string(), setting);
                }
            }
            listeners.push(origin.setting(listener));
        }
        let origin = Origin::of(&setting);
        self.0
            .insert("listeners".to_owned(), origin.setting(listeners));
    }

    /// `below` is how many listeners there are in the layers below.
    fn environment(environment: &Environment, below: usize, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let mut listeners = BTreeMap::new();
        for (name, value) in &environment.0 {
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let origin = Origin::Environment(name.clone().into_owned());
            let path = rest.replace(SEPARATOR, ".").to_lowercase();
            let setting = origin.setting(value.to_string_lossy().into_owned());
            if value.to_str().is_none() {
                problems.push(Problem::invalid(&path, &setting, "use UTF-8"));
            } else if rest != rest.to_uppercase() {
                let nearest = Some(variable(&path));
                problems.push(Problem::Unknown {
                    key: path,
                    origin,
                    nearest,
                });
            } else if let Some(listener) = path.strip_prefix("listeners.") {
                let parsed = listener
                    .split_once('.')
                    .and_then(|(index, name)| Some((index.parse::<usize>().ok()?, name)));
                let Some((index, name)) = parsed else {
                    let nearest = Some("DUNLIN__LISTENERS__0__ADDRESS".to_owned());
                    problems.push(Problem::Unknown {
                        key: path,
                        origin,
                        nearest,
                    });
                    continue;
                };
                if is_listener_key(index, name, &setting, problems) {
                    listeners.insert((index, name.to_owned()), setting);
                }
            } else {
                layer.add(path, setting, problems);
            }
        }
        // The lowest index first: each may be that of a listener below or the next one.
        let mut next = below;
        for ((index, name), setting) in listeners {
            let path = format!("listeners[{index}].{name}");
            if index > next {
                let advice =
                    format!("there is no listener before this one: the next index is {next}");
                problems.push(Problem::invalid(&path, &setting, advice));
                continue;
            }
            next = next.max(index.saturating_add(1));
            layer.0.insert(path, setting);
        }
        layer
    }

    /// `below` is how many listeners there are in the layers below.
    fn flags(flags: &Flags, below: usize, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let allow = flags
            .allow_anonymous
            .then(|| Origin::Flag("--allow-anonymous".into()).setting(true));
        let listen = Origin::Flag("--listen".into());
        let listeners: Vec<_> = flags
            .listen
            .iter()
            .map(|address| {
                let mut listener = Map::new();
                listener.insert("address".to_owned(), listen.setting(address.as_str()));
                listener.extend(
                    allow
                        .clone()
                        .map(|allow| ("allow_anonymous".to_owned(), allow)),
                );
                listen.setting(listener)
            })
            .collect();
        if !listeners.is_empty() {
            layer = layer.with("listeners", listen.setting(listeners));
        } else if let Some(allow) = allow {
            for index in 0..below {
                layer = layer.with(
                    &format!("listeners[{index}].allow_anonymous"),
                    allow.clone(),
                );
            }
        }
        if let Some(path) = &flags.data_dir {
            let lossy =
                Origin::Flag("--data-dir".into()).setting(path.to_string_lossy().into_owned());
            if path.to_str().is_none() {
                problems.push(Problem::invalid("data_dir", &lossy, "use UTF-8"));
            } else {
                layer = layer.with("data_dir", lossy);
            }
        }
        for (path, flag, value) in [
            ("log.level", "--log-level", &flags.log_level),
            ("log.format", "--log-format", &flags.log_format),
        ] {
            if let Some(text) = value {
                layer = layer.with(path, Origin::Flag(flag.into()).setting(text.as_str()));
            }
        }
        layer
    }
}

/// False when no listener has a key of this name, which then is a problem.
fn is_listener_key(
    index: usize,
    name: &str,
    setting: &Setting,
    problems: &mut Vec<Problem>,
) -> bool {
    let names = || LISTENER_KEYS.iter().map(|key| key.path);
    let known = names().any(|known| known == name);
    if !known {
        problems.push(Problem::Unknown {
            key: format!("listeners[{index}].{name}"),
            origin: Origin::of(setting),
            nearest: nearest(name, names()).map(str::to_owned),
        });
    }
    known
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

/// A file's name and text, to tell lines.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn at(&self, span: Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Origin::File {
            path: self.path.display().to_string(),
            line,
        }
    }
}

/// A value of the file, of a kind that a key may take.
fn kind(value: &DeValue<'_>) -> ValueKind {
    match value {
        DeValue::Boolean(value) => (*value).into(),
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(integer) => {
            match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(value) => value.into(),
                // Longer than any number here may be.
                Err(_) => unusable(integer),
            }
        }
        DeValue::Float(float) => unusable(float),
        DeValue::Datetime(datetime) => unusable(datetime),
        DeValue::Array(array) if array.is_empty() => unusable("[]"),
        DeValue::Array(_) => unusable("[...]"),
        DeValue::Table(_) => unusable("{...}"),
    }
}
