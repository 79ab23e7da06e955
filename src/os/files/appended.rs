//! Files that grow by whole lines for as long as a handle lives, and what others do to them
//! meanwhile: a person or a cleaner of temporary folders deletes one, logrotate's `copytruncate`
//! cuts it. A file that is renamed stays the same one, and needs no look.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::folder::Folder;
use super::held::Standing;
use super::output::Output;
use crate::os::fixed_text::{FixedText, Told};
use crate::os::stderr::say_parts;

/// How often lines are written again that someone has cut off as they were written.
const ATTEMPTS: usize = 3;

/// What can happen to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deleted,
    Cut,
    LostAtTheEnd,
}

/// What has happened to a file, for whoever is asked how the engine is. Each kind is said once, in
/// one line on stderr.
#[derive(Clone, Debug, Default)]
pub(crate) struct Harm(Arc<[OnceLock<FixedText>; 3]>);

impl Harm {
    fn say(&self, kind: Kind, what: fmt::Arguments<'_>) {
        let mut is_new = false;
        let text = self.0[kind as usize].get_or_init(|| {
            is_new = true;
            FixedText::new(what)
        });
        if is_new {
            say_parts(format_args!("{text}"));
        }
    }

    /// What has happened so far. Neither allocates nor waits.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &FixedText> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

/// What a file is called in a message, and what its end means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    /// What comes of it when the file was deleted.
    pub(crate) without: &'static str,
}

/// A folder with other files that are made later, and what it means when that is gone as well.
#[derive(Debug)]
struct Others {
    folder: Arc<Folder>,
    lost: &'static str,
}

/// A file that grows by whole lines.
#[derive(Debug)]
pub(crate) struct Appended {
    file: Output,
    role: Role,
    others: Option<Others>,
    /// The lines that the file begins with, also after someone has cut it.
    head: Vec<u8>,
    /// Bytes in the file, whole lines.
    len: u64,
    /// Whether the file system counts names: some never do.
    has_names: bool,
    is_deleted: bool,
    harm: Harm,
}

impl Appended {
    /// A file that is empty and begins with `head`.
    pub(crate) fn new(file: Output, role: Role, head: Vec<u8>, harm: Harm) -> Self {
        let standing = file.standing().ok().flatten();
        Self {
            has_names: standing.is_some_and(|standing| standing.names > 0),
            file,
            role,
            others: None,
            head,
            len: 0,
            is_deleted: false,
            harm,
        }
    }

    /// The file, of which `lost` is said where it was deleted together with `folder`.
    pub(crate) fn beside(mut self, folder: Arc<Folder>, lost: &'static str) -> Self {
        self.others = Some(Others { folder, lost });
        self
    }

    /// Its path when it was opened.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Writes whole lines behind the others; nothing where the file was deleted. Does not allocate.
    ///
    /// # Errors
    ///
    /// The system's error. The file then ends with the lines before, if the disk lets it.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.look()?;
            if self.is_deleted {
                break;
            }
            if self.len == 0 {
                let head = std::mem::take(&mut self.head);
                let written = self.put(&head);
                self.head = head;
                written?;
            }
            self.put(lines)?;
            if !self.has_lost_its_head(lines.len())? {
                break;
            }
        }
        Ok(())
    }

    /// Whether [`Appended::append`] writes nothing any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// Looks a last time, and has the file system write what it would write at a close.
    pub(crate) fn finish(&mut self) {
        // An error in here means that the host has closed the file, or that nothing fits in: no
        // line is lost by it.
        let _ = self.append(b"");
        if let Err(error) = self.file.settle() {
            let what = format_args!(
                "{}: {} as it was closed, so part of what was written is lost; expected room on its \
                 file system, and a server that answers",
                Named(self),
                Told(&error),
            );
            self.harm.say(Kind::LostAtTheEnd, what);
        }
    }

    /// Looks whether someone has deleted or cut the file since the last line was written.
    fn look(&mut self) -> io::Result<()> {
        if self.is_deleted {
            return Ok(());
        }
        match self.file.standing()? {
            Some(Standing { names: 0, .. }) if self.has_names => self.note_deleted(),
            Some(Standing { size, .. }) if size < self.len => {
                if let Some(size) = self.cut_to()? {
                    self.note_cut();
                    self.go_on_behind(size)?;
                }
            }
            // Someone may have added lines; to an empty file, too, which still wants its head.
            Some(Standing { size, .. }) if self.len > 0 => self.len = size,
            _ => {}
        }
        Ok(())
    }

    /// Whether the file was cut between the look and the write, so that only the last `written`
    /// bytes are in it: then it is empty again.
    fn has_lost_its_head(&mut self, written: usize) -> io::Result<bool> {
        match self.file.standing()? {
            Some(Standing { size, .. }) if size < self.len => {
                let Some(size) = self.cut_to()? else {
                    return Ok(false);
                };
                self.note_cut();
                let behind = size.checked_sub(written as u64).unwrap_or(size);
                if behind < self.head.len() as u64 {
                    self.file.empty()?;
                    self.go_on_behind(0).map(|()| true)
                } else {
                    self.go_on_behind(size).map(|()| false)
                }
            }
            _ => Ok(false),
        }
    }

    /// How long the file is if it was cut. The kernel answered from what it knew; a file system of
    /// another machine is asked now.
    fn cut_to(&self) -> io::Result<Option<u64>> {
        let size = self.file.length()?;
        Ok((size < self.len).then_some(size))
    }

    /// Goes on in a file of which someone has left `size` bytes.
    fn go_on_behind(&mut self, size: u64) -> io::Result<()> {
        if size == 0 {
            self.len = 0;
            Ok(())
        } else if size < self.head.len() as u64 {
            self.len = 0;
            self.file.empty()
        } else {
            self.len = size;
            // The cut may be in the middle of a line.
            self.put(b"\n")
        }
    }

    /// Writes all of it, or leaves the file as it was.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                let size = self.file.standing().ok().flatten().map(|found| found.size);
                // A file that someone has cut must not get a gap of zeros.
                // Nor must lines go that someone else has added.
                let most = self.len + bytes.len() as u64;
                if size.is_none_or(|size| size > self.len && size <= most) {
                    let _ = self.file.cut(self.len);
                }
                Err(error)
            }
        }
    }

    fn note_deleted(&mut self) {
        self.is_deleted = true;
        let gone = self
            .others
            .as_ref()
            .filter(|others| others.folder.is_gone());
        let without = gone.map_or(self.role.without, |others| others.lost);
        let what = format_args!(
            "{}: someone deleted or replaced it while it was written, and what was in it is lost; \
             {without}; rename it instead: writing follows it",
            Named(self),
        );
        self.harm.say(Kind::Deleted, what);
    }

    fn note_cut(&self) {
        let what = format_args!(
            "{}: someone cut it while it was written, as logrotate does with copytruncate; it goes on \
             behind new first lines, and what came between the copy and the cut is lost; rename it \
             instead: writing follows it",
            Named(self),
        );
        self.harm.say(Kind::Cut, what);
    }
}

struct Named<'a>(&'a Appended);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.role.name, self.0.path().display())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
