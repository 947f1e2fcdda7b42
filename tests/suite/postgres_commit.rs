//! A connection to PostgreSQL that breaks while COMMIT is under way: what becomes of the sale is found
//! out, and told. COMMIT is made slow by a trigger, and the way to the database is cut in the middle.
//! They need LASTSEAT_TEST_DB, which `make cluster` sets.

use super::contract_support::{register_with_key, unlimited};
use crate::support::Server;
use crate::support::postgres::psql;
use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// A way to the database that can be cut.
struct Way {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(database: String) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let all = open.clone();
        spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(&database).expect("the database");
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let [mut from, mut to] = [from, to].map(|s| s.try_clone().unwrap());
                    spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.lock().unwrap().push(near);
            }
        });
        Way { address, open }
    }

    /// Ends what is open now; the database does not hear of it before it has something to say.
    fn cut(&self) {
        for near in self.open.lock().unwrap().drain(..) {
            let _ = near.shutdown(Shutdown::Read);
            let _ = near.shutdown(Shutdown::Write);
        }
    }
}

/// A server whose COMMITs of a sale to slow@example.com take so many seconds, the first time or each
/// time, and the way between them. The first server has made the database.
fn slow(seconds: u32, times: u32) -> (Server, Server, Way) {
    let maker = unlimited();
    let url = maker.db_path().to_string_lossy().into_owned();
    let (base, name) = url.rsplit_once('/').unwrap();
    let sql = format!(
        "CREATE SEQUENCE slept;
         CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('slept') <= {times} THEN PERFORM pg_sleep({seconds}); END IF; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (new.email = 'slow@example.com') EXECUTE FUNCTION sleep()"
    );
    psql(base, name, &sql).expect("makes the trigger");
    let (login, place) = base.rsplit_once('@').unwrap();
    let way = Way::to(place.to_owned());
    let through = format!("{login}@{}/{name}", way.address);
    let server = Server::builder().rate_limit_off().db(through).start();
    (maker, server, way)
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_commit_whose_answer_was_lost_is_found_and_answered() {
    let (maker, server, way) = slow(2, 1);
    let event = server.create_event("Harbour walk", 5);
    std::thread::scope(|scope| {
        let buyer = scope.spawn(|| server.register(event, "slow@example.com"));
        sleep(Duration::from_millis(1_000));
        assert!(!buyer.is_finished(), "COMMIT was not slow");
        way.cut();
        let sold = buyer.join().unwrap().expect_status(201);
        assert_eq!(sold.header("Idempotent-Replayed"), None);
        let ticket = format!("/tickets/{}", sold.text("ticket_id"));
        server.get(&ticket).expect_status(200);
    });
    let once = "SELECT count(*) FROM tickets";
    let sold: i64 = maker.db().query_row(once, [], |row| row.get(0)).unwrap();
    assert_eq!(sold, 1, "the batch was run again though it was there");
    assert_eq!(server.event(event)["available_spots"], 4);
    maker.assert_invariants();
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_commit_that_was_not_made_is_made_again() {
    let (maker, server, way) = slow(2, 1);
    let event = server.create_event("Harbour walk", 5);
    let url = maker.db_path().to_string_lossy().into_owned();
    let (base, name) = url.rsplit_once('/').unwrap();
    std::thread::scope(|scope| {
        let buyer = scope.spawn(|| server.register(event, "slow@example.com"));
        sleep(Duration::from_millis(1_000));
        assert!(!buyer.is_finished(), "COMMIT was not slow");
        let kill = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        psql(base, "postgres", &kill).expect("kills");
        let sold = buyer.join().unwrap().expect_status(201);
        server
            .get(&format!("/tickets/{}", sold.text("ticket_id")))
            .expect_status(200);
    });
    drop(way);
    assert_eq!(server.event(event)["available_spots"], 4);
    maker.assert_invariants();
}

/// Nobody can tell within 5 s; the buyer asks again with the same key, and learns it.
#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn an_outcome_that_nobody_knows_in_time_is_said_to_be_unknown_and_learnt_later() {
    let (maker, server, _way) = slow(7, 1);
    let event = server.create_event("Harbour walk", 5);
    let buy = || register_with_key(&server, event, "slow@example.com", "sale");
    buy().expect_problem(503, "outcome_unknown");
    let mut again = buy();
    if again.status == 503 {
        again = buy();
    }
    let again = again.expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(server.event(event)["available_spots"], 4);
    maker.assert_invariants();
}
