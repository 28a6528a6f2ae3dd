//! The table of list prices: read, checked, asked by region.
//!
//! Invariant: every price of a table that was read is a finite number of dollars, 0 or more, and every region has all of them.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What a function and a stage were built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Architecture {
    /// AWS's own processors.
    #[default]
    Arm64,
    /// Intel's and AMD's.
    X86_64,
}

impl Architecture {
    /// As the price table, the templates and Lambda name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86_64 => "x86_64",
        }
    }

    /// By its name: AWS's, or Rust's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Architecture> {
        match name {
            "arm64" | "aarch64" => Some(Architecture::Arm64),
            "x86_64" | "amd64" => Some(Architecture::X86_64),
            _ => None,
        }
    }
}

/// Prices of one thing by architecture.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gb {
    /// Dollars a GB-second.
    pub gb_second: f64,
}

/// Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lambda {
    /// Dollars a million invocations.
    pub million_requests: f64,
    /// On arm64.
    pub arm64: Gb,
    /// On `x86_64`.
    pub x86_64: Gb,
}

impl Lambda {
    /// Of an architecture.
    #[must_use]
    pub fn of(&self, architecture: Architecture) -> Gb {
        match architecture {
            Architecture::Arm64 => self.arm64,
            Architecture::X86_64 => self.x86_64,
        }
    }
}

/// SQS.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sqs {
    /// Dollars a million requests of up to 64 KiB.
    pub million_requests: f64,
}

/// S3.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Dollars a thousand writes.
    pub thousand_puts: f64,
    /// Dollars a thousand reads.
    pub thousand_gets: f64,
    /// Dollars a GB and month.
    pub gb_month: f64,
}

/// `DynamoDB`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamoDb {
    /// Dollars a million writes of up to 1 kB.
    pub million_writes: f64,
}

/// A processor and memory of Fargate.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Dollars a processor and hour.
    pub vcpu_hour: f64,
    /// Dollars a GB and hour.
    pub gb_hour: f64,
}

/// Fargate.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fargate {
    /// On arm64.
    pub arm64: Task,
    /// On `x86_64`.
    pub x86_64: Task,
}

impl Fargate {
    /// Of an architecture.
    #[must_use]
    pub fn of(&self, architecture: Architecture) -> Task {
        match architecture {
            Architecture::Arm64 => self.arm64,
            Architecture::X86_64 => self.x86_64,
        }
    }
}

/// EFS.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Efs {
    /// Dollars a GB and month.
    pub gb_month: f64,
    /// Dollars a GB written.
    pub gb_written: f64,
    /// Dollars a GB read.
    pub gb_read: f64,
}

/// `CloudWatch`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Dollars a GB of logs.
    pub gb_ingested: f64,
    /// Dollars a metric and month, for the hours in which it is sent.
    pub metric_month: f64,
}

/// Bytes and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Dollars a GB to the internet. What comes in costs nothing.
    pub gb_out: f64,
    /// Dollars a public address and hour.
    pub ipv4_hour: f64,
}

/// The prices of a region.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// As AWS calls it.
    pub name: String,
    /// Services whose prices were compared with something that quotes AWS's pages.
    #[serde(default)]
    pub confirmed: Vec<String>,
    /// See there.
    pub lambda: Lambda,
    /// See there.
    pub sqs: Sqs,
    /// See there.
    pub s3: S3,
    /// See there.
    pub dynamodb: DynamoDb,
    /// See there.
    pub fargate: Fargate,
    /// See there.
    pub efs: Efs,
    /// See there.
    pub logs: Logs,
    /// See there.
    pub network: Network,
}

/// A table of prices.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTable {
    /// `2026-11-21`.
    pub date: String,
    /// By AWS's name of the region.
    pub regions: BTreeMap<String, Prices>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    currency: String,
    date: toml::value::Datetime,
    #[serde(default, rename = "source")]
    _source: BTreeMap<String, String>,
    #[serde(default, rename = "unit")]
    _unit: BTreeMap<String, String>,
    region: BTreeMap<String, toml::Spanned<Prices>>,
}

