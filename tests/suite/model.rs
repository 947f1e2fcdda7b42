//! Random sequences of every operation, over real HTTP with a set clock, against the plain model:
//! the same answer to each call, the same events and tickets after it. A failure shrinks to the
//! shortest sequence that shows it. `SEED=n` repeats a run, `CASES=n` makes it longer.
//!
//! The reaper sweeps all the while: nothing may depend on whether it has passed, but for who is in line
//! when a hold ends or sales open.

use crate::support::call::Call;
use crate::support::model::Model;
use crate::support::random::Random;
use crate::support::{Client, FrozenClock, PATIENCE, Server, assert_sound, wait_until};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;

/// A step whose event, ticket and key are picked from those that there are when it is taken.
#[derive(Clone, Debug)]
enum Step {
    CreateEvent {
        spots: i64,
        hold_seconds: i64,
        opens_in: Option<i64>,
        closes_in: Option<i64>,
    },
    ChangeEvent {
        event: usize,
        spots: i64,
    },
    CancelEvent {
        event: usize,
    },
    Register {
        event: usize,
        buyer: usize,
        spots: i64,
        waits: bool,
    },
    Confirm {
        ticket: usize,
        email: Option<usize>,
        payment: Option<usize>,
    },
    Extend {
        ticket: usize,
    },
    CancelTicket {
        ticket: usize,
        email: Option<usize>,
        spots: Option<i64>,
    },
    CheckIn {
        ticket: usize,
        spots: Option<i64>,
    },
    Wait {
        ms: i64,
    },
}

fn step() -> impl Strategy<Value = (Step, Option<usize>)> {
    let email = || proptest::option::weighted(0.2, 0..4_usize);
    let party = || prop_oneof![6 => Just(1_i64), 3 => 2..4_i64, 1 => Just(11_i64)];
    let part = |most: i64| proptest::option::weighted(0.3, 1..=most);
    let step = prop_oneof![
        1 => (1..6_i64, 10..60_i64, proptest::option::weighted(0.2, 0..20_000_i64), proptest::option::weighted(0.2, 20_000..90_000_i64))
            .prop_map(|(spots, hold_seconds, opens_in, closes_in)| Step::CreateEvent { spots, hold_seconds, opens_in, closes_in }),
        1 => (0..3_usize, 1..5_i64).prop_map(|(event, spots)| Step::ChangeEvent { event, spots }),
        1 => (0..6_usize).prop_map(|event| Step::CancelEvent { event }),
        9 => (0..3_usize, 0..6_usize, party(), any::<bool>()).prop_map(|(event, buyer, spots, waits)| Step::Register { event, buyer, spots, waits }),
        4 => (0..6_usize, email(), part(2)).prop_map(|(ticket, email, payment)| Step::Confirm { ticket, email, payment: payment.map(|n| n as usize) }),
        2 => (0..6_usize).prop_map(|ticket| Step::Extend { ticket }),
        3 => (0..6_usize, email(), part(3)).prop_map(|(ticket, email, spots)| Step::CancelTicket { ticket, email, spots }),
        3 => (0..6_usize, part(3)).prop_map(|(ticket, spots)| Step::CheckIn { ticket, spots }),
        // To the millisecond at which a hold ends, just before it, or by any time.
        4 => prop_oneof![Just(9_999), Just(1), 1..30_000_i64].prop_map(|ms| Step::Wait { ms }),
    ];
    (step, proptest::option::weighted(0.4, 0..4_usize))
}

fn pick<T: Clone>(of: &[T], at: usize) -> Option<T> {
    // One past the end is something that does not exist.
    of.iter().rev().nth(at % (of.len() + 1)).cloned()
}

fn call(step: &Step, model: &Model) -> Option<Call> {
    let event = |at: usize| pick(&model.event_ids(), at).unwrap_or(i64::MAX);
    let nobodys = "00000000-0000-4000-8000-000000000000";
    let ticket = |at: usize| pick(&model.ticket_ids(), at).unwrap_or(nobodys.to_owned());
    let email = |buyer: usize| format!("buyer-{buyer}@example.com");
    Some(match *step {
        Step::CreateEvent {
            spots,
            hold_seconds,
            opens_in,
            closes_in,
        } => Call::CreateEvent {
            spots,
            hold_seconds,
            sales_open_at: opens_in.map(|ms| model.now + ms),
            sales_close_at: closes_in.map(|ms| model.now + ms),
        },
        Step::ChangeEvent { event: at, spots } => Call::ChangeEvent {
            event: event(at),
            spots,
        },
        Step::CancelEvent { event: at } => Call::CancelEvent { event: event(at) },
        Step::Register {
            event: at,
            buyer,
            spots,
            waits,
        } => Call::Register {
            event: event(at),
            email: email(buyer),
            spots,
            waits,
        },
        Step::Confirm {
            ticket: at,
            email: buyer,
            payment,
        } => Call::Confirm {
            ticket: ticket(at),
            email: buyer.map(email),
            payment: payment.map(|n| format!("pay_{n}")),
        },
        Step::Extend { ticket: at } => Call::Extend { ticket: ticket(at) },
        Step::CancelTicket {
            ticket: at,
            email: buyer,
            spots,
        } => Call::CancelTicket {
            ticket: ticket(at),
            email: buyer.map(email),
            spots,
        },
        Step::CheckIn { ticket: at, spots } => Call::CheckIn {
            ticket: ticket(at),
            spots,
        },
        Step::Wait { .. } => return None,
    })
}

fn compare(
    client: &mut Client,
    model: &mut Model,
    call: &Call,
    key: Option<&str>,
) -> Result<(), TestCaseError> {
    let mut seen = call.send(client, key);
    // Time has passed, and it is for the reaper to serve the line.
    if let Call::ShowEvent { .. } | Call::ShowTicket { .. } = call {
        wait_until(PATIENCE, || {
            seen = call.send(client, key);
            seen == model.answer(call, key, &seen.body)
        });
    }
    let told = model.answer(call, key, &seen.body);
    prop_assert_eq!(
        &seen,
        &told,
        "the server answered the left, the model the right: {:?} with key {:?}",
        call,
        key
    );
    Ok(())
}

#[test]
fn every_sequence_of_calls_is_answered_as_by_the_model() {
    let (mut random, _) = Random::announced("model");
    let clock = FrozenClock::new();
    let flags = ["--sweep", "100ms"];
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .args(flags)
        .start();
    let case = Cell::new(0);
    let cases = std::env::var("CASES").map_or(48, |n| n.parse().expect("CASES is a number"));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&random.next().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let steps = proptest::collection::vec(step(), 1..40);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        case.set(case.get() + 1);
        let mut client = server.client();
        let mut model = Model::at(clock.now_ms());
        let first = Call::CreateEvent {
            spots: 4,
            hold_seconds: 10,
            sales_open_at: None,
            sales_close_at: None,
        };
        compare(&mut client, &mut model, &first, None)?;
        for (step, key) in steps {
            if let Step::Wait { ms } = step {
                clock.advance(ms);
                model.now = clock.now_ms();
            }
            let key = key.map(|n| format!("case-{}-key-{n}", case.get()));
            if let Some(call) = call(&step, &model) {
                compare(&mut client, &mut model, &call, key.as_deref())?;
            }
            for event in model.event_ids() {
                compare(&mut client, &mut model, &Call::ShowEvent { event }, None)?;
            }
            for ticket in model.ticket_ids() {
                compare(&mut client, &mut model, &Call::ShowTicket { ticket }, None)?;
            }
        }
        Ok(())
    });
    assert_sound(server.db_path());
    server.assert_invariants();
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
