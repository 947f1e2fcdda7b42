//! What a sale costs apart from time: bytes written, and memory with all connections open. Each
//! line is a server of its own that sells the same number of tickets, so that the figures of two
//! runs can be compared; its log is off, so that all it writes are the database and the WAL.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::load::{self, Ask};
use super::process::Written;
use super::scenarios::{EVENT_SPOTS, RATE_LIMIT, target};
use super::{requests, wal};
use crate::support::fill::{self, Sold};
use crate::support::{Server, ServerBuilder, signal};

const SOLD_BEFORE: u32 = 400_000;
/// No end in itself: a server that answers nothing must not keep the bench for ever.
const PATIENCE: Duration = Duration::from_secs(120);

type Buyer = fn(i64) -> Ask;

/// Prints a table; returns how many sales failed.
pub fn measure(clients: usize, sales: usize) -> u64 {
    println!("\nbytes a sale, over {sales} sales on {clients} connections, log off");
    println!("to disk: write_bytes of /proc/PID/io, pages made dirty, whole pages as they are;");
    println!(
        "passed: what the server passed to write(2) and its like, WAL and checkpoints, no sockets;"
    );
    println!("WAL: frames written, as its index counts them; RSS: at the end, connections open");
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "", "to disk", "passed", "WAL", "RSS MiB", "cpu us", "errors"
    );
    let lines: [(&str, u32, Buyer); 3] = [
        ("from an empty file", 0, requests::buyer),
        (
            "from an empty file, random keys",
            0,
            requests::buyer_with_key,
        ),
        (
            "400,000 tickets sold before, random keys",
            SOLD_BEFORE,
            requests::buyer_with_key,
        ),
    ];
    let lines = lines.into_iter();
    lines
        .map(|(name, sold_before, buyer)| line(name, sold_before, buyer, clients, sales))
        .sum()
}

fn line(name: &str, sold_before: u32, buyer: Buyer, clients: usize, sales: usize) -> u64 {
    eprint!("\r\x1b[Kbytes: {name}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = folder.path().join("events.db");
    let event = event_on_sale(&db, sold_before);
    let server = builder(&db).start();
    let target = target(&server);
    let asked = AtomicUsize::new(0);
    let before = Written::by(target.pid);
    let (seen, wal) = wal::watch(&db, || {
        load::run(target, clients, PATIENCE, |_| {
            || (asked.fetch_add(1, Ordering::Relaxed) < sales).then(|| buyer(event))
        })
    });
    let written = Written::by(target.pid).since(before);
    let each = |bytes: u64| format!("{:.0}", bytes as f64 / sales as f64);
    let to_disk = match written.to_disk {
        0 => "(none)".to_owned(),
        bytes => each(bytes),
    };
    eprint!("\r\x1b[K");
    println!(
        "{name:<44} {to_disk:>8} {:>8} {:>8} {:>8.1} {:>7.1} {:>6}",
        each(written.by_calls),
        each(wal),
        seen.server_mib,
        seen.server_cpu_us as f64 / sales as f64,
        seen.errors
    );
    if written.to_disk == 0 {
        println!("(none): this filesystem does not count what goes to the disk");
    }
    seen.errors
}

/// Makes the file: one event, on sale, of which so many tickets were sold with random keys.
fn event_on_sale(db: &Path, tickets: u32) -> i64 {
    let server = builder(db).start();
    signal(server.pid(), "TERM");
    server.wait(Duration::from_secs(6));
    let sold = Sold {
        spots: EVENT_SPOTS,
        tickets,
        with_keys: true,
    };
    fill::tickets(db, &[sold])[0]
}

fn builder(db: &Path) -> ServerBuilder {
    let flags = [
        "--rate-limit",
        RATE_LIMIT,
        "--hold",
        "1h",
        "--log-level",
        "off",
    ];
    Server::builder().no_keeper().db(db).args(flags)
}
