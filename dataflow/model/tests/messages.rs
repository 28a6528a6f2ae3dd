//! Messages as they stand in a queue: each kind has a golden file that is written and read exactly, and nothing that cannot be
//! read goes by in silence. `WEIR_GOLDEN=write` writes the files anew: look at the difference before you commit it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use weir_model::json::{
    Control, ControlMessage, FetchEnvelope, FetchRules, ForwardMessage, ForwardOffer, ForwardSource, JobHeader, JobRef,
    MessageError, QueueMessage, ReportBatch, ShardMessage, ShardStart, Spent, StageMessage, TallyMessage,
    TicketMessage, shard_range,
};
use weir_model::*;

fn golden<M: QueueMessage + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).join(format!("{name}.json"));
    let text = message.to_json();
    if std::env::var_os("WEIR_GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, format!("{text}\n")).expect("golden/ can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(text, golden.trim_end(), "{name}: what is written differs from {}", path.display());
    assert_eq!(M::from_json(&golden).expect("the golden file is read"), *message, "{name}: what is read differs");
}

fn extra() -> Box<LinkExtra> {
    let carry: Carry = serde_json::from_str(r#"{"area":"Manchester","rooms":[1,2.5,null]}"#).expect("JSON");
    Box::new(LinkExtra {
        method: Method::Post,
        body: Some(b"q=\xc2\xa3&page=2".as_slice().into()),
        headers: vec![("X-Requested-With".into(), "XMLHttpRequest".into())],
        carry: Some(Box::new(carry)),
    })
}

fn links() -> LinkBatch {
    let mut links = LinkBatch::default();
    links.push("http://localhost:9312/properties/property_000000.html", TargetId(1), 0);
    links.push("http://localhost:9312/properties/property_000001.html", TargetId(1), 0);
    links.push_extra("http://localhost:9312/search", TargetId(2), 5, Some(extra()));
    links.push("http://localhost:9312/properties/index_00001.html", TargetId(0), -1);
    links
}

fn header() -> JobHeader {
    JobHeader {
        job: JobId(7),
        spider: "properties".into(),
        hash: ContentHash::of(b"name = \"properties\""),
        args: BTreeMap::from([("base".into(), "http://localhost:9312".into())]),
        settings: BTreeMap::from([("depth_max".into(), "3".into())]),
        opened_at: UnixMs(1_795_000_000_000),
    }
}

fn fetch() -> FetchEnvelope {
    let page = Request {
        url: "http://localhost:9312/properties/property_000000.html".into(),
        target: TargetId(1),
        depth: 2,
        referer: Some("http://localhost:9312/properties/index_00000.html".into()),
        ..Request::default()
    };
    let release = |id, request| Release {
        id: ReleaseId(id),
        job: JobId(7),
        not_before: Tick(1_795_000_000_000_000),
        not_after: Tick(1_795_000_000_900_000),
        request,
    };
    let robots = Request {
        url: "http://shop.localhost:9312/robots.txt".into(),
        kind: RequestKind::Robots,
        redirects: 1,
        attempts: 2,
        priority: -3,
        first_url: Some("http://localhost:9312/robots.txt".into()),
        ..Request::default()
    };
    let post = Request { url: "http://localhost:9312/search".into(), extra: Some(extra()), ..Request::default() };
    let whenever = Release { not_before: Tick(0), not_after: Tick::NEVER, ..release(u64::MAX, post) };
    FetchEnvelope {
        stage: "stage-0.5f2a".into(),
        reports_queue: "http://127.0.0.1:4566/000000000000/weir-reports-0".into(),
        jobs: vec![JobRef {
            job: JobId(7),
            spider: header().hash,
            args: header().args,
            fetch: FetchRules {
                user_agent: Some("weir (+https://example.com)".into()),
                total_timeout_ms: Some(30_000),
                ..FetchRules::default()
            },
        }],
        message: FetchMessage { id: MessageId(42), releases: vec![release(64, page), release(65, robots), whenever] },
    }
}

fn item() -> Item {
    let nested = serde_json::from_str(r#"{"b":1,"a":[true,18446744073709551615,1e300]}"#).expect("JSON");
    Item {
        job: JobId(7),
        schema: 1,
        id: ItemId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        hash: u64::MAX,
        version: 1_795_000_000_100_000,
        values: vec![
            Value::Null,
            Value::Str("Better \"price\"\n £334.39pw \u{fffe}\u{1}".into()),
            Value::Int(i64::MIN),
            Value::Float(334.0),
            Value::Float(0.1 + 0.2),
            Value::Bool(true),
            Value::Datetime(1_795_000_000_000),
            Value::Geo { lat: 51.5, lon: -0.25 },
            Value::List(vec![Value::Str("/images/i00.jpg".into()), Value::Null, Value::List(vec![])]),
            Value::Json(Box::new(nested)),
        ],
    }
}

fn report(release: u64, outcome: FetchOutcome) -> Report {
    Report {
        release: ReleaseId(release),
        outcome,
        started_at: Tick(1_795_000_000_100_000),
        answered_at: Tick(1_795_000_000_150_000),
        ended_at: Tick(1_795_000_000_151_000),
        wire_bytes: 2_000,
        body_bytes: 2_222,
        items: Vec::new(),
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
}

fn reports() -> ReportBatch {
    let mut page = report(64, FetchOutcome::Response { status: 200 });
    page.items = vec![item()];
    page.links = links();
    page.notes = vec![ExtractionNote { counter: "property/price/not_a_float".into(), count: 2, example: "POA".into() }];
    let unsent = Report {
        started_at: Tick(0),
        answered_at: Tick(0),
        wire_bytes: 0,
        body_bytes: 0,
        ..report(70, FetchOutcome::Unfetched { reason: "the function's deadline is near".into() })
    };
    let location = "http://localhost:9312/dynamic/error".into();
    let failed = |written| FetchOutcome::Failed { class: FailureClass::Connect, reason: "refused".into(), written };
    let robots = |body: &[u8]| FetchOutcome::Robots { status: 200, body: body.into() };
    ReportBatch {
        stage: "stage-0.5f2a".into(),
        reports: vec![
            page,
            report(65, FetchOutcome::Redirect { status: 302, location }),
            report(66, robots(b"User-agent: *\nDisallow: /private\n")),
            report(67, robots(b"\xff\xfe bytes")),
            report(68, failed(true)),
            report(69, FetchOutcome::Unreadable { status: 200, reason: "no JSON".into() }),
            unsent,
            report(71, failed(false)),
        ],
        spent: vec![Spent { job: JobId(7), us: 412_000, memory_mb: 256, invocations: 1 }],
    }
}

fn forward() -> ForwardMessage {
    let offer = ForwardOffer {
        depth: 3,
        referer: Some("http://a.localhost/".into()),
        redirects: 1,
        first_url: Some("http://b.localhost/".into()),
        kind: RequestKind::Page,
        source: ForwardSource::Redirect,
        links: links(),
    };
    ForwardMessage { header: header(), from: 0, to: 1, id: 12, offers: vec![offer, ForwardOffer::default()] }
}

fn tally() -> TallyMessage {
    TallyMessage {
        ended: None,
        job: JobId(7),
        from: 1,
        round: 3,
        idle: true,
        shards: vec![0, 2],
        sent: BTreeMap::from([(0, 10)]),
        received: BTreeMap::from([(0, 4)]),
    }
}

#[test]
fn every_kind_is_written_and_read_as_its_golden_file_says() {
    golden("fetch", &fetch());
    golden("reports", &reports());
    let shard = ShardMessage { header: header(), shard: 3, shards: 20, start: ShardStart::Range(250..333) };
    golden("shard-range", &shard);
    golden("shard-letters", &ShardMessage { start: ShardStart::Letters(vec![3, 12]), ..shard.clone() });
    golden("shard-urls", &ShardMessage { start: ShardStart::Urls(links()), ..shard });
    golden("forward", &forward());
    golden("tally", &tally());
    let ticket = TicketMessage { key: "tickets/b06e".into(), bytes: 2_000_000, hash: header().hash };
    assert!(TicketMessage::is_ticket(&ticket.to_json()) && !TicketMessage::is_ticket(&tally().to_json()));
    golden("ticket", &ticket);
    let at = 1_795_262_399_000_000;
    let law = "hits = 30\nwindow = \"60s\"".into();
    for (name, command) in [
        ("cancel", Control::Cancel { job: JobId(7) }),
        (
            "policy",
            Control::Policy { at, file: "law.toml".into(), toml: Some("blacklist = [\"domain3.com\"]\n".into()) },
        ),
        ("policy-reset", Control::Policy { at, file: String::new(), toml: None }),
        ("throttle", Control::Throttle { at, domain: Some("domain1.com".into()), law }),
        ("blacklist", Control::Blacklist { at, add: vec!["domain3.com".into()], remove: vec![], reset: vec![] }),
        ("status", Control::Status {}),
    ] {
        golden(&format!("control-{name}"), &ControlMessage { id: "c-1".into(), command });
    }
}

#[test]
fn a_requests_queue_holds_three_kinds_and_each_is_told_apart() {
    assert_eq!(StageMessage::from_json(&forward().to_json()).unwrap(), StageMessage::Forward(forward()));
    assert_eq!(StageMessage::from_json(&tally().to_json()).unwrap(), StageMessage::Tally(tally()));
    let error = StageMessage::from_json(&fetch().to_json()).unwrap_err();
    let expected =
        "message of kind \"fetch\" where shard, forward or tally was expected: it was sent to the wrong queue";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_is_no_json_says_so_and_shows_how_it_begins() {
    let error = FetchEnvelope::from_json("hello, queue").unwrap_err().to_string();
    assert!(error.contains("line 1 column 1") && error.contains("\"hello, queue\""), "{error}");
    let error = FetchEnvelope::from_json("{\"v\":1,\"kind\":\"fetch\"").unwrap_err().to_string();
    assert!(error.contains("EOF"), "{error}");
    assert!(matches!(FetchEnvelope::from_json("[1]").unwrap_err(), MessageError::NotJson { .. }));
    assert!(matches!(FetchEnvelope::from_json("").unwrap_err(), MessageError::NotJson { .. }));
}

#[test]
fn another_version_is_refused_before_its_fields_are_looked_at() {
    let text = fetch().to_json().replacen("{\"v\":1,", "{\"v\":2,\"new\":{},", 1);
    let error = FetchEnvelope::from_json(&text).unwrap_err();
    assert_eq!(error, MessageError::Version { found: 2, expected: "fetch" });
    assert!(error.to_string().contains("one release"), "it says what to do: {error}");
}

#[test]
fn a_missing_a_wrong_and_an_unknown_field_are_named_with_their_place() {
    let told = |from: &str, to: &str| {
        let text = fetch().to_json();
        assert!(text.contains(from), "{from} is in {text}");
        FetchEnvelope::from_json(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let error = told("\"v\":1,", "");
    assert!(error.contains("\"v\" is missing"), "{error}");
    let error = told("\"id\":65,", "");
    assert!(error.contains("releases[1]") && error.contains("missing field `id`"), "{error}");
    let error = told("\"depth\":2", "\"depth\":\"two\"");
    assert!(error.contains("releases[0].depth") && error.contains("u16"), "{error}");
    let error = told("\"depth\":2", "\"dept\":2");
    assert!(error.contains("releases[0].dept") && error.contains("unknown field"), "{error}");
    let error = told("\"job\":7,\"url\"", "\"job\":8,\"url\"");
    assert!(error.contains("releases[0].job") && error.contains("job 8 is not among"), "{error}");
}

#[test]
fn many_reports_travel_compressed_and_are_whole_again() {
    let mut batch = reports();
    batch.reports = (0..300).flat_map(|_| reports().reports).collect();
    let text = batch.to_json();
    assert!(text.contains("\"packed\":\""), "compressed");
    assert_eq!(ReportBatch::from_json(&text).unwrap(), batch);
    let broken = text.replacen("\"packed\":\"H4sI", "\"packed\":\"H4sJ", 1);
    assert_ne!(broken, text);
    let error = ReportBatch::from_json(&broken).unwrap_err().to_string();
    assert!(error.contains("packed") && error.contains("gzip"), "{error}");
}

#[test]
fn a_bomb_in_a_packed_field_is_refused_without_the_memory_for_it() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    use base64::Engine;
    let bomb = base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap());
    let text = format!("{{\"v\":1,\"kind\":\"reports\",\"stage\":\"s\",\"packed\":\"{bomb}\"}}");
    let error = ReportBatch::from_json(&text).unwrap_err().to_string();
    assert!(error.contains("more than"), "{error}");
}

#[test]
fn no_character_is_written_that_a_queue_refuses() {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let mut batch = reports();
    for code in [0u32, 0x1f, 0x7f, 0xfffe, 0xffff, 0x1fffe] {
        let text = format!("a{}b", char::from_u32(code).unwrap());
        batch.reports[0].items[0].values[1] = Value::Str(text.clone().into());
        batch.stage = text;
        let json = batch.to_json();
        assert!(json.chars().all(allowed), "{code:x}");
        assert_eq!(ReportBatch::from_json(&json).unwrap(), batch);
    }
}

#[test]
fn json_that_nests_to_the_readers_limit_is_whole_again() {
    for depth in [63, 64, 65, 120] {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let nested: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut batch = reports();
        batch.reports[0].items[0].values[0] = Value::Json(Box::new(nested.clone()));
        let mut carry = Carry::new();
        carry.insert("deep".into(), nested);
        batch.reports[0].links.links[2].extra.as_mut().unwrap().carry = Some(Box::new(carry));
        assert_eq!(ReportBatch::from_json(&batch.to_json()).unwrap(), batch, "{depth} levels");
    }
}

#[test]
fn the_books_twenty_shards_begin_where_the_book_begins_them() {
    let starts: Vec<u64> = (0..20).map(|shard| shard_range(1_667, shard, 20).start).collect();
    assert_eq!(starts[..4], [0, 83, 166, 250]);
    assert_eq!(starts[19], 1_583);
    assert_eq!(shard_range(1_667, 19, 20).end, 1_667);
    assert_eq!((0..7).map(|shard| shard_range(3, shard, 7)).map(|range| range.end - range.start).sum::<u64>(), 3);
}

proptest::proptest! {
    #[test]
    fn floats_and_texts_survive_to_the_last_bit(number: f64, text: String, whole: i64) {
        let mut batch = reports();
        let values = vec![Value::Float(number), Value::Str(text.into()), Value::Int(whole)];
        proptest::prop_assume!(number.is_finite());
        batch.reports[0].items[0].values = values;
        proptest::prop_assert_eq!(ReportBatch::from_json(&batch.to_json()).unwrap(), batch);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text: String, cut in 0usize..2_000) {
        let _ = FetchEnvelope::from_json(&text);
        let whole = reports().to_json();
        let end = cut.min(whole.len());
        if whole.is_char_boundary(end) && end < whole.len() {
            proptest::prop_assert!(ReportBatch::from_json(&whole[..end]).is_err());
        }
    }
}
