//! The real program's commands that serve nothing: what they print, and the exit codes that scripts
//! rely on.

use std::path::Path;
use std::process::{Command, Output, Stdio};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The program with nothing of the tester's environment but a home.
fn dunlin(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_defaults_are_valid_and_checking_creates_nothing() -> Outcome {
    let home = tempfile::tempdir()?;
    let output = dunlin(home.path(), &["check-config"]).output()?;
    let valid = (
        Some(0),
        "the configuration is valid\n".to_owned(),
        String::new(),
    );
    assert_eq!(told(&output), valid);
    assert_eq!(std::fs::read_dir(home.path())?.count(), 0);
    Ok(())
}

#[test]
fn a_printed_configuration_is_a_valid_file_that_prints_the_same() -> Outcome {
    let home = tempfile::tempdir()?;
    let (code, printed, errors) = told(
        &dunlin(
            home.path(),
            &[
                "print-config",
                "--listen",
                "127.0.0.1:7",
                "--log-level",
                "debug",
            ],
        )
        .env("DUNLIN__LIMITS__CONNECTIONS", "500")
        .output()?,
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for line in [
        "level = \"debug\" # flag --log-level",
        "connections = 500 # environment DUNLIN__LIMITS__CONNECTIONS",
        "address = \"127.0.0.1:7\" # flag --listen",
        "packet_bytes = \"1MiB\" # default",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
    let file = home.path().join("dunlin.toml");
    std::fs::write(&file, &printed)?;
    let (code, again, errors) = told(
        &dunlin(home.path(), &["print-config", "--config"])
            .arg(&file)
            .output()?,
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split(" # ").next().unwrap_or_default().to_owned();
        text.lines().map(value).collect()
    };
    assert_eq!(values(&again), values(&printed));
    Ok(())
}

#[test]
fn every_problem_is_told_in_one_go() -> Outcome {
    let home = tempfile::tempdir()?;
    let file = home.path().join("dunlin.toml");
    std::fs::write(&file, "[log]\nlevel = \"loud\"\n[limits]\nconections = 5\n")?;
    for command in ["check-config", "print-config"] {
        let output = dunlin(home.path(), &[command, "--data-dir", "~/data", "--config"])
            .arg(&file)
            .env("DUNLIN__LIMITS__QUEUE_BYTES", "much")
            .output()?;
        let file = file.display();
        let expected = format!(
            "dunlin: the configuration has 4 problems:\n  \
             log.level = \"loud\" (file {file}, line 2): use one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\"\n  \
             limits.conections (file {file}, line 4): no such key; did you mean limits.connections?\n  \
             data_dir = ~/data (flag --data-dir): ~ isn't expanded here: write the whole path\n  \
             limits.queue_bytes = much (environment DUNLIN__LIMITS__QUEUE_BYTES): use a size from 1KiB to 1TiB, such as \"64KiB\" or \"2MiB\"\n"
        );
        assert_eq!(
            told(&output),
            (Some(78), String::new(), expected),
            "{command}"
        );
    }
    Ok(())
}

#[test]
fn what_is_not_understood_ends_with_2_and_help_with_0() -> Outcome {
    let home = tempfile::tempdir()?;
    for arguments in [&["nonsense"][..], &["check-config", "--lisen", "x"]] {
        let (code, out, errors) = told(&dunlin(home.path(), arguments).output()?);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(errors.contains("--help"), "{errors}");
    }
    let (code, help, errors) = told(&dunlin(home.path(), &["--help"]).output()?);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(
        help.contains("check-config") && help.contains("Exit codes:"),
        "{help}"
    );
    let (code, version, _) = told(&dunlin(home.path(), &["--version"]).output()?);
    let expected = format!("dunlin {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((code, version), (Some(0), expected));
    Ok(())
}

#[test]
#[cfg(target_os = "linux")] // Only there is /dev/full.
fn output_that_is_lost_is_an_error() -> Outcome {
    let home = tempfile::tempdir()?;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let output = dunlin(home.path(), &["print-config"])
        .stdout(full)
        .output()?;
    let expected =
        "dunlin: can't write to standard output: No space left on device (os error 28)\n";
    assert_eq!(told(&output), (Some(74), String::new(), expected.into()));
    Ok(())
}
