//! `cargo xtask nostd`: builds the crates that boards use for two Cortex-M targets.
//!
//! With the targets installed by rustup it uses them. Where rustup can't fetch them, it makes a toolchain out of
//! Debian's packages: `rustc-web` (a current compiler) and `rust-web-src` (the library sources that match it) are
//! unpacked into a cache folder beside the system, not installed, and `core` and `alloc` are built once for each
//! target. After that nothing needs a nightly flag, so a crate that builds there is stable Rust. The whole is made
//! anew when `DUNLIN_ARM_TOOLCHAIN` (the folder) names another place or the folder is removed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{
    Failure, Named as _, Outcome, answers, cargo, output, run as run_command, target_dir,
};

/// Cortex-M0/M0+, the smallest core Dunlin runs on, and Cortex-M4F/M7.
const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf"];

/// What boards use, without and with an allocator.
const BUILDS: [&[&str]; 2] = [
    &[
        "--package",
        "dunlin-codec",
        "--package",
        "dunlin-client",
        "--no-default-features",
    ],
    &["--package", "dunlin-codec", "--features", "alloc"],
];

pub(crate) fn run() -> Outcome {
    let toolchain = if rustup_has_targets()? {
        None
    } else {
        Some(Toolchain::made()?)
    };
    for build in BUILDS {
        let mut command = cargo(["build", "--locked"]);
        command.args(build);
        for target in TARGETS {
            command.args(["--target", target]);
        }
        // A folder of its own: another compiler in the usual one would rebuild everything at each switch.
        command.arg("--target-dir").arg(target_dir().join("nostd"));
        if let Some(toolchain) = &toolchain {
            toolchain.apply(&mut command)?;
        }
        run_command(&mut command)?;
    }
    Ok(())
}

fn rustup_has_targets() -> Outcome<bool> {
    for target in TARGETS {
        let folder =
            output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
        if !Path::new(folder.trim()).is_dir() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A compiler unpacked from Debian's packages, with libraries for [`TARGETS`].
struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// The toolchain in its folder, made now if it isn't there.
    fn made() -> Outcome<Self> {
        let toolchain = Self {
            folder: cache_folder()?,
        };
        // Written last, so that an interrupted making starts over.
        let complete = toolchain.folder.join("complete");
        if complete.is_file() {
            return Ok(toolchain);
        }
        println!(
            "no Cortex-M targets here (`rustup target add {}` installs them where rustup can download); \
             making a toolchain of Debian packages in {}",
            TARGETS.join(" "),
            toolchain.folder.display()
        );
        if !answers("apt-get", &["--version"]) || !answers("dpkg", &["--version"]) {
            return Err(Failure::new(format!(
                "neither the targets nor Debian's packages: run `rustup target add {}`",
                TARGETS.join(" ")
            )));
        }
        if toolchain.folder.exists() {
            fs::remove_dir_all(&toolchain.folder).named(toolchain.folder.display())?;
        }
        toolchain.unpack_packages()?;
        toolchain.build_libraries()?;
        // Half of the whole, and no use any more.
        let sources = toolchain.folder.join("usr/src");
        fs::remove_dir_all(&sources).named(sources.display())?;
        fs::write(&complete, "").named(complete.display())?;
        Ok(toolchain)
    }

    fn unpack_packages(&self) -> Outcome {
        // Without current lists the download fails and says so; with old but good ones this isn't needed.
        if let Err(failure) = run_command(&mut privileged("apt-get", &["update", "-qq"])) {
            println!("{failure}; going on with the lists that are there");
        }
        let packages = packages()?;
        let folder = self.folder.join("packages");
        fs::create_dir_all(&folder).named(folder.display())?;
        // As root apt would download as a user of its own, who may not write here.
        let mut download = Command::new("apt-get");
        download
            .args(["-o", "APT::Sandbox::User=root", "-qq", "download"])
            .args(&packages)
            .current_dir(&folder);
        run_command(&mut download)?;
        for entry in fs::read_dir(&folder).named(folder.display())? {
            let package = entry.named(folder.display())?.path();
            run_command(
                Command::new("dpkg")
                    .arg("--extract")
                    .arg(package)
                    .arg(&self.folder),
            )?;
        }
        fs::remove_dir_all(&folder).named(folder.display())
    }

    /// Builds `core` and `alloc` for each target and puts them where the compiler looks for them.
    fn build_libraries(&self) -> Outcome {
        let package = self.folder.join("empty");
        let sources = package.join("src");
        fs::create_dir_all(&sources).named(sources.display())?;
        fs::write(
            package.join("Cargo.toml"),
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [profile.release]\ncodegen-units = 1\n[workspace]\n",
        )
        .named("Cargo.toml")?;
        fs::write(sources.join("lib.rs"), "#![no_std]\n").named("lib.rs")?;
        let built = package.join("target");
        let mut command = cargo(["build", "--quiet", "--release", "-Zbuild-std=core,alloc"]);
        command.arg("-Zbuild-std-features=compiler-builtins-mem");
        for target in TARGETS {
            command.args(["--target", target]);
        }
        command
            .arg("--target-dir")
            .arg(&built)
            .current_dir(&package);
        // The one place where an unstable flag is used: to make the library, never to build the product.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes");
        self.apply(&mut command)?;
        run_command(&mut command)?;
        for target in TARGETS {
            let from = built.join(target).join("release/deps");
            let into = self.folder.join("usr/lib/rustlib").join(target).join("lib");
            fs::create_dir_all(&into).named(into.display())?;
            for entry in fs::read_dir(&from).named(from.display())? {
                let library = entry.named(from.display())?.path();
                let Some(name) = library.file_name().and_then(|name| name.to_str()) else {
                    continue;
                };
                if name.ends_with(".rlib") && !name.starts_with("libempty") {
                    fs::copy(&library, into.join(name)).named(library.display())?;
                }
            }
        }
        fs::remove_dir_all(&package).named(package.display())
    }

    /// Makes a cargo command use this compiler.
    fn apply(&self, command: &mut Command) -> Outcome {
        command.env("RUSTC", self.folder.join("usr/bin/rustc"));
        // Debian's compiler expects its libraries in the system's folder, and they aren't there.
        command.env("LD_LIBRARY_PATH", self.library_path()?);
        // Set by rustup's cargo for the children of `cargo run`; it would lead to the other compiler.
        command
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTUP_TOOLCHAIN");
        Ok(())
    }

    fn library_path(&self) -> Outcome<OsString> {
        let folder = self.folder.join("usr/lib");
        let mut folders = Vec::new();
        for entry in fs::read_dir(&folder).named(folder.display())? {
            let path = entry.named(folder.display())?.path();
            if path.is_dir() && path.to_string_lossy().contains("-linux-gnu") {
                folders.push(path);
            }
        }
        std::env::join_paths(folders)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
    }
}

fn cache_folder() -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("DUNLIN_ARM_TOOLCHAIN") {
        return Ok(folder.into());
    }
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(Path::new(&cache).join("dunlin/arm-toolchain"));
    }
    match std::env::var_os("HOME") {
        Some(home) => Ok(Path::new(&home).join(".cache/dunlin/arm-toolchain")),
        None => Err(Failure::new(
            "set DUNLIN_ARM_TOOLCHAIN: there is no HOME to keep a toolchain in",
        )),
    }
}

