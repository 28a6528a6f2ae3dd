//! Links in a message: runs of URLs with the same target and priority, in order; and bytes as text where they are text.

use super::is_default;
use super::value::is_shallow_map;
use crate::{Carry, LinkBatch, LinkExtra, Method, TargetId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Consecutive links that differ in nothing but their URL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run<'a> {
    #[serde(default, skip_serializing_if = "is_default")]
    target: TargetId,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i16,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    extra: Option<Extra<'a>>,
    #[serde(borrow)]
    urls: Vec<Text<'a>>,
}

/// Text that is borrowed from the message when nothing in it is escaped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Links as runs.
pub(super) fn runs(links: &LinkBatch) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (url, link) in links.iter() {
        let url = Text(url.into());
        match runs.last_mut() {
            Some(run)
                if run.target == link.target
                    && run.priority == link.priority
                    && run.extra.is_none()
                    && link.extra.is_none() =>
            {
                run.urls.push(url);
            }
            _ => {
                let extra = link.extra.as_deref().map(Extra::of);
                runs.push(Run { target: link.target, priority: link.priority, extra, urls: vec![url] });
            }
        }
    }
    runs
}

/// Runs as links.
pub(super) fn links(runs: Vec<Run<'_>>) -> Result<LinkBatch, String> {
    let mut batch = LinkBatch::default();
    for run in runs {
        let extra = run.extra.map(Extra::into_extra).transpose()?;
        for Text(url) in run.urls {
            batch.push_extra(&url, run.target, run.priority, extra.clone());
        }
    }
    Ok(batch)
}

/// What is rare in a link or a request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extra<'a> {
    #[serde(default, skip_serializing_if = "is_default")]
    method: Method,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    body: Option<Bytes<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    headers: Vec<(Text<'a>, Text<'a>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carry: Option<Cow<'a, Carry>>,
    /// Carried values that nest too deeply to stand in a message as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carry_text: Option<String>,
}

impl<'a> Extra<'a> {
    pub fn of(extra: &'a LinkExtra) -> Extra<'a> {
        let carry = extra.carry.as_deref();
        let shallow = carry.is_none_or(is_shallow_map);
        let text = |map: &Carry| serde_json::to_string(map).expect("JSON is JSON");
        Extra {
            method: extra.method,
            body: extra.body.as_deref().map(Bytes::of),
            headers: extra
                .headers
                .iter()
                .map(|(name, value)| (Text((&**name).into()), Text((&**value).into())))
                .collect(),
            carry: carry.filter(|_| shallow).map(Cow::Borrowed),
            carry_text: carry.filter(|_| !shallow).map(text),
        }
    }

    pub fn into_extra(self) -> Result<Box<LinkExtra>, String> {
        let carry = match (self.carry, self.carry_text) {
            (Some(carry), None) => Some(Box::new(carry.into_owned())),
            (None, Some(text)) => Some(serde_json::from_str(&text).map_err(|error| format!("carry_text: {error}"))?),
            (None, None) => None,
            (Some(_), Some(_)) => return Err("carry and carry_text exclude each other".into()),
        };
        Ok(Box::new(LinkExtra {
            method: self.method,
            body: self.body.map(Bytes::into_bytes).transpose()?,
            headers: self.headers.into_iter().map(|(name, value)| (name.0.into(), value.0.into())).collect(),
            carry,
        }))
    }
}

/// Bytes: `{"text":".."}` when they are UTF-8, else `{"base64":".."}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bytes<'a> {
    #[serde(borrow)]
    Text(Text<'a>),
    Base64(String),
}

impl<'a> Bytes<'a> {
    pub fn of(bytes: &'a [u8]) -> Bytes<'a> {
        use base64::Engine;
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(Text(text.into())),
            Err(_) => Bytes::Base64(base64::engine::general_purpose::STANDARD.encode(bytes)),
        }
    }

    pub fn into_bytes(self) -> Result<Box<[u8]>, String> {
        use base64::Engine;
        match self {
            Bytes::Text(Text(text)) => Ok(text.into_owned().into_bytes().into()),
            Bytes::Base64(text) => match base64::engine::general_purpose::STANDARD.decode(&text) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(format!("base64: {error}")),
            },
        }
    }
}
