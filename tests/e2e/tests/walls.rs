//! The walls of ARCHITECTURE.md, kept by reading `cargo metadata`: who may name whom.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn packages() -> Vec<Package> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(root).no_deps().exec().expect("cargo metadata runs");
    assert!(metadata.packages.len() >= 15, "the workspace has its members");
    metadata.packages
}

/// Names of the ordinary (not test-only) dependencies of a package.
fn dependencies(package: &Package) -> Vec<&str> {
    package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.as_str()).collect()
}

fn users_of(name: &str) -> Vec<String> {
    packages().iter().filter(|p| dependencies(p).contains(&name)).map(|p| p.name.to_string()).collect()
}

#[test]
fn pure_crates_see_no_runtime_no_socket_and_no_database() {
    let outside = [
        "tokio",
        "hyper",
        "hyper-util",
        "reqwest",
        "rustls",
        "tokio-rustls",
        "socket2",
        "rusqlite",
        "libc",
        "tracing",
        "rand",
        "signal-hook",
        "tempfile",
    ];
    for package in packages() {
        let pure = ["weir-model", "weir-frontier", "weir-geo", "weir-cost", "weir-html", "weir-spider", "weir-stage"];
        if !pure.contains(&package.name.as_str()) {
            continue;
        }
        let found: Vec<&str> = dependencies(&package).into_iter().filter(|d| outside.contains(d)).collect();
        assert!(found.is_empty(), "{} is pure and must not depend on {found:?}", package.name);
    }
}

#[test]
fn timely_lives_in_the_stage_alone() {
    assert_eq!(users_of("timely"), ["weir-stage"]);
    assert!(users_of("differential-dataflow").iter().all(|name| name == "weir-stage"));
}

#[test]
fn each_database_client_lives_in_its_connector_alone() {
    let mut users = users_of("rusqlite");
    users.retain(|name| name != "weir-sqlite" && name != "weir-e2e" && name != "weir");
    assert!(users.is_empty(), "rusqlite is named by {users:?}; only its connector, the demo's queries and tests may");
    assert_eq!(users_of("mysql_async"), ["weir-mysql"]);
    assert_eq!(users_of("redis"), ["weir-redis"]);
    // Elasticsearch's client is HTTP itself: beside the fetcher nobody else may speak it.
    let mut users = users_of("hyper");
    users.sort_unstable();
    assert_eq!(users, ["weir-elasticsearch", "weir-fetch"]);
    assert!(users_of("reqwest").is_empty() && users_of("elasticsearch").is_empty());
}

#[test]
fn the_aws_sdk_lives_in_its_crate_alone() {
    for package in packages() {
        let named: Vec<&str> = dependencies(&package).into_iter().filter(|name| name.starts_with("aws-")).collect();
        assert!(named.is_empty() || package.name == "weir-aws", "{} names {named:?}", package.name);
    }
}

#[test]
fn connectors_never_see_each_other() {
    let connectors = ["weir-sqlite", "weir-feed", "weir-mysql", "weir-redis", "weir-elasticsearch"];
    for package in packages() {
        if connectors.contains(&package.name.as_str()) {
            let seen: Vec<&str> = dependencies(&package).into_iter().filter(|d| connectors.contains(d)).collect();
            assert!(seen.is_empty(), "{} depends on {seen:?}", package.name);
        }
    }
}

#[test]
fn only_binaries_and_tests_put_the_pieces_together() {
    let composers = ["weir", "weir-e2e", "weir-sim", "weir-conformance", "weir-driver"];
    for package in packages() {
        let deps = dependencies(&package);
        let both = deps.contains(&"weir-stage") && (deps.contains(&"weir-fetch") || deps.contains(&"weir-connector"));
        assert!(!both || composers.contains(&package.name.as_str()), "{} sees the stage and the outside", package.name);
    }
}

#[test]
fn nothing_brings_openssl_aws_lc_or_rocksdb() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).expect("Cargo.lock");
    for banned in ["openssl-sys", "aws-lc-sys", "aws-lc-rs", "librocksdb-sys"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "{banned} is in Cargo.lock");
    }
}
