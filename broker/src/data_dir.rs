//! The data directory: created, known to be writable, and held by one broker at a time.
//!
//! Does not answer for what is stored in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The file whose lock says that a broker uses the directory. It stays when the broker ends; the
/// lock goes with the process, however that ends.
const LOCK_FILE: &str = "dunlin.lock";
/// The file that shows whether the directory takes data.
const PROBE_FILE: &str = "dunlin.probe";

/// A data directory that is ours until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

/// Why a data directory can't be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It isn't there and can't be made.
    #[error(
        "the data directory {} can't be created: {source}; create it for the user that runs dunlin, \
         or choose another with --data-dir", path.display()
    )]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else has its name.
    #[error("the data directory {} is not a directory; move that away or choose another with --data-dir", path.display())]
    NotADirectory {
        /// What was to be the directory.
        path: PathBuf,
    },
    /// It takes no data.
    #[error(
        "the data directory {} can't be written to: {source}; make it writable for the user that runs \
         dunlin, make room, or choose another with --data-dir", path.display()
    )]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another broker has it.
    #[error(
        "the data directory {} is in use by another dunlin{}; stop that one, or give this one a \
         directory of its own with --data-dir", path.display(), process(*.holder)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id of the other, if it can be told.
        holder: Option<u32>,
    },
    /// The file system knows no locks, so nothing would keep a second broker out.
    #[error(
        "the data directory {} can't be locked: {source}; choose one on a local disk with --data-dir",
        path.display()
    )]
    Lock {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn process(holder: Option<u32>) -> String {
    holder
        .map(|id| format!(" (process {id})"))
        .unwrap_or_default()
}

impl DataDir {
    /// Creates the directory if it isn't there, sees that it takes data, and locks it.
    ///
    /// # Errors
    /// When the directory can't be used; nothing is left behind then but a directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        create(path)?;
        let write = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(write)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse {
                    path: path.to_owned(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Lock {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        // After the lock, so that the second of two brokers doesn't disturb the first.
        probe(path).map_err(write)?;
        name_holder(&mut lock).map_err(write)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn create(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        // Messages and session state are nobody else's business.
        builder.mode(0o700);
    }
    match builder.create(path) {
        Ok(()) => Ok(()),
        // The link or file that stands there, not the directory above it, is what is wrong.
        Err(_) if path.exists() && !path.is_dir() => Err(Error::NotADirectory {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::Create {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a little and takes it away again: a full disk or a read-only one shows here.
fn probe(path: &Path) -> io::Result<()> {
    let probe = path.join(PROBE_FILE);
    let mut file = File::create(&probe)?;
    let written = file.write_all(b"dunlin\n").and_then(|()| file.sync_all());
    drop(file);
    fs::remove_file(&probe)?;
    written
}

fn name_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// The process that has the lock, as it wrote down itself.
fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    // Ten digits at most; where the file can't be read, the message does without.
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_directory_is_created_with_its_parents_for_its_user_alone() -> Outcome {
        let parent = tempfile::tempdir()?;
        let path = parent.path().join("state/dunlin");
        let data_dir = DataDir::open(&path)?;
        assert_eq!(data_dir.path(), path);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata()?.permissions().mode() & 0o777, 0o700);
        }
        let names: Vec<_> = fs::read_dir(&path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()?;
        assert_eq!(names, [LOCK_FILE]);
        Ok(())
    }

    #[test]
    fn a_second_broker_is_refused_and_may_have_it_later() -> Outcome {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let first = DataDir::open(path)?;
        let refused = DataDir::open(path).err().map(|error| error.to_string());
        let expected = format!(
            "the data directory {} is in use by another dunlin (process {}); stop that one, or give \
             this one a directory of its own with --data-dir",
            path.display(),
            std::process::id()
        );
        assert_eq!(refused, Some(expected));
        drop(first);
        DataDir::open(path)?;
        Ok(())
    }

    #[test]
    fn a_lock_file_that_names_nobody_is_no_obstacle() -> Outcome {
        let directory = tempfile::tempdir()?;
        fs::write(
            directory.path().join(LOCK_FILE),
            "a stale and long line of somebody else's\n",
        )?;
        let data_dir = DataDir::open(directory.path())?;
        let text = fs::read_to_string(directory.path().join(LOCK_FILE))?;
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(data_dir);

        let lock = File::create(directory.path().join(LOCK_FILE))?;
        lock.lock()?;
        let refused = DataDir::open(directory.path());
        assert!(
            matches!(refused, Err(Error::InUse { holder: None, .. })),
            "{refused:?}"
        );
        Ok(())
    }

    #[test]
    fn a_file_is_not_a_directory() -> Outcome {
        let parent = tempfile::tempdir()?;
        let path = parent.path().join("taken");
        fs::write(&path, "")?;
        assert_eq!(
            DataDir::open(&path).err().map(|error| error.to_string()),
            Some(format!(
                "the data directory {} is not a directory; move that away or choose another with --data-dir",
                path.display()
            ))
        );
        let below = path.join("below");
        let refused = DataDir::open(&below);
        assert!(
            matches!(&refused, Err(Error::Create { path, .. }) if *path == below),
            "{refused:?}"
        );
        Ok(())
    }

    #[test]
    fn what_stands_where_a_file_belongs_makes_it_unwritable() -> Outcome {
        for name in [LOCK_FILE, PROBE_FILE] {
            let directory = tempfile::tempdir()?;
            fs::create_dir(directory.path().join(name))?;
            let refused = DataDir::open(directory.path());
            assert!(
                matches!(refused, Err(Error::Write { .. })),
                "{name}: {refused:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn errors_say_what_to_do() {
        let path = PathBuf::from("/data");
        let source = || io::Error::from(io::ErrorKind::PermissionDenied);
        for (error, text) in [
            (
                Error::Create {
                    path: path.clone(),
                    source: source(),
                },
                "the data directory /data can't be created: permission denied; create it for the user \
                 that runs dunlin, or choose another with --data-dir",
            ),
            (
                Error::Write {
                    path: path.clone(),
                    source: source(),
                },
                "the data directory /data can't be written to: permission denied; make it writable for \
                 the user that runs dunlin, make room, or choose another with --data-dir",
            ),
            (
                Error::Lock {
                    path: path.clone(),
                    source: source(),
                },
                "the data directory /data can't be locked: permission denied; choose one on a local \
                 disk with --data-dir",
            ),
            (
                Error::InUse { path, holder: None },
                "the data directory /data is in use by another dunlin; stop that one, or give this one \
                 a directory of its own with --data-dir",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
