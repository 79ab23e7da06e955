//! Whether claims still stand.
//!
//! A host that opens the file of claims and closes it again, as a tool does that reads all files
//! of a folder, ends every record lock that its process has on it. Locks of an open file
//! description (`F_OFD_SETLK`) would stay. But they do not say who holds them, they conflict
//! between two copies of this library in one process, and a child that was made without the
//! handlers of `fork` keeps them. So claims are made again now and then: to lock what is locked
//! changes nothing.

use std::fmt;

use super::{Claim, Claims, MAX_CORES, STATE, State, Turn, holder, machine, set};
use crate::os::stderr::say_parts;
use crate::os::this_thread::keep_errno;

/// What has become of the claims of one handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They stand, or have been made again; or another thread is choosing its cores just now.
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
pub(crate) struct Watch(Box<[u64]>);

impl Claims {
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.0.as_slice().into())
    }
}

impl Watch {
    /// Makes the claims of this process again, and says what has become of this handle's.
    /// Neither waits nor allocates, so it may be called from a signal handler.
    pub(crate) fn look(&self) -> Standing {
        keep_errno(|| self.look_now())
    }

    /// Whether the handle has no claims.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn look_now(&self) -> Standing {
        match STATE.try_lock() {
            Some(state) => state.claim_again(|byte| self.0.contains(&byte)),
            None => Standing::Held,
        }
    }
}

impl State {
    /// Locks again what this copy of the library has claimed; what has become of the first such
    /// byte that is `asked` for.
    fn claim_again(&self, asked: impl Fn(u64) -> bool) -> Standing {
        let mut found = Standing::Held;
        let mut claimed = self.held.keys().copied();
        let Some(file) = self.file() else {
            return match claimed.any(&asked) {
                true => Standing::Closed,
                false => Standing::Held,
            };
        };
        for byte in claimed {
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
        if found == Standing::Held && self.is_removed() && self.held.keys().any(|&byte| asked(byte))
        {
            found = Standing::Removed;
        }
        found
    }
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
                "this process had claimed it and still uses it, but has closed a descriptor of the \
                 file of claims, or someone has removed that file: either ends all of its claims; \
                 expected that only this library opens that file, and nobody removes it"
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
