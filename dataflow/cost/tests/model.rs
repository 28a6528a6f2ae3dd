//! The cost model: monotone, additive, and the number that it was made for.

use proptest::prelude::*;
use weir_cost::{Architecture, Bill, Bound, Fleet, Forecast, Law, Line, Measured, PriceTable, Rates, Workload};

/// 60 requests in 60 s: the default law.
const LAW: Law = Law { hits: 60, window_ms: 60_000.0 };

fn work(pages: u64, domains: u64) -> Workload {
    Workload { pages, domains, law: Some(LAW), latency_ms: 100.0, page_bytes: 2_000.0 }
}

fn forecast(work: &Workload, fleet: &Fleet) -> Forecast {
    fleet.forecast(work, &Rates::default())
}

fn dollars(forecast: &Forecast) -> Bill {
    let table = PriceTable::built_in();
    Bill::of(&forecast.usage, table.region("us-east-1").expect("the first region"), Architecture::Arm64)
}

#[test]
fn a_million_small_pages_of_a_thousand_domains_cost_at_most_fifteen_cents() {
    let found = forecast(&work(1_000_000, 1_000), &Fleet::default());
    let bill = dollars(&found);
    assert!(bill.total() <= 0.15, "{:.4}: {:?} {found:?}", bill.total(), bill.lines);
    assert_eq!(found.bound, Bound::Law);
    assert_eq!(found.message_releases, 200.0, "messages are full");
    let other = dollars(&forecast(&work(1_000_000, 1), &Fleet::default()));
    assert_eq!(other.dominant(), Line::Stages, "one domain keeps a stage waiting for eleven days");
    assert!(other.total() > 20.0 * bill.total());
}

#[test]
fn what_a_job_used_costs_what_its_forecast_said() {
    let (fleet, rates) = (Fleet::default(), Rates::default());
    let found = forecast(&work(1_000_000, 1_000), &fleet);
    let messages = found.usage.invocations;
    let measured = Measured {
        function_mb_ms: (messages * found.message_ms * fleet.memory_mb) as u64,
        invocations: messages as u64,
        report_units: messages as u64,
        requests: 1_000_000,
        stage_ms: (found.seconds * 1000.0) as u64,
    };
    let table = PriceTable::built_in();
    let prices = table.region("us-east-1").expect("there");
    let so_far = Bill::of(&measured.usage(&fleet, &rates), prices, Architecture::Arm64).total();
    let before = dollars(&found).total();
    assert!((so_far / before - 1.0).abs() < 0.2, "{so_far} after, {before} before");
}

#[test]
fn a_table_is_read_or_refused_with_the_place_of_its_mistake() {
    let text = include_str!("../../../infra/prices.toml");
    let read = |text: &str| PriceTable::parse(text, "mine.toml").map_err(|error| error.to_string());
    let table = read(text).expect("the table that is built in");
    assert_eq!(table.date.len(), 10, "{}", table.date);
    for region in ["us-east-1", "eu-west-1", "eu-central-1"] {
        table.region(region).expect(region);
    }
    let error = table.region("mars-1").expect_err("no such region").to_string();
    assert!(error.contains("eu-west-1") && error.contains("--prices"), "{error}");
    for (from, to, told) in [
        ("sqs.million_requests = 0.40", "sqs.million_requests = \"0.40\"", "expected"),
        ("sqs.million_requests = 0.40", "sqs.million_request = 0.40", "million_request"),
        ("sqs.million_requests = 0.40", "", "sqs"),
        ("sqs.million_requests = 0.40", "sqs.million_requests = -1.0", "sqs.million_requests = -1"),
        ("sqs.million_requests = 0.40", "sqs.million_requests = nan", "number of dollars"),
        ("currency = \"USD\"", "currency = \"EUR\"", "USD"),
        ("date = 2026-11-21", "date = 10:00:00", "2026-11-21"),
        ("date = 2026-11-21", "date = ", "mine.toml:4"),
    ] {
        let error = read(&text.replacen(from, to, 1)).expect_err(to);
        assert!(error.starts_with("mine.toml") && error.contains(told), "{to}: {error}");
    }
}

