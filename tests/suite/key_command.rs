//! `lastseat key`: a key is shown once, revoked for ever, and nothing that makes no sense is done.

use super::contract_support::run;
use super::keys::{add, create, key_command, keyed};
use crate::support::PATIENCE;

#[test]
fn a_key_is_shown_once_and_kept_nowhere() {
    let server = keyed();
    let key = add(&server, "organizer");
    create(&server, &key);
    let listed = key_command(&server, &["list"]);
    assert!(listed.stdout.contains("organizer") && listed.stdout.contains("Box office"));
    let digest: Vec<u8> = {
        let sql = "SELECT key_sha256 FROM api_keys";
        server.db().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(digest.len(), 32);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    let secret = key.split('_').nth(2).unwrap();
    assert_eq!(secret.len(), 64);
    let file = std::fs::read(server.db_path()).unwrap();
    let is_kept = file
        .windows(secret.len())
        .any(|bytes| bytes == secret.as_bytes());
    assert!(!is_kept, "the database holds the key");
    assert!(!server.log().contains(secret), "the log tells the key");
    assert!(!listed.stdout.contains(secret), "the list tells the key");
}

#[test]
fn the_key_command_refuses_what_makes_no_sense() {
    let server = keyed();
    let long = "x".repeat(201);
    for args in [
        &["add", "--role", "boss", "--name", "x"][..],
        &["add", "--role", "user", "--name", " "],
        &["add", "--role", "user", "--name", "a\nb"],
        &["add", "--role", "user", "--name", &long],
        &["add", "--role", "user"],
        &["add", "--name", "x"],
        &["revoke", "one"],
        &["revoke"],
    ] {
        let refused = key_command(&server, args);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert_eq!(refused.stderr.trim_end().lines().count(), 1, "{refused:?}");
    }
    assert_eq!(run(&["key"], &[]).status.code(), Some(2));
    assert_eq!(
        key_command(&server, &["revoke", "7"]).status.code(),
        Some(1)
    );
    assert_eq!(key_command(&server, &["list"]).stdout.lines().count(), 1);
}

#[test]
fn a_key_is_revoked_once_and_for_ever() {
    let server = keyed();
    add(&server, "user");
    for already in ["revoked", "revoked already"] {
        let revoked = key_command(&server, &["revoke", "1"]);
        assert!(revoked.status.success() && revoked.stdout.trim().ends_with(already));
    }
    let db = server.db();
    for sql in [
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE api_keys SET role = 'admin'",
        "DELETE FROM api_keys",
        "INSERT OR REPLACE INTO api_keys SELECT id, key_sha256, 'admin', name, 1, NULL FROM api_keys",
    ] {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn looking_for_keys_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("none.db");
    let path = db.to_str().unwrap();
    for args in [
        &["key", "list", "--db", path][..],
        &["key", "revoke", "1", "--db", path],
    ] {
        let refused = run(args, &[]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("no such file"), "{refused:?}");
    }
    assert!(!db.exists());
}
