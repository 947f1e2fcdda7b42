//! `lastseat serve`: runs the server until it is told to stop.

use std::io;
use std::process::ExitCode;

use super::Failure;
use crate::config::Config;
use crate::keeper;
use crate::server::{self, End};
use crate::transport::{Address, Listening};

pub fn run(config: &Config) -> Result<ExitCode, Failure> {
    let mut config = config.clone();
    let handed_over = Listening::handed_over()
        .map_err(|e| Failure::Failed(format!("cannot use the socket in LISTEN_FDS: {e}")))?;
    if let Some(listening) = &handed_over {
        config.listen = listening.address().clone();
    }
    config.check().map_err(Failure::Usage)?;
    let listening = match handed_over {
        Some(listening) => listening,
        None => listen(&config.listen)?,
    };
    // Port 0 has become a real one.
    config.listen = listening.address().clone();
    if config.no_keeper || config.kept.is_some() {
        return serve(&config, listening);
    }
    keeper::run(&config, &listening)
        .map(ExitCode::from)
        .map_err(|e| Failure::Failed(format!("cannot start the server: {e}")))
}

fn listen(address: &Address) -> Result<Listening, Failure> {
    Listening::bind(address).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there; stop it or give another --listen".to_owned()
            }
            _ => format!("{e}; give another --listen"),
        };
        Failure::Failed(format!("cannot listen on {address}: {why}"))
    })
}

fn serve(config: &Config, listening: Listening) -> Result<ExitCode, Failure> {
    match server::run(config, listening) {
        Ok(End::Clean) => Ok(ExitCode::SUCCESS),
        Ok(End::Abandoned) => Ok(ExitCode::FAILURE),
        Ok(End::TakeOver) => Ok(ExitCode::from(keeper::TAKE_OVER)),
        // It has worked before, so it may work again.
        Err(e) if config.predecessors() > 0 => {
            log::error!("{e}");
            log::logger().flush();
            Ok(ExitCode::from(keeper::TAKE_OVER))
        }
        Err(e) => Err(Failure::Failed(e.to_string())),
    }
}
