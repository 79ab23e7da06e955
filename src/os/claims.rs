//! Claims of cores, across all processes of this machine.
//!
//! One file that every user may write has a byte for each core. A process with a lane that keeps a
//! core busy holds a POSIX record lock on the core's byte. So the claim ends with the process,
//! however it ends; a forked child does not inherit it; and `F_GETLK` names the holder. A second
//! row of bytes is for pinned host threads.
//!
//! A process loses its record locks on a file as soon as it closes *any* descriptor of it, and its
//! own locks never conflict. So this file is opened once and stays open as long as claims on it
//! count (`left`); where the host closes another descriptor of it, `standing` finds out. Before a
//! byte is released, the kernel's list of threads shows whether another copy of this library has a
//! lane on that core.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::cores::LANE_NAME;
use super::limit::{self, Limit};
use super::machine::{self, MAX_CORES};
use super::process_lock::{Guard, ProcessLock};
use super::time;

/// Longest wait for other threads, and for other processes, that are choosing their cores: each
/// takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(1);
/// How often one turn opens the file again because it was removed.
const MOST_RENEWALS: usize = 2;

/// A core that another process has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The core.
    pub core: usize,
    /// Whether the other process' host thread is pinned there; otherwise a lane is.
    pub is_host: bool,
    /// The process; `None` if it lives in another container.
    pub process: Option<u32>,
    /// The process' name in the kernel.
    pub name: Option<String>,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.is_host { "the host" } else { "a lane" };
        write!(f, "core {} has {what} of ", self.core)?;
        match (self.process, &self.name) {
            (Some(process), Some(name)) => write!(f, "process {process} ({name})"),
            (Some(process), None) => write!(f, "process {process}"),
            (None, _) => f.write_str("a process that cannot be seen from here"),
        }
    }
}

/// A byte that stands for no core.
const PROBE: u64 = 3 * MAX_CORES as u64;

static STATE: ProcessLock<State> = ProcessLock::new();

/// Called in the child of a fork: all claims are its parent's.
pub(crate) fn leave_to_parent() {
    STATE.leave_to_parent();
}

#[derive(Default)]
struct State {
    file: Option<ClaimsFile>,
    left: Left,
    claimed: Claimed,
    /// Whether a claim that another process has taken over was said.
    loss_is_said: bool,
    /// Whether it was said that cores are chosen while others may choose theirs.
    crowd_is_said: bool,
}

/// The right to choose cores. One thread of this machine has it at a time, as long as the others
/// wait for it too.
pub(crate) struct Turn {
    state: Option<Guard<State>>,
    unknown: Option<String>,
    renewals: usize,
}

/// Claims on cores, released when dropped.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    bytes: Bytes,
    are_kept: bool,
}

impl Turn {
    /// Waits for the turn, for two seconds at most; then continues without it.
    pub(crate) fn wait() -> Self {
        let Some(mut state) = lock() else {
            return Self {
                state: None,
                unknown: Some("another thread of this process keeps them to itself".into()),
                renewals: 0,
            };
        };
        let was_removed = state.is_removed();
        let unknown = state.open().and_then(|()| state.can_lock()).err();
        if was_removed && unknown.is_none() {
            standing::say_what_was_removed();
        }
        let mut turn = Self {
            state: Some(state),
            unknown,
            renewals: 0,
        };
        turn.begin();
        turn.say_what_is_lost();
        turn
    }

    /// As [`Turn::wait`], with the file that is already open: does not allocate.
    fn wait_to_give_back() -> Self {
        let turn = Self {
            state: lock(),
            unknown: None,
            renewals: 0,
        };
        // Without the lock, another copy of this library that chooses cores now may lose a claim. It
        // makes it again when it next looks.
        let _ = turn.lock_out_others();
        turn
    }

    /// Has the other processes wait.
    fn lock_out_others(&self) -> io::Result<()> {
        self.file().map_or(Ok(()), lock_out_others)
    }

    /// As [`lock_out_others`](Self::lock_out_others), for a turn that chooses cores.
    fn begin(&mut self) {
        let alone = self.lock_out_others();
        if let (Err(why), Some(state)) = (alone, &mut self.state)
            && !std::mem::replace(&mut state.crowd_is_said, true)
        {
            standing::say_who_is_not_locked_out(&why);
        }
    }

    /// Why claims are unknown, if they are.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// What other processes have claimed among these cores.
    pub(crate) fn others(&self, cores: &[usize]) -> Vec<Claim> {
        let Some(file) = self.file() else {
            return Vec::new();
        };
        let claim = |&core: &usize, is_host: bool| {
            let process = holder(file, byte(core, is_host))?;
            Some(Claim {
                core,
                is_host,
                process,
                name: process.and_then(machine::process_name),
            })
        };
        let both = cores
            .iter()
            .flat_map(|core| [claim(core, false), claim(core, true)]);
        both.flatten().collect()
    }

