//! What stands on a stage's requests queue: shards of start URLs, requests that another stage found, and counts between
//! stages for the end of a job.

use super::link::{Run, Text, links, runs};
use super::{MessageError, QueueMessage, is_default};
use crate::{ContentHash, JobId, LinkBatch, Outcome, RequestKind, UnixMs};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// What every message of a job carries, so that whichever comes first opens the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobHeader {
    /// Unique in a stack.
    pub job: JobId,
    /// The spider's name.
    pub spider: String,
    /// Its file in the artifact store.
    pub hash: ContentHash,
    /// Arguments that override the file's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Settings given with the job, over those of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// When it was enqueued.
    pub opened_at: UnixMs,
}

/// Start URLs of one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardMessage {
    /// The job.
    pub header: JobHeader,
    /// Its number, from 0.
    pub shard: u32,
    /// How many there are: a job ends when each was admitted once.
    pub shards: u32,
    /// The URLs.
    pub start: ShardStart,
}

/// Where the URLs of a shard are.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardStart {
    /// Indices into the spider's start URLs.
    Range(Range<u64>),
    /// The URLs themselves (from a CSV, a text file, standard input).
    Urls(LinkBatch),
    /// Dead letters of the stage that gets the shard, by number: they enter again.
    Letters(Vec<u64>),
}

/// The start URLs of a shard: `total` of them cut into `shards` parts that differ by at most one, in order.
///
/// # Panics
/// When `shard` is not below `shards`.
#[must_use]
pub fn shard_range(total: u64, shard: u32, shards: u32) -> Range<u64> {
    assert!(shard < shards, "shard {shard} of {shards}");
    let edge = |number: u32| (u128::from(total) * u128::from(number) / u128::from(shards)) as u64;
    edge(shard)..edge(shard + 1)
}

/// Requests that were found by one stage and are owned by another.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardMessage {
    /// The job.
    pub header: JobHeader,
    /// Who found them.
    pub from: u32,
    /// Who owns them.
    pub to: u32,
    /// Number of this message from that stage to this one, never reused in a job: it is taken once.
    pub id: u64,
    /// The requests.
    pub offers: Vec<ForwardOffer>,
}

/// Links of one page, as the frontier's `Offer`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForwardOffer {
    /// Depth of the URLs.
    pub depth: u16,
    /// The page that led to them, or the redirecting URL.
    pub referer: Option<Box<str>>,
    /// Redirects followed to get here.
    pub redirects: u8,
    /// First URL of the redirect chain.
    pub first_url: Option<Box<str>>,
    /// Why they are requested.
    pub kind: RequestKind,
    /// Where they come from.
    pub source: ForwardSource,
    /// The URLs.
    pub links: LinkBatch,
}

/// Where forwarded URLs come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardSource {
    /// A start URL.
    Start,
    /// A link on a page.
    #[default]
    Page,
    /// The target of a redirect.
    Redirect,
}

/// What a stage counted of a job: it ends when all are idle and the counts agree in two rounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyMessage {
    /// The job.
    pub job: JobId,
    /// Who counted.
    pub from: u32,
    /// Which round.
    pub round: u64,
    /// Whether nothing of the job is queued, leased or waiting there.
    pub idle: bool,
    /// Shard numbers that were admitted there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<u32>,
    /// Forwarded requests by peer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sent: BTreeMap<u32, u64>,
    /// Received requests by peer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub received: BTreeMap<u32, u64>,
    /// The job has ended, with this outcome: whoever is told ends its part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Outcome>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireShard<'a> {
    #[serde(default, rename = "v", skip_serializing)]
    _v: IgnoredAny,
    #[serde(default, rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    job: Cow<'a, JobHeader>,
    shard: u32,
    shards: u32,
    #[serde(borrow)]
    start: WireStart<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireStart<'a> {
    /// First index, and the one behind the last.
    Range([u64; 2]),
    #[serde(borrow)]
    Urls(Vec<Run<'a>>),
    Letters(Vec<u64>),
}

impl QueueMessage for ShardMessage {
    const KIND: &'static str = "shard";

