//! What several stages have seen of one crawl, put together: so a listing that only one of them saw is gone for none.
//!
//! Each stage writes an object with what it did not see; when it has read those of all others it writes a second one: which of their
//! listings it did see. What is in nobody's second object is gone. Decides nothing else: whether a crawl may judge at all is said in
//! `delisting`. Knows neither queues nor the engine. Invariants: an object is written once, and what it says is what counts, also for
//! a stage that was killed in between and counts again; who does not hear of all others judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use weir_model::{ItemId, JobId};
use weir_stage::{Absent, Counted};

const MAGIC: &[u8] = b"weir-census 1\n";
const ID_BYTES: usize = 16;

/// What an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    /// No page of the stage failed or was given up.
    pub is_complete: bool,
    /// Listings that it saw.
    pub seen: u64,
    /// The listings that the object is about.
    pub ids: BTreeSet<ItemId>,
}

impl Sheet {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAGIC.len() + 9 + self.ids.len() * ID_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.push(u8::from(self.is_complete));
        bytes.extend_from_slice(&self.seen.to_le_bytes());
        self.ids.iter().for_each(|id| bytes.extend_from_slice(&id.0.to_le_bytes()));
        bytes
    }

    /// Reads an object; the error says what is wrong with it.
    fn from_bytes(bytes: &[u8]) -> Result<Sheet, &'static str> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a census of this weir")?;
        let (flag, rest) = rest.split_first().ok_or("it is cut off")?;
        let (seen, ids) = rest.split_first_chunk::<8>().ok_or("it is cut off")?;
        let (ids, over) = ids.as_chunks::<ID_BYTES>();
        if !over.is_empty() || *flag > 1 {
            return Err("it is cut off, or damaged");
        }
        let ids = ids.iter().map(|id| ItemId(u128::from_le_bytes(*id))).collect();
        Ok(Sheet { is_complete: *flag == 1, seen: u64::from_le_bytes(*seen), ids })
    }
}

/// Which of the two objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// What a stage did not see.
    Absent,
    /// What it saw of the others' absent listings.
    Found,
}

/// The key of an object. Among another number of stages everything is counted anew.
fn key(job: JobId, of: u32, kind: Kind, stage: u32) -> String {
    let kind = match kind {
        Kind::Absent => "absent",
        Kind::Found => "found",
    };
    format!("census/{:016x}/{of}/{kind}-{stage}", job.0)
}

/// An object to be written, unless it is there, or else to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub key: String,
    /// What to write; none: another stage writes it.
    pub bytes: Option<Vec<u8>>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Objects are still to come.
    Wait,
    /// Which of these listings were seen here? Answered with `found`.
    Ask(BTreeSet<ItemId>),
    /// All have said all.
    Done(Judged),
}

/// The end of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Gone, of those that this stage knew.
    pub gone: Vec<Absent>,
    /// A stage before this one marks them, too, and counts them.
    pub counted_elsewhere: BTreeSet<ItemId>,
    /// Not gone: another stage saw them.
    pub seen_elsewhere: Vec<ItemId>,
    /// Listings that were not seen by anybody, or by nobody who could say so.
    pub absent: usize,
    /// Listings that all stages saw.
    pub seen: u64,
    /// No page failed at any stage.
    pub is_complete: bool,
}

/// The census of one job at one stage.
#[derive(Debug)]
pub(super) struct Roll {
    job: JobId,
    stage: u32,
    of: u32,
    own: Vec<Absent>,
    sheets: BTreeMap<(Kind, u32), Sheet>,
    asked: bool,
}

impl Roll {
    /// Begins with what this stage counted.
    pub fn begin(job: JobId, (stage, of): (u32, u32), is_complete: bool, counted: Counted) -> (Roll, Vec<Wanted>) {
        let Counted { seen, absent: own, .. } = counted;
        // Whoever has failed pages judges nobody, and nobody else does.
        let ids = own.iter().filter(|_| is_complete).map(|absent| absent.id).collect();
        let roll = Roll { job, stage, of, own, sheets: BTreeMap::new(), asked: false };
        let wanted = roll.wanted(Kind::Absent, &Sheet { is_complete, seen, ids });
        (roll, wanted)
    }

