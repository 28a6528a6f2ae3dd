//! The real function binary: by itself up to its first poll, and run by the emulator from a real queue. Needs the feature `lambda`;
//! `WEIR_FUNCTION_BINARY` names another build than the one of this test.
#![cfg(feature = "lambda")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpListener;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use weir_aws::Aws;
use weir_model::json::{FetchEnvelope, FetchRules, JobRef, QueueMessage, ReportBatch};
use weir_model::{
    ContentHash, FetchMessage, FetchOutcome, JobId, MessageId, Release, ReleaseId, Report, Request, TargetId, Tick,
};
use weir_queue::{ArtifactStore, MessageQueue};
use weir_services::Service;

const SPIDER: &str = "name = \"t\"\nallowed_domains = [\"*\"]\nstart = [\"http://localhost/\"]\nstart_parse = \"page\"\n\
    [item.page.fields]\ntitle = { css = \"title::text\" }\n";

/// The emulator's command line, beside the emulator.
struct Cli<'a> {
    emulator: &'a Service,
}

impl Cli<'_> {
    fn run(&self, args: &[&str]) -> String {
        let home = std::env::var("WEIR_SERVICES_HOME").unwrap_or_else(|_| {
            let cache = std::env::var("XDG_CACHE_HOME");
            let cache = cache.or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")));
            format!("{}/weir-services", cache.expect("a home folder"))
        });
        let mut command = Command::new(format!("{home}/aws-local/bin/aws"));
        command
            .envs(self.emulator.settings())
            .args(["--endpoint-url", self.emulator.url(), "--output", "text"])
            .args(args);
        let output = command.output().expect("the command line runs");
        assert!(output.status.success(), "aws {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn queue(&self, name: &str, attributes: &str) -> String {
        let named = ["sqs", "create-queue", "--queue-name", name, "--attributes", attributes, "--query", "QueueUrl"];
        self.run(&named)
    }
}

fn binary() -> String {
    std::env::var("WEIR_FUNCTION_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir-fetch-parse").into())
}

/// A process that ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A page for every request, and the paths that were asked for.
fn site() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
                while let Some(Ok(line)) = lines.next() {
                    if let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) {
                        log.lock().expect("no panic").push(path.to_owned());
                    }
                    if line.is_empty() {
                        let page = "<title>A flat</title>";
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
                        if write!(stream, "{head}: {}\r\n\r\n{page}", page.len()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, seen)
}

fn envelope(id: u64, reports_queue: &str, port: u16, count: u64) -> String {
    let release = |n: u64| Release {
        id: ReleaseId(id * 1000 + n),
        job: JobId(1),
        not_before: Tick(0),
        not_after: Tick::NEVER,
        request: Request {
            url: format!("http://localhost:{port}/{id}/{n}").into(),
            target: TargetId::START,
            ..Request::default()
        },
    };
    let spider = ContentHash::of(SPIDER.as_bytes());
    let job = JobRef { job: JobId(1), spider, args: BTreeMap::new(), fetch: FetchRules::default() };
    let message = FetchMessage { id: MessageId(id), releases: (0..count).map(release).collect() };
    let (stage, reports_queue) = ("stage-0.test".into(), reports_queue.to_owned());
    FetchEnvelope { stage, reports_queue, jobs: vec![job], message }.to_json()
}

async fn receive(queue: &dyn MessageQueue, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..60 {
        let received = queue.receive(10, Duration::from_secs(1)).await.expect("received");
        let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
        assert!(queue.settle(&receipts).await.iter().all(Result::is_ok));
        bodies.extend(received.into_iter().map(|message| message.body.expect("a body")));
        if enough(&bodies) {
            return bodies;
        }
    }
    panic!("not enough came: {bodies:?}");
}

fn reports_of(bodies: &[String]) -> Vec<Report> {
    bodies.iter().flat_map(|body| ReportBatch::from_json(body).expect("reports").reports).collect()
}

