//! Group commit: many jobs share one transaction, and so one wait for the disk.
//!
//! Jobs wait in a bounded channel. The *baton* is a channel that holds one token, the write
//! connection itself: whoever takes it leads, that is runs `BEGIN IMMEDIATE`, the waiting jobs and
//! `COMMIT`, hands it back, and only then tells each job how it went. Because one connection does all
//! the writing, its page cache stays warm from batch to batch.
//!
//! Nobody has to be woken. Whoever submits a job tries to lead, and finds the baton taken only by
//! somebody who will look at the queue once more after handing it back.
//!
//! Nothing here makes a sale correct: that is for the statements inside the transaction. The
//! baton is there for fairness and speed.

mod batch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::db::Transaction;
use super::{Db, Scope, Tx};
use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::Timestamp;

/// No job waits longer than this for its transaction, whatever is in the way.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Where a transaction takes several round trips, it waits so long for company, and again while some
/// comes: what it costs is shared by as many as there are.
const COMPANY_COMES_WITHIN: Duration = Duration::from_micros(300);
const COMPANY_WAIT_MAX: Duration = Duration::from_millis(3);

/// A piece of work that shares its transaction with others.
pub trait Job: Send {
    /// Does the work. May be called again, on a state as if the first call had never been, after
    /// another job of the batch has failed. `Err` means failure: what it wrote is undone. A
    /// refusal by the rules is no failure; the job keeps it to itself. With `Error::Unfinished`
    /// what it wrote is kept, and it is called again in a later transaction.
    fn run(&mut self, tx: &Tx, now: Timestamp) -> Result<(), Error>;

    /// What it is about; it changes nothing else.
    fn scope(&self) -> Scope<'_>;

    /// Called once, after `COMMIT`, or with the reason why nothing of the job was kept. Never blocks.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

pub struct CommitQueue {
    job_sender: Sender<Waiting>,
    job_receiver: Receiver<Waiting>,
    baton_sender: Sender<Db>,
    baton_receiver: Receiver<Db>,
    batch_jobs_max: usize,
    clock: Clock,
    /// Whether the last batch had more jobs than one.
    was_shared: AtomicBool,
    /// After an I/O error in COMMIT or a checkpoint: nothing is committed any more.
    distrusted: AtomicBool,
    /// Told why another server should take over.
    retire: Sender<String>,
}

impl CommitQueue {
    pub fn new(
        writer: Db,
        queue_jobs_max: usize,
        batch_jobs_max: usize,
        clock: Clock,
        retire: Sender<String>,
    ) -> CommitQueue {
        let (job_sender, job_receiver) = bounded(queue_jobs_max);
        let (baton_sender, baton_receiver) = bounded(1);
        baton_sender
            .send(writer)
            .expect("the channel has room for one");
        CommitQueue {
            job_sender,
            job_receiver,
            baton_sender,
            baton_receiver,
            batch_jobs_max,
            clock,
            was_shared: AtomicBool::new(false),
            distrusted: AtomicBool::new(false),
            retire,
        }
    }

    /// Queues a job, or gives it back if the queue is full. The caller then calls
    /// [`CommitQueue::lead`].
    pub fn submit(&self, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        let since = Instant::now();
        self.job_sender
            .try_send(Waiting { job, since })
            .map_err(|e| match e {
                TrySendError::Full(waiting) | TrySendError::Disconnected(waiting) => waiting.job,
            })
    }

    /// Jobs that wait.
    pub fn queued(&self) -> i64 {
        self.job_receiver.len() as i64
    }

    /// Jobs that may wait.
    pub fn queued_max(&self) -> i64 {
        self.job_receiver.capacity().unwrap_or(0) as i64
    }

    /// Commits what is queued, unless somebody else is at it.
    pub fn lead(&self) {
        while !self.job_receiver.is_empty() {
            let Ok(writer) = self.baton_receiver.try_recv() else {
                return;
            };
            let baton = self.hold(writer);
            let finished = self.lead_batch(baton.writer());
            drop(baton);
            for (waiting, outcome) in finished {
                self.finish(waiting, outcome);
            }
        }
    }

    /// Waits for the baton and does `f` with the write connection, in a transaction of its own.
    pub fn write_alone<T>(
        &self,
        scope: Scope,
        f: impl FnOnce(&Tx, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with_baton(|writer| {
            let transaction = self.begin(writer, WAIT_MAX)?;
            let tx = transaction.tx();
            let now = tx.look_ahead([scope].into_iter(), &self.clock)?;
            let result = f(tx, now)?;
            self.commit(writer, transaction)?;
            METRICS.commits.inc();
            Ok(result)
        })
    }

    /// Has the next batch written to the beginning of the WAL.
    pub fn restart_wal(&self) -> Result<(), Error> {
        self.with_baton(Db::restart_wal)
    }

    /// At the end, when nobody else is at work any more: brings what is in the WAL into the database
    /// file, as far as readers let it, and unless it cannot be trusted.
    pub fn close(&self) -> Result<(), Error> {
        if self.is_distrusted() {
            return Ok(());
        }
        self.with_baton(Db::empty_wal)
    }

    /// After an I/O error nothing more is committed here, and another server takes over.
    pub fn distrust(&self, why: &Error) {
        self.distrusted.store(true, Ordering::SeqCst);
        self.retire(why.to_string());
    }

    pub fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::SeqCst)
    }

    /// Has another server take over.
    pub fn retire(&self, why: String) {
        let _ = self.retire.try_send(why);
    }

    /// After a failed `COMMIT`, until [`bury`](Self::bury) has succeeded: tries it again.
    pub fn bury_again(&self) {
        let _ = self.with_baton(|writer| {
            self.bury(writer);
            Ok(())
        });
    }