    /// Cores that lanes of this copy of the library keep busy.
    pub(crate) fn own(&self) -> Vec<usize> {
        let claimed = self.state.iter().flat_map(|state| state.claimed.in_use());
        claimed
            .filter_map(|byte| usize::try_from(byte).ok())
            .filter(|&core| core < MAX_CORES)
            .collect()
    }

    /// Claims cores for lanes, and one for the host. This process' own claims do not conflict. If
    /// another process has claimed a lane's core in the meantime, or others do not find this file
    /// any more, nothing is claimed and the result is `None`. There is room for claims of as many
    /// lanes as `most`, which may be moved.
    pub(crate) fn claim(
        &mut self,
        lanes: &[usize],
        host: Option<usize>,
        most: usize,
    ) -> Option<Claims> {
        let Some(state) = &mut self.state else {
            return Some(Claims::default());
        };
        let mut claimed = Vec::new();
        let room = most.max(lanes.len()) + usize::from(host.is_some());
        state.claimed.reserve(room);
        let lanes = lanes.iter().map(|&core| byte(core, false));
        for (byte, must) in lanes
            .map(|byte| (byte, true))
            .chain(host.map(|core| (byte(core, true), false)))
        {
            let state = self.state.as_mut();
            if state.is_some_and(|state| state.hold(byte)) {
                claimed.push(byte);
            } else if must && self.unknown.is_none() && self.file().is_some() {
                self.give_back(claimed.into_iter(), room);
                return None;
            }
        }
        // Nobody looks for claims in a file that was removed since it was opened.
        if !claimed.is_empty() && self.must_renew() {
            self.give_back(claimed.into_iter(), room);
            self.renew();
            return None;
        }
        Some(Claims {
            bytes: Bytes::new(&claimed, room),
            are_kept: false,
        })
    }

    /// Whether others do not find the file any more. A few times at most: someone may remove it
    /// again and again.
    fn must_renew(&self) -> bool {
        let state = self.state.as_ref().filter(|state| state.is_removed());
        state.is_some() && self.renewals < MOST_RENEWALS
    }

    /// Opens the file of claims again, and waits for the turn there.
    fn renew(&mut self) {
        self.renewals += 1;
        if let Some(file) = self.file() {
            let_others_in(file);
        }
        if let Some(state) = &mut self.state {
            self.unknown = state.open().err();
            if self.unknown.is_none() {
                standing::say_what_was_removed();
            }
        }
        self.begin();
    }

    fn file(&self) -> Option<&impl AsRawFd> {
        self.state.as_ref()?.file()
    }

    /// Gives back a handle's bytes, and the room for them.
    fn give_back(&mut self, bytes: impl Iterator<Item = u64>, room: usize) {
        let Some(state) = &mut self.state else {
            return;
        };
        state.claimed.give_back(room);
        for byte in bytes {
            state.claimed.take(byte);
        }
        let State {
            file,
            left,
            claimed,
            ..
        } = &mut **state;
        // Without it, claims on those that were left end all the same.
        let file = file.as_ref().and_then(|file| file.get().ok());
        // Scans all threads for each byte that may be released; there are few such bytes.
        claimed.retain(|byte, count| {
            let mut used = count > 0;
            if !used {
                let looked = machine::each_thread(|thread| used |= stands_on(thread, byte));
                // If the kernel cannot list the threads, another copy may use the core.
                used |= looked.is_err();
            }
            if !used {
                left.unlock(byte);
            }
            used || file.is_some_and(|file| !set(file, byte, libc::F_UNLCK))
        });
        left.close_what_does_not_count(claimed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(file) = self.file() {
            let_others_in(file);
        }
    }
}

impl Claims {
    /// Keeps the claims as long as the process lives: for a lane that could not be stopped and
    /// stays on its core.
    pub(crate) fn keep(&mut self) {
        self.are_kept = true;
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let room = self.bytes.room();
        if self.are_kept || room == 0 {
            return;
        }
        if !self.bytes.is_empty() {
            let mut turn = Turn::wait_to_give_back();
            turn.give_back(self.bytes.take_all(), room);
        } else if let Some(mut state) = lock() {
            // No core, so nothing that others wait for; a last look may have claimed one just now.
            for byte in self.bytes.take_all() {
                state.release(byte);
            }
            state.claimed.give_back(room);
        }
    }
}

/// The state, for this thread alone; `None` if another one has it for too long.
fn lock() -> Option<Guard<State>> {
    limit::ask_for(PATIENCE, STEP, || STATE.try_lock())
}

impl State {
    /// Claims a byte, unless another process has it. Takes no memory. Without room nothing is locked:
    /// nobody would unlock it.
    fn hold(&mut self, byte: u64) -> bool {
        let Some(file) = self.file().filter(|_| self.claimed.has_room(byte)) else {
            return false;
        };
        set(file, byte, libc::F_WRLCK) && self.claimed.add(byte)
    }

