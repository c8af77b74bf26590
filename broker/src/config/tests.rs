//! The configuration as a whole: layers, messages, printing, reloading.

use dunlin_engine::limits::DropPolicy;

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What a file, an environment and flags give; messages name the file `F`.
fn read(file: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("dunlin.toml");
    std::fs::write(&path, file).map_err(|error| error.to_string())?;
    let sources = Sources {
        file: Some(path.clone()),
        environment: environment.iter().copied().collect(),
        flags,
    };
    Loaded::read(&sources).map_err(|problems| {
        problems
            .to_string()
            .replace(&path.display().to_string(), "F")
    })
}

fn file(text: &str) -> Result<Config, String> {
    read(text, &[], Flags::default()).map(|loaded| loaded.config)
}

fn environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    read("", variables, Flags::default()).map(|loaded| loaded.config)
}

fn flags(flags: Flags) -> Result<Config, String> {
    read("", &[], flags).map(|loaded| loaded.config)
}

/// The only problem of a file, without the heading.
fn problem(text: &str) -> String {
    one(file(text))
}

fn one(read: Result<Config, String>) -> String {
    let text = read.err().unwrap_or_default();
    let heading = "the configuration has a problem:\n  ";
    text.strip_prefix(heading)
        .map_or_else(|| format!("not one problem: {text}"), str::to_owned)
}

#[test]
fn nothing_said_gives_the_defaults() {
    let sources = Sources::default();
    let config = Loaded::read(&sources).map(|loaded| loaded.config);
    assert_eq!(config, Ok(Config::default()));
    let listeners = Config::default().listeners;
    assert_eq!(listeners.len(), 1);
    assert!(
        listeners
            .iter()
            .all(|one| one.address.ip().is_loopback() && one.allow_anonymous)
    );
}

#[test]
fn the_data_directory_is_the_state_directory_of_the_user_or_the_system() {
    for (variables, expected) in [
        (
            &[("XDG_STATE_HOME", "/x"), ("HOME", "/home/a")][..],
            "/x/dunlin",
        ),
        (
            &[("XDG_STATE_HOME", "relative"), ("HOME", "/home/a")],
            "/home/a/.local/state/dunlin",
        ),
        (&[("HOME", "/home/a")], "/home/a/.local/state/dunlin"),
        (&[("HOME", "")], "/var/lib/dunlin"),
        (&[], "/var/lib/dunlin"),
    ] {
        let found = environment(variables).map(|config| config.data_dir);
        assert_eq!(found, Ok(PathBuf::from(expected)), "{variables:?}");
    }
}

#[test]
fn a_higher_layer_wins() -> Outcome {
    let text = "data_dir = \"/file\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n[limits]\nconnections = 7";
    let variables = [
        ("DUNLIN__DATA_DIR", "/environment"),
        ("DUNLIN__LOG__LEVEL", "debug"),
    ];
    let flags = Flags {
        data_dir: Some("/flag".into()),
        ..Flags::default()
    };
    let loaded = read(text, &variables, flags)?;
    assert_eq!(loaded.config.data_dir, PathBuf::from("/flag"));
    assert_eq!(
        loaded.config.log,
        Log {
            level: LogLevel::Debug,
            format: LogFormat::Json
        }
    );
    assert_eq!(loaded.config.limits.connections, 7);
    let printed = loaded.to_string();
    for line in [
        "data_dir = \"/flag\" # flag --data-dir\n",
        "level = \"debug\" # environment DUNLIN__LOG__LEVEL\n",
        "dunlin.toml, line 4\n",
        "packet_bytes = \"1MiB\" # default\n",
    ] {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    Ok(())
}

#[test]
fn every_flag_has_its_key() -> Outcome {
    let config = flags(Flags {
        listen: vec!["127.0.0.1:0".into(), "mqtt://[::1]:1884".into()],
        allow_anonymous: false,
        data_dir: Some("/d".into()),
        log_level: Some("trace".into()),
        log_format: Some("json".into()),
    })?;
    let listener = |address: &str| -> Result<Listener, Box<dyn std::error::Error>> {
        Ok(Listener {
            address: address.parse()?,
            ..Listener::default()
        })
    };
    assert_eq!(
        config.listeners,
        [listener("127.0.0.1:0")?, listener("[::1]:1884")?]
    );
    assert_eq!(config.data_dir, PathBuf::from("/d"));
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Trace,
            format: LogFormat::Json
        }
    );
    Ok(())
}

