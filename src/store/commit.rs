//! Group commit: many jobs share one transaction, and so one fsync.
//!
//! Jobs wait in a bounded channel. The *baton* is a channel that holds one token, the write
//! connection itself: whoever takes it leads, that is runs `BEGIN IMMEDIATE`, the waiting jobs,
//! `COMMIT`, hands it back, waits for the disk, and only then tells each job how it went. While one
//! leader waits for the disk, the next one is at work. Because one connection does all the writing,
//! its page cache stays warm from batch to batch.
//!
//! Nothing here makes a sale correct: that is for the statements inside the transaction. The
//! baton is there for fairness and speed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::open::Transaction;
use super::{Db, Durable, Tx};
use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::Timestamp;

/// A piece of work that shares its transaction with others.
pub trait Job: Send {
    /// Does the work. May be called again, on a state as if the first call had never been, after
    /// another job of the batch has failed. `Err` means failure: what it wrote is undone. A
    /// refusal by the rules is no failure; the job keeps it to itself.
    fn run(&mut self, tx: &Tx, now: Timestamp) -> Result<(), Error>;

    /// Called once, after `COMMIT`, or with the reason why nothing of the job was kept.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

type BoxedJob = Box<dyn Job>;

pub struct CommitQueue {
    jobs: (Sender<BoxedJob>, Receiver<BoxedJob>),
    baton: (Sender<Db>, Receiver<Db>),
    batch_jobs_max: usize,
    durable: Durable,
    clock: Clock,
    /// Told why another server should take over.
    retire: Sender<String>,
}

impl CommitQueue {
    pub fn new(
        writer: Db,
        durable: Durable,
        queue_jobs_max: usize,
        batch_jobs_max: usize,
        clock: Clock,
        retire: Sender<String>,
    ) -> CommitQueue {
        let baton = bounded(1);
        baton.0.send(writer).expect("the channel has room for one");
        CommitQueue {
            jobs: bounded(queue_jobs_max),
            baton,
            batch_jobs_max,
            durable,
            clock,
            retire,
        }
    }

    /// Fails if what is in the WAL must not be copied, or the database file is not where it was. Must
    /// not be called in a transaction.
    pub fn check(&self, db: &Db) -> Result<(), Error> {
        self.durable.check(db).inspect_err(|e| self.give_way(e))
    }

    /// Has the next batch written to the beginning of the WAL. Buyers wait only for what is copied
    /// and flushed last; a reader who is in the way is not waited for. Must not be called in a
    /// transaction.
    pub fn restart_wal(&self, db: &Db) -> Result<(), Error> {
        // What is written during the first round is left to the second.
        for _ in 0..2 {
            db.checkpoint()?;
            self.durable.flush_database()?;
        }
        self.with_baton(Db::checkpoint_and_restart).map(|_| ())
    }

    /// At the end, when nobody else is at work any more: brings what is in the WAL into the database
    /// file, as far as it can be trusted.
    pub fn close(&self) -> Result<(), Error> {
        self.with_baton(|writer| self.durable.close(writer))
    }

    /// Has another server take over, unless this one can sell again once the cause is gone.
    fn give_way(&self, why: &Error) {
        if self.durable.has_failed() {
            let _ = self.retire.try_send(why.to_string());
        }
    }

