//! Prices for commands: the table that is built in or one's own, a region of it, and dollars as people read them.

use crate::cmd::{Usage, deployment::variable, files};
use std::fmt::Write as _;
use std::path::Path;
use weir_cost::{Bill, PriceTable, Prices};

/// The region that is taken when nothing names one.
pub const REGION: &str = "us-east-1";

/// The prices that a command reckons with, and where they are from.
pub struct Tariff {
    pub region: String,
    pub date: String,
    pub prices: Prices,
}

impl Tariff {
    /// The prices of a region; without a name those of the deployment's, or of `AWS_REGION`.
    pub fn find(table: Option<&Path>, region: Option<String>) -> Result<Tariff, Usage> {
        let table = match table {
            Some(path) => PriceTable::parse(&files::read(path, "a table of prices")?, &path.display().to_string())
                .map_err(|error| Usage(error.to_string()))?,
            None => PriceTable::built_in(),
        };
        let region = region.or_else(|| variable("AWS_REGION")).unwrap_or_else(|| REGION.to_owned());
        let prices = table.region(&region).map_err(|error| Usage(error.to_string()))?.clone();
        Ok(Tariff { region, date: table.date, prices })
    }
}

/// Dollars: cents when there are enough of them, otherwise what can be told apart.
pub fn dollars(amount: f64) -> String {
    match amount {
        a if a >= 10.0 => format!("${a:.2}"),
        a if a >= 0.01 || a == 0.0 => format!("${a:.4}"),
        a => format!("${a:.6}"),
    }
}

/// A bill for a person, a line each.
pub fn bill_text(bill: &Bill) -> String {
    let (mut out, total) = (String::new(), bill.total());
    for (line, amount) in &bill.lines {
        let share = if total > 0.0 { amount / total * 100.0 } else { 0.0 };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {:<38} {:>12} {share:>5.0} %", line.as_str(), dollars(*amount));
    }
    let _ = writeln!(out, "  {:<38} {:>12}", "in all", dollars(total));
    out
}

/// A bill for a script.
pub fn bill_json(bill: &Bill) -> serde_json::Value {
    let lines: serde_json::Map<String, serde_json::Value> = bill
        .lines
        .iter()
        .map(|(line, amount)| {
            let name = serde_json::to_value(line).expect("a name is JSON");
            (name.as_str().unwrap_or_default().to_owned(), (*amount).into())
        })
        .collect();
    serde_json::json!({ "total": bill.total(), "dominant": bill.dominant(), "lines": lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_told_to_what_matters() {
        assert_eq!(dollars(0.13815), "$0.1381");
        assert_eq!(dollars(14.416), "$14.42");
        assert_eq!(dollars(0.000_215_7), "$0.000216");
        let error = Tariff::find(None, Some("mars-1".into())).err().expect("no such region").to_string();
        assert!(error.contains("us-east-1") && error.contains("--prices"), "{error}");
    }
}
