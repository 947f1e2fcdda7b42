//! The demonstration's end: a party that gives back a part, and a line that is served with it.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::buyer::Buyer;

/// Each in line, and how many they are.
const LINE: [(&str, i64); 3] = [("Bo's four", 4), ("Cy", 1), ("Di", 1)];

/// What was said and seen, a line each; and the tickets of it.
pub struct Scene {
    pub lines: Vec<String>,
    pub tickets: u64,
    /// Whether it was as it had to be.
    pub is_right: bool,
}

/// A party of five has all spots of an event, and three wait. It gives back two: those are for the two
/// who are alone, because they do not do for the four in front of them.
pub fn play(address: SocketAddr) -> io::Result<Scene> {
    let mut buyer = Buyer::connect(address)?;
    let mut post = |path: &str, role: &str, json: &str| -> io::Result<Value> {
        let (_, answer) = buyer.ask("POST", path, role, json)?;
        Ok(answer)
    };
    let event = r#"{"name":"A table for five","total_spots":5}"#;
    let event = post("/events", "organizer", event)?["id"].clone();
    let register = format!("/events/{event}/register");
    let party = post(&register, "user", r#"{"email":"al@example.com","spots":5}"#)?;
    let mut lines = vec!["Al takes all five spots of another event, with one ticket.".to_owned()];
    let mut waiting = Vec::new();
    for (n, (name, spots)) in LINE.iter().enumerate() {
        let body = format!(r#"{{"email":"line-{n}@example.com","spots":{spots},"wait":true}}"#);
        let ticket = post(&register, "user", &body)?;
        let (status, ahead) = (&ticket["status"], &ticket["ahead"]);
        lines.push(format!("{name}: {}, {ahead} ahead", text(status)));
        waiting.push(ticket);
    }
    let cancel = format!("/tickets/{}/cancel", text(&party["ticket_id"]));
    post(&cancel, "user", r#"{"spots":2}"#)?;
    lines.push("Al gives back two. In the same transaction:".to_owned());
    let mut ends = Vec::new();
    for ((name, _), ticket) in LINE.iter().zip(&waiting) {
        let path = format!("/tickets/{}", text(&ticket["ticket_id"]));
        let (_, ticket) = buyer.ask("GET", &path, "user", "")?;
        lines.push(format!("{name}: {}", text(&ticket["status"])));
        ends.push(text(&ticket["status"]).to_owned());
    }
    Ok(Scene {
        lines,
        tickets: 1 + LINE.len() as u64,
        is_right: ends == ["waiting", "reserved", "reserved"],
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("not understood")
}
