//! Reads pages (one JSON string a line) from the file named first and writes each one's tree (one JSON string a line).
//! `oracle/tree_oracle.py` compares these with lxml's. A second argument `html5` takes the other
//! engine; `xml` reads XML, which `oracle/xml_oracle.py` compares.

use std::io::{BufRead, BufWriter, Write};

#[path = "../tests/tree_dump/mod.rs"]
mod tree_dump;

use tree_dump::{dump, dump_xml};
use weir_html::{Limits, Parser};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file of pages?")?;
    let engine = std::env::args().nth(2).unwrap_or_default();
    let mut parser = Parser::new(Limits::default());
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::BufReader::new(std::fs::File::open(path)?).lines() {
        let page: String = serde_json::from_str(&line?)?;
        let tree = match engine.as_str() {
            "html5" => parser.parse_html5(&page)?,
            "xml" => parser.parse_xml(&page)?,
            _ => parser.parse(&page)?,
        };
        let text = if engine == "xml" { dump_xml(tree) } else { dump(tree) };
        writeln!(out, "{}", serde_json::to_string(&text)?)?;
    }
    Ok(())
}
