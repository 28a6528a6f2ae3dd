//! SQS, S3 and DynamoDB behind the traits of `weir-queue`, and the shapes of Lambda's SQS events.