#[test]
fn units_and_choices_arrive_in_the_engine() -> Outcome {
    let config = file(
        "[session]\nexpiry_max = \"7d\"\nqueue_qos0 = true\ndrop_policy = \"refuse_publisher\"\n\
         [mqtt]\nkeep_alive_max = \"5m\"\nresponse_information = \"answers/\"\non_deny = \"disconnect\"\n\
         [limits]\npacket_bytes = \"64KiB\"\nconnect_timeout = \"2s\"\nmemory_bytes = 67_108_864",
    )?;
    assert_eq!(config.limits.session_expiry_s, 604_800);
    assert!(config.limits.queue_qos0);
    assert_eq!(config.limits.drop_policy, DropPolicy::RefusePublisher);
    assert_eq!(config.limits.keep_alive_s, 300);
    assert_eq!(config.limits.packet_bytes, 65_536);
    assert_eq!(config.limits.connect_timeout_ms, 2000);
    assert_eq!(config.limits.memory_bytes, 67_108_864);
    assert_eq!(
        config.mqtt.response_information.as_deref(),
        Some("answers/")
    );
    assert_eq!(config.mqtt.on_deny, OnDeny::Disconnect);
    Ok(())
}

#[test]
fn all_problems_are_told_at_once_with_key_value_layer_and_what_is_valid() {
    let found = read(
        "[limits]\nconnections = 0\nconections = 5\nconnect_timeout = 10\n[log]\nlevel = \"loud\"\n",
        &[
            ("DUNLIN__LIMITS__QUEUE_BYTES", "a lot"),
            ("DUNLIN__LIMIT__SESSIONS", "5"),
            ("HOME", "/h"),
        ],
        Flags {
            listen: vec!["nowhere".into()],
            ..Flags::default()
        },
    );
    let expected = "the configuration has 7 problems:\n  \
        limits.connections = 0 (file F, line 2): use a whole number from 1 to 1000000000\n  \
        limits.conections (file F, line 3): no such key; did you mean limits.connections?\n  \
        limits.connect_timeout = 10 (file F, line 4): use a duration from 100ms to 1h, such as \"250ms\" or \"5s\"\n  \
        log.level = \"loud\" (file F, line 6): use one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\"\n  \
        limit.sessions (environment DUNLIN__LIMIT__SESSIONS): no such key; did you mean limits.sessions?\n  \
        limits.queue_bytes = a lot (environment DUNLIN__LIMITS__QUEUE_BYTES): use a size from 1KiB to 1TiB, such as \"64KiB\" or \"2MiB\"\n  \
        listeners[0].address = nowhere (flag --listen): use an IP address and a port such as \"127.0.0.1:1883\" or \"[::1]:1883\"";
    assert_eq!(found.map(|loaded| loaded.config), Err(expected.to_owned()));
}

