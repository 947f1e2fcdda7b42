//! `make cluster`, its second half: two lastseat nodes behind haproxy on three machines of etcd, Patroni
//! and PostgreSQL, 32 buyers who retry with their keys, and one machine or program after the other
//! that is killed. After each: every acknowledged ticket is there, its key tells of it again, exactly
//! the capacity is sold, and `lastseat verify` is sound. Prints a table of the longest time without a
//! sale. `ONLY=word` picks faults by name.
//!
//! Needs root and $CLUSTER_DIR, see tests/cluster/nodes.sh.

mod support;

mod cluster {
    pub mod fault;
    pub mod node;
    pub mod sale;
}

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::fault::{ALL, Fault, Guard, script};
use cluster::node::Node;
use cluster::sale::Sale;
use support::{PATIENCE, assert_sound, postgres, wait_until};

const BUYERS: usize = 32;
const HOSTS: &str = "127.0.0.1:15431,127.0.0.1:15432,127.0.0.1:15433";
const CAPACITY: i64 = 1_000_000;
/// Left for the end, once all is mended: it sells out.
const LEFT_AT_THE_END: i64 = 300;
const BEFORE: Duration = Duration::from_secs(3);

fn main() {
    script(&["up"]);
    let base = format!("postgres://postgres@{HOSTS}");
    let name = format!("sale_{}", std::process::id());
    let sql = format!("CREATE DATABASE {name}");
    let primary = format!("{base}?target_session_attrs=read-write");
    let made = Command::new("psql")
        .args(["-X", "-q", "-c", &sql, &primary])
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "no database was made"
    );
    let database = format!("{base}/{name}");
    let mut nodes =
        ["127.0.0.1:18091", "127.0.0.1:18092"].map(|listen| Node::start(listen, &database));
    let haproxy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/haproxy.cfg");
    let front = Command::new("haproxy")
        .args(["-db", "-q", "-f", haproxy])
        .spawn();
    let _front = Guard(front.expect("haproxy runs"));
    let front: SocketAddr = "127.0.0.1:18090".parse().expect("an address");
    let is_open = || TcpStream::connect(front).is_ok();
    assert!(wait_until(PATIENCE, is_open), "haproxy does not listen");
    let only = std::env::var("ONLY").unwrap_or_default();
    println!(
        "{:<38} {:>9} {:>9} {:>10} {:>9} {:>9}",
        "fault", "tickets", "pause s", "no answer", "unknown", "replayed"
    );
    for fault in ALL.into_iter().filter(|fault| fault.name().contains(&only)) {
        prove(fault, &mut nodes, front, Path::new(&database));
    }
    println!("passed: after each, nothing was lost, nothing sold twice, and the sale is sound");
}

fn prove(fault: Fault, nodes: &mut [Node; 2], front: SocketAddr, database: &Path) {
    let event = nodes[1]
        .server()
        .create_event(fault.name(), CAPACITY as u32);
    let sale = Sale::of(event, front);
    sale.run(BUYERS, || {
        std::thread::sleep(BEFORE);
        let machine = fault.strike(nodes);
        std::thread::sleep(fault.lasts());
        fault.mend(&machine, nodes);
        std::thread::sleep(BEFORE);
        shrink(nodes, event);
    });
    let tickets = sale.tickets().len();
    let event = nodes[1].server().event(event);
    assert_eq!(event["available_spots"], 0);
    assert_eq!(event["total_spots"], tickets, "acknowledged tickets");
    sale.assert_distinct();
    sale.assert_same_again(BUYERS);
    assert_all_there(&sale, database);
    assert_sound(database);
    let (pause, _) = sale.longest_pause();
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    println!(
        "{:<38} {tickets:>9} {:>9.2} {:>10} {:>9} {:>9}",
        fault.name(),
        pause.as_secs_f64(),
        count(&sale.unanswered),
        count(&sale.unknown),
        count(&sale.replayed) - tickets as u64,
    );
}

/// Leaves a few spots for sale.
fn shrink(nodes: &[Node], event: i64) {
    let server = nodes[1].server();
    let shrunk = wait_until(Duration::from_secs(60), || {
        let before = server.event(event);
        let sold = CAPACITY - before["available_spots"].as_i64().expect("a number");
        let body = format!(r#"{{"total_spots":{}}}"#, sold + LEFT_AT_THE_END);
        let path = format!("/events/{event}");
        let answer =
            server
                .client()
                .request("PATCH", &path, &[("X-Role", "organizer")], Some(&body));
        // A few too many were sold meanwhile: once more.
        answer.status == 200
    });
    assert!(shrunk, "the event was not made smaller");
}

/// Every acknowledged ticket, with the state that it was acknowledged in.
fn assert_all_there(sale: &Sale, database: &Path) {
    let db = postgres::as_file(database);
    let sql = "SELECT count(*) FROM tickets WHERE ticket_id = unhex(?1, '-') AND event_id = ?2 AND status = 'reserved'";
    let mut statement = db.prepare(sql).expect("prepares");
    for sold in sale.tickets() {
        let found: i64 = statement
            .query_row((&sold.ticket_id, sale.event), |row| row.get(0))
            .expect("reads");
        assert_eq!(found, 1, "acknowledged, but not there: {}", sold.ticket_id);
    }
}
