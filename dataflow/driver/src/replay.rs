//! Which dead letters a job lets enter again, and whether it can: the sinks, item types and targets they speak of are there.
//!
//! Only looks; refuses by the letter's number before anything has begun.

use crate::error::CrawlError;
use crate::letter_file::{DeadLetters, KeptLetter};
use crate::letters::{Content, Letter};
use crate::report::CrawlOptions;
use weir_model::SinkId;
use weir_spider::Spider;

/// The letters that the job is asked for; none for a crawl. `sinks` are the job's.
pub(crate) fn letters(
    options: &CrawlOptions,
    known: &DeadLetters,
    sinks: &[SinkId],
) -> Result<Vec<Letter>, CrawlError> {
    let Some(replay) = &options.replay else { return Ok(Vec::new()) };
    let chosen: Vec<&KeptLetter> = match &replay.ids {
        None => known.letters.values().filter(|kept| kept.spider == options.spider.name()).collect(),
        Some(ids) => ids
            .iter()
            .map(|id| {
                known.letters.get(id).ok_or_else(|| {
                    CrawlError::Usage(format!(
                        "there is no dead letter {id}; `weir dead-letters list` shows those that are there"
                    ))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    chosen.into_iter().map(|kept| fit(&options.spider, kept, sinks).map_err(CrawlError::Usage)).collect()
}

/// The letter as the spider of today means it, or why it cannot enter.
pub(crate) fn fit(spider: &Spider, kept: &KeptLetter, sinks: &[SinkId]) -> Result<Letter, String> {
    let refuse = |what: String| Err(format!("dead letter {}: {what}", kept.letter.id));
    let mut letter = kept.letter.clone();
    if let Content::Item { sink, .. } = &letter.content
        && !sinks.contains(sink)
    {
        return refuse(format!(
            "it is for the sink {}, which is none of this job's; name it with -o",
            kept.sink.as_deref().unwrap_or("of an unknown name")
        ));
    }
    match &mut letter.content {
        Content::Item { item, .. } | Content::Uncomputed { item, .. } => {
            let name = kept.item_type.as_deref().unwrap_or_default();
            let at = spider.schemas().iter().position(|schema| schema.name == name);
            let fields_of = |at: usize| spider.schemas()[at].fields.iter().map(|field| field.name.as_str());
            match at {
                Some(at) if fields_of(at).eq(kept.fields.iter().map(String::as_str)) => {
                    item.schema = u16::try_from(at).unwrap_or(u16::MAX);
                }
                _ => {
                    return refuse(format!(
                        "it is an item of type {name:?} with the fields {}, and the spider {:?} has no such type any more; give the \
                         file as it was with --spider, or crawl anew",
                        kept.fields.join(", "),
                        spider.name()
                    ));
                }
            }
        }
        Content::Request { target, .. } => {
            if !target.is_empty() && spider.targets().iter().all(|known| known.name != *target) {
                return refuse(format!(
                    "its page is parsed as {target:?}, which the spider {:?} does not have any more; give the file as it was with \
                     --spider, or crawl anew",
                    spider.name()
                ));
            }
        }
    }
    Ok(letter)
}
