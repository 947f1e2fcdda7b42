//! Whose request it is: the address that the rate limit counts by and the log names.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Reads a block of addresses; a bare address is a block of one.
pub fn parse_block(text: &str) -> Result<IpNet, String> {
    let block = text.parse();
    let block = block.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    block.map_err(|_| "expected an address or CIDR, as in 10.0.0.0/8".to_owned())
}

/// A client's address, without its port. Without one: whoever is on a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The peer itself, or, where it is a trusted proxy, the right-most address in
    /// `X-Forwarded-For` (its values in the order received) that is not one: what stands further
    /// left was written by somebody who is not trusted. A Unix-socket peer (no address) is a
    /// trusted proxy.
    pub fn find<'r>(
        peer: Option<IpAddr>,
        forwarded_for: impl DoubleEndedIterator<Item = &'r str>,
        trusted: &[IpNet],
    ) -> ClientAddress {
        let is_trusted = |a: IpAddr| trusted.iter().any(|block| block.contains(&a));
        let mut nearest = peer.map(canonical);
        if nearest.is_some_and(|address| !is_trusted(address)) {
            return ClientAddress(nearest);
        }
        for entry in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            // Past an entry that is no address there is nothing to believe.
            let Some(address) = parse_entry(entry.trim()) else {
                break;
            };
            nearest = Some(address);
            if !is_trusted(address) {
                break;
            }
        }
        ClientAddress(nearest)
    }

    /// What the rate limit counts by: one subscriber usually has a whole IPv6 /64.
    pub fn limited_as(self) -> ClientAddress {
        match self.0 {
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & (u128::MAX << 64);
                ClientAddress(Some(IpAddr::V6(Ipv6Addr::from_bits(network))))
            }
            _ => self,
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("unix"),
        }
    }
}

/// An IPv4 address may come dressed as IPv6 (`::ffff:192.0.2.1`).
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Some proxies add the port: `192.0.2.1:1234`, `[2001:db8::1]:1234`, `[2001:db8::1]`.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|e| e.strip_suffix(']'))
        .unwrap_or(entry);
    let address = bare.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    address.or_else(with_port).map(canonical)
}
