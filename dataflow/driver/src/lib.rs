//! the imperative shell: receive, feed the stage, perform its commands, settle receipts.
