//! `lastseat help`: the manual's pages, the files for the programs around, and every command's flags.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser};

use super::{Cli, Failure, print};

/// A name, what it is about, the text.
type Page = (&'static str, &'static str, &'static str);

/// `tests/suite/manual.rs` runs what they show.
const TOPICS: [Page; 8] = [
    (
        "events",
        "run an event: change it, parties, the line, the door, the attendees",
        include_str!("manual/events.md"),
    ),
    (
        "payments",
        "hold, authorize, confirm, capture",
        include_str!("manual/payments.md"),
    ),
    (
        "changes",
        "follow what happens: streams, webhooks",
        include_str!("manual/changes.md"),
    ),
    (
        "keys",
        "who may do what: --auth key",
        include_str!("manual/keys.md"),
    ),
    (
        "operate",
        "watch it, back it up, verify it, stop it",
        include_str!("manual/operate.md"),
    ),
    (
        "internet",
        "strangers, proxies, systemd, containers, web pages",
        include_str!("manual/internet.md"),
    ),
    (
        "guarantees",
        "what holds, and what does not",
        include_str!("manual/guarantees.md"),
    ),
    (
        "postgres",
        "several machines: the same program on PostgreSQL",
        include_str!("manual/postgres.md"),
    ),
];

/// `make front` tries each with the program that it is for.
const FILES: [Page; 7] = [
    (
        "nginx.conf",
        "nginx in front, complete",
        include_str!("../../tests/front/nginx.conf"),
    ),
    (
        "haproxy.cfg",
        "haproxy in front, complete",
        include_str!("../../tests/front/haproxy.cfg"),
    ),
    (
        "varnish.vcl",
        "Varnish in front, for a crowd of readers",
        include_str!("../../tests/front/varnish.vcl"),
    ),
    (
        "lastseat.service",
        "systemd, the service",
        include_str!("../../tests/front/lastseat.service"),
    ),
    (
        "lastseat.socket",
        "systemd, its socket",
        include_str!("../../tests/front/lastseat.socket"),
    ),
    (
        "Dockerfile",
        "an image for containers",
        include_str!("../../tests/front/Dockerfile"),
    ),
    (
        "alerts.yml",
        "rules for Prometheus",
        include_str!("../../tests/front/alerts.yml"),
    ),
];

#[derive(Args, Debug)]
pub struct Help {
    /// A topic, a file or a command; without one, the list of them
    #[arg(value_name = "TOPIC")]
    words: Vec<String>,
}

impl Help {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let page = |name: &str| TOPICS.iter().chain(&FILES).find(|page| page.0 == name);
        let text = match words[..] {
            [] => list(),
            [name] if let Some(page) = page(name) => page.2.to_owned(),
            _ => of_command(&words)?,
        };
        print(text.as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}

fn list() -> String {
    let mut text = String::new();
    let mut section = |title: &str, entries: &mut dyn Iterator<Item = (String, String)>| {
        let _ = writeln!(text, "{title}");
        for (name, about) in entries {
            let _ = writeln!(text, "  {name:<18}{about}");
        }
        text.push('\n');
    };
    let owned = |page: &Page| (page.0.to_owned(), page.1.to_owned());
    section("lastseat help TOPIC", &mut TOPICS.iter().map(owned));
    section("lastseat help FILE > FILE", &mut FILES.iter().map(owned));
    let command = Cli::command();
    let commands = command.get_subcommands().map(|command| {
        let about = command.get_about().map(ToString::to_string);
        (command.get_name().to_owned(), about.unwrap_or_default())
    });
    section("lastseat help COMMAND", &mut { commands });
    text + "lastseat --help has all flags of the server.\n"
}

/// What these words and `--help` print.
fn of_command(words: &[&str]) -> Result<String, Failure> {
    let typed = ["lastseat"].iter().chain(words).chain(&["--help"]);
    match Cli::try_parse_from(typed) {
        Err(help) if !help.use_stderr() => Ok(help.to_string()),
        Err(e) => Err(e.into()),
        Ok(_) => Ok(list()),
    }
}
