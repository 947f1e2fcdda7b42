//! A file that must not be written, from the start or all at once: what can still be acknowledged
//! is on disk, the rest is a 503, and it is over by itself when the file may be written again.

use super::contract_support::{sell, unlimited};
use crate::support::{PATIENCE, Server, assert_sound, verify, wait_until};
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not even who has a file open may write to it, nor root: the attribute `i` of chattr(1), which
/// only root may set, and not all filesystems have.
struct Immutable(PathBuf);

impl Immutable {
    fn make(file: &Path) -> Option<Immutable> {
        // Not all systems ask those for it who have the file open already.
        let probe = file.with_extension("probe");
        let mut open = File::create(&probe).unwrap();
        let immutable = chattr("+i", &probe).then(|| Immutable(probe))?;
        let binds = open.write_all(b"more").is_err();
        drop(immutable);
        (binds && chattr("+i", file)).then(|| Immutable(file.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        chattr("-i", &self.0);
    }
}

fn chattr(change: &str, file: &Path) -> bool {
    let mut chattr = Command::new("chattr");
    let output = chattr.arg(change).arg(file).output();
    output.is_ok_and(|output| output.status.success())
}

fn says(server: &Server, what: &str) {
    let said = wait_until(PATIENCE, || server.log().contains(what));
    assert!(said, "{what}: {}", server.log());
}

fn has_after_a_crash(server: &Server, tickets: u32) {
    server.kill9();
    let report = verify(server.db_path());
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["tickets"], tickets, "{report}");
}

/// What is sold stands in the WAL, from where it comes into the database file later.
#[test]
fn a_database_file_that_becomes_read_only_is_sold_from_all_the_same() {
    let server = unlimited();
    let event = server.create_event("Read-only", 10);
    let Some(immutable) = Immutable::make(server.db_path()) else {
        return eprintln!("not tested: this user or filesystem has no immutable files");
    };
    sell(&server, event, "a@example.com");
    says(&server, "checkpoints fail");
    sell(&server, event, "b@example.com");
    drop(immutable);
    says(&server, "checkpoints work again");
    sell(&server, event, "c@example.com");
    has_after_a_crash(&server, 3);
}

#[test]
fn a_wal_that_becomes_read_only_is_a_503_until_it_may_be_written() {
    let server = unlimited();
    let event = server.create_event("Read-only", 10);
    let wal = server.db_path().with_extension("db-wal");
    sell(&server, event, "a@example.com");
    let Some(immutable) = Immutable::make(&wal) else {
        return eprintln!("not tested: this user or filesystem has no immutable files");
    };
    for _ in 0..3 {
        let refused = server.register(event, "b@example.com");
        assert!(refused.header("Retry-After").is_some(), "{refused:?}");
        refused.expect_problem(503, "storage_unavailable");
    }
    says(&server, "a batch was not committed");
    assert_eq!(server.event(event)["available_spots"], 9);
    drop(immutable);
    sell(&server, event, "b@example.com");
    has_after_a_crash(&server, 2);
}

/// Who takes over opens the file anew, and tries until it may write to it.
#[test]
fn a_server_that_dies_while_its_file_is_read_only_is_back_when_it_may_be_written() {
    let server = unlimited();
    let event = server.create_event("Read-only", 10);
    let kept = sell(&server, event, "a@example.com");
    let Some(immutable) = Immutable::make(server.db_path()) else {
        return eprintln!("not tested: this user or filesystem has no immutable files");
    };
    crate::support::signal(server.server_pid(), "KILL");
    says(&server, "this user may write to it");
    drop(immutable);
    // The clients waited in the backlog.
    server.get(&format!("/tickets/{kept}")).expect_status(200);
    sell(&server, event, "b@example.com");
    assert_sound(server.db_path());
}

/// For whoever has opened it, a file stays what it was when its mode changes.
#[test]
fn a_mode_that_forbids_to_write_shows_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    // Root may write whatever the mode.
    let is_root = chown(folder.path(), Some(65_534), Some(65_534)).is_ok();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    // Where this was built, another user may be unable to look.
    let programs = tempfile::tempdir().unwrap();
    let _ = chown(programs.path(), Some(65_534), Some(65_534));
    let program = programs.path().join("lastseat");
    std::fs::copy(env!("CARGO_BIN_EXE_lastseat"), &program).unwrap();
    let builder = || {
        let builder = Server::builder().rate_limit_off().db(&db);
        let builder = builder.binary(&program).current_dir("/");
        match is_root {
            true => builder.through(&nobody),
            false => builder,
        }
    };
    let set_mode = |mode| {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        }
    };
    let server = builder().start();
    let event = server.create_event("Mode", 10);
    set_mode(0o444);
    sell(&server, event, "a@example.com");
    server.sigterm();
    assert!(server.wait(PATIENCE).success(), "{}", server.log());

    let before = std::fs::read(&db).unwrap();
    let refused = builder().try_start().err().expect("it may not write");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(refused.stderr.trim_end().lines().count(), 1, "{refused:?}");
    let line = format!("cannot open the database {}", db.display());
    assert!(refused.stderr.contains(&line), "{refused:?}");
    assert!(refused.stderr.contains("may write"), "{refused:?}");
    assert!(std::fs::read(&db).unwrap() == before, "it was changed");

    set_mode(0o644);
    let server = builder().start();
    sell(&server, event, "b@example.com");
    assert_sound(&db);
}
