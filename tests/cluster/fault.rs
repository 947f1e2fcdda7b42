//! What is done to the cluster while it sells, and how it is mended afterwards.

use std::process::{Child, Command};
use std::time::Duration;

use super::node::Node;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    PrimaryMachine,
    PrimaryPostgres,
    StandbyMachine,
    PatroniFrozen,
    LastseatNode,
    EtcdLeader,
}

pub const ALL: [Fault; 7] = [
    Fault::None,
    Fault::PrimaryMachine,
    Fault::PrimaryPostgres,
    Fault::StandbyMachine,
    Fault::PatroniFrozen,
    Fault::LastseatNode,
    Fault::EtcdLeader,
];

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::None => "nothing",
            Fault::PrimaryMachine => "kill -9 of the primary's machine",
            Fault::PrimaryPostgres => "kill -9 of the primary's PostgreSQL",
            Fault::StandbyMachine => "kill -9 of the standby's machine",
            Fault::PatroniFrozen => "the primary's Patroni frozen",
            Fault::LastseatNode => "kill -9 of a lastseat node",
            Fault::EtcdLeader => "kill -9 of etcd's leader",
        }
    }

    /// So long the sale goes on after it, and has to have begun again by then.
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Fault::PrimaryMachine | Fault::PatroniFrozen => 40,
            Fault::PrimaryPostgres => 20,
            _ => 12,
        })
    }

    /// Does it; returns which machine it was.
    pub fn strike(self, nodes: &[Node]) -> String {
        let at = |role: &str, what: &str| {
            let machine = script(&["find", role]);
            script(&[what, &machine]);
            machine
        };
        match self {
            Fault::None => String::new(),
            Fault::PrimaryMachine => at("primary", "machine"),
            Fault::PrimaryPostgres => at("primary", "postgres"),
            Fault::StandbyMachine => at("standby", "machine"),
            Fault::PatroniFrozen => at("primary", "patroni"),
            Fault::EtcdLeader => at("etcd-leader", "etcd"),
            Fault::LastseatNode => {
                nodes[0].kill9();
                String::new()
            }
        }
    }

    /// Has everything as it was before.
    pub fn mend(self, machine: &str, nodes: &mut [Node]) {
        match self {
            Fault::PatroniFrozen => drop(script(&["thaw", machine])),
            Fault::LastseatNode => nodes[0].restart(),
            _ => {}
        }
        script(&["up"]);
    }
}

/// tests/cluster/nodes.sh with these words; what it prints.
#[track_caller]
pub fn script(words: &[&str]) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/nodes.sh");
    let mut command = Command::new(path);
    // Not captured: what it starts lives on, and would keep a pipe open.
    let output = match words {
        ["find", ..] => command.args(words).output().expect("the script runs"),
        _ => {
            let status = command.args(words).status().expect("the script runs");
            assert!(status.success(), "nodes.sh {words:?}: {status}");
            return String::new();
        }
    };
    assert!(output.status.success(), "nodes.sh {words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A child process that ends with its owner.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
