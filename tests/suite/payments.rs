//! The recipe of `lastseat help payments`, with a payment provider that is a small HTTP server: whatever
//! happens on the way, what was captured is what was confirmed, and all else was voided.

use super::contract_support::{cancel_ticket, get_ticket, sell};
use crate::support::{Client, FrozenClock, Server, assert_sound, fresh_source};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The payments of a provider, by their names, and what has become of each. `POST /authorize` gives
/// a name; `POST /<name>/capture` and `/<name>/void` end it, each once.
#[derive(Default)]
struct Provider {
    payments: Mutex<BTreeMap<String, &'static str>>,
}

impl Provider {
    fn open() -> (Arc<Provider>, SocketAddr) {
        let provider = Arc::new(Provider::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.serve(stream);
            }
        });
        (provider, address)
    }

    fn serve(&self, stream: TcpStream) {
        let mut lines = BufReader::new(&stream).lines();
        let first = lines.next().unwrap().unwrap();
        while !lines.next().unwrap().unwrap().is_empty() {}
        let path = first.split(' ').nth(1).unwrap();
        let (status, body) = self.answer(path.trim_start_matches('/'));
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        (&stream).write_all(answer.as_bytes()).unwrap();
    }

    fn answer(&self, path: &str) -> (u16, String) {
        let mut payments = self.payments.lock().unwrap();
        if path == "authorize" {
            let name = format!("pay_{}", payments.len() + 1);
            payments.insert(name.clone(), "authorized");
            return (201, name);
        }
        let (name, verb) = path.split_once('/').unwrap();
        let state = payments.get_mut(name).unwrap();
        let (from, to) = match verb {
            "capture" => ("authorized", "captured"),
            _ => ("authorized", "voided"),
        };
        if *state != from {
            return (409, (*state).to_owned());
        }
        *state = to;
        (200, to.to_owned())
    }

    fn state(&self, name: &str) -> &'static str {
        self.payments.lock().unwrap()[name]
    }
}

fn ask(provider: SocketAddr, path: &str) -> String {
    let mut client = Client::connect_from(fresh_source(), provider);
    let answer = client.request("POST", path, &[], Some(""));
    assert!(answer.status < 300, "{answer:?}");
    answer.body
}

/// The shop's part: from the payment's authorization to its end. `meanwhile` is what happens while the
/// buyer types. Returns the payment's name.
fn pay(server: &Server, provider: SocketAddr, ticket: &str, meanwhile: impl FnOnce()) -> String {
    let payment = ask(provider, "/authorize");
    meanwhile();
    // The answer may be lost, so that it is asked for again: here each time.
    let body = format!(r#"{{"payment_ref":"{payment}"}}"#);
    let confirm = || server.post(&format!("/tickets/{ticket}/confirm"), "user", &body);
    let (answer, again) = (confirm(), confirm());
    assert_eq!(answer.status, again.status);
    match answer.status {
        200 => ask(provider, &format!("/{payment}/capture")),
        409 | 410 => ask(provider, &format!("/{payment}/void")),
        _ => panic!("{answer:?}"),
    };
    payment
}

#[test]
fn what_is_captured_is_what_was_confirmed_and_all_else_is_voided() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .args(["--hold", "60s"])
        .start();
    let (provider, address) = Provider::open();
    let event = server.create_event("Concert", 10);
    let held = |name: &str| sell(&server, event, &format!("{name}@example.com"));
    let extend = |ticket: &str| {
        let path = format!("/tickets/{ticket}/extend");
        server.post(&path, "user", "")
    };

    let quick = held("quick");
    let paid = pay(&server, address, &quick, || {});
    assert_eq!(provider.state(&paid), "captured");
    assert_eq!(get_ticket(&server, &quick)["payment_ref"], paid.as_str());

    let slow = held("slow");
    let paid_slowly = pay(&server, address, &slow, || {
        clock.advance(50_000);
        extend(&slow).expect_status(200);
        clock.advance(50_000);
    });
    assert_eq!(provider.state(&paid_slowly), "captured");

    let late = held("late");
    let too_late = pay(&server, address, &late, || clock.advance(60_000));
    assert_eq!(provider.state(&too_late), "voided");
    assert_eq!(get_ticket(&server, &late)["cancel_reason"], "expired");

    let changed_mind = held("changed-mind");
    let given_up = pay(&server, address, &changed_mind, || {
        cancel_ticket(&server, &changed_mind).expect_status(200);
    });
    assert_eq!(provider.state(&given_up), "voided");

    // The same ticket in two windows of a browser: one payment is taken, the other is not.
    let twice = held("twice");
    let (one, other) = std::thread::scope(|scope| {
        let pay = || pay(&server, address, &twice, || {});
        let threads = [scope.spawn(pay), scope.spawn(pay)];
        let [one, other] = threads.map(|thread| thread.join().unwrap());
        (one, other)
    });
    let states = [provider.state(&one), provider.state(&other)];
    assert!(
        states.contains(&"captured") && states.contains(&"voided"),
        "{states:?}"
    );

    // The provider's books and ours.
    let mut statement_of_account: Vec<String> = provider
        .payments
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, state)| **state == "captured")
        .map(|(name, _)| name.clone())
        .collect();
    let db = server.db();
    let sql = "SELECT payment_ref FROM ledger WHERE kind = 'confirmed' ORDER BY payment_ref";
    let mut rows = db.prepare(sql).unwrap();
    let ours: Vec<String> = rows
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    statement_of_account.sort();
    assert_eq!(ours, statement_of_account);
    assert_eq!(server.event(event)["available_spots"], 7);
    assert_sound(server.db_path());
}