    fn wanted(&self, kind: Kind, own: &Sheet) -> Vec<Wanted> {
        let bytes = |stage| (stage == self.stage).then(|| own.to_bytes());
        (0..self.of).map(|stage| Wanted { key: key(self.job, self.of, kind, stage), bytes: bytes(stage) }).collect()
    }

    /// An object has come, or this stage's own lies there: as it lies there it counts. The error says which is wrong, and how.
    pub fn take(&mut self, of: &str, bytes: &[u8]) -> Result<(), String> {
        let all = [Kind::Absent, Kind::Found].into_iter().flat_map(|kind| (0..self.of).map(move |stage| (kind, stage)));
        let Some((kind, stage)) = all.into_iter().find(|(kind, stage)| key(self.job, self.of, *kind, *stage) == of)
        else {
            return Err(format!("{of} is no object of this census"));
        };
        let sheet = Sheet::from_bytes(bytes).map_err(|why| format!("{of}: {why}"))?;
        self.sheets.insert((kind, stage), sheet);
        Ok(())
    }

    fn all(&self, kind: Kind) -> Option<Vec<(u32, &Sheet)>> {
        (0..self.of).map(|stage| Some((stage, self.sheets.get(&(kind, stage))?))).collect()
    }

    pub fn next(&mut self) -> Next {
        let Some(absent) = self.all(Kind::Absent) else { return Next::Wait };
        let is_complete = absent.iter().all(|(_, sheet)| sheet.is_complete);
        let seen = absent.iter().map(|(_, sheet)| sheet.seen).sum();
        let others = absent.iter().filter(|(stage, _)| *stage != self.stage);
        let asked: BTreeSet<ItemId> = others.flat_map(|(_, sheet)| sheet.ids.iter().copied()).collect();
        let mine = &self.sheets[&(Kind::Absent, self.stage)].ids;
        let unseen = asked.union(mine).count();
        if !is_complete || seen == 0 || unseen == 0 {
            let absent = unseen.max(self.own.len());
            return Next::Done(Judged { absent, seen, is_complete, ..Judged::default() });
        }
        if !self.asked {
            self.asked = true;
            return Next::Ask(asked);
        }
        let Some(found) = self.all(Kind::Found) else { return Next::Wait };
        let found: BTreeSet<ItemId> = found.iter().flat_map(|(_, sheet)| sheet.ids.iter().copied()).collect();
        let before = absent.iter().filter(|(stage, _)| *stage < self.stage);
        let counted_elsewhere = before.flat_map(|(_, sheet)| sheet.ids.difference(&found).copied()).collect();
        let told = self.own.iter().filter(|absent| mine.contains(&absent.id));
        let (elsewhere, gone): (Vec<Absent>, Vec<Absent>) =
            told.copied().partition(|absent| found.contains(&absent.id));
        let seen_elsewhere = elsewhere.iter().map(|absent| absent.id).collect();
        Next::Done(Judged { gone, counted_elsewhere, seen_elsewhere, absent: unseen - found.len(), seen, is_complete })
    }

