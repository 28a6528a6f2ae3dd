//! One owner: who may take a directory, when, and who must stop.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::Arc;
use std::time::Duration;
use weir_model::{Tick, UnixMs};
use weir_store::sim::SimDisk;
use weir_store::{Claim, Claimed, Disk, Known, Lease, Owner, StoreError};

const TTL: Duration = Duration::from_secs(10);

fn owner(pid: u32) -> Owner {
    Owner { pid, host: "mill".to_owned(), since: UnixMs(1_700_000_000_000), ttl: TTL, ..Owner::default() }
}

fn claim(disk: &SimDisk, pid: u32, known: Known) -> Claim {
    Claim::with_knowledge(Arc::new(disk.clone()), owner(pid), Box::new(move |_| known))
}

fn seconds(count: u64) -> Tick {
    Tick(count * 1_000_000)
}

fn owned(claimed: Result<Claimed, StoreError>) -> Lease {
    match claimed.unwrap() {
        Claimed::Owned(lease) => lease,
        Claimed::Wait { until, owner } => panic!("waits for {owner} until {until:?}"),
    }
}

fn until(claimed: Result<Claimed, StoreError>) -> Tick {
    match claimed.unwrap() {
        Claimed::Wait { until, .. } => until,
        Claimed::Owned(_) => panic!("taken at once"),
    }
}

#[test]
fn a_second_crawl_on_the_same_state_is_refused_with_process_and_time() {
    let disk = SimDisk::new();
    let _lease = owned(claim(&disk, 71, Known::Unknown).step(seconds(0)));
    let error = claim(&disk, 72, Known::Alive).step(seconds(1)).unwrap_err();
    assert!(error.is_owned());
    let text = error.to_string();
    assert!(text.contains("process 71") && text.contains("mill") && text.contains("2023-11-14T22:13:20Z"), "{text}");
}

#[test]
fn the_state_of_a_dead_process_of_this_machine_is_taken_at_once() {
    let disk = SimDisk::new();
    drop(owned(claim(&disk, 71, Known::Unknown).step(seconds(0))));
    owned(claim(&disk, 72, Known::Gone).step(seconds(0)));
}

#[test]
fn a_silent_owner_elsewhere_is_waited_out_by_the_claimants_own_clock() {
    let disk = SimDisk::new();
    let mut old = owned(claim(&disk, 71, Known::Unknown).step(seconds(0)));
    let mut new = claim(&disk, 72, Known::Unknown);
    let patience = until(new.step(seconds(500)));
    assert!(patience > seconds(510));
    assert_eq!(until(new.step(seconds(509))), patience);
    let _lease = owned(new.step(patience));
    assert!(matches!(old.renew(seconds(5)), Err(StoreError::LeaseLost { .. })), "the old one finds the new one");
}

#[test]
fn an_owner_elsewhere_that_renews_is_seen_to_live() {
    let disk = SimDisk::new();
    let mut old = owned(claim(&disk, 71, Known::Unknown).step(seconds(0)));
    let mut new = claim(&disk, 72, Known::Unknown);
    until(new.step(seconds(1)));
    old.renew(seconds(4)).unwrap();
    assert!(new.step(seconds(5)).unwrap_err().is_owned());
}

#[test]
fn an_owner_that_could_not_renew_in_time_stops_itself() {
    let disk = SimDisk::new();
    let mut lease = owned(claim(&disk, 71, Known::Unknown).step(seconds(0)));
    lease.renew(seconds(9)).unwrap();
    assert!(lease.check(seconds(18)).is_ok());
    assert!(matches!(lease.check(seconds(19)), Err(StoreError::LeaseLost { .. })));
    assert!(lease.renew(seconds(19)).is_err());
}

#[test]
fn a_released_state_is_taken_at_once() {
    let disk = SimDisk::new();
    owned(claim(&disk, 71, Known::Unknown).step(seconds(0))).release().unwrap();
    owned(claim(&disk, 72, Known::Unknown).step(seconds(0)));
}

#[test]
fn an_owner_file_that_is_torn_is_waited_for_and_then_taken() {
    let disk = SimDisk::new();
    drop(owned(claim(&disk, 71, Known::Unknown).step(seconds(0))));
    disk.put("owner-00000001.weir", Vec::new());
    let mut new = claim(&disk, 72, Known::Gone);
    let patience = until(new.step(seconds(0)));
    owned(new.step(patience));
}

#[test]
fn on_a_real_disk_a_claim_leaves_one_whole_file_and_takes_over_from_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(weir_store::RealDisk::create(dir.path()).unwrap());
    let claim = |pid, known| Claim::with_knowledge(disk.clone(), owner(pid), Box::new(move |_| known)).step(seconds(0));
    let mut first = owned(claim(71, Known::Unknown));
    first.renew(seconds(3)).unwrap();
    assert_eq!(disk.names().unwrap(), ["owner-00000001.weir"]);
    assert!(claim(72, Known::Alive).unwrap_err().is_owned());
    let second = owned(claim(72, Known::Gone));
    assert_eq!(disk.names().unwrap(), ["owner-00000002.weir"]);
    assert!(first.renew(seconds(6)).is_err());
    second.release().unwrap();
    owned(claim(73, Known::Unknown));
}

#[test]
fn a_folder_of_other_files_gets_no_owner_file() {
    let disk = SimDisk::new();
    disk.put("thesis.txt", b"chapter 1".to_vec());
    assert!(matches!(claim(&disk, 71, Known::Gone).step(seconds(0)), Err(StoreError::Foreign { .. })));
    assert_eq!(disk.names().unwrap(), ["thesis.txt"]);
}

#[test]
fn this_process_knows_itself_alive_and_a_passed_one_gone() {
    let me = Owner::this_process(UnixMs(0), TTL);
    if me.boot.is_empty() {
        return; // not Linux: nothing is known, and nothing is claimed
    }
    assert_eq!(me.known_here(), Known::Alive);
    assert_eq!(Owner { pid_start: me.pid_start + 1, ..me.clone() }.known_here(), Known::Gone);
    assert_eq!(Owner { boot: "another".to_owned(), ..me.clone() }.known_here(), Known::Unknown);
    assert_eq!(Owner { pid_namespace: "another".to_owned(), ..me }.known_here(), Known::Unknown);
}