/// Why a table cannot be used, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PriceError(String);

impl PriceTable {
    /// The table that weir brings: `infra/prices.toml`.
    #[must_use]
    pub fn built_in() -> PriceTable {
        let text = include_str!("../../../infra/prices.toml");
        PriceTable::parse(text, "infra/prices.toml").expect("tests read the table that is built in")
    }

    /// Reads a table; `file` is for messages.
    ///
    /// # Errors
    /// The first mistake, with its line and column and what is expected there.
    pub fn parse(text: &str, file: &str) -> Result<PriceTable, PriceError> {
        let wire: Wire = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let hint = "infra/prices.toml of weir has every price that is needed; copy it and change yours";
            PriceError(format!("{file}:{line}:{column}: {}\n  hint: {hint}", error.message().trim()))
        })?;
        if wire.currency != "USD" {
            return Err(PriceError(format!("{file}: currency = {:?}: prices are in \"USD\"", wire.currency)));
        }
        let Some(date) = wire.date.date else {
            return Err(PriceError(format!("{file}: date = {}: expected a day, such as 2026-11-21", wire.date)));
        };
        if wire.region.is_empty() {
            return Err(PriceError(format!("{file}: no [region.NAME] in it")));
        }
        let mut regions = BTreeMap::new();
        for (name, prices) in wire.region {
            let (line, _) = position(text, prices.span().start);
            let prices = prices.into_inner();
            for (key, price) in prices.all() {
                if !price.is_finite() || price < 0.0 {
                    let what = "a price is a number of dollars, 0 or more";
                    return Err(PriceError(format!("{file}:{line}: region.{name}: {key} = {price}: {what}")));
                }
            }
            regions.insert(name, prices);
        }
        Ok(PriceTable { date: date.to_string(), regions })
    }

    /// The prices of a region.
    ///
    /// # Errors
    /// When the table has none, with those that it has.
    pub fn region(&self, name: &str) -> Result<&Prices, PriceError> {
        self.regions.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.regions.keys().map(String::as_str).collect();
            PriceError(format!(
                "no prices for the region {name:?}, only for {}: add a table [region.{name}] to a copy of infra/prices.toml and name it with --prices",
                known.join(", ")
            ))
        })
    }
}

impl Prices {
    fn all(&self) -> [(&'static str, f64); 19] {
        [
            ("lambda.million_requests", self.lambda.million_requests),
            ("lambda.arm64.gb_second", self.lambda.arm64.gb_second),
            ("lambda.x86_64.gb_second", self.lambda.x86_64.gb_second),
            ("sqs.million_requests", self.sqs.million_requests),
            ("s3.thousand_puts", self.s3.thousand_puts),
            ("s3.thousand_gets", self.s3.thousand_gets),
            ("s3.gb_month", self.s3.gb_month),
            ("dynamodb.million_writes", self.dynamodb.million_writes),
            ("fargate.arm64.vcpu_hour", self.fargate.arm64.vcpu_hour),
            ("fargate.arm64.gb_hour", self.fargate.arm64.gb_hour),
            ("fargate.x86_64.vcpu_hour", self.fargate.x86_64.vcpu_hour),
            ("fargate.x86_64.gb_hour", self.fargate.x86_64.gb_hour),
            ("efs.gb_month", self.efs.gb_month),
            ("efs.gb_written", self.efs.gb_written),
            ("efs.gb_read", self.efs.gb_read),
            ("logs.gb_ingested", self.logs.gb_ingested),
            ("logs.metric_month", self.logs.metric_month),
            ("network.gb_out", self.network.gb_out),
            ("network.ipv4_hour", self.network.ipv4_hour),
        ]
    }
}

/// Line and column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
