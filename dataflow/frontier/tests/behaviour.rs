//! What the frontier does, one story a test.

mod world;

use weir_frontier::{FrontierConfig, JobSpec, Limits, Order};
use weir_model::{FailureClass, FetchOutcome, JobId, Reason, Release, Tick};
use world::{Answer, JOB, Laws, Rng, SECOND, World, is_robots};

fn free() -> JobSpec {
    JobSpec { obey_robots: false, ..JobSpec::default() }
}

fn world(spec: JobSpec, web: impl FnMut(&Release, &mut Rng) -> Answer + 'static) -> World {
    World::new(1, 1, FrontierConfig::default(), spec, Box::new(web))
}

fn with_law(limits: Limits, spec: JobSpec, web: impl FnMut(&Release, &mut Rng) -> Answer + 'static) -> World {
    let laws = Laws { limits: Some(limits), ..Laws::default() };
    let config = FrontierConfig { laws: std::sync::Arc::new(laws), ..FrontierConfig::default() };
    World::new(1, 1, config, spec, Box::new(web))
}

fn url(path: &str) -> String {
    format!("http://site.example/{path}")
}

#[test]
fn a_url_found_again_is_a_duplicate_even_when_written_differently() {
    let mut world = world(free(), |_, _| Answer::page(vec![url("a?y=2&x=1"), url("a?x=1&y=2"), url("a?x=1&y=2#top")]));
    world.start([url(""), url("")]);
    world.run();
    let counts = world.counts();
    assert_eq!((counts.delivered, counts.admitted), (2, 2));
    assert_eq!(counts.duplicate, counts.offered - 2);
    assert_eq!(world.arrivals.len(), 2);
}

#[test]
fn every_link_that_is_not_followed_is_counted_by_its_reason() {
    let spec = JobSpec { allowed_domains: vec!["site.example".into()], depth_max: Some(1), ..free() };
    let mut world = world(spec, |_, _| {
        let links =
            ["mailto:a@b.example", "http://other.example/", "http://sub.site.example/x", "http://site.example/y"];
        Answer::page(links.map(String::from).to_vec())
    });
    world.start([url("")]);
    world.run();
    let counts = world.counts();
    assert_eq!(counts.delivered, 3, "the start page and two pages in scope");
    assert_eq!(counts.rejected(Reason::BadUrl), 1);
    assert_eq!(counts.rejected(Reason::Offsite), 1);
    assert_eq!(counts.rejected(Reason::TooDeep), 8, "all four links of both pages at depth 1");
}

#[test]
fn a_busy_page_is_asked_three_times_in_all_with_growing_pauses() {
    let mut world = world(free(), |_, _| Answer::status(503));
    world.start([url("busy")]);
    world.run();
    let at: Vec<u64> = world.arrivals.iter().map(|arrival| arrival.at).collect();
    assert_eq!(at.len(), 3);
    assert!(at[1] - at[0] >= SECOND / 2 && at[2] - at[1] >= SECOND, "{at:?}");
    assert_eq!(world.counts().rejected(Reason::StatusRetriesExhausted), 1);
    assert_eq!((world.counts().retries, world.counts().status(503)), (2, 3));
}

#[test]
fn a_page_that_is_not_there_is_asked_once() {
    let mut world = world(free(), |_, _| Answer::status(404));
    world.start([url("gone")]);
    world.run();
    assert_eq!((world.arrivals.len(), world.counts().rejected(Reason::Status)), (1, 1));
}

#[test]
fn a_refused_connection_is_a_dead_letter_with_its_class() {
    let mut world = world(free(), |_, _| Answer::failed(FailureClass::Connect, false));
    world.start([url("")]);
    world.run();
    assert_eq!(world.counts().rejected(Reason::FailedConnect), 1);
    assert_eq!(world.counts().failures[1], 3);
}

#[test]
fn a_redirect_reenters_with_its_chain_and_a_loop_ends() {
    let mut world = world(free(), |release, _| match &*release.request.url {
        "http://site.example/a" => Answer::redirect("http://site.example/b"),
        "http://site.example/b" => {
            assert_eq!(release.request.redirects, 1);
            assert_eq!(release.request.first_url.as_deref(), Some("http://site.example/a"));
            Answer::redirect("http://site.example/a")
        }
        "http://site.example/self" => Answer::redirect("http://site.example/self"),
        _ => Answer::page(vec![]),
    });
    world.start([url("a"), url("self")]);
    world.run();
    let counts = world.counts();
    assert_eq!(counts.redirected, 2);
    assert_eq!(counts.rejected(Reason::TooManyRedirects), 2);
    assert_eq!(world.arrivals.len(), 3);
}

