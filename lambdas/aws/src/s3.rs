//! S3 behind the artifact trait.

use crate::error::judge;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use weir_queue::{ArtifactStore, BoxFuture, QueueError, QueueErrorClass};

/// One bucket.
#[derive(Clone, Debug)]
pub struct S3Artifacts {
    client: Client,
    bucket: String,
    name: String,
}

impl S3Artifacts {
    /// The bucket of a name.
    #[must_use]
    pub fn new(client: Client, bucket: &str) -> S3Artifacts {
        S3Artifacts { client, bucket: bucket.to_owned(), name: format!("s3://{bucket}") }
    }

    fn what(&self, call: &str, key: &str) -> String {
        format!("s3 {call} {}/{key}", self.name)
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>, QueueError> {
        let found = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let found = found.map_err(|error| judge(&self.what("GetObject", key), error))?;
        match found.body.collect().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => {
                let message = format!("{}: the body ended early: {error}", self.what("GetObject", key));
                Err(QueueError::new(QueueErrorClass::Transient, message))
            }
        }
    }

    async fn write(&self, key: &str, bytes: Vec<u8>, only_new: bool) -> Result<(), QueueError> {
        let content_type = match key.rsplit_once('.') {
            Some((_, "json")) => "application/json",
            Some((_, "toml")) => "application/toml",
            _ => "application/octet-stream",
        };
        let put = self.client.put_object().bucket(&self.bucket).key(key).content_type(content_type);
        let put = put.set_if_none_match(only_new.then(|| "*".to_owned())).body(ByteStream::from(bytes));
        put.send().await.map_err(|error| judge(&self.what("PutObject", key), error))?;
        Ok(())
    }

    async fn keys(&self, prefix: &str, max: usize) -> Result<Vec<String>, QueueError> {
        let mut keys = Vec::new();
        let mut next = None;
        loop {
            let left = i32::try_from(max.saturating_sub(keys.len()).min(1_000)).expect("at most a thousand");
            if left == 0 {
                return Ok(keys);
            }
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(left);
            let page = list.set_continuation_token(next).send().await;
            let page = page.map_err(|error| judge(&self.what("ListObjectsV2", prefix), error))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key()).map(str::to_owned));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(keys);
            }
        }
    }
}

impl ArtifactStore for S3Artifacts {
    fn name(&self) -> &str {
        &self.name
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>, QueueError>> {
        Box::pin(self.read(key))
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.write(key, bytes, false))
    }

    fn put_new<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.write(key, bytes, true))
    }

    fn list<'a>(&'a self, prefix: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<String>, QueueError>> {
        Box::pin(self.keys(prefix, max))
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let removed = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
            removed.map(|_| ()).map_err(|error| judge(&self.what("DeleteObject", key), error))
        })
    }
}
