use std::io::Write;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::*;

const HEAD: &str = "#[Histogram log format version 1.3]\n#[Latencies in ns; untagged intervals are tick_to_callback]\n#[StartTime: 100.500 (seconds since epoch)]\n#[BaseTime: 100.500 (seconds since epoch)]\n#\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

/// A line of one interval that has these latencies.
fn line(tag: Option<&str>, from: f64, values: &[u64]) -> String {
    let mut histogram = Histogram::<u64>::new(2).unwrap();
    values
        .iter()
        .for_each(|&value| histogram.record(value).unwrap());
    let (mut out, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    IntervalLogWriterBuilder::new()
        .begin_log_with(&mut out, &mut serializer)
        .unwrap()
        .write_histogram(
            &histogram,
            Duration::from_secs_f64(from),
            Duration::from_secs(1),
            tag.and_then(Tag::new),
        )
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    format!("{line}\n")
}

/// What a reader sees of this text.
fn seen(text: &[u8]) -> Result<(Vec<String>, Ending)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let mut all = Vec::new();
    let ending = read(file.path(), |entry, decode| {
        all.push(match &entry {
            Entry::Remark(text) => (*text).to_owned(),
            Entry::Slow(slow) => format!("{slow:?}"),
            Entry::Lost(lost) => format!("lost {} {} {}", lost.counter, lost.total, lost.by),
            Entry::Interval(of) => {
                let histogram = decode(of)?;
                format!(
                    "{} {} {} {} {}",
                    of.hop.name(),
                    of.start,
                    of.length,
                    histogram.len(),
                    histogram.max()
                )
            }
        });
        Ok(())
    })?;
    Ok((all, ending))
}

fn refused(text: &[u8]) -> String {
    seen(text).expect_err("this log is refused").to_string()
}

#[test]
fn reads_intervals_and_remarks() {
    let text = format!(
        "{HEAD}{}#[core shared: lane 0 away 3 %]\n#[Lost: egress_gap 2 by 1.250 s]\n{}",
        line(Some("host.wait"), 0.0, &[10, 20]),
        line(None, 1.0, &[30])
    );
    let (all, ending) = seen(text.as_bytes()).unwrap();
    assert_eq!(
        all,
        [
            "host.wait 100.5 1 2 20",
            "core shared: lane 0 away 3 %",
            "lost egress_gap 2 101.75",
            "tick_to_callback 101.5 1 1 30"
        ]
    );
    assert_eq!(
        ending,
        Ending {
            cut: false,
            intervals: 2
        }
    );
}

#[test]
fn reads_slow_signals() {
    let line = "#[Slow: 90 ns at 1.500 s, signal 7 of BTC, 30 ns to publish, 60 ns to poll: the host did not poll for 60 ns]";
    let (all, _) = seen(format!("{HEAD}{line}\n").as_bytes()).unwrap();
    let expected = Slow {
        at: 102.0,
        ns: 90,
        sequence: 7,
        instrument: "BTC".into(),
        publish_ns: 30,
        poll_ns: 60,
        cause: "the host did not poll for 60 ns".into(),
    };
    assert_eq!(all, [format!("{expected:?}")]);
}

#[test]
fn a_log_that_goes_on_after_a_cut_has_times_of_its_own() {
    let second = HEAD.replace("100.500", "200.000");
    let text = format!(
        "{HEAD}{}{second}{}",
        line(None, 1.0, &[1]),
        line(None, 1.0, &[2])
    );
    let (all, _) = seen(text.as_bytes()).unwrap();
    assert_eq!(
        all,
        ["tick_to_callback 101.5 1 1 1", "tick_to_callback 201 1 1 2"]
    );
}

#[test]
fn a_last_line_that_is_cut_is_told() {
    let whole = format!("{HEAD}{}", line(None, 0.0, &[1]));
    let text = format!("{whole}{}", line(None, 1.0, &[2]));
    for end in whole.len() + 1..text.len() {
        let (all, ending) = seen(&text.as_bytes()[..end]).unwrap();
        assert_eq!(
            (all.len(), ending),
            (
                1,
                Ending {
                    cut: true,
                    intervals: 1
                }
            )
        );
    }
}

#[test]
fn what_is_not_understood_is_refused_by_its_line() {
    let good = line(None, 0.0, &[1]);
    let bad = good.replace("HIST", "HISS");
    for (text, says) in [
        (String::new(), "the file is empty"),
        ("1,2,3\n".into(), "line 1: expected \"#[Histogram log"),
        (
            HEAD.replace("1.3", "2.0"),
            "line 1: it has version 2.0 of the format; expected 1.2 or 1.3",
        ),
        (
            format!("{HEAD}{good}what is this\n"),
            "line 7: expected an interval",
        ),
        (
            format!("{HEAD}{bad}"),
            "line 6: the histogram cannot be decoded",
        ),
        (
            format!("{HEAD}{}", line(Some("lunch.wait"), 0.0, &[1])),
            "line 6: unknown hop \"lunch.wait\"",
        ),
        (
            format!("{HEAD}#[Slow: very]\n"),
            "line 6: expected \"Slow: NS ns at SECONDS s",
        ),
        (
            format!("{HEAD}#[Lost: much]\n"),
            "line 6: expected \"Lost: COUNTER TOTAL by SECONDS s\", found \"Lost: much\"",
        ),
        (
            format!("#[Histogram log format version 1.3]\n{good}"),
            "line 2: no line \"#[Latencies in ns",
        ),
    ] {
        let told = refused(text.as_bytes());
        assert!(told.contains(says), "{told}");
    }
    assert!(refused(&[b'#', 0xff, b'\n']).contains("line 1: it is not text"));
    assert!(refused(&vec![0; 2 << 20]).contains("a line is longer than"));
}
