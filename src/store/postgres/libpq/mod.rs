//! libpq, as much of it as is needed: one connection in pipeline mode, on which several commands
//! take one round trip and no wait is longer than its deadline. The only unsafe code of the engine.

mod rows;

pub use rows::Rows;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::{NonNull, null, null_mut};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pq_sys::*;

/// The type of a parameter or column, as PostgreSQL numbers them.
pub type TypeId = Oid;

/// What is sent to the server. Parameters are in binary, None is null.
pub enum Command<'c> {
    Prepare {
        name: &'c CStr,
        sql: &'c CStr,
    },
    Describe {
        name: &'c CStr,
    },
    Run {
        name: &'c CStr,
        parameters: &'c [Option<Vec<u8>>],
    },
    /// Parsed anew each time, without parameters.
    Text {
        sql: &'c CStr,
    },
}

/// Why there is no result.
#[derive(Debug)]
pub enum Fault {
    /// What was sent may have been done, or not.
    Lost(String),
    /// The server has refused a command, and skipped those sent together with it and after it.
    Refused { state: String, message: String },
}

impl Fault {
    pub fn into_text(self) -> String {
        match self {
            Fault::Lost(why) => why,
            Fault::Refused { message, .. } => message,
        }
    }
}

/// The keywords and values of a connection string, those of libpq's variables (PGUSER) not among them.
pub fn parse_url(url: &str) -> Result<Vec<(CString, CString)>, String> {
    let url = CString::new(url).map_err(|e| e.to_string())?;
    let mut message = null_mut();
    // SAFETY: the text ends with a 0. What is returned is an array that ends with a null keyword; it
    // and the message are freed once.
    unsafe {
        let options = PQconninfoParse(url.as_ptr(), &mut message);
        if options.is_null() {
            let why = text(message).trim().to_owned();
            PQfreemem(message.cast());
            return Err(why);
        }
        let mut found = Vec::new();
        let mut option = options;
        while !(*option).keyword.is_null() {
            if !(*option).val.is_null() {
                let owned = |text: *const c_char| CStr::from_ptr(text).to_owned();
                found.push((owned((*option).keyword), owned((*option).val)));
            }
            option = option.add(1);
        }
        PQconninfoFree(options);
        Ok(found)
    }
}

/// An open connection, closed when it goes out of scope.
pub struct Connection {
    raw: NonNull<PGconn>,
    /// Commands that were sent and whose results nobody has read, with the sync behind each group.
    unread: Cell<usize>,
    warning: Box<RefCell<Option<String>>>,
}

// SAFETY: libpq lets any thread use a connection, one at a time; a Connection is not Sync.
unsafe impl Send for Connection {}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: nobody uses it afterwards.
        unsafe { PQfinish(self.raw.as_ptr()) }
    }
}

impl Connection {
    pub fn open(options: &[(CString, CString)], deadline: Instant) -> Result<Connection, String> {
        let column = |of: fn(&(CString, CString)) -> *const c_char| {
            let pointers = options.iter().map(of);
            pointers.chain([null()]).collect::<Vec<_>>()
        };
        let keywords = column(|(keyword, _)| keyword.as_ptr());
        let values = column(|(_, value)| value.as_ptr());
        // SAFETY: both arrays end with null and live as long as the call.
        let raw = unsafe { PQconnectStartParams(keywords.as_ptr(), values.as_ptr(), 0) };
        let connection = Connection {
            raw: NonNull::new(raw).ok_or("out of memory")?,
            unread: Cell::new(0),
            warning: Box::default(),
        };
        let raw = connection.raw.as_ptr();
        // SAFETY: the connection is open, and the receiver's argument lives as long as it does.
        unsafe {
            if PQstatus(raw) == ConnStatusType::CONNECTION_BAD {
                return Err(connection.trouble());
            }
            let mut wanted = PollFlags::POLLOUT;
            loop {
                connection.wait(wanted, deadline)?;
                wanted = match PQconnectPoll(raw) {
                    PostgresPollingStatusType::PGRES_POLLING_OK => break,
                    PostgresPollingStatusType::PGRES_POLLING_READING => PollFlags::POLLIN,
                    PostgresPollingStatusType::PGRES_POLLING_WRITING => PollFlags::POLLOUT,
                    _ => return Err(connection.trouble()),
                };
            }
            let warning: *const RefCell<Option<String>> = &*connection.warning;
            PQsetNoticeReceiver(raw, Some(receive_notice), warning as *mut c_void);
            if PQsetnonblocking(raw, 1) != 0 || PQenterPipelineMode(raw) != 1 {
                return Err(connection.trouble());
            }
        }
        Ok(connection)
    }