prop_compose! {
    fn any_work()(
        pages in 0u64..10_000_000,
        domains in 1u64..100_000,
        hits in 1u32..1_000,
        window_ms in 100.0f64..600_000.0,
        limited: bool,
        latency_ms in 0.0f64..20_000.0,
        page_bytes in 0.0f64..1e6,
    ) -> Workload {
        let law = limited.then_some(Law { hits, window_ms });
        Workload { pages, domains, law, latency_ms, page_bytes }
    }
}

prop_compose! {
    fn any_fleet()(
        memory_mb in 128.0f64..10_240.0,
        functions_max in 2.0f64..1_000.0,
        stages in 1u32..64,
        message_releases_max in 1.0f64..200.0,
    ) -> Fleet {
        Fleet { memory_mb, functions_max, stages: f64::from(stages), message_releases_max, ..Fleet::default() }
    }
}

/// Not less, but for rounding.
fn at_least(more: f64, less: f64) -> bool {
    more >= less * (1.0 - 1e-9)
}

proptest! {
    #[test]
    fn lines_add_up_and_none_is_negative(work in any_work(), fleet in any_fleet()) {
        let found = forecast(&work, &fleet);
        let bill = dollars(&found);
        prop_assert!(bill.lines.iter().all(|(_, dollars)| dollars.is_finite() && *dollars >= 0.0), "{bill:?}");
        let sum: f64 = bill.lines.iter().map(|(_, dollars)| dollars).sum();
        prop_assert!((sum - bill.total()).abs() <= 1e-12 * sum);
        prop_assert!(bill.lines.iter().any(|(line, _)| *line == bill.dominant()));
        prop_assert!(found.seconds > 0.0 && found.waiting_ms <= found.message_ms);
        prop_assert!((0.0..=1.0).contains(&found.new_connections));
    }

    #[test]
    fn more_pages_longer_answers_and_larger_pages_never_cost_less(
        work in any_work(), fleet in any_fleet(), times in 1u64..10, ms in 0.0f64..5_000.0, bytes in 0.0f64..1e6,
    ) {
        let base = forecast(&work, &fleet);
        for more in [
            Workload { pages: work.pages * times, ..work },
            Workload { latency_ms: work.latency_ms + ms, ..work },
            Workload { page_bytes: work.page_bytes + bytes, ..work },
        ] {
            let found = forecast(&more, &fleet);
            prop_assert!(at_least(dollars(&found).total(), dollars(&base).total()), "{base:?} {found:?}");
            prop_assert!(at_least(found.seconds, base.seconds));
        }
    }

    #[test]
    fn more_domains_functions_and_stages_are_never_slower(
        work in any_work(), fleet in any_fleet(), domains in 0u64..10_000, functions in 0.0f64..100.0, stages in 0u32..8,
    ) {
        let base = forecast(&work, &fleet);
        for (work, fleet) in [
            (Workload { domains: work.domains + domains, ..work }, fleet),
            (work, Fleet { functions_max: fleet.functions_max + functions, ..fleet }),
            (work, Fleet { stages: fleet.stages + f64::from(stages), ..fleet }),
        ] {
            prop_assert!(at_least(base.seconds, forecast(&work, &fleet).seconds));
        }
    }

    #[test]
    fn more_of_anything_that_was_counted_never_costs_less(
        counted in (0u64..1 << 40, 0u64..1 << 30, 0u64..1 << 30, 0u64..1 << 30, 0u64..1 << 40),
        added in (0u64..1 << 40, 0u64..1 << 30, 0u64..1 << 30, 0u64..1 << 30, 0u64..1 << 40),
    ) {
        let table = PriceTable::built_in();
        let prices = table.region("eu-central-1").expect("there");
        let cost = |measured: Measured| {
            Bill::of(&measured.usage(&Fleet::default(), &Rates::default()), prices, Architecture::X86_64).total()
        };
        let one = Measured {
            function_mb_ms: counted.0, invocations: counted.1, report_units: counted.2, requests: counted.3, stage_ms: counted.4,
        };
        let more = Measured {
            function_mb_ms: counted.0 + added.0, invocations: counted.1 + added.1, report_units: counted.2 + added.2,
            requests: counted.3 + added.3, stage_ms: counted.4 + added.4,
        };
        prop_assert!(at_least(cost(more), cost(one)));
    }
}
