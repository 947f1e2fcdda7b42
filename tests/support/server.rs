//! The real server, as a child process in a temporary folder.

use super::client::{Client, Response, fresh_source};
use super::postgres;
use super::processes::{child_of, is_alive, kill9, signal, wait_for_exit};
use super::{PATIENCE, wait_until};
use rusqlite::Connection;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_lastseat");

pub struct ServerBuilder {
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    db: Option<PathBuf>,
    listen: String,
    is_bare: bool,
    current_dir: Option<PathBuf>,
    has_keeper: bool,
    binary: PathBuf,
    through: Vec<OsString>,
}

impl ServerBuilder {
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A database of the test's own, to outlive this server or to be shared with another.
    pub fn db(mut self, path: impl Into<PathBuf>) -> Self {
        self.db = Some(path.into());
        self
    }

    /// Instead of any free port on 127.0.0.1.
    pub fn listen(mut self, listen: &str) -> Self {
        listen.clone_into(&mut self.listen);
        self
    }

    /// On an address of its own, where no other test's server can take its port while it is away.
    pub fn listen_apart(self) -> Self {
        let address = SocketAddr::new(fresh_source(), 0);
        self.listen(&address.to_string())
    }

    /// The server alone, in the process that is started.
    pub fn no_keeper(mut self) -> Self {
        self.has_keeper = false;
        self.arg("--no-keeper")
    }

    /// Another file than the one that was just built.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = path.into();
        self
    }

    /// Started by another program, to which its path and arguments are added.
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(OsString::from).collect();
        self
    }

    pub fn rate_limit_off(self) -> Self {
        self.args(["--rate-limit", "off"])
    }

    /// Leaves out `--listen` and `--db`, which are otherwise always given.
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    #[track_caller]
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(failure) => panic!("the server did not start: {failure:?}"),
        }
    }

    /// Starts the server and waits until it says that it listens, or ends instead.
    pub fn try_start(self) -> Result<Server, StartFailure> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log_path = folder.path().join("stderr");
        let mut child = self.command(&folder, &log_path).spawn().expect("spawns");
        let lines = read_lines(&mut child);
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(Server {
                address: parse_address(&line),
                db_path: parse_db_path(&line),
                ready_line: line,
                child: Mutex::new(child),
                log_path,
                lines: Mutex::new(lines),
                has_keeper: self.has_keeper,
                owns_db: self.db.is_none(),
                _folder: folder,
            }),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(StartFailure {
                status: wait_for_exit(&mut child, PATIENCE).expect("it closed stdout, so it ends"),
                stderr: read_log(&log_path),
            }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("no `listening on` line: {}", read_log(&log_path));
            }
        }
    }

    fn command(&self, folder: &TempDir, log_path: &Path) -> Command {
        let mut words = self.through.iter().cloned();
        let mut command = match words.next() {
            None => Command::new(&self.binary),
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.binary);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LASTSEAT_") {
                command.env_remove(name);
            }
        }
        if !self.is_bare {
            let default_db = folder.path().join("events.db");
            command.args(["--listen", &self.listen]);
            let db = self.db.as_ref().unwrap_or(&default_db);
            command.arg("--db").arg(postgres::stand_in(db));
        }
        command
            .args(&self.args)
            .envs(self.env.iter().cloned())
            .current_dir(self.current_dir.as_deref().unwrap_or(folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log_path).expect("creates the log"));
        command
    }
}

/// How a server that never listened came to its end.
#[derive(Debug)]
pub struct StartFailure {
    pub status: ExitStatus,
    pub stderr: String,
}

/// Where a server listens, as its first line says.
#[derive(Debug, Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Mutex<Child>,
    address: Address,
    db_path: PathBuf,
    ready_line: String,
    log_path: PathBuf,
    lines: Mutex<mpsc::Receiver<String>>,
    has_keeper: bool,
    /// No other server of the test uses it.
    owns_db: bool,
    _folder: TempDir,
}

