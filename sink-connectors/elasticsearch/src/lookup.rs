//! `_mget`: what is there under an identity, as it is now and not as searches see it.

use crate::alias;
use crate::bulk::Seen;
use crate::error;
use crate::index::Index;
use crate::link::{Body, Link};
use crate::schema::DELISTED;
use http::Method;
use serde_json::{Value as Json, json};
use weir_connector::SinkError;
use weir_model::ItemId;

/// Documents asked for at once.
const DOCS_MAX: usize = 1_000;
const PATH: &str = "/_mget?filter_path=error,docs.found,docs._seq_no,docs._primary_term,docs._source,docs.error";

/// A document's housekeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub seen: Seen,
    /// 0 when the document is none of ours: any item is newer.
    pub version: u64,
    pub hash: String,
    pub delisted: bool,
}

/// Looks documents up, in order; `None`: not there.
pub(crate) async fn look_up(link: &mut Link, docs: &[(&Index, ItemId)]) -> Result<Vec<Option<Known>>, SinkError> {
    let fields = ["weir_version", "weir_hash", DELISTED];
    let mut known = Vec::with_capacity(docs.len());
    for part in docs.chunks(DOCS_MAX) {
        let asked: Vec<Json> =
            part.iter().map(|(index, id)| json!({"_index": index.name, "_id": id, "_source": fields})).collect();
        let body = Body::json(&json!({"docs": asked}));
        let json = alias::told(link, "read", Method::POST, PATH, &body).await?;
        let found = json.get("docs").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let shown = &link.place.shown;
        if found.len() != part.len() {
            let said = format!("{} documents were asked for, {} answered", part.len(), found.len());
            return Err(error::by_meaning("read", shown, error::Meaning::Busy, &said));
        }
        for doc in found {
            if let Some(problem) = doc.get("error") {
                let said = error::said(problem);
                let meaning = match said.kind.as_str() {
                    "index_not_found_exception" => error::Meaning::Missing,
                    "security_exception" => error::Meaning::Account,
                    _ => error::Meaning::Busy,
                };
                return Err(error::by_meaning("read", shown, meaning, &said.text));
            }
            known.push(read(doc));
        }
    }
    Ok(known)
}

fn read(doc: &Json) -> Option<Known> {
    if doc.get("found") != Some(&Json::Bool(true)) {
        return None;
    }
    let number = |key: &str| doc.get(key).and_then(Json::as_u64);
    let source = doc.get("_source");
    let field = |key: &str| source.and_then(|source| source.get(key));
    Some(Known {
        seen: Seen { seq_no: number("_seq_no")?, primary_term: number("_primary_term")? },
        version: field("weir_version").and_then(Json::as_u64).unwrap_or(0),
        hash: field("weir_hash").and_then(Json::as_str).unwrap_or_default().to_owned(),
        delisted: field(DELISTED).is_some_and(|at| !at.is_null()),
    })
}
