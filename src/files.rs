//! The program's own files: opened with care, made new and private, replaced in one step.
//!
//! A name in a folder that others may write to can lead anywhere: through a link, into a pipe that blocks, over another user's
//! file. So nothing here follows a link, waits for a pipe, or writes to a file that was there before.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use tempfile::NamedTempFile;

/// Mode of a file that names people.
pub const PRIVATE: u32 = 0o600;

/// Identifies a file, whatever its name. The system reuses an inode number once the file is gone, so two identities are
/// comparable only while one of the files is open or still has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Number of the device.
    pub device: u64,
    /// Number of the inode on the device.
    pub inode: u64,
}

impl Identity {
    /// Returns the identity of the file that `metadata` describes.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// Returns the identity of the file at `path`; a link is followed.
    ///
    /// # Errors
    /// There is no such file, or the operating system refuses.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// Identifies a file and what was last done to it: two equal versions are the same file, unchanged in between.
///
/// The clock of a file system ticks some hundred times a second; two changes within one tick give the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    identity: Identity,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last write, in seconds and nanoseconds.
    modified: (i64, i64),
    /// Time of the last change to content, name or permissions. No program can set it back, as it can `modified`.
    changed: (i64, i64),
}

impl Version {
    /// Returns the version of the file that `metadata` describes.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns whether nothing was written between this version and `later`. A file that was renamed, linked or given other
    /// permissions keeps its content.
    #[must_use]
    pub fn has_content_of(&self, later: &Self) -> bool {
        (self.identity, self.size, self.modified) == (later.identity, later.size, later.modified)
    }

    /// Returns the time of the last change, or none for a time before 1970.
    #[must_use]
    pub fn changed(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.changed;
        let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
        let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
        Some(SystemTime::UNIX_EPOCH + seconds + nanoseconds)
    }
}

/// Opens the regular file at `path`, without following a link.
///
/// # Errors
/// It is something else, a symbolic link included; or the operating system refuses.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Checked before it is opened: opening a device may already have an effect.
    check_regular(&fs::symlink_metadata(path)?)?;
    // A link or pipe that replaces it meanwhile is neither followed nor waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Creates a private file for reading and appending, under a free name.
///
/// # Errors
/// The name is taken, by a link too; or the operating system refuses.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let why = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "it is a symbolic link, and not a regular file"
    } else {
        "it is not a regular file"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Returns whether the user of this process owns the file.
#[must_use]
pub fn is_mine(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw()
}

/// Returns whether only the user of this process can have created a name in `folder`, by its mode and owner.
#[must_use]
pub fn is_mine_alone(folder: &Metadata) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    is_mine(folder) && folder.mode() & OTHERS_WRITE == 0
}

/// Makes an open file private. Returns its previous mode, if that was different.
///
/// # Errors
/// The operating system refuses, or the file system keeps the old mode.
pub fn make_private(file: &File) -> io::Result<Option<u32>> {
    let mode = |metadata: &Metadata| metadata.mode() & 0o7777;
    let before = mode(&file.metadata()?);
    if before == PRIVATE {
        return Ok(None);
    }
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    let after = mode(&file.metadata()?);
    if after == PRIVATE {
        Ok(Some(before))
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("its mode stays {after:04o}"),
        ))
    }
}

