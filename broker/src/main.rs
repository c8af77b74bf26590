//! The program `dunlin`; all of it is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    dunlin::cli::main(std::env::args_os()).into()
}
