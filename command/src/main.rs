//! The `signal` command; what it does is in its library.

use std::process::ExitCode;

fn main() -> ExitCode {
    signal_command::main()
}
