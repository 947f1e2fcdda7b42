//! How many bytes go into a WAL. Its size does not tell, because SQLite begins it anew again and
//! again; its index (the file `-shm`, https://sqlite.org/walformat.html) does: the number of valid
//! frames, and a salt that changes when the WAL begins anew.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What begins each frame.
const FRAME_HEADER: u64 = 24;
/// Short enough that hardly any frame is written between the last look and a new beginning.
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
struct Index {
    frames: u64,
    salt: u32,
    frame_bytes: u64,
}

/// Does something; returns its result and how many bytes went into the WAL meanwhile.
pub fn watch<T>(db: &Path, something: impl FnOnce() -> T) -> (T, u64) {
    let mut path = db.as_os_str().to_owned();
    path.push("-shm");
    let index = File::open(PathBuf::from(path)).expect("an index beside a database in use");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            let (mut last, mut bytes) = (None, 0);
            loop {
                let ends = is_over.load(Ordering::Acquire);
                if let Some(now) = read(&index) {
                    bytes += now.frame_bytes * frames_since(last, now);
                    last = Some(now);
                }
                if ends {
                    return bytes;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        let result = something();
        is_over.store(true, Ordering::Release);
        (result, written.join().expect("the looks"))
    })
}

fn frames_since(last: Option<Index>, now: Index) -> u64 {
    match last {
        None => 0,
        Some(last) if last.salt == now.salt => now.frames.saturating_sub(last.frames),
        Some(_) => now.frames,
    }
}

/// None while somebody writes it: it is there twice, for that reason.
fn read(index: &File) -> Option<Index> {
    let mut header = [0; 96];
    index.read_exact_at(&mut header, 0).ok()?;
    let (first, second) = header.split_at(48);
    if first != second {
        return None;
    }
    let number = |at: usize| u32::from_ne_bytes(first[at..at + 4].try_into().expect("four"));
    let page = match u16::from_ne_bytes(first[14..16].try_into().expect("two")) {
        1 => 65_536,
        size => u64::from(size),
    };
    Some(Index {
        frames: u64::from(number(16)),
        salt: number(32),
        frame_bytes: page + FRAME_HEADER,
    })
}
