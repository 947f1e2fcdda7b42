//! The integration tests: the real binary, real HTTP, real files. Each module covers what the
//! comment at its head says.

mod support;

mod suite {
    // The sale, crowded: never one ticket too many, never a false refusal.
    mod expiry_race;
    mod keep_alive;
    mod line;
    mod line_races;
    mod linearizability;
    mod model;
    mod processes;
    mod stampede;

    // Ends and beginnings, and what happens when the server cannot.
    mod copies;
    mod crash;
    mod disk_faults;
    mod faults;
    mod front;
    mod fuzz;
    mod group_commit;
    mod held_up;
    mod hostile;
    mod keeper;
    mod one_connection;
    mod other_programs;
    mod overload;
    mod panics;
    mod read_only;
    mod restart;
    mod scarce;
    mod signals;
    mod stop;
    mod wal_faults;

    // The HTTP contract: what each call answers.
    mod attendees;
    mod attendees_csv;
    mod bodies;
    mod browsers;
    mod caches;
    mod changes;
    mod check_in;
    mod chunks;
    mod contract_support;
    mod event_cancel;
    mod event_change;
    mod event_list;
    mod events;
    mod forwarded;
    mod framing;
    mod health;
    mod idempotency;
    mod key_reach;
    mod keys;
    mod limiter;
    mod mounted;
    mod openapi;
    mod ordinary_clients;
    mod pages;
    mod parties;
    mod payments;
    mod precedence;
    mod problems;
    mod public_sale;
    mod register;
    mod request_ids;
    mod roles;
    mod routes;
    mod sold_out;
    mod streams;
    mod streams_in_trouble;
    mod ticket_cancel;
    mod tickets;
    mod time_to_pay;

    // The program around it: its flags, its file, its log, its housekeeping.
    mod backup;
    mod command_line;
    mod demo;
    mod key_command;
    mod log;
    mod manual;
    mod metrics;
    #[cfg(feature = "postgres")]
    mod postgres;
    #[cfg(feature = "postgres")]
    mod postgres_commit;
    mod reaper;
    #[cfg(feature = "relay")]
    mod relay;
    #[cfg(feature = "relay")]
    mod relay_tls;
    mod report;
    mod schema;
    mod schema_by_hand;
    mod start_failures;
    mod static_file;
    mod unix_socket;
    mod verify;
    mod verify_tampering;

    // How the sources are built.
    mod house;
    mod statements;
}
