//! Starts this program again under callgrind and reads what it dumps.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use signal_bench::folder::Folder;

use crate::baseline::Baseline;
use crate::cases;
use crate::counted::CALLS;
use crate::touched;

const PROGRAM: &str = "counts";

/// Instructions a call of each case whose name contains `only`.
pub fn count(lib: &Path, only: &str) -> Result<Baseline, String> {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return Err(
            "this processor has no AVX2 and FMA; the counts are of code that uses them".to_owned(),
        );
    }
    let valgrind = run(Command::new("valgrind").arg("--version"))?;
    let folder = Folder::new("counts")?;
    // What the loader finds on the stack moves everything below it, so that the
    // names in there must not depend on where this checkout lies.
    let program = env::current_exe();
    for (target, name) in [(program, PROGRAM), (lib.canonicalize(), cases::LIBRARY)] {
        let linked = target.and_then(|target| symlink(target, folder.path().join(name)));
        linked.map_err(|error| format!("{name}: {error}"))?;
    }
    cases::write_files(&folder)?;
    run(Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--callgrind-out-file=dump"])
        // The lanes' own instructions are not the host's.
        .arg("--separate-threads=yes")
        .arg(format!("./{PROGRAM}"))
        .args(["--counted", "--only", only])
        .current_dir(folder.path())
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path))))?;
    let totals = totals(folder.path()).map_err(|error| format!("the dumps: {error}"))?;
    let counts = cases::named(only).map(|case| {
        let of = |calls: usize| {
            let title = format!("{calls} {}", case.name);
            let total = totals.get(&title).copied();
            total.ok_or_else(|| format!("callgrind dumped nothing for {title}"))
        };
        let (once, twice) = (of(CALLS)?, of(2 * CALLS)?);
        Ok((case.name.clone(), a_call(once, twice)))
    });
    let counts: Vec<_> = counts.collect::<Result<_, String>>()?;
    if counts.is_empty() {
        return Err(format!("no case has {only:?} in its name"));
    }
    let touched = match only.is_empty() {
        true => touched::count(&folder, &format!("./{PROGRAM}"))?,
        false => Default::default(),
    };
    Ok(Baseline::new(valgrind, counts, touched))
}

fn a_call(once: u64, twice: u64) -> f64 {
    let calls = twice as f64 - once as f64;
    (calls / CALLS as f64 * 10.0).round() / 10.0
}

fn run(command: &mut Command) -> Result<String, String> {
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("valgrind ended with {}:\n{said}", output.status))
        }
        Err(error) => Err(format!(
            "valgrind does not start: {error}. It is what counts: install it (apt-get install valgrind)"
        )),
    }
}

/// The totals of the first thread by the dumps' titles.
fn totals(folder: &Path) -> std::io::Result<BTreeMap<String, u64>> {
    let mut totals = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("dump") {
            totals.extend(total(&fs::read_to_string(entry.path())?));
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

#[test]
fn the_host_threads_dump_is_read_and_a_call_is_the_difference() {
    let dump = "# callgrind format\npart: 3\nthread: 1\n\ndesc: Timerange: Basic block 1 - 2\n\
        desc: Trigger: Client Request: 128 poll empty\n\nsummary: 4711\n\n\nfn=(1) a\n0 4711\n\ntotals: 4711\n";
    assert_eq!(total(dump), Some(("128 poll empty".to_owned(), 4711)));
    for (from, to) in [
        ("thread: 1", "thread: 2"),
        // The last dump is that of the program's end.
        ("Client Request: 128 poll empty", "Program termination"),
        ("totals:", "total"),
    ] {
        assert_eq!(total(&dump.replace(from, to)), None, "{to}");
    }
    assert_eq!(a_call(1_000, 1_000 + 128 * 40), 40.0);
    assert_eq!(a_call(1_000, 1_000 + 128 * 40 + 32), 40.3);
}
