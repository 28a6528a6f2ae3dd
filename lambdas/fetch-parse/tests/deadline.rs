//! A function that must end: each release still has one report, and what was not sent costs nothing. The same when weir panics.

#[path = "../../fetch/tests/common/mod.rs"]
mod common;

use common::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_fetch_parse::{Deadline, Handler, ReportSink, SpiderSource};
use weir_model::{Clock, FailureClass, FetchMessage, FetchOutcome, JobId, MessageId, ReleaseId, Report, Tick};
use weir_spider::Spider;

/// Knows no spider; asked for job 2 it panics.
struct Panics;

impl SpiderSource for Panics {
    fn spider(&self, job: JobId) -> Option<Arc<Spider>> {
        assert_ne!(job, JobId(2), "as a mistake of ours would");
        None
    }
}

#[derive(Default)]
struct Collected(RefCell<Vec<Report>>);

impl ReportSink for Collected {
    fn report(&self, report: Report) {
        self.0.borrow_mut().push(report);
    }
}

fn handler_on(clock: Arc<dyn Clock>) -> Rc<Handler> {
    Rc::new(Handler::new(fetcher_on(settings(), clock), Box::new(Panics), "this-machine".into()))
}

#[test]
fn at_the_deadline_every_release_is_reported_and_no_request_goes_on() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while let Some(request) = peer.request().await {
                if request.starts_with("GET /hangs") {
                    return std::future::pending().await;
                }
                peer.answer("404 Not Found", "", "").await;
            }
        })
        .await;
        let clock = RuntimeClock::start();
        let after = |seconds| clock.now().after(Duration::from_secs(seconds));
        let mut releases: Vec<_> = ["/answers", "/hangs", "/too-late"].map(|path| release(&server.url(path))).into();
        for (number, release) in releases.iter_mut().enumerate() {
            release.id = ReleaseId(number as u64);
        }
        releases[2].not_before = after(7);
        let (deadline, ends_at) = (Deadline { send_until: after(5), done_until: after(10) }, after(10));
        let collected = Collected::default();
        let message = FetchMessage { id: MessageId(1), releases };
        handler_on(clock.clone()).handle_until(message, deadline, &collected).await;
        assert!(clock.now().since(ends_at) < Duration::from_secs(1), "it ended in time");
        let mut reports = collected.0.into_inner();
        reports.sort_by_key(|report| report.release);
        assert_eq!(reports.len(), 3);
        assert_eq!(reports[0].outcome, FetchOutcome::Response { status: 404 });
        assert!(
            matches!(reports[1].outcome, FetchOutcome::Failed { class: FailureClass::Timeout, written: true, .. }),
            "{:?}",
            reports[1]
        );
        assert!(matches!(reports[2].outcome, FetchOutcome::Unfetched { .. }), "{:?}", reports[2]);
        assert_eq!(reports[2].started_at, Tick(0), "no hit was used");
        assert_eq!(server.seen().len(), 2);
    });
}

#[test]
fn a_panic_of_ours_costs_its_own_request_and_no_other() {
    run(async {
        let server = Server::answering("200 OK", "Content-Type: text/html\r\n", "<p>page").await;
        let clock = RuntimeClock::start();
        let handler = handler_on(clock.clone());
        for _ in 0..2 {
            let mut releases: Vec<_> = (0..4).map(|_| release(&server.url("/"))).collect();
            for (number, release) in releases.iter_mut().enumerate() {
                release.id = ReleaseId(number as u64);
            }
            releases[1].job = JobId(2);
            let begun_at = clock.now();
            let collected = Collected::default();
            handler.handle(FetchMessage { id: MessageId(1), releases }, &collected).await;
            let mut reports = collected.0.into_inner();
            reports.sort_by_key(|report| report.release);
            assert_eq!(reports.iter().map(|report| report.release.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
            for report in reports {
                match report.outcome {
                    FetchOutcome::Failed { class, written, .. } => {
                        assert_eq!((report.release.0, class, written), (1, FailureClass::Protocol, true));
                        assert!(report.started_at >= begun_at, "its hit counts");
                    }
                    FetchOutcome::Unreadable { status: 200, .. } => assert_ne!(report.release.0, 1),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}
