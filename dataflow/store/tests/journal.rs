//! What was synced is there, in order, and nothing is invented: over random histories, crashes, faults and damage.
#![allow(clippy::unwrap_used)] // helpers of tests

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::wire;
use weir_store::sim::{Fault, SimDisk};
use weir_store::{Addr, Disk, LanePart, Options, RealDisk, Recovery, Replayed, Store, StoreError};

fn options() -> Options {
    Options { segment_bytes: 4096, ..Options::new(0x5151) }
}

fn open(disk: &SimDisk) -> Result<(Store, Recovery), StoreError> {
    Store::open(Arc::new(disk.clone()), options())
}

/// A record as the journal holds it: its length and its bytes.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_bytes(&mut out, body);
    out
}

/// Everything a replay gives: sections, records in order, groups ended.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    sections: BTreeMap<String, Vec<u8>>,
    records: Vec<(Addr, Vec<u8>)>,
    groups: Vec<u64>,
}

fn hear(recovery: &mut Recovery) -> Result<Heard, StoreError> {
    let mut heard = Heard::default();
    recovery.for_each(&mut |event| {
        match event {
            Replayed::SectionBegin { name } => drop(heard.sections.insert(name.to_owned(), Vec::new())),
            Replayed::SectionChunk { name, bytes } => heard.sections.get_mut(name).unwrap().extend_from_slice(bytes),
            Replayed::SectionEnd { .. } => {}
            Replayed::Record { addr, bytes } => heard.records.push((addr, bytes.to_vec())),
            Replayed::GroupEnd { seq } => heard.groups.push(seq.0),
        }
        Ok(())
    })?;
    Ok(heard)
}

/// Writes groups and remembers them.
struct Author {
    store: Store,
    lanes: Vec<(u16, u64)>,
    /// Records of each group that was appended, by its number - 1.
    groups: Vec<Vec<(Addr, Vec<u8>)>>,
}

impl Author {
    fn begin(mut store: Store, groups: Vec<Vec<(Addr, Vec<u8>)>>) -> Author {
        let lanes = store.allocate_lanes(2).into_iter().map(|lane| (lane, 0)).collect();
        Author { store, lanes, groups }
    }

    fn append(&mut self, sizes: &[u16]) -> Result<(), StoreError> {
        let mut parts = vec![Vec::new(); self.lanes.len()];
        let mut records = Vec::new();
        for (at, &size) in sizes.iter().enumerate() {
            let body: Vec<u8> =
                (0..size).map(|byte| (byte as u8) ^ (self.groups.len() as u8).wrapping_mul(31) ^ at as u8).collect();
            let lane = at % self.lanes.len();
            records.push((
                lane,
                Addr::new(self.lanes[lane].0, self.lanes[lane].1 + parts[lane].len() as u64),
                body.clone(),
            ));
            parts[lane].extend_from_slice(&framed(&body));
        }
        let given: Vec<LanePart<'_>> = parts
            .iter()
            .zip(&self.lanes)
            .filter(|(bytes, _)| !bytes.is_empty())
            .map(|(bytes, &(lane, offset))| LanePart { lane, offset, bytes })
            .collect();
        self.store.append_group(&given)?;
        for (bytes, lane) in parts.iter().zip(&mut self.lanes) {
            lane.1 += bytes.len() as u64;
        }
        // Replay gives a group lane by lane.
        records.sort_by_key(|&(lane, _, _)| lane);
        self.groups.push(records.into_iter().map(|(_, addr, body)| (addr, body)).collect());
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), StoreError> {
        let mut writer = self.store.begin_snapshot()?;
        for (at, group) in self.groups.iter().enumerate() {
            writer.section(&format!("group {}", at + 1))?;
            for (addr, body) in group {
                writer.write(&addr.0.to_le_bytes())?;
                writer.write(body)?;
            }
        }
        self.store.install_snapshot(writer)?;
        Ok(())
    }
}