    fn with_baton<T>(&self, f: impl FnOnce(&Db) -> Result<T, Error>) -> Result<T, Error> {
        let writer = self.baton_receiver.recv();
        let baton = self.hold(writer.map_err(|e| Error::Internal(e.to_string()))?);
        let result = guarded(|| f(baton.writer()));
        drop(baton);
        // Whoever came meanwhile has gone away again.
        self.lead();
        result
    }

    fn hold(&self, writer: Db) -> Baton<'_> {
        Baton {
            writer: Some(writer),
            queue: self,
        }
    }

    /// Takes jobs from the queue and decides about each: an outcome for every one that was taken.
    fn lead_batch(&self, writer: &Db) -> Vec<(Waiting, Result<(), Error>)> {
        if writer.is_far() && self.was_shared.load(Ordering::Relaxed) {
            self.wait_for_company();
        }
        let mut batch = Vec::with_capacity(self.batch_jobs_max.min(64));
        let mut late = Vec::new();
        for waiting in self.job_receiver.try_iter().take(self.batch_jobs_max) {
            if waiting.since.elapsed() < WAIT_MAX {
                batch.push(waiting);
            } else {
                late.push((waiting, Err(Error::Overloaded)));
            }
        }
        self.was_shared.store(batch.len() > 1, Ordering::Relaxed);
        let Some(oldest) = batch.iter().map(|waiting| waiting.since).min() else {
            return late;
        };
        // They came together, so any order is theirs. What a sale has to look at is known ahead, until
        // something else changes it.
        if writer.is_far() {
            batch.sort_by_key(|waiting| !matches!(waiting.job.scope(), Scope::Sale { .. }));
        }
        let deadline = oldest + WAIT_MAX;
        let outcomes = match self.begin(writer, left(deadline)) {
            Ok(transaction) => self.run(writer, transaction, &mut batch, deadline),
            Err(e) => {
                log::error!(jobs = batch.len() + self.job_receiver.len(); "cannot begin: {e}");
                // The next would wait as long as these have, and in vain as well.
                batch.extend(self.job_receiver.try_iter());
                vec![Err(e); batch.len()]
            }
        };
        count(&outcomes);
        late.extend(batch.into_iter().zip(outcomes));
        late
    }

    /// Those whom the last batch has answered ask again at once, and would otherwise wait for this one
    /// and be the next, so that a crowd is served in two halves.
    fn wait_for_company(&self) {
        let until = Instant::now() + COMPANY_WAIT_MAX;
        let mut jobs = 0;
        while jobs < self.job_receiver.len() && Instant::now() < until {
            jobs = self.job_receiver.len();
            std::thread::sleep(COMPANY_COMES_WITHIN);
        }
    }

    fn finish(&self, waiting: Waiting, outcome: Result<(), Error>) {
        if outcome != Err(Error::Unfinished) {
            // A panic must not cost the other jobs of the batch their outcome.
            let _ = guarded(|| {
                waiting.job.finish(outcome);
                Ok(())
            });
            return;
        }
        if let Err(job) = self.submit(waiting.job) {
            job.finish(Err(Error::Overloaded));
        }
    }

    fn begin<'w>(&self, writer: &'w Db, patience: Duration) -> Result<Transaction<'w>, Error> {
        if self.is_distrusted() {
            self.bury(writer);
            let why = "an I/O error has happened, and another server is to take over";
            return Err(Error::StorageUnavailable(why.into()));
        }
        writer.begin_write(patience)
    }

    /// Errors: nothing of the transaction is kept, also not by the server that takes over.
    fn commit(&self, writer: &Db, transaction: Transaction) -> Result<(), Error> {
        let released = transaction.tx().holds_released();
        let result = transaction.commit();
        match &result {
            Ok(()) => METRICS.holds_released.inc_by(released),
            Err(e @ Error::DiskFailed(_)) => {
                log::error!("COMMIT failed: {e}");
                self.distrusted.store(true, Ordering::SeqCst);
                self.bury(writer);
            }
            Err(_) => {}
        }
        result
    }

    /// Makes sure that a transaction whose `COMMIT` failed never comes back, then has another server
    /// take over.
    ///
    /// SQLite has rolled it back, but if it was the flush that failed, all of it stands in the WAL,
    /// behind the last transaction that was committed, and a server that reads the WAL anew would
    /// take it for one more. The next commit overwrites its first frame, and with that the checksums
    /// of its other frames, each of which covers the frames before it, are wrong. So a commit of
    /// nothing is made, before anybody is told that nothing was sold. It flushes the WAL anew as
    /// well, so that what the next server appends does not stand behind a gap. Until it succeeds
    /// (the disk may go on failing) everybody is refused here, and nobody takes over.
    fn bury(&self, writer: &Db) {
        let buried = writer.begin_write(WAIT_MAX).and_then(|transaction| {
            transaction.tx().readiness_touch()?;
            transaction.commit()
        });
        match buried {
            Ok(()) => self.retire("an I/O error".to_owned()),
            Err(e) => log::error!("the disk still fails: {e}"),
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
            let _ = self.queue.baton_sender.send(writer);
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn count(outcomes: &[Result<(), Error>]) {
    let is_kept = |outcome: &Result<(), Error>| matches!(outcome, Ok(()) | Err(Error::Unfinished));
    if outcomes.iter().any(is_kept) {
        METRICS.commits.inc();
        METRICS.jobs_per_commit.observe(outcomes.len() as f64);
    } else {
        METRICS.commits_failed.inc();
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Internal("a job panicked".into())))
}