#[test]
fn a_chain_of_redirects_ends_after_five() {
    let mut world = world(free(), |release, _| {
        let n: u32 = release.request.url.rsplit('/').next().unwrap().parse().unwrap();
        Answer::redirect(&url(&(n + 1).to_string()))
    });
    world.start([url("0")]);
    world.run();
    assert_eq!(world.arrivals.len(), 6, "the first and five redirects");
    assert_eq!(world.counts().rejected(Reason::TooManyRedirects), 1);
}

#[test]
fn a_redirect_out_of_scope_is_named_so() {
    let spec = JobSpec { allowed_domains: vec!["site.example".into()], ..free() };
    let mut world = world(spec, |release, _| match &*release.request.url {
        "http://site.example/ftp" => Answer::redirect("ftp://site.example/x"),
        _ => Answer::redirect("http://evil.example/"),
    });
    world.start([url("out"), url("ftp")]);
    world.run();
    let counts = world.counts();
    assert_eq!((counts.rejected(Reason::OffsiteRedirect), counts.rejected(Reason::BadRedirect)), (1, 1));
    assert_eq!(counts.rejected(Reason::Offsite), 0, "that is for links");
    assert_eq!(world.arrivals.len(), 2);
}

#[test]
fn robots_txt_is_asked_first_and_obeyed() {
    let mut world = world(JobSpec::default(), |release, _| {
        if is_robots(release) {
            return Answer::robots(200, "User-agent: *\nDisallow: /private\n").after(SECOND);
        }
        Answer::page(vec![])
    });
    world.start((0..50).map(|n| url(&format!("private/{n}"))).chain((0..50).map(|n| url(&format!("open/{n}")))));
    world.run();
    assert_eq!(world.arrivals[0].url, "http://site.example/robots.txt");
    assert_eq!(world.arrived("robots.txt").len(), 1);
    assert_eq!(world.arrived("/private").len(), 0);
    assert_eq!(world.arrived("/open").len(), 50);
    assert_eq!(world.counts().rejected(Reason::Robots), 50);
    assert!(world.arrived("/open").iter().all(|arrival| arrival.at >= world.arrivals[0].at));
}

#[test]
fn each_origin_of_a_domain_has_its_own_robots_txt() {
    let mut world = world(JobSpec::default(), |release, _| match (is_robots(release), &*release.request.url) {
        (true, "http://a.site.example/robots.txt") => Answer::robots(200, "User-agent: weir\nDisallow: /"),
        (true, _) => Answer::robots(404, ""),
        _ => Answer::page(vec![]),
    });
    world.start(["http://a.site.example/1", "http://b.site.example/1", "http://b.site.example:81/1"].map(String::from));
    world.run();
    assert_eq!(world.arrived("robots.txt").len(), 3);
    assert_eq!((world.counts().delivered, world.counts().rejected(Reason::Robots)), (2, 1));
}

#[test]
fn a_robots_txt_that_answers_with_an_error_forbids_everything_after_retries() {
    let mut world = world(JobSpec::default(), |release, _| {
        assert!(is_robots(release), "nothing but robots.txt is asked");
        Answer::robots(503, "")
    });
    world.start((0..100).map(|n| url(&n.to_string())));
    world.run();
    assert_eq!(world.arrivals.len(), 3);
    assert_eq!(world.counts().rejected(Reason::Robots), 100);
}

#[test]
fn a_host_that_is_down_ends_its_urls_as_such() {
    let mut world = world(JobSpec::default(), |_, _| Answer::failed(FailureClass::Connect, false));
    world.start((0..100).map(|n| url(&n.to_string())));
    world.run();
    assert_eq!(world.counts().rejected(Reason::FailedConnect), 100);
}

