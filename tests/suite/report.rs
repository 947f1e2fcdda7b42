//! `lastseat report`: its numbers are the server's, the page needs nothing but itself, and no file
//! but a page is ever replaced.

use super::contract_support::{
    Run, cancel_event, cancel_ticket, change_event, check_in, frozen, rfc3339, run, sell,
    sell_for_good, unlimited,
};
use super::line::{ask, join};
use crate::support::sale::Sale;
use crate::support::{PATIENCE, Server, assert_sound, verify, wait_until};
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn report(db: &Path, page: &Path, event: Option<i64>) -> Run {
    let [db, page] = [db, page].map(|path| path.to_str().expect("a UTF-8 path"));
    let event = event.map(|id| id.to_string());
    let mut args = vec!["report", page, "--db", db];
    args.extend(event.iter().flat_map(|id| ["--event", id]));
    run(&args, &[])
}

/// The page about an event, or about all, with what must be true of every page.
#[track_caller]
fn page(db: &Path, event: Option<i64>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let made = report(db, &path, event);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(made.stderr, "");
    let page = std::fs::read_to_string(path).unwrap();
    assert_well_formed(&page);
    assert_alone(&page);
    page
}

/// Each element is closed where it should be, and each id is there once.
#[track_caller]
fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    let rest = page.strip_prefix("<!doctype html>").expect("a doctype");
    for part in rest.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag's end");
        assert!(!text.contains('>'), "{part}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{page}"),
            None if name == "meta" || tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, [""; 0]);
    let ids = || page.split(" id=\"").skip(1);
    let ids: Vec<&str> = ids().map(|rest| rest.split('"').next().unwrap()).collect();
    let distinct: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for named in page.split("aria-labelledby=\"").skip(1) {
        let mut named = named.split('"').next().unwrap().split(' ');
        assert!(named.all(|id| distinct.contains(id)));
    }
}

/// It loads nothing, runs nothing, and tells nothing of who bought.
#[track_caller]
fn assert_alone(page: &str) {
    let policy = "content=\"default-src 'none'; style-src 'unsafe-inline';";
    assert!(page.contains(policy));
    let foreign = [
        "http:",
        "https:",
        "//",
        "src=",
        "href",
        "url(",
        "@import",
        "<script",
        "<link",
        "<img",
        "onload",
        "example.com",
    ];
    for word in foreign {
        assert!(!page.contains(word), "{word}");
    }
}

/// The value of the first row of that name.
#[track_caller]
fn row(page: &str, name: &str) -> String {
    let head = format!("<th scope=\"row\">{name}</th><td>");
    let (_, rest) = page
        .split_once(&head)
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('<').next().unwrap().replace(',', "")
}

#[track_caller]
fn rows<const N: usize>(page: &str, names: [&str; N]) -> [String; N] {
    names.map(|name| row(page, name))
}

#[track_caller]
fn fact(page: &str, name: &str) -> String {
    let head = format!("<dt>{name}</dt><dd>");
    let (_, rest) = page
        .split_once(&head)
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('<').next().unwrap().to_owned()
}

/// The numbers of the picture of that heading: one list for each row.
#[track_caller]
fn numbers(page: &str, heading: &str) -> Vec<Vec<i64>> {
    let (_, rest) = page
        .split_once(&format!("<h3>{heading}"))
        .expect("a heading");
    let (_, rest) = rest.split_once("<tbody>\n").expect("its numbers");
    let (rows, _) = rest.split_once("</tbody>").expect("their end");
    let number = |cell: &str| {
        let digits = cell.split('<').next().unwrap().replace(',', "");
        digits.parse().unwrap_or_else(|_| panic!("{cell}"))
    };
    let cells = |row: &str| row.split("<td>").skip(1).map(number).collect();
    rows.lines().map(cells).collect()
}

const STATES: [&str; 5] = [
    "confirmed",
    "held",
    "expired",
    "cancelled by the holder",
    "cancelled by the organizer",
];

