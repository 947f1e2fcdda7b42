//! What the README and the manual show is what happens. Each `console` block is typed into a shell,
//! in the order of the page, on files of its own: a line `$ command`, and under it what it prints.
//!
//! - `...` stands for any text within a line, and for any lines if it is one.
//! - Ids and times stand for others of their form. An id stands for the same one wherever the page has
//!   it, in commands too.
//! - A page that starts no server has one that runs already, as after `make run`. The log is off.

mod pattern;
mod shell;

use super::contract_support::run;
use crate::support::PATIENCE;
use pattern::Pattern;
use shell::Shell;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One command of a page, and what is printed then.
struct Step {
    line: usize,
    command: String,
    output: String,
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut inside) = (Vec::<Step>::new(), false);
    for (n, text) in page.lines().enumerate() {
        match (inside, text.strip_prefix("$ ")) {
            (false, _) => inside = text == "```console",
            (true, _) if text == "```" => inside = false,
            (true, Some(command)) => steps.push(Step {
                line: n + 1,
                command: command.to_owned(),
                output: String::new(),
            }),
            (true, None) => {
                let step = steps.last_mut().expect("a command before its output");
                step.output += text;
                step.output.push('\n');
            }
        }
    }
    steps
}

/// How many commands there were. Errors: what was printed is not what the page shows.
fn follow(page: &str) -> Result<usize, String> {
    let (mut shell, mut pattern) = (Shell::start(), Pattern::default());
    let steps = steps(page);
    let mut address = None;
    if !steps.iter().any(|step| step.command.ends_with('&')) {
        address = address_in(&shell.serve());
    }
    for step in &steps {
        // The page's server is on a port of its own.
        let known = |text: &str, address: &Option<String>| match address {
            Some(real) => text
                .replace("localhost:8080", real)
                .replace("127.0.0.1:8080", real),
            None => text.to_owned(),
        };
        let typed = known(&pattern.with_known_ids(&step.command), &address);
        let mut printed = shell.type_in(&typed);
        let patient_until = Instant::now() + PATIENCE;
        loop {
            address = address.or_else(|| address_in(&printed));
            let output = known(&step.output, &address);
            if pattern.matches(&output, &printed) {
                break;
            }
            // What goes on in the background has its line out sooner or later.
            if !typed.ends_with('&') || Instant::now() > patient_until {
                let line = step.line;
                return Err(format!(
                    "line {line}: $ {typed}\nprints\n{printed}\nand not\n{output}"
                ));
            }
            printed += &shell.type_in("sleep 0.05");
        }
    }
    Ok(steps.len())
}

/// Where a server says that it listens.
fn address_in(printed: &str) -> Option<String> {
    let (_, after) = printed.split_once("listening on http://")?;
    Some(after.split_whitespace().next()?.to_owned())
}

fn pages() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::fs::read_dir(top.join("src/command/manual")).unwrap();
    let mut pages: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    pages.push(top.join("README.md"));
    pages
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let follow_all = |pages: Vec<PathBuf>| -> Vec<Result<usize, String>> {
        std::thread::scope(|scope| {
            let follow = |path: PathBuf| {
                let page = std::fs::read_to_string(&path).unwrap();
                follow(&page).map_err(|e| format!("{}, {e}", path.display()))
            };
            let threads = pages
                .into_iter()
                .map(|path| scope.spawn(move || follow(path)));
            let threads: Vec<_> = threads.collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        })
    };
    let results = follow_all(pages());
    let errors: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert!(
        errors.is_empty(),
        "{}",
        errors.into_iter().cloned().collect::<Vec<_>>().join("\n")
    );
    let commands: usize = results.into_iter().flatten().sum();
    assert!(
        commands >= 30,
        "only {commands} commands: are they still found?"
    );
}

#[test]
fn a_page_that_shows_something_else_is_found_out() {
    let page = |step: &str| format!("Text\n```console\n$ echo begun\nbegun\n{step}\n```\n");
    let (a, b) = (
        "00000000-0000-4000-8000-00000000000a",
        "00000000-0000-4000-8000-00000000000b",
    );
    for right in [
        "$ echo 5 of 7 spots\n5 of ... spots",
        "$ seq 5\n1\n...\n5",
        "$ date -u +%FT%T.123Z\n2026-01-01T00:00:00.000Z",
        &format!("$ echo {a} {b} {a}\n{b} {a} {b}\n$ echo {b}\n{b}"),
        "$ N=7\n$ echo $N >&2\n7",
        "$ curl localhost:8080/healthz\n{\"status\":\"ok\"}",
    ] {
        assert!(follow(&page(right)).is_ok_and(|n| n >= 2), "{right}");
    }
    for wrong in [
        "$ echo 5\n6",
        "$ echo 5",
        "$ true\n5",
        "$ seq 3\n1\n3",
        "$ echo 5 of 7\n5 of ... spots",
        "$ echo now\n2026-01-01T00:00:00.000Z",
        &format!("$ echo {a} {b}\n{a} {a}"),
        "$ lastseat verify missing.db\nsound",
    ] {
        assert!(follow(&page(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn help_has_the_pages_the_files_and_the_commands() {
    let help = |words: &[&str]| {
        let said = run(&[&["help"], words].concat(), &[]);
        assert!(said.status.success(), "{words:?}: {}", said.stderr);
        said.stdout
    };
    let list = help(&[]);
    for path in pages() {
        let topic = path.file_stem().unwrap().to_str().unwrap();
        if topic != "README" {
            let page = std::fs::read_to_string(&path).unwrap();
            assert_eq!(help(&[topic]), page);
            assert!(list.contains(&format!("\n  {topic} ")), "{topic}");
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in std::fs::read_dir(top.join("tests/front")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "alerts_test.yml" {
            assert_eq!(help(&[name]), std::fs::read_to_string(&path).unwrap());
        }
    }
    assert!(help(&["key", "add"]).contains("Usage: lastseat key add "));
    assert_eq!(help(&["verify"]), run(&["verify", "--help"], &[]).stdout);
    let unknown = run(&["help", "nothing"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.contains("nothing"), "{}", unknown.stderr);
}