/// The groups that a replay stands for must be the first `n` appended ones; gives `n`.
fn prefix_of(heard: &Heard, groups: &[Vec<(Addr, Vec<u8>)>]) -> usize {
    let covered = heard.sections.len();
    for (at, group) in groups[..covered].iter().enumerate() {
        let expected: Vec<u8> = group
            .iter()
            .flat_map(|(addr, body)| addr.0.to_le_bytes().into_iter().chain(body.iter().copied()))
            .collect();
        assert_eq!(heard.sections[&format!("group {}", at + 1)], expected, "section of group {}", at + 1);
    }
    let total = covered + heard.groups.len();
    assert!(total <= groups.len(), "invented groups: {total} of {}", groups.len());
    let expected: Vec<_> = groups[covered..total].iter().flatten().cloned().collect();
    assert_eq!(heard.records, expected);
    total
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<u16>),
    Sync,
    Snapshot,
    Retain,
    Read,
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => proptest::collection::vec(0u16..700, 0..9).prop_map(Act::Append),
        1 => (3000u16..9000).prop_map(|size| Act::Append(vec![size])),
        4 => Just(Act::Sync),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Retain),
        2 => Just(Act::Read),
        1 => Just(Act::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_survives_power_cuts_in_order_and_nothing_is_invented(
        lives in proptest::collection::vec((proptest::collection::vec(act(), 1..25), 1u64..60, any::<u64>(), any::<bool>()), 1..5),
    ) {
        let disk = SimDisk::new();
        let mut groups = Vec::new();
        let mut promised = 0;
        for (acts, cut_after, seed, kill_only) in lives {
            disk.cut_power_at(disk.operations() + cut_after);
            if let Ok((store, mut recovery)) = open(&disk) {
                // Reading needs no luck: the power fails at changes only.
                let heard = hear(&mut recovery).unwrap();
                let survived = prefix_of(&heard, &groups);
                prop_assert!(survived >= promised, "{survived} of {promised} promised groups survived");
                groups.truncate(survived);
                let mut author = Author::begin(store, std::mem::take(&mut groups));
                promised = survived;
                for act in acts {
                    let result = match act {
                        Act::Append(sizes) => author.append(&sizes),
                        Act::Sync => author.store.sync().map(|seq| promised = seq.0 as usize),
                        Act::Snapshot => author.snapshot().map(|()| promised = author.groups.len()),
                        Act::Retain => author.store.retain(&mut |_, _| false).map(drop),
                        Act::Read => {
                            let addrs: Vec<Addr> = author.groups.iter().flatten().map(|(addr, _)| *addr).collect();
                            let known: BTreeMap<Addr, Vec<u8>> = author.groups.iter().flatten().cloned().collect();
                            match author.store.read_many(&addrs, &mut |addr, bytes| assert_eq!(bytes, known[&addr])) {
                                Err(StoreError::UnknownAddress { .. }) => Ok(()),
                                other => other,
                            }
                        }
                        Act::Close => break,
                    };
                    if result.is_err() {
                        break;
                    }
                }
                groups = author.groups;
            }
            if kill_only { disk.kill() } else { disk.restart(seed) }
        }
        let (_, mut recovery) = open(&disk).unwrap();
        let survived = prefix_of(&hear(&mut recovery).unwrap(), &groups);
        prop_assert!(survived >= promised);
    }

    #[test]
    fn any_changed_byte_of_a_closed_state_is_refused_by_name(
        groups in proptest::collection::vec(proptest::collection::vec(0u16..700, 1..9), 1..25),
        snapshot_after in 0usize..25,
        at in any::<prop::sample::Index>(),
        file in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let disk = SimDisk::new();
        let (store, _) = open(&disk).unwrap();
        let mut author = Author::begin(store, Vec::new());
        for (count, sizes) in groups.iter().enumerate() {
            author.append(sizes).unwrap();
            if count == snapshot_after {
                author.snapshot().unwrap();
            }
        }
        let written = author.groups;
        author.store.put_document("job", b"one = 1\n").unwrap();
        author.store.close().unwrap();
        let names = disk.names().unwrap();
        let name = file.get(&names);
        let mut content = disk.content(name).unwrap();
        let byte = at.index(content.len());
        content[byte] ^= flip;
        disk.put(name, content);
        let addrs: Vec<Addr> = written.iter().flatten().map(|(addr, _)| *addr).collect();
        let refused = open(&disk).and_then(|(mut store, mut recovery)| {
            let heard = hear(&mut recovery)?;
            // Groups before the snapshot are checked when they are read.
            store.read_many(&addrs, &mut |_, _| {})?;
            store.get_document("job")?;
            Ok((recovery.report, heard))
        });
        match refused {
            Err(error) => prop_assert!(error.to_string().contains(name.as_str()), "{error} names {name}"),
            // The closing group holds nothing: it alone may be taken for torn. A damaged snapshot may be replaced by a
            // complete journal, which is said.
            Ok((report, mut heard)) => {
                let said = report.torn.as_ref().map(|torn| torn.path.clone()).or(report.fallback.clone()).unwrap_or_default();
                prop_assert!(said.contains(name.as_str()), "{report:?} says nothing about {name} byte {byte}");
                heard.groups.retain(|&seq| seq as usize <= written.len());
                prop_assert_eq!(prefix_of(&heard, &written), written.len());
            }
        }
    }
}

