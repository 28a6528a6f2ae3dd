//! Claims as items of a DynamoDB table: written where nothing is, forgotten by the table's time to live.

use crate::error::judge;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use weir_model::UnixMs;
use weir_queue::{BoxFuture, Claim, Claims, QueueError};

/// The table's key.
const KEY: &str = "id";
/// Who won.
const OWNER: &str = "owner";
/// When the table may forget it: seconds since the Unix epoch.
const EXPIRES: &str = "expires";

/// One table of claims.
#[derive(Clone, Debug)]
pub struct DynamoClaims {
    client: Client,
    table: String,
}

impl DynamoClaims {
    /// The table of a name.
    #[must_use]
    pub fn new(client: Client, table: &str) -> DynamoClaims {
        DynamoClaims { client, table: table.to_owned() }
    }

    async fn put(&self, key: &str, owner: &str, until: UnixMs) -> Result<Claim, QueueError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(key.to_owned()))
            .item(OWNER, AttributeValue::S(owner.to_owned()))
            .item(EXPIRES, AttributeValue::N(until.0.div_ceil(1000).to_string()))
            .condition_expression("attribute_not_exists(id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match put.send().await {
            Ok(_) => return Ok(Claim::Won),
            Err(error) => error,
        };
        if let SdkError::ServiceError(refused) = &error
            && let PutItemError::ConditionalCheckFailedException(taken) = refused.err()
        {
            // The SDK repeats a call whose answer was lost: then the item is our own.
            let first = taken.item().and_then(|item| item.get(OWNER)).and_then(|owner| owner.as_s().ok());
            return Ok(if first.is_some_and(|first| first == owner) { Claim::Won } else { Claim::Lost });
        }
        Err(judge(&format!("dynamodb PutItem into {}", self.table), error))
    }
}

impl Claims for DynamoClaims {
    fn claim<'a>(&'a self, key: &'a str, owner: &'a str, until: UnixMs) -> BoxFuture<'a, Result<Claim, QueueError>> {
        Box::pin(self.put(key, owner, until))
    }
}
