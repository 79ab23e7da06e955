//! What a file is, told from its first bytes, when it is not what was expected.

/// First bytes of files that people give by mistake.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\xff\xfe", "it is text in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "it is text in UTF-16: save it as UTF-8"),
    (b"\x1f\x8b", "it is gzip data: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is zstd data: unpack it first"),
    (b"\xfd7zXZ\0", "it is xz data: unpack it first"),
    (b"BZh", "it is bzip2 data: unpack it first"),
    (b"PK\x03\x04", "it is a zip archive, as PyTorch saves, too"),
    (b"\x89HDF", "it is an HDF5 file, as Keras saves"),
    (b"PAR1", "it is a Parquet file"),
    (
        b"binf",
        "it is XGBoost's old binary format: load it there and save it as JSON",
    ),
    (
        b"\x80\x02",
        "it is a Python pickle: load it there and save the model itself",
    ),
    (
        b"\x80\x03",
        "it is a Python pickle: load it there and save the model itself",
    ),
    (
        b"\x80\x04",
        "it is a Python pickle: load it there and save the model itself",
    ),
    (
        b"\x80\x05",
        "it is a Python pickle: load it there and save the model itself",
    ),
    (
        b"version https://git-lfs",
        "it is a Git LFS pointer to the file: fetch it (git lfs pull)",
    ),
    (b"<!DOCTYPE html", "it is a web page"),
    (b"<html", "it is a web page"),
];

/// The byte order mark that some editors put before UTF-8 text.
pub(crate) const MARK: &str = "\u{feff}";

/// What a file that begins like this is, and what to do; `None` if unknown.
pub(crate) fn known(head: &[u8]) -> Option<&'static str> {
    let known = KNOWN.iter().find(|(start, _)| head.starts_with(start));
    let utf_16 = match head {
        [0, letter, 0, ..] | [letter, 0, _, 0, ..] => letter.is_ascii() && *letter != 0,
        _ => false,
    };
    match known {
        Some((_, what)) => Some(what),
        None if utf_16 => Some(KNOWN[0].1),
        None => None,
    }
}

/// Most characters of a name or a word that an error quotes.
const MOST_QUOTED: usize = 60;

/// A message that quotes a file, in one line of bounded length. What is too much is left out in the
/// middle: the key comes first, and last what was expected.
pub(crate) fn legible(text: &str) -> String {
    const HALF: usize = 300;
    let tail = match text.chars().count() {
        ..=MOST_LEGIBLE => return one_line(text, usize::MAX),
        long => text.chars().skip(long - HALF).collect::<String>(),
    };
    format!("{} {}", one_line(text, HALF), one_line(&tail, usize::MAX))
}

/// Most characters of such a message.
const MOST_LEGIBLE: usize = 600;

/// A name of any length, in an error: its beginning, if it is long.
pub(crate) fn shortened(name: &str) -> String {
    one_line(name, MOST_QUOTED)
}

/// The same in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    match name.char_indices().nth(MOST_QUOTED) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}", format!("{} ...", &name[..end])),
    }
}

/// The text as one line of at most `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for (number, letter) in text.chars().enumerate() {
        match letter {
            _ if number == most => {
                line += " ...";
                break;
            }
            letter if letter.is_control() => line.extend(letter.escape_default()),
            letter => line.push(letter),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_the_place_of_another_file_is_known() {
        for (head, part) in [
            (&b"\xff\xfe{\0"[..], "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0{\0}", "UTF-16"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\x80\x04\x95", "pickle"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "git lfs pull",
            ),
        ] {
            let what = known(head).unwrap_or_default();
            assert!(what.contains(part), "{head:?}: {what}");
        }
        for none in [
            &b""[..],
            b"{",
            b"tree\n",
            b"\0\0\0\0",
            b"type,ts_ns",
            b"\x08\x08\x12\0",
        ] {
            assert_eq!(known(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_name_is_quoted_up_to_its_sixtieth_character() {
        assert_eq!(quoted("a \"b\"\n币"), r#""a \"b\"\n币""#);
        let most = "币".repeat(MOST_QUOTED);
        assert_eq!(quoted(&most), format!("\"{most}\""));
        assert_eq!(quoted(&format!("{most}b")), format!("\"{most} ...\""));
        assert_eq!(shortened("a\nb"), "a\\nb");
        assert_eq!(shortened(&format!("{most}b")), format!("{most} ..."));
    }

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(legible("a\nb\u{1b}[31m c"), "a\\nb\\u{1b}[31m c");
        assert_eq!(legible("币: ok"), "币: ok");
        let long = legible(&"k".repeat(100_000));
        assert!(long.len() < 700 && long.contains("k ... k"), "{long}");
        let long = legible(&format!("unknown {}; expected \n币", "k".repeat(100_000)));
        assert!(long.starts_with("unknown k"), "{long}");
        assert!(long.ends_with("k; expected \\n币"), "{long}");
    }
}