fn written(groups: usize) -> (SimDisk, Author) {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let mut author = Author::begin(store, Vec::new());
    for _ in 0..groups {
        author.append(&[300, 40]).unwrap();
    }
    (disk, author)
}

#[test]
fn damage_before_a_synced_group_is_refused_although_the_process_was_killed() {
    let (disk, mut author) = written(3);
    author.store.sync().unwrap();
    author.append(&[10]).unwrap();
    disk.kill();
    let mut content = disk.content("journal-00000001.weir").unwrap();
    content[200] ^= 1;
    disk.put("journal-00000001.weir", content.clone());
    let error = open(&disk).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { path, .. } if path.ends_with("journal-00000001.weir")), "{error}");
    assert_eq!(disk.content("journal-00000001.weir").unwrap(), content, "nothing was changed");
}

#[test]
fn a_tail_that_was_never_synced_is_cut_and_said() {
    let (disk, mut author) = written(3);
    author.store.sync().unwrap();
    author.append(&[1000]).unwrap();
    disk.kill();
    let mut content = disk.content("journal-00000001.weir").unwrap();
    content.truncate(content.len() - 7);
    disk.put("journal-00000001.weir", content);
    let (_, mut recovery) = open(&disk).unwrap();
    assert!(recovery.report.torn.is_some());
    assert_eq!(hear(&mut recovery).unwrap().groups, [1, 2, 3]);
    assert!(open(&disk).unwrap().1.report.torn.is_none(), "the cut is durable");
}

#[test]
fn a_folder_of_other_files_is_refused_and_left_alone() {
    let disk = SimDisk::new();
    disk.put("thesis.txt", b"chapter 1".to_vec());
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("thesis.txt") && error.contains("--state"), "{error}");
    assert_eq!(disk.names().unwrap(), ["thesis.txt"]);
}

#[test]
fn a_newer_format_and_another_states_segment_are_refused_by_name() {
    let (disk, author) = written(3);
    author.store.close().unwrap();
    let ours = disk.content("state.weir").unwrap();
    disk.put(
        "state.weir",
        String::from_utf8(ours.clone()).unwrap().replace("weir-state 1", "weir-state 2").into_bytes(),
    );
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("state.weir") && error.contains("version"), "{error}");
    disk.put("state.weir", ours);
    let other = SimDisk::new();
    Store::open(Arc::new(other.clone()), Options::new(0x9999)).unwrap();
    disk.put("journal-00000001.weir", other.content("journal-00000001.weir").unwrap());
    let error = open(&disk).unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { path, .. } if path.contains("journal-00000001")), "{error}");
}

#[test]
fn a_missing_segment_and_a_missing_identity_are_refused() {
    let (disk, mut author) = written(40);
    author.store.sync().unwrap();
    author.store.close().unwrap();
    let middle = disk.content("journal-00000002.weir").unwrap();
    disk.take("journal-00000002.weir");
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("groups") && error.contains("journal-00000003"), "{error}");
    disk.put("journal-00000002.weir", middle);
    disk.take("state.weir");
    assert!(open(&disk).unwrap_err().to_string().contains("state.weir"));
}

#[test]
fn a_damaged_snapshot_falls_back_only_to_a_complete_journal_and_says_so() {
    let (disk, mut author) = written(30);
    author.snapshot().unwrap();
    author.append(&[5]).unwrap();
    author.snapshot().unwrap();
    author.append(&[6]).unwrap();
    let groups = author.groups;
    author.store.sync().unwrap();
    let newest = "snapshot-0000000000000031.weir";
    let mut content = disk.content(newest).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 4;
    disk.put(newest, content);
    disk.kill();
    let (mut store, mut recovery) = open(&disk).unwrap();
    assert!(recovery.report.fallback.as_ref().unwrap().contains(newest));
    assert_eq!(prefix_of(&hear(&mut recovery).unwrap(), &groups), 32);
    // With the journal before the damaged snapshot gone there is nothing to fall back to.
    store.retain(&mut |_, _| false).unwrap();
    disk.take("snapshot-0000000000000030.weir");
    disk.take("journal-00000001.weir");
    disk.kill();
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains(newest), "{error}");
}

