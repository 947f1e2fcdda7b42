//! Streams come through each proxy at once, also after a silence longer than its clients may keep.

use super::{Front, HAPROXY, NGINX, start};
use crate::support::{Client, PATIENCE, Stream, fresh_source};
use std::time::Instant;

#[test]
#[ignore = "needs nginx and haproxy: make front"]
fn front_hands_on_a_stream_piece_by_piece() {
    let server = start("127.0.0.1:0");
    let upstream = server.addr().to_string();
    std::thread::scope(|scope| {
        for kind in [NGINX, HAPROXY] {
            let event = server.create_event("Walk", 5);
            let front = Front::before(&upstream, kind);
            let server = &server;
            scope.spawn(move || {
                // All of it, or it would end with the loop's turn.
                let front = front;
                let client = Client::connect_from(fresh_source(), front.address);
                let path = format!("/events/{event}");
                let mut stream = Stream::try_open(client, &path, &[]).expect("a head");
                assert_eq!(stream.head.status, 200, "{}", kind.program);
                assert_eq!(stream.next().data.unwrap()["available_spots"], 5);
                let comment = stream.try_next().expect(kind.program).expect("a comment");
                assert_eq!(comment.data, None);
                server.register(event, "ada@example.com").expect_status(201);
                let sold = Instant::now();
                assert_eq!(stream.next().data.unwrap()["available_spots"], 4);
                assert!(sold.elapsed() < PATIENCE / 4, "{}", kind.program);
            });
        }
    });
}
