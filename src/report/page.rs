//! The page: its words and tables. What others have typed is escaped.

use std::fmt::Write as _;

use super::crowd::{Crowd, Latency, percentile};
use super::picture::{self, Label, Picture};
use super::sums::{Course, Event, Spots, Sums};
use super::text::{count, escaped, milliseconds, percent};
use super::time::{duration, moment};
use crate::model::Timestamp;

/// A browser loads nothing and runs nothing for this page, whatever it may contain.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub struct Page {
    html: String,
}

/// What a row of a table is about.
enum Row {
    Whole,
    Part,
    Moment,
}

impl Page {
    pub fn begin(database: &str, now: Timestamp, events: i64, left_out: i64) -> Page {
        let (database, style) = (escaped(database), include_str!("page.css"));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Report on {database}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
             <header>\n<h1>Report on {database}</h1>\n\
             <p class=\"soft\">What its ledger says at {}.</p>\n",
            moment(now.0)
        );
        if events == 0 {
            html += "<p class=\"soft\">No event was ever put on sale.</p>\n";
        }
        if left_out > 0 {
            let _ = writeln!(
                html,
                "<p class=\"soft\">These are the {} events that most has happened to. {} more are \
                 left out; <code>lastseat report --event N</code> shows any of them.</p>",
                events - left_out,
                count(left_out)
            );
        }
        html += "</header>\n";
        Page { html }
    }

    pub fn end(self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        self.html
            + &format!(
                "<footer>Made by lastseat {version}. Times are UTC. <code>lastseat verify</code> \
                 proves the ledger; this page only shows it.</footer>\n</body>\n</html>\n"
            )
    }

    pub fn event(&mut self, event: &Event, sums: &Sums, course: Option<&Course>) {
        let name = escaped(&event.name);
        let state = match (event.is_cancelled, sums.cancelled) {
            (true, Some(at)) => format!("cancelled at {}", moment(at)),
            _ => "on sale".to_owned(),
        };
        let _ = writeln!(
            self.html,
            "<section>\n<h2><bdi>{name}</bdi></h2>\n<p class=\"state\">Event {}, {state}</p>",
            event.id
        );
        self.event_facts(sums, course);
        match course {
            None => self.html += "<p class=\"state\">Nothing was sold yet.</p>\n",
            Some(course) => {
                self.spots(event.id, sums, course);
                self.sales(event.id, sums, course);
            }
        }
        self.sums(sums);
        self.html += "</section>\n";
    }

    fn event_facts(&mut self, sums: &Sums, course: Option<&Course>) {
        let mut facts = vec![("tickets sold".to_owned(), count(sums.sold))];
        if let (Some(first), Some(sold_out)) = (sums.first_sale, sums.sold_out) {
            facts.push(("until sold out".to_owned(), duration(sold_out - first)));
        }
        if let Some(course) = course {
            let piece = duration(course.sales_ms);
            facts.push((
                format!("sold in the busiest {piece}"),
                count(course.most_sold()),
            ));
        }
        if sums.cancelled.is_none() {
            facts.push(("spots free now".to_owned(), count(sums.now.free())));
        }
        self.facts(&facts);
    }

    fn spots(&mut self, id: i64, sums: &Sums, course: &Course) {
        let most = course.spots.iter().map(|spots| spots.capacity).max();
        let most = most.unwrap_or(0).max(1);
        let band = |colour, top: fn(&Spots) -> i64| {
            let heights = course.spots.iter().map(top);
            let heights: Vec<f64> = heights.map(|spots| spots as f64 / most as f64).collect();
            picture::area(colour, &heights)
        };
        let (capacity, held, confirmed) = (sums.now.capacity, sums.now.held, sums.now.confirmed);
        let label = |name, colour, value: i64, below: i64| Label {
            name,
            colour,
            value: count(value),
            height: (below as f64 + value as f64 / 2.0) / most as f64,
        };
        self.picture(&Picture {
            id: format!("spots-{id}"),
            title: "Spots since the first sale".to_owned(),
            description: format!(
                "From the first sale to the last change, {}: in the end {} of {} spots are \
                 confirmed, {} held, {} free.",
                duration(course.spots.len() as i64 * course.spots_ms),
                count(confirmed),
                count(capacity),
                count(held),
                count(sums.now.free())
            ),
            span_ms: course.spots.len() as i64 * course.spots_ms,
            marks: picture::marks(most),
            shapes: band("free", |spots| spots.capacity)
                + &band("held", |spots| spots.held + spots.confirmed)
                + &band("confirmed", |spots| spots.confirmed),
            labels: vec![
                label("free", "free", sums.now.free(), held + confirmed),
                label("held", "held", held, confirmed),
                label("confirmed", "confirmed", confirmed, 0),
            ],
        });
        let mut before = None;
        let rows = course.spots.iter().enumerate().filter_map(|(n, spots)| {
            let is_new = before.replace(*spots) != Some(*spots);
            let numbers = [spots.confirmed, spots.held, spots.free(), spots.capacity].map(count);
            is_new.then(|| (duration((n as i64 + 1) * course.spots_ms), numbers))
        });
        let heads = ["confirmed", "held", "free", "capacity"];
        self.numbers(heads, rows.collect());
    }

    fn sales(&mut self, id: i64, sums: &Sums, course: &Course) {
        let most = course.most_sold();
        let heights = course.sales.iter().map(|sold| *sold as f64 / most as f64);
        let heights: Vec<f64> = heights.collect();
        let piece = duration(course.sales_ms);
        let until = match sums.sold_out {
            Some(_) => "the last spot",
            None => "the last",
        };
        self.picture(&Picture {
            id: format!("sales-{id}"),
            title: format!("Tickets sold in each {piece}, from the first to {until}"),
            description: format!("At most {} in {piece}.", count(most)),
            span_ms: course.sales.len() as i64 * course.sales_ms,
            marks: picture::marks(most),
            shapes: picture::bars("confirmed", &heights),
            labels: vec![Label {
                name: "most",
                colour: "confirmed",
                value: count(most),
                height: 1.0,
            }],
        });
        let mut so_far = 0;
        let rows = course.sales.iter().enumerate().map(|(n, sold)| {
            so_far += sold;
            (
                duration((n as i64 + 1) * course.sales_ms),
                [*sold, so_far].map(count),
            )
        });
        self.numbers(["sold", "so far"], rows.collect());
    }

    fn sums(&mut self, sums: &Sums) {
        let share = |n: i64| match n {
            0 => String::new(),
            n => percent(n, sums.sold),
        };
        self.html += "<div class=\"tables\">\n";
        self.table("In all", |row| {
            row(Row::Whole, "spots", &count(sums.now.capacity), "");
            if sums.capacity_changes > 0 {
                row(Row::Part, "put on sale with", &count(sums.created), "");
                row(
                    Row::Part,
                    "changes of their number",
                    &count(sums.capacity_changes),
                    "",
                );
            }
            row(Row::Whole, "tickets sold", &count(sums.sold), "");
            for (what, n) in [
                ("confirmed", sums.now.confirmed),
                ("held", sums.now.held),
                ("expired", sums.expired),
                ("cancelled by the holder", sums.by_holder),
                ("cancelled by the organizer", sums.by_organizer),
            ] {
                row(Row::Part, what, &count(n), &share(n));
            }
            row(Row::Whole, "spots free", &count(sums.now.free()), "");
            if sums.waited_for > 0 {
                row(
                    Row::Whole,
                    "waited for in line",
                    &count(sums.waited_for),
                    "",
                );
                row(Row::Part, "offered to the line", &count(sums.offered), "");
                row(Row::Part, "confirmed of these", &count(sums.taken), "");
            }
            row(
                Row::Whole,
                "checked in",
                &count(sums.checked_in),
                &share(sums.checked_in),
            );
        });
        self.table("When", |row| {
            for (what, at) in [
                ("put on sale", sums.put_on_sale),
                ("first sale", sums.first_sale),
                ("sold out", sums.sold_out),
                ("last sale", sums.last_sale),
                ("cancelled", sums.cancelled),
            ] {
                at.into_iter()
                    .for_each(|at| row(Row::Moment, what, &moment(at), ""));
            }
        });
        self.html += "</div>\n";
    }

    pub fn crowd(&mut self, crowd: &Crowd) {
        let sorted = crowd.sorted();
        if sorted.is_empty() {
            return;
        }
        self.html += "<section>\n<h2>What the buyers met</h2>\n";
        let facts = [
            ("half of the answers within", 50.0),
            ("99 % within", 99.0),
            ("99.9 % within", 99.9),
            ("the slowest", 100.0),
        ];
        self.facts(
            &facts.map(|(what, percent)| {
                (what.to_owned(), milliseconds(percentile(&sorted, percent)))
            }),
        );
        self.latency(crowd);
        self.table("Answers", |row| {
            for (code, n) in &crowd.codes {
                let (n, of) = (*n as i64, sorted.len() as i64);
                row(Row::Whole, &escaped(code), &count(n), &percent(n, of));
            }
        });
        self.html += "</section>\n";
    }

    fn latency(&mut self, crowd: &Crowd) {
        let (piece_ms, pieces) = crowd.over_time();
        let all = || pieces.iter().flatten();
        let least = all().map(|latency| latency.half).min().unwrap_or(1).max(1);
        let most = all().map(|latency| latency.slowest).max().unwrap_or(1);
        // From a round number below the least to the most.
        let round = (0..9).flat_map(|n| [1, 2, 5].map(|digit| digit * 10_u32.pow(n)));
        let bottom = round.clone().rfind(|us| *us <= least).unwrap_or(1);
        let scale = f64::from(most.max(2 * bottom)) / f64::from(bottom);
        let height = |us: u32| (f64::from(us.max(bottom)) / f64::from(bottom)).ln() / scale.ln();
        let shown = round.filter(|us| (bottom..=most).contains(us));
        let lines = |colour, of: fn(&Latency) -> u32| {
            let mut last = 0.0;
            let heights = pieces.iter().map(|latency| {
                last = latency.map_or(last, |latency| height(of(&latency)));
                last
            });
            picture::line(colour, &heights.collect::<Vec<f64>>())
        };
        let last = all().last();
        let label = |name, colour, of: fn(&Latency) -> u32| Label {
            name,
            colour,
            value: String::new(),
            height: last.map_or(0.0, |last| height(of(last))),
        };
        self.picture(&Picture {
            id: "latency".to_owned(),
            title: "How long answers took, since the opening (logarithmic)".to_owned(),
            description: format!(
                "In each {} of the sale: half of the answers, 99 % of them, and the slowest. The \
                 scale is logarithmic.",
                duration(piece_ms)
            ),
            span_ms: pieces.len() as i64 * piece_ms,
            marks: shown
                .map(|us| (height(us), format!("{} ms", f64::from(us) / 1e3)))
                .collect(),
            shapes: lines("slowest", |latency| latency.slowest)
                + &lines("held", |latency| latency.p99)
                + &lines("confirmed", |latency| latency.half),
            labels: vec![
                label("slowest", "slowest", |latency| latency.slowest),
                label("99 %", "held", |latency| latency.p99),
                label("half", "confirmed", |latency| latency.half),
            ],
        });
        let rows = pieces.iter().enumerate().filter_map(|(n, latency)| {
            let Latency { half, p99, slowest } = (*latency)?;
            let numbers = [half, p99, slowest].map(milliseconds);
            Some((duration((n as i64 + 1) * piece_ms), numbers))
        });
        self.numbers(["half", "99 %", "slowest"], rows.collect());
    }

    fn facts(&mut self, facts: &[(String, String)]) {
        self.html += "<dl class=\"facts\">";
        for (what, value) in facts {
            let _ = write!(self.html, "<div><dt>{what}</dt><dd>{value}</dd></div>");
        }
        self.html += "</dl>\n";
    }

    fn table(&mut self, title: &str, rows: impl FnOnce(&mut dyn FnMut(Row, &str, &str, &str))) {
        let _ = writeln!(self.html, "<div><h3>{title}</h3>\n<table class=\"sums\">");
        rows(&mut |row, what, value, share| {
            let (class, share) = match row {
                Row::Whole => ("", format!("<td>{share}</td>")),
                Row::Part => (" class=\"part\"", format!("<td>{share}</td>")),
                Row::Moment => ("", String::new()),
            };
            let _ = writeln!(
                self.html,
                "<tr{class}><th scope=\"row\">{what}</th><td>{value}</td>{share}</tr>"
            );
        });
        self.html += "</table></div>\n";
    }

    fn picture(&mut self, picture: &Picture) {
        let (title, svg) = (escaped(&picture.title), picture.svg());
        let _ = writeln!(self.html, "<h3>{title}</h3>\n{svg}");
    }

    /// The numbers of a picture, for who cannot see it or wants to know better.
    fn numbers<const N: usize>(&mut self, heads: [&str; N], rows: Vec<(String, [String; N])>) {
        let heads = heads
            .map(|head| format!("<th scope=\"col\">{head}</th>"))
            .concat();
        let _ = write!(
            self.html,
            "<details><summary>The same in numbers</summary><div class=\"scroll\" tabindex=\"0\"><table>\n\
             <thead><tr><th scope=\"col\">until</th>{heads}</tr></thead>\n<tbody>\n"
        );
        for (time, numbers) in rows {
            let numbers = numbers.map(|number| format!("<td>{number}</td>")).concat();
            let _ = writeln!(self.html, "<tr><th scope=\"row\">{time}</th>{numbers}</tr>");
        }
        self.html += "</tbody>\n</table></div></details>\n";
    }
}
