use std::fs;
use std::io::Seek;
use std::path::PathBuf;

use super::*;

const ROLE: Role = Role {
    name: "test file",
    without: "it ends here",
};
const HEAD: &str = "a head\n";

struct Fixture {
    dir: tempfile::TempDir,
    path: PathBuf,
    file: Appended,
    harm: Harm,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let output = Output::open(&path).unwrap();
    let harm = Harm::default();
    let file = Appended::new(output, ROLE, HEAD.into(), harm.clone());
    Fixture {
        dir,
        path,
        file,
        harm,
    }
}

impl Fixture {
    fn append(&mut self, lines: &str) {
        self.file.append(lines.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// As a command of the system does it.
    fn cut(&self, size: u64) {
        let options = fs::OpenOptions::new().write(true).open(&self.path);
        options.unwrap().set_len(size).unwrap();
    }

    fn harm(&self) -> Vec<String> {
        self.harm.texts().map(ToString::to_string).collect()
    }
}

#[test]
fn a_file_begins_with_its_head_and_grows() {
    let mut made = fixture();
    made.append("");
    assert_eq!(made.text(), HEAD);
    made.append("one\n");
    made.append("two\nthree\n");
    made.file.finish();
    assert_eq!(made.text(), "a head\none\ntwo\nthree\n");
    assert!(made.harm().is_empty(), "{:?}", made.harm());
}

#[test]
fn a_file_that_someone_cuts_goes_on_with_its_head_and_without_zeros() {
    let mut made = fixture();
    made.append("one\n");
    made.cut(0);
    made.append("two\n");
    assert_eq!(made.text(), "a head\ntwo\n");
    made.append("three\n");
    assert_eq!(made.text(), "a head\ntwo\nthree\n");
    // `echo > FILE`.
    fs::write(&made.path, "\n").unwrap();
    made.append("four\n");
    assert_eq!(made.text(), "a head\nfour\n");
    let [harm] = made.harm().try_into().unwrap();
    assert!(harm.starts_with("test file /"), "{harm}");
    assert!(harm.contains(made.path.to_str().unwrap()), "{harm}");
    assert!(harm.contains("cut") && harm.contains("rename"), "{harm}");
}

#[test]
fn a_cut_at_the_end_leaves_a_head() {
    let mut made = fixture();
    made.append("one\n");
    made.cut(0);
    made.file.finish();
    assert_eq!(made.text(), HEAD);
    assert_eq!(made.harm().len(), 1);
}

#[test]
fn what_a_cut_has_left_of_a_line_is_a_line() {
    let mut made = fixture();
    made.append("one\ntwo\n");
    made.cut(HEAD.len() as u64 + 5);
    made.append("three\n");
    assert_eq!(made.text(), "a head\none\nt\nthree\n");
    assert_eq!(made.harm().len(), 1);
}

#[test]
fn a_cut_between_look_and_write_leaves_no_lines_without_a_head() {
    let mut made = fixture();
    made.append("one\n");
    // The cut comes after the look, so only the line is in the file.
    made.cut(0);
    made.file.put(b"two\n").unwrap();
    assert_eq!(made.text(), "two\n");
    assert!(made.file.has_lost_its_head(4).unwrap());
    made.append("two\n");
    assert_eq!(made.text(), "a head\ntwo\n");
    // The file is cut within a line, and the next line written behind it.
    made.cut(HEAD.len() as u64 + 1);
    made.file.put(b"three\n").unwrap();
    assert!(!made.file.has_lost_its_head(6).unwrap());
    made.append("four\n");
    assert_eq!(made.text(), "a head\ntthree\n\nfour\n");
}

#[test]
fn a_file_that_was_deleted_or_replaced_is_named_and_written_no_more() {
    let mut made = fixture();
    made.append("one\n");
    let mut still = fs::File::open(&made.path).unwrap();
    let other = made.dir.path().join("other");
    fs::write(&other, "someone's\n").unwrap();
    fs::rename(&other, &made.path).unwrap();
    assert!(!made.file.is_deleted());
    made.append("two\n");
    assert!(made.file.is_deleted());
    made.append("three\n");
    made.file.finish();
    assert_eq!(made.text(), "someone's\n");
    assert_eq!(still.seek(io::SeekFrom::End(0)).unwrap(), 11);
    let [harm] = made.harm().try_into().unwrap();
    assert!(harm.contains("deleted or replaced"), "{harm}");
    assert!(harm.contains("it ends here"), "{harm}");
}

#[test]
fn a_file_that_is_renamed_or_gets_lines_of_others_is_written_on() {
    let mut made = fixture();
    made.append("one\n");
    let to = made.dir.path().join("file.1");
    fs::rename(&made.path, &to).unwrap();
    made.append("two\n");
    let mut others = fs::OpenOptions::new().append(true).open(&to).unwrap();
    others.write_all(b"another's\n").unwrap();
    made.append("three\n");
    made.file.finish();
    let text = fs::read_to_string(&to).unwrap();
    assert_eq!(text, "a head\none\ntwo\nanother's\nthree\n");
    assert!(made.harm().is_empty(), "{:?}", made.harm());
    // A cut of another's line is a cut.
    made.path = to;
    made.cut(text.len() as u64 - 4);
    made.append("four\n");
    assert_eq!(made.harm().len(), 1);
}

#[test]
fn a_file_gets_its_head_though_others_were_first() {
    let mut made = fixture();
    fs::write(&made.path, "another's\n").unwrap();
    made.append("one\n");
    made.append("two\n");
    assert_eq!(made.text(), "another's\na head\none\ntwo\n");
    assert!(made.harm().is_empty(), "{:?}", made.harm());
}

#[test]
fn where_names_are_not_counted_no_file_is_taken_for_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let output = Output::open(&path).unwrap();
    // As on a file system that always says 0.
    fs::remove_file(&path).unwrap();
    let harm = Harm::default();
    let mut file = Appended::new(output, ROLE, HEAD.into(), harm.clone());
    file.append(b"one\n").unwrap();
    assert!(!file.is_deleted() && file.len == 11);
    assert_eq!(harm.texts().count(), 0);
}

#[test]
fn what_does_not_fit_leaves_whole_lines_and_no_zeros() {
    let output = Output::open("/dev/full".as_ref()).unwrap();
    let mut file = Appended::new(output, ROLE, HEAD.into(), Harm::default());
    let why = file.append(b"one\n").unwrap_err();
    assert_eq!(why.raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(file.len, 0);
}