/// A file that is written in the folder of its target, under an unpredictable name. A draft that is dropped is removed.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// Creates an empty draft for `target`. The user's mask may narrow `mode`.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn create(target: &Path, mode: u32) -> io::Result<Self> {
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut name: OsString = target.file_name().unwrap_or_default().to_owned();
        name.push(".");
        let file = tempfile::Builder::new()
            .prefix(&name)
            .suffix(".part")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(Self {
            file,
            target: target.to_owned(),
        })
    }

    /// Returns the path of the draft itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Syncs the content to the disk and renames the draft to its target, replacing what is there. A link at the target is itself
    /// replaced; the file that it leads to stays as it was.
    ///
    /// # Errors
    /// The operating system refuses; then the target is as it was.
    pub fn replace(self) -> io::Result<File> {
        self.file.as_file().sync_all()?;
        Ok(self.file.persist(self.target)?)
    }

    /// Syncs the content to the disk and renames the draft to its target, if that name is free.
    ///
    /// # Errors
    /// The name is taken, or the operating system refuses.
    pub fn publish(self) -> io::Result<File> {
        self.file.as_file().sync_all()?;
        Ok(self.file.persist_noclobber(self.target)?)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Replaces the file at `path` by one with this content, in one step ([`Draft::replace`]).
///
/// # Errors
/// The operating system refuses; then `path` is as it was.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<File> {
    let mut draft = Draft::create(path, mode)?;
    draft.write_all(content)?;
    draft.replace()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn mode(path: &Path) -> u32 {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        metadata.mode() & 0o7777
    }

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").expect("written");
        symlink(path("file"), path("link")).expect("linked");
        mknodat(
            CWD,
            path("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .expect("a FIFO");
        let open = |name| super::open(&path(name), OpenOptions::new().read(true).append(true));
        open("file").expect("a regular file");
        for (name, why) in [
            ("link", "a symbolic link"),
            ("fifo", "not a regular file"),
            (".", "not a regular file"),
            ("/dev/null", "not a regular file"),
        ] {
            let error = open(name).expect_err("refused").to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        let error = open("absent").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_name_that_is_taken_is_not_created() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        create(&path("file")).expect("created");
        assert_eq!(mode(&path("file")), PRIVATE);
        symlink(path("elsewhere"), path("dangling")).expect("linked");
        for name in ["file", "dangling"] {
            let error = create(&path(name)).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(!path("elsewhere").exists());
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("precious"), "theirs").expect("written");
        symlink(path("precious"), path("ours")).expect("linked");
        let file = replace(&path("ours"), PRIVATE, b"ours").expect("replaced");
        assert_eq!(fs::read(path("ours")).expect("a file"), b"ours");
        assert_eq!(fs::read(path("precious")).expect("a file"), b"theirs");
        assert_eq!(mode(&path("ours")), PRIVATE);
        let there = fs::symlink_metadata(path("ours")).expect("it is there");
        let id = Identity::of(&file.metadata().expect("metadata"));
        assert_eq!(Identity::of(&there), id);
        // No draft is left behind.
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
        replace(&path("no/folder"), PRIVATE, b"").expect_err("refused");
    }

    #[test]
    fn a_draft_is_published_only_under_a_free_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        let draft = |content: &[u8]| {
            let mut draft = Draft::create(&path, PRIVATE).expect("created");
            draft.write_all(content).expect("written");
            draft
        };
        drop(draft(b"dropped"));
        draft(b"first").publish().expect("the name is free");
        let error = draft(b"second").publish().expect_err("the name is taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("a file"), b"first");
        assert_eq!(mode(&path), PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_version_tells_a_write_from_a_rename() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let version = |name| Version::of(&fs::metadata(path(name)).expect("metadata"));
        fs::write(path("a"), "text").expect("written");
        let written = version("a");
        assert_eq!(version("a"), written);
        assert_eq!(
            Identity::at(&path("a")).expect("it is there"),
            written.identity
        );
        fs::rename(path("a"), path("b")).expect("renamed");
        assert!(written.has_content_of(&version("b")));
        fs::write(path("b"), "longer text").expect("written");
        assert!(!written.has_content_of(&version("b")));
        assert_eq!(version("b").identity, written.identity);
        fs::write(path("a"), "text").expect("written");
        assert!(!written.has_content_of(&version("a")));
    }

    #[test]
    fn a_file_that_others_can_read_is_made_private() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(make_private(file.as_file()).expect("ours"), None);
        let open = Permissions::from_mode(0o664);
        file.as_file().set_permissions(open).expect("ours");
        assert_eq!(make_private(file.as_file()).expect("ours"), Some(0o664));
        assert_eq!(mode(file.path()), PRIVATE);
        assert!(is_mine(&file.as_file().metadata().expect("metadata")));
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_mine_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, alone) in [
            (0o700, true),
            (0o755, true),
            (0o775, false),
            (0o1777, false),
        ] {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(folder.path(), permissions).expect("ours");
            let metadata = fs::metadata(folder.path()).expect("metadata");
            assert_eq!(is_mine_alone(&metadata), alone, "{mode:o}");
        }
    }
}
