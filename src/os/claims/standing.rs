//! Whether claims still stand.
//!
//! A host that opens the file of claims and closes it again, as a tool does that reads all files
//! of a folder, ends every record lock that its process has on it. Locks of an open file
//! description (`F_OFD_SETLK`) would stay. But they do not say who holds them, they conflict
//! between two copies of this library in one process, and a child that was made without the
//! handlers of `fork` keeps them. So claims are made again now and then: to lock what is locked
//! changes nothing.

use std::fmt;
use std::io;
use std::ops::Range;

use super::{
    Bytes, Claim, Claims, ClaimsFile, MAX_CORES, STATE, State, Turn, holder, machine, set, set_all,
};
use crate::os::clock::Clock;
use crate::os::seldom::Seldom;
use crate::os::stderr::say_parts;
use crate::os::this_thread::keep_errno;

/// What has become of the claims of one handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They stand, or have been made again.
    #[default]
    Held,
    /// Another process has taken one over.
    Lost {
        /// The claimed byte.
        byte: u64,
        /// As in [`Claim`].
        process: Option<u32>,
    },
    /// The host has closed the descriptor.
    Closed,
    /// Others do not find the file any more.
    Removed,
}

/// Looks after the claims of one handle.
#[derive(Debug)]
pub(crate) struct Watch(pub(super) Bytes);

/// What the last look found, and when that was: the file may lie on another machine.
#[derive(Debug, Default)]
pub(crate) struct Known {
    standing: Standing,
    at: Seldom,
}

impl Claims {
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.bytes.clone())
    }
}

impl Watch {
    /// Makes the claims of this process again, and says what has become of this handle's; `None`
    /// while another thread chooses its cores. Neither waits for a lock nor allocates, so it may be
    /// called from a signal handler.
    pub(crate) fn look(&self) -> Option<Standing> {
        keep_errno(|| self.look_now())
    }

    /// As [`look`](Self::look), once a second; what is `known` otherwise. A handle without claims
    /// asks the system nothing.
    pub(crate) fn look_seldom(&self, clock: &Clock, known: &mut Known) -> Standing {
        if !self.0.is_empty()
            && known.at.is_due(clock)
            && let Some(standing) = self.look()
        {
            known.standing = standing;
            known.at.asked(clock);
        }
        known.standing
    }

    fn look_now(&self) -> Option<Standing> {
        let state = STATE.try_lock()?;
        Some(state.claim_again(|byte| self.0.contains(byte)))
    }
}

impl State {
    /// Locks again what this copy of the library has claimed; what has become of the first such
    /// byte that is `asked` for.
    fn claim_again(&self, asked: impl Fn(u64) -> bool) -> Standing {
        let mut found = Standing::Held;
        let claimed = || self.claimed.bytes();
        let Some(file) = self.file() else {
            // Claims stand where this thread has a table of descriptors of its own. It cannot look
            // after them: those that have the file do.
            let is_with_others = || self.file.as_ref().is_some_and(ClaimsFile::is_with_others);
            return match claimed().any(&asked) && !is_with_others() {
                true => Standing::Closed,
                false => Standing::Held,
            };
        };
        // One call for bytes side by side. It locks all of them or none.
        let lost = runs(claimed()).filter(|run| !set_all(file, run.clone(), libc::F_WRLCK));
        for byte in lost.flatten() {
            if set(file, byte, libc::F_WRLCK) || !asked(byte) || found != Standing::Held {
                continue;
            }
            // A sandbox that refuses the call takes no claim away.
            // A thread with a table of descriptors of its own has locks of its own.
            if let Some(process) = holder(file, byte)
                && process != Some(std::process::id())
            {
                found = Standing::Lost { byte, process };
            }
        }
        if found == Standing::Held && self.is_removed() && claimed().any(asked) {
            found = Standing::Removed;
        }
        found
    }
}

/// Bytes that lie side by side, of bytes in ascending order.
fn runs(bytes: impl Iterator<Item = u64>) -> impl Iterator<Item = Range<u64>> {
    let mut bytes = bytes.peekable();
    std::iter::from_fn(move || {
        let first = bytes.next()?;
        let mut end = first + 1;
        while bytes.next_if_eq(&end).is_some() {
            end += 1;
        }
        Some(first..end)
    })
}

impl Turn {
    /// Makes claims again that were lost, and says once which ones another process has.
    #[inline(never)]
    pub(super) fn say_what_is_lost(&mut self) {
        let Some(state) = &mut self.state else {
            return;
        };
        if let lost @ Standing::Lost { byte, process } = state.claim_again(|_| true)
            && !state.loss_is_said
        {
            state.loss_is_said = true;
            let claim = Claim {
                name: process.and_then(machine::process_name),
                ..claim(byte, process)
            };
            say_parts(format_args!("{claim}: {}", Why(lost)));
        }
    }
}

/// Says that the file was removed while this process had claims there, which have been made again.
#[inline(never)]
pub(super) fn say_what_was_removed() {
    say_parts(format_args!(
        "the file of claims was removed and is made again: until now, other processes did not see \
         which cores lanes of this one keep busy; expected that nobody removes it"
    ));
}

/// Says that others may choose their cores at the same time.
#[inline(never)]
pub(super) fn say_who_is_not_locked_out(why: &io::Error) {
    let why: &dyn fmt::Display = match why.kind() {
        io::ErrorKind::WouldBlock => {
            &"another process, or another copy of this library, has held it for longer than 1 s"
        }
        _ => why,
    };
    say_parts(format_args!(
        "cores are chosen without the lock (flock) on the file of claims: {why}; another process may \
         choose at the same time, and put its host's thread on a core of ours; expected that a process \
         holds it only while it makes or destroys a handle"
    ));
}

fn claim(byte: u64, process: Option<u32>) -> Claim {
    let byte = usize::try_from(byte).unwrap_or(0);
    Claim {
        core: byte % MAX_CORES,
        is_host: byte >= MAX_CORES,
        process,
        name: None,
    }
}

/// How that came.
struct Why(Standing);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Standing::Held => "",
            Standing::Lost { .. } => {
                "this process still uses it, but has lost all its claims: it has closed a \
                 descriptor of the file of claims, or someone has removed that file; expected that \
                 only this library opens that file, and nobody removes it"
            }
            Standing::Closed => {
                "the host has closed the descriptor of the file of claims: other processes do not \
                 see which cores lanes of this one keep busy, until its next signal_create"
            }
            Standing::Removed => {
                "the file of claims was removed: other processes do not see which cores lanes of \
                 this one keep busy, until its next signal_create; expected that nobody removes it"
            }
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Lost { byte, process } => {
                // The other's role is that of the byte: a lane, or a pinned host.
                write!(f, "{}: {}", claim(byte, process), Why(*self))
            }
            _ => Why(*self).fmt(f),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_side_by_side_are_one_run() {
        let runs = |bytes: &[u64]| -> Vec<_> { runs(bytes.iter().copied()).collect() };
        assert_eq!(runs(&[]), [0..0; 0]);
        assert_eq!(runs(&[7, 9]), [7..8, 9..10]);
        assert_eq!(runs(&[2, 3, 4, 6, 1026, 1027]), [2..5, 6..7, 1026..1028]);
    }

    #[test]
    fn a_handle_without_claims_does_not_look() {
        let (clock, mut known) = (Clock::new(false), Known::default());
        assert_eq!(
            Watch(Bytes::new(&[], 1)).look_seldom(&clock, &mut known),
            Standing::Held
        );
        assert!(known.at.was_never_asked());
    }
}