#[test]
fn a_robots_txt_may_redirect_within_its_domain_and_to_another() {
    for workers in [1, 3] {
        let web = |release: &Release, _: &mut Rng| match (is_robots(release), &*release.request.url) {
            (true, "http://site.example/robots.txt") => Answer::redirect("https://site.example/robots.txt"),
            (true, "https://site.example/robots.txt") => Answer::redirect("http://elsewhere.example/r.txt"),
            (true, "http://elsewhere.example/r.txt") => Answer::redirect("http://third.example/r.txt"),
            (true, "http://third.example/r.txt") => Answer::robots(200, "User-agent: *\nDisallow: /no"),
            _ => Answer::page(vec![]),
        };
        let mut world = World::new(1, workers, FrontierConfig::default(), JobSpec::default(), Box::new(web));
        world.start([url("no"), url("yes")]);
        world.run();
        assert_eq!(world.arrived("/yes").len(), 1);
        assert_eq!(world.arrived("/no").len(), 0);
        assert_eq!(world.counts().rejected(Reason::Robots), 1);
    }
}

#[test]
fn a_robots_txt_that_redirects_for_ever_means_no_rules() {
    let mut n = 0;
    let mut world = world(JobSpec::default(), move |release, _| {
        n += 1;
        if is_robots(release) { Answer::redirect(&url(&format!("r{n}"))) } else { Answer::page(vec![]) }
    });
    world.start([url("page")]);
    world.run();
    assert_eq!((world.arrivals.len(), world.counts().delivered), (7, 1));
}

#[test]
fn a_crawl_delay_is_kept_by_arrival() {
    let mut world = world(JobSpec::default(), |release, rng| {
        if is_robots(release) {
            return Answer::robots(200, "User-agent: *\nCrawl-delay: 2");
        }
        Answer::page(vec![]).after(rng.below(500_000))
    });
    world.start((0..40).map(|n| url(&n.to_string())));
    world.run();
    let mut at: Vec<u64> = world.arrivals.iter().map(|arrival| arrival.at).collect();
    let (_, gap) = world::densest(&mut at, 1);
    assert!(gap >= 2 * SECOND, "{gap}");
    assert_eq!(world.counts().delivered, 40);
}

#[test]
fn a_robots_answer_is_believed_for_a_day() {
    let mut world =
        world(
            JobSpec::default(),
            |release, _| {
                if is_robots(release) { Answer::robots(404, "") } else { Answer::page(vec![]) }
            },
        );
    world.start([url("1")]);
    world.run();
    world.now = world.now.after_us(23 * 3600 * SECOND);
    world.start([url("2")]);
    world.run();
    assert_eq!(world.arrived("robots.txt").len(), 1);
    world.now = world.now.after_us(2 * 3600 * SECOND);
    world.start([url("3")]);
    world.run();
    assert_eq!(world.arrived("robots.txt").len(), 2);
}

#[test]
fn a_lost_lease_is_tried_again_alone_and_then_given_up() {
    let mut world =
        world(free(), |release, _| Answer { lost: release.request.url.ends_with("killer"), ..Answer::page(vec![]) });
    world.start([url("killer"), url("fine")]);
    world.run();
    let killer: Vec<bool> = world.arrived("killer").iter().map(|arrival| arrival.alone).collect();
    assert_eq!(killer, [false, true, true]);
    assert_eq!(world.counts().rejected(Reason::KilledTheFunction), 1);
    assert_eq!((world.counts().leases_lost, world.counts().delivered), (3, 1));
}

#[test]
fn a_second_report_of_a_release_is_counted_apart_and_changes_nothing() {
    let mut world = world(free(), |_, _| Answer::page(vec![]));
    world.start([url("")]);
    world.run();
    let (release, before) = (world.arrivals[0].release, world.counts());
    let report = weir_model::Report {
        release,
        outcome: FetchOutcome::Response { status: 200 },
        started_at: world.now,
        answered_at: world.now,
        ended_at: world.now,
        wire_bytes: 1,
        body_bytes: 1,
        items: vec![],
        links: weir_model::LinkBatch::default(),
        notes: vec![],
    };
    let now = world.now;
    world.workers[0].settle(now, report, &mut world.outs[0]);
    assert_eq!(world.outs[0].counters.redelivered, 1);
    assert!(world.outs[0].journal.is_empty() && world.outs[0].offers.is_empty());
    world.step();
    assert_eq!(world.counts(), before);
}

