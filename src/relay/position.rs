//! How far the receiver has been told, in a file: the number of the last change of each event.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub struct Positions {
    path: PathBuf,
    told: Mutex<BTreeMap<i64, i64>>,
}

impl Positions {
    /// None of any event, if there is no file.
    pub fn read(path: PathBuf) -> Result<Positions, String> {
        let cannot = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", path.display());
        let told = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| cannot(&e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(cannot(&e)),
        };
        let told = Mutex::new(told);
        Ok(Positions { path, told })
    }

    pub fn of(&self, event_id: i64) -> i64 {
        self.lock().get(&event_id).copied().unwrap_or(0)
    }

    /// It is on disk when this returns.
    pub fn set(&self, event_id: i64, n: i64) -> Result<(), String> {
        let mut told = self.lock();
        told.insert(event_id, n);
        let text = serde_json::to_string(&*told).map_err(|e| e.to_string())?;
        replace(&self.path, text.as_bytes())
            .map_err(|e| format!("cannot write {}: {e}", self.path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, i64>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever reads the file finds all of the old text, or all of this; on disk too.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
