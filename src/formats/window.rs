//! One file's events sorted by `seq`, within a bounded window.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::csv::{Bounds, Rows};
use super::error::Result;
use super::feed::payload_bytes;
use crate::abi::{Depth, EventKind};

/// Room for the longest payload.
const SLOT: usize = size_of::<Depth>();

/// A row that waits until it is due. Ordered like the file's events: by `seq`, then by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    seq: i64,
    place: u64,
    line: u64,
    recv_ns: i64,
    slot: u32,
    kind: u8,
}

/// An open file, read ahead as far as its window reaches.
pub(super) struct Window {
    rows: Rows,
    /// How many rows late a row may be.
    reach: usize,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The event that is due.
    head: Option<Waiting>,
    /// Payloads, one per slot.
    slots: Vec<u8>,
    free: Vec<u32>,
    /// Rows read.
    read: u64,
    ended: bool,
}

impl Window {
    /// Opens a file and reads up to its first event.
    pub(super) fn open(file: &Path, reach: usize, bounds: Option<Bounds>) -> Result<Self> {
        let mut this = Self {
            rows: Rows::open(file, bounds)?,
            reach,
            waiting: BinaryHeap::new(),
            head: None,
            slots: Vec::new(),
            free: Vec::new(),
            read: 0,
            ended: false,
        };
        match this.advance()? {
            true => Ok(this),
            false => Err(this.rows.none()),
        }
    }

    /// Once `flag` is set, a wait for a pipe ends with an error.
    pub(super) fn stop_when(&self, flag: Arc<AtomicBool>) {
        self.rows.stop_when(flag);
    }

    /// Advances to the next event; false at the end of the file.
    ///
    /// # Errors
    ///
    /// A row that cannot be used, or that is later than the window allows.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let gone = self.head.take();
        self.free.extend(gone.map(|head| head.slot));
        while !self.ended && self.waiting.len() <= self.reach {
            self.read_row(gone.map(|head| head.seq))?;
        }
        self.head = self.waiting.pop().map(|Reverse(next)| next);
        Ok(self.head.is_some())
    }

    fn read_row(&mut self, gone: Option<i64>) -> Result<()> {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len() / SLOT;
            self.slots.resize(self.slots.len() + SLOT, 0);
            slot as u32
        });
        let mut arrived = (0, 0);
        let slots = &mut self.slots;
        let seq = self.rows.next(|recv_ns, event| {
            let payload = payload_bytes(&event);
            let begin = slot as usize * SLOT;
            slots[begin..begin + payload.len()].copy_from_slice(payload);
            arrived = (recv_ns, event.kind() as u8);
        })?;
        let Some(seq) = seq else {
            self.ended = true;
            self.free.push(slot);
            return Ok(());
        };
        if let Some(gone) = gone.filter(|gone| seq < *gone) {
            return Err(self.rows.late(format!(
                "{seq} comes after {gone} has been played: this row is more than {} rows \
                 late; expected rows in the order of seq, or no later than that (--reorder, \
                 the reader's window)",
                self.reach
            )));
        }
        self.waiting.push(Reverse(Waiting {
            seq,
            place: self.read,
            line: self.rows.line(),
            recv_ns: arrived.0,
            slot,
            kind: arrived.1,
        }));
        self.read += 1;
        Ok(())
    }

    /// The event that is due: arrival, kind, payload.
    ///
    /// # Panics
    ///
    /// After the end of the file.
    pub(super) fn head(&self) -> (i64, EventKind, &[u8]) {
        let head = self.head.expect("there is an event before the end");
        let kind = EventKind::ALL[usize::from(head.kind)];
        let begin = head.slot as usize * SLOT;
        let len = super::feed::payload_len(kind);
        (head.recv_ns, kind, &self.slots[begin..begin + len])
    }

    /// The line of the event that is due.
    pub(super) fn line(&self) -> Option<u64> {
        self.head.map(|head| head.line)
    }

    /// Bytes of the file that have been read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }
}
