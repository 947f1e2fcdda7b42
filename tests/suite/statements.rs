//! The statements in `sql/`: bound by name, in words that every engine knows.

use lastseat::store::engine::Statement;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where a statement may be written for SQLite alone.
const OF_SQLITE: &str = "sqlite";

fn folder(name: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn without_comments(sql: &str) -> String {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn refuses(sql: &'static str, names: &'static [&'static str]) -> bool {
    std::panic::catch_unwind(|| Statement::new(sql, names)).is_err()
}

/// The program makes each statement in a constant, where such a panic is an error of the compiler.
#[test]
fn names_that_differ_from_the_statements_are_refused() {
    let sql = "-- of :nobody\nUPDATE t SET a = ':no', b = :b WHERE id = :id AND c > :b";
    assert!(!refuses(sql, &["b", "id"]));
    assert!(!refuses(sql, &["id", "b"]));
    assert!(refuses(sql, &["id"]), "one is missing");
    assert!(refuses(sql, &["id", "b", "c"]), "one is too many");
    assert!(refuses(sql, &["id", "bb"]), "one is another");
    assert!(refuses(sql, &["i", "b"]), "one is cut off");
    assert!(refuses(sql, &["id", "no"]), "one is only text");
    assert!(refuses(sql, &["id", "nobody"]), "one is only a comment");
}

#[test]
fn a_value_goes_to_the_parameter_of_its_name() {
    let sql = "SELECT :b, :a, :b, :c";
    let numbers: Vec<usize> = Statement::new(sql, &["a", "b", "c"])
        .numbers()
        .take(3)
        .collect();
    assert_eq!(numbers, [2, 1, 3]);
}

/// Each file is one statement, and the method of its name is the one that runs it.
#[test]
fn each_statement_has_one_place_in_the_code() {
    let code: String = [
        "src/store",
        "src/store/tx",
        "src/store/sqlite",
        "src/verify",
        "src/report",
    ]
    .iter()
    .flat_map(|name| folder(name))
    .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
    .filter(|line| !line.trim_start().starts_with("//"))
    .collect();
    for (path, sql) in folder("sql") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let uses = code.matches(&format!("call!(\"{name}\"")).count()
            + code.matches(&format!("sql/{name}.sql\"")).count();
        assert_eq!(uses, 1, "{name} is used in {uses} places");
        if code.contains(&format!("call!(\"{name}\"")) {
            assert!(code.contains(&format!("fn {name}(")), "no method {name}");
        }
        let ends = without_comments(&sql).matches(';').count();
        assert_eq!(ends, 1, "{name} is not one statement");
    }
}

/// The columns of each table, and the triggers that both engines have.
fn outline(schema: &str) -> BTreeSet<String> {
    let mut outline = BTreeSet::new();
    let mut table = String::new();
    for line in without_comments(schema).lines() {
        let word = |n: usize| line.split_whitespace().nth(n).unwrap_or_default();
        match (word(0), word(1)) {
            ("CREATE", "TABLE") => table = word(2).to_owned(),
            ("CREATE", "TRIGGER") => drop(outline.insert(format!("trigger {}", word(2)))),
            (column, _) if line.starts_with("    ") && column.starts_with(char::is_lowercase) => {
                outline.insert(format!("{table}.{column}"));
            }
            _ => table.truncate(if line.starts_with(')') {
                0
            } else {
                table.len()
            }),
        }
    }
    outline
}

#[test]
fn the_schemas_of_both_engines_have_the_same_columns_and_triggers() {
    let read = |engine: &str| {
        let path = format!("{}/sql/{engine}/schema.sql", env!("CARGO_MANIFEST_DIR"));
        outline(&std::fs::read_to_string(path).unwrap())
    };
    let (sqlite, postgres) = (read("sqlite"), read("postgres"));
    assert!(sqlite.len() > 50, "{sqlite:?}");
    // What INSERT OR REPLACE is refused by, which is SQLite's own.
    let missing: Vec<_> = sqlite
        .difference(&postgres)
        .filter(|name| !name.ends_with("_no_replace"))
        .collect();
    assert!(missing.is_empty(), "PostgreSQL's schema lacks {missing:?}");
    let own = |name: &&String| {
        let of = ["lastseat.", "writers."];
        !of.iter().any(|table| name.starts_with(table)) && !name.ends_with("_not_emptied")
    };
    let added: Vec<_> = postgres.difference(&sqlite).filter(own).collect();
    assert!(added.is_empty(), "SQLite's schema lacks {added:?}");
}

/// PostgreSQL takes a parameter's type from where it first stands, and IS NULL has none.
fn assert_types_are_told(path: &Path, sql: &str) {
    let mut known = BTreeSet::new();
    for part in sql.split(':').skip(1) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name: String = part.chars().take_while(|c| is_name(*c)).collect();
        let typeless = part[name.len()..].starts_with(" is null");
        assert!(
            !typeless || known.contains(&name),
            "{path:?}: compare :{name} before asking whether it is null"
        );
        known.insert(name);
    }
}

#[test]
fn statements_are_in_words_that_every_engine_knows() {
    let of_sqlite = [
        "iif(",
        "or fail",
        "or replace",
        "or ignore",
        "or abort",
        "pragma",
        "sqlite_",
        "rowid",
        "strict",
        "raise(",
        "glob",
        "group_concat",
        "ifnull(",
        "printf(",
        "unhex(",
        "strftime",
        "json_",
        "total(",
        "collate nocase",
        "?1",
    ];
    let mut seen = BTreeSet::new();
    for (path, sql) in folder("sql") {
        let words = without_comments(&sql).to_lowercase();
        for word in of_sqlite {
            assert!(!words.contains(word), "{word} in {path:?}");
        }
        assert_types_are_told(&path, &words);
        seen.insert(path);
    }
    assert!(seen.len() > 30, "{seen:?}");
    let differ: BTreeSet<_> = folder(&format!("sql/{OF_SQLITE}"))
        .into_iter()
        .map(|(path, _)| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(
        differ.len(),
        3,
        "the schema, how to list it, and views before it: {differ:?}"
    );
}
