//! Starts this program again under callgrind and reads what it dumps.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use signal_bench::folder::Folder;

use crate::baseline::{Baseline, Counts};
use crate::cases;
use crate::counted::CALLS;

/// Instructions a call of each case whose name contains `only`, in the order of
/// the cases.
pub fn count(lib: &Path, only: &str) -> Result<Baseline, String> {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return Err(
            "this processor has no AVX2 and FMA; the counts are of code that uses them".to_owned(),
        );
    }
    let version = version()?;
    let folder = Folder::new("counts").map_err(|error| format!("no folder for dumps: {error}"))?;
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    // What the loader finds on the stack moves everything below it, so that the
    // names in there must not depend on where this checkout lies.
    let program = env::current_exe().map_err(|error| failed("this program", error))?;
    let lib = lib
        .canonicalize()
        .map_err(|error| failed(&lib.display().to_string(), error))?;
    for (target, name) in [(&program, PROGRAM), (&lib, cases::LIBRARY)] {
        symlink(target, folder.path().join(name)).map_err(|error| failed(name, error))?;
    }
    cases::write_files(folder.path())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--callgrind-out-file=dump",
            // The lanes' own instructions are not the host's.
            "--separate-threads=yes",
        ])
        .arg(format!("./{PROGRAM}"))
        .args(["--counted", "--only", only])
        .current_dir(folder.path())
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .output()
        .map_err(|error| failed("valgrind", error))?;
    if !output.status.success() {
        return Err(format!(
            "the cases ended with {} under valgrind:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let totals = totals(folder.path())?;
    let mut counts = Counts::new();
    for case in cases::all().filter(|case| case.name.contains(only)) {
        let of = |calls: usize| {
            let title = format!("{calls} {}", case.name);
            totals
                .get(&title)
                .copied()
                .ok_or_else(|| format!("callgrind dumped nothing for {title}"))
        };
        let (once, twice) = (of(CALLS)?, of(2 * CALLS)?);
        counts.push((case.name.to_owned(), a_call(once, twice)));
    }
    if counts.is_empty() {
        return Err(format!("no case has {only:?} in its name"));
    }
    Ok(Baseline::new(version, counts))
}

const PROGRAM: &str = "counts";

/// Instructions of one call, to a tenth.
fn a_call(once: u64, twice: u64) -> f64 {
    let calls = twice as f64 - once as f64;
    (calls / CALLS as f64 * 10.0).round() / 10.0
}

fn version() -> Result<String, String> {
    let output = Command::new("valgrind").arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(format!("valgrind --version ended with {}", output.status)),
        Err(error) => Err(format!(
            "valgrind does not start: {error}. It is what counts: install it (apt-get install valgrind)"
        )),
    }
}

/// The totals of the first thread by the dumps' titles.
fn totals(folder: &Path) -> Result<BTreeMap<String, u64>, String> {
    let failed = |error: io::Error| format!("the dumps: {error}");
    let mut totals = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with("dump") {
            let text = fs::read_to_string(entry.path()).map_err(failed)?;
            totals.extend(total(&text));
        }
    }
    Ok(totals)
}

/// The title and the total of a dump that the first thread asked for.
fn total(dump: &str) -> Option<(String, u64)> {
    let field = |name: &str| dump.lines().find_map(|line| line.strip_prefix(name));
    if field("thread: ")?.trim() != "1" {
        return None;
    }
    let title = field("desc: Trigger: Client Request: ")?.trim();
    Some((title.to_owned(), field("totals: ")?.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npid: 1\n\
        cmd:  ./counts --counted\npart: 3\nthread: 1\n\n\
        desc: Timerange: Basic block 1 - 2\ndesc: Trigger: Client Request: 128 poll empty\n\n\
        positions: line\nevents: Ir\nsummary: 4711\n\n\nfn=(1) a\n0 4711\n\ntotals: 4711\n";

    #[test]
    fn the_host_threads_dump_is_read() {
        assert_eq!(total(DUMP), Some(("128 poll empty".to_owned(), 4711)));
        assert_eq!(total(&DUMP.replace("thread: 1", "thread: 2")), None);
        // The last dump is that of the program's end.
        let end = DUMP.replace("Client Request: 128 poll empty", "Program termination");
        assert_eq!(total(&end), None);
        assert_eq!(total(&DUMP.replace("totals:", "total")), None);
    }

    #[test]
    fn a_call_is_the_difference() {
        assert_eq!(a_call(1_000, 1_000 + 128 * 40), 40.0);
        assert_eq!(a_call(1_000, 1_000 + 128 * 40 + 32), 40.3);
    }
}
