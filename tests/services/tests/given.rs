//! Servers that the environment names. Alone in this file: the environment belongs to the whole process.

use std::process::Command;
use weir_services::Service;

/// What the next test runs in a process of its own, whose environment names a server.
#[test]
fn child_with_a_given_server() {
    if std::env::var_os("WEIR_SERVICES_CHILD").is_none() {
        return;
    }
    let mut given = Service::mariadb().unwrap();
    assert_eq!((given.url(), given.port()), ("mysql://me@db.example/shop", 3306));
    for problem in [given.kill9().unwrap_err(), given.restart().unwrap_err()] {
        let problem = problem.to_string();
        assert!(problem.contains("WEIR_TEST_MYSQL") && problem.contains("unset"), "{problem}");
    }
    let problem = format!("{:#}", Service::redis().unwrap_err());
    assert!(problem.contains("WEIR_TEST_REDIS=\"nonsense\" is no URL"), "{problem}");
}

#[test]
fn given_server_is_used_and_never_killed() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_given_server"])
        .env("WEIR_SERVICES_CHILD", "1")
        .env("WEIR_TEST_MYSQL", "mysql://me@db.example/shop")
        .env("WEIR_TEST_REDIS", "nonsense")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
