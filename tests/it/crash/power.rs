//! Power cuts: a real `serve` on a disk that loses, tears and reorders what was not synced.
//!
//! `PATCHCORD_CUTS` sets how many cuts; `PATCHCORD_SEED` repeats the choices of a run (the traffic's timing stays its own).

use std::collections::BTreeSet;
use std::path::Path;

use patchcord::store::{self, Options};
use serde_json::json;

use super::disk::{Dice, Disk, Tree};
use super::{Cuts, trial};
use crate::support::{Folder, Setup, TOKEN, Town, among_others, http, say};

pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn seed() -> u64 {
    number("PATCHCORD_SEED", jiff::Timestamp::now().as_microsecond().unsigned_abs())
}

/// Accepted ids, each with the length of the disk's log when its 2xx had come.
type Promised = Vec<(u64, String)>;

/// A gateway on the disk takes messages in both directions and delivers none of those to the provider, then is killed. Each
/// event is larger than the one before it by `growth` bytes.
fn promised(disk: &Disk, lies: bool, growth: usize) -> (Promised, Town) {
    let store = Some(format!("sqlite:{}", disk.root.join("data/patchcord.db").display()));
    let mut town = Setup { store, limits: "{rate: unlimited, in_flight: 4}", ..Setup::default() }.prepare();
    let mut command = town.gateway.command();
    disk.under(&mut command, lies);
    town.provider.script(&json!({"answers": [], "default": {"status": 503}}));
    town.gateway.start_with(command);
    let base = town.base_url();
    let bearer = format!("Bearer {TOKEN}");
    let promised = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (disk, town, base, bearer) = (&disk, &town, &base, &bearer);
                scope.spawn(move || {
                    let mut taken = Promised::new();
                    for n in 0..60 {
                        if worker == 0 {
                            let id = format!("in-{n}");
                            let event = json!({"event": "message", "id": id, "from": "+60123456780", "text": "y".repeat(n * growth), "time": 1_767_323_045_000_u64});
                            assert_eq!(town.webhook(&event), 200);
                            taken.push((disk.position(), id));
                            continue;
                        }
                        let text = format!("c{worker}-{n:06} {}", "x".repeat(n * 40));
                        let body = json!({"contactId": "+60123456789", "message": {"type": "text", "text": text}});
                        let answer = http::post_json(&format!("{base}/message"), &[("authorization", bearer)], &body);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        taken.push((disk.position(), answer.json()["mId"].as_str().unwrap().to_owned()));
                    }
                    taken
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    town.gateway.kill();
    (promised, town)
}

/// Opens an image as a gateway would after the cut; the ids that it holds, or why it can't be used.
fn held(tree: &Tree, root: &Path, into: &Path) -> Result<BTreeSet<String>, String> {
    let _ = std::fs::remove_dir_all(into);
    std::fs::create_dir_all(into).unwrap();
    for (path, contents) in tree {
        let path = into.join(path.strip_prefix(root).unwrap());
        match contents {
            Some(contents) => std::fs::write(path, contents).unwrap(),
            None => std::fs::create_dir_all(path).unwrap(),
        }
    }
    let path = into.join("data/patchcord.db");
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let store = store::open(&format!("sqlite:{}", path.display()), &Options::default(), store::feed(1).0);
    drop(store.map_err(|error| error.to_string())?);
    let read = || -> rusqlite::Result<Result<BTreeSet<String>, String>> {
        let database = rusqlite::Connection::open(path)?;
        let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Err(verdict));
        }
        let mut statement = database.prepare("SELECT mid FROM deliveries")?;
        let ids = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Ok(ids))
    };
    read().map_err(|error| error.to_string())?
}

/// Cuts the power at many moments of one run; how many images lost a promise, or could not be used.
fn broken(disk: &Disk, promised: &Promised, cuts: u64, seed: u64) -> (u64, usize, Vec<String>) {
    let folder = Folder::new();
    let (mut broken, mut lost_sectors, mut examples) = (0, 0, Vec::new());
    for cut in 0..cuts {
        let mut dice = Dice(seed.wrapping_add(cut));
        // One in eight at the very end, one anywhere, the others where something was promised.
        let (begin, end) = (promised.iter().map(|(at, _)| *at).min().unwrap_or(0), disk.position());
        let upto = match cut % 8 {
            0 => end,
            1 => dice.below(end),
            _ => begin + dice.below(end - begin),
        };
        let (tree, lost) = disk.image(upto, &mut dice);
        lost_sectors += lost;
        let due = promised.iter().filter(|(at, _)| *at <= upto);
        let fault = match held(&tree, &disk.root, &folder.path("image")) {
            Err(fault) => Some(fault),
            Ok(ids) => due.map(|(_, id)| id).find(|id| !ids.contains(*id)).map(|id| format!("{id} is lost")),
        };
        if let Some(fault) = fault {
            broken += 1;
            examples.push(format!("cut {cut} at byte {upto} (PATCHCORD_SEED={seed}): {fault}"));
        }
    }
    (broken, lost_sectors, examples)
}

/// Takes messages, each longer by so many bytes than the one before, and cuts the power at many moments of that.
fn nothing_is_lost(growth: usize, cuts: u64) {
    let _turn = among_others();
    let (seed, folder) = (seed(), Folder::new());
    let disk = Disk::new(&folder.path(""));
    let (promised, _town) = promised(&disk, false, growth);
    let (broken, lost, examples) = broken(&disk, &promised, cuts, seed);
    say(format!(
        "{} accepted within {} bytes of writes; {cuts} power cuts (PATCHCORD_SEED={seed}), {lost} unsynced sectors lost, {broken} broken promises",
        promised.len(),
        disk.position()
    ));
    assert!(lost > 0, "the model lost nothing, so it tests nothing");
    assert_eq!(broken, 0, "{examples:#?}");
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_accepted() {
    nothing_is_lost(40, number("PATCHCORD_CUTS", 300));
}

#[test]
fn a_power_cut_while_the_log_begins_anew_loses_nothing_that_was_accepted() {
    // More than the log has room for, twice.
    nothing_is_lost(12_000, 40);
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let _turn = among_others();
    let (seed, folder) = (seed(), Folder::new());
    let disk = Disk::new(&folder.path(""));
    let (promised, _town) = promised(&disk, true, 40);
    let (broken, lost, examples) = broken(&disk, &promised, 40, seed);
    say(format!(
        "40 power cuts on a disk that lies: {lost} sectors lost, {broken} cuts broke a promise; {:?}",
        examples.first()
    ));
    assert!(broken > 0, "the model does not bite");
}

#[test]
fn power_cuts_under_load_lose_nothing_and_keep_the_order() {
    let cuts = number("PATCHCORD_CUTS", 300) / 12;
    trial("power cuts", cuts.max(1), Cuts::Power);
}
