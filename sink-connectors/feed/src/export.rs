//! The bytes of a feed: one exporter for JSON Lines, JSON arrays, CSV and XML, byte for byte as Scrapy's.
//!
//! Pure: rows in, bytes out, into a buffer that the caller reuses. A row that cannot be written leaves no byte.

use crate::cell::Cell;
use crate::charset::{Charset, OnUnmappable};
use crate::xml::XmlStyle;
use weir_connector::FeedFormat;
use weir_connector::text::{self, JsonStyle};

/// How a feed is written. The default is what Scrapy's exporters do without options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Fields and their titles in this order; `None`: those of the first row (CSV) or of each row (JSON).
    pub fields: Option<Vec<(String, String)>>,
    /// A header line (CSV).
    pub header: bool,
    /// JSON arrays and XML: `None` all in one line, 0 an item a line, more: spaces a level.
    pub indent: Option<usize>,
    /// `None`: UTF-8, and JSON escapes everything beyond ASCII.
    pub charset: Option<Charset>,
    /// The charset's name as it was asked for: XML says it in its first line.
    pub encoding: Option<String>,
    /// What becomes of characters that the charset lacks; in XML they are always character references.
    pub unmappable: OnUnmappable,
    /// Between the values of a list (CSV).
    pub join: String,
    /// JSON objects with sorted keys.
    pub sort_keys: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions {
            fields: None,
            header: true,
            indent: None,
            charset: None,
            encoding: None,
            unmappable: OnUnmappable::Refuse,
            join: ",".to_owned(),
            sort_keys: false,
        }
    }
}

impl ExportOptions {
    /// Scrapy's names: `fields_to_export` (names, or names to titles), `include_headers_line`, `join_multivalued`, `encoding`,
    /// `errors`, `indent`, `sort_keys`, `ensure_ascii`. An unknown name or value is an error that says which.
    pub fn from_scrapy(options: &serde_json::Map<String, serde_json::Value>) -> Result<ExportOptions, String> {
        let mut out = ExportOptions::default();
        for (name, value) in options {
            let wrong = || format!("option {name} cannot be {value}");
            match name.as_str() {
                _ if value.is_null() => {}
                "fields_to_export" => out.fields = Some(fields_of(value).ok_or_else(wrong)?),
                "include_headers_line" => out.header = value.as_bool().ok_or_else(wrong)?,
                "sort_keys" => out.sort_keys = value.as_bool().ok_or_else(wrong)?,
                "join_multivalued" => out.join = value.as_str().ok_or_else(wrong)?.to_owned(),
                "indent" => {
                    out.indent = Some(
                        value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n <= 64).ok_or_else(wrong)?,
                    )
                }
                "encoding" => {
                    out.charset = Some(value.as_str().and_then(Charset::from_name).ok_or_else(wrong)?);
                    out.encoding = value.as_str().map(str::to_owned);
                }
                "errors" => out.unmappable = value.as_str().and_then(OnUnmappable::from_name).ok_or_else(wrong)?,
                "ensure_ascii" if value == false => out.charset = out.charset.or(Some(Charset::Utf8)),
                "ensure_ascii" if value == true => out.charset = None,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(out)
    }
}

fn fields_of(value: &serde_json::Value) -> Option<Vec<(String, String)>> {
    match value {
        serde_json::Value::Array(names) => {
            names.iter().map(|name| name.as_str().map(|name| (name.to_owned(), name.to_owned()))).collect()
        }
        serde_json::Value::Object(titles) => {
            titles.iter().map(|(name, title)| title.as_str().map(|title| (name.clone(), title.to_owned()))).collect()
        }
        _ => None,
    }
}

/// Writes rows in one format.
#[derive(Debug)]
pub struct Exporter {
    format: FeedFormat,
    options: ExportOptions,
    /// CSV: the columns, once they are known.
    columns: Option<Vec<(String, String)>>,
    rows: u64,
    row: Vec<u8>,
    cell: Vec<u8>,
}

impl Exporter {
    /// An exporter at the beginning of a feed.
    #[must_use]
    pub fn new(format: FeedFormat, options: ExportOptions) -> Exporter {
        let columns = options.fields.clone();
        Exporter { format, options, columns, rows: 0, row: Vec::new(), cell: Vec::new() }
    }

    /// Goes on in a feed that holds `rows` rows already.
    pub fn resume(&mut self, rows: u64) {
        self.rows = rows;
    }