    /// Some shared file systems and sandboxes refuse record locks.
    fn can_lock(&self) -> Result<(), String> {
        let Some(file) = self.file() else {
            return Ok(());
        };
        if set(file, PROBE, libc::F_WRLCK) {
            set(file, PROBE, libc::F_UNLCK);
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Another process may try the same at this moment. With EACCES, which some file systems say
        // then, a sandbox refuses the call.
        let is_held = match error.raw_os_error() {
            Some(libc::EAGAIN) => true,
            Some(libc::EACCES) => holder(file, PROBE).is_some(),
            _ => false,
        };
        match is_held {
            true => Ok(()),
            false => Err(format!("the file of claims takes no record locks: {error}")),
        }
    }

    /// Whether others do not find the file with this process' claims any more.
    fn is_removed(&self) -> bool {
        let file = self.file.as_ref().filter(|_| !self.claimed.is_empty());
        file.is_some_and(|file| !file.is_found())
    }

    /// The file, unless the host has closed its descriptor.
    fn file(&self) -> Option<&impl AsRawFd> {
        self.file.as_ref()?.get().ok()
    }

    /// Opens the file, unless this process has it open. Opens it again if it was removed or the
    /// host has closed the descriptor.
    fn open(&mut self) -> Result<(), String> {
        let (paths, mut why) = match paths() {
            Ok(paths) => (paths, String::new()),
            Err(wrong) => (Vec::new(), wrong),
        };
        for path in &paths {
            let named = |error: io::Error| format!("{}: {error}", path.display());
            if self.file.as_ref().is_some_and(|open| open.is_at(path)) {
                return Ok(());
            }
            let left = self.left.take(path);
            match left.map_or_else(|| ClaimsFile::at(path), Ok) {
                Ok(file) => {
                    self.change_to(Some(file));
                    return Ok(());
                }
                Err(error) if is_no_place(&error) => why = named(error),
                Err(error) => {
                    why = named(error);
                    break;
                }
            }
        }
        self.change_to(None);
        Err(why)
    }

    /// Makes the claims in another file, if there is one.
    fn change_to(&mut self, file: Option<ClaimsFile>) {
        let before = std::mem::replace(&mut self.file, file);
        self.left.add(before, &self.claimed);
        if let Some(file) = self.file() {
            for byte in self.claimed.bytes() {
                set(file, byte, libc::F_WRLCK);
            }
        }
    }
}

/// Waits until no other process, and no other copy of this library, is choosing its cores.
///
/// # Errors
///
/// Locking is not possible, or takes too long. Whoever continues may claim cores all the same: no
/// two processes can claim one.
fn lock_out_others(file: &impl AsRawFd) -> io::Result<()> {
    let mut limit = Limit::of(PATIENCE);
    loop {
        let is_over = limit.is_over();
        // SAFETY: the descriptor is open, and the call does not wait.
        let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
        if locked {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock || is_over {
            return Err(error);
        }
        time::sleep(STEP);
    }
}

fn let_others_in(file: &impl AsRawFd) {
    // SAFETY: the descriptor is open; the call unlocks it and does no more.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

fn byte(core: usize, is_host: bool) -> u64 {
    (core + if is_host { MAX_CORES } else { 0 }) as u64
}

/// Whether the byte's claim is for this thread.
fn stands_on(thread: machine::Thread<'_>, byte: u64) -> bool {
    let is_lane = thread.name.starts_with(LANE_NAME);
    let core = thread.cores.parse();
    core.is_ok_and(|core| self::byte(core, !is_lane) == byte)
}

fn record(bytes: Range<u64>, kind: libc::c_int) -> libc::flock {
    // SAFETY: a plain struct, for which all zeros is valid.
    let mut record: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    record.l_type = kind as libc::c_short;
    record.l_whence = libc::SEEK_SET as libc::c_short;
    record.l_start = bytes.start as libc::off_t;
    record.l_len = (bytes.end - bytes.start) as libc::off_t;
    record
}

/// Locks or unlocks a byte; whether that succeeded.
fn set(file: &impl AsRawFd, byte: u64, kind: libc::c_int) -> bool {
    set_all(file, byte..byte + 1, kind)
}

/// As [`set`], for all of them or none.
fn set_all(file: &impl AsRawFd, bytes: Range<u64>, kind: libc::c_int) -> bool {
    let record = record(bytes, kind);
    // SAFETY: the record is valid, and the call does not wait.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &record) == 0 }
}

/// Which other process has locked a byte, if any: `Some(None)` if that process is not visible.
fn holder(file: &impl AsRawFd, byte: u64) -> Option<Option<u32>> {
    let mut record = record(byte..byte + 1, libc::F_WRLCK);
    // SAFETY: the call reads the record and writes into it.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut record) == 0 };
    let is_held = asked && libc::c_int::from(record.l_type) != libc::F_UNLCK;
    is_held.then(|| {
        u32::try_from(record.l_pid)
            .ok()
            .filter(|&process| process > 0)
    })
}

mod claimed;
mod file;
mod left;
mod moved;
mod standing;

use claimed::{Bytes, Claimed};
pub use file::ENV_CLAIMS;
pub(crate) use file::paths;
use file::{ClaimsFile, is_no_place};
use left::Left;
pub(crate) use standing::{Known, Standing, Watch};

#[cfg(all(test, not(loom)))]
mod tests;