    /// A warning since it was last asked for.
    pub fn take_warning(&self) -> Option<String> {
        self.warning.take()
    }

    /// Whether the server has not hung up meanwhile.
    pub fn is_alive(&self) -> bool {
        // What nobody has read yet comes before the end.
        for _ in 0..2 {
            if self.wait(PollFlags::POLLIN, Instant::now()).is_ok() {
                // SAFETY: the connection is open.
                unsafe { PQconsumeInput(self.raw.as_ptr()) };
            }
        }
        // SAFETY: the connection is open.
        unsafe { PQstatus(self.raw.as_ptr()) == ConnStatusType::CONNECTION_OK }
    }

    /// Sends all of the commands, and returns the result of each.
    pub fn exchange(&self, commands: &[Command], deadline: Instant) -> Result<Vec<Rows>, Fault> {
        self.send(commands, deadline)?;
        self.receive(commands.len(), deadline)
    }

    /// Runs several statements, given as one text, in a transaction of their own.
    pub fn run_script(&self, sql: &CStr, deadline: Instant) -> Result<(), Fault> {
        let raw = self.raw.as_ptr();
        // SAFETY: the connection is open, and the text lives as long as the call.
        unsafe {
            if PQexitPipelineMode(raw) != 1 || PQsendQuery(raw, sql.as_ptr()) != 1 {
                return Err(Fault::Lost(self.trouble()));
            }
        }
        let mut result = Ok(());
        while let Some(rows) = self.next(deadline)? {
            if rows.status() == ExecStatusType::PGRES_FATAL_ERROR {
                result = Err(rows.refusal());
            }
        }
        // SAFETY: as above.
        match unsafe { PQenterPipelineMode(raw) } {
            1 => result,
            _ => Err(Fault::Lost(self.trouble())),
        }
    }

    /// Sends a command whose result nobody waits for.
    pub fn send_off(&self, command: Command, deadline: Instant) -> Result<(), Fault> {
        self.send(&[command], deadline)?;
        self.unread.set(1);
        Ok(())
    }

    fn send(&self, commands: &[Command], deadline: Instant) -> Result<(), Fault> {
        if self.unread.get() > 0 {
            let unread = self.unread.replace(0);
            self.receive(unread, deadline)?;
        }
        let raw = self.raw.as_ptr();
        for command in commands {
            if !self.send_one(command) {
                return Err(Fault::Lost(self.trouble()));
            }
        }
        // SAFETY: the connection is open.
        unsafe {
            if PQpipelineSync(raw) != 1 {
                return Err(Fault::Lost(self.trouble()));
            }
            loop {
                match PQflush(raw) {
                    0 => return Ok(()),
                    1 => {}
                    _ => return Err(Fault::Lost(self.trouble())),
                }
                // A server that answers already must be read, or neither side gets on.
                let either = PollFlags::POLLIN | PollFlags::POLLOUT;
                let ready = self.wait(either, deadline).map_err(Fault::Lost)?;
                if ready.contains(PollFlags::POLLIN) && PQconsumeInput(raw) != 1 {
                    return Err(Fault::Lost(self.trouble()));
                }
            }
        }
    }

    fn send_one(&self, command: &Command) -> bool {
        const BINARY: c_int = 1;
        let raw = self.raw.as_ptr();
        // SAFETY: all pointers live as long as the call; the arrays are as long as is said.
        let sent = unsafe {
            match command {
                Command::Prepare { name, sql } => {
                    PQsendPrepare(raw, name.as_ptr(), sql.as_ptr(), 0, null())
                }
                Command::Describe { name } => PQsendDescribePrepared(raw, name.as_ptr()),
                Command::Text { sql } => {
                    PQsendQueryParams(raw, sql.as_ptr(), 0, null(), null(), null(), null(), 0)
                }
                Command::Run { name, parameters } => {
                    let pointer = |p: &Option<Vec<u8>>| match p {
                        None => null(),
                        Some(bytes) => bytes.as_ptr().cast::<c_char>(),
                    };
                    let pointers: Vec<_> = parameters.iter().map(pointer).collect();
                    let length = |p: &Option<Vec<u8>>| p.as_ref().map_or(0, Vec::len) as c_int;
                    let lengths: Vec<_> = parameters.iter().map(length).collect();
                    let formats = vec![BINARY; parameters.len()];
                    PQsendQueryPrepared(
                        raw,
                        name.as_ptr(),
                        parameters.len() as c_int,
                        pointers.as_ptr(),
                        lengths.as_ptr(),
                        formats.as_ptr(),
                        BINARY,
                    )
                }
            }
        };
        sent == 1
    }

