//! How long servers live: through kills and restarts, and never longer than whoever started them.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use weir_services::{Kind, Service, within};

const SOON: Duration = Duration::from_secs(20);

fn ask(port: u16, question: &str) -> Result<String> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_read_timeout(Some(SOON))?;
    server.write_all(question.as_bytes())?;
    let mut answer = [0; 4096];
    let length = server.read(&mut answer)?;
    ensure!(length > 0, "no answer");
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn http(port: u16, request: &str, body: &str) -> Result<String> {
    let length = body.len();
    ask(
        port,
        &format!(
            "{request} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn mysql(service: &Service, statement: &str) -> Result<String> {
    let port = service.port().to_string();
    let output = Command::new("mariadb")
        .args([
            "--no-defaults",
            "--protocol=tcp",
            "-h127.0.0.1",
            "-uweir",
            "-pweir",
            "-P",
            &port,
            "weir",
            "-Ne",
            statement,
        ])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[test]
fn redis_keeps_an_acknowledged_write_through_a_kill() {
    let mut redis = Service::builder(Kind::Redis).start().unwrap();
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}/0", redis.port()));
    assert_eq!(ask(redis.port(), "SET weir dam\r\n").unwrap(), "+OK\r\n");
    redis.kill9().unwrap();
    assert!(closed(redis.port()));
    redis.restart().unwrap();
    assert_eq!(ask(redis.port(), "GET weir\r\n").unwrap(), "$3\r\ndam\r\n");
}

#[test]
fn mariadb_keeps_a_commit_through_a_kill() {
    let mut mariadb = Service::builder(Kind::MariaDb).option("--max-allowed-packet=1M").start().unwrap();
    mysql(&mariadb, "create table t (a varchar(9)); insert into t values ('äö')").unwrap();
    mariadb.kill9().unwrap();
    assert!(closed(mariadb.port()));
    mariadb.restart().unwrap();
    assert_eq!(mysql(&mariadb, "select a, @@max_allowed_packet from t").unwrap(), "äö\t1048576");
}

#[test]
fn elasticsearch_keeps_an_acknowledged_document_through_a_kill() {
    let mut node = Service::builder(Kind::Elasticsearch).variable("ES_HEAP", "256m").start().unwrap();
    let made = http(node.port(), "PUT /towns/_create/1", r#"{"name":"Weir"}"#).unwrap();
    assert!(made.contains("201"), "{made}");
    node.kill9().unwrap();
    assert!(closed(node.port()));
    node.restart().unwrap();
    let found = http(node.port(), "GET /towns/_doc/1", "").unwrap();
    assert!(found.contains("Weir"), "{found}");
}

#[test]
fn ftp_serves_its_folder() {
    let ftp = Service::builder(Kind::Ftp).start().unwrap();
    let greeting = ask(ftp.port(), "USER weir\r\n").unwrap();
    assert!(greeting.starts_with("220"), "{greeting}");
    assert!(ftp.folder().unwrap().join("files").is_dir());
}

#[test]
fn aws_keeps_its_queues_through_a_polite_stop() {
    let mut aws = Service::builder(Kind::Aws).start().unwrap();
    let create = "POST /?Action=CreateQueue&QueueName=weir-test";
    assert!(http(aws.port(), create, "").unwrap().contains("200"));
    aws.stop().unwrap();
    assert!(closed(aws.port()));
    aws.restart().unwrap();
    let found = http(aws.port(), "POST /?Action=GetQueueUrl&QueueName=weir-test", "").unwrap();
    assert!(found.contains("200"), "{found}");
    assert!(aws.settings().contains(&("AWS_ENDPOINT_URL", aws.url().to_owned())));
}

#[test]
fn dropped_server_is_gone_with_its_folder_also_after_a_panic() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let redis = Service::builder(Kind::Redis).start().unwrap();
        sender.send((redis.port(), redis.folder().unwrap().to_owned())).unwrap();
        panic!("on purpose: the test watches what is left behind");
    });
    assert!(panicked.join().is_err());
    let (port, folder) = receiver.recv().unwrap();
    assert!(closed(port));
    assert!(!folder.exists());
}

#[test]
fn failing_server_shows_the_end_of_its_log() {
    let problem = Service::builder(Kind::Redis).option("--no-such-option").option("1").start().unwrap_err().to_string();
    assert!(problem.contains("ended before it was ready") && problem.contains("no-such-option"), "{problem}");
}

/// What the next test runs in a process of its own; by itself it does nothing.
#[test]
fn child_that_shares_a_redis() {
    if std::env::var_os("WEIR_SERVICES_CHILD").is_none() {
        return;
    }
    let redis = Service::shared_redis().unwrap();
    assert_eq!(redis.port(), Service::shared_redis().unwrap().port());
    println!("shared {} {}", redis.port(), redis.folder().unwrap().display());
    std::io::stdin().read_to_string(&mut String::new()).unwrap(); // ends when the parent wants it
}

/// The child, its standard output (to be held: a closed one fails it), and its server's port and folder.
fn shared_in_a_child() -> Result<(Child, impl Read, u16, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "child_that_shares_a_redis", "--nocapture"])
        .env("WEIR_SERVICES_CHILD", "1")
        .env_remove("WEIR_TEST_REDIS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = std::io::BufReader::new(child.stdout.take().context("it is piped")?);
    let mut line = String::new();
    while !line.contains("shared ") {
        line.clear();
        ensure!(std::io::BufRead::read_line(&mut output, &mut line)? > 0, "the child ended early");
    }
    let words = line.trim().split("shared ").nth(1).context("no line")?.to_owned();
    let (port, folder) = words.split_once(' ').context("no folder")?;
    Ok((child, output, port.parse()?, folder.to_owned()))
}

#[test]
fn shared_server_ends_with_the_process_that_shares_it() {
    let (mut child, _output, port, folder) = shared_in_a_child().unwrap();
    assert!(!closed(port));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    within(SOON, || (closed(port) && !Path::new(&folder).exists()).then_some(()))
        .expect("the server outlived the process");
}

#[test]
fn shared_server_ends_when_the_process_is_killed() {
    let (mut child, _output, port, folder) = shared_in_a_child().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    within(SOON, || (closed(port) && !Path::new(&folder).exists()).then_some(()))
        .expect("the server outlived the process");
}
