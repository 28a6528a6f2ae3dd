//! `docs/coming-from-scrapy.md` keeps its word: each row names tests, and they are there.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// The rows of the feature list that this version promises.
const PROMISED: &str = "6-14, 18, 20-23, 25, 26, 28-30, 32-39, 41-44, 46-51, 53-75, 79-82, 85-110, 113, 120, 125-139, 165, 168, \
                        171-179, 181-183, 185-188, 190-193, 195-197";

/// `6-8, 10` as numbers.
fn numbers(list: &str) -> Vec<u32> {
    let number =
        |text: &str| text.trim().parse::<u32>().unwrap_or_else(|error| panic!("{text:?} in {list:?}: {error}"));
    list.split(',')
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
}

/// A row of the table.
struct Row {
    /// Numbers in the feature list.
    numbers: Vec<u32>,
    /// What to use here.
    here: String,
    /// Files and names of the tests that show it, written `crate/tests/file.rs: name`.
    tests: Vec<(String, String)>,
}

fn rows() -> Vec<Row> {
    let is_row = |line: &str| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit());
    table(&is_row, &|first| numbers(first))
}

/// The faults of the book's code that have an answer.
fn faults() -> Vec<Row> {
    let is_fault = |line: &str| line.starts_with("| fault ") && !line.starts_with("| fault |");
    table(&is_fault, &|first| numbers(first.trim_start_matches("fault ")))
}

/// The rows of a table; what its first column means is told by the caller.
fn table(is_row: &dyn Fn(&str) -> bool, numbers: &dyn Fn(&str) -> Vec<u32>) -> Vec<Row> {
    let path = weir_e2e::root().join("docs/coming-from-scrapy.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .filter(|line| is_row(line))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "row, Scrapy, here, shown by: {line}");
            // What stands between backticks is every second part.
            let shown = cells[3].split('`').skip(1).step_by(2);
            let tests = shown.map(|test| {
                let (file, name) =
                    test.split_once(": ").unwrap_or_else(|| panic!("{test:?} names no test of a file: {line}"));
                (file.to_owned(), name.to_owned())
            });
            Row { numbers: numbers(cells[0]), here: cells[2].to_owned(), tests: tests.collect() }
        })
        .collect()
}

/// `e2e/tests/crawl.rs` is `tests/e2e/tests/crawl.rs`: a crate is named by its folder alone.
fn find(file: &str) -> Option<PathBuf> {
    let houses = ["dataflow", "lambdas", "sink-connectors", "tests"];
    houses.iter().map(|house| weir_e2e::root().join(house).join(file)).find(|path| path.is_file())
}

#[test]
fn every_promised_row_of_the_feature_list_is_answered_once() {
    let mut listed = BTreeSet::new();
    for row in rows().iter().flat_map(|row| &row.numbers) {
        assert!(listed.insert(*row), "row {row} is listed twice");
    }
    let missing: Vec<u32> = numbers(PROMISED).into_iter().filter(|row| !listed.contains(row)).collect();
    assert!(missing.is_empty(), "rows {missing:?} are not answered");
}

#[test]
fn every_row_says_what_to_use_and_names_tests_that_exist() {
    assert_eq!(faults().len(), 9, "the faults of the book's code");
    for Row { numbers: rows, here, tests } in rows().into_iter().chain(faults()) {
        assert!(!here.is_empty(), "rows {rows:?} say what to use");
        assert!(!tests.is_empty(), "rows {rows:?} name a test");
        for (file, name) in tests {
            let path = find(&file).unwrap_or_else(|| panic!("rows {rows:?}: there is no {file}"));
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let at =
                source.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("rows {rows:?}: {file} has no {name}"));
            // Attributes stand between the end of what comes before and the name.
            let before = source[..at].rfind(['}', ';']).map_or(&source[..at], |end| &source[end..at]);
            assert!(before.contains("test]"), "rows {rows:?}: {name} in {file} is no test");
        }
    }
}

#[test]
fn rust_in_the_docs_stands_in_a_program_that_is_compiled() {
    let read = |path: &str| {
        let path = weir_e2e::root().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (docs, program) = (read("docs/computation.md"), read("dataflow/driver/examples/compute_speed.rs"));
    let blocks: Vec<&str> = docs.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for part in blocks.iter().flat_map(|block| block.split("\n\n")) {
        // Imports stand among others there.
        let parts: Vec<&str> = if part.starts_with("use ") { part.lines().collect() } else { vec![part.trim_end()] };
        for part in parts {
            assert!(program.contains(part), "the program has not:\n{part}");
        }
    }
}
