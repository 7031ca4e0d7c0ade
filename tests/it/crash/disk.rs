//! A disk with lost, torn and reordered writes: what `disk.c` wrote down, and the files as a power cut may leave them.
//!
//! The model: a sector of 512 bytes is written or it is not; of what was not synced any part may be there, in any
//! order; a name of a file or folder may be missing, or still there, until its folder is synced. Everything synced is
//! there. It is decided by a seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sectors are written whole.
const SECTOR: u64 = 512;

/// Random numbers that a seed decides (`SplitMix64`).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The contents of a disk: files by their paths; a folder is a path without contents.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A disk under a gateway.
pub struct Disk {
    /// The folder that is the disk.
    pub root: PathBuf,
    log: PathBuf,
    shim: PathBuf,
    before: Tree,
}

/// One thing that was done.
#[derive(Debug)]
enum Done {
    Folder,
    Created,
    Removed,
    Written(u64, Vec<u8>),
    Cut(u64),
    Synced,
}

#[derive(Default)]
struct Inode {
    is_folder: bool,
    durable: Vec<u8>,
    pending: Vec<Done>,
    /// Whether its name is there now, and after a cut for sure.
    named: (bool, bool),
}

impl Disk {
    /// An empty disk in that folder.
    pub fn new(folder: &Path) -> Self {
        let (root, shim) = (folder.join("disk"), folder.join("disk.so"));
        std::fs::create_dir_all(&root).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/crash/disk.c");
        let built =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status();
        assert!(built.expect("a C compiler is needed").success());
        Self { root, log: folder.join("disk.log"), shim, before: Tree::new() }
    }

    /// Lets a gateway run on it.
    pub fn under(&self, command: &mut Command, lies: bool) {
        command.env("LD_PRELOAD", &self.shim).env("PATCHCORD_DISK", &self.root);
        command.env("PATCHCORD_DISK_LOG", &self.log);
        if lies {
            command.env("PATCHCORD_DISK_LIES", "1");
        }
    }

    /// How much is in the log by now: what is durable then is durable in every cut from here on.
    pub fn position(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |file| file.len())
    }

    /// What the disk may hold if the power goes when the log is `upto` bytes long; with how much was lost.
    pub fn image(&self, upto: u64, dice: &mut Dice) -> (Tree, usize) {
        let mut inodes: BTreeMap<PathBuf, Inode> = BTreeMap::new();
        for (path, contents) in &self.before {
            let (is_folder, durable) = (contents.is_none(), contents.clone().unwrap_or_default());
            inodes
                .insert(path.clone(), Inode { is_folder, durable, named: (true, true), ..Inode::default() });
        }
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let end = usize::try_from(upto).unwrap().min(bytes.len());
        let mut rest = &bytes[..end];
        while let Some((path, done, after)) = record(rest) {
            rest = after;
            apply(&mut inodes, path, done);
        }
        // How likely a sector that was not synced is there: never, seldom, often, always.
        let share = [0, 10, 50, 90, 100][usize::try_from(dice.below(5)).unwrap()];
        let there: BTreeMap<PathBuf, bool> = inodes
            .iter()
            .map(|(path, inode)| {
                let (now, surely) = inode.named;
                (path.clone(), if now == surely { now } else { dice.below(100) < share })
            })
            .collect();
        let mut lost = there.iter().filter(|(path, there)| inodes[*path].named.0 != **there).count();
        let mut tree = Tree::new();
        for (path, inode) in inodes {
            let reachable = path.ancestors().all(|one| there.get(one).copied().unwrap_or(true));
            if !reachable {
                continue;
            }
            let contents = (!inode.is_folder).then(|| {
                let (contents, missing) = torn(inode.durable, &inode.pending, share, dice);
                lost += missing;
                contents
            });
            tree.insert(path, contents);
        }
        (tree, lost)
    }

    /// The power goes now: the files become what they may be, and the log begins afresh.
    pub fn cut(&mut self, dice: &mut Dice) -> usize {
        let (tree, lost) = self.image(u64::MAX >> 1, dice);
        std::fs::remove_dir_all(&self.root).unwrap();
        std::fs::create_dir_all(&self.root).unwrap();
        for (path, contents) in &tree {
            match contents {
                Some(contents) => std::fs::write(path, contents).unwrap(),
                None => std::fs::create_dir_all(path).unwrap(),
            }
        }
        let _ = std::fs::remove_file(&self.log);
        self.before = tree;
        lost
    }
}

