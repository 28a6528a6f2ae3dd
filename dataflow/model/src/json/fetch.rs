//! The fetch message: released requests, the spiders they need by content hash, and the queue that the function answers to.

use super::link::{Extra, Text};
use super::{MessageError, QueueMessage, is_default};
use crate::{ContentHash, FetchMessage, JobId, MessageId, Release, ReleaseId, Request, RequestKind, TargetId, Tick};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A fetch message with everything that a function must know and a thread of `weir crawl` knows anyway.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchEnvelope {
    /// Who released: a name that no other state ever has. With the message's id it is what a function claims.
    pub stage: String,
    /// Address of the queue for the reports.
    pub reports_queue: String,
    /// The jobs that the releases name.
    pub jobs: Vec<JobRef>,
    /// The releases.
    pub message: FetchMessage,
}

impl FetchEnvelope {
    /// What a function claims before its first request.
    #[must_use]
    pub fn claim_key(&self) -> String {
        FetchEnvelope::claim_key_of(&self.stage, self.message.id)
    }

    /// That of a message of a stage.
    #[must_use]
    pub fn claim_key_of(stage: &str, message: MessageId) -> String {
        format!("{stage}/{}", message.0)
    }
}

/// How pages of a job are fetched and processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRef {
    /// Which.
    pub job: JobId,
    /// Its spider file in the artifact store.
    pub spider: ContentHash,
    /// Arguments that override the file's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Limits and the agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fetch: FetchRules,
}

/// The settings of a job that concern its requests; what is left out is as the function was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchRules {
    /// Sent as `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// From the request to the end of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Resolving and connecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    /// From the request to the end of the headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_timeout_ms: Option<u64>,
    /// Body, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
    /// Body on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_bytes_max: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(default, rename = "v", skip_serializing)]
    _v: IgnoredAny,
    #[serde(default, rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    id: MessageId,
    #[serde(borrow)]
    stage: Text<'a>,
    #[serde(borrow)]
    reports_queue: Text<'a>,
    jobs: Cow<'a, [JobRef]>,
    #[serde(borrow)]
    releases: Vec<WireRelease<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRelease<'a> {
    id: ReleaseId,
    job: JobId,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(default, skip_serializing_if = "is_default")]
    not_before: Tick,
    /// Left out: whenever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<Tick>,
    #[serde(default, skip_serializing_if = "is_default", rename = "for")]
    kind: RequestKind,
    #[serde(default, skip_serializing_if = "is_default")]
    target: TargetId,
    #[serde(default, skip_serializing_if = "is_default")]
    depth: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    redirects: u8,
    #[serde(default, skip_serializing_if = "is_default")]
    attempts: u8,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i16,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    referer: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    first_url: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    extra: Option<Extra<'a>>,
}

impl<'a> WireRelease<'a> {
    fn of(release: &'a Release) -> WireRelease<'a> {
        let request = &release.request;
        WireRelease {
            id: release.id,
            job: release.job,
            url: Text((&*request.url).into()),
            not_before: release.not_before,
            not_after: (release.not_after != Tick::NEVER).then_some(release.not_after),
            kind: request.kind,
            target: request.target,
            depth: request.depth,
            redirects: request.redirects,
            attempts: request.attempts,
            priority: request.priority,
            referer: request.referer.as_deref().map(|url| Text(url.into())),
            first_url: request.first_url.as_deref().map(|url| Text(url.into())),
            extra: request.extra.as_deref().map(Extra::of),
        }
    }

    fn into_release(self) -> Result<Release, String> {
        let extra = self.extra.map(Extra::into_extra).transpose()?;
        let request = Request {
            url: self.url.0.into(),
            kind: self.kind,
            target: self.target,
            depth: self.depth,
            redirects: self.redirects,
            attempts: self.attempts,
            priority: self.priority,
            referer: self.referer.map(|url| url.0.into()),
            first_url: self.first_url.map(|url| url.0.into()),
            extra,
        };
        let not_after = self.not_after.unwrap_or(Tick::NEVER);
        Ok(Release { id: self.id, job: self.job, not_before: self.not_before, not_after, request })
    }
}

impl QueueMessage for FetchEnvelope {
    const KIND: &'static str = "fetch";

    fn to_json(&self) -> String {
        super::write(
            Self::KIND,
            Wire {
                _v: IgnoredAny,
                _kind: IgnoredAny,
                id: self.message.id,
                stage: Text((&*self.stage).into()),
                reports_queue: Text((&*self.reports_queue).into()),
                jobs: Cow::Borrowed(&self.jobs),
                releases: self.message.releases.iter().map(WireRelease::of).collect(),
            },
        )
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let wire: Wire<'_> = super::read(Self::KIND, text)?;
        let field = |path: String, why: String| MessageError::Field { kind: Self::KIND, path, why };
        let mut releases = Vec::with_capacity(wire.releases.len());
        for (at, release) in wire.releases.into_iter().enumerate() {
            let release = release.into_release().map_err(|why| field(format!("releases[{at}].extra"), why))?;
            if !wire.jobs.iter().any(|job| job.job == release.job) {
                let why = format!("job {} is not among the message's jobs", release.job.0);
                return Err(field(format!("releases[{at}].job"), why));
            }
            releases.push(release);
        }
        Ok(FetchEnvelope {
            stage: wire.stage.0.into_owned(),
            reports_queue: wire.reports_queue.0.into_owned(),
            jobs: wire.jobs.into_owned(),
            message: FetchMessage { id: wire.id, releases },
        })
    }
}
