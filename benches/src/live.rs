//! A handle whose lanes are watched. What the library says on stderr when it is made is
//! passed on, the start line of a configuration once, however many handles a bench makes.

use std::collections::HashSet;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use signal::abi::{Depth, Trade};
use signal_command::host::library::{Api, Callback, Handle};

use crate::drive::Host;
use crate::threads;

/// A handle. Its lanes count in [`crate::threads`] until it is dropped.
pub struct Live(Handle);

/// `signal_create`
pub fn create(api: &Api, config: &Value) -> Result<Live, String> {
    let (handle, said) = aside(|| api.create(config));
    static KNOWN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for line in new_lines(known.get_or_insert_default(), &said) {
        eprintln!("{line}");
    }
    let handle = handle?;
    // What a lane waited for its core to be made is no part of a run.
    threads::look();
    Ok(Live(handle))
}

impl Deref for Live {
    type Target = Handle;

    #[inline(always)]
    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The last look at its lanes.
        threads::look();
    }
}

impl Host for Live {
    unsafe fn register(&mut self, callback: Callback, user_data: *mut c_void) {
        // SAFETY: the caller vouches for it.
        unsafe { self.0.register(callback, user_data) }
    }

    #[inline(always)]
    fn on_depth(&mut self, depth: &Depth) {
        self.0.on_depth(depth);
    }

    #[inline(always)]
    fn on_trade(&mut self, trade: &Trade) {
        self.0.on_trade(trade);
    }

    #[inline(always)]
    fn poll(&mut self) {
        self.0.poll_inlined();
    }

    fn about(&self) -> String {
        let stats = self.0.stats().unwrap_or_default();
        let counted = stats.iter().filter(|(_, count)| *count > 0);
        let counted: Vec<String> = counted.map(|(name, n)| format!("{name} {n}")).collect();
        format!(
            "health: {} ({})\n  counters: {}\n  lanes: {}",
            self.0.health().unwrap_or("unknown"),
            self.0.last_error(),
            counted.join(", "),
            self.0.lanes().join("; ")
        )
    }

    fn hops(&mut self) -> Vec<Value> {
        self.0.hops()
    }
}

/// Runs `make` while a file in memory stands in for stderr; what was said there meanwhile.
/// Where stderr cannot be set aside the library speaks for itself.
fn aside<R>(make: impl FnOnce() -> R) -> (R, String) {
    let put = |descriptor: i32| {
        // SAFETY: the descriptor is open; what it replaces has a copy.
        unsafe { libc::dup2(descriptor, libc::STDERR_FILENO) == libc::STDERR_FILENO }
    };
    // SAFETY: the name is NUL-terminated.
    let descriptor = unsafe { libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC) };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let (Ok(stderr), 0..) = (stderr, descriptor) else {
        return (make(), String::new());
    };
    // SAFETY: the descriptor is new, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    put(file.as_raw_fd());
    let made = make();
    put(stderr.as_raw_fd());
    let mut said = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut said));
    // What was not read is not said.
    let _ = read;
    (made, String::from_utf8_lossy(&said).into_owned())
}

/// The lines that are worth saying: start lines of configurations that are new, and all
/// others. A start line's notes name other processes, which come and go.
fn new_lines<'a>(known: &mut HashSet<String>, said: &'a str) -> Vec<&'a str> {
    let configuration = |line: &str| line.split("; ").next().unwrap_or(line).to_owned();
    let is_new =
        |line: &&str| !line.starts_with("signal: version ") || known.insert(configuration(line));
    said.lines().filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_line_is_new_once_and_every_other_line_always() {
        let mut known = HashSet::new();
        let mut new = |said: &'static str| new_lines(&mut known, said);
        let said = "signal: version 1, lanes=fused\nsignal: the disk is full\n";
        assert_eq!(new(said).len(), 2);
        assert_eq!(new(said), ["signal: the disk is full"]);
        assert!(new("signal: version 1, lanes=fused; core 1 has a lane of process 7").is_empty());
        assert_eq!(new("signal: version 1, lanes=inline").len(), 1);
    }
}