    /// Rows written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What stands before the first row.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        match self.format {
            FeedFormat::Json => {
                out.push(b'[');
                self.newline(out);
            }
            FeedFormat::Xml => self.xml().begin(out, self.options.encoding.as_deref().unwrap_or("utf-8")),
            FeedFormat::JsonLines | FeedFormat::Csv | FeedFormat::Parquet => {}
        }
    }

    /// One row; `Err` with the reason when it cannot be written, then nothing was.
    pub fn export<'a>(&mut self, cells: &[(&'a str, Cell<'a>)], out: &mut Vec<u8>) -> Result<(), String> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        match self.format {
            FeedFormat::Csv => self.csv_row(cells, &mut row),
            FeedFormat::JsonLines => {
                self.object(cells, 0, &mut row);
                row.push(b'\n');
            }
            FeedFormat::Json => {
                if self.rows > 0 {
                    row.push(b',');
                    self.newline(&mut row);
                }
                self.object(cells, self.options.indent.unwrap_or(0), &mut row);
            }
            FeedFormat::Xml => match self.chosen(cells) {
                Some(chosen) => self.xml().item(&mut row, chosen.into_iter()),
                None => self.xml().item(&mut row, cells.iter().copied()),
            },
            FeedFormat::Parquet => return Err("Parquet is no text".to_owned()),
        }
        let start = out.len();
        let charset = self.options.charset.unwrap_or(Charset::Utf8);
        let unmappable =
            if self.format == FeedFormat::Xml { OnUnmappable::XmlCharRef } else { self.options.unmappable };
        let encoded = charset.encode(&row, unmappable, out);
        self.row = row;
        encoded.map_err(|missing| {
            out.truncate(start);
            format!("the feed's charset has no {missing:?}: choose utf-8, or another way for what it lacks")
        })?;
        self.rows += 1;
        Ok(())
    }

    /// What stands behind the last row.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.format {
            FeedFormat::Json => {
                self.newline(out);
                out.push(b']');
            }
            FeedFormat::Xml => self.xml().end(out),
            FeedFormat::JsonLines | FeedFormat::Csv | FeedFormat::Parquet => {}
        }
    }

    fn xml(&self) -> XmlStyle {
        XmlStyle { indent: self.options.indent }
    }

    /// The fields that were asked for, under their titles; `None` when all are.
    fn chosen<'a>(&'a self, cells: &[(&'a str, Cell<'a>)]) -> Option<Vec<(&'a str, Cell<'a>)>> {
        let fields = self.options.fields.as_ref()?;
        let find = |(field, title): &'a (String, String)| {
            cells.iter().find(|(name, _)| name == field).map(|(_, cell)| (title.as_str(), *cell))
        };
        Some(fields.iter().filter_map(find).collect())
    }

    fn newline(&self, out: &mut Vec<u8>) {
        if self.options.indent.is_some() {
            out.push(b'\n');
        }
    }

    fn object<'a>(&self, cells: &[(&'a str, Cell<'a>)], indent: usize, out: &mut Vec<u8>) {
        let style = JsonStyle { ascii: self.options.charset.is_none(), sort_keys: self.options.sort_keys, indent };
        match self.chosen(cells) {
            Some(chosen) => put_object(&chosen, style, out),
            None => put_object(cells, style, out),
        }
    }

    fn csv_row<'a>(&mut self, cells: &[(&'a str, Cell<'a>)], out: &mut Vec<u8>) {
        let columns = self
            .columns
            .take()
            .unwrap_or_else(|| cells.iter().map(|(name, _)| ((*name).to_owned(), (*name).to_owned())).collect());
        let mut cell = std::mem::take(&mut self.cell);
        if self.rows == 0 && self.options.header {
            for (at, (_, title)) in columns.iter().enumerate() {
                put_csv_field(title.as_bytes(), at, columns.len(), out);
            }
            out.extend_from_slice(b"\r\n");
        }
        for (at, (field, _)) in columns.iter().enumerate() {
            cell.clear();
            // Rows of one schema have their fields in the same places.
            let found = cells
                .get(at)
                .filter(|(name, _)| name == field)
                .or_else(|| cells.iter().find(|(name, _)| name == field));
            if let Some((_, value)) = found {
                value.put_csv(&mut cell, &self.options.join);
            }
            put_csv_field(&cell, at, columns.len(), out);
        }
        out.extend_from_slice(b"\r\n");
        self.cell = cell;
        self.columns = Some(columns);
    }
}