#[test]
fn each_number_is_what_the_server_says() {
    let server = Server::start(&["--rate-limit", "off", "--hold", "3s", "--sweep", "1h"]);
    let event = server.create_event("Harbour walk", 10);
    let [a, b, _] =
        ["a", "b", "c"].map(|n| sell_for_good(&server, event, &format!("{n}@example.com")));
    check_in(&server, &a).expect_status(200);
    cancel_ticket(&server, &b).expect_status(200);
    let held = sell(&server, event, "d@example.com");
    cancel_ticket(&server, &held).expect_status(200);
    sell(&server, event, "late@example.com");
    change_event(&server, event, r#"{"total_spots":12}"#).expect_status(200);
    change_event(&server, event, r#"{"name":"Harbour dance"}"#).expect_status(200);
    // Nobody sweeps the hold up, but it is over.
    let is_over = || server.event(event)["available_spots"] == 10;
    assert!(wait_until(PATIENCE, is_over));
    sell(&server, server.create_event("Another", 9), "a@example.com");
    let page = page(server.db_path(), Some(event));
    assert!(page.contains("<h2><bdi>Harbour dance</bdi></h2>"));
    assert!(!page.contains("Another"));
    assert_eq!(rows(&page, STATES), ["2", "0", "1", "2", "0"]);
    let others = [
        "spots",
        "put on sale with",
        "changes of their number",
        "tickets sold",
        "spots free",
        "checked in",
    ];
    assert_eq!(rows(&page, others), ["12", "10", "1", "5", "10", "1"]);
    let course = numbers(&page, "Spots since");
    assert_eq!(course.last().unwrap(), &[2, 0, 10, 12]);
    assert!(!page.contains(&a), "a ticket's id is its holder's secret");
}

#[test]
fn what_was_waited_for_offered_and_confirmed_is_told() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ada = sell_for_good(&server, event, "ada@example.com");
    let all_others = ask(&server, event, "bob", 4, false).text("ticket_id");
    assert!(!page(server.db_path(), None).contains("in line"));
    let party = join(&server, event, "cy", 3);
    let _offered = join(&server, event, "di", 1);
    let _waiting = join(&server, event, "ed", 2);
    cancel_ticket(&server, &all_others).expect_status(200);
    server.confirm(&party).expect_status(200);
    server.confirm(&ada).expect_status(200);
    let names = [
        "waited for in line",
        "offered to the line",
        "confirmed of these",
    ];
    assert_eq!(rows(&page(server.db_path(), None), names), ["6", "4", "3"]);
}

#[test]
fn times_are_those_of_the_sale() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Slow", 3);
    clock.advance(86_400_000);
    let first = clock.now_ms();
    sell_for_good(&server, event, "a@example.com");
    clock.advance(60_000);
    sell_for_good(&server, event, "b@example.com");
    clock.advance(37_000);
    let sold_out = clock.now_ms();
    let last = sell_for_good(&server, event, "c@example.com");
    clock.advance(7_200_000);
    cancel_ticket(&server, &last).expect_status(200);
    clock.advance(3_600_000);
    sell_for_good(&server, event, "d@example.com");
    let page = page(server.db_path(), Some(event));
    let at = |ms: i64| rfc3339(ms).replace('T', " ").replace('Z', " UTC");
    assert_eq!(row(&page, "first sale"), at(first));
    assert_eq!(row(&page, "sold out"), at(sold_out));
    assert_eq!(row(&page, "last sale"), at(clock.now_ms()));
    assert_eq!(fact(&page, "until sold out"), "1 min 37 s");
    assert_eq!(fact(&page, "sold in the busiest 2 s"), "1");
    let sales = numbers(&page, "Tickets sold in each 2 s");
    let sold: Vec<usize> = (0..sales.len()).filter(|n| sales[*n][0] == 1).collect();
    assert_eq!(sold, [0, 30, 48]);
    assert_eq!(sales[48], [1, 3]);
    let course = numbers(&page, "Spots since");
    assert_eq!(course, [[3, 0, 0, 3], [2, 0, 1, 3], [3, 0, 0, 3]]);
}

