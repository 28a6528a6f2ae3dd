//! Reports: what a function says of its releases, many to a message.
//!
//! A report is written once, on its own, so that whoever packs messages knows its bytes; a message is then put together
//! from written reports without reading them again.

use super::link::{Bytes, Run, Text, links, runs};
use super::packed::{Packed, pack, unpack};
use super::value::{Reads, Writes};
use super::{MessageError, QueueMessage, VERSION, is_default};
use crate::{ExtractionNote, FailureClass, FetchOutcome, Item, ItemId, JobId, ReleaseId, Report, Tick};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;

/// The reports of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportBatch {
    /// Who released: another stage's reports are not for this one.
    pub stage: String,
    /// The reports.
    pub reports: Vec<Report>,
    /// What the function took for them, as far as no message before said it.
    pub spent: Vec<Spent>,
}

/// What a function took for a job: what it is paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Which job.
    pub job: JobId,
    /// Microseconds, waiting included.
    pub us: u64,
    /// The function's memory, MB.
    pub memory_mb: u32,
    /// Invocations begun for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub invocations: u32,
}

/// One report as JSON, to be packed by [`pack_reports`].
#[must_use]
pub fn report_json(report: &Report) -> String {
    super::escaped(serde_json::to_string(&WireReport::of(report)).expect("reports are plain data with text keys"))
}

/// Puts a message together from written reports: compressed in one field when that is smaller.
#[must_use]
pub fn pack_reports(stage: &str, reports: &[String], spent: &[Spent]) -> String {
    let list = format!("[{}]", reports.join(","));
    let stage = super::escaped(serde_json::to_string(stage).expect("text is JSON"));
    let kind = ReportBatch::KIND;
    let spent = match spent {
        [] => String::new(),
        some => format!(",\"spent\":{}", serde_json::to_string(some).expect("numbers are JSON")),
    };
    match pack(&list) {
        Some(packed) => {
            format!("{{\"v\":{VERSION},\"kind\":\"{kind}\",\"stage\":{stage}{spent},\"packed\":\"{packed}\"}}")
        }
        None => format!("{{\"v\":{VERSION},\"kind\":\"{kind}\",\"stage\":{stage}{spent},\"reports\":{list}}}"),
    }
}

impl QueueMessage for ReportBatch {
    const KIND: &'static str = "reports";

    fn to_json(&self) -> String {
        let reports: Vec<String> = self.reports.iter().map(report_json).collect();
        pack_reports(&self.stage, &reports, &self.spent)
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let field = |path: &str, why: String| MessageError::Field { kind: Self::KIND, path: path.into(), why };
        let wire: Wire<'_> = super::read(Self::KIND, text)?;
        let unpacked;
        let reports = match (wire.reports, wire.packed) {
            (Some(reports), None) => reports,
            (None, Some(packed)) => {
                unpacked = unpack(&packed).map_err(|why| field("packed", why))?;
                super::read_body(Self::KIND, &unpacked)?
            }
            _ => return Err(field(".", "exactly one of reports and packed is needed".into())),
        };
        let (stage, count) = (wire.stage.0.into_owned(), reports.len());
        let mut batch = ReportBatch { stage, reports: Vec::with_capacity(count), spent: wire.spent };
        for (at, report) in reports.into_iter().enumerate() {
            batch.reports.push(report.into_report().map_err(|why| field(&format!("reports[{at}]"), why))?);
        }
        Ok(batch)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(default, rename = "v")]
    _v: IgnoredAny,
    #[serde(default, rename = "kind")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    stage: Text<'a>,
    #[serde(default)]
    spent: Vec<Spent>,
    #[serde(default, borrow)]
    reports: Option<Vec<WireReport<'a>>>,
    #[serde(default, borrow)]
    packed: Option<Packed<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReport<'a> {
    release: ReleaseId,
    #[serde(borrow)]
    outcome: WireOutcome<'a>,
    /// Started, answered, ended.
    at: [Tick; 3],
    /// On the wire, decoded.
    #[serde(default, skip_serializing_if = "is_default")]
    bytes: [u32; 2],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<WireItem<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    links: Vec<Run<'a>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    notes: Cow<'a, [ExtractionNote]>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WireOutcome<'a> {
    Response {
        status: u16,
    },
    Redirect {
        status: u16,
        #[serde(borrow)]
        location: Text<'a>,
    },
    Robots {
        status: u16,
        #[serde(borrow)]
        body: Bytes<'a>,
    },
    Failed {
        class: FailureClass,
        #[serde(borrow)]
        reason: Text<'a>,
        #[serde(default, skip_serializing_if = "is_default")]
        written: bool,
    },
    Unreadable {
        status: u16,
        #[serde(borrow)]
        reason: Text<'a>,
    },
    Unfetched {
        #[serde(borrow)]
        reason: Text<'a>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireItem<'a> {
    job: JobId,
    #[serde(default, skip_serializing_if = "is_default")]
    schema: u16,
    id: ItemId,
    hash: u64,
    version: u64,
    values: Values<'a>,
}

/// Borrowed when written, owned when read.
enum Values<'a> {
    Written(&'a [crate::Value]),
    Read(Vec<crate::Value>),
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = match self {
            Values::Written(values) => values,
            Values::Read(values) => values.as_slice(),
        };
        serializer.collect_seq(values.iter().map(Writes))
    }
}

impl<'de> Deserialize<'de> for Values<'_> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values: Vec<Reads> = Vec::deserialize(deserializer)?;
        Ok(Values::Read(values.into_iter().map(|value| value.0).collect()))
    }
}

