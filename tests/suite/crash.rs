//! Killed with -9 in the middle of a sale, again and again, at random moments and right after an
//! answer: everything acknowledged is there, every key gives its first answer, and the file is sound
//! each time. `ROUNDS=30` makes it as many rounds, `SEED=n` repeats a run's plan.

use crate::support::crowd::Crowd;
use crate::support::random::Random;
use crate::support::{PATIENCE, Server, assert_sound, signal, wait_until};
use std::time::Duration;

const BUYERS: usize = 24;
/// Few enough for every event to sell out and to have its spots given back and sold again.
const SPOTS: u32 = 12;

fn rounds() -> usize {
    let rounds = std::env::var("ROUNDS").map(|n| n.parse().expect("ROUNDS is a number"));
    rounds.unwrap_or(6)
}

/// Lets the sale go on for a random number of answers, and then for less than an answer takes.
fn wait_for_the_moment(crowd: &Crowd, random: &mut Random) {
    let at = crowd.answers() + 1 + random.below(60);
    let came = wait_until(PATIENCE, || crowd.answers() >= at);
    assert!(came, "the sale stands still at {} answers", crowd.answers());
    std::thread::sleep(Duration::from_micros(random.next() % 5_000));
}

/// Every third time at any moment, otherwise at the one that is worst for whoever answers too early.
fn kill(server: &Server, round: usize, crowd: &Crowd, random: &mut Random) {
    let pid = server.server_pid();
    if round.is_multiple_of(3) {
        wait_for_the_moment(crowd, random);
        signal(pid, "KILL");
    } else {
        crowd.kill_after(random.below(8), pid);
    }
}

#[test]
fn what_was_acknowledged_survives_any_number_of_crashes() {
    let (mut random, seed) = Random::announced("crashes");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let builder = || Server::builder().db(&db).rate_limit_off().no_keeper();
    let mut server = builder().listen_apart().start();
    let address = server.addr();
    let crowd = Crowd::new(address, seed);
    crowd.offer(server.create_event("Round 0", SPOTS));
    crowd.run(BUYERS, || {
        for round in 1..=rounds() {
            kill(&server, round, &crowd, &mut random);
            server.wait(PATIENCE);
            // Nobody is at the file now, and nothing new is acknowledged.
            crowd.assert_promises_kept(&server.db());
            assert_sound(server.db_path());
            server = builder().listen(&address.to_string()).start();
            crowd.offer(server.create_event(&format!("Round {round}"), SPOTS));
        }
        wait_for_the_moment(&crowd, &mut random);
    });
    crowd.assert_promises_kept(&server.db());
    crowd.assert_keys_remembered(usize::MAX);
    assert_sound(server.db_path());
    println!("{} tickets acknowledged, all there", crowd.sold());
    assert!(crowd.sold() > rounds(), "hardly anything was sold");
}

#[test]
fn what_was_acknowledged_survives_while_the_keeper_restarts_the_server() {
    let (mut random, seed) = Random::announced("crashes under the keeper");
    let server = Server::builder().rate_limit_off().start();
    let crowd = Crowd::new(server.addr(), seed);
    crowd.offer(server.create_event("Round 0", SPOTS));
    crowd.run(BUYERS, || {
        for round in 1..=rounds() {
            let pid = server.server_pid();
            kill(&server, round, &crowd, &mut random);
            let is_back = || server.try_server_pid().is_some_and(|other| other != pid);
            assert!(wait_until(PATIENCE, is_back), "{}", server.log());
            assert_sound(server.db_path());
            crowd.offer(server.create_event(&format!("Round {round}"), SPOTS));
        }
        wait_for_the_moment(&crowd, &mut random);
    });
    crowd.assert_promises_kept(&server.db());
    crowd.assert_keys_remembered(usize::MAX);
    assert_sound(server.db_path());
    assert!(crowd.sold() > rounds(), "hardly anything was sold");
}
