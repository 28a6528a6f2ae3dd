//! Feeds, put together from their URLs and the settings: names filled in, parts, disk, S3 or FTP.

use crate::cmd::Usage;
use crate::cmd::crawl::Existing;
use crate::cmd::s3::Bucket;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_connector::{FeedPlace, FeedUrl, Sink, SinkError, SinkUrl};
use weir_driver::{FeedSettings, Settings};
use weir_feed::{FeedSink, FtpServer, PartLimits, Template, check_place};

/// What all feeds of a crawl have in common.
pub struct Feeds {
    args: BTreeMap<String, String>,
    limits: PartLimits,
    existing: weir_feed::Existing,
    /// Where feeds that go elsewhere lie until they are complete.
    spool: PathBuf,
}

impl Feeds {
    /// By the settings and arguments of a crawl.
    pub fn new(settings: &Settings, args: &BTreeMap<String, String>, existing: Existing, state: &Path) -> Feeds {
        let FeedSettings { part_rows, part_bytes, part_time } = settings.feed;
        Feeds {
            args: args.clone(),
            limits: PartLimits { rows: part_rows, bytes: part_bytes, time: part_time },
            existing: match existing {
                Existing { overwrite: true, .. } => weir_feed::Existing::Overwrite,
                Existing { append: true, .. } => weir_feed::Existing::Append,
                _ => weir_feed::Existing::Refuse,
            },
            spool: state.join("feeds"),
        }
    }

    /// Limits of parts are for feeds whose names tell parts apart: without such a feed they are a mistake.
    pub fn check(&self, sinks: &[SinkUrl]) -> Result<(), Usage> {
        if self.limits == PartLimits::default() {
            return Ok(());
        }
        for sink in sinks {
            if let SinkUrl::Feed(feed) = sink
                && self.template(feed).map_err(|error| Usage(error.to_string()))?.has_number()
            {
                return Ok(());
            }
        }
        Err(Usage(
            "feed.part_rows, feed.part_bytes and feed.part_time are for feeds with the part's number in their name, expected one such as -o items-%(batch_id)05d.jsonl. Name one, or leave the setting away"
                .to_owned(),
        ))
    }

    fn template(&self, feed: &FeedUrl) -> Result<Template, SinkError> {
        let name = match &feed.place {
            FeedPlace::File(path) => path.to_string_lossy(),
            FeedPlace::S3 { key, .. } => key.into(),
            FeedPlace::Ftp { path, .. } => path.into(),
        };
        Template::parse(&name, &self.args)
    }

    /// A feed as a sink.
    pub fn sink(&self, feed: &FeedUrl) -> Result<Box<dyn Sink>, SinkError> {
        let template = self.template(feed)?;
        let limits = if template.has_number() { self.limits } else { PartLimits::default() };
        let sink = FeedSink::named(template, feed.format)
            .with_compression(feed.compression)
            .with_parts(limits)
            .with_existing(self.existing);
        Ok(Box::new(match &feed.place {
            FeedPlace::File(path) => {
                check_place(path)?;
                sink
            }
            FeedPlace::S3 { bucket, .. } => sink.elsewhere(Box::new(Bucket::open(bucket)?), &self.spool),
            FeedPlace::Ftp { server, .. } => {
                let remote = FtpServer::parse(server)?.remote(|name| std::env::var(name).ok())?;
                sink.elsewhere(Box::new(remote), &self.spool)
            }
        }))
    }
}