impl<'a> WireReport<'a> {
    fn of(report: &'a Report) -> WireReport<'a> {
        let items = report.items.iter().map(|item| WireItem {
            job: item.job,
            schema: item.schema,
            id: item.id,
            hash: item.hash,
            version: item.version,
            values: Values::Written(&item.values),
        });
        WireReport {
            release: report.release,
            outcome: WireOutcome::of(&report.outcome),
            at: [report.started_at, report.answered_at, report.ended_at],
            bytes: [report.wire_bytes, report.body_bytes],
            items: items.collect(),
            links: runs(&report.links),
            notes: Cow::Borrowed(&report.notes),
        }
    }

    fn into_report(self) -> Result<Report, String> {
        let items = self.items.into_iter().map(|item| Item {
            job: item.job,
            schema: item.schema,
            id: item.id,
            hash: item.hash,
            version: item.version,
            values: match item.values {
                Values::Read(values) => values,
                Values::Written(values) => values.to_vec(),
            },
        });
        let [started_at, answered_at, ended_at] = self.at;
        let [wire_bytes, body_bytes] = self.bytes;
        Ok(Report {
            release: self.release,
            outcome: self.outcome.into_outcome()?,
            started_at,
            answered_at,
            ended_at,
            wire_bytes,
            body_bytes,
            items: items.collect(),
            links: links(self.links)?,
            notes: self.notes.into_owned(),
        })
    }
}

impl<'a> WireOutcome<'a> {
    fn of(outcome: &'a FetchOutcome) -> WireOutcome<'a> {
        let text = |text: &'a str| Text(Cow::Borrowed(text));
        match outcome {
            FetchOutcome::Response { status } => WireOutcome::Response { status: *status },
            FetchOutcome::Redirect { status, location } => {
                WireOutcome::Redirect { status: *status, location: text(location) }
            }
            FetchOutcome::Robots { status, body } => WireOutcome::Robots { status: *status, body: Bytes::of(body) },
            FetchOutcome::Failed { class, reason, written } => {
                WireOutcome::Failed { class: *class, reason: text(reason), written: *written }
            }
            FetchOutcome::Unreadable { status, reason } => {
                WireOutcome::Unreadable { status: *status, reason: text(reason) }
            }
            FetchOutcome::Unfetched { reason } => WireOutcome::Unfetched { reason: text(reason) },
        }
    }

    fn into_outcome(self) -> Result<FetchOutcome, String> {
        Ok(match self {
            WireOutcome::Response { status } => FetchOutcome::Response { status },
            WireOutcome::Redirect { status, location } => {
                FetchOutcome::Redirect { status, location: location.0.into() }
            }
            WireOutcome::Robots { status, body } => FetchOutcome::Robots { status, body: body.into_bytes()? },
            WireOutcome::Failed { class, reason, written } => {
                FetchOutcome::Failed { class, reason: reason.0.into(), written }
            }
            WireOutcome::Unreadable { status, reason } => FetchOutcome::Unreadable { status, reason: reason.0.into() },
            WireOutcome::Unfetched { reason } => FetchOutcome::Unfetched { reason: reason.0.into() },
        })
    }
}
