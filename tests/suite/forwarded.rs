//! Whose request it is behind a proxy: `X-Forwarded-For` is believed from trusted proxies only,
//! from the right, per /64 for IPv6, and a flood of addresses costs bounded memory.

use super::contract_support::assert_problem;
use crate::support::{Client, FrozenClock, Server, fresh_source};
use std::net::IpAddr;

/// A server that trusts every loopback address as a proxy, in frozen time.
fn behind_proxy(flags: &[&str]) -> (FrozenClock, Server) {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .args(clock.flags())
        .args(["--trusted-proxy", "127.0.0.0/8"])
        .args(flags)
        .start();
    (clock, server)
}

/// A request through the proxy at `peer`; says how many more the client may make.
fn ask(server: &Server, peer: IpAddr, forwarded: &[&str]) -> Option<usize> {
    let headers: Vec<_> = forwarded
        .iter()
        .map(|&value| ("X-Forwarded-For", value))
        .collect();
    let mut client = Client::connect_from(peer, server.addr());
    let response = client.request("GET", "/events", &headers, None);
    if response.status == 429 {
        return None;
    }
    let standing = response
        .expect_status(200)
        .header("RateLimit")
        .unwrap()
        .to_owned();
    let left = standing
        .strip_prefix(r#""default";r="#)
        .and_then(|s| s.split(';').next());
    Some(left.unwrap().parse().unwrap())
}

/// Uses up everything that the client has.
fn exhaust(server: &Server, forwarded: &[&str]) {
    for left in (0..5).rev() {
        assert_eq!(
            ask(server, fresh_source(), forwarded),
            Some(left),
            "{forwarded:?}"
        );
    }
    assert_eq!(
        ask(server, fresh_source(), forwarded),
        None,
        "{forwarded:?}"
    );
}

#[test]
fn each_forwarded_address_is_a_client_whatever_the_proxy() {
    let (_clock, server) = behind_proxy(&[]);
    exhaust(&server, &["203.0.113.7"]);
    exhaust(&server, &["203.0.113.8"]);
    assert_eq!(ask(&server, fresh_source(), &["203.0.113.7"]), None);
}

#[test]
fn the_right_most_address_that_is_no_proxy_counts() {
    let (_clock, server) = behind_proxy(&["--trusted-proxy", "198.51.100.0/24"]);
    exhaust(&server, &["203.0.113.7"]);
    let same_client = [
        &["1.2.3.4, 203.0.113.7"][..],
        &["5.6.7.8,203.0.113.7"],
        &["nonsense, 203.0.113.7"],
        &["127.0.0.1, 203.0.113.7"],
        &["203.0.113.7, 127.0.0.9"],
        &["203.0.113.7, 198.51.100.1, 127.0.0.9"],
        &["9.9.9.9, 203.0.113.7 , 198.51.100.255"],
        &["1.2.3.4", "203.0.113.7"],
        &["203.0.113.7", "198.51.100.1"],
        &["1.2.3.4, 203.0.113.7", "127.0.0.9, 127.0.0.8"],
        &["203.0.113.7:4711"],
        &["203.0.113.7:4712"],
    ];
    for forwarded in same_client {
        assert_eq!(
            ask(&server, fresh_source(), forwarded),
            None,
            "{forwarded:?}"
        );
    }
    let others = [
        &["203.0.113.7, 198.51.101.1"][..],
        &["203.0.113.7", "1.2.3.4"],
    ];
    for forwarded in others {
        assert_eq!(
            ask(&server, fresh_source(), forwarded),
            Some(4),
            "{forwarded:?}"
        );
    }
}

#[test]
fn what_a_stranger_forwards_is_ignored() {
    let clock = FrozenClock::new();
    let trusting_another = ["--trusted-proxy", "10.0.0.0/8"];
    for flags in [&[][..], &trusting_another] {
        let server = Server::builder().args(clock.flags()).args(flags).start();
        let stranger = fresh_source();
        for (n, left) in (0..5).rev().enumerate() {
            let forged = format!("203.0.113.{n}");
            assert_eq!(ask(&server, stranger, &[&forged]), Some(left));
        }
        assert_eq!(ask(&server, stranger, &["203.0.113.77"]), None);
        assert_eq!(ask(&server, stranger, &["127.0.0.1"]), None);
        assert_eq!(ask(&server, stranger, &[]), None);
        assert_eq!(ask(&server, fresh_source(), &["203.0.113.0"]), Some(4));
    }
}

#[test]
fn no_other_header_says_who_the_client_is() {
    let (_clock, server) = behind_proxy(&[]);
    let peer = fresh_source();
    let names = [
        "Forwarded",
        "X-Real-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "True-Client-IP",
    ];
    let mut client = Client::connect_from(peer, server.addr());
    for name in names {
        let value = if name == "Forwarded" {
            "for=203.0.113.9"
        } else {
            "203.0.113.9"
        };
        client
            .request("GET", "/events", &[(name, value)], None)
            .expect_status(200);
    }
    assert_problem(&client.get("/events"), 429, "rate_limited");
}

#[test]
fn garbage_is_never_a_client_of_its_own() {
    let (_clock, server) = behind_proxy(&[]);
    let garbage = [
        "nonsense",
        "",
        ",",
        "999.1.2.3",
        "unknown",
        "_hidden",
        "203.0.113",
        "203.0.113.7.1",
        "2001:db8:::1",
        "203.0.113.7 evil",
        "\"203.0.113.7\"",
        "0x7f.1",
    ];
    let peer = fresh_source();
    let admitted = garbage
        .iter()
        .filter(|value| ask(&server, peer, &[value]).is_some())
        .count();
    assert_eq!(admitted, 5);
    // Left of garbage there is nothing to believe: whoever wrote it may have written that too.
    let peer = fresh_source();
    let forged = (0..8).map(|n| format!("203.0.113.{n}, nonsense"));
    let admitted = forged
        .filter(|value| ask(&server, peer, &[value]).is_some())
        .count();
    assert_eq!(admitted, 5);
}

#[test]
fn a_proxy_that_forwards_nothing_is_a_client_itself() {
    let (_clock, server) = behind_proxy(&[]);
    let proxy = fresh_source();
    for left in (0..5).rev() {
        assert_eq!(ask(&server, proxy, &[]), Some(left));
    }
    assert_eq!(ask(&server, proxy, &[]), None);
    assert_eq!(ask(&server, fresh_source(), &[]), Some(4));
    assert_eq!(ask(&server, proxy, &["203.0.113.7"]), Some(4));
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_client() {
    let (_clock, server) = behind_proxy(&[]);
    let network = [
        "2001:db8:1:2::1",
        "2001:db8:1:2::2",
        "2001:db8:1:2:ffff:ffff:ffff:ffff",
        "2001:0DB8:0001:0002:8000::",
        "[2001:db8:1:2::5]:443",
    ];
    for (address, left) in network.into_iter().zip((0..5).rev()) {
        assert_eq!(
            ask(&server, fresh_source(), &[address]),
            Some(left),
            "{address}"
        );
    }
    assert_eq!(ask(&server, fresh_source(), &["2001:db8:1:2::6"]), None);
    for neighbour in ["2001:db8:1:3::1", "2001:db8:1:1:ffff::1", "2001:db8:0:2::1"] {
        assert_eq!(
            ask(&server, fresh_source(), &[neighbour]),
            Some(4),
            "{neighbour}"
        );
    }
}

#[test]
fn an_ipv4_address_dressed_as_ipv6_is_itself() {
    let (_clock, server) = behind_proxy(&[]);
    exhaust(&server, &["203.0.113.7"]);
    assert_eq!(ask(&server, fresh_source(), &["::ffff:203.0.113.7"]), None);
    assert_eq!(
        ask(&server, fresh_source(), &["::ffff:203.0.113.8"]),
        Some(4)
    );
    assert_eq!(
        ask(&server, fresh_source(), &["203.0.113.7, ::ffff:127.0.0.9"]),
        None
    );
}

#[test]
fn trusted_proxies_may_be_listed_in_the_variable() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .args(clock.flags())
        .env("LASTSEAT_TRUSTED_PROXY", "127.0.0.0/8,198.51.100.0/24")
        .start();
    exhaust(&server, &["203.0.113.7, 198.51.100.1"]);
    assert_eq!(ask(&server, fresh_source(), &["203.0.113.7"]), None);
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends one request for each address; counts the admitted.
fn flood(client: &mut Client, addresses: impl Iterator<Item = String>) -> usize {
    let ask = |address: String| {
        let headers = [("X-Forwarded-For", address.as_str())];
        match client.request("GET", "/nowhere", &headers, None).status {
            404 => 1,
            429 => 0,
            status => panic!("{status}"),
        }
    };
    addresses.map(ask).sum()
}

#[test]
fn a_flood_of_addresses_is_bounded_and_none_gets_in_for_free() {
    // A thousand requests to remember for each client: a table of bounded size is soon full.
    let (clock, server) = behind_proxy(&["--rate-limit", "1000/10s"]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    assert_eq!(ask(&server, fresh_source(), &["203.0.113.7"]), Some(999));
    let before_kb = resident_kb(server.server_pid());
    let strangers =
        |from: u32| (from..from + 3_000).map(|n| IpAddr::from(n.to_be_bytes()).to_string());
    let first = flood(&mut client, strangers(0x0a00_0000));
    assert!(
        (100..3_000).contains(&first),
        "{first} of 3000 were admitted"
    );
    let second = flood(&mut client, strangers(0x0b00_0000));
    assert_eq!(second, 0, "the table is full");
    let grown_kb = resident_kb(server.server_pid()).saturating_sub(before_kb);
    assert!(grown_kb < 64 * 1024, "grew by {grown_kb} kB");
    assert_eq!(
        ask(&server, fresh_source(), &["203.0.113.7"]),
        Some(998),
        "known before it"
    );
    clock.advance(10_000);
    assert_eq!(
        ask(&server, fresh_source(), &["192.0.2.1"]),
        Some(999),
        "all are idle now"
    );
}
