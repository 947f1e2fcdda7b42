//! What saves a batch its round trips: looks made for all of its jobs at once, and writes left for
//! later.

use std::collections::HashMap;

use super::libpq::Rows;
use super::sql::{BIGINT, BYTEA, Form, Parameter, array, parameters};
use super::{Link, Moment, Ready};
use crate::error::Error;
use crate::model::Timestamp;
use crate::store::engine::{Ahead, Statement, Value};

/// Statements that are still to be run, in the order in which they are.
#[derive(Default)]
pub struct Later(Vec<Group>);

/// INSERTs of one kind are one statement with many rows.
struct Group {
    sql: &'static str,
    form: Form,
    sets: Vec<Vec<Parameter>>,
}

impl Later {
    /// A batch's INSERTs do not depend on each other, nor does anything between them.
    pub fn add(&mut self, statement: &Statement, values: &[Value]) {
        let (sql, set) = (statement.sql, parameters(statement, values));
        let form = match sql.contains("VALUES (") {
            true => Form::Many,
            false => Form::Checked,
        };
        let same = |group: &&mut Group| form == Form::Many && std::ptr::eq(group.sql, sql);
        match self.0.iter_mut().find(same) {
            Some(group) => group.sets.push(set),
            None => self.0.push(Group {
                sql,
                form,
                sets: vec![set],
            }),
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What was looked for ahead: of each look the rows that it has found.
#[derive(Default)]
pub struct Found {
    results: Vec<Rows>,
    rows: HashMap<(usize, Vec<Parameter>), Place>,
}

/// A row of a result. None: the look has found nothing.
#[derive(Clone, Copy)]
struct Place {
    result: usize,
    row: Option<usize>,
}

impl Found {
    /// None: nobody has looked for that, or it is no longer so.
    pub fn get(&self, statement: &Statement, values: &[Value]) -> Option<Option<(&Rows, usize)>> {
        if self.rows.is_empty() {
            return None;
        }
        let place = self
            .rows
            .get(&key(statement.sql, parameters(statement, values)))?;
        Some(place.row.map(|row| (&self.results[place.result], row)))
    }

    pub fn forget(&mut self, statement: &Statement, values: &[Value]) {
        if !self.rows.is_empty() {
            self.rows
                .remove(&key(statement.sql, parameters(statement, values)));
        }
    }

    pub fn clear(&mut self) {
        self.results.clear();
        self.rows.clear();
    }

    fn add(&mut self, sql: &'static str, sets: Vec<Vec<Parameter>>, rows: Rows) {
        let result = self.results.len();
        let mut row_of_set = vec![None; sets.len()];
        for row in 0..rows.len() {
            let set = number(&rows, row, 0).and_then(|n| usize::try_from(n - 1).ok());
            if let Some(place) = set.and_then(|set| row_of_set.get_mut(set)) {
                *place = Some(row);
            }
        }
        self.results.push(rows);
        for (set, row) in sets.into_iter().zip(row_of_set) {
            self.rows.insert(key(sql, set), Place { result, row });
        }
    }
}

fn key(sql: &'static str, parameters: Vec<Parameter>) -> (usize, Vec<Parameter>) {
    (sql.as_ptr() as usize, parameters)
}

fn number(rows: &Rows, row: usize, column: usize) -> Option<i64> {
    let bytes = rows.get(row, column)?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

impl Link {
    /// What was left for later, ready to be sent.
    pub(super) fn take_later(&mut self) -> Result<Vec<Ready>, Error> {
        let groups = std::mem::take(&mut self.later.0);
        let ready = groups.into_iter().map(|group| match group.form {
            Form::Many => self.ready_many(group.sql, &group.sets),
            form => {
                let parameters = group.sets.into_iter().next().unwrap_or_default();
                Ok((self.prepare(group.sql, form)?, parameters))
            }
        });
        ready.collect()
    }

    fn ready_many(&mut self, sql: &'static str, sets: &[Vec<Parameter>]) -> Result<Ready, Error> {
        let prepared = self.prepare(sql, Form::Many)?;
        let columns = prepared.types.iter().enumerate();
        let arrays = columns.map(|(n, of)| array(*of, sets.iter().map(|set| &set[n])));
        let arrays = arrays.collect();
        Ok((prepared, arrays))
    }

    pub(super) fn look_ahead(&mut self, ahead: &Ahead) -> Result<Moment, Error> {
        let mut ready = Vec::new();
        if ahead.new_events {
            let own = include_str!("../../../sql/postgres/own_new_events.sql");
            ready.push((self.prepare(own, Form::AsItIs)?, Vec::new()));
        }
        let number = |id: &i64| Some(id.to_be_bytes().to_vec());
        let events: Vec<Parameter> = ahead.events.iter().map(number).collect();
        let tickets: Vec<Parameter> = ahead.tickets.iter().map(|id| Some(id.to_vec())).collect();
        let about = vec![array(BIGINT, events.iter()), array(BYTEA, tickets.iter())];
        let own = include_str!("../../../sql/postgres/own_events.sql");
        ready.push((self.prepare(own, Form::AsItIs)?, about.clone()));
        let moment = include_str!("../../../sql/postgres/moment.sql");
        ready.push((self.prepare(moment, Form::AsItIs)?, about));
        let moment_at = ready.len() - 1;
        let missing = ahead.sales.saturating_sub(self.ticket_seqs.len());
        if missing > 0 {
            ready.push(self.ready_seqs(missing)?);
        }
        let looks = looks(ahead);
        for (sql, sets) in &looks {
            ready.push(self.ready_many(sql, sets)?);
        }
        let mut results = self.run(&ready)?.into_iter().skip(moment_at);
        let moment = results.next();
        if missing > 0 {
            results.next().iter().for_each(|seqs| self.take_seqs(seqs));
        }
        self.found.clear();
        for ((sql, sets), rows) in looks.into_iter().zip(results) {
            self.found.add(sql, sets, rows);
        }
        moment
            .as_ref()
            .and_then(read_moment)
            .ok_or_else(|| Error::Internal("no time".into()))
    }

    fn ready_seqs(&mut self, count: usize) -> Result<Ready, Error> {
        let next = include_str!("../../../sql/postgres/ticket_next_seqs.sql");
        let count = Some((count as i64).to_be_bytes().to_vec());
        Ok((self.prepare(next, Form::AsItIs)?, vec![count]))
    }

    fn take_seqs(&mut self, rows: &Rows) {
        let seqs = (0..rows.len()).filter_map(|row| number(rows, row, 0));
        self.ticket_seqs.extend(seqs);
    }

    pub(super) fn next_ticket_seq(&mut self) -> Result<i64, Error> {
        if self.ticket_seqs.is_empty() {
            let one = self.ready_seqs(1)?;
            let rows = self.run(&[one])?;
            rows.iter().for_each(|rows| self.take_seqs(rows));
        }
        let seq = self.ticket_seqs.pop_front();
        seq.ok_or_else(|| Error::Internal("a sequence without a number".into()))
    }
}

/// Those of one statement together.
fn looks(ahead: &Ahead) -> Vec<(&'static str, Vec<Vec<Parameter>>)> {
    let mut all: Vec<(&'static str, Vec<Vec<Parameter>>)> = Vec::new();
    for look in &ahead.looks {
        let (sql, set) = (look.statement.sql, parameters(look.statement, &look.values));
        match all.iter_mut().find(|(known, _)| std::ptr::eq(*known, sql)) {
            Some((_, sets)) => sets.push(set),
            None => all.push((sql, vec![set])),
        }
    }
    all
}

fn read_moment(rows: &Rows) -> Option<Moment> {
    Some(Moment {
        now: Timestamp(number(rows, 0, 0)?),
        last_change: Timestamp(number(rows, 0, 1)?),
    })
}