/// As root the command itself, else through `sudo`, which may not ask.
fn privileged(program: &str, arguments: &[&str]) -> Command {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(program);
        sudo
    };
    command.args(arguments);
    command
}

/// The compiler, its library sources, and those libraries it needs that this machine hasn't installed.
fn packages() -> Outcome<Vec<String>> {
    let policy = output(Command::new("apt-cache").args(["policy", "rustc-web"]))?;
    let Some(version) = candidate(&policy) else {
        return Err(Failure::new(format!(
            "apt knows no package rustc-web: run `rustup target add {}`",
            TARGETS.join(" ")
        )));
    };
    // Of exactly this version: Debian keeps older ones beside it, with libraries of their own.
    let compiler = dependencies(&format!("rustc-web={version}"), &["--recurse"])?;
    let mut packages: Vec<String> = compiler
        .lines()
        .filter(|line| is_compiler_package(line))
        .map(str::to_owned)
        .collect();
    let mut libraries = Vec::new();
    for package in packages.iter().filter(|name| name.starts_with("libllvm")) {
        let needed = dependencies(package, &[])?;
        libraries.extend(
            needed
                .lines()
                .filter_map(|line| line.trim().strip_prefix("Depends: "))
                .filter(|library| !answers("dpkg", &["--status", library]))
                .map(str::to_owned),
        );
    }
    packages.extend(libraries);
    packages.push("rust-web-src".to_owned());
    packages.sort();
    packages.dedup();
    Ok(packages)
}

fn dependencies(package: &str, options: &[&str]) -> Outcome<String> {
    let mut command = Command::new("apt-cache");
    command.arg("depends").args(options);
    for kind in [
        "recommends",
        "suggests",
        "conflicts",
        "breaks",
        "replaces",
        "enhances",
    ] {
        command.arg(format!("--no-{kind}"));
    }
    output(command.arg(package))
}

/// The version apt would install, from what `apt-cache policy` prints.
fn candidate(policy: &str) -> Option<&str> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then_some(version)
}

fn is_compiler_package(line: &str) -> bool {
    line == "rustc-web" || line.starts_with("libstd-rust-web-") || line.starts_with("libllvm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_packages_are_told_from_what_they_stand_on() {
        let named = [
            "rustc-web",
            "libstd-rust-web-1.96",
            "libstd-rust-web-dev",
            "libllvm22",
        ];
        assert!(named.iter().all(|name| is_compiler_package(name)));
        let others = ["gcc", "libc6", "  Depends: rustc-web", "rustc-web-doc"];
        assert!(!others.iter().any(|name| is_compiler_package(name)));
    }

    #[test]
    fn the_candidate_is_read_from_apts_answer() {
        let known = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n";
        assert_eq!(candidate(known), Some("1.96.0+dfsg1-1"));
        assert_eq!(candidate("rustc-web:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }
}
