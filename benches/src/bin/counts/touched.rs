//! Cache lines and pages that one event touches, code and data: what it waits for when it comes
//! after a quiet time.
//!
//! The program runs itself under valgrind's lackey, which names the address of every access. Stores
//! to a page at a known address mark where a call begins and ends. What a call touches is the least
//! of some events: the others may have had another thread in between, and valgrind does not name the
//! thread. It has the host's own loop and callback in it, three lines.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};
use signal::abi::EventKind;
use signal_bench::folder::Folder;

use crate::cases::{NETWORK, OnData};
use crate::requests;

/// Events of a case that are looked at, after as many.
const EVENTS: usize = 16;
/// Where the marks are stored. No program has anything there.
const MARKS: usize = 0x30_0000_0000;
/// Marks are a line apart.
const APART: usize = 64;

/// The marks, by their place in the page.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Case,
    OnData,
    Poll,
    /// The end of a call that counts.
    End,
    /// The end of a poll that found nothing.
    Nothing,
}

const ALL: [Mark; 5] = [
    Mark::Case,
    Mark::OnData,
    Mark::Poll,
    Mark::End,
    Mark::Nothing,
];

/// A configuration, and the name of each of its counts with the calls in it.
struct Case {
    config: Value,
    counts: &'static [(&'static str, &'static [Mark])],
}

fn cases() -> [Case; 3] {
    const BOTH: &[Mark] = &[Mark::OnData, Mark::Poll];
    [
        Case {
            config: json!({"placement": "inline"}),
            counts: &[("inline, test0000", BOTH)],
        },
        Case {
            config: json!({"placement": "inline", "factors": "market", "model": NETWORK}),
            counts: &[("inline, market + network", BOTH)],
        },
        Case {
            config: json!({"placement": "fused", "idle": "park", "factors": "market", "model": NETWORK}),
            counts: &[
                ("fused, the host's thread, on_data", &[Mark::OnData]),
                (
                    "fused, the host's thread, a poll with a signal",
                    &[Mark::Poll],
                ),
            ],
        },
    ]
}

/// The side under valgrind.
pub fn run() -> Result<(), String> {
    if !requests::under_valgrind() {
        return Err("--touched is for the program itself, under valgrind".to_owned());
    }
    let marks = marks()?;
    let mark = |mark: Mark| {
        // SAFETY: the page is mapped for as long as the program runs, and the mark lies in it.
        unsafe { marks.add(mark as usize * APART).write_volatile(1) };
    };
    for case in cases() {
        let source = OnData::new(&case.config, &[EventKind::Depth])?;
        mark(Mark::Case);
        for number in 0..2 * EVENTS {
            mark(Mark::OnData);
            source.give(number);
            mark(Mark::End);
            // A lane has its turn when this thread gives the processor away.
            let polls = (0..100).find(|_| {
                thread::sleep(Duration::from_millis(5));
                mark(Mark::Poll);
                let found = source.poll() == 1;
                mark(if found { Mark::End } else { Mark::Nothing });
                found
            });
            polls.ok_or_else(|| format!("{}: no signal came", case.config))?;
        }
    }
    Ok(())
}