#[test]
fn what_strangers_have_typed_stays_text() {
    let server = unlimited();
    let name = r#"<script>alert("1")</script> & 'x' <img src=x onerror=y>"#;
    let event = server.create_event(name, 2);
    sell(&server, event, "a@example.com");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    assert!(report(server.db_path(), &path, None).status.success());
    let page = std::fs::read_to_string(path).unwrap();
    assert_well_formed(&page);
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; \
                   &lt;img src=x onerror=y&gt;";
    assert!(page.contains(&format!("<bdi>{escaped}</bdi>")), "{page}");
    assert_alone(&page.replace(escaped, ""));
}

#[test]
fn a_database_in_use_is_reported_on() {
    let server = unlimited();
    let sale = Sale::of(&server, server.addr(), 300);
    let tickets = sale.run(&server, 16, || {
        for n in 1..=3 {
            sale.release(100);
            assert!(wait_until(PATIENCE, || sale.sold() >= (n - 1) * 100 + 50));
            let known = sale.sold() as i64;
            let page = page(server.db_path(), None);
            let sold: i64 = row(&page, "tickets sold").parse().unwrap();
            assert!((known..=300).contains(&sold), "{sold} of {known}");
            let course = numbers(&page, "Spots since");
            assert!(course.iter().all(|n| n[1] + n[2] == n[3]), "{course:?}");
        }
    });
    let page = page(server.db_path(), None);
    assert_eq!(verify(server.db_path())["tickets"], 300);
    assert_eq!(
        rows(&page, ["tickets sold", "held", "spots free"]),
        ["300", "300", "0"]
    );
    let sales = numbers(&page, "Tickets sold in each");
    assert_eq!(sales.iter().map(|row| row[0]).sum::<i64>(), 300);
    assert!(tickets.iter().all(|ticket| !page.contains(ticket)));
}

#[test]
fn it_changes_nothing_that_a_crash_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().rate_limit_off().db(&db).start();
    let event = server.create_event("Crash", 3);
    sell(&server, event, "a@example.com");
    server.kill9();
    let [wal, file] = ["events.db-wal", "events.db"].map(|name| folder.path().join(name));
    let read = || [&wal, &file].map(|path| std::fs::read(path).unwrap());
    let before = read();
    assert!(!before[0].is_empty());
    assert_eq!(row(&page(&db, None), "tickets sold"), "1");
    assert!(read() == before);
    assert_sound(&db);
}

#[test]
fn nothing_and_too_much_are_said() {
    let server = unlimited();
    let none = page(server.db_path(), None);
    assert!(none.contains("No event was ever put on sale."));
    for n in 1..=22 {
        server.create_event(&format!("Event {n}"), 5);
    }
    sell(&server, 21, "a@example.com");
    let unsold = page(server.db_path(), Some(1));
    assert!(unsold.contains("Nothing was sold yet."));
    assert!(!unsold.contains("<svg"));
    let all = page(server.db_path(), None);
    assert_eq!(all.matches("<section>").count(), 20);
    assert!(all.contains("These are the 20 events that most has happened to. 2 more are left out"));
    let first = all.split("<h2>").nth(1).unwrap();
    assert!(first.starts_with("<bdi>Event 21</bdi>"), "{first}");
    assert!(page(server.db_path(), Some(22)).contains("Event 22"));
}

#[test]
fn a_cancelled_event_says_so() {
    let server = unlimited();
    let event = server.create_event("Called off", 4);
    sell_for_good(&server, event, "a@example.com");
    sell(&server, event, "b@example.com");
    cancel_event(&server, event).expect_status(200);
    let page = page(server.db_path(), Some(event));
    assert_eq!(rows(&page, STATES), ["0", "0", "0", "0", "2"]);
    assert_eq!(row(&page, "spots free"), "4");
    let at = row(&page, "cancelled");
    assert!(page.contains(&format!("Event {event}, cancelled at {at}")));
}

