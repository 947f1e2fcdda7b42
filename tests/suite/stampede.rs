//! A hundred buyers at one moment: exactly as many tickets as spots, an honest refusal for
//! everyone else, and one ticket a buyer however often the same order is sent.

use crate::support::Server;
use crate::support::stampede::{Order, Outcome, run_round, rush};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_hundred_buyers_share_five_spots_under_the_default_configuration() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        let round = run_round(&server, 100, 5);
        if let Err(reason) = round.verdict() {
            panic!("{reason}\n{round}");
        }
    }
}

#[test]
fn an_order_sent_five_times_at_once_gets_one_ticket_five_times() {
    let server = Server::start(&[]);
    let event = server.create_event("Doubled clicks", 5);
    let order = |n| Order::by(format!("buyer-{n}@example.com")).with_key(format!("order-{n}"));
    let orders = (0..100).map(|n| order(n % 20)).collect();

    let outcomes = rush(&[server.addr()], event, orders);

    assert_one_ticket_a_buyer(&outcomes, 5, 5);
    server.assert_invariants();
}

#[test]
fn a_buyer_without_a_key_who_asks_five_times_at_once_gets_one_ticket() {
    let server = Server::start(&[]);
    let event = server.create_event("Impatience", 50);
    let orders = (0..100).map(|n| Order::by(format!("buyer-{}@example.com", n % 20)));

    let outcomes = rush(&[server.addr()], event, orders.collect());

    for (buyer, answers) in by_buyer(&outcomes) {
        let sold = answers.iter().filter(|o| o.is_sale()).count();
        let already = |o: &&&Outcome| o.status == 409 && o.code == "already_registered";
        let refused = answers.iter().filter(already).count();
        assert_eq!((sold, refused), (1, 4), "{buyer}: {answers:?}");
    }
    assert_eq!(server.event(event)["available_spots"], 30);
    server.assert_invariants();
}

/// Each buyer sent one order `copies` times: `spots` buyers hold one ticket each, named by all
/// their answers, only one of which is not a replay; all others were told `sold_out` each time.
pub fn assert_one_ticket_a_buyer(outcomes: &[Outcome], copies: usize, spots: usize) {
    let mut winners = 0;
    for (buyer, answers) in by_buyer(outcomes) {
        assert_eq!(answers.len(), copies);
        if answers.iter().all(|o| o.is_sold_out()) {
            continue;
        }
        winners += 1;
        assert!(answers.iter().all(|o| o.is_sale()), "{buyer}: {answers:?}");
        let tickets: BTreeSet<_> = answers.iter().map(|o| &o.ticket_id).collect();
        let fresh = answers.iter().filter(|o| !o.is_replay).count();
        assert_eq!((tickets.len(), fresh), (1, 1), "{buyer}: {answers:?}");
    }
    assert_eq!(winners, spots);
}

fn by_buyer(outcomes: &[Outcome]) -> BTreeMap<&str, Vec<&Outcome>> {
    let mut buyers = BTreeMap::<&str, Vec<&Outcome>>::new();
    for outcome in outcomes {
        buyers
            .entry(&outcome.order.email)
            .or_default()
            .push(outcome);
    }
    buyers
}
