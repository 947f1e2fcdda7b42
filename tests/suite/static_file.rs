//! The static file of `make static`, in a folder with nothing else in it but a folder for the
//! database, as a user who may write nowhere but there. Ignored unless asked for, because the file
//! takes minutes to build and chroot(8) takes root.

use crate::support::{PATIENCE, Server, is_alive, signal, wait_until};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

const NOBODY: u32 = 65_534;

#[test]
#[ignore = "needs a static file: make static"]
fn static_file_runs_in_an_empty_folder_as_nobody() {
    let built = std::env::var("STATIC_FILE").expect("STATIC_FILE: the path of the static file");
    let root = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    std::fs::copy(built, root.path().join("lastseat")).unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    mode(root.path(), 0o555).unwrap();

    let folder = root.path().to_str().unwrap();
    let server = Server::builder()
        .through(&["chroot", "--userspec=65534:65534", folder])
        .binary("/lastseat")
        .db("/data/events.db")
        .rate_limit_off()
        .start();
    let event = server.create_event("Harbour walk", 3);
    let ticket = server.register(event, "a@example.com").expect_status(201);
    let pid = server.server_pid();
    let owner = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(
        owner.contains("Uid:\t65534\t65534\t65534\t65534"),
        "{owner}"
    );

    // The keeper finds the program again, without a /proc to ask.
    signal(pid, "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    let ticket = format!("/tickets/{}", ticket.text("ticket_id"));
    server.get(&ticket).expect_status(200);
    server.register(event, "b@example.com").expect_status(201);
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());

    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(root.path()), ["data", "lastseat"]);
    assert!(
        names(&data)
            .iter()
            .all(|name| name.starts_with("events.db"))
    );
}
