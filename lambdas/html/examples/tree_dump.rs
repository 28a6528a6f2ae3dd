//! Reads pages (one JSON string a line) from the file named first and writes each one's tree (one JSON string a line).
//! `oracle/tree_oracle.py` compares these with lxml's. A second argument `html5` takes the other engine.

use std::io::{BufRead, BufWriter, Write};

#[path = "../tests/tree_dump/mod.rs"]
mod tree_dump;

use tree_dump::dump;
use weir_html::{Limits, Parser};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file of pages?")?;
    let html5 = std::env::args().nth(2).is_some_and(|engine| engine == "html5");
    let mut parser = Parser::new(Limits::default());
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::BufReader::new(std::fs::File::open(path)?).lines() {
        let page: String = serde_json::from_str(&line?)?;
        let tree = if html5 { parser.parse_html5(&page)? } else { parser.parse(&page)? };
        writeln!(out, "{}", serde_json::to_string(&dump(tree))?)?;
    }
    Ok(())
}
