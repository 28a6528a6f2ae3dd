//! Spiders by content hash, kept from invocation to invocation.
//!
//! Invariant: what is used is what was named: the bytes have the hash of the message.

use super::Figures;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::ContentHash;
use weir_model::json::JobRef;
use weir_queue::{ArtifactStore, QueueError};
use weir_spider::Spider;

/// Spiders that are kept; beyond it all are dropped, and loaded again when needed.
const SPIDERS_MAX: usize = 64;

type Key = (ContentHash, BTreeMap<String, String>);

pub(super) struct Spiders {
    store: Arc<dyn ArtifactStore>,
    loaded: RefCell<BTreeMap<Key, Arc<Spider>>>,
}

impl Spiders {
    pub fn new(store: Arc<dyn ArtifactStore>) -> Spiders {
        Spiders { store, loaded: RefCell::default() }
    }

    /// The spider of a job; inside, why there is none for good; outside, why it cannot be said now.
    pub async fn load(&self, job: &JobRef, figures: &mut Figures) -> Result<Result<Arc<Spider>, String>, String> {
        let key = (job.spider, job.args.clone());
        if let Some(spider) = self.loaded.borrow().get(&key) {
            return Ok(Ok(Arc::clone(spider)));
        }
        let name = job.spider.spider_key();
        figures.spiders_loaded += 1;
        let spider = match self.store.get(&name).await {
            Ok(bytes) => match compile(job, &name, bytes) {
                Ok(spider) => spider,
                Err(why) => return Ok(Err(why)),
            },
            Err(error) if is_absent(&error) => {
                let why = format!("spider {name} is not in {}: enqueue the job again to upload it", self.store.name());
                return Ok(Err(why));
            }
            Err(error) => return Err(format!("spider {name}: {error}")),
        };
        let mut loaded = self.loaded.borrow_mut();
        if loaded.len() >= SPIDERS_MAX {
            loaded.clear();
        }
        loaded.insert(key, Arc::clone(&spider));
        Ok(Ok(spider))
    }
}

fn is_absent(error: &QueueError) -> bool {
    error.class == weir_queue::QueueErrorClass::NotFound
}

fn compile(job: &JobRef, name: &str, bytes: Vec<u8>) -> Result<Arc<Spider>, String> {
    if ContentHash::of(&bytes) != job.spider {
        return Err(format!("spider {name} holds other bytes than its name says: upload it again"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("spider {name} is not text"))?;
    let args: Vec<(String, String)> = job.args.clone().into_iter().collect();
    Spider::load(name, &text, &args).map(Arc::new).map_err(|errors| errors.to_string())
}
