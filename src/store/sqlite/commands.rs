//! The way to the writer: a bounded queue to its thread, or the writer itself, which then works at once on the task of
//! whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::{SendError, TrySendError};

use super::writer::{Command, Writer};

/// Takes commands.
#[derive(Clone)]
pub(super) enum Commands {
    /// To the thread.
    Thread(Sender<Command>),
    /// To the writer, until it is closed.
    Inline(Arc<Mutex<Option<Writer>>>),
}

impl Commands {
    pub(super) fn inline(writer: Writer) -> Self {
        Self::Inline(Arc::new(Mutex::new(Some(writer))))
    }

    /// Refused when the queue is full.
    pub(super) fn try_send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        match self {
            Self::Thread(queue) => queue.try_send(command),
            Self::Inline(writer) => obey(writer, command).map_err(TrySendError::Closed),
        }
    }

    /// Waits for room in the queue.
    pub(super) async fn send(&self, command: Command) -> Result<(), SendError<Command>> {
        match self {
            Self::Thread(queue) => queue.send(command).await,
            Self::Inline(writer) => obey(writer, command).map_err(SendError),
        }
    }

    /// Takes the writer away, if it has no thread.
    pub(super) fn take(&self) -> Option<Writer> {
        match self {
            Self::Thread(_) => None,
            Self::Inline(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

fn obey(writer: &Mutex<Option<Writer>>, command: Command) -> Result<(), Command> {
    let mut held = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(writer) = held.as_mut() else { return Err(command) };
    if !writer.obey(command) {
        *held = None;
    }
    Ok(())
}
