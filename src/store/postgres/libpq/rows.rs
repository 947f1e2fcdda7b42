//! What a command came to.

use std::ffi::c_int;
use std::ptr::NonNull;

use pq_sys::*;

use super::{Fault, TypeId, text};

/// The result of a command.
pub struct Rows(NonNull<PGresult>);

// SAFETY: libpq lets any thread use a result, one at a time; Rows is not Sync.
unsafe impl Send for Rows {}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: nobody uses it afterwards.
        unsafe { PQclear(self.0.as_ptr()) }
    }
}

impl Rows {
    /// Owns it from now on.
    pub(super) fn of(raw: NonNull<PGresult>) -> Rows {
        Rows(raw)
    }

    pub(super) fn status(&self) -> ExecStatusType {
        // SAFETY: the result is there.
        unsafe { PQresultStatus(self.0.as_ptr()) }
    }

    fn field(&self, code: u8) -> String {
        // SAFETY: the result is there; the text is copied at once.
        unsafe { text(PQresultErrorField(self.0.as_ptr(), c_int::from(code))) }
    }

    pub(super) fn refusal(&self) -> Fault {
        Fault::Refused {
            state: self.field(PG_DIAG_SQLSTATE),
            message: self.field(PG_DIAG_MESSAGE_PRIMARY),
        }
    }

    pub fn len(&self) -> usize {
        // SAFETY: the result is there.
        unsafe { PQntuples(self.0.as_ptr()) as usize }
    }

    pub fn columns(&self) -> usize {
        // SAFETY: the result is there.
        unsafe { PQnfields(self.0.as_ptr()) as usize }
    }

    pub fn name(&self, column: usize) -> String {
        // SAFETY: libpq checks the number; the text is copied at once.
        unsafe { text(PQfname(self.0.as_ptr(), column as c_int)) }
    }

    /// Rows that the command has changed.
    pub fn changed(&self) -> usize {
        // SAFETY: the result is there; the text is copied at once.
        let count = unsafe { text(PQcmdTuples(self.0.as_ptr())) };
        count.parse().unwrap_or(0)
    }

    /// What the command says it has done, as COMMIT does that had to roll back.
    pub fn tag(&self) -> String {
        // SAFETY: the result is there; the text is copied at once.
        unsafe { text(PQcmdStatus(self.0.as_ptr())) }
    }

    /// A value as it was sent. None: null, or there is no such row or column.
    pub fn get(&self, row: usize, column: usize) -> Option<&[u8]> {
        if row >= self.len() || column >= self.columns() {
            return None;
        }
        let (raw, row, column) = (self.0.as_ptr(), row as c_int, column as c_int);
        // SAFETY: row and column are there, and the bytes live as long as the result.
        unsafe {
            if PQgetisnull(raw, row, column) == 1 {
                return None;
            }
            let length = PQgetlength(raw, row, column) as usize;
            let bytes = PQgetvalue(raw, row, column).cast::<u8>();
            Some(std::slice::from_raw_parts(bytes, length))
        }
    }

    pub fn type_of(&self, column: usize) -> TypeId {
        // SAFETY: libpq checks the number.
        unsafe { PQftype(self.0.as_ptr(), column as c_int) }
    }

    /// The types of a described statement's parameters.
    pub fn parameter_types(&self) -> Vec<TypeId> {
        let raw = self.0.as_ptr();
        // SAFETY: the numbers are below the count.
        unsafe { (0..PQnparams(raw)).map(|n| PQparamtype(raw, n)).collect() }
    }
}
