//! `lastseat verify`, as a person would run it.

use super::server::BINARY;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The report, whatever it says.
#[track_caller]
pub fn verify(db: &Path) -> Value {
    let command = Command::new(BINARY)
        .arg("verify")
        .arg(db)
        .arg("--json")
        .output();
    let output = command.expect("runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no report ({e}): {output:?}"));
    let code = if report["ok"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    report
}

#[track_caller]
pub fn assert_sound(db: &Path) {
    let report = verify(db);
    assert_eq!(report["violations"], serde_json::json!([]), "{db:?}");
}
