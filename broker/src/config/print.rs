//! The effective configuration as TOML, each value with its meaning and the layer that it comes from.
//! Read again, it gives the same configuration.

use std::fmt;

use super::Loaded;
use super::keys::{KEYS, Key, LISTENER_KEYS};
use super::layers::{find, listeners};
use super::listeners::Draft;
use super::problem::Origin;
use super::value::{Setting, Value};

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = "";
        for key in KEYS {
            let name = match key.path.split_once('.') {
                Some((of, name)) => {
                    if of != table {
                        write!(f, "\n[{of}]\n")?;
                        table = of;
                    }
                    name
                }
                None => key.path,
            };
            line(f, name, key, &(key.value)(&self.config), &self.merged)?;
        }
        for (listener, table) in self.config.listeners.iter().zip(listeners(&self.merged)) {
            write!(f, "\n[[listeners]]\n")?;
            let draft = Draft::from(listener);
            for key in LISTENER_KEYS {
                line(f, key.path, key, &(key.value)(&draft), table)?;
            }
        }
        Ok(())
    }
}

fn line<T>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    key: &Key<T>,
    value: &Value,
    table: &Setting,
) -> fmt::Result {
    let origin = find(table, key.path).map_or(Origin::Default, Origin::of);
    writeln!(f, "# {}", key.meaning)?;
    writeln!(f, "{name} = {} # {origin}", key.kind.toml(value))
}
