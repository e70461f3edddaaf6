//! Reads files that somebody names: regular ones alone, and never more of them than expected.
//!
//! A path may lead to a pipe that nobody writes, a device that never ends, or a folder. What the system says of a file's size may be
//! nothing, or wrong. So a file is looked at before it is opened, opened without waiting, looked at once more, and read up to a limit.

use std::fmt;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::units::format_size;

/// Why a file is not read. As a text it is the cause alone; who reads knows what the file is for.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    Folder,
    /// What it is: a pipe, a device.
    NotRegular(&'static str),
    /// More than so many bytes.
    TooLarge(u64),
    /// The bytes, and how many of them are right.
    NotUtf8(Vec<u8>, usize),
}

/// Opens a regular file; with it, its size at this moment.
///
/// # Errors
/// It cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> Result<(File, u64), ReadError> {
    // A device may do something when it is opened.
    regular(std::fs::metadata(path)?.file_type())?;
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    // It may have been replaced.
    let metadata = file.metadata()?;
    regular(metadata.file_type())?;
    Ok((file, metadata.len()))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// See [`ReadError`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let (file, size) = open(path)?;
    if size > limit {
        return Err(ReadError::TooLarge(limit));
    }
    // A file of `/proc` has no size, and one may grow while it is read.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ReadError::TooLarge(limit)) } else { Ok(bytes) }
}

/// Reads a regular file of at most `limit` bytes as a text.
///
/// # Errors
/// See [`ReadError`].
pub fn read_text(path: &Path, limit: u64) -> Result<String, ReadError> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ReadError::NotUtf8(error.into_bytes(), valid)
    })
}

fn regular(kind: FileType) -> Result<(), ReadError> {
    match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(ReadError::Folder),
        kind if kind.is_fifo() => Err(ReadError::NotRegular("a pipe")),
        kind if kind.is_socket() => Err(ReadError::NotRegular("a socket")),
        _ => Err(ReadError::NotRegular("a device")),
    }
}

// === impl ReadError ===

impl ReadError {
    /// Whether there is nothing at this path.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Folder => f.write_str("it is a folder"),
            Self::NotRegular(kind) => write!(f, "it is {kind}, and only regular files are read"),
            Self::TooLarge(limit) => write!(f, "it is larger than {}", format_size(*limit)),
            Self::NotUtf8(..) => f.write_str("it is not UTF-8"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            error => Self::other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        std::fs::write(path("latin"), b"a\xe4").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        std::os::unix::fs::symlink("pipe", path("link_to_pipe")).unwrap();
        // A size that is only said: nothing is allocated for it.
        File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();

        let told = |name: &str, limit| read_text(&path(name), limit).map_err(|error| error.to_string());
        let refused = |text: &str| Err(text.to_owned());
        assert_eq!((told("file", 5), told("link", 5)), (Ok("12345".to_owned()), Ok("12345".to_owned())));
        assert_eq!(told("file", 4), refused("it is larger than 4B"));
        assert_eq!(told("sparse", 1 << 20), refused("it is larger than 1MiB"));
        assert_eq!(told("latin", 5), refused("it is not UTF-8"));
        assert_eq!(told("", 5), refused("it is a folder"));
        for pipe in ["pipe", "link_to_pipe"] {
            assert_eq!(told(pipe, 5), refused("it is a pipe, and only regular files are read"));
        }
        assert_eq!(told("socket", 5), refused("it is a socket, and only regular files are read"));
        let device = |path: &str| read(Path::new(path), 5).unwrap_err().to_string();
        assert_eq!(device("/dev/zero"), "it is a device, and only regular files are read");
        assert!(read(&path("none"), 5).unwrap_err().is_not_found());
        // Of no size, and with content.
        assert!(read_text(Path::new("/proc/self/status"), 1 << 20).unwrap().contains("Name:"));
        assert_eq!(read(Path::new("/proc/self/status"), 4).unwrap_err().to_string(), "it is larger than 4B");
    }
}
