//! `lastseat serve`: runs the server until it is told to stop.

use std::process::ExitCode;

use super::Failure;
use crate::config::Config;
use crate::server::{self, End};

pub fn run(config: &Config) -> Result<ExitCode, Failure> {
    config.check().map_err(Failure::Usage)?;
    match server::run(config) {
        Ok(End::Clean) => Ok(ExitCode::SUCCESS),
        Ok(End::Abandoned) => Ok(ExitCode::FAILURE),
        Err(e) => Err(Failure::Failed(e.to_string())),
    }
}
