//! System calls that a signal's handler interrupts, which are made again.

use std::io::{self, ErrorKind};

/// Calls until no signal interrupts it.
pub(crate) fn unless_interrupted<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// What a system call that returns 0 or fails has returned.
pub(crate) fn done(answer: impl Into<libc::c_long>) -> io::Result<()> {
    match answer.into() {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_a_signal_interrupts_is_called_again_and_what_fails_is_not() {
        let calls = Cell::new(0);
        let fails_with = |error: libc::c_int| {
            unless_interrupted(|| {
                calls.set(calls.get() + 1);
                let code = if calls.get() < 3 { libc::EINTR } else { error };
                Err::<(), _>(io::Error::from_raw_os_error(code))
            })
        };
        let why = fails_with(libc::ENOENT).unwrap_err();
        assert_eq!((why.kind(), calls.get()), (ErrorKind::NotFound, 3));
        assert_eq!(unless_interrupted(|| Ok(7)).unwrap(), 7);
    }
}
