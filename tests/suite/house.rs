//! The house of `src/lib.rs`: imports point down only, tiny_http is known in `transport/` alone and
//! each engine's library in its folder of `store/` alone.

use std::path::{Path, PathBuf};

/// From the ground up. Rooms of one floor may use each other.
const FLOORS: [&[&str]; 9] = [
    &["model", "error", "clock"],
    &["hooks", "logging", "metrics", "process", "signals"],
    &["store"],
    &["box_office", "relay", "report", "verify"],
    &["message"],
    &["api", "transport"],
    &["config", "reaper", "worker"],
    &["server", "keeper"],
    &["command"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn a_database_s_library_is_known_in_the_folder_of_its_engine() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (library, home) in [
        ("rusqlite", "store/sqlite"),
        ("pq_sys", "store/postgres/libpq"),
    ] {
        for path in sources(&src) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let uses = [format!("use {library}"), format!("{library}::")];
            let uses = uses.iter().any(|used| text.contains(used));
            assert!(!uses || path.starts_with(src.join(home)), "{path:?}");
        }
    }
}

/// Each room's name and the text of one of its files.
fn rooms() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let room = |path: &PathBuf| {
        let inside = path.strip_prefix(&src).expect("below src");
        let first = inside.iter().next().expect("a name").to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    };
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("a source file");
    sources(&src)
        .iter()
        .map(|path| (room(path), text(path)))
        .collect()
}

fn floor(room: &str) -> usize {
    let found = FLOORS.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("the room {room} is on no floor"))
}

#[test]
fn imports_point_down_only() {
    let mut seen = 0;
    for (room, text) in rooms() {
        if room == "main" || room == "lib" {
            continue;
        }
        for used in text.split("crate::").skip(1) {
            let used: String = used
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            assert!(
                floor(&used) <= floor(&room),
                "{room} uses {used}, which is above it"
            );
            seen += 1;
        }
    }
    assert!(
        seen > 50,
        "only {seen} imports were found: is this test still reading the sources?"
    );
}

/// The file that a path of modules leads to, as far as there are files, or none.
fn file_of(src: &Path, modules: &[String]) -> Option<PathBuf> {
    (1..=modules.len()).rev().find_map(|n| {
        let path: PathBuf = src.join(modules[..n].iter().collect::<PathBuf>());
        let files = [path.with_extension("rs"), path.join("mod.rs")];
        files.into_iter().find(|file| file.is_file())
    })
}

/// The files that it imports from by name; what another file hands on counts for that one.
fn imports(src: &Path, file: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).expect("a source file");
    let inside = file.strip_prefix(src).expect("below src");
    let own: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    let lines = text.lines().map(|line| line.trim_start_matches("pub "));
    let found = lines.filter_map(|line| {
        let line = line.strip_prefix("use ")?;
        let mut modules = own.clone();
        let names = line.split(['{', ';', ' ']).next()?.split("::");
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        match *names.first()? {
            "crate" | "super" => {}
            _ => return None,
        }
        for name in names {
            match name {
                "crate" => modules.clear(),
                "super" => drop(modules.pop()),
                name => modules.push(name.to_owned()),
            }
        }
        file_of(src, &modules)
    });
    found.filter(|found| found != file).collect()
}

#[test]
fn no_files_import_from_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut left: Vec<(PathBuf, Vec<PathBuf>)> = sources(&src)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
        .map(|file| (file.clone(), imports(&src, &file)))
        .collect();
    let all: usize = left.iter().map(|(_, imports)| imports.len()).sum();
    assert!(all > 300, "only {all} imports were found");
    // Whoever imports from nobody that is left is in no circle.
    loop {
        let names: Vec<PathBuf> = left.iter().map(|(file, _)| file.clone()).collect();
        left.retain(|(_, imports)| imports.iter().any(|file| names.contains(file)));
        if left.len() == names.len() {
            break;
        }
    }
    assert!(
        left.is_empty(),
        "these are in a circle, or import from one: {left:#?}"
    );
}

#[test]
fn what_a_request_means_and_how_it_comes_know_nothing_of_each_other() {
    for (room, other) in [
        ("api", "transport"),
        ("transport", "api"),
        ("worker", "transport"),
    ] {
        let of_room: Vec<_> = rooms()
            .into_iter()
            .filter(|(name, _)| name == room)
            .collect();
        assert!(!of_room.is_empty(), "there is no {room}");
        let knows = |text: &str| text.contains(&format!("crate::{other}"));
        assert!(
            !of_room.iter().any(|(_, text)| knows(text)),
            "{room} uses {other}"
        );
    }
}

#[test]
fn each_library_is_known_in_one_room() {
    for (library, home) in [
        ("tiny_http", "transport"),
        ("rusqlite", "store"),
        ("pq_sys", "store"),
        ("prometheus", "metrics"),
        ("ureq", "relay"),
    ] {
        let uses = [format!("use {library}"), format!("{library}::")];
        let users = rooms()
            .into_iter()
            .filter(|(_, text)| uses.iter().any(|u| text.contains(u)));
        let users: Vec<String> = users.map(|(room, _)| room).collect();
        assert!(!users.is_empty(), "{library} is used nowhere");
        assert!(
            users.iter().all(|room| room == home),
            "{library} is known in {users:?}"
        );
    }
}
