//! `lastseat demo`: a flash sale to watch, on a server and a database of its own.

mod buyer;
mod line;
mod sale;
mod stage;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::report::{refuse_other, write};
use super::{Failure, print};
use crate::clock::Clock;
use crate::report::{Crowd, report};
use crate::signals;
use crate::store::Location;
use crate::verify::verify;
use sale::Sale;
use stage::Stage;

const COUNTED_EVERY: Duration = Duration::from_millis(100);
/// Connections. More of them would only take turns.
const AT_ONCE: usize = 64;

#[derive(Args, Debug)]
pub struct Demo {
    /// Spots on sale, 1 to 1000000
    #[arg(long, default_value = "30000", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    spots: u64,

    /// People who ask for one, 1 to 10000000
    #[arg(long, default_value = "50000", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    people: u64,

    /// Also write a page that pictures the sale, as lastseat report does, and how long answers took
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

impl Demo {
    pub fn run(self) -> Result<ExitCode, Failure> {
        self.report.as_deref().map_or(Ok(()), refuse_other)?;
        let failed = |what: &str| {
            let what = what.to_owned();
            move |e: std::io::Error| Failure::Failed(format!("{what}: {e}"))
        };
        let (stop, stops) = signals::stop_requests();
        signals::catch(move || {
            let _ = stop.try_send(());
        })
        .map_err(|e| Failure::Failed(e.to_string()))?;
        let mut stage = Stage::set().map_err(failed("cannot start a server"))?;
        let sale = Sale::open(stage.address, self.spots, self.people);
        let sale = Arc::new(sale.map_err(failed("cannot put the event on sale"))?);
        say(&format!(
            "{} people ask for {} spots, {AT_ONCE} at a time, at http://{}\n",
            self.people, self.spots, stage.address
        ));
        let buyers = sale.start_buyers(AT_ONCE);
        while !buyers.iter().all(|buyer| buyer.is_finished()) {
            if stops.recv_timeout(COUNTED_EVERY).is_ok() {
                sale.break_off();
                break;
            }
            show_live(&sale.counts().line());
        }
        show_live("");
        let mut crowd = Crowd::default();
        for buyer in buyers {
            crowd.join(buyer.join().expect("a buyer does not panic"));
        }
        let counts = sale.counts();
        let scene = match sale.is_broken_off() {
            true => None,
            false => Some(line::play(stage.address).map_err(failed("the line"))?),
        };
        stage.strike();
        let Some(scene) = scene else {
            return Err(Failure::Failed("stopped before the end of the sale".into()));
        };
        say(&counts.table());
        for line in &scene.lines {
            say(&format!("  {line}\n"));
        }
        let report = verify(&stage.database(), &mut |_, _| {});
        let report = report.map_err(|e| Failure::Failed(format!("cannot verify: {e}")))?;
        let verdict = if report.ok { "sound" } else { "NOT SOUND" };
        say(&format!(
            "  verify           {verdict:>12}  {} tickets and {} ledger rows, {} violations\n",
            report.tickets, report.ledger_rows, report.violations_total
        ));
        if let Some(page) = &self.report {
            picture(page, &stage.database(), &crowd)?;
        }
        let due = self.spots.min(self.people);
        let is_right = report.ok && counts.sold == due && counts.other == 0;
        if !is_right || !scene.is_right || report.tickets != due + scene.tickets {
            return Err(Failure::Failed(format!(
                "this should have been {due} tickets and no other answer, and {} of the line: a bug",
                scene.tickets
            )));
        }
        say(EXPLANATION);
        Ok(ExitCode::SUCCESS)
    }
}

const EXPLANATION: &str = "
What you saw: a real server on a temporary file, and clients on the same machine, without pause.
1. Each sale was on disk before it was answered; sales that came together shared one flush.
2. Not one spot too many was sold, and nobody was told sold_out while one was free.
   The line was served in its order, and what four cannot use went to those alone.
3. verify has replayed the ledger: that was so at every moment, not only at the end.
4. Ordinarily an address may ask 5 times in 10 s; that limit was off here.
5. Yours: run lastseat, and curl localhost:8080 tells the rest. The temporary file is gone.
";

fn picture(page: &Path, database: &Location, crowd: &Crowd) -> Result<(), Failure> {
    let report = report(database, None, Clock::system().now(), Some(crowd));
    let report = report.map_err(|e| Failure::Failed(format!("cannot report: {e}")))?;
    write(page, &report.html)?;
    say(&format!("  pictured in      {}\n", page.display()));
    Ok(())
}

fn say(text: &str) {
    print(text.as_bytes());
}

/// One line that is written over and over; nothing where nobody watches.
fn show_live(line: &str) {
    if std::io::stdout().is_terminal() {
        say(&format!("\r\x1b[K{line}"));
        let _ = std::io::stdout().flush();
    }
}
