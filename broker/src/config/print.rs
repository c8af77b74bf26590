//! The effective configuration as TOML, each value with its meaning and the layer that it comes from.
//! Read again, it gives the same configuration.

use std::collections::BTreeMap;
use std::fmt;

use super::keys::{KEYS, Key, LISTENER_KEYS};
use super::listeners::Draft;
use super::problem::Origin;
use super::{Loaded, Value};

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
            line(
                f,
                name,
                key,
                &(key.value)(&self.config),
                &self.origins.values,
            )?;
        }
        for (listener, origins) in self.config.listeners.iter().zip(&self.origins.listeners) {
            write!(f, "\n[[listeners]]\n")?;
            let draft = Draft::from(listener);
            for key in LISTENER_KEYS {
                line(f, key.path, key, &(key.value)(&draft), origins)?;
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
    origins: &BTreeMap<&'static str, Origin>,
) -> fmt::Result {
    let origin = origins.get(key.path).unwrap_or(&Origin::Default);
    writeln!(f, "# {}", key.meaning)?;
    writeln!(f, "{name} = {} # {origin}", key.kind.toml(value))
}
