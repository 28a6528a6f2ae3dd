//! The reports queue: at least once, in any order, a message comes back when its receipt was not settled in time.

use std::collections::BTreeMap;
use weir_model::{ReceiptId, Report};

/// A message in the queue.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub reports: Vec<Report>,
    /// How often it was received.
    pub receives: u32,
}

#[derive(Debug, Default)]
pub(crate) struct ReportQueue {
    messages: BTreeMap<u64, Waiting>,
    /// The message that a receipt deletes; receipts of earlier receives delete it, too.
    receipts: BTreeMap<ReceiptId, u64>,
    sent: u64,
}

impl ReportQueue {
    pub fn send(&mut self, reports: Vec<Report>) -> u64 {
        self.sent += 1;
        self.messages.insert(self.sent, Waiting { reports, receives: 0 });
        self.sent
    }

    /// Hands a message out; nothing when it was settled meanwhile.
    pub fn receive(&mut self, message: u64) -> Option<(ReceiptId, &Waiting)> {
        let receipt = ReceiptId(self.receipts.len() as u64 + 1);
        let waiting = self.messages.get_mut(&message)?;
        waiting.receives += 1;
        self.receipts.insert(receipt, message);
        Some((receipt, waiting))
    }

    /// Deletes a message; its reports, when it was still there.
    pub fn settle(&mut self, receipt: ReceiptId) -> Option<Vec<Report>> {
        let message = self.receipts.get(&receipt)?;
        self.messages.remove(message).map(|waiting| waiting.reports)
    }

    pub fn is_there(&self, message: u64) -> bool {
        self.messages.contains_key(&message)
    }
}
