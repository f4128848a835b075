//! The paths of the results and of their side file, and checks that a file is still at its path.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::files::Identity;

/// Returns the path of the side file that belongs to the results at `results`.
pub(super) fn side_file_path(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".inflight");
    PathBuf::from(name)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs the folder of `path`, so that the file's name survives a power failure.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Checks that the open file is still the one at `path`, and returns its metadata.
pub(super) fn check_same_file(path: &Path, file: &File) -> io::Result<fs::Metadata> {
    let metadata = file.metadata()?;
    if Identity::of(&metadata) == Identity::at(path)? {
        Ok(metadata)
    } else {
        Err(io::Error::other("another file has taken its place"))
    }
}

/// The path of a file that this run has made, and the identity of that file.
#[derive(Debug, Clone)]
pub(super) struct OwnFile {
    path: PathBuf,
    id: Identity,
}

impl OwnFile {
    pub(super) fn new(path: PathBuf, file: &File) -> io::Result<Self> {
        let id = Identity::of(&file.metadata()?);
        Ok(Self { path, id })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the file at the path is still the one that this run has made.
    ///
    /// # Errors
    /// It is gone, or another file has taken its place.
    pub(super) fn check(&self) -> io::Result<()> {
        if Identity::of(&fs::symlink_metadata(&self.path)?) == self.id {
            Ok(())
        } else {
            Err(io::Error::other("another file has taken its place"))
        }
    }
}