#[test]
fn names_that_nobody_knows_are_refused() {
    for (text, expected) in [
        (
            "datadir = \"/x\"",
            "datadir (file F, line 1): no such key; did you mean data_dir?",
        ),
        (
            "[limit]\n",
            "limit (file F, line 1): no such key; did you mean limits?",
        ),
        (
            "connections = 5",
            "connections (file F, line 1): no such key; did you mean limits.connections?",
        ),
        (
            "[persistence]\nx = 1",
            "persistence (file F, line 1): no such key; `dunlin print-config` lists the keys",
        ),
        (
            "limits = 5",
            "limits = 5 (file F, line 1): limits is a table: write [limits] and its keys below",
        ),
        (
            "[limits]\nconnections = { max = 5 }",
            "limits.connections = {...} (file F, line 2): use a whole number from 1 to 1000000000",
        ),
        (
            "[[listeners]]\naddress = \"127.0.0.1:1\"\nadress = 1",
            "listeners[0].adress (file F, line 3): no such key; did you mean address?",
        ),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    for (variable, expected) in [
        (
            "DUNLIN__",
            " (environment DUNLIN__): no such key; `dunlin print-config` lists the keys",
        ),
        (
            "DUNLIN__log__level",
            "log.level (environment DUNLIN__log__level): no such key; did you mean DUNLIN__LOG__LEVEL?",
        ),
        (
            "DUNLIN__LISTENERS__ADDRESS",
            "listeners.address (environment DUNLIN__LISTENERS__ADDRESS): no such key; did you mean DUNLIN__LISTENERS__0__ADDRESS?",
        ),
    ] {
        assert_eq!(one(environment(&[(variable, "debug")])), expected);
    }
    // Other programs' variables and our own without the double underscore don't concern us.
    assert!(environment(&[("DUNLIN_BIN", "x"), ("DUNLINX__Y", "x")]).is_ok());
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_named() {
    assert_eq!(
        problem("[limits]\nconnections = = 5\n"),
        "file F, line 2: not TOML: extra `=`, expected nothing"
    );
    assert_eq!(
        problem("[log]\nlevel = \"info\"\nlevel = \"info\"\n"),
        "file F, line 3: not TOML: duplicate key"
    );
    let sources = Sources {
        file: Some("/nonexistent/dunlin.toml".into()),
        ..Sources::default()
    };
    assert_eq!(
        Loaded::read(&sources)
            .map_err(|problems| problems.to_string())
            .err()
            .as_deref(),
        Some(
            "the configuration has a problem:\n  file /nonexistent/dunlin.toml: can't be read: No such file or directory (os error 2)"
        )
    );
}

#[test]
fn bounds_must_go_together() {
    assert_eq!(
        problem("[limits]\nmemory_bytes = \"1MiB\"\npacket_bytes = \"2MiB\""),
        "limits.packet_bytes = \"2MiB\" (file F, line 3): limits.packet_bytes (\"2MiB\") may not be above limits.memory_bytes (\"1MiB\")"
    );
    assert_eq!(
        problem("[limits]\nsubscriptions = 100"),
        "limits.subscriptions = 100 (file F, line 2): limits.subscriptions_per_session (10000) may not be above limits.subscriptions (100)"
    );
}

#[test]
fn a_door_to_the_outside_opens_only_when_asked_to() -> Outcome {
    let why = "reachable from other machines, and this version has no authentication: whoever reaches the port could read and publish everything. If that is wanted, ";
    for text in ["", "allow_anonymous = false\n"] {
        assert_eq!(
            problem(&format!(
                "[[listeners]]\naddress = \"0.0.0.0:1883\"\n{text}"
            )),
            format!(
                "listeners[0].address = \"0.0.0.0:1883\" (file F, line 2): {why}add to its [[listeners]] table\n\n      allow_anonymous = true"
            )
        );
    }
    assert_eq!(
        one(environment(&[(
            "DUNLIN__LISTENERS__0__ADDRESS",
            "[::]:1883"
        )])),
        format!(
            "listeners[0].address = [::]:1883 (environment DUNLIN__LISTENERS__0__ADDRESS): {why}set\n\n      DUNLIN__LISTENERS__0__ALLOW_ANONYMOUS=true"
        )
    );
    let listen = |allow_anonymous| {
        flags(Flags {
            listen: vec!["192.168.1.5:1883".into()],
            allow_anonymous,
            ..Flags::default()
        })
    };
    assert_eq!(
        one(listen(false)),
        format!(
            "listeners[0].address = 192.168.1.5:1883 (flag --listen): {why}add --allow-anonymous, or replace the flag by these lines of the configuration file\n\n      \
             [[listeners]]\n      address = \"192.168.1.5:1883\"\n      allow_anonymous = true"
        )
    );
    for config in [
        listen(true)?,
        file("[[listeners]]\naddress = \"0.0.0.0:1883\"\nallow_anonymous = true")?,
        environment(&[
            ("DUNLIN__LISTENERS__0__ADDRESS", "[::]:1883"),
            ("DUNLIN__LISTENERS__0__ALLOW_ANONYMOUS", "true"),
        ])?,
    ] {
        assert!(
            config.listeners.iter().all(|one| one.allow_anonymous),
            "{config:?}"
        );
    }
    Ok(())
}

#[test]
fn a_loopback_listener_allows_everybody_unless_told_otherwise() -> Outcome {
    let config = file(
        "[[listeners]]\naddress = \"[::1]:1\"\n[[listeners]]\naddress = \"127.0.0.2:1\"\nallow_anonymous = false\nconnections_max = 5",
    )?;
    let found: Vec<_> = config
        .listeners
        .iter()
        .map(|one| (one.allow_anonymous, one.connections_max))
        .collect();
    assert_eq!(found, [(true, None), (false, Some(5))]);
    Ok(())
}

#[test]
fn listeners_are_replaced_by_files_and_flags_and_amended_by_the_environment() -> Outcome {
    let text = "[[listeners]]\naddress = \"127.0.0.1:1\"\n[[listeners]]\naddress = \"127.0.0.1:2\"";
    let variables = [
        ("DUNLIN__LISTENERS__1__ADDRESS", "127.0.0.1:22"),
        ("DUNLIN__LISTENERS__2__ADDRESS", "127.0.0.1:3"),
    ];
    let addresses = |loaded: Loaded| -> Vec<String> {
        loaded
            .config
            .listeners
            .iter()
            .map(|one| one.address.to_string())
            .collect()
    };
    let found = addresses(read(text, &variables, Flags::default())?);
    assert_eq!(found, ["127.0.0.1:1", "127.0.0.1:22", "127.0.0.1:3"]);
    let listen = Flags {
        listen: vec!["127.0.0.1:9".into()],
        ..Flags::default()
    };
    assert_eq!(addresses(read(text, &variables, listen)?), ["127.0.0.1:9"]);
    Ok(())
}

#[test]
fn listeners_come_from_the_environment_alone_too_and_more_than_ten() -> Outcome {
    let names: Vec<_> = (0..12)
        .map(|index| format!("DUNLIN__LISTENERS__{index}__ADDRESS"))
        .collect();
    let addresses: Vec<_> = (0..12)
        .map(|port| format!("127.0.0.1:{}", 1 + port))
        .collect();
    let variables: Vec<_> = names
        .iter()
        .zip(&addresses)
        .map(|(name, address)| (name.as_str(), address.as_str()))
        .collect();
    let found: Vec<_> = environment(&variables)?
        .listeners
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(found, addresses);
    Ok(())
}

#[test]
fn a_listener_of_the_environment_that_lacks_its_address_is_named_after_its_variable() {
    assert_eq!(
        one(environment(&[(
            "DUNLIN__LISTENERS__1__CONNECTIONS_MAX",
            "5"
        )])),
        "listeners[1].address (environment DUNLIN__LISTENERS__1__CONNECTIONS_MAX): missing: add one, such as address = \"127.0.0.1:1883\""
    );
}

#[test]
fn anonymous_clients_are_allowed_on_every_listener_below_the_flag() -> Outcome {
    let loaded = read(
        "[[listeners]]\naddress = \"0.0.0.0:1\"\n[[listeners]]\naddress = \"0.0.0.0:2\"\nallow_anonymous = false",
        &[("DUNLIN__LISTENERS__2__ADDRESS", "0.0.0.0:3")],
        Flags {
            allow_anonymous: true,
            ..Flags::default()
        },
    )?;
    let allowed: Vec<_> = loaded
        .config
        .listeners
        .iter()
        .map(|one| one.allow_anonymous)
        .collect();
    assert_eq!(allowed, [true; 3]);
    let printed = loaded.to_string();
    let line = "allow_anonymous = true # flag --allow-anonymous\n";
    assert_eq!(printed.matches(line).count(), 3, "{printed}");
    Ok(())
}

#[test]
fn a_mistake_in_a_lower_layer_counts_though_a_higher_one_sets_the_key() {
    let variables = [("DUNLIN__LIMITS__CONNECTIONS", "5")];
    let found = read("limits = 5", &variables, Flags::default()).map(|loaded| loaded.config);
    assert_eq!(
        one(found),
        "limits = 5 (file F, line 1): limits is a table: write [limits] and its keys below"
    );
}

#[test]
fn listeners_that_make_no_sense_are_refused() {
    let array =
        "listeners is an array of tables: write [[listeners]] and its keys below, at least once";
    for (text, expected) in [
        ("listeners = []", format!("listeners = [] (file F, line 1): {array}")),
        ("listeners = [5]", format!("listeners = 5 (file F, line 1): {array}")),
        ("[listeners]\naddress = \"127.0.0.1:1\"", format!("listeners = {{...}} (file F, line 1): {array}")),
        (
            "\n[[listeners]]\n",
            "listeners[0].address (file F, line 2): missing: add one, such as address = \"127.0.0.1:1883\"".into(),
        ),
        (
            "[[listeners]]\naddress = \"127.0.0.1:1\"\n[[listeners]]\naddress = \"localhost:1\"",
            "listeners[1].address = \"localhost:1\" (file F, line 4): another listener has this address already: remove one of them".into(),
        ),
        (
            "[[listeners]]\naddress = \"127.0.0.1:1\"\nconnections_max = -1",
            "listeners[0].connections_max = -1 (file F, line 3): use a whole number from 0 to 1000000000".into(),
        ),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    assert_eq!(
        one(environment(&[(
            "DUNLIN__LISTENERS__7__ADDRESS",
            "127.0.0.1:1"
        )])),
        "listeners[7].address = 127.0.0.1:1 (environment DUNLIN__LISTENERS__7__ADDRESS): there is no listener before this one: the next index is 1"
    );
    // Any number of listeners may ask for a free port.
    let free = "[[listeners]]\naddress = \"127.0.0.1:0\"\n".repeat(2);
    assert!(file(&free).is_ok());
}

#[test]
#[cfg(unix)]
fn values_that_are_not_text_are_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = || OsString::from_vec(vec![b'/', 0xFF]);
    let environment = [(OsString::from("DUNLIN__DATA_DIR"), bytes())]
        .into_iter()
        .collect();
    let sources = Sources {
        environment,
        ..Sources::default()
    };
    let found = Loaded::read(&sources).map_err(|problems| problems.to_string());
    let expected = "the configuration has a problem:\n  data_dir = /\u{FFFD} (environment DUNLIN__DATA_DIR): use UTF-8";
    assert_eq!(found.err().as_deref(), Some(expected));

    let found = flags(Flags {
        data_dir: Some(bytes().into()),
        ..Flags::default()
    });
    assert_eq!(
        one(found),
        "data_dir = /\u{FFFD} (flag --data-dir): use UTF-8"
    );
}

#[test]
fn what_is_printed_gives_the_same_configuration() -> Outcome {
    let text = "data_dir = 'C:\\\"x\"\\é'\n[session]\nexpiry_max = \"90s\"\n[limits]\nqueue_bytes = 1234567\n\
        connect_timeout = \"1500ms\"\n[mqtt]\nresponse_information = \"a\\\"b/\"\n\
        [[listeners]]\naddress = \"0.0.0.0:1\"\nallow_anonymous = true\nconnections_max = 9\n\
        [[listeners]]\naddress = \"127.0.0.1:2\"\nallow_anonymous = false";
    for (text, variables) in [
        ("", &[][..]),
        (
            text,
            &[
                ("DUNLIN__LISTENERS__1__CONNECTIONS_MAX", "4"),
                ("DUNLIN__SESSION__DROP_POLICY", "oldest"),
            ],
        ),
    ] {
        let first = read(text, variables, Flags::default())?;
        let again = file(&first.to_string())?;
        assert_eq!(again, first.config, "{first}");
    }
    Ok(())
}

#[test]
fn a_file_name_can_not_break_out_of_its_comment() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory
        .path()
        .join("a\n[limits]\nconnections = 1\n#.toml");
    std::fs::write(&path, "[log]\nlevel = \"warn\"")?;
    let printed = Loaded::read(&Sources {
        file: Some(path),
        ..Sources::default()
    })?
    .to_string();
    let config = file(&printed)?;
    assert_eq!(
        config.limits.connections,
        Config::default().limits.connections
    );
    Ok(())
}

#[test]
fn a_reload_takes_what_a_running_broker_can_change() -> Outcome {
    let running = file("[log]\nlevel = \"info\"")?;
    let new = file(
        "data_dir = \"/elsewhere\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n[limits]\nconnections = 5\n\
         [[listeners]]\naddress = \"127.0.0.1:1884\"",
    )?;
    let reloaded = running.reload(&new);
    let change = |key: &str, before: &str, after: &str| Change {
        key: key.into(),
        before: before.into(),
        after: after.into(),
    };
    assert_eq!(
        reloaded.applied,
        [
            change("log.level", "\"info\"", "\"debug\""),
            change("limits.connections", "100000", "5")
        ]
    );
    assert_eq!(
        reloaded.needs_restart,
        [
            change("data_dir", "\"/var/lib/dunlin\"", "\"/elsewhere\""),
            change("log.format", "\"text\"", "\"json\""),
            change(
                "listeners[0]",
                "{ address = \"127.0.0.1:1883\", allow_anonymous = true, connections_max = 0 }",
                "{ address = \"127.0.0.1:1884\", allow_anonymous = true, connections_max = 0 }",
            ),
        ]
    );
    let mut expected = running.clone();
    expected.log.level = LogLevel::Debug;
    expected.limits.connections = 5;
    assert_eq!(reloaded.config, expected);

    let same = running.reload(&running);
    assert_eq!(
        (same.applied, same.needs_restart, same.config),
        (Vec::new(), Vec::new(), running)
    );
    Ok(())
}
