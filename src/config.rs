//! Flags and `LASTSEAT_*` variables, validated into one [`Config`].

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use log::LevelFilter;

use crate::api::{AllowedOrigin, Auth, RateLimit};
use crate::message::parse_block;
use crate::store::{Durability, Location};
use crate::transport::Address;

/// Everything the server can be told. Ranges are checked here and nowhere else.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where to listen: IP:PORT, or unix:/path for a Unix socket
    #[arg(
        long,
        env = "LASTSEAT_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        allow_hyphen_values = true
    )]
    pub listen: Address,

    /// The database file, created if there is none; or the postgres:// URL of a database
    #[arg(
        long,
        env = "LASTSEAT_DB",
        default_value = "events.db",
        value_name = "FILE",
        value_parser = location()
    )]
    pub db: Location,

    /// Worker threads, 1 to 64 [default: one a core, 2 to 16]
    #[arg(long, env = "LASTSEAT_WORKERS", value_name = "N", value_parser = number(1, 64), allow_hyphen_values = true)]
    pub workers: Option<usize>,

    /// How long a spot is held for a buyer who has not confirmed, 1s to 1h
    #[arg(long, env = "LASTSEAT_HOLD", default_value = "5m", value_name = "DURATION",
          value_parser = duration(1_000, 3_600_000), allow_hyphen_values = true)]
    pub hold: Duration,

    /// How often expired holds are swept up, 100ms to 1h
    #[arg(long, env = "LASTSEAT_SWEEP", default_value = "10s", value_name = "DURATION",
          value_parser = duration(100, 3_600_000), allow_hyphen_values = true)]
    pub sweep: Duration,

    /// Requests a client address may make in any window of this length, or off
    #[arg(long, env = "LASTSEAT_RATE_LIMIT", default_value = "5/10s", value_name = "N/DURATION",
          value_parser = rate_limit, allow_hyphen_values = true)]
    pub rate_limit: RateLimitSetting,

    /// A proxy whose X-Forwarded-For is believed, as address or CIDR; may be repeated
    #[arg(
        long,
        env = "LASTSEAT_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_block,
        allow_hyphen_values = true
    )]
    pub trusted_proxy: Vec<IpNet>,

    /// Requests of one organizer's key (of an admin's too) in any window, as 500/10s: they count
    /// for the key, not for the address that they come from
    #[arg(long, env = "LASTSEAT_KEY_RATE_LIMIT", default_value = "500/10s", value_name = "LIMIT",
          value_parser = rate_limit, allow_hyphen_values = true)]
    pub key_rate_limit: RateLimitSetting,

    /// What an acknowledged ticket survives: full = power loss, normal = a crash of the program
    #[arg(
        long,
        env = "LASTSEAT_DURABILITY",
        default_value = "full",
        value_name = "LEVEL",
        allow_hyphen_values = true
    )]
    pub durability: DurabilitySetting,

    /// Jobs that share one transaction at most, 1 to 4096
    #[arg(long, env = "LASTSEAT_COMMIT_BATCH", default_value = "256", value_name = "N",
          value_parser = number(1, 4_096), allow_hyphen_values = true)]
    pub commit_batch: usize,

    /// Jobs that wait for a transaction at most, 1 to 65536; beyond that clients get a 503
    #[arg(long, env = "LASTSEAT_COMMIT_QUEUE", default_value = "4096", value_name = "N",
          value_parser = number(1, 65_536), allow_hyphen_values = true)]
    pub commit_queue: usize,

    /// Connections at a time, 16 to 1000000; more of them wait, and one address may hold a quarter
    /// [default: what the limit of descriptors allows, 4096 at most]
    #[arg(long, env = "LASTSEAT_CONNECTIONS_MAX", value_name = "N",
          value_parser = number(16, 1_000_000), allow_hyphen_values = true)]
    pub connections_max: Option<usize>,

    /// Streams and long polls at a time, 0 to 65536; beyond that clients get a 503
    #[arg(long, env = "LASTSEAT_STREAMS_MAX", default_value = "256", value_name = "N",
          value_parser = number(0, 65_536), allow_hyphen_values = true)]
    pub streams_max: usize,

    /// Least severe log lines to write: off, error, warn, info, debug or trace
    #[arg(
        long,
        env = "LASTSEAT_LOG_LEVEL",
        default_value = "info",
        value_name = "LEVEL",
        allow_hyphen_values = true
    )]
    pub log_level: LevelFilter,

    /// Where a request's role comes from: role = the X-Role header, key = a key made with lastseat
    /// key add, in Authorization: Bearer
    #[arg(
        long,
        env = "LASTSEAT_AUTH",
        default_value = "role",
        value_name = "SOURCE",
        allow_hyphen_values = true
    )]
    pub auth: AuthSetting,

    /// Believe the X-Role header on an address that is not loopback
    #[arg(long, env = "LASTSEAT_TRUST_X_ROLE")]
    pub trust_x_role: bool,

    /// The path where a proxy mounts the server, as in /tickets; what it names begins with it
    #[arg(long, env = "LASTSEAT_BASE_PATH", default_value = "", hide_default_value = true,
          value_name = "PATH", value_parser = base_path)]
    pub base_path: String,

    /// An origin whose pages may call, as in https://shop.example, or * for all; may be repeated
    #[arg(long, env = "LASTSEAT_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',',
          value_parser = AllowedOrigin::parse, allow_hyphen_values = true)]
    pub cors_origin: Vec<AllowedOrigin>,

    /// One process only: nobody starts the server again should it die
    #[arg(long, env = "LASTSEAT_NO_KEEPER")]
    pub no_keeper: bool,

    /// Told by the keeper to the server that it starts: how many there have been before
    #[arg(long, env = "LASTSEAT_KEPT", hide = true)]
    pub kept: Option<u64>,

    /// Verify the database in the background; until then, and if it is not sound, /readyz answers 503
    #[arg(long, visible_alias = "on-start", env = "LASTSEAT_VERIFY_ON_START")]
    pub verify_on_start: bool,

    /// For tests: a folder of files, see hooks.rs; also lets X-Test-Panic cause a panic
    #[arg(long, hide = true, value_name = "DIR")]
    pub test_hooks: Option<PathBuf>,
}

