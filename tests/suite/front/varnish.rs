//! A real varnishd in front. A cache knows of a response only what its headers say, and they must say
//! enough for one that was told nothing of lastseat.

use crate::support::{Client, PATIENCE, Response, Server, signal, wait_until};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

struct Varnish {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Varnish {
    /// As it comes, without a line of configuration but where lastseat is.
    fn as_it_comes(server: &Server) -> Varnish {
        Varnish::start(&["-b", &server.addr().to_string()])
    }

    fn with_our_file(server: &Server, folder: &TempDir) -> Varnish {
        let file = folder.path().join("varnish.vcl");
        let text = include_str!("../../front/varnish.vcl");
        let (from, port) = ("\"8080\"", format!("\"{}\"", server.addr().port()));
        assert!(text.contains(from));
        std::fs::write(&file, text.replace(from, &port)).unwrap();
        Varnish::start(&["-f", file.to_str().unwrap()])
    }

    fn start(arguments: &[&str]) -> Varnish {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("varnishd")
            .env("PATH", format!("{path}:/usr/sbin"))
            .args(["-F", "-j", "none", "-s", "malloc,16m", "-n"])
            .arg(folder.path().join("varnish"))
            .args(["-a", &address.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|e| panic!("varnishd: {e} (make front)"));
        let is_up = || TcpStream::connect(address).is_ok();
        let log = || std::fs::read_to_string(folder.path().join("log"));
        assert!(wait_until(PATIENCE, is_up), "it is deaf: {:?}", log());
        Varnish {
            child,
            address,
            _folder: folder,
        }
    }

    fn get(&self, path: &str, role: Option<&str>) -> Response {
        let role = role.map(|role| ("X-Role", role));
        let headers = Vec::from_iter(role);
        Client::connect(self.address).request("GET", path, &headers, None)
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

fn start() -> Server {
    Server::builder()
        .rate_limit_off()
        .args(["--trusted-proxy", "127.0.0.1"])
        .start()
}

#[test]
#[ignore = "needs varnish: make front"]
fn front_varnish_as_it_comes_gives_strangers_nothing_and_nobody_an_old_number() {
    let server = start();
    let event = server.create_event("Harbour walk", 3);
    let ticket = server.register(event, "ada@example.com").text("ticket_id");
    let varnish = Varnish::as_it_comes(&server);

    let attendees = format!("/events/{event}/tickets");
    let of_ada = varnish.get(&attendees, Some("organizer"));
    assert!(of_ada.expect_status(200).body.contains("ada@example.com"));
    varnish
        .get(&attendees, None)
        .expect_problem(403, "forbidden");
    // Nor is a refusal kept for who may.
    varnish
        .get(&attendees, Some("organizer"))
        .expect_status(200);

    let path = format!("/tickets/{ticket}");
    varnish.get(&path, Some("user")).expect_status(200);
    varnish.get(&path, None).expect_problem(403, "forbidden");
    server.confirm(&ticket).expect_status(200);
    let seen = varnish.get(&path, Some("user")).expect_status(200);
    assert_eq!(seen.text("status"), "confirmed");

    let one = format!("/events/{event}");
    for free in [2, 1, 0] {
        assert_eq!(varnish.get(&one, None).json()["available_spots"], free);
        let list = varnish.get("/events", None).json();
        assert_eq!(list[0]["available_spots"], free);
        server.register(event, &format!("buyer-{free}@example.com"));
    }
    varnish.get("/events/9", None).expect_status(404);
    for _ in 2..=9 {
        server.create_event("Another", 1);
    }
    varnish.get("/events/9", None).expect_status(200);
}

#[test]
#[ignore = "needs varnish: make front"]
fn front_varnish_with_our_file_shows_numbers_that_are_a_second_old_and_no_tickets() {
    let (server, folder) = (start(), tempfile::tempdir().unwrap());
    let event = server.create_event("Harbour walk", 3);
    let ticket = server.register(event, "ada@example.com").text("ticket_id");
    let varnish = Varnish::with_our_file(&server, &folder);

    // The two numbers of a hit are this request's, and that of the one which filled the cache.
    let is_hit = |response: &Response| response.header("X-Varnish").unwrap().contains(' ');
    let one = format!("/events/{event}");
    let hits = || (0..10).filter(|_| is_hit(&varnish.get(&one, None))).count();
    assert!(wait_until(PATIENCE, || hits() >= 5), "nothing is kept");
    let first = varnish.get(&one, None);
    assert_eq!(first.header("RateLimit"), None, "another's");
    server.register(event, "bob@example.com").expect_status(201);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(varnish.get(&one, None).json()["available_spots"], 1);

    // A claimed role is a buyer's, and a ticket is asked for each time.
    let attendees = format!("/events/{event}/tickets");
    let refused = varnish.get(&attendees, Some("organizer"));
    refused.expect_problem(403, "forbidden");
    let path = format!("/tickets/{ticket}");
    for _ in 0..3 {
        let seen = varnish.get(&path, None).expect_status(200);
        assert!(!is_hit(&seen), "{seen:?}");
    }
    server.confirm(&ticket).expect_status(200);
    assert_eq!(varnish.get(&path, None).text("status"), "confirmed");
    varnish.get("/metrics", None).expect_status(404);
}
