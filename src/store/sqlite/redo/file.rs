//! The file: frames one after the other, and from its beginning again in each epoch. What an earlier epoch left behind the
//! last frame is not taken for one, since it names that epoch.
//!
//! A frame is: epoch (8 bytes), number within it (8), length of the body (4), CRC-32 of those and the body (4), body;
//! numbers are little endian. The file is as long as it will ever be before the first frame is written, so that writing one
//! changes nothing but its contents.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How long the file is.
pub(super) const LENGTH: u64 = 16 << 20;
/// How long a frame is without its body.
pub(super) const HEAD: usize = 24;

/// The file, open.
#[derive(Debug)]
pub(in super::super) struct RedoFile(File);

impl RedoFile {
    /// Opens the file at `path`, which may be new and empty.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        Ok(Self(file))
    }

    /// Gives the file at `path` its length, and its name a place on disk. Where there is no room it becomes empty.
    pub(in super::super) fn make_room(&mut self, path: &Path) -> io::Result<()> {
        let length = self.0.seek(SeekFrom::End(0))?;
        if length < LENGTH {
            let filled = io::copy(&mut io::repeat(0).take(LENGTH - length), &mut self.0);
            if let Err(error) = filled.and_then(|_| self.0.sync_all()) {
                self.0.set_len(0)?;
                return Err(error);
            }
        }
        // Only Unix opens folders.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()?;
        }
        Ok(())
    }

    /// Whether nothing was ever written to it.
    pub(super) fn is_new(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.len() == 0)
    }

    /// Writes what belongs at `offset`; it is on disk afterwards.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)?;
        self.0.sync_data()
    }

    /// All of it, if it begins with a frame of that epoch.
    pub(super) fn read(&mut self, epoch: i64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        (&self.0).take(8).read_to_end(&mut bytes)?;
        if bytes == epoch.to_le_bytes() {
            self.0.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

/// A frame.
pub(super) fn frame(epoch: i64, number: u64, body: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(HEAD + body.len());
    frame.extend_from_slice(&epoch.to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    let sum = sum(&frame, body);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(body);
    Some(frame)
}

fn sum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

/// The whole frames of an epoch at the beginning of `bytes`, in order: their numbers, which begin with 1, and bodies.
pub(super) fn frames(mut bytes: &[u8], epoch: i64) -> impl Iterator<Item = (u64, &[u8])> {
    (1..).map_while(move |number| {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (before, expected) = head.split_last_chunk::<4>()?;
        let (names, length) = before.split_last_chunk::<4>()?;
        let (body, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (of, numbered) = names.split_first_chunk::<8>()?;
        let is_next = *of == epoch.to_le_bytes() && *numbered == u64::to_le_bytes(number);
        if !is_next || sum(before, body) != u32::from_le_bytes(*expected) {
            return None;
        }
        bytes = rest;
        Some((number, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], epoch: i64) -> Vec<(u64, Vec<u8>)> {
        frames(bytes, epoch).map(|(number, body)| (number, body.to_vec())).collect()
    }

    #[test]
    fn whole_frames_of_the_epoch_are_found_and_nothing_else() {
        let all: Vec<u8> = [(1, "one"), (2, ""), (3, "three")]
            .iter()
            .flat_map(|(n, b)| frame(7, *n, b.as_bytes()).unwrap())
            .collect();
        let expected: Vec<(u64, Vec<u8>)> = vec![(1, b"one".into()), (2, b"".into()), (3, b"three".into())];
        assert_eq!(found(&all, 7), expected);
        assert_eq!(found(&all, 8), []);
        // An older epoch lies behind.
        let mut behind = frame(7, 1, b"one").unwrap();
        behind.extend(frame(6, 2, b"old").unwrap());
        assert_eq!(found(&behind, 7), expected[..1]);
        // One that is missing, and one that comes again, end it.
        let gap = [frame(7, 1, b"one").unwrap(), frame(7, 3, b"three").unwrap()].concat();
        assert_eq!(found(&gap, 7), expected[..1]);
        // Whatever is torn, only whole frames before it are found.
        for end in 0..all.len() {
            let whole = found(&all[..end], 7);
            assert_eq!(whole, expected[..whole.len()]);
            assert!(whole.len() < 3);
            let mut torn = all.clone();
            torn[end] ^= 1;
            let whole = found(&torn, 7);
            assert!(whole.len() < 3 && whole == expected[..whole.len()], "{end}");
        }
    }
}
