//! Behind a real nginx with `tests/front/nginx.conf`: the hostile set does not even reach the server.
//! Ignored unless asked for (`make front`), because nginx must be there.

use super::hostile::{MEMORY_MIB_MAX, Ordinary};
use crate::support::hostile::cases;
use crate::support::sale::Sale;
use crate::support::{Client, PATIENCE, Server, fresh_source, signal, wait_until};
use lastseat::process::Usage;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use tempfile::TempDir;

const CONFIGURATION: &str = include_str!("../front/nginx.conf");

struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// With the configuration as it is, but for the places: a free port, the server's address
    /// and a folder of the test's own.
    fn before(upstream: &str) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let own = folder.path().to_str().unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let replacements = [
            ("user www-data;", format!("user {};", user.trim())),
            ("listen 127.0.0.1:8081;", format!("listen {address};")),
            ("server 127.0.0.1:8080 ", format!("server {upstream} ")),
            (" /run/", format!(" {own}/")),
            (" /var/log/nginx/", format!(" {own}/")),
            (" /var/lib/nginx/", format!(" {own}/")),
        ];
        let mut text = CONFIGURATION.to_owned();
        for (from, to) in replacements {
            assert!(text.contains(from), "{from:?} is not in nginx.conf");
            text = text.replace(from, &to);
        }
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut nginx = Command::new("nginx");
        nginx
            .args(["-g", "daemon off;", "-p", own, "-c"])
            .arg(&file);
        let path = std::env::var("PATH").unwrap_or_default();
        let child = nginx.env("PATH", format!("{path}:/usr/sbin"));
        let child = child.spawn().expect("nginx is installed (make front)");
        let is_up = || std::net::TcpStream::connect(address).is_ok();
        assert!(wait_until(PATIENCE, is_up), "nginx does not listen");
        Nginx {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

fn start(listen: &str) -> Server {
    lastseat::process::raise_descriptor_limit().expect("raises the test's own limit");
    let limit = MEMORY_MIB_MAX.to_string();
    Server::builder()
        .listen(listen)
        .args(["--log-level", "warn", "--memory-mib-max", &limit])
        .args(["--trusted-proxy", "127.0.0.1"])
        .start()
}

fn unix(folder: &Path) -> String {
    format!("unix:{}", folder.join("lastseat.sock").display())
}

#[test]
#[ignore = "needs nginx: make front"]
fn front_keeps_the_hostile_set_off_a_server_on_tcp() {
    let server = start("127.0.0.1:0");
    let nginx = Nginx::before(&server.addr().to_string());
    keeps_the_hostile_set_off(&server, &nginx);
}

#[test]
#[ignore = "needs nginx: make front"]
fn front_keeps_the_hostile_set_off_a_server_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = unix(folder.path());
    let server = start(&socket);
    let nginx = Nginx::before(&socket);
    keeps_the_hostile_set_off(&server, &nginx);
}

/// The set is sent while a sale goes on; the server behind is the same process afterwards, and has
/// lost nothing.
fn keeps_the_hostile_set_off(server: &Server, nginx: &Nginx) {
    let pid = server.server_pid();
    let before = Usage::of(pid).unwrap();
    let ordinary = Ordinary::new(server, nginx.address);
    let sale = Sale::of(server, nginx.address, 1_000);
    let cases = cases();
    sale.run(server, 32, || {
        for case in &cases {
            sale.release(1_000 / cases.len());
            ordinary.withstands(case);
        }
    });
    ordinary.got_everything();
    assert_eq!(server.server_pid(), pid, "{}", server.log());
    let log = server.log();
    assert!(
        !log.contains("panic") && !log.contains("abandoned"),
        "{log}"
    );
    // A thread that is lost holds its connection's descriptors. (The pulse keeps tiny_http's idle
    // threads in use, so that these may be more than before.) Beats come and go.
    let after = || Usage::of(pid).unwrap();
    let settled = wait_until(PATIENCE, || after().descriptors <= before.descriptors + 8);
    assert!(settled, "before {before:?}, now {:?}", after());
}

#[test]
#[ignore = "needs nginx: make front"]
fn front_hands_on_the_real_address_and_no_claimed_one() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["127.0.0.1:0", &unix(folder.path())] {
        let server = start(listen);
        let upstream = server.ready_line().split(' ').nth(2).unwrap();
        let nginx = Nginx::before(upstream.trim_start_matches("http://"));
        for source in [fresh_source(), fresh_source()] {
            let ask = |claimed: &str| {
                let mut client = Client::connect_from(source, nginx.address);
                let headers = [("X-Forwarded-For", claimed), ("X-Role", "admin")];
                client.request("GET", "/events", &headers, None).status
            };
            let claims = ["198.51.100.1", "198.51.100.2", "", "a", "127.0.0.1", "::1"];
            assert_eq!(claims.map(ask), [200, 200, 200, 200, 200, 429]);
        }
        let mut client = Client::connect_from(fresh_source(), nginx.address);
        let event = r#"{"name":"Walk","total_spots":5}"#;
        client
            .post("/events", "admin", event)
            .expect_problem(403, "forbidden");
    }
}
