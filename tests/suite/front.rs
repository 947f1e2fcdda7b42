//! Behind a real nginx and a real haproxy, with the configurations of `tests/front/`: the hostile set
//! does the server no harm, and no answer reaches the wrong client. Ignored unless asked for (`make
//! front`), because they must be there.

use super::hostile::Ordinary;
use crate::support::hostile::cases;
use crate::support::sale::Sale;
use crate::support::slow_clients::recovers;
use crate::support::{Client, PATIENCE, Server, Usage, fresh_source, signal, wait_until};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use tempfile::TempDir;

mod files;
mod streams;
mod varnish;
mod wrong_client;

/// A proxy, and what must be put in another place for a test: each text is there, and replaced.
#[derive(Clone, Copy)]
struct Kind {
    program: &'static str,
    arguments: &'static [&'static str],
    configuration: &'static str,
    /// Where it listens.
    listen: &'static str,
    /// Where lastseat does.
    upstream: &'static str,
    user: &'static str,
    folders: &'static [&'static str],
    /// Lines that a test has no use for.
    dropped: &'static [&'static str],
}

const NGINX: Kind = Kind {
    program: "nginx",
    arguments: &["-g", "daemon off;", "-c"],
    configuration: include_str!("../front/nginx.conf"),
    listen: "127.0.0.1:8081;",
    upstream: "127.0.0.1:8080 ",
    user: "user www-data;",
    folders: &[" /run/", " /var/log/nginx/", " /var/lib/nginx/"],
    dropped: &[],
};

const HAPROXY: Kind = Kind {
    program: "haproxy",
    arguments: &["-db", "-f"],
    configuration: include_str!("../front/haproxy.cfg"),
    listen: "127.0.0.1:8082\n",
    upstream: "127.0.0.1:8080 ",
    user: "user haproxy\n",
    folders: &[" /dev/"],
    dropped: &["    chroot /var/lib/haproxy\n", "    group haproxy\n"],
};

