//! `dunlin check-config`: says everything that is wrong with the configuration. Opens nothing and
//! creates nothing.

use crate::config::{Loaded, Sources};

use super::{Exit, complain, print};

pub(super) fn run(sources: &Sources) -> Exit {
    match Loaded::read(sources) {
        Ok(_) => print(&"the configuration is valid\n"),
        Err(problems) => complain(&problems, Exit::Config),
    }
}
