//! SQS, S3 and DynamoDB behind the traits of `weir-queue`, and the shapes of Lambda's SQS events. The only crate that names
//! the AWS SDK.
//!
//! Decides how a call is made, cut, and judged (transient, permanent, too large, not there). Knows nothing of what messages
//! mean. Invariants: TLS by rustls and ring; one outcome an entry, in order; every call has a time limit; no error says a
//! secret.

mod batch;
mod claims;
mod config;
mod error;
mod events;
mod s3;
mod sqs;

pub use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
pub use claims::DynamoClaims;
pub use config::Aws;
pub use events::{Record, batch_response, records};
pub use s3::S3Artifacts;
pub use sqs::{SQS_BODY_BYTES_MAX, SqsQueue};