    /// The answer to `Ask`.
    pub fn found(&self, ids: Vec<ItemId>) -> Vec<Wanted> {
        self.wanted(Kind::Found, &Sheet { is_complete: true, seen: 0, ids: ids.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(id: u128) -> Absent {
        Absent { id: ItemId(id), job: JobId(1), schema: 0, sinks: 1 }
    }

    /// Stages as they see one crawl: complete or not, what each saw, what each did not.
    type Seen<'a> = [(bool, &'a [u128], &'a [u128])];

    /// Plays a census to its end; the objects lie in `store`, which a stage before may have begun.
    fn play(stages: &Seen<'_>, store: &mut BTreeMap<String, Vec<u8>>) -> Vec<Judged> {
        let of = stages.len() as u32;
        let put = |store: &mut BTreeMap<String, Vec<u8>>, wanted: &[Wanted]| {
            for Wanted { key, bytes } in wanted {
                if let Some(bytes) = bytes {
                    store.entry(key.clone()).or_insert_with(|| bytes.clone());
                }
            }
        };
        let mut rolls = Vec::new();
        for (stage, (complete, saw, missed)) in (0..).zip(stages) {
            let absent = missed.iter().map(|id| absent(*id)).collect();
            let counted = Counted { seen: saw.len() as u64, absent, found: Vec::new() };
            let (roll, wanted) = Roll::begin(JobId(7), (stage, of), *complete, counted);
            put(store, &wanted);
            rolls.push(roll);
        }
        for round in 0..2 {
            for (roll, (_, saw, _)) in rolls.iter_mut().zip(stages) {
                for (key, bytes) in store.iter() {
                    roll.take(key, bytes).expect("a census");
                }
                if round == 0
                    && let Next::Ask(asked) = roll.next()
                {
                    let wanted = roll.found(saw.iter().map(|id| ItemId(*id)).filter(|id| asked.contains(id)).collect());
                    put(store, &wanted);
                }
            }
        }
        let judged = |roll: &mut Roll| match roll.next() {
            Next::Done(judged) => judged,
            other => panic!("not at its end: {other:?}"),
        };
        for roll in &mut rolls {
            for (key, bytes) in store.iter() {
                roll.take(key, bytes).expect("a census");
            }
        }
        rolls.iter_mut().map(judged).collect()
    }

    #[test]
    fn a_listing_that_one_stage_saw_is_gone_for_none() {
        // 3 was seen at the second stage; 4 by nobody, and both knew it.
        let judged = play(&[(true, &[1, 2], &[3, 4]), (true, &[3], &[4, 5])], &mut BTreeMap::new());
        assert_eq!(
            (judged[0].gone.as_slice(), judged[1].gone.as_slice()),
            (&[absent(4)][..], &[absent(4), absent(5)][..])
        );
        assert_eq!(judged[0].seen_elsewhere, [ItemId(3)]);
        assert!(judged[0].counted_elsewhere.is_empty());
        assert_eq!(judged[1].counted_elsewhere, BTreeSet::from([ItemId(4)]), "counted once");
        assert_eq!((judged[0].absent, judged[1].absent), (2, 2));
    }

    #[test]
    fn failed_pages_of_one_stage_or_a_crawl_that_saw_nothing_let_nobody_judge() {
        for stages in [[(true, &[1][..], &[3][..]), (false, &[2], &[4])], [(true, &[], &[3]), (true, &[], &[4])]] {
            for judged in play(&stages, &mut BTreeMap::new()) {
                assert!(judged.gone.is_empty() && judged.absent > 0, "{judged:?}");
                assert!(!judged.is_complete || judged.seen == 0);
            }
        }
    }

    #[test]
    fn what_lies_there_counts_also_for_a_stage_that_counts_again_after_a_crash() {
        let mut store = BTreeMap::new();
        play(&[(true, &[1, 2], &[3, 4]), (true, &[3], &[4])], &mut store);
        // A later crawl has seen 4 meanwhile, 6 is absent only since then: nobody was asked for it.
        let judged = play(&[(true, &[1, 2], &[3, 6]), (true, &[3, 4], &[])], &mut store);
        assert_eq!((judged[0].gone.len(), judged[1].gone.len()), (0, 0));
    }

    #[test]
    fn an_object_that_is_not_as_it_was_written_is_named() {
        let (mut roll, wanted) =
            Roll::begin(JobId(7), (0, 2), true, Counted { absent: vec![absent(1)], ..Counted::default() });
        let (key, bytes) = (&wanted[0].key, wanted[0].bytes.clone().expect("its own"));
        assert_eq!((wanted[1].bytes.as_ref(), key.as_str()), (None, "census/0000000000000007/2/absent-0"));
        for wrong in [&bytes[..bytes.len() - 1], b"weir-census 2\n", &bytes[..MAGIC.len() + 3]] {
            let said = roll.take(key, wrong).expect_err("refused");
            assert!(said.starts_with(key.as_str()), "{said}");
        }
        assert!(roll.take("census/8", &bytes).is_err());
        roll.take(key, &bytes).expect("as written");
        assert_eq!(roll.next(), Next::Wait, "the other stage has not told");
    }
}
