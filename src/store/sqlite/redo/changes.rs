//! Changes as they are taken down: statements with their values, in the order in which they were made.
//!
//! A change is the number of its statement among those of the same [`Changes`], how many values it has, and the values.
//! A number that was not used before is followed by the statement itself, so changes need nothing else to be understood,
//! whichever version of the program made them.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, params_from_iter};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Changes of one or several durable units that are written together.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    /// The statements by their numbers.
    statements: Vec<String>,
    bytes: Vec<u8>,
}

impl Changes {
    /// Takes down a change.
    pub(in super::super) fn add(&mut self, sql: &str, values: &[ToSqlOutput<'_>]) -> rusqlite::Result<()> {
        let known = self.statements.iter().position(|known| known == sql);
        put_number(&mut self.bytes, known.unwrap_or(self.statements.len()));
        if known.is_none() {
            put_bytes(&mut self.bytes, sql.as_bytes());
            self.statements.push(sql.to_owned());
        }
        put_number(&mut self.bytes, values.len());
        for value in values {
            let value = match value {
                ToSqlOutput::Borrowed(value) => *value,
                ToSqlOutput::Owned(value) => ValueRef::from(value),
                _ => return Err(Error::ToSqlConversionFailure("a value that can't be taken down".into())),
            };
            put_value(&mut self.bytes, value);
        }
        Ok(())
    }

    /// How many bytes they are.
    pub(in super::super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn put_value(to: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => to.push(NULL),
        ValueRef::Integer(number) => {
            to.push(INTEGER);
            to.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            to.push(REAL);
            to.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Text(text) => {
            to.push(TEXT);
            put_bytes(to, text);
        }
        ValueRef::Blob(bytes) => {
            to.push(BLOB);
            put_bytes(to, bytes);
        }
    }
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len());
    to.extend_from_slice(bytes);
}

/// Seven bits to a byte, the lowest first; the highest bit says that more follow.
fn put_number(to: &mut Vec<u8>, number: usize) {
    let mut left = number;
    while left > 0x7f {
        to.push(low(left) | 0x80);
        left >>= 7;
    }
    to.push(low(left));
}

fn low(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

/// Makes the changes again that `bytes` hold.
pub(super) fn make(mut bytes: &[u8], connection: &Connection) -> rusqlite::Result<()> {
    let broken = || Error::ToSqlConversionFailure("a change can't be read".into());
    let mut statements: Vec<&str> = Vec::new();
    while !bytes.is_empty() {
        let number = take_number(&mut bytes).ok_or_else(broken)?;
        if number == statements.len() {
            let sql = take_bytes(&mut bytes).ok_or_else(broken)?;
            statements.push(std::str::from_utf8(sql).map_err(|_| broken())?);
        }
        let sql = statements.get(number).ok_or_else(broken)?;
        let count = take_number(&mut bytes).ok_or_else(broken)?;
        let values = (0..count).map(|_| take_value(&mut bytes)).collect::<Option<Vec<Value>>>();
        let values = values.ok_or_else(broken)?;
        connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
    }
    Ok(())
}

fn take_value(bytes: &mut &[u8]) -> Option<Value> {
    let (kind, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(match *kind {
        NULL => Value::Null,
        INTEGER => Value::Integer(i64::from_le_bytes(take_array(bytes)?)),
        REAL => Value::Real(f64::from_le_bytes(take_array(bytes)?)),
        TEXT => Value::Text(String::from_utf8(take_bytes(bytes)?.to_vec()).ok()?),
        BLOB => Value::Blob(take_bytes(bytes)?.to_vec()),
        _ => return None,
    })
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*array)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_number(bytes)?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ToSql;

    use super::*;

    #[test]
    fn changes_that_are_made_again_come_to_the_same() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a, b)").unwrap();
        let mut changes = Changes::default();
        let text = "ä".repeat(200);
        let rows: [(&dyn ToSql, &dyn ToSql); 5] = [
            (&1_i64, &text),
            (&i64::MIN, &None::<i64>),
            (&1.5, &""),
            (&vec![0_u8; 300], &true),
            (&"x", &vec![255_u8]),
        ];
        for (a, b) in rows {
            changes
                .add("INSERT INTO t VALUES (?1, ?2)", &[a.to_sql().unwrap(), b.to_sql().unwrap()])
                .unwrap();
        }
        changes.add("UPDATE t SET b = 2 WHERE a = ?1", &["x".to_sql().unwrap()]).unwrap();
        make(changes.bytes(), &connection).unwrap();
        let all: Vec<(Value, Value)> = connection
            .prepare("SELECT a, b FROM t ORDER BY rowid")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected = [
            (Value::Integer(1), Value::Text(text)),
            (Value::Integer(i64::MIN), Value::Null),
            (Value::Real(1.5), Value::Text(String::new())),
            (Value::Blob(vec![0; 300]), Value::Integer(1)),
            (Value::Text("x".into()), Value::Integer(2)),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_can_t_be_read_is_an_error() {
        let connection = Connection::open_in_memory().unwrap();
        for bytes in [&[1_u8][..], &[0, 5, b'x'], &[0x80], &[0, 1, b';', 1, 9], &[0xff; 12]] {
            assert!(make(bytes, &connection).is_err(), "{bytes:?}");
        }
    }
}