    /// The results of so many commands that were sent together.
    fn receive(&self, commands: usize, deadline: Instant) -> Result<Vec<Rows>, Fault> {
        let mut results = Vec::with_capacity(commands);
        let mut refusal = None;
        // Each command's result is followed by nothing, and all of them by the sync.
        loop {
            let Some(rows) = self.next(deadline)? else {
                continue;
            };
            match rows.status() {
                ExecStatusType::PGRES_PIPELINE_SYNC => break,
                ExecStatusType::PGRES_COMMAND_OK | ExecStatusType::PGRES_TUPLES_OK => {
                    results.push(rows);
                }
                ExecStatusType::PGRES_PIPELINE_ABORTED => {}
                _ => {
                    refusal.get_or_insert_with(|| rows.refusal());
                }
            }
        }
        match refusal {
            // A server that goes away says so, and hangs up.
            Some(Fault::Refused { state, message }) if state.starts_with("57P") => {
                Err(Fault::Lost(message))
            }
            Some(refusal) => Err(refusal),
            None if results.len() == commands => Ok(results),
            None => Err(Fault::Lost("results are missing".into())),
        }
    }

    /// None: the end of a command's results.
    fn next(&self, deadline: Instant) -> Result<Option<Rows>, Fault> {
        let raw = self.raw.as_ptr();
        // SAFETY: the connection is open; a result belongs to whoever got it.
        unsafe {
            while PQisBusy(raw) == 1 {
                self.wait(PollFlags::POLLIN, deadline)
                    .map_err(Fault::Lost)?;
                if PQconsumeInput(raw) != 1 {
                    return Err(Fault::Lost(self.trouble()));
                }
            }
            let rows = NonNull::new(PQgetResult(raw)).map(Rows::of);
            if rows.is_none() && PQstatus(raw) != ConnStatusType::CONNECTION_OK {
                return Err(Fault::Lost(self.trouble()));
            }
            Ok(rows)
        }
    }

    fn wait(&self, wanted: PollFlags, deadline: Instant) -> Result<PollFlags, String> {
        // SAFETY: the socket is open as long as the connection is.
        let socket = unsafe {
            let socket = PQsocket(self.raw.as_ptr());
            if socket < 0 {
                return Err(self.trouble());
            }
            BorrowedFd::borrow_raw(socket)
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(socket, wanted)];
            match poll(&mut fds, timeout) {
                Ok(0) => return Err("the server did not answer in time".into()),
                Ok(_) => return Ok(fds[0].revents().unwrap_or(wanted)),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    fn trouble(&self) -> String {
        // SAFETY: the connection is open; the text is copied at once.
        let text = unsafe { text(PQerrorMessage(self.raw.as_ptr())) };
        let line: Vec<&str> = text.split_whitespace().collect();
        line.join(" ")
    }
}

unsafe extern "C" fn receive_notice(warning: *mut c_void, notice: *const PGresult) {
    // SAFETY: the argument is the connection's own, and libpq's notice lives as long as the call.
    unsafe {
        let severity = text(PQresultErrorField(
            notice,
            c_int::from(PG_DIAG_SEVERITY_NONLOCALIZED),
        ));
        if severity == "WARNING" {
            let message = text(PQresultErrorField(
                notice,
                c_int::from(PG_DIAG_MESSAGE_PRIMARY),
            ));
            (*warning.cast::<RefCell<Option<String>>>()).replace(Some(message));
        }
    }
}

/// SAFETY: the text ends with a 0, or is null.
unsafe fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: see above.
        false => unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    }
}
