//! Clients at the same time: whatever they were answered, there is one order, in keeping with when
//! each call was made and answered, in which the plain model answers the same (linearizability,
//! Herlihy and Wing 1990). The search is that of Wing and Gong. `SEED=n` repeats the calls, not how
//! they met.

use crate::support::call::{Answer, Call};
use crate::support::model::Model;
use crate::support::random::Random;
use crate::support::{Client, FrozenClock, Server, assert_sound};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

const CLIENTS: usize = 4;
/// Each is followed by a look at what has come of it.
const CHANGES_EACH: usize = 3;
const HISTORIES: usize = 40;

#[derive(Debug)]
struct Done {
    call: Call,
    key: Option<String>,
    answer: Answer,
    invoked: Instant,
    answered: Instant,
}

/// Whether the calls that are left can be put in order after what the model has seen.
fn is_linear(
    history: &[Done],
    taken: u32,
    model: &Model,
    dead_ends: &mut Vec<(u32, String)>,
) -> bool {
    let left = || (0..history.len()).filter(|at| taken & (1 << at) == 0);
    let Some(first_answer) = left().map(|at| history[at].answered).min() else {
        return true;
    };
    let state = (taken, format!("{model:?}"));
    if dead_ends.contains(&state) {
        return false;
    }
    for at in left().filter(|at| history[*at].invoked <= first_answer) {
        let done = &history[at];
        let mut model = model.clone();
        let told = model.answer(&done.call, done.key.as_deref(), &done.answer.body);
        if told == done.answer && is_linear(history, taken | 1 << at, &model, dead_ends) {
            return true;
        }
    }
    dead_ends.push(state);
    false
}

/// A look at what a call was about, by who has its answer, or at a ticket that somebody else has
/// just seen: whatever was answered before must show.
fn look(random: &mut Random, event: i64, tickets: &Mutex<Vec<String>>) -> Call {
    match tickets.lock().unwrap().last() {
        Some(ticket) if random.once_in(2) => Call::ShowTicket {
            ticket: ticket.clone(),
        },
        _ => Call::ShowEvent { event },
    }
}

/// A change of the event or of one of the tickets that any client has seen.
fn next_change(random: &mut Random, event: i64, tickets: &Mutex<Vec<String>>) -> Call {
    let buyer = random.below(3);
    let email = format!("buyer-{buyer}@example.com");
    let tickets = tickets.lock().unwrap();
    if tickets.is_empty() || random.once_in(3) {
        let spots = 1 + random.below(2) as i64;
        return Call::Register {
            event,
            email,
            spots,
            waits: random.once_in(2),
        };
    }
    let ticket = tickets[random.below(tickets.len())].clone();
    let spots = random.once_in(2).then_some(1);
    match random.below(5) {
        0 => Call::ChangeEvent {
            event,
            spots: 1 + random.below(3) as i64,
        },
        1 => Call::CheckIn { ticket, spots },
        3 => Call::CancelTicket {
            ticket,
            email: None,
            spots,
        },
        _ => Call::Confirm {
            ticket,
            email: None,
            payment: spots.map(|n| format!("pay_{n}")),
        },
    }
}

fn record(server: &Server, seed: u64, event: i64) -> Vec<Done> {
    let (history, tickets) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let start_line = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (history, tickets, start_line) = (&history, &tickets, &start_line);
            scope.spawn(move || {
                let mut random = Random::from(seed + n as u64);
                let mut client: Client = server.client();
                start_line.wait();
                for n in 0..2 * CHANGES_EACH {
                    let is_look = n % 2 == 1;
                    let call = match is_look {
                        true => look(&mut random, event, tickets),
                        false => next_change(&mut random, event, tickets),
                    };
                    let with_key = !is_look && random.once_in(3);
                    let key = with_key.then(|| format!("{event}-{}", random.below(3)));
                    let invoked = Instant::now();
                    let answer = call.send(&mut client, key.as_deref());
                    let answered = Instant::now();
                    if let Some(ticket) = answer.body["ticket_id"].as_str() {
                        tickets.lock().unwrap().push(ticket.to_owned());
                    }
                    history.lock().unwrap().push(Done {
                        call,
                        key,
                        answer,
                        invoked,
                        answered,
                    });
                }
            });
        }
    });
    history.into_inner().unwrap()
}

#[test]
fn concurrent_histories_are_linearizable() {
    let (mut random, _) = Random::announced("linearizability");
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .start();
    for _ in 0..HISTORIES {
        let mut model = Model::at(clock.now_ms());
        let create = Call::CreateEvent {
            spots: 2,
            hold_seconds: 60,
            sales_open_at: None,
            sales_close_at: None,
        };
        let created = create.send(&mut server.client(), None);
        assert_eq!(model.answer(&create, None, &created.body), created);
        let event = created.body["id"].as_i64().expect("a new event");
        let mut history = record(&server, random.next() >> 8, event);
        history.sort_by_key(|done| done.invoked);
        assert!(
            is_linear(&history, 0, &model, &mut Vec::new()),
            "no order explains {history:#?}"
        );
    }
    assert_sound(server.db_path());
}

/// The search itself would notice: a history with one answer changed has no order.
#[test]
fn a_history_that_sells_one_spot_twice_is_not_linearizable() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .start();
    let mut model = Model::at(clock.now_ms());
    let create = Call::CreateEvent {
        spots: 1,
        hold_seconds: 60,
        sales_open_at: None,
        sales_close_at: None,
    };
    let created = create.send(&mut server.client(), None);
    model.answer(&create, None, &created.body);
    let event = created.body["id"].as_i64().expect("a new event");
    let sold = |email: &str| {
        let call = Call::Register {
            event,
            email: email.into(),
            spots: 1,
            waits: false,
        };
        let invoked = Instant::now();
        let answer = call.send(&mut server.client(), None);
        Done {
            call,
            key: None,
            answer,
            invoked,
            answered: Instant::now(),
        }
    };
    let mut history = vec![sold("a@example.com"), sold("b@example.com")];
    assert!(
        is_linear(&history, 0, &model, &mut Vec::new()),
        "{history:#?}"
    );
    let mut twice = history[0].answer.clone();
    twice.body["email"] = "b@example.com".into();
    twice.body["ticket_id"] = "00000000-0000-4000-8000-000000000000".into();
    history[1].answer = twice;
    assert!(
        !is_linear(&history, 0, &model, &mut Vec::new()),
        "{history:#?}"
    );
}
