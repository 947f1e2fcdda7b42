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
/// A small sale: while an index has few pages, the sales of one commit share most of them.
const FEW: usize = 5_000;
/// No end in itself: a server that answers nothing must not keep the bench for ever.
const PATIENCE: Duration = Duration::from_secs(120);

type Buyer = fn(i64) -> Ask;

/// A line of the table.
struct Line {
    name: &'static str,
    sold_before: u32,
    sales: usize,
    buyer: Buyer,
}

/// Prints a table; returns how many sales failed.
pub fn measure(clients: usize, sales: usize) -> u64 {
    println!("\nbytes a sale, {clients} connections, log off");
    println!(
        "to disk: write_bytes of /proc/PID/io, whole pages; passed: to write(2) and its like, without\n\
         sockets; WAL: its frames; RSS: in the end, connections open"
    );
    println!(
        "{:<40} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "", "sales", "to disk", "passed", "WAL", "RSS MiB", "cpu us", "errors"
    );
    let line = |name, sold_before, sales, buyer| Line {
        name,
        sold_before,
        sales,
        buyer,
    };
    let [plain, keys]: [Buyer; 2] = [requests::buyer, requests::buyer_with_key];
    let lines = [
        line("an empty file", 0, FEW, plain),
        line("an empty file", 0, sales, plain),
        line("an empty file, random keys", 0, sales, keys),
        line("400,000 sold before, random keys", SOLD_BEFORE, sales, keys),
    ];
    lines.iter().map(|line| line.measure(clients)).sum()
}

impl Line {
    fn measure(&self, clients: usize) -> u64 {
        let Line { name, sales, .. } = *self;
        eprint!("\r\x1b[Kbytes: {name}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let db = folder.path().join("events.db");
        let event = event_on_sale(&db, self.sold_before);
        let server = builder(&db).start();
        let target = target(&server);
        let asked = AtomicUsize::new(0);
        let before = Written::by(target.pid);
        let (seen, wal) = wal::watch(&db, || {
            load::run(target, clients, PATIENCE, |_| {
                || (asked.fetch_add(1, Ordering::Relaxed) < sales).then(|| (self.buyer)(event))
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
            "{name:<40} {sales:>7} {to_disk:>8} {:>8} {:>8} {:>8.1} {:>7.1} {:>6}",
            each(written.by_calls),
            each(wal),
            seen.server_mib,
            seen.server_cpu_us as f64 / sales as f64,
            seen.errors
        );
        if written.to_disk == 0 {
            println!("(none): this filesystem does not count what goes to the disk");
        }
        let unsold = sales.saturating_sub(seen.latencies_us.len());
        seen.errors + unsold as u64
    }
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
