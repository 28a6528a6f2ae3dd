//! The binary itself: that it starts and knows its name. Whole crawls are judged in `tests/e2e`, by this same binary: cargo builds it beside these tests.

use std::process::Command;

#[test]
fn it_says_its_name_and_version_and_what_it_can_do() {
    let run = |argument: &str| Command::new(env!("CARGO_BIN_EXE_weir")).arg(argument).output().expect("weir starts");
    let version = run("--version");
    assert!(version.status.success());
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
    let help = run("--help");
    let help = String::from_utf8_lossy(&help.stdout);
    for command in ["crawl", "check", "spider", "site", "demo"] {
        assert!(help.contains(command), "{help}");
    }
}
