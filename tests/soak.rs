//! `make soak`: for minutes on end, a sale to buyers who never give up, holds that nobody confirms,
//! sweeps, and everything in the table of hostile cases, while the server is killed with -9 at random
//! moments. For the last third it is left alive, so that it can be seen to grow. Ends with a failure
//! unless everything acknowledged is there, `verify` finds nothing, the keeper did not grow, and no
//! server took much more than the limits at which it is replaced.
//!
//! `MINUTES=n` is how long (10), `SEED=n` repeats a run's plan.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::crowd::Crowd;
use support::hostile::{Case, cases};
use support::random::Random;
use support::{Client, PATIENCE, Server, Usage, fresh_source, signal, verify, wait_until};

const BUYERS: usize = 8;
const SPOTS: u32 = 200;
const NEW_EVENT_EVERY: Duration = Duration::from_secs(1);
/// Ten seconds is the shortest hold that an event may have.
const ABANDONED: &str = r#"{"name":"Abandoned","total_spots":50,"hold_seconds":10}"#;
const KILL_WITHIN_MS: usize = 12_000;
const SAMPLE_EVERY: Duration = Duration::from_millis(200);
/// A client that stays, stays so long.
const HOSTILE_FOR: Duration = Duration::from_millis(500);
const ROWS: u32 = 12;
/// The keys that are asked for again, of the newest sales.
const KEYS_ASKED: usize = 500;
/// What a server may take of the machine at any time.
const LIMITS: Usage = Usage {
    memory_mib: 240,
    threads: 450,
    descriptors: 900,
};

