//! The price table says for every region and architecture everything that the cost model multiplies.

use std::path::Path;
use toml::{Table, Value};

fn price(region: &Table, path: &str) -> f64 {
    let mut value = &Value::Table(region.clone());
    for key in path.split('.') {
        value = value.get(key).unwrap_or_else(|| panic!("no {path}"));
    }
    value.as_float().unwrap_or_else(|| panic!("{path} = {value} is no price"))
}

#[test]
fn every_region_has_every_price_and_the_table_says_since_when_and_by_whom() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/prices.toml");
    let table: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    assert_eq!(table["currency"].as_str(), Some("USD"));
    assert!(table["date"].as_datetime().is_some());
    let regions = table["region"].as_table().unwrap();
    assert!(regions.contains_key("us-east-1"), "the region that others are compared with");
    for (name, region) in regions {
        let region = region.as_table().unwrap();
        for service in region["confirmed"].as_array().unwrap() {
            assert!(region.contains_key(service.as_str().unwrap()), "{name} {service}");
        }
        for architecture in ["x86_64", "arm64"] {
            for what in ["lambda.{}.gb_second", "fargate.{}.vcpu_hour", "fargate.{}.gb_hour"] {
                assert!(price(region, &what.replace("{}", architecture)) > 0.0);
            }
        }
        assert!(price(region, "lambda.arm64.gb_second") < price(region, "lambda.x86_64.gb_second"), "{name}");
        for what in [
            "lambda.million_requests",
            "sqs.million_requests",
            "s3.thousand_puts",
            "s3.thousand_gets",
            "s3.gb_month",
            "dynamodb.million_writes",
            "efs.gb_month",
            "efs.gb_written",
            "efs.gb_read",
            "logs.gb_ingested",
            "logs.metric_month",
            "network.gb_out",
            "network.ipv4_hour",
        ] {
            assert!(price(region, what) > 0.0, "{name} {what}");
        }
    }
    for service in ["lambda", "sqs", "s3", "dynamodb", "fargate", "efs", "logs", "network"] {
        assert!(table["source"][service].as_str().is_some_and(|title| title.contains("ricing")), "{service}");
    }
}