#[test]
fn dead_segments_go_and_live_ones_stay_readable() {
    let (disk, mut author) = written(60);
    author.snapshot().unwrap();
    author.append(&[1]).unwrap();
    author.snapshot().unwrap();
    let keep = author.groups[0][0].clone();
    let before = author.store.journal_bytes();
    let retained =
        author.store.retain(&mut |lane, range| lane == keep.0.lane() && range.contains(&keep.0.offset())).unwrap();
    assert!(retained.segments_removed > 2 && retained.segments_kept_for_live == 1, "{retained:?}");
    assert_eq!(author.store.journal_bytes(), before - retained.bytes_removed);
    let gone = author.groups[30][0].0;
    let groups = author.groups;
    let check = |store: &mut Store| {
        let mut body = Vec::new();
        store.read_at(keep.0, &mut body).unwrap();
        assert_eq!(body, keep.1);
        assert!(matches!(store.read_at(gone, &mut body), Err(StoreError::UnknownAddress { .. })));
    };
    check(&mut author.store);
    disk.kill();
    let (mut store, mut recovery) = open(&disk).unwrap();
    check(&mut store);
    assert_eq!(prefix_of(&hear(&mut recovery).unwrap(), &groups), 61);
}

#[test]
fn a_full_disk_is_said_and_the_same_group_goes_in_when_there_is_room() {
    let (disk, mut author) = written(2);
    disk.fail_at(disk.operations() + 1, Fault::DiskFull, false);
    let error = author.append(&[500]).unwrap_err();
    assert!(error.is_disk_full() && error.to_string().contains("journal-00000001.weir"), "{error}");
    author.append(&[500]).unwrap();
    author.store.sync().unwrap();
    disk.restart(3);
    let (_, mut recovery) = open(&disk).unwrap();
    assert_eq!(prefix_of(&hear(&mut recovery).unwrap(), &author.groups), 3);
}

#[test]
fn after_a_failed_sync_nothing_more_is_promised() {
    let (disk, mut author) = written(2);
    disk.fail_at(disk.operations() + 1, Fault::Broken, false);
    assert!(author.store.sync().is_err());
    assert!(matches!(author.store.sync(), Err(StoreError::Broken { .. })));
    assert!(matches!(author.append(&[1]), Err(StoreError::Broken { .. })));
}

#[test]
fn a_read_only_folder_is_said_with_its_name_and_what_to_do() {
    let disk = SimDisk::new();
    disk.fail_at(1, Fault::ReadOnly, true);
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("state.weir") && error.contains("--state"), "{error}");
}

#[test]
fn lanes_of_a_new_start_differ_from_all_that_are_still_read() {
    let (disk, author) = written(2);
    let used: Vec<u16> = author.lanes.iter().map(|lane| lane.0).collect();
    disk.kill();
    let (mut store, _) = open(&disk).unwrap();
    assert!(store.allocate_lanes(200).iter().all(|lane| !used.contains(lane)));
}

#[test]
fn the_same_history_is_on_a_real_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::create(dir.path().join("state")).unwrap());
    let (store, recovery) = Store::open(disk.clone(), options()).unwrap();
    assert!(recovery.report.fresh);
    let mut author = Author::begin(store, Vec::new());
    for round in 0..50u16 {
        author.append(&[round, 700, 3]).unwrap();
        if round == 20 {
            author.snapshot().unwrap();
        }
    }
    author.append(&[9000]).unwrap();
    let groups = author.groups;
    author.store.put_document("job.toml", b"id = 7\n").unwrap();
    author.store.close().unwrap();
    let (mut store, mut recovery) = Store::open(disk, options()).unwrap();
    let mut heard = hear(&mut recovery).unwrap();
    assert_eq!(heard.groups.pop(), Some(52), "the closing group");
    assert_eq!(prefix_of(&heard, &groups), 51);
    let known: BTreeMap<Addr, Vec<u8>> = groups.iter().flatten().cloned().collect();
    let addrs: Vec<Addr> = known.keys().rev().copied().collect();
    let mut count = 0;
    store
        .read_many(&addrs, &mut |addr, bytes| {
            count += 1;
            assert_eq!(bytes, known[&addr]);
        })
        .unwrap();
    assert_eq!(count, addrs.len());
    assert_eq!(store.get_document("job.toml").unwrap().unwrap(), b"id = 7\n");
    assert_eq!(store.documents().unwrap(), ["job.toml"]);
    store.remove_document("job.toml").unwrap();
    assert_eq!(store.get_document("job.toml").unwrap(), None);
}
