//! Which of PostgreSQL's errors mean what to the callers.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// What an error means to a caller.
pub(super) fn store_error(error: &Error) -> StoreError {
    if is_of_request(error) {
        StoreError::Internal(describe(error))
    } else {
        StoreError::Unavailable(describe(error))
    }
}

/// Whether what was asked for is the reason, and asking again would not help: data that no column takes. Whatever else
/// goes wrong is the database's state, or the way to it.
pub(super) fn is_of_request(error: &Error) -> bool {
    // Data exceptions, violated constraints, statements that are wrong, limits of the program.
    const CLASSES: [&str; 4] = ["22", "23", "42", "54"];
    error.code().is_some_and(|code| {
        CLASSES.contains(&code.code().get(..2).unwrap_or_default())
            && *code != SqlState::INSUFFICIENT_PRIVILEGE
    })
}

/// An error in one line, with its reason.
pub(super) fn describe(error: &Error) -> String {
    if let Some(told) = error.as_db_error() {
        let mut text = told.message().to_owned();
        if let Some(detail) = told.detail() {
            text.push_str(&format!(" ({detail})"));
        }
        return text;
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        source = cause.source();
    }
    text
}