#[track_caller]
fn assert_refused(run: &Run, names: &str) {
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert_eq!(run.stdout, "", "{run:?}");
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
    assert!(run.stderr.contains(names), "{names} is not named: {run:?}");
}

#[test]
fn what_cannot_be_reported_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("page.html");
    let missing = folder.path().join("missing.db");
    assert_refused(&report(&missing, &target, None), "no such file");
    let server = unlimited();
    let db = server.db_path();
    assert_refused(&report(db, &target, Some(7)), "there is no event 7");
    let nowhere = folder.path().join("no/such/folder/page.html");
    assert_refused(&report(db, &nowhere, None), "cannot write");
    assert_refused(&report(db, folder.path(), None), "no file");
    assert_refused(&report(db, Path::new("/dev/full"), None), "no file");
    for event in ["0", "-1", "x"] {
        let args = ["report", "page.html", &format!("--event={event}")];
        assert_eq!(run(&args, &[]).status.code(), Some(2));
    }
    assert_eq!(run(&["report"], &[]).status.code(), Some(2));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn only_a_page_is_replaced() {
    let server = unlimited();
    let db = server.db_path();
    let before = std::fs::read(db).unwrap();
    assert_refused(&report(db, db, None), "no page");
    assert!(std::fs::read(db).unwrap() == before);
    let folder = tempfile::tempdir().unwrap();
    let [letter, target, link] = ["letter", "page", "link"].map(|name| folder.path().join(name));
    std::fs::write(&letter, "Dear Ada").unwrap();
    assert_refused(&report(db, &letter, None), "no page");
    assert_eq!(std::fs::read(&letter).unwrap(), b"Dear Ada");
    std::fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    for n in 1..=2 {
        server.create_event(&format!("Event {n}"), 1);
        assert!(report(db, &link, None).status.success());
        let page = std::fs::read_to_string(&target).unwrap();
        assert!(page.contains(&format!("Event {n}")));
    }
    assert!(link.is_symlink());
    // As with any other new file, others may read it if the umask lets them.
    let fresh = folder.path().join("fresh");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert!(report(db, &fresh, None).status.success());
    assert_eq!(mode(&fresh), mode(&letter));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn a_page_may_go_to_standard_output() {
    let server = unlimited();
    server.create_event("Harbour walk", 3);
    let db = server.db_path().to_str().unwrap();
    let shown = run(&["report", "-"], &[("LASTSEAT_DB", db)]);
    assert!(shown.status.success(), "{shown:?}");
    assert_well_formed(&shown.stdout);
    assert!(shown.stdout.contains("Harbour walk"));
}

#[test]
fn the_demonstration_tells_what_its_buyers_met() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.html");
    let name = path.to_str().unwrap();
    let args = [
        "demo", "--spots", "200", "--people", "300", "--report", name,
    ];
    let shown = run(&args, &[]);
    assert!(shown.status.success(), "{shown:?}");
    assert!(shown.stdout.contains(name), "{shown:?}");
    let page = std::fs::read_to_string(&path).unwrap();
    assert_well_formed(&page);
    assert_alone(&page);
    assert_eq!(
        rows(&page, ["tickets sold", "held", "spots free"]),
        ["200", "200", "0"]
    );
    assert_eq!(rows(&page, ["sold", "sold_out"]), ["200", "100"]);
    let slowest = shown
        .stdout
        .lines()
        .find(|line| line.contains("slowest answer"));
    let slowest = slowest.unwrap().split_whitespace().nth(2).unwrap();
    let told = fact(&page, "the slowest");
    let told: f64 = told.trim_end_matches(" ms").parse().unwrap();
    assert!(
        (told - slowest.parse::<f64>().unwrap()).abs() <= 1.0,
        "{told} {slowest}"
    );
    std::fs::write(&path, "precious").unwrap();
    assert_refused(&run(&args, &[]), "no page");
}
