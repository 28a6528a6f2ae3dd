//! The XML of a feed: `<items><item><field>value</field></item></items>`, byte for byte as Scrapy's exporter where that is XML at all.
//!
//! Pure. What XML cannot hold never gets into it: characters that XML 1.0 forbids become U+FFFD, and those that a name cannot have `_`.
//! Carriage returns are references, which Scrapy's are not: readers of XML lose those.

use crate::cell::Cell;
use serde_json::Value as Json;
use weir_connector::text;
use weir_model::Value;

/// How XML is laid out: as JSON arrays, no line breaks at all, a line an item, or spaces a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XmlStyle {
    pub indent: Option<usize>,
}

const ROOT: &str = "items";
const ITEM: &str = "item";

impl XmlStyle {
    /// Before the first item; `encoding` as it was asked for.
    pub fn begin(self, out: &mut Vec<u8>, encoding: &str) {
        text::put_display(out, format_args!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n<{ROOT}>"));
        self.line(out, true);
    }

    /// One item.
    pub fn item<'a>(self, out: &mut Vec<u8>, cells: impl Iterator<Item = (&'a str, Cell<'a>)>) {
        self.spaces(out, 1);
        self.open(out, ITEM);
        self.line(out, false);
        for (name, cell) in cells {
            match cell {
                Cell::Value(value) => self.value(out, name, value, 2),
                Cell::Json(json) => self.json(out, name, json, 2),
                Cell::Text(text) => self.leaf(out, name, 2, |out| put_text(out, text)),
                Cell::Number(number) => {
                    self.leaf(out, name, 2, |out| text::put_display(out, format_args!("{number}")));
                }
            }
        }
        self.spaces(out, 1);
        self.close(out, ITEM);
        self.line(out, true);
    }

    /// Behind the last item.
    pub fn end(self, out: &mut Vec<u8>) {
        self.close(out, ROOT);
    }

    fn value(self, out: &mut Vec<u8>, name: &str, value: &Value, depth: usize) {
        match value {
            Value::List(values) => self.node(out, name, depth, |out| {
                for value in values {
                    self.value(out, "value", value, depth + 1);
                }
            }),
            Value::Geo { lat, lon } => self.node(out, name, depth, |out| {
                self.leaf(out, "lat", depth + 1, |out| text::put_float(out, *lat));
                self.leaf(out, "lon", depth + 1, |out| text::put_float(out, *lon));
            }),
            Value::Json(json) => self.json(out, name, json, depth),
            other => self.leaf(out, name, depth, |out| {
                let mut plain = Vec::new();
                Cell::Value(other).put_csv(&mut plain, ",");
                put_text(out, std::str::from_utf8(&plain).expect("columns are UTF-8"));
            }),
        }
    }

    fn json(self, out: &mut Vec<u8>, name: &str, json: &Json, depth: usize) {
        match json {
            Json::Array(values) => self.node(out, name, depth, |out| {
                for value in values {
                    self.json(out, "value", value, depth + 1);
                }
            }),
            Json::Object(map) => self.node(out, name, depth, |out| {
                for (name, value) in map {
                    self.json(out, name, value, depth + 1);
                }
            }),
            Json::Null => self.leaf(out, name, depth, |out| out.extend_from_slice(b"None")),
            other => self.leaf(out, name, depth, |out| {
                let mut plain = Vec::new();
                Cell::Json(other).put_csv(&mut plain, ",");
                put_text(out, std::str::from_utf8(&plain).expect("columns are UTF-8"));
            }),
        }
    }

    fn node(self, out: &mut Vec<u8>, name: &str, depth: usize, inside: impl FnOnce(&mut Vec<u8>)) {
        self.spaces(out, depth);
        self.open(out, name);
        self.line(out, false);
        inside(out);
        self.spaces(out, depth);
        self.close(out, name);
        self.line(out, false);
    }

    fn leaf(self, out: &mut Vec<u8>, name: &str, depth: usize, inside: impl FnOnce(&mut Vec<u8>)) {
        self.spaces(out, depth);
        self.open(out, name);
        inside(out);
        self.close(out, name);
        self.line(out, false);
    }

    fn open(self, out: &mut Vec<u8>, name: &str) {
        out.push(b'<');
        put_name(out, name);
        out.push(b'>');
    }

    fn close(self, out: &mut Vec<u8>, name: &str) {
        out.extend_from_slice(b"</");
        put_name(out, name);
        out.push(b'>');
    }

    fn line(self, out: &mut Vec<u8>, item: bool) {
        if self.indent.is_some_and(|indent| item || indent > 0) {
            out.push(b'\n');
        }
    }

    fn spaces(self, out: &mut Vec<u8>, depth: usize) {
        out.resize(out.len() + self.indent.unwrap_or(0) * depth, b' ');
    }
}

/// Letters, digits, `-`, `.`, `_` and what is beyond ASCII; the first is no digit, `-` or `.`.
fn put_name(out: &mut Vec<u8>, name: &str) {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        out.push(b'_');
    }
    for c in name.chars() {
        text::put_display(out, format_args!("{}", if good(c) { c } else { '_' }));
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            // A reader would make a line feed of it.
            '\r' => out.extend_from_slice(b"&#13;"),
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(json: serde_json::Value, indent: Option<usize>) -> String {
        let style = XmlStyle { indent };
        let mut out = Vec::new();
        style.begin(&mut out, "utf-8");
        style.item(&mut out, json.as_object().expect("an object").iter().map(|(k, v)| (k.as_str(), Cell::Json(v))));
        style.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn items_are_laid_out_by_indent_as_scrapy_does() {
        let json = serde_json::json!({"a": "x<&>", "b": [1, {"c": false}]});
        let head = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<items>";
        let flat = "<item><a>x&lt;&amp;&gt;</a><b><value>1</value><value><c>False</c></value></b></item>";
        assert_eq!(item(json.clone(), None), format!("{head}{flat}</items>"));
        assert_eq!(item(json.clone(), Some(0)), format!("{head}\n{flat}\n</items>"));
        assert_eq!(
            item(json, Some(1)),
            format!(
                "{head}\n <item>\n  <a>x&lt;&amp;&gt;</a>\n  <b>\n   <value>1</value>\n   <value>\n    <c>False</c>\n   </value>\n  </b>\n </item>\n</items>"
            )
        );
    }

    #[test]
    fn what_xml_cannot_hold_never_gets_into_it() {
        let json = serde_json::json!({"@type": "a\u{0}b\u{1b}\r\n", "1st": 2});
        let body = "<item><_@type>a\u{fffd}b\u{fffd}&#13;\n</_@type><_1st>2</_1st></item>".replace("_@", "__");
        assert!(item(json, None).contains(&body));
    }

    #[test]
    fn nothing_found_is_an_empty_element() {
        let mut out = Vec::new();
        let cells = [("a", Cell::Value(&Value::Null)), ("b", Cell::Value(&Value::Geo { lat: 1.0, lon: 2.5 }))];
        XmlStyle { indent: None }.item(&mut out, cells.into_iter());
        assert_eq!(String::from_utf8_lossy(&out), "<item><a></a><b><lat>1.0</lat><lon>2.5</lon></b></item>");
    }
}
