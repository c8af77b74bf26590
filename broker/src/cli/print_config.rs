//! `dunlin print-config`: the configuration in force as TOML, each value with its layer.

use crate::config::{Loaded, Sources};

use super::{Exit, complain, print};

pub(super) fn run(sources: &Sources) -> Exit {
    match Loaded::read(sources) {
        Ok(loaded) => print(&loaded),
        Err(problems) => complain(&problems, Exit::Config),
    }
}