impl Config {
    /// What no single flag shows. The message is for the person who typed the command.
    pub fn check(&self) -> Result<(), String> {
        let Address::Tcp(address) = &self.listen else {
            return Ok(());
        };
        let believed = address.ip().is_loopback() || self.trust_x_role;
        if believed || matches!(self.auth, AuthSetting::Key) {
            return Ok(());
        }
        Err(format!(
            "--listen {address} can be reached by others, and the X-Role header that grants roles \
             is only as honest as whoever sends it: give --auth key, or listen on 127.0.0.1 behind a \
             proxy that sets X-Role, or give --trust-x-role if you know that only such a proxy can \
             connect"
        ))
    }

    /// How many servers this one's keeper has had before.
    pub fn predecessors(&self) -> u64 {
        self.kept.unwrap_or(0)
    }

    /// Two workers sold faster than four on two cores: the fsync is shared either way, and more
    /// threads only take turns.
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        self.workers.unwrap_or_else(|| cores().clamp(2, 16))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DurabilitySetting {
    Full,
    Normal,
}

impl From<DurabilitySetting> for Durability {
    fn from(setting: DurabilitySetting) -> Durability {
        match setting {
            DurabilitySetting::Full => Durability::Full,
            DurabilitySetting::Normal => Durability::Normal,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AuthSetting {
    Role,
    Key,
}

impl From<AuthSetting> for Auth {
    fn from(setting: AuthSetting) -> Auth {
        match setting {
            AuthSetting::Role => Auth::Role,
            AuthSetting::Key => Auth::Key,
        }
    }
}

/// The database that a command works on.
#[derive(Args, Clone, Debug)]
pub struct Database {
    /// The database file, or the postgres:// URL of a database
    #[arg(
        long,
        env = "LASTSEAT_DB",
        default_value = "events.db",
        value_name = "FILE",
        value_parser = location()
    )]
    pub db: Location,
}

pub fn location() -> impl TypedValueParser<Value = Location> {
    PathBufValueParser::new().map(Location::from)
}

/// None is `off`. An alias would make clap take the flag for optional.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimitSetting(pub Option<RateLimit>);

fn rate_limit(text: &str) -> Result<RateLimitSetting, String> {
    if text == "off" {
        return Ok(RateLimitSetting(None));
    }
    let expected = "expected REQUESTS/DURATION, as in 5/10s (1 to 1000 in 1s to 1h), or off";
    let (requests, window) = text.split_once('/').ok_or(expected)?;
    let requests = number(1, 1_000)(requests).map_err(|_| expected)?;
    let window = duration(1_000, 3_600_000)(window).map_err(|_| expected)?;
    Ok(RateLimitSetting(Some(RateLimit { requests, window })))
}

/// Without a slash at its end, so that "/" is the same as nothing.
fn base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let is_path = path.starts_with('/') && !path.contains("//") && path.bytes().all(allowed);
    match path.is_empty() || is_path {
        true => Ok(path.to_owned()),
        false => Err("expected a path, as in /tickets".to_owned()),
    }
}

fn number(min: usize, max: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(n) if (min..=max).contains(&n) && text.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
        _ => Err(format!("expected a whole number from {min} to {max}")),
    }
}

fn duration(min_ms: u64, max_ms: u64) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let ms =
            parse_duration_ms(text).ok_or("expected a duration such as 500ms, 10s, 5m or 1h")?;
        if !(min_ms..=max_ms).contains(&ms) {
            let range = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
            return Err(format!(
                "expected a duration from {:?} to {:?}",
                range.0, range.1
            ));
        }
        Ok(Duration::from_millis(ms))
    }
}

fn parse_duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit_ms)
}