#[test]
fn what_was_not_sent_costs_no_attempt_and_no_hit() {
    let mut refusals = 10;
    let limits = Limits { hits: 2, window_us: 10 * SECOND, moderated: false };
    let mut world = with_law(limits, free(), move |release, _| {
        assert_eq!(release.request.attempts, 0);
        if refusals > 0 {
            refusals -= 1;
            return Answer::of(FetchOutcome::Unfetched { reason: "deadline".into() });
        }
        Answer::page(vec![])
    });
    let begin = world.now;
    world.start([url("a"), url("b")]);
    world.run();
    assert_eq!((world.counts().delivered, world.counts().unfetched), (2, 10));
    assert!(world.now.since(begin).as_secs() < 2, "no window was waited for");
}

#[test]
fn depth_first_takes_the_newest_and_breadth_first_the_oldest() {
    for (order, expected) in [(Order::Lifo, "4"), (Order::Fifo, "0")] {
        let spec = JobSpec { order, concurrency_per_domain: 1, ..free() };
        let mut world = world(spec, |_, _| Answer::page(vec![]));
        world.start((0..5).map(|n| url(&n.to_string())));
        world.run();
        assert_eq!(world.arrivals[0].url, url(expected));
    }
}

#[test]
fn a_domain_has_no_more_requests_under_way_than_its_job_allows() {
    let mut world = world(JobSpec { concurrency_per_domain: 3, ..free() }, |_, _| Answer::page(vec![]).after(SECOND));
    world.start((0..100).map(|n| url(&n.to_string())).chain((0..100).map(|n| format!("http://other.example/{n}"))));
    while world.advance() {
        assert!(world.live().leased <= 6, "{:?}", world.live());
    }
    assert_eq!(world.counts().delivered, 200);
}

#[test]
fn a_domain_that_must_wait_never_holds_up_another() {
    let limits = Limits { hits: 1, window_us: 60 * SECOND, moderated: true };
    let mut world = with_law(limits, free(), |_, _| Answer::page(vec![]));
    world.start((0..50).map(|n| url(&n.to_string())).chain((0..50).map(|n| format!("http://other{n}.example/"))));
    let begin = world.now;
    while world.now.since(begin).as_secs() < 1 {
        world.advance();
    }
    assert_eq!(world.arrived("other").len(), 50);
    assert_eq!(world.arrived("site.example").len(), 1);
}

#[test]
fn a_domain_keeps_its_law_after_its_queue_drains() {
    let limits = Limits { hits: 1, window_us: 10 * SECOND, moderated: true };
    let mut world = with_law(limits, free(), |_, _| Answer::page(vec![]));
    world.start([url("a")]);
    world.run();
    world.now = world.now.after_us(SECOND);
    world.start([url("b")]);
    world.run();
    assert!(world.arrivals[1].at - world.arrivals[0].at >= 10 * SECOND);
    // And it is forgotten once its past no longer matters.
    world.now = world.now.after_us(11 * SECOND);
    world.step();
    assert_eq!(world.workers[0].domains(), 0);
}

#[test]
fn a_blacklisted_domain_is_refused_by_name() {
    let laws = Laws { blacklist: vec!["site.example".into(), "bad.host.example".into()], ..Laws::default() };
    let config = FrontierConfig { laws: std::sync::Arc::new(laws), ..FrontierConfig::default() };
    let mut world = World::new(1, 1, config, free(), Box::new(|_, _| Answer::page(vec![])));
    let more = ["http://other.example/", "http://bad.host.example/", "http://good.host.example/"].map(String::from);
    world.start([url("a"), url("a")].into_iter().chain(more));
    world.run();
    let counts = world.counts();
    assert_eq!((counts.rejected(Reason::Blacklisted), counts.duplicate, counts.delivered), (2, 1, 2));
}

#[test]
fn a_page_budget_ends_a_domain_and_only_that() {
    let spec = JobSpec { pages_per_domain_max: Some(10), ..free() };
    let mut world = world(spec, |_, _| Answer::page(vec![]));
    world.start((0..30).map(|n| url(&n.to_string())).chain((0..5).map(|n| format!("http://other.example/{n}"))));
    world.run();
    assert_eq!((world.counts().delivered, world.counts().rejected(Reason::Budget)), (15, 20));
}

#[test]
fn a_closed_job_abandons_what_it_has_left() {
    let mut world = world(JobSpec::default(), |_, _| Answer::page(vec![]).after(SECOND));
    world.start((0..100).map(|n| url(&n.to_string())));
    world.advance();
    world.workers[0].close_job(JOB, true, &mut world.outs[0]);
    world.step();
    assert_eq!(world.counts().abandoned, 100);
    world.check_conservation();
    assert_eq!(world.workers[0].seen(JOB), 0);
    assert!(world.workers[0].live_chunks().is_empty());
    while world.next_instant() != Tick::NEVER {
        world.now = world.next_instant();
        world.step();
    }
}

