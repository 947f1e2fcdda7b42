//! The statements' text as PostgreSQL has it, and values as it is sent them.

use std::fmt::Write as _;

use super::libpq::TypeId;
use crate::store::engine::{Statement, Value};

pub const BIGINT: TypeId = 20;
pub const TEXT: TypeId = 25;
pub const BYTEA: TypeId = 17;

/// A value in binary; None is null.
pub type Parameter = Option<Vec<u8>>;

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    AsItIs,
    /// An INSERT of one row that returns the row's number, its first column.
    Numbered,
    /// An UPDATE that fails if it does not change one row.
    Checked,
    /// A SELECT or an INSERT for many sets of values, which come as arrays.
    Many,
}

/// The text in that form, for parameters of these types.
pub fn text_of(sql: &str, form: Form, types: &[TypeId]) -> String {
    let sql = without_comments(sql);
    let sql = sql.trim().trim_end_matches(';');
    match form {
        Form::AsItIs => with_parameters(sql, |n| format!("${n}")),
        Form::Numbered => with_parameters(sql, |n| format!("${n}")) + " RETURNING *",
        Form::Checked => {
            let sql = with_parameters(sql, |n| format!("${n}"));
            format!("WITH done AS ({sql} RETURNING 1) SELECT 1 / count(*) FROM done")
        }
        Form::Many => {
            let sql = with_parameters(sql, |n| format!("asked.p{n}"));
            let arrays = arrays(types);
            match sql.split_once("VALUES (") {
                Some((into, row)) => {
                    let row = row.trim_end().strip_suffix(')').unwrap_or(row);
                    format!("{into}SELECT {row} FROM {arrays}")
                }
                None => format!(
                    "SELECT asked.n, found.* FROM {arrays} CROSS JOIN LATERAL ({sql}) AS found"
                ),
            }
        }
    }
}

/// One column for each parameter, and the number of the set.
fn arrays(types: &[TypeId]) -> String {
    let (mut casts, mut names) = (String::new(), String::new());
    for (n, id) in (1..).zip(types) {
        let name = match *id {
            BIGINT => "bigint",
            BYTEA => "bytea",
            _ => "text",
        };
        let comma = if n > 1 { ", " } else { "" };
        let _ = write!(casts, "{comma}${n}::{name}[]");
        let _ = write!(names, "p{n}, ");
    }
    format!("unnest({casts}) WITH ORDINALITY AS asked ({names}n)")
}

fn without_comments(sql: &str) -> String {
    let lines = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Each `:name` as the parameter of its number, which is the order in which the text first names it.
fn with_parameters(sql: &str, parameter: impl Fn(usize) -> String) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find([':', '\'']) {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        let end = match mark.as_bytes() {
            [b'\'', ..] => 1 + mark[1..].find('\'').map_or(mark.len() - 1, |end| end + 1),
            [b':', b':', ..] => 2,
            _ => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = mark[1..]
                    .find(|c| !is_name(c))
                    .map_or(mark.len(), |end| end + 1);
                let name = &mark[1..end];
                let known = names.iter().position(|n| *n == name);
                let place = known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                out.push_str(&parameter(place + 1));
                rest = &mark[end..];
                continue;
            }
        };
        out.push_str(&mark[..end]);
        rest = &mark[end..];
    }
    out + rest
}

/// The values in the order of the parameters.
pub fn parameters(statement: &Statement, values: &[Value]) -> Vec<Parameter> {
    let mut parameters = vec![None; values.len()];
    for (value, number) in values.iter().zip(statement.numbers()) {
        parameters[number - 1] = encode(value);
    }
    parameters
}

fn encode(value: &Value) -> Parameter {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_be_bytes().to_vec()),
        Value::Text(text) => Some(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => Some(bytes.to_vec()),
    }
}

/// An array of one dimension, see array_recv() of PostgreSQL.
pub fn array<'p>(of: TypeId, items: impl ExactSizeIterator<Item = &'p Parameter>) -> Parameter {
    let word = |number: i32| number.to_be_bytes();
    let mut bytes = Vec::with_capacity(20 + items.len() * 24);
    let (dimensions, may_have_nulls, lower_bound) = (1, 1, 1);
    for number in [
        dimensions,
        may_have_nulls,
        of as i32,
        items.len() as i32,
        lower_bound,
    ] {
        bytes.extend(word(number));
    }
    for item in items {
        match item {
            None => bytes.extend(word(-1)),
            Some(item) => {
                bytes.extend(word(item.len() as i32));
                bytes.extend_from_slice(item);
            }
        }
    }
    Some(bytes)
}

/// A column's value. None: of a type that no statement returns.
pub fn decode(of: TypeId, bytes: Option<&[u8]>) -> Option<Value<'_>> {
    let Some(bytes) = bytes else {
        return Some(Value::Null);
    };
    match of {
        BIGINT => Some(Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?))),
        BYTEA => Some(Value::Bytes(bytes)),
        TEXT => Some(Value::Text(std::str::from_utf8(bytes).ok()?)),
        _ => None,
    }
}