fn main() -> ExitCode {
    let minutes = std::env::var("MINUTES").map_or(Ok(10.0), |n| n.parse::<f64>());
    let Some(minutes) = minutes.ok().filter(|n| (0.1..=1_440.0).contains(n)) else {
        eprintln!("MINUTES must be a number, 0.1 to 1440");
        return ExitCode::from(2);
    };
    let (random, seed) = Random::announced("soak");
    let server = Server::builder()
        .rate_limit_off()
        .args(["--sweep", "1s", "--log-level", "error"])
        .start();
    let crowd = Crowd::new(server.addr(), seed);
    let is_over = AtomicBool::new(false);
    let mut watch = Watch::new(
        &server,
        &crowd,
        random,
        Duration::from_secs_f64(minutes * 60.0),
    );
    crowd.offer(new_event(server.addr(), &event_body()));
    std::thread::scope(|scope| {
        scope.spawn(|| abandon(server.addr(), &is_over));
        scope.spawn(|| attack(server.addr(), seed, &is_over));
        crowd.run(BUYERS, || {
            watch.run();
            is_over.store(true, Ordering::Relaxed);
        });
    });
    match verdict(&server, &crowd, &watch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

fn event_body() -> String {
    format!(r#"{{"name":"Soak","total_spots":{SPOTS}}}"#)
}

fn try_post(server: SocketAddr, path: &str, body: &str) -> std::io::Result<support::Response> {
    let mut client = Client::try_connect(server, Some(fresh_source()))?;
    client.try_post(path, "admin", body)
}

/// However often the server dies meanwhile.
fn new_event(server: SocketAddr, body: &str) -> i64 {
    let mut event = None;
    wait_until(PATIENCE, || {
        let answer = try_post(server, "/events", body).ok();
        event = answer
            .filter(|a| a.status == 201)
            .and_then(|a| a.json()["id"].as_i64());
        event.is_some()
    });
    event.expect("a new event")
}

/// Takes every spot there is and comes back to none of them; each expires, and is taken again.
fn abandon(server: SocketAddr, is_over: &AtomicBool) {
    let event = new_event(server, ABANDONED);
    let path = format!("/events/{event}/register");
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let body = format!(r#"{{"email":"nobody-{n}@example.com"}}"#);
        if !try_post(server, &path, &body).is_ok_and(|answer| answer.status == 201) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// One case after another, in random order.
fn attack(server: SocketAddr, seed: u64, is_over: &AtomicBool) {
    let mut random = Random::from(seed ^ 0xA77AC);
    let cases: Vec<Case> = cases().into_iter().filter(|case| !case.is_many()).collect();
    while !is_over.load(Ordering::Relaxed) {
        let case = &cases[random.below(cases.len())];
        let (sending, leave) = (AtomicUsize::new(case.connections), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..case.connections {
                scope.spawn(|| case.carry_out(server, &sending, &leave));
            }
            wait_until(HOSTILE_FOR, || is_over.load(Ordering::Relaxed));
            leave.store(true, Ordering::Relaxed);
        });
    }
}

/// Kills, offers, measures, and prints a row now and then.
struct Watch<'s> {
    server: &'s Server,
    crowd: &'s Crowd,
    random: Random,
    lasts: Duration,
    kills: usize,
    lives: usize,
    /// The most that any server took.
    peak: Usage,
    keeper_first: Usage,
    keeper_last: Usage,
}

impl Watch<'_> {
    fn new<'s>(server: &'s Server, crowd: &'s Crowd, random: Random, lasts: Duration) -> Watch<'s> {
        let keeper = Usage::of(server.pid()).expect("a keeper");
        Watch {
            server,
            crowd,
            random,
            lasts,
            kills: 0,
            lives: 1,
            peak: Usage {
                memory_mib: 0,
                threads: 0,
                descriptors: 0,
            },
            keeper_first: keeper,
            keeper_last: keeper,
        }
    }

    fn run(&mut self) {
        println!(
            " second  answers    sold  kills  servers      MiB  threads  descriptors  keeper: MiB  threads  descriptors"
        );
        let start = Instant::now();
        let (mut next_row, mut next_event) = (self.lasts / ROWS, NEW_EVENT_EVERY);
        let mut next_kill = self.until_kill();
        let mut pid = self.server.try_server_pid();
        while start.elapsed() < self.lasts {
            std::thread::sleep(SAMPLE_EVERY);
            let now = self.server.try_server_pid();
            if now.is_some() && now != pid {
                (pid, self.lives) = (now, self.lives + 1);
            }
            let usage = now.and_then(|pid| Usage::of(pid).ok());
            usage.into_iter().for_each(|usage| self.measured(usage));
            if start.elapsed() >= next_event {
                next_event += NEW_EVENT_EVERY;
                self.crowd
                    .offer(new_event(self.server.addr(), &event_body()));
            }
            if start.elapsed() >= next_row {
                next_row += self.lasts / ROWS;
                self.print_row(start.elapsed(), usage);
            }
            let kills = start.elapsed() < self.lasts * 2 / 3;
            if let Some(pid) = now.filter(|_| kills && start.elapsed() >= next_kill) {
                next_kill = start.elapsed() + self.until_kill();
                self.kills += 1;
                signal(pid, "KILL");
            }
        }
    }

    fn until_kill(&mut self) -> Duration {
        Duration::from_millis(1_000 + self.random.below(KILL_WITHIN_MS) as u64)
    }

    fn measured(&mut self, usage: Usage) {
        self.peak = Usage {
            memory_mib: self.peak.memory_mib.max(usage.memory_mib),
            threads: self.peak.threads.max(usage.threads),
            descriptors: self.peak.descriptors.max(usage.descriptors),
        };
        self.keeper_last = Usage::of(self.server.pid()).expect("the keeper lives");
    }

    fn print_row(&self, at: Duration, usage: Option<Usage>) {
        let (answers, sold) = (self.crowd.answers(), self.crowd.sold());
        let (kills, lives, seconds) = (self.kills, self.lives, at.as_secs());
        let server = usage.map_or("-".to_owned(), |u| {
            format!("{:>7} {:>8} {:>12}", u.memory_mib, u.threads, u.descriptors)
        });
        let k = &self.keeper_last;
        let keeper = format!(
            "{:>12} {:>8} {:>12}",
            k.memory_mib, k.threads, k.descriptors
        );
        println!("{seconds:>7} {answers:>8} {sold:>7} {kills:>6} {lives:>8} {server:>30} {keeper}");
    }
}

fn verdict(server: &Server, crowd: &Crowd, watch: &Watch) -> Result<(), String> {
    crowd.assert_promises_kept(&server.db());
    crowd.assert_keys_remembered(KEYS_ASKED);
    let count = |kind: &str| -> i64 {
        let sql = "SELECT count(*) FROM ledger WHERE kind = ?1";
        server
            .db()
            .query_row(sql, [kind], |row| row.get(0))
            .unwrap()
    };
    let expired = count("expired");
    println!(
        "{} acknowledged tickets, all there; {expired} holds expired",
        crowd.sold()
    );
    println!("most that a server took: {:?}", watch.peak);
    let report = verify(server.db_path());
    println!(
        "verify: {} ledger rows, violations {}",
        report["ledger_rows"], report["violations"]
    );
    if report["ok"] != true {
        return Err("the file is not sound".into());
    }
    if let Some(what) = watch.peak.beyond(&LIMITS) {
        return Err(format!("the server took {what}"));
    }
    let (first, last) = (&watch.keeper_first, &watch.keeper_last);
    let grown = Usage {
        memory_mib: first.memory_mib + 8,
        threads: first.threads + 1,
        descriptors: first.descriptors + 2,
    };
    match last.beyond(&grown) {
        Some(what) => Err(format!("the keeper grew: {what}")),
        None => Ok(()),
    }
}