fn put_object(cells: &[(&str, Cell<'_>)], style: JsonStyle, out: &mut Vec<u8>) {
    if cells.is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    let sorted: Vec<(&str, Cell<'_>)>;
    let mut cells = cells;
    if style.sort_keys {
        let mut copy = cells.to_vec();
        copy.sort_by_key(|(name, _)| *name);
        sorted = copy;
        cells = &sorted;
    }
    out.push(b'{');
    style.line(out, 1, b"");
    for (at, (name, cell)) in cells.iter().enumerate() {
        if at > 0 {
            style.comma(out, 1);
        }
        text::put_string(out, name, style.ascii);
        out.extend_from_slice(b": ");
        match cell {
            Cell::Value(value) => text::put_value(out, value, style, 1),
            Cell::Json(json) => text::put_json(out, json, style, 1),
            Cell::Text(text) => text::put_string(out, text, style.ascii),
            Cell::Number(number) => text::put_display(out, format_args!("{number}")),
        }
    }
    style.line(out, 0, b"");
    out.push(b'}');
}

/// Quoted only when needed, and an only column that is empty, as Python's `csv` does.
fn put_csv_field(field: &[u8], at: usize, columns: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
    let alone = columns == 1 && field.is_empty();
    if !alone && !field.iter().any(|b| matches!(b, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scrapys_options_are_understood_and_unknown_ones_named() {
        let options = |json: serde_json::Value| ExportOptions::from_scrapy(json.as_object().expect("an object"));
        let read = options(json!({"fields_to_export": {"a": "A"}, "encoding": "windows-1251", "errors": "xmlcharrefreplace", "indent": 4})).expect("known");
        assert_eq!(
            (read.fields, read.indent, read.unmappable),
            (Some(vec![("a".into(), "A".into())]), Some(4), OnUnmappable::XmlCharRef)
        );
        assert!(options(json!({"delimiter": ";"})).expect_err("unknown").contains("delimiter"));
        assert!(options(json!({"encoding": "klingon"})).expect_err("unknown").contains("klingon"));
    }

    fn export(format: FeedFormat, options: ExportOptions, rows: &[serde_json::Value]) -> String {
        let mut exporter = Exporter::new(format, options);
        let mut out = Vec::new();
        exporter.begin(&mut out);
        for row in rows {
            let cells: Vec<(&str, Cell<'_>)> =
                row.as_object().expect("an object").iter().map(|(k, v)| (k.as_str(), Cell::Json(v))).collect();
            let _ = exporter.export(&cells, &mut out);
        }
        exporter.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn json_is_laid_out_by_indent_as_scrapy_does() {
        let rows = [json!({"a": 1, "b": ["x", {"c": []}]}), json!({"a": "é"})];
        let utf8 = ExportOptions { charset: Some(Charset::Utf8), ..ExportOptions::default() };
        assert_eq!(
            export(FeedFormat::Json, ExportOptions::default(), &rows),
            "[{\"a\": 1, \"b\": [\"x\", {\"c\": []}]},{\"a\": \"\\u00e9\"}]"
        );
        let lines = ExportOptions { indent: Some(0), ..utf8.clone() };
        assert_eq!(
            export(FeedFormat::Json, lines.clone(), &rows),
            "[\n{\"a\": 1, \"b\": [\"x\", {\"c\": []}]},\n{\"a\": \"é\"}\n]"
        );
        assert_eq!(export(FeedFormat::Json, lines, &[]), "[\n\n]");
        let indented = ExportOptions { indent: Some(2), ..utf8 };
        assert_eq!(
            export(FeedFormat::Json, indented, &rows),
            "[\n{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    {\n      \"c\": []\n    }\n  ]\n},\n{\n  \"a\": \"é\"\n}\n]"
        );
    }

    #[test]
    fn csv_quotes_as_python_does() {
        let rows =
            [json!({"a": "x,y", "b": "say \"hi\"\nthere"}), json!({"b": " z ", "c": "not a column"}), json!({"a": ""})];
        assert_eq!(
            export(FeedFormat::Csv, ExportOptions::default(), &rows),
            "a,b\r\n\"x,y\",\"say \"\"hi\"\"\nthere\"\r\n, z \r\n,\r\n"
        );
        assert_eq!(
            export(FeedFormat::Csv, ExportOptions { header: false, ..Default::default() }, &[json!({"a": ""})]),
            "\"\"\r\n"
        );
    }

    #[test]
    fn a_row_that_the_charset_lacks_leaves_no_byte() {
        let rows = [json!({"a": "x"}), json!({"a": "☺"}), json!({"a": "y"})];
        let latin = ExportOptions { charset: Charset::from_name("latin"), ..ExportOptions::default() };
        assert_eq!(export(FeedFormat::Json, latin, &rows), "[{\"a\": \"x\"},{\"a\": \"y\"}]");
    }

    #[test]
    fn chosen_fields_are_written_in_their_order_under_their_titles() {
        let rows = [json!({"a": 1, "b": 2, "c": 3})];
        let fields = Some(vec![
            ("c".to_owned(), "C!".to_owned()),
            ("a".to_owned(), "a".to_owned()),
            ("z".to_owned(), "z".to_owned()),
        ]);
        let options = ExportOptions { fields, ..ExportOptions::default() };
        assert_eq!(export(FeedFormat::JsonLines, options.clone(), &rows), "{\"C!\": 3, \"a\": 1}\n");
        assert_eq!(export(FeedFormat::Csv, options, &rows), "C!,a,z\r\n3,1,\r\n");
    }
}
