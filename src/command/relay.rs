//! `lastseat relay`: tells another program what happens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use log::LevelFilter;

use super::{Failure, print};
use crate::logging;
use crate::relay::{self, Authorities, Events, Plan, Secret, Url};
use crate::signals;

#[derive(Args, Debug)]
#[command(
    after_help = "The receiver is told of every change as Standard Webhooks 1.0 says: in order within \
    an event, each at least once, with the same webhook-id each time. One that does not answer 2xx is \
    tried again, an hour apart at most; 410 ends the relay. What has been told is in the position file, \
    so that a relay that starts anew goes on there. Run one at a time for each such file."
)]
pub struct Relay {
    /// The server whose events are followed
    #[arg(long, env = "LASTSEAT_RELAY_FROM", value_name = "URL", default_value = "http://127.0.0.1:8080",
          value_parser = Url::parse)]
    from: Url,

    /// An organizer's key, if the server runs with --auth key (better in the variable: others see flags)
    #[arg(
        long,
        env = "LASTSEAT_RELAY_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    key: Option<String>,

    /// The event, or all of them, those to come among them
    #[arg(long, env = "LASTSEAT_RELAY_EVENT", value_name = "N|all", value_parser = events)]
    event: Events,

    /// The receiver
    #[arg(long, env = "LASTSEAT_RELAY_TO", value_name = "URL", value_parser = Url::parse)]
    to: Url,

    /// What signs, as in whsec_...; given twice while the receiver changes from one to the other
    #[arg(long, env = "LASTSEAT_RELAY_SECRET", value_name = "SECRET", value_delimiter = ',',
          value_parser = Secret::parse, hide_env_values = true, required = true)]
    secret: Vec<Secret>,

    /// Where it is written down how far the receiver has been told
    #[arg(
        long,
        env = "LASTSEAT_RELAY_POSITION",
        value_name = "FILE",
        default_value = "relay.json"
    )]
    position: PathBuf,

    /// Who vouches for the server and the receiver instead of those whom browsers know: certificates, as PEM
    #[arg(long, env = "LASTSEAT_RELAY_CA_FILE", value_name = "FILE", value_parser = Authorities::read)]
    ca_file: Option<Authorities>,

    /// Where its lag is written for Prometheus's textfile collector, as in relay.prom
    #[arg(long, env = "LASTSEAT_RELAY_METRICS_FILE", value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

impl Relay {
    pub fn run(self) -> Result<ExitCode, Failure> {
        logging::start(LevelFilter::Info);
        let (stop, stops) = signals::stop_requests();
        let asked = move || {
            let _ = stop.try_send(());
        };
        signals::catch(asked)
            .map_err(|e| Failure::Failed(format!("cannot handle signals: {e}")))?;
        let (from, to) = (self.from.as_str(), self.to.as_str());
        print(
            format!(
                "relaying from {from} to {to} (position {})\n",
                self.position.display()
            )
            .as_bytes(),
        );
        let relayed = relay::run(
            Plan {
                from: self.from,
                key: self.key,
                events: self.event,
                to: self.to,
                secrets: self.secret,
                position: self.position,
                metrics_file: self.metrics_file,
                authorities: self.ca_file,
            },
            &stops,
        );
        log::logger().flush();
        relayed.map(|()| ExitCode::SUCCESS).map_err(Failure::Failed)
    }
}

fn events(text: &str) -> Result<Events, &'static str> {
    match text {
        "all" => Ok(Events::All),
        id => match id.parse() {
            Ok(id) if id > 0 => Ok(Events::One(id)),
            _ => Err("expected an event's id, or all"),
        },
    }
}
