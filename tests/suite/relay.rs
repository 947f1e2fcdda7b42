//! `lastseat relay`: a receiver is told of each change, in order, whatever happens to it, to the
//! server or to the relay.

use super::contract_support::{Run, run, sell, unlimited};
use super::keys::{add, create, keyed};
use crate::support::random::Random;
use crate::support::{PATIENCE, Server, wait_until};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SECRET: &str = "whsec_bmV4dCBzZWNyZXQsIGp1c3QgYXMgbG9uZyE=";

/// What the receiver was told, each time.
#[derive(Clone, Debug)]
pub struct Told {
    id: String,
    event: i64,
    n: i64,
    body: Value,
    signatures: Vec<String>,
    at: Instant,
}

/// How it answers the request with this number: a status and a header, or not at all.
type Answer = Box<dyn Fn(usize) -> Option<(u16, String)> + Send + Sync>;

/// A small webhook receiver.
pub struct Receiver {
    url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    fn start(answer: impl Fn(usize) -> Option<(u16, String)> + Send + Sync + 'static) -> Receiver {
        Receiver::speaking("http", |stream| stream, answer)
    }

    /// `scheme` is what `wrap` has a connection speak.
    pub fn speaking<S: Read + Write + 'static>(
        scheme: &str,
        wrap: impl Fn(TcpStream) -> S + Clone + Send + 'static,
        answer: impl Fn(usize) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}/hook/", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let (answer, requests): (Arc<Answer>, _) =
            (Arc::new(Box::new(answer)), Arc::new(AtomicUsize::new(0)));
        let all = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, answer, requests) = (all.clone(), answer.clone(), requests.clone());
                let wrap = wrap.clone();
                std::thread::spawn(move || receive(wrap(stream), &all, &answer, &requests));
            }
        });
        Receiver { url, told }
    }

    fn content() -> Receiver {
        Receiver::start(|_| Some((204, String::new())))
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// The numbers of an event's changes in the order in which each was first told.
    fn first_told(&self, event: i64) -> Vec<i64> {
        let mut seen = Vec::new();
        for told in self.told().iter().filter(|told| told.event == event) {
            if !seen.contains(&told.n) {
                seen.push(told.n);
            }
        }
        seen
    }

    #[track_caller]
    pub fn wait_for(&self, event: i64, changes: i64) {
        let all: Vec<i64> = (1..=changes).collect();
        let is_told = || self.first_told(event).len() >= all.len();
        assert!(
            wait_until(3 * PATIENCE, is_told),
            "{:?}",
            self.first_told(event)
        );
        assert_eq!(self.first_told(event), all);
    }
}

