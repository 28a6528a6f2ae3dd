//! Back from a feed's XML: the elements that `crate::xml` writes, one item in memory at a time.
//!
//! Reads as any XML reader does (references, line ends), and nothing that weir does not write: no attributes, comments or sections. Empty
//! elements do not tell an empty text or list from none, nor U+FFFD what stood there, nor nested elements which JSON they were: such
//! values are unsure.

use super::{failed, foreign, schema_of};
use std::io::BufRead;
use std::path::Path;
use weir_connector::{JobInfo, Read, SinkError, StoredItem, read};
use weir_model::{Field, FieldKind, Value};

#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    inside: Vec<Element>,
}

pub(super) fn read(
    path: &Path,
    reader: &mut dyn BufRead,
    job: &JobInfo,
    each: &mut dyn FnMut(StoredItem),
) -> Result<(), SinkError> {
    let mut line = 1;
    let mut open: Vec<Element> = Vec::new();
    loop {
        let text = until(path, reader, b'<', &mut line)?;
        let Some(text) = text.strip_suffix('<') else {
            // The part of an unfinished job ends behind an item.
            let ended = open.len() <= 1 && text.trim().is_empty();
            return if ended { Ok(()) } else { Err(foreign(path, line, "it ends in the middle of an item")) };
        };
        if let Some(element) = open.last_mut() {
            let text = unescaped(text).ok_or_else(|| foreign(path, line, "a reference that is none"))?;
            element.text.push_str(&text);
        }
        let tag = until(path, reader, b'>', &mut line)?;
        let tag = tag.strip_suffix('>').ok_or_else(|| foreign(path, line, "a tag that does not end"))?;
        if let Some(name) = tag.strip_prefix('/') {
            let closed = open.pop().filter(|element| element.name == name.trim_end());
            let closed = closed.ok_or_else(|| foreign(path, line, "a tag that closes nothing"))?;
            match &mut open[..] {
                [] => {}
                [_] => each(item(path, line, job, &closed)?),
                [.., outer] => outer.inside.push(closed),
            }
        } else if tag.starts_with('!') || tag.contains('=') && !tag.starts_with('?') || tag.ends_with('/') {
            return Err(foreign(path, line, "a tag that weir does not write"));
        } else if !tag.starts_with('?') {
            open.push(Element { name: tag.trim_end().to_owned(), ..Element::default() });
        }
    }
}

/// What comes up to a byte and that byte, or up to the end.
fn until(path: &Path, reader: &mut dyn BufRead, end: u8, line: &mut u64) -> Result<String, SinkError> {
    let mut bytes = Vec::new();
    reader.read_until(end, &mut bytes).map_err(|error| failed(path, &error))?;
    *line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    String::from_utf8(bytes).map_err(|_| foreign(path, *line, "no UTF-8"))
}

/// Text with its references resolved; `None`: one is none.
fn unescaped(text: &str) -> Option<String> {
    // A reader of XML sees every line end as one line feed.
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() };
    let mut pieces = text.split('&');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, behind) = piece.split_once(';')?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        out.push_str(behind);
    }
    Some(out)
}

fn item(path: &Path, line: u64, job: &JobInfo, element: &Element) -> Result<StoredItem, SinkError> {
    let cell_of = |name: &str| element.inside.iter().find(|inside| inside.name == name);
    let found = schema_of(&job.schemas, element.inside.len(), |name| cell_of(name).is_some());
    let (schema, of) = found.ok_or_else(|| foreign(path, line, "its fields are those of no item type"))?;
    let values = of.fields.iter().map(|field| match cell_of(&field.name) {
        Some(element) => value(field, element),
        None => Read::Unsure(Value::Null),
    });
    Ok(StoredItem { schema, id: None, version: None, hash: None, values: values.collect() })
}

fn value(field: &Field, element: &Element) -> Read {
    if field.kind == FieldKind::Json || (field.many && element.inside.is_empty()) {
        return Read::Unsure(Value::Null);
    }
    if !field.many {
        return one(field, element);
    }
    let one_of = Field { many: false, ..field.clone() };
    let mut values = Vec::with_capacity(element.inside.len());
    for inside in &element.inside {
        match one(&one_of, inside) {
            Read::Value(value) if inside.name == "value" => values.push(value),
            Read::Unsure(_) => return Read::Unsure(Value::Null),
            _ => return Read::Foreign,
        }
    }
    Read::Value(Value::List(values))
}

fn one(field: &Field, element: &Element) -> Read {
    let text = element.text.as_str();
    match field.kind {
        FieldKind::GeoPoint if !element.inside.is_empty() => {
            let degrees = |name: &str| element.inside.iter().find(|inside| inside.name == name)?.text.parse().ok();
            let place = degrees("lat").zip(degrees("lon"));
            place.map_or(Read::Foreign, |(lat, lon)| Read::Value(Value::Geo { lat, lon }))
        }
        _ if !element.inside.is_empty() => Read::Foreign,
        FieldKind::Str | FieldKind::Date if text.is_empty() => Read::Unsure(Value::Null),
        _ if text.is_empty() => Read::Value(Value::Null),
        _ if text.contains('\u{fffd}') => Read::Unsure(Value::Str(text.into())),
        _ => read::from_text(field, Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_line_ends_are_read_as_xml_has_them() {
        assert_eq!(unescaped("a&amp;lt;&#13;&#xe9;\r\nb\rc").as_deref(), Some("a&lt;\ré\nb\nc"));
        for bad in ["&", "&nbsp;", "&#x110000;", "a&amp"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }
}