#[test]
fn bodies_outside_the_hot_window_are_read_back() {
    let config = FrontierConfig { hot_bytes: 0, read_ahead: 8, heads_max: 16, ..FrontierConfig::default() };
    for order in [Order::Lifo, Order::Fifo] {
        let spec = JobSpec { order, ..free() };
        let mut world = World::new(1, 2, config.clone(), spec, Box::new(|_, _| Answer::page(vec![])));
        world.start((0..500).map(|n| format!("http://site{}.example/{n}", n % 7)));
        world.run();
        assert_eq!((world.counts().delivered, world.arrivals.len()), (500, 500));
        assert!(world.workers.iter().all(|frontier| frontier.live_chunks().is_empty()));
    }
}

#[test]
fn jobs_share_a_domain_in_turns_and_have_their_own_dedup() {
    let mut world = world(free(), |_, _| Answer::page(vec![]));
    let other = JobId(8);
    world.open(JobSpec { id: other, ..free() });
    world.budget = 2;
    world.start((0..40).map(|n| url(&n.to_string())));
    world.start_job(other, (0..40).map(|n| url(&n.to_string())));
    for _ in 0..10 {
        world.step();
    }
    let of = |world: &World, job| world.totals.get(job).map_or(0, |counts| counts.requests);
    assert_eq!((of(&world, JOB), of(&world, other)), (10, 10));
    world.workers[0].close_job(other, true, &mut world.outs[0]);
    world.run();
    assert_eq!(world.counts().delivered, 40);
    let closed = world.totals.get(other).cloned().unwrap_or_default();
    assert_eq!((closed.offered, closed.verdicts(), world.workers[0].seen(other)), (40, 40, 0));
    world.crash(2);
    assert_eq!(world.workers.iter().map(|frontier| frontier.seen(other)).sum::<usize>(), 0);
    assert_eq!(world.workers.iter().map(|frontier| frontier.seen(JOB)).sum::<usize>(), 40);
}

#[test]
fn a_job_waits_for_the_robots_txt_that_a_closed_job_asked_for() {
    let mut world = world(JobSpec::default(), |release, _| {
        if is_robots(release) { Answer::robots(404, "").after(SECOND) } else { Answer::page(vec![]) }
    });
    let other = JobId(8);
    world.open(JobSpec { id: other, ..JobSpec::default() });
    world.start_job(other, [url("a")]);
    world.step();
    world.start([url("b")]);
    world.step();
    world.workers[0].close_job(other, true, &mut world.outs[0]);
    world.run();
    assert_eq!((world.counts().delivered, world.arrived("robots").len()), (1, 1));
}

#[test]
fn a_page_with_items_is_pending_until_its_verdict_is_told() {
    let mut world = world(free(), |_, _| Answer::page(vec![]));
    world.start([url("listing")]);
    world.step();
    let release = world.arrivals[0].release;
    let item = weir_model::Item {
        job: JOB,
        schema: 0,
        id: weir_model::ItemId(1),
        hash: 2,
        version: 3,
        values: vec![weir_model::Value::Int(4)],
    };
    let note = weir_model::ExtractionNote { counter: "x/required/y".into(), count: 1, example: "".into() };
    let (now, mut out) = (world.now, weir_frontier::Out::default());
    let report = weir_model::Report {
        release,
        outcome: FetchOutcome::Response { status: 200 },
        started_at: now,
        answered_at: now,
        ended_at: now,
        wire_bytes: 1,
        body_bytes: 1,
        items: vec![item.clone()],
        links: weir_model::LinkBatch::default(),
        notes: vec![note],
    };
    world.workers[0].settle(now, report, &mut out);
    assert_eq!((out.pages.len(), out.pages[0].notes.len(), out.notes.len()), (1, 1, 0));
    assert_eq!(out.pages[0].items, [item]);
    let counts = out.counters.get(JOB).cloned().unwrap_or_default();
    assert_eq!((counts.pending, counts.delivered), (1, 0));
    world.workers[0].count_verdict(JOB, weir_model::Verdict::Delivered, &mut out);
    let counts = out.counters.get(JOB).cloned().unwrap_or_default();
    assert_eq!((counts.pending, counts.delivered), (0, 1));
}