    /// Queues a job, or gives it back if the queue is full. The caller then calls
    /// [`CommitQueue::lead`].
    pub fn submit(&self, job: BoxedJob) -> Result<(), BoxedJob> {
        self.jobs.0.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Jobs that wait.
    pub fn queued(&self) -> i64 {
        self.jobs.1.len() as i64
    }

    /// Jobs that may wait.
    pub fn queued_max(&self) -> i64 {
        self.jobs.1.capacity().unwrap_or(0) as i64
    }

    /// Commits what is queued, unless somebody else is at it.
    pub fn lead(&self) {
        while !self.jobs.1.is_empty() {
            let Ok(writer) = self.baton.1.try_recv() else {
                return;
            };
            let baton = self.hold(writer);
            let mut batch: Vec<BoxedJob> =
                self.jobs.1.try_iter().take(self.batch_jobs_max).collect();
            if batch.is_empty() {
                // Another leader took them before this one had the baton.
                continue;
            }
            let mut outcomes = match self.check(baton.writer()) {
                Ok(()) => commit(baton.writer(), &mut batch, &self.clock),
                Err(e) => vec![Err(e); batch.len()],
            };
            let number = self.durable.written();
            drop(baton);
            if outcomes.iter().any(Result::is_ok)
                && let Err(e) = self.durable.wait_for(number)
            {
                log::error!(jobs = batch.len(); "a batch may not be on disk: {e}");
                self.give_way(&e);
                outcomes.fill(Err(e));
            }
            count(&outcomes);
            for (job, outcome) in batch.into_iter().zip(outcomes) {
                job.finish(outcome);
            }
        }
    }

    /// Waits for the baton and does `f` with the write connection, in a transaction of its own.
    pub fn write_alone<T>(
        &self,
        f: impl FnOnce(&Tx, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with_baton(|writer| {
            self.check(writer)?;
            let transaction = Transaction::begin(&writer.conn, "BEGIN IMMEDIATE")?;
            let tx = Tx::on(&writer.conn);
            let result = f(&tx, self.clock.now())?;
            transaction.commit()?;
            METRICS.commits.inc();
            METRICS.holds_released.inc_by(tx.holds_released());
            Ok(result)
        })
    }

    /// Waits for the baton and does `f` with the write connection while nobody can commit.
    fn with_baton<T>(&self, f: impl FnOnce(&Db) -> Result<T, Error>) -> Result<T, Error> {
        let writer = self
            .baton
            .1
            .recv()
            .map_err(|e| Error::Internal(e.to_string()))?;
        let baton = self.hold(writer);
        let result = f(baton.writer());
        drop(baton);
        // Whoever has queued a job meanwhile found the baton taken, and went away.
        self.lead();
        result
    }

    fn hold(&self, writer: Db) -> Baton<'_> {
        Baton {
            writer: Some(writer),
            queue: self,
        }
    }
}

/// Goes back to where it was taken from, also when its holder panics.
struct Baton<'q> {
    writer: Option<Db>,
    queue: &'q CommitQueue,
}

impl Baton<'_> {
    fn writer(&self) -> &Db {
        self.writer
            .as_ref()
            .expect("it is here until it is dropped")
    }
}

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let _ = self.queue.baton.0.send(writer);
        }
    }
}

fn count(outcomes: &[Result<(), Error>]) {
    if outcomes.iter().any(Result::is_ok) {
        METRICS.commits.inc();
        METRICS.jobs_per_commit.observe(outcomes.len() as f64);
    } else {
        METRICS.commits_failed.inc();
    }
}

/// One outcome for each job, in order.
fn commit(writer: &Db, batch: &mut [BoxedJob], clock: &Clock) -> Vec<Result<(), Error>> {
    // Almost always nothing fails, and then no savepoint was needed. If something does, the whole
    // batch is undone and run again, each job in a savepoint of its own.
    let outcomes = match run_together(writer, batch, clock) {
        Attempt::Done => return vec![Ok(()); batch.len()],
        Attempt::JobFailed => run_apart(writer, batch, clock),
        Attempt::TransactionFailed(e) => Err(e),
    };
    outcomes.unwrap_or_else(|e| {
        log::error!(jobs = batch.len(); "a batch was not committed: {e}");
        vec![Err(e); batch.len()]
    })
}

enum Attempt {
    Done,
    JobFailed,
    TransactionFailed(Error),
}

fn run_together(writer: &Db, batch: &mut [BoxedJob], clock: &Clock) -> Attempt {
    let transaction = match Transaction::begin(&writer.conn, "BEGIN IMMEDIATE") {
        Ok(transaction) => transaction,
        Err(e) => return Attempt::TransactionFailed(e),
    };
    let (tx, now) = (Tx::on(&writer.conn), clock.now());
    for job in batch {
        if run_guarded(job, &tx, now).is_err() {
            return Attempt::JobFailed;
        }
    }
    match transaction.commit() {
        Ok(()) => {
            METRICS.holds_released.inc_by(tx.holds_released());
            Attempt::Done
        }
        Err(e) => Attempt::TransactionFailed(e),
    }
}

fn run_apart(
    writer: &Db,
    batch: &mut [BoxedJob],
    clock: &Clock,
) -> Result<Vec<Result<(), Error>>, Error> {
    let transaction = Transaction::begin(&writer.conn, "BEGIN IMMEDIATE")?;
    let (tx, now) = (Tx::on(&writer.conn), clock.now());
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch {
        writer.conn.execute_batch("SAVEPOINT job")?;
        let released = tx.holds_released();
        let outcome = run_guarded(job, &tx, now);
        if !transaction.is_open() {
            // SQLite has rolled back everything, the jobs before this one included.
            return Err(outcome
                .err()
                .unwrap_or(Error::StorageUnavailable("rolled back".into())));
        }
        if outcome.is_err() {
            writer.conn.execute_batch("ROLLBACK TO job")?;
            tx.set_holds_released(released);
        }
        writer.conn.execute_batch("RELEASE job")?;
        outcomes.push(outcome);
    }
    transaction.commit()?;
    METRICS.holds_released.inc_by(tx.holds_released());
    Ok(outcomes)
}

fn run_guarded(job: &mut BoxedJob, tx: &Tx, now: Timestamp) -> Result<(), Error> {
    catch_unwind(AssertUnwindSafe(|| job.run(tx, now)))
        .unwrap_or_else(|_| Err(Error::Internal("a job panicked".into())))
}
