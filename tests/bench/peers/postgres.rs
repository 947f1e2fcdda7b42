//! PostgreSQL's hot row: a cluster of its own with the package's settings, asked through a Unix
//! socket by pgbench, prepared statements, `synchronous_commit` on. As a client would write it (one
//! transaction, four round trips, all of them but the first under the row's lock) and as fast as it
//! can be put (one statement).

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use super::{Peer, Turn, output, program};
use crate::bench::process::Ended;
use crate::bench::table;
use crate::support::{PATIENCE, wait_until};

const SPOTS: u64 = 1_000_000_000;
const TABLES: &str = "
    CREATE TABLE events (id integer PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0))
        WITH (fillfactor = 10);
    CREATE TABLE tickets (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id integer NOT NULL,
        email text NOT NULL,
        UNIQUE (event_id, email)
    );";
const TRANSACTION: &str = r"\set buyer random(1, 1000000000000)
BEGIN;
UPDATE events SET available = available - 1 WHERE id = 1 AND available > 0;
INSERT INTO tickets (event_id, email) VALUES (1, :buyer::text || '@example.com');
COMMIT;
";
const ONE_STATEMENT: &str = r"\set buyer random(1, 1000000000000)
WITH sold AS (UPDATE events SET available = available - 1 WHERE id = 1 AND available > 0 RETURNING id)
INSERT INTO tickets (event_id, email) SELECT id, :buyer::text || '@example.com' FROM sold;
";

/// A running cluster.
struct Cluster {
    programs: Vec<PathBuf>,
    /// Whose it is; PostgreSQL does not run as root.
    user: Option<User>,
    _server: Option<Ended>,
    folder: TempDir,
}

/// One way to sell, on a cluster that several share.
struct Postgres {
    name: String,
    script: PathBuf,
    cluster: Rc<Cluster>,
}

pub fn start() -> Result<Vec<Box<dyn Peer>>, String> {
    let cluster = Rc::new(Cluster::start()?);
    let version = cluster.query("SHOW server_version")?;
    let version = version.split(' ').next().unwrap_or_default();
    let peer = |way: &str, script: &str| -> Box<dyn Peer> {
        let path = cluster.folder.path().join(format!("{way}.sql"));
        std::fs::write(&path, script).expect("writes a script");
        Box::new(Postgres {
            name: format!("PostgreSQL {version}, {way}"),
            script: path,
            cluster: cluster.clone(),
        })
    };
    Ok(vec![
        peer("one transaction", TRANSACTION),
        peer("one statement", ONE_STATEMENT),
    ])
}

impl Cluster {
    fn start() -> Result<Cluster, String> {
        let user = match geteuid().is_root() {
            false => None,
            true => {
                let user = User::from_name("postgres").ok().flatten();
                Some(user.ok_or("there is no user postgres to run it")?)
            }
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(user) = &user {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(folder.path(), Some(uid), Some(gid)).map_err(|e| format!("chown: {e}"))?;
        }
        let mut cluster = Cluster {
            programs: programs(),
            user,
            _server: None,
            folder,
        };
        cluster.program("pgbench")?;
        let data = cluster.folder.path().join("data");
        let mut initdb = cluster.program("initdb")?;
        output(
            initdb
                .args([
                    "-A", "trust", "-U", "bench", "-E", "UTF8", "--locale", "C", "-D",
                ])
                .arg(&data),
        )?;
        let child = cluster
            .program("postgres")?
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(cluster.folder.path())
            .args(["-c", "listen_addresses=", "-c", "synchronous_commit=on"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("postgres: {e}"))?;
        // INT is its quick and clean end, with clients still there.
        cluster._server = Some(Ended::with("INT", child));
        let is_up = || cluster.query("SELECT 1").is_ok();
        if !wait_until(PATIENCE, is_up) {
            return Err("it does not answer".to_owned());
        }
        cluster.query(&format!("{TABLES} INSERT INTO events VALUES (1, {SPOTS})"))?;
        Ok(cluster)
    }

    /// One of its programs, as the user that may run it.
    fn program(&self, name: &str) -> Result<Command, String> {
        let mut command = Command::new(program(name, &self.programs)?);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
            .current_dir(self.folder.path())
            .env("PGHOST", self.folder.path())
            .env("PGUSER", "bench")
            .env("PGDATABASE", "postgres");
        Ok(command)
    }

    fn query(&self, sql: &str) -> Result<String, String> {
        let rows = output(self.program("psql")?.args(["-XAtqc", sql]))?;
        Ok(rows.trim().to_owned())
    }
}

/// Where Debian keeps each version's, the newest first.
fn programs() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<u32> = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let folder = |version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    versions.into_iter().map(folder).collect()
}

impl Peer for Postgres {
    fn name(&self) -> &str {
        &self.name
    }

    fn turn(&mut self, clients: usize, time: Duration) -> Turn {
        let log = self.cluster.folder.path().join("log");
        std::fs::create_dir(&log).expect("a folder");
        if let Some(user) = &self.cluster.user {
            chown(&log, Some(user.uid.as_raw()), None).expect("gives it away");
        }
        let seconds = (time.as_millis() as u64).div_ceil(1_000);
        let mut pgbench = self.cluster.program("pgbench").expect("is installed");
        let told = output(
            pgbench
                .args([
                    "-n",
                    "-M",
                    "prepared",
                    "-j",
                    "2",
                    "-c",
                    &clients.to_string(),
                ])
                .args(["-T", &seconds.to_string(), "-l", "--log-prefix"])
                .arg(log.join("turn"))
                .arg("-f")
                .arg(&self.script),
        )
        .expect("pgbench ends well");
        let p99_ms = p99_ms(&log);
        std::fs::remove_dir_all(&log).expect("removes the log");
        let line = |start: &str| told.lines().find_map(|line| line.strip_prefix(start));
        let number = |text: Option<&str>| text?.split(' ').next()?.parse::<f64>().ok();
        Turn {
            per_second: number(line("tps = ")).expect("a rate"),
            p99_ms,
            errors: number(line("number of failed transactions: ")).unwrap_or(0.0) as u64,
        }
    }

    fn audit(&mut self) -> Option<String> {
        let sql =
            format!("SELECT available + (SELECT count(*) FROM tickets) = {SPOTS} FROM events");
        let balances = self.cluster.query(&sql);
        (balances != Ok("t".to_owned())).then(|| format!("its books do not balance: {balances:?}"))
    }
}

/// From pgbench's log, one line for each transaction: client, number, microseconds, and more.
fn p99_ms(folder: &Path) -> f64 {
    let mut latencies_us: Vec<f64> = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a log");
        let took = text
            .lines()
            .filter_map(|l| l.split(' ').nth(2)?.parse::<f64>().ok());
        latencies_us.extend(took);
    }
    table::percentile(&mut latencies_us, 0.99) / 1_000.0
}