struct Front {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Front {
    /// With the configuration as it is, but for the places: a free port, the server's address and a
    /// folder of the test's own.
    fn before(upstream: &str, kind: Kind) -> Front {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let own = format!(" {}/", folder.path().display());
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let at = |place: &str, now: &str| {
            let end = &place[place.trim_end_matches(['\n', ';', ' ']).len()..];
            (place.to_owned(), format!("{now}{end}"))
        };
        let mut replacements = vec![
            at(kind.user, &format!("user {}", user.trim())),
            at(kind.listen, &address.to_string()),
            at(kind.upstream, upstream),
        ];
        let folders = kind
            .folders
            .iter()
            .map(|path| (path.to_string(), own.clone()));
        replacements.extend(folders);
        replacements.extend(
            kind.dropped
                .iter()
                .map(|line| (line.to_string(), String::new())),
        );
        let mut text = kind.configuration.to_owned();
        for (from, to) in replacements {
            assert!(text.contains(&from), "{from:?} is not in {}", kind.program);
            text = text.replace(&from, &to);
        }
        let file = folder.path().join("configuration");
        std::fs::write(&file, text).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new(kind.program)
            .env("PATH", format!("{path}:/usr/sbin"))
            .current_dir(folder.path())
            .args(kind.arguments)
            .arg(&file)
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{}: {e} (make front)", kind.program));
        let is_up = || std::net::TcpStream::connect(address).is_ok();
        assert!(wait_until(PATIENCE, is_up), "{} is deaf", kind.program);
        Front {
            child,
            address,
            folder,
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

fn start(listen: &str) -> Server {
    lastseat::process::raise_descriptor_limit().expect("raises the test's own limit");
    Server::builder()
        .listen(listen)
        .args(["--log-level", "warn", "--trusted-proxy", "127.0.0.1"])
        .start()
}

fn unix(folder: &Path) -> String {
    format!("unix:{}", folder.join("lastseat.sock").display())
}

#[test]
#[ignore = "needs nginx: make front"]
fn front_nginx_keeps_the_hostile_set_off_a_server_on_tcp() {
    let server = start("127.0.0.1:0");
    let nginx = Front::before(&server.addr().to_string(), NGINX);
    keeps_the_hostile_set_off(&server, nginx);
}

#[test]
#[ignore = "needs nginx: make front"]
fn front_nginx_keeps_the_hostile_set_off_a_server_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = unix(folder.path());
    let server = start(&socket);
    let nginx = Front::before(&socket, NGINX);
    keeps_the_hostile_set_off(&server, nginx);
}

#[test]
#[ignore = "needs haproxy: make front"]
fn front_haproxy_keeps_the_hostile_set_off() {
    let server = start("127.0.0.1:0");
    let haproxy = Front::before(&server.addr().to_string(), HAPROXY);
    keeps_the_hostile_set_off(&server, haproxy);
}

/// The set is sent while a sale goes on; the server behind is the same process afterwards, has lost
/// nothing and is as small as before.
fn keeps_the_hostile_set_off(server: &Server, front: Front) {
    let pid = server.server_pid();
    let before = Usage::of(pid).unwrap();
    let ordinary = Ordinary::new(server, front.address);
    let sale = Sale::of(server, front.address, 1_000);
    let cases = cases();
    sale.run(server, 32, || {
        for case in &cases {
            sale.release(1_000 / cases.len());
            ordinary.withstands(case);
        }
    });
    ordinary.got_everything();
    let log = server.log();
    assert!(
        !log.contains("panic") && !log.contains("abandoned"),
        "{log}"
    );
    // The proxy's own idle connections go with it.
    drop(front);
    assert_eq!(recovers(pid, &before), Ok(()));
}

#[test]
#[ignore = "needs nginx and haproxy: make front"]
fn front_hands_on_the_real_address_and_no_claimed_one() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, kind) in [
        ("127.0.0.1:0", NGINX),
        (&unix(folder.path()), NGINX),
        ("127.0.0.1:0", HAPROXY),
    ] {
        let server = start(listen);
        let upstream = server.ready_line().split(' ').nth(2).unwrap();
        let front = Front::before(upstream.trim_start_matches("http://"), kind);
        for source in [fresh_source(), fresh_source()] {
            let ask = |claimed: &str| {
                let mut client = Client::connect_from(source, front.address);
                let headers = [("X-Forwarded-For", claimed), ("X-Role", "admin")];
                client.request("GET", "/events", &headers, None).status
            };
            let claims = ["198.51.100.1", "198.51.100.2", "", "a", "127.0.0.1", "::1"];
            assert_eq!(claims.map(ask), [200, 200, 200, 200, 200, 429]);
        }
        let mut client = Client::connect_from(fresh_source(), front.address);
        let event = r#"{"name":"Walk","total_spots":5}"#;
        client
            .post("/events", "admin", event)
            .expect_problem(403, "forbidden");
    }
}

/// lastseat itself may refuse such a cookie, but it is none of its business.
#[test]
#[ignore = "needs nginx and haproxy: make front"]
fn front_lets_pass_whom_a_cookie_in_utf_8_follows() {
    for kind in [NGINX, HAPROXY] {
        let server = start("127.0.0.1:0");
        let event = server.create_event("Harbour walk", 5);
        let front = Front::before(&server.addr().to_string(), kind);
        let mut client = Client::connect_from(fresh_source(), front.address);
        let odd = [
            ("Cookie", "seen=tür🎟"),
            ("User-Agent", "Bücherwürmer/1.0"),
            ("Referer", "https://example.com/für"),
            ("Idempotency-Key", "kept"),
        ];
        for _ in 0..2 {
            let path = format!("/events/{event}");
            client.request("GET", &path, &odd, None).expect_status(200);
            let order = r#"{"email":"ada@example.com"}"#;
            let path = format!("{path}/register");
            let sold = client.request("POST", &path, &odd, Some(order));
            // The second time by its key, which was handed on.
            sold.expect_status(201);
        }
    }
}

#[test]
#[ignore = "needs nginx and haproxy: make front"]
fn front_logs_no_ticket() {
    let server = start("127.0.0.1:0");
    let event = server.create_event("Harbour walk", 5);
    let ticket = server.register(event, "ada@example.com").text("ticket_id");
    let ask = |front: &Front| {
        let email = r#"{"email":"ada@example.com"}"#;
        for path in [
            format!("/tickets/{ticket}"),
            format!("/tickets/{ticket}/confirm"),
            format!("/tickets/{ticket}/typed?again={ticket}"),
            format!("/%74ickets/{ticket}"),
            format!("//tickets/{ticket}"),
            format!("/events/{event}?ticket={ticket}"),
            format!("/events/{event}/register/{ticket}"),
            format!("/{ticket}"),
            format!("/tickets/../{ticket}"),
        ] {
            let referer = format!("https://example.com/tickets/{ticket}");
            let headers = [("Referer", &*referer), ("User-Agent", &*ticket)];
            for method in ["GET", "POST"] {
                let mut client = Client::connect_from(fresh_source(), front.address);
                let body = (method == "POST").then_some(email);
                let answer = client.try_request(method, &path, &headers, body);
                answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
            }
        }
        let mut client = Client::connect_from(fresh_source(), front.address);
        client.get("/events").expect_status(200);
    };

    let nginx = Front::before(&server.addr().to_string(), NGINX);
    ask(&nginx);
    let read = |name: &str| std::fs::read_to_string(nginx.folder.path().join(name));
    assert!(wait_until(PATIENCE, || {
        read("access.log").is_ok_and(|log| log.contains(" GET /events 200 "))
    }));
    let log = read("access.log").unwrap() + &read("error.log").unwrap();
    assert_tells_paths_and_no_ticket(&log, &ticket);

    let haproxy = Front::before(&server.addr().to_string(), HAPROXY);
    let socket = haproxy.folder.path().join("log");
    let socket = std::os::unix::net::UnixDatagram::bind(socket).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Read as it comes: a few lines fill the socket, and haproxy drops the rest.
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        while !log.contains(" GET /events 200 ") {
            let mut line = [0; 4_096];
            let length = socket
                .recv(&mut line)
                .unwrap_or_else(|e| panic!("{e}: {log}"));
            log += &String::from_utf8_lossy(&line[..length]);
        }
        log
    });
    ask(&haproxy);
    let log = reader.join().expect("the log");
    assert_tells_paths_and_no_ticket(&log, &ticket);
}

#[track_caller]
fn assert_tells_paths_and_no_ticket(log: &str, ticket: &str) {
    assert!(!log.contains(ticket), "{log}");
    for told in [
        "GET /tickets/- 200",
        "POST /tickets/- 200",
        "GET /events/1 200",
        "GET - 404",
    ] {
        assert!(log.contains(told), "no {told:?} in {log}");
    }
}
