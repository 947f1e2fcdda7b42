//! What another program may do to the WAL under a running server: cut it off, or take it away.
//! SQLite would go on as if nothing had been, and what it acknowledged would be lost with the next
//! start. What cannot be seen here is a WAL that was overwritten and kept its length.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Db, open};
use crate::error::Error;

/// From the WAL format: a header, and then frames of a header and a page each.
const HEADER_BYTES: i64 = 32;
const FRAME_HEADER_BYTES: i64 = 24;

/// The WAL beside a database, as it was when that was opened.
pub struct Wal {
    path: PathBuf,
    identity: (u64, u64),
    frame_bytes: i64,
}

/// What has become of it.
#[derive(Debug, thiserror::Error)]
pub enum Harm {
    #[error("the WAL was removed or replaced by another program")]
    Removed,
    /// Counted in frames: what there should be, what is left, and what of it is in the database file
    /// as well.
    #[error("the WAL was cut off by another program: {left} of {written} frames are left")]
    Cut {
        written: i64,
        left: i64,
        copied: i64,
    },
}

impl Wal {
    pub fn of(path: &Path, db: &Db) -> Result<Wal, Error> {
        let path = open::wal_of(path);
        Ok(Wal {
            identity: identity(&path).map_err(unavailable)?,
            path,
            frame_bytes: FRAME_HEADER_BYTES + db.page_bytes()?,
        })
    }

    /// Must not be called in a transaction.
    pub fn harm(&self, db: &Db) -> Result<Option<Harm>, Error> {
        // Another server may have emptied the WAL, as it may, after its frames were counted and
        // before the file was measured.
        match self.harm_at_a_look(db)? {
            None => Ok(None),
            Some(_) => self.harm_at_a_look(db),
        }
    }

    fn harm_at_a_look(&self, db: &Db) -> Result<Option<Harm>, Error> {
        let (written, copied) = db.wal_frames()?;
        let file = match std::fs::metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == self.identity => file,
            _ => return Ok(Some(Harm::Removed)),
        };
        let left = (file.len() as i64 - HEADER_BYTES) / self.frame_bytes;
        Ok((left < written).then_some(Harm::Cut {
            written,
            left,
            copied,
        }))
    }

    /// Leaves files of which the next server can make one state of the database that once was. To be
    /// called when nobody else of this process is at work any more.
    pub fn mend(&self, db: &Db, harm: &Harm) -> Result<(), Error> {
        match *harm {
            // SQLite still has the file open, with all that is in it. Whatever stands in its place
            // would be taken for what is newer than the database file.
            Harm::Removed => {
                let (written, copied) = db.checkpoint_and_truncate()?;
                if copied < written {
                    return Err(Error::StorageUnavailable("another program reads it".into()));
                }
                match std::fs::remove_file(&self.path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(unavailable(e)),
                    _ => log::warn!("{harm}: nothing is lost, the database file has it all"),
                }
            }
            // If what is left reaches further than what was copied, the next server goes on from its
            // end. If not, the database file is the newer one, and it would have older pages of the
            // WAL put over its own.
            Harm::Cut {
                written,
                left,
                copied,
            } => {
                if left < copied {
                    let file = std::fs::File::options().write(true).open(&self.path);
                    file.and_then(|file| file.set_len(0)).map_err(unavailable)?;
                }
                let lost = written - left.max(copied);
                match lost {
                    0 => log::warn!("{harm}: nothing is lost, the database file has the others"),
                    _ => log::error!("{harm}: what was sold last is lost, {lost} frames of it"),
                }
            }
        }
        Ok(())
    }
}

/// Device and number of the file at that path.
pub(super) fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

fn unavailable(cause: io::Error) -> Error {
    Error::StorageUnavailable(cause.to_string())
}
