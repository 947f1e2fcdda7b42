//! `lastseat key`: makes, lists and revokes the keys of `--auth key`. A running server heeds each
//! change with its next request.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{Failure, failed, open, open_existing, print};
use crate::box_office;
use crate::clock::Clock;
use crate::config::Database;
use crate::model::{KeyName, KeyRecord, Role};

#[derive(Args, Debug)]
#[command(arg_required_else_help = false, subcommand_required = true)]
pub struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a key and print it: this once, for only its SHA-256 is kept
    #[command(after_help = "Example:\n  \
        KEY=$(lastseat key add --role organizer --name 'Box office')\n  \
        curl -H \"Authorization: Bearer $KEY\" -d '{\"name\":\"Concert\",\"total_spots\":5}' localhost:8080/events")]
    Add {
        /// What its holder may do: organizer = run the events made with this key, user = sell and
        /// confirm tickets, admin = everything
        #[arg(long, value_name = "ROLE", value_parser = PossibleValuesParser::new(["organizer", "user", "admin"])
              .try_map(|name| Role::parse(&name).ok_or("no such role")))]
        role: Role,
        /// Whose it is, for people; 1 to 200 characters
        #[arg(long, value_parser = KeyName::parse)]
        name: KeyName,
        #[command(flatten)]
        database: Database,
    },
    /// List all keys that were ever made, without what is secret of them
    List {
        #[command(flatten)]
        database: Database,
    },
    /// Revoke a key for ever; its events stay, within reach of an admin's key
    Revoke {
        /// Its number, as lastseat key list shows it
        #[arg(value_name = "ID")]
        id: i64,
        #[command(flatten)]
        database: Database,
    },
}

impl Key {
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Add {
                role,
                name,
                database,
            } => add(&database, role, &name),
            Action::List { database } => list(&database),
            Action::Revoke { id, database } => revoke(&database, id),
        }
    }
}

fn add(database: &Database, role: Role, name: &KeyName) -> Result<ExitCode, Failure> {
    let now = Clock::system().now();
    let key = open(&database.db)?
        .write(|tx| box_office::add_key(tx, now, role, name))
        .map_err(failed)?;
    print(format!("{}\n", key.as_str()).as_bytes());
    eprintln!(
        "key {} for {}, {role}: this is the only time it is shown",
        key.id,
        name.as_str()
    );
    Ok(ExitCode::SUCCESS)
}

fn list(database: &Database) -> Result<ExitCode, Failure> {
    let keys = open_existing(&database.db)?
        .read(box_office::list_keys)
        .map_err(failed)?;
    print(table(&keys).as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn table(keys: &[KeyRecord]) -> String {
    let mut text = format!(
        "{:>4}  {:<9}  {:<24}  {:<24}  NAME\n",
        "ID", "ROLE", "CREATED", "REVOKED"
    );
    for key in keys {
        let created = key.created_at.to_string();
        let revoked = key.revoked_at.map_or("-".to_owned(), |t| t.to_string());
        let (id, role, name) = (key.id, key.role.as_str(), &key.name);
        let _ = writeln!(
            text,
            "{id:>4}  {role:<9}  {created:<24}  {revoked:<24}  {name}"
        );
    }
    text
}

fn revoke(database: &Database, id: i64) -> Result<ExitCode, Failure> {
    let now = Clock::system().now();
    let db = open_existing(&database.db)?;
    let revoked = db
        .write(|tx| box_office::revoke_key(tx, now, id))
        .map_err(failed)?;
    let keys = db.read(box_office::list_keys).map_err(failed)?;
    let Some(key) = keys.into_iter().find(|key| key.id == id) else {
        return Err(Failure::Failed(format!(
            "there is no key {id}; lastseat key list shows those there are"
        )));
    };
    let already = if revoked { "" } else { " already" };
    print(format!("key {id} of {} is revoked{already}\n", key.name).as_bytes());
    Ok(ExitCode::SUCCESS)
}