    fn to_json(&self) -> String {
        let start = match &self.start {
            ShardStart::Range(range) => WireStart::Range([range.start, range.end]),
            ShardStart::Urls(urls) => WireStart::Urls(runs(urls)),
            ShardStart::Letters(ids) => WireStart::Letters(ids.clone()),
        };
        let job = Cow::Borrowed(&self.header);
        let (shard, shards) = (self.shard, self.shards);
        super::write(Self::KIND, WireShard { _v: IgnoredAny, _kind: IgnoredAny, job, shard, shards, start })
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let field = |path: &str, why: String| MessageError::Field { kind: Self::KIND, path: path.into(), why };
        let wire: WireShard<'_> = super::read(Self::KIND, text)?;
        if wire.shard >= wire.shards {
            return Err(field("shard", format!("shard {} of {}: numbers begin at 0", wire.shard, wire.shards)));
        }
        let start = match wire.start {
            WireStart::Range([from, to]) if from <= to => ShardStart::Range(from..to),
            WireStart::Range([from, to]) => return Err(field("start.range", format!("{from} is beyond {to}"))),
            WireStart::Urls(runs) => ShardStart::Urls(links(runs).map_err(|why| field("start.urls", why))?),
            WireStart::Letters(ids) => ShardStart::Letters(ids),
        };
        Ok(ShardMessage { header: wire.job.into_owned(), shard: wire.shard, shards: wire.shards, start })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireForward<'a> {
    #[serde(default, rename = "v", skip_serializing)]
    _v: IgnoredAny,
    #[serde(default, rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    job: Cow<'a, JobHeader>,
    from: u32,
    to: u32,
    id: u64,
    #[serde(borrow)]
    offers: Vec<WireOffer<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOffer<'a> {
    #[serde(default, skip_serializing_if = "is_default")]
    depth: u16,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    referer: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "is_default")]
    redirects: u8,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    first_url: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "is_default", rename = "for")]
    kind: RequestKind,
    #[serde(default, skip_serializing_if = "is_default")]
    source: ForwardSource,
    #[serde(borrow)]
    links: Vec<Run<'a>>,
}

impl QueueMessage for ForwardMessage {
    const KIND: &'static str = "forward";

    fn to_json(&self) -> String {
        let offers = self.offers.iter().map(|offer| WireOffer {
            depth: offer.depth,
            referer: offer.referer.as_deref().map(|url| Text(url.into())),
            redirects: offer.redirects,
            first_url: offer.first_url.as_deref().map(|url| Text(url.into())),
            kind: offer.kind,
            source: offer.source,
            links: runs(&offer.links),
        });
        let (job, offers) = (Cow::Borrowed(&self.header), offers.collect());
        let (from, to, id) = (self.from, self.to, self.id);
        super::write(Self::KIND, WireForward { _v: IgnoredAny, _kind: IgnoredAny, job, from, to, id, offers })
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let wire: WireForward<'_> = super::read(Self::KIND, text)?;
        let mut offers = Vec::with_capacity(wire.offers.len());
        for (at, offer) in wire.offers.into_iter().enumerate() {
            let path = format!("offers[{at}].links");
            offers.push(ForwardOffer {
                depth: offer.depth,
                referer: offer.referer.map(|url| url.0.into()),
                redirects: offer.redirects,
                first_url: offer.first_url.map(|url| url.0.into()),
                kind: offer.kind,
                source: offer.source,
                links: links(offer.links).map_err(|why| MessageError::Field { kind: Self::KIND, path, why })?,
            });
        }
        Ok(ForwardMessage { header: wire.job.into_owned(), from: wire.from, to: wire.to, id: wire.id, offers })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTally {
    #[serde(rename = "v")]
    _v: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    tally: TallyMessage,
}

impl QueueMessage for TallyMessage {
    const KIND: &'static str = "tally";

    fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            tally: &'a TallyMessage,
        }
        super::write(Self::KIND, Body { tally: self })
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        super::read::<WireTally>(Self::KIND, text).map(|wire| wire.tally)
    }
}
