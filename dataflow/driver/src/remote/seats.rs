//! Which numbers of stages a deployment has had: an object each, `seats/of-K.json`, written by whichever stage starts first.
//!
//! Decides one thing: whether a stage may begin with an empty state. Where there was another number before, its domains, seen URLs and
//! item versions lie in the states of others, and beginning without them would crawl and write anew what was crawled already.

use super::StageOptions;
use crate::error::CrawlError;
use weir_queue::QueueErrorClass;

/// Where they lie.
const PREFIX: &str = "seats/";
/// As many as there can be stages.
const SEATS_MAX: usize = 64;

fn seat_key(of: u32) -> String {
    format!("{PREFIX}of-{of:02}.json")
}

fn number(key: &str) -> Option<u32> {
    key.strip_prefix(PREFIX)?.strip_prefix("of-")?.strip_suffix(".json")?.parse().ok()
}

/// Notes this number of stages; refuses an empty state where there was another one.
pub(super) fn take(options: &StageOptions, is_new: bool) -> Result<(), CrawlError> {
    let (store, slice) = (&options.queues.artifacts, options.slice);
    let told = |error: weir_queue::QueueError| CrawlError::State(format!("the deployment's bucket: {error}"));
    options.runtime.block_on(async {
        if is_new && !options.begins_anew {
            let keys = store.list(PREFIX, SEATS_MAX).await.map_err(told)?;
            let others: Vec<String> =
                keys.iter().filter_map(|key| number(key)).filter(|of| *of != slice.of).map(|of| of.to_string()).collect();
            if !others.is_empty() {
                return Err(CrawlError::Usage(format!(
                    "the state {} is empty, and the deployment {:?} had {} stage(s) before: stage {} of {} takes over what they have of its \
                     domains. Export their states and import here first (weir stage export, weir stage import; docs/deploy.md, Scale); or, if \
                     nothing of them is wanted, say --begin-anew, or remove {PREFIX} from {}",
                    options.state.display(),
                    options.stack,
                    others.join(" or "),
                    slice.index,
                    slice.of,
                    store.name()
                )));
            }
        }
        let text = format!("{{\"stages\": {}}}\n", slice.of);
        match store.put_new(&seat_key(slice.of), text.into_bytes()).await {
            Err(error) if error.class != QueueErrorClass::Exists => Err(told(error)),
            _ => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_says_its_number() {
        assert_eq!(
            (seat_key(2), number(&seat_key(2)), number(&seat_key(64))),
            ("seats/of-02.json".into(), Some(2), Some(64))
        );
        assert_eq!(number("seats/else"), None);
    }
}