fn marks() -> Result<NonNull<u8>, String> {
    // SAFETY: a new mapping, at a place where none is: else the call fails.
    let page = unsafe {
        libc::mmap(
            std::ptr::without_provenance_mut(MARKS),
            APART * ALL.len(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        )
    };
    match page.addr() {
        MARKS => Ok(NonNull::new(page.cast()).expect("the address is not 0")),
        _ => Err(format!("no page at {MARKS:#x} for the marks")),
    }
}

/// Runs the cases in the folder, where the library is, and counts.
pub fn count(folder: &Folder, program: &str) -> Result<Map<String, Value>, String> {
    let mut child = Command::new("valgrind")
        .args([
            "--tool=lackey",
            "--trace-mem=yes",
            "--basic-counts=no",
            program,
            "--touched",
        ])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let trace = child.stderr.take().expect("it is piped");
    let (counted, said) = read(trace).map_err(|error| format!("the trace: {error}"))?;
    let ended = child.wait().map_err(|error| error.to_string())?;
    if !ended.success() || counted.len() != cases().len() {
        return Err(format!("valgrind's lackey ended with {ended}:\n{said}"));
    }
    let mut named = Map::new();
    for (case, counted) in cases().iter().zip(&counted) {
        for (name, calls) in case.counts {
            named.extend(counted.of(calls, name));
        }
    }
    Ok(named)
}

/// Lines, by their address divided by their size.
type Lines = BTreeSet<usize>;

/// What one call touches: code, and data.
#[derive(Clone, Default)]
struct Touched([Lines; 2]);

impl Touched {
    fn lines(&self) -> usize {
        self.0.iter().map(Lines::len).sum()
    }

    fn access(&mut self, is_data: bool, address: usize, bytes: usize) {
        let last = (address + bytes.max(1) - 1) / APART;
        self.0[usize::from(is_data)].extend(address / APART..=last);
    }
}

/// What the calls of a case touch: the least of each.
#[derive(Default)]
struct Counted {
    events: usize,
    least: [Option<Touched>; ALL.len()],
}

impl Counted {
    fn call(&mut self, which: Mark, touched: Touched) {
        self.events += usize::from(which == Mark::OnData);
        let least = &mut self.least[which as usize];
        let is_less = |than: &Touched| touched.lines() < than.lines();
        if self.events > EVENTS && least.as_ref().is_none_or(is_less) {
            *least = Some(touched);
        }
    }

    /// The counts of these calls together.
    fn of(&self, calls: &[Mark], name: &str) -> [(String, Value); 4] {
        let calls = calls
            .iter()
            .filter_map(|call| self.least[*call as usize].as_ref());
        let calls: Vec<_> = calls.collect();
        let all = |kind: usize| -> Lines {
            calls
                .iter()
                .flat_map(|touched| touched.0[kind].iter().copied())
                .collect()
        };
        let pages =
            |lines: &Lines| -> Lines { lines.iter().map(|line| line * APART / 4096).collect() };
        let (code, data) = (all(0), all(1));
        [
            ("code lines", code.len()),
            ("code pages", pages(&code).len()),
            ("data lines", data.len()),
            ("data pages", pages(&data).len()),
        ]
        .map(|(what, count)| (format!("{name}: {what}"), json!(count)))
    }
}

/// The cases in a trace, and the end of what else was said.
fn read(trace: impl Read) -> std::io::Result<(Vec<Counted>, String)> {
    let (mut cases, mut said) = (Vec::new(), Vec::new());
    let (mut call, mut touched) = (Mark::End, Touched::default());
    let mut lines = BufReader::new(trace);
    let mut line = String::new();
    while {
        line.clear();
        lines.read_line(&mut line)?
    } > 0
    {
        let Some((kind, address, bytes)) = access(&line) else {
            said.push(line.clone());
            said.drain(..said.len().saturating_sub(20));
            continue;
        };
        let mark = ALL
            .iter()
            .find(|mark| MARKS + **mark as usize * APART == address);
        let Some(&mark) = mark else {
            if matches!(call, Mark::OnData | Mark::Poll) {
                touched.access(kind != 'I', address, bytes);
            }
            continue;
        };
        let last = std::mem::take(&mut touched);
        match (mark, cases.last_mut()) {
            (Mark::Case, _) => cases.push(Counted::default()),
            (Mark::End, Some(counted)) => counted.call(call, last),
            _ => {}
        }
        call = mark;
    }
    Ok((cases, said.concat()))
}

/// A line of the trace: load, store, both (`M`) or instruction; its address, and its bytes.
fn access(line: &str) -> Option<(char, usize, usize)> {
    let (kind, rest) = line.trim().split_once(' ')?;
    let kind = ["I", "L", "S", "M"]
        .contains(&kind)
        .then(|| kind.chars().next())??;
    let (address, bytes) = rest.trim().split_once(',')?;
    Some((
        kind,
        usize::from_str_radix(address, 16).ok()?,
        bytes.parse().ok()?,
    ))
}

#[test]
fn the_least_of_the_later_calls_counts_and_what_lies_outside_does_not() {
    let mut trace = format!("==1== Lackey\nsignal: started\n S {MARKS:x},1\n");
    let at = |mark: Mark| format!(" S {:x},1\n", MARKS + mark as usize * APART);
    for event in 0..2 * EVENTS {
        // The first half is not looked at, though it touches nothing.
        let more = if event == EVENTS { " L 9000,8\n" } else { "" };
        let work = if event < EVENTS {
            ""
        } else {
            "I  1000,3\nI  103e,4\n L 2ffc,8\n M 3000,8\n"
        };
        trace += &format!(
            "{}{work}{more}{}I  5000,2\n",
            at(Mark::OnData),
            at(Mark::End)
        );
        trace += &format!("{} S 7000,8\n S 6000,8\n{}", at(Mark::Poll), at(Mark::End));
        trace += &format!("{} S 7000,8\n{}", at(Mark::Poll), at(Mark::Nothing));
    }
    let (cases, said) = read(trace.as_bytes()).unwrap();
    assert_eq!((cases.len(), said.lines().count()), (1, 2));
    let counts = |calls: &[Mark]| {
        cases[0]
            .of(calls, "x")
            .map(|(_, count)| count.as_u64().unwrap())
    };
    assert_eq!(counts(&[Mark::OnData]), [2, 1, 2, 2]);
    assert_eq!(counts(&[Mark::OnData, Mark::Poll]), [2, 1, 4, 4]);
    assert_eq!(access("I  04a2b,3"), Some(('I', 0x4a2b, 3)));
    assert_eq!((access("signal: a,b"), access(" S zz,8")), (None, None));
}
