//! Every kind of mistake in a spider file, with the message that a person reads: `mistakes/NAME.toml` and `NAME.txt`.
//! `WEIR_BLESS=1 cargo test -p weir-spider --test mistakes` writes the messages anew, for reading them in the diff.

use std::fs;
use std::path::Path;
use weir_spider::Spider;

#[test]
fn every_mistake_is_told_with_place_expectation_and_hint() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    names.sort();
    assert!(names.len() >= 40);
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Err(errors) = Spider::load(name, &fs::read_to_string(&path).unwrap(), &[]) else {
            wrong.push(format!("{name} loads"));
            continue;
        };
        for error in &errors.0 {
            assert!(error.line >= 1 && error.column >= 1, "{name}");
        }
        let said = format!("{errors}\n");
        let told = path.with_extension("txt");
        if bless {
            fs::write(&told, &said).unwrap();
        } else if fs::read_to_string(&told).unwrap_or_default() != said {
            wrong.push(format!("{name} says:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn unknown_and_missing_arguments_are_told() {
    let text = "name = \"a\"\nstart = [\"https://a.test/\"]\n[args]\ntown = \"x\"\n";
    let errors = Spider::load("a.toml", text, &[("twon".to_owned(), "y".to_owned())]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "a.toml:3:2: the spider has no argument `twon`\n  3 | [args]\n    |  ^^^^\n  expected: town\n  hint: did you mean `town`?"
    );
}