impl Server {
    /// On any free port and a database of its own, with these flags in addition.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Server {
        Self::builder().args(flags).start()
    }

    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            args: Vec::new(),
            env: Vec::new(),
            db: None,
            listen: "127.0.0.1:0".to_owned(),
            is_bare: false,
            current_dir: None,
            has_keeper: true,
            binary: PathBuf::from(BINARY),
            through: Vec::new(),
        }
    }

    pub fn addr(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(addr) => *addr,
            Address::Unix(path) => panic!("listens on {path:?}, not on TCP"),
        }
    }

    pub fn db_path(&self) -> &Path {
        &self.db_path
    }

    /// The `listening on` line.
    pub fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// What was written to standard output after the `listening on` line, so far.
    pub fn more_stdout(&self) -> Vec<String> {
        self.lines.lock().unwrap().try_iter().collect()
    }

    /// Of the process that was started: the keeper, unless there is none.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Of the process that serves. None while there is none.
    pub fn try_server_pid(&self) -> Option<u32> {
        if self.has_keeper {
            child_of(self.pid())
        } else {
            Some(self.pid())
        }
    }

    #[track_caller]
    pub fn server_pid(&self) -> u32 {
        self.try_server_pid().expect("a process that serves")
    }

    /// The database, opened beside the server; of one that is no file, a copy.
    pub fn db(&self) -> Connection {
        if postgres::is_url(&self.db_path) {
            return postgres::as_file(&self.db_path);
        }
        let db = Connection::open(&self.db_path).expect("opens the database");
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    /// Changes the database past the server; the SQL is any engine's.
    #[track_caller]
    pub fn change_by_hand(&self, sql: &str) {
        postgres::change(&self.db_path, sql);
    }

    /// A ticket's id as the database writes it.
    pub fn literal(&self, ticket_id: &str) -> String {
        let hex = ticket_id.replace('-', "");
        match postgres::is_url(&self.db_path) {
            true => format!("'\\x{hex}'"),
            false => format!("x'{hex}'"),
        }
    }

    /// Everything on standard error so far.
    pub fn log(&self) -> String {
        read_log(&self.log_path)
    }

    /// The log so far, line by line, as JSON.
    pub fn log_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON log line ({e}): {line}"))
        };
        // The last line may still be in the making.
        let log = self.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(parse).collect()
    }

    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Kills both processes at one moment, as a power cut would (except that the disk's cache
    /// survives).
    pub fn kill9(&self) {
        // A keeper that dies first has its server say goodbye; one that dies last starts another.
        signal(self.pid(), "STOP");
        let server = self.try_server_pid();
        server.into_iter().chain([self.pid()]).for_each(kill9);
        let _ = self.child.lock().unwrap().wait();
        let gone = || server.is_none_or(|pid| !is_alive(pid));
        assert!(wait_until(PATIENCE, gone), "{server:?} lives on");
    }

    /// Waits for the process to end; panics with the log if it doesn't.
    #[track_caller]
    pub fn wait(&self, patience: Duration) -> ExitStatus {
        let status = wait_for_exit(&mut self.child.lock().unwrap(), patience);
        status.unwrap_or_else(|| panic!("still alive after {patience:?}: {}", self.log()))
    }

    pub fn is_running(&self) -> bool {
        matches!(self.child.lock().unwrap().try_wait(), Ok(None))
    }

    /// A new connection, from a source address of its own (where there are such things).
    pub fn client(&self) -> Client {
        match &self.address {
            Address::Tcp(addr) => Client::connect_from(fresh_source(), *addr),
            Address::Unix(path) => Client::connect_unix(path),
        }
    }

    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    pub fn post(&self, path: &str, role: &str, json: &str) -> Response {
        self.client().post(path, role, json)
    }

    #[track_caller]
    pub fn create_event(&self, name: &str, spots: u32) -> i64 {
        let body = serde_json::json!({"name": name, "total_spots": spots});
        let response = self.post("/events", "organizer", &body.to_string());
        let event = response.expect_status(201).json();
        event["id"].as_i64().expect("a numeric id")
    }

    pub fn register(&self, event: i64, email: &str) -> Response {
        let body = serde_json::json!({"email": email}).to_string();
        self.post(&format!("/events/{event}/register"), "user", &body)
    }

    pub fn confirm(&self, ticket_id: &str) -> Response {
        self.post(&format!("/tickets/{ticket_id}/confirm"), "user", "{}")
    }

    /// An event as the server tells it.
    #[track_caller]
    pub fn event(&self, event: i64) -> serde_json::Value {
        let response = self.get(&format!("/events/{event}"));
        response.expect_status(200).json()
    }

    #[track_caller]
    pub fn assert_invariants(&self) {
        super::assert_invariants(&self.db());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill9();
        }
        if self.owns_db {
            postgres::drop_database(&self.db_path);
        }
        if std::thread::panicking() {
            let log = read_log(&self.log_path);
            let from = log.len().saturating_sub(4_000);
            let from = (from..=log.len()).find(|at| log.is_char_boundary(*at));
            eprintln!("the server's log ends:\n{}", &log[from.unwrap_or(0)..]);
        }
    }
}

/// Reads the child's standard output to its end, on a thread, so that the pipe never fills.
fn read_lines(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("a piped stdout");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// Reads `listening on http://127.0.0.1:43211 (database /path/events.db)`.
fn parse_address(line: &str) -> Address {
    let rest = line.strip_prefix("listening on ");
    let place = rest.and_then(|rest| rest.split_once(" (database "));
    let (place, _) = place.unwrap_or_else(|| panic!("not the line expected: {line:?}"));
    match place.strip_prefix("unix:") {
        Some(path) => Address::Unix(PathBuf::from(path)),
        None => {
            let addr = place.strip_prefix("http://").unwrap_or(place);
            Address::Tcp(addr.parse().unwrap_or_else(|e| panic!("{e}: {line:?}")))
        }
    }
}

fn parse_db_path(line: &str) -> PathBuf {
    let path = line
        .split_once(" (database ")
        .and_then(|(_, path)| path.strip_suffix(')'));
    PathBuf::from(path.unwrap_or_else(|| panic!("no database in {line:?}")))
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
