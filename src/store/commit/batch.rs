//! What becomes of a batch: run together, run again, or each job by itself.

use std::time::{Duration, Instant};

use super::{CommitQueue, WAIT_MAX, Waiting, guarded, left};
use crate::error::Error;
use crate::model::Timestamp;
use crate::store::db::Transaction;
use crate::store::{Db, Tx};

/// So often a batch is run again because another server came between.
const CONFLICTS_MAX: i32 = 5;
/// Before the database is asked again what it could not be asked.
const PAUSE: Duration = Duration::from_millis(50);

impl CommitQueue {
    /// One outcome for each job, in order.
    pub(super) fn run(
        &self,
        writer: &Db,
        transaction: Transaction,
        batch: &mut [Waiting],
        deadline: Instant,
    ) -> Vec<Result<(), Error>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut result = self.run_once(writer, transaction, batch, &mut outcomes);
        let mut conflicts = 0;
        while let Err(Error::Conflict(_) | Error::OutcomeUnknown(_)) = result {
            conflicts += i32::from(matches!(result, Err(Error::Conflict(_))));
            if conflicts > CONFLICTS_MAX {
                // It is none with another server, and one of the jobs has it.
                result = self.run_apart(writer, batch, &mut outcomes);
                break;
            }
            match self.run_again(writer, batch, &mut outcomes, &result, deadline) {
                Some(again) => result = again,
                None => break,
            }
        }
        match result {
            Ok(()) => outcomes,
            Err(e) => {
                log::error!(jobs = batch.len(); "a batch was not committed: {e}");
                vec![Err(e); batch.len()]
            }
        }
    }

    /// After another server came between, or the connection was lost in COMMIT: then the jobs are run
    /// again, as they are, unless it was made after all. None: it is too late, or nobody answers, and
    /// it stays with what came of it before.
    fn run_again(
        &self,
        writer: &Db,
        batch: &mut [Waiting],
        outcomes: &mut Vec<Result<(), Error>>,
        before: &Result<(), Error>,
        deadline: Instant,
    ) -> Option<Result<(), Error>> {
        let is_unknown = matches!(before, Err(Error::OutcomeUnknown(_)));
        let begun = |e: Error| log::warn!("cannot tell yet whether a batch was committed: {e}");
        while Instant::now() < deadline {
            let transaction = self.begin(writer, left(deadline)).map_err(begun);
            let known = transaction.and_then(|transaction| match is_unknown {
                false => Ok((transaction, false)),
                true => {
                    let was_committed = transaction.was_committed().map_err(begun)?;
                    Ok((transaction, was_committed))
                }
            });
            match known {
                // This proves that it is there for good.
                Ok((transaction, true)) => return Some(self.commit(writer, transaction)),
                Ok((transaction, false)) => {
                    return Some(self.run_once(writer, transaction, batch, outcomes));
                }
                Err(()) => std::thread::sleep(PAUSE),
            }
        }
        None
    }

    /// Leaves an outcome for each job, in order, if they are committed.
    fn run_once(
        &self,
        writer: &Db,
        transaction: Transaction,
        batch: &mut [Waiting],
        outcomes: &mut Vec<Result<(), Error>>,
    ) -> Result<(), Error> {
        // Almost always nothing fails, and then no savepoint was needed. If something does, the
        // whole batch is undone and run again, each job in a savepoint of its own.
        outcomes.clear();
        let tx = transaction.tx();
        let now = self.look_ahead(tx, batch)?;
        for waiting in batch.iter_mut() {
            match guarded(|| waiting.job.run(tx, now)) {
                Err(e @ Error::Conflict(_)) => return Err(e),
                Err(e) if e != Error::Unfinished => break,
                outcome => outcomes.push(outcome),
            }
        }
        if outcomes.len() < batch.len() {
            drop(transaction);
            return self.run_apart(writer, batch, outcomes);
        }
        self.commit(writer, transaction)
    }

    fn run_apart(
        &self,
        writer: &Db,
        batch: &mut [Waiting],
        outcomes: &mut Vec<Result<(), Error>>,
    ) -> Result<(), Error> {
        outcomes.clear();
        let transaction = self.begin(writer, WAIT_MAX)?;
        let tx = transaction.tx();
        let now = self.look_ahead(tx, batch)?;
        for waiting in batch {
            let released = tx.holds_released();
            let mut outcome = Ok(());
            transaction
                .savepoint(|| {
                    outcome = guarded(|| waiting.job.run(tx, now));
                    match &outcome {
                        Err(e) if *e != Error::Unfinished => Err(e.clone()),
                        _ => Ok(()),
                    }
                })
                .or_else(|e| {
                    tx.set_holds_released(released);
                    // Otherwise the engine has rolled back everything, the jobs before it included.
                    if !transaction.is_open() {
                        return Err(e);
                    }
                    outcome = Err(e);
                    Ok(())
                })?;
            outcomes.push(outcome);
        }
        self.commit(writer, transaction)
    }

    fn look_ahead(&self, tx: &Tx, batch: &[Waiting]) -> Result<Timestamp, Error> {
        let scopes = batch.iter().map(|waiting| waiting.job.scope());
        tx.look_ahead(scopes, &self.clock)
    }
}
