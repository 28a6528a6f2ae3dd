//! Start URLs: ranges, lists, steps, extras, shards; what hosts are allowed when the file does not say.
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

mod common;

use common::load;
use weir_model::{LinkBatch, Method, TargetId};

fn urls(start: &str) -> Vec<String> {
    let spider = load(&format!(
        "name = 't'\nstart = {start}\n[args]\nbase = 'http://h.test'\nn = 3\nodd = '{{a}}'\n[[follow]]\n"
    ));
    let starts = spider.start_urls();
    let all: Vec<_> = starts.iter().map(|start| start.url).collect();
    assert_eq!(all.len() as u64, starts.len());
    for (index, url) in all.iter().enumerate() {
        assert_eq!(starts.get(index as u64).unwrap().url, *url);
    }
    assert_eq!(starts.get(starts.len()), None);
    all
}

#[test]
fn ranges_lists_and_steps_are_expanded_with_the_last_fastest() {
    assert_eq!(urls("'http://h.test/{8..10}'"), ["http://h.test/8", "http://h.test/9", "http://h.test/10"]);
    assert_eq!(urls("['${base}/{08..10}']"), ["http://h.test/08", "http://h.test/09", "http://h.test/10"]);
    assert_eq!(urls("['${base}/{0..90..40}']"), ["http://h.test/0", "http://h.test/40", "http://h.test/80"]);
    assert_eq!(urls("['${base}/{3..1}']"), ["http://h.test/3", "http://h.test/2", "http://h.test/1"]);
    assert_eq!(
        urls("['${base}/{a,b}/{1..2}']"),
        ["http://h.test/a/1", "http://h.test/a/2", "http://h.test/b/1", "http://h.test/b/2"]
    );
    assert_eq!(urls("['${base}/{1..${n}}']"), ["http://h.test/1", "http://h.test/2", "http://h.test/3"]);
    assert_eq!(urls("['${base}/${odd}']"), ["http://h.test/{a}"]);
    assert_eq!(
        urls("['http://a.test/', 'http://b.test/{1..2}']"),
        ["http://a.test/", "http://b.test/1", "http://b.test/2"]
    );
}

#[test]
fn a_billion_start_urls_cost_nothing() {
    let spider = load("name = 't'\nstart = ['http://h.test/{000000000..999999999}']\n[[follow]]\n");
    let starts = spider.start_urls();
    assert_eq!(starts.len(), 1_000_000_000);
    assert_eq!(starts.get(123_456_789).unwrap().url, "http://h.test/123456789");
}

#[test]
fn more_urls_than_can_be_counted_are_refused() {
    let range = "{0..999999999999999999}";
    let text = format!("name = 't'\nstart = ['http://h.test/{range}/{range}']\n");
    let errors = weir_spider::Spider::load("a", &text, &[]).unwrap_err();
    assert!(errors.to_string().contains("more start URLs than can be counted"), "{errors}");
}

#[test]
fn start_requests_have_bodies_headers_and_carried_values() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/', { url = 'http://h.test/api/{1..2}', body = { a = 1 }, headers = { B = 'c' }, priority = 3, carry = { k = 'v' } }]\n\
         start_headers = { Accept = 'x', B = 'z' }\n[[follow]]\n",
    );
    let starts: Vec<_> = spider.start_urls().iter().collect();
    assert_eq!(starts.len(), 3);
    let plain = starts[0].extra.as_ref().unwrap();
    assert_eq!((plain.method, plain.headers.len(), plain.body.is_none()), (Method::Get, 2, true));
    let posted = starts[2].extra.as_ref().unwrap();
    assert_eq!((starts[2].priority, posted.method), (3, Method::Post));
    assert_eq!(posted.body.as_deref(), Some(b"{\"a\":1}".as_slice()));
    let headers: Vec<_> = posted.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers, [("Accept", "x"), ("B", "c"), ("Content-Type", "application/json")]);
    assert_eq!(posted.carry.as_ref().unwrap()["k"], "v");
}

#[test]
fn shard_is_filled_by_its_range_of_indices() {
    let spider = load("name = 't'\nstart = ['http://h.test/{0..9}', 'http://i.test/']\n[[follow]]\n");
    let mut batch = LinkBatch::default();
    spider.start_urls().fill(8..99, &mut batch);
    let urls: Vec<_> = batch.iter().map(|(url, link)| (url, link.target)).collect();
    assert_eq!(
        urls,
        [
            ("http://h.test/8", TargetId::START),
            ("http://h.test/9", TargetId::START),
            ("http://i.test/", TargetId::START)
        ]
    );
}

#[test]
fn hosts_of_the_start_urls_are_allowed_when_the_file_does_not_say() {
    let spider = load("name = 't'\nstart = ['http://A.test:81/{1..5}', 'https://{b,c}.test/']\n[[follow]]\n");
    assert_eq!(spider.allowed_domains(), ["a.test", "b.test", "c.test"]);
    let any = load("name = 't'\nallowed_domains = ['*']\nstart = ['http://a.test/']\n[[follow]]\n");
    assert!(any.allowed_domains().is_empty());
    let idn = load("name = 't'\nallowed_domains = ['Bücher.example']\nstart = ['http://a.test/']\n[[follow]]\n");
    assert_eq!(idn.allowed_domains(), ["xn--bcher-kva.example"]);
}
