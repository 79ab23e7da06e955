//! Standard output and standard error, whose reader may have stalled.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use signal::os::files::Room;

use crate::interrupt::Interrupt;

static ROOM: Mutex<Option<Room>> = Mutex::new(None);

/// Once the run is interrupted, no reader that takes nothing is waited for.
pub fn stop_when(interrupt: &Interrupt) {
    let room = Room::default();
    room.stop_when(interrupt.flag().clone());
    *ROOM.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
}

/// Writes all of a text.
///
/// # Errors
///
/// The system's, or that the reader takes no more.
pub fn write(stream: &mut (impl Write + AsFd), text: &str) -> io::Result<()> {
    let mut room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    // A pipe with room takes as much as this without a wait.
    for part in text.as_bytes().chunks(libc::PIPE_BUF) {
        if let Some(room) = &mut *room {
            room.wait(stream.as_fd())?;
        }
        stream.write_all(part)?;
        stream.flush()?;
        if let Some(room) = &mut *room {
            room.was_there();
        }
    }
    Ok(())
}