/// The first record, and what follows; none where the log ends, be it in the middle of one.
fn record(bytes: &[u8]) -> Option<(PathBuf, Done, &[u8])> {
    let (head, rest) = bytes.split_at_checked(15)?;
    let path_length = usize::from(u16::from_le_bytes(head[1..3].try_into().ok()?));
    let offset = u64::from_le_bytes(head[3..11].try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(head[11..15].try_into().ok()?)).ok()?;
    let (path, rest) = rest.split_at_checked(path_length)?;
    let (data, rest) = rest.split_at_checked(length)?;
    let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
    let done = match head[0] {
        b'D' => Done::Folder,
        b'C' => Done::Created,
        b'U' => Done::Removed,
        b'W' => Done::Written(offset, data.to_vec()),
        b'T' => Done::Cut(offset),
        b'S' => Done::Synced,
        other => panic!("the model of the disk does not know {other} on {}", path.display()),
    };
    Some((path, done, rest))
}

fn apply(inodes: &mut BTreeMap<PathBuf, Inode>, path: PathBuf, done: Done) {
    match done {
        Done::Folder | Done::Created => {
            let is_folder = matches!(done, Done::Folder);
            let durably = inodes.get(&path).is_some_and(|old| old.named.1);
            inodes.insert(path, Inode { is_folder, named: (true, durably), ..Inode::default() });
        }
        Done::Removed => inodes.entry(path).or_default().named.0 = false,
        Done::Written(..) | Done::Cut(_) => inodes.entry(path).or_default().pending.push(done),
        Done::Synced => {
            for (_, child) in inodes.iter_mut().filter(|(child, _)| child.parent() == Some(&path)) {
                child.named.1 = child.named.0;
            }
            if let Some(inode) = inodes.get_mut(&path) {
                for done in std::mem::take(&mut inode.pending) {
                    write(&mut inode.durable, &done);
                }
            }
        }
    }
}

/// What is left of a file; with how many of its pending sectors are missing.
fn torn(mut contents: Vec<u8>, pending: &[Done], share: u64, dice: &mut Dice) -> (Vec<u8>, usize) {
    let pieces: Vec<Done> = pending.iter().flat_map(sectors).collect();
    let all = pieces.len();
    let mut left: Vec<Done> = pieces.into_iter().filter(|_| dice.below(100) < share).collect();
    if dice.below(3) > 0 {
        for at in (1..left.len()).rev() {
            left.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
        }
    }
    let lost = all - left.len();
    for piece in &left {
        write(&mut contents, piece);
    }
    // A file may have got its length without its contents.
    if dice.below(2) == 0 {
        let end = pending
            .iter()
            .map(|done| if let Done::Written(at, data) = done { at + data.len() as u64 } else { 0 });
        let end = usize::try_from(end.max().unwrap_or(0)).unwrap();
        contents.resize(contents.len().max(end), 0);
    }
    (contents, lost)
}

/// The sectors of a write.
fn sectors(done: &Done) -> Vec<Done> {
    let Done::Written(offset, data) = done else {
        return if let Done::Cut(length) = done { vec![Done::Cut(*length)] } else { Vec::new() };
    };
    let (mut at, mut rest, mut pieces) = (*offset, data.as_slice(), Vec::new());
    while !rest.is_empty() {
        let room = usize::try_from(SECTOR - at % SECTOR).unwrap().min(rest.len());
        let (piece, after) = rest.split_at(room);
        pieces.push(Done::Written(at, piece.to_vec()));
        (at, rest) = (at + room as u64, after);
    }
    pieces
}

fn write(contents: &mut Vec<u8>, done: &Done) {
    match done {
        Done::Written(offset, data) => {
            let start = usize::try_from(*offset).unwrap();
            let end = start + data.len();
            contents.resize(contents.len().max(end), 0);
            contents[start..end].copy_from_slice(data);
        }
        Done::Cut(length) => contents.resize(usize::try_from(*length).unwrap(), 0),
        _ => {}
    }
}