/// Serves one connection.
fn receive(
    stream: impl Read + Write,
    all: &Mutex<Vec<Told>>,
    answer: &Answer,
    requests: &AtomicUsize,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let header = |name: &str| {
            let mut lines = head.iter().filter_map(|line| line.split_once(": "));
            lines
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        let mut body = vec![0; header("Content-Length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        assert_eq!(head[0], "POST /hook/ HTTP/1.1");
        let (id, signed_at) = (
            header("webhook-id").unwrap(),
            header("webhook-timestamp").unwrap(),
        );
        let age = chrono::Utc::now().timestamp() - signed_at.parse::<i64>().unwrap();
        assert!((-1..60).contains(&age), "signed {age} s ago");
        let text = String::from_utf8(body).unwrap();
        let signatures: Vec<String> = header("webhook-signature")
            .unwrap()
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert_eq!(
            signatures[0],
            sign(SECRET, &format!("{id}.{signed_at}.{text}"))
        );
        let body: Value = serde_json::from_str(&text).unwrap();
        all.lock().unwrap().push(Told {
            id,
            event: body["data"]["event_id"].as_i64().unwrap(),
            n: body["data"]["n"].as_i64().unwrap(),
            body,
            signatures,
            at: Instant::now(),
        });
        let (status, header) = answer(requests.fetch_add(1, Ordering::Relaxed))?;
        let answer = format!("HTTP/1.1 {status} -\r\n{header}Content-Length: 0\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn sign(secret: &str, signed: &str) -> String {
    let secret = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&secret)
        .unwrap()
        .chain_update(signed);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

pub struct Relay {
    child: Child,
    log: PathBuf,
}

impl Relay {
    pub fn start(folder: &Path, server: &Server, receiver: &Receiver, flags: &[&str]) -> Relay {
        let log = folder.join("relay.log");
        let output = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lastseat"))
            .args(["relay", "--from", &format!("http://{}", server.addr())])
            .args(["--to", &receiver.url, "--secret", SECRET])
            .args(flags)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap();
        Relay { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let mut ended = None;
        let has_ended = wait_until(PATIENCE, || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert!(has_ended, "{}", self.log());
        ended.unwrap().code()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the relay's log:\n{}", self.log());
        }
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn sell_many(server: &Server, event: i64, tickets: usize) {
    for n in 0..tickets {
        sell(server, event, &format!("buyer-{n}@example.com"));
    }
}

#[test]
fn a_change_is_told_as_standard_webhooks_says() {
    let (server, receiver, folder) = (unlimited(), Receiver::content(), folder());
    let event = server.create_event("Walk", 3);
    let ticket = sell(&server, event, "ada@example.com");
    let _relay = Relay::start(
        folder.path(),
        &server,
        &receiver,
        &["--event", "1", "--secret", NEXT_SECRET],
    );
    receiver.wait_for(event, 2);
    let told = receiver.told();
    assert_eq!(told[0].body["type"], "event.created");
    assert_eq!(told[1].body["type"], "ticket.reserved");
    assert_eq!(told[1].body["data"]["ticket_id"], ticket.as_str());
    assert_eq!(told[1].body["data"]["available_spots"], 2);
    assert_eq!(told[1].body["timestamp"], told[1].body["data"]["at"]);
    // Each secret signs, and not with the same signature.
    assert_eq!(told[1].signatures.len(), 2);
    assert_ne!(told[1].signatures[0], told[1].signatures[1]);
    let path = format!("/events/{event}/cancel");
    server.post(&path, "organizer", "{}").expect_status(200);
    receiver.wait_for(event, 4);
    assert_eq!(receiver.told()[3].body["type"], "event.cancelled");
}

#[test]
fn killed_again_and_again_it_loses_and_reorders_nothing() {
    let (server, folder) = (unlimited(), folder());
    let random = Mutex::new(Random::announced("relay").0);
    let receiver = Receiver::start(move |_| match random.lock().unwrap().below(10) {
        0 => None,
        1 | 2 => Some((500, String::new())),
        3 => Some((503, "Retry-After: 0\r\n".to_owned())),
        _ => Some((200, String::new())),
    });
    let event = server.create_event("Walk", 1_000);
    std::thread::scope(|scope| {
        scope.spawn(|| sell_many(&server, event, 119));
        let flags = ["--event", "1", "--metrics-file", "relay.prom"];
        for round in 1..=8 {
            let mut relay = Relay::start(folder.path(), &server, &receiver, &flags);
            let is_on_its_way = || receiver.first_told(event).len() >= round * 12;
            wait_until(PATIENCE, is_on_its_way);
            relay.kill9();
        }
        let _relay = Relay::start(folder.path(), &server, &receiver, &flags);
        receiver.wait_for(event, 120);
    });
    // The same change has the same id each time, and no other has it.
    let told = receiver.told();
    for one in &told {
        assert!(
            told.iter()
                .all(|other| (one.id == other.id) == (one.n == other.n))
        );
    }
    // Nothing is told again once a later one was, unless the relay was killed in between.
    let back = told.windows(2).filter(|pair| pair[1].n < pair[0].n).count();
    assert!(back <= 8, "{back}");
}

#[test]
fn it_goes_on_where_it_was_and_with_a_server_that_was_away() {
    let (receiver, folder) = (Receiver::content(), folder());
    let server = Server::builder().rate_limit_off().listen_apart().start();
    let event = server.create_event("Walk", 10);
    let mut relay = Relay::start(folder.path(), &server, &receiver, &["--event", "1"]);
    receiver.wait_for(event, 1);
    crate::support::signal(server.server_pid(), "KILL");
    wait_until(PATIENCE, || server.try_server_pid().is_some());
    sell(&server, event, "ada@example.com");
    receiver.wait_for(event, 2);
    let has_position = || {
        std::fs::read_to_string(folder.path().join("relay.json")).is_ok_and(|p| p == r#"{"1":2}"#)
    };
    assert!(wait_until(PATIENCE, has_position));
    crate::support::signal(relay.child.id(), "TERM");
    assert_eq!(relay.wait(), Some(0));
    sell(&server, event, "bob@example.com");
    let _relay = Relay::start(folder.path(), &server, &receiver, &["--event", "1"]);
    receiver.wait_for(event, 3);
    assert_eq!(receiver.told().len(), 3, "each was told once");
}

#[test]
fn all_events_are_told_those_to_come_among_them() {
    let (server, receiver, folder) = (keyed(), Receiver::content(), folder());
    let (organizer, other) = (add(&server, "organizer"), add(&server, "organizer"));
    let first = create(&server, &organizer);
    let others = create(&server, &other);
    let _relay = Relay::start(
        folder.path(),
        &server,
        &receiver,
        &["--event", "all", "--key", &organizer],
    );
    receiver.wait_for(first, 1);
    let second = create(&server, &organizer);
    receiver.wait_for(second, 1);
    assert_eq!(
        receiver.first_told(others),
        [] as [i64; 0],
        "what the key does not reach"
    );
}

#[test]
fn with_more_events_than_are_followed_at_once_each_has_its_turn() {
    let (server, receiver, folder) = (unlimited(), Receiver::content(), folder());
    let events: Vec<i64> = (0..70).map(|_| server.create_event("Walk", 5)).collect();
    let _relay = Relay::start(folder.path(), &server, &receiver, &["--event", "all"]);
    for event in &events {
        receiver.wait_for(*event, 1);
    }
    for event in [events[0], events[69]] {
        sell(&server, event, "ada@example.com");
        receiver.wait_for(event, 2);
    }
}

#[test]
fn a_receiver_that_is_gone_for_good_ends_it() {
    let (server, folder) = (unlimited(), folder());
    let receiver = Receiver::start(|_| Some((410, String::new())));
    server.create_event("Walk", 3);
    let mut relay = Relay::start(folder.path(), &server, &receiver, &["--event", "1"]);
    assert_eq!(relay.wait(), Some(1));
    assert!(relay.log().contains("410"), "{}", relay.log());
    assert!(!folder.path().join("relay.json").exists());
}

#[test]
fn retry_after_is_honoured_and_a_redirect_is_not_followed() {
    let (server, folder) = (unlimited(), folder());
    let elsewhere = Receiver::content();
    let location = format!("Location: {}\r\n", elsewhere.url);
    let receiver = Receiver::start(move |n| match n {
        0 => Some((429, "Retry-After: 3\r\n".to_owned())),
        1 | 2 => Some((307, location.clone())),
        _ => Some((204, String::new())),
    });
    let event = server.create_event("Walk", 3);
    let flags = ["--event", "1", "--metrics-file", "relay.prom"];
    let relay = Relay::start(folder.path(), &server, &receiver, &flags);
    let metrics = || std::fs::read_to_string(folder.path().join("relay.prom")).unwrap_or_default();
    let lags = || {
        metrics()
            .lines()
            .any(|l| l.starts_with("lastseat_relay_lag_seconds ") && !l.ends_with(" 0"))
    };
    assert!(wait_until(PATIENCE, lags), "{}", metrics());
    receiver.wait_for(event, 1);
    let has_caught_up = || {
        metrics().contains("lastseat_relay_lag_seconds 0\n")
            && metrics().contains("lastseat_relay_told 1\n")
    };
    assert!(wait_until(PATIENCE, has_caught_up), "{}", metrics());
    let told = receiver.told();
    assert_eq!(told.len(), 4);
    assert!(told[1].at - told[0].at >= Duration::from_secs(3));
    assert!(elsewhere.told().is_empty());
    assert!(relay.log().contains("answers 307"), "{}", relay.log());
}

#[test]
fn what_makes_no_sense_ends_it_at_once() {
    let all = [
        "relay",
        "--to",
        "http://127.0.0.1:9/",
        "--event",
        "1",
        "--secret",
        SECRET,
    ];
    let with = |name: &str, value: &str| -> Run {
        let mut args = all.to_vec();
        match args.iter().position(|arg| *arg == name) {
            Some(at) => args[at + 1] = value,
            None => args.extend([name, value]),
        }
        run(&args, &[])
    };
    for (name, value) in [
        ("--to", "ftp://example.com"),
        ("--from", "localhost"),
        ("--event", "0"),
        ("--event", "some"),
        ("--secret", "whsec_c2hvcnQ="),
        ("--secret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ] {
        let run = with(name, value);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stderr.contains(name), "{run:?}");
    }
}

#[test]
fn a_key_that_does_not_open_or_an_event_that_is_none_ends_it() {
    let (server, receiver, folder) = (keyed(), Receiver::content(), folder());
    let organizer = add(&server, "organizer");
    let event = create(&server, &organizer).to_string();
    for (key, event, why) in [
        ("lastseat_9_wrong", event.as_str(), "401"),
        (&organizer, "99", "404"),
    ] {
        let mut relay = Relay::start(
            folder.path(),
            &server,
            &receiver,
            &["--event", event, "--key", key],
        );
        assert_eq!(relay.wait(), Some(1), "{}", relay.log());
        assert!(relay.log().contains(why), "{}", relay.log());
    }
}