/// What a cold start waits for: `tests/bench/function.py` measures how long it takes.
#[test]
fn the_function_polls_before_it_asks_aws_for_anything_or_reads_a_certificate() {
    let [runtime, services] = ["127.0.0.1:0"; 2].map(|any| TcpListener::bind(any).expect("a port"));
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a folder");
    // Whoever reads certificates from a pipe that nobody fills, waits for ever.
    let roots = folder.path().join("roots.pem");
    assert!(Command::new("mkfifo").arg(&roots).status().expect("mkfifo runs").success());
    let function = Command::new(binary())
        .env_clear()
        .envs([("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .envs([("AWS_LAMBDA_FUNCTION_NAME", "fetch"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")])
        .envs([("AWS_LAMBDA_FUNCTION_VERSION", "1"), ("WEIR_BUCKET", "bucket"), ("WEIR_CLAIM_TABLE", "claims")])
        .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", port(&runtime)))
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", port(&services)))
        .env("SSL_CERT_FILE", &roots)
        .spawn();
    let _function = Killed(function.expect("the function starts"));
    let (heard, polled) = mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = runtime.accept().expect("the function connects");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a request");
        // The connection stays open, as the runtime's does until there is work.
        let _ = heard.send((line, stream));
    });
    let (line, _stream) = polled.recv_timeout(Duration::from_secs(30)).expect("the function polls");
    assert_eq!(line.trim_end(), "GET /2018-06-01/runtime/invocation/next HTTP/1.1");
    services.set_nonblocking(true).expect("a listener");
    let asked = services.accept().expect_err("nobody asks the services before there is work");
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_fetches_each_release_once_and_what_it_cannot_read_is_dead_lettered() {
    let emulator = Service::shared_aws().expect("the emulator starts");
    let (cli, aws) = (Cli { emulator }, Aws::at(emulator.url(), "eu-central-1"));
    let (port, seen) = site();
    let name = |what: &str| format!("deployed-{what}-{}", std::process::id());
    let reports = cli.queue(&name("reports"), "VisibilityTimeout=60");
    let dead = cli.queue(&name("dead"), "VisibilityTimeout=60");
    let redrive = format!(
        r#"{{"VisibilityTimeout":"2","RedrivePolicy":"{{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-central-1:000000000000:{}\",\"maxReceiveCount\":\"2\"}}"}}"#,
        name("dead")
    );
    let fetch = cli.queue(&name("fetch"), &redrive);
    cli.run(&[
        "s3api",
        "create-bucket",
        "--bucket",
        &name("bucket"),
        "--create-bucket-configuration",
        "LocationConstraint=eu-central-1",
    ]);
    let bucket = aws.bucket(&name("bucket"));
    bucket.put_new(&ContentHash::of(SPIDER.as_bytes()).spider_key(), SPIDER.into()).await.expect("stored");
    let table = name("claims");
    cli.run(&[
        "dynamodb",
        "create-table",
        "--table-name",
        &table,
        "--billing-mode",
        "PAY_PER_REQUEST",
        "--attribute-definitions",
        "AttributeName=id,AttributeType=S",
        "--key-schema",
        "AttributeName=id,KeyType=HASH",
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let package = folder.path().join("function.zip");
    let binary = binary();
    let zip = "import sys,zipfile\nz=zipfile.ZipFile(sys.argv[2],'w',zipfile.ZIP_DEFLATED,compresslevel=1)\n\
        i=zipfile.ZipInfo('bootstrap')\ni.external_attr=0o755<<16\ni.compress_type=zipfile.ZIP_DEFLATED\n\
        z.writestr(i,open(sys.argv[1],'rb').read())\nz.close()\n";
    let zipped = Command::new("python3").args(["-c", zip, &binary]).arg(&package).status().expect("python3 runs");
    assert!(zipped.success());
    cli.run(&[
        "lambda",
        "create-function",
        "--function-name",
        &name("function"),
        "--runtime",
        "provided.al2023",
        "--handler",
        "bootstrap",
        "--role",
        "arn:aws:iam::000000000000:role/fetch",
        "--timeout",
        "30",
        "--memory-size",
        "128",
        "--zip-file",
        &format!("fileb://{}", package.display()),
        "--environment",
        &format!("Variables={{WEIR_BUCKET={},WEIR_CLAIM_TABLE={table},WEIR_ALLOW_HOSTS=loopback}}", name("bucket")),
    ]);
    let queue = aws.queue(&fetch);
    let (one, two) = (envelope(1, &reports, port, 40), envelope(2, &reports, port, 3));
    let bodies = [one.clone(), "no JSON".to_owned(), two, one];
    assert!(queue.send(&bodies).await.iter().all(Result::is_ok));
    cli.run(&[
        "lambda",
        "create-event-source-mapping",
        "--function-name",
        &name("function"),
        "--event-source-arn",
        &format!("arn:aws:sqs:eu-central-1:000000000000:{}", name("fetch")),
        "--batch-size",
        "10",
        "--function-response-types",
        "ReportBatchItemFailures",
    ]);
    let got = receive(&aws.queue(&reports), |bodies| reports_of(bodies).len() >= 43).await;
    let got = reports_of(&got);
    assert!(
        got.iter().all(|report| report.outcome == FetchOutcome::Response { status: 200 } && report.items.len() == 1)
    );
    let releases: BTreeSet<u64> = got.iter().map(|report| report.release.0).collect();
    assert_eq!((got.len(), releases.len()), (43, 43), "each release once, though its message came twice");
    let left = receive(&aws.queue(&dead), |bodies| !bodies.is_empty()).await;
    assert_eq!(left, ["no JSON"], "what cannot be read fails, and only that");
    // The copy was delivered long ago when the unreadable one has been tried twice.
    assert_eq!(seen.lock().expect("no panic").len(), 43);
}
