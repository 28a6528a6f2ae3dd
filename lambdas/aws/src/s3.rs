//! S3 behind the artifact trait.

use crate::error::judge;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use weir_queue::{ArtifactStore, BoxFuture, QueueError, QueueErrorClass};

/// Larger files go up in pieces of at least this size: one piece must fit into the time limit of a call.
const PIECE_BYTES: u64 = 16 << 20;
/// S3's own limit.
const PIECES_MAX: u64 = 10_000;

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

    /// Uploads a file: readers see all of it or what was there before.
    ///
    /// # Errors
    /// When it cannot be read, or is not stored whole.
    pub async fn upload(&self, key: &str, file: &Path) -> Result<(), QueueError> {
        let unreadable = |error: std::io::Error| {
            QueueError::new(QueueErrorClass::Permanent, format!("cannot read {}: {error}", file.display()))
        };
        let mut source = File::open(file).map_err(unreadable)?;
        let len = source.metadata().map_err(unreadable)?.len();
        if len <= PIECE_BYTES {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes).map_err(unreadable)?;
            return self.write(key, bytes, false).await;
        }
        let piece = PIECE_BYTES.max(len.div_ceil(PIECES_MAX));
        let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        let begun = begun.content_type(content_type(key)).send().await;
        let begun = begun.map_err(|error| judge(&self.what("CreateMultipartUpload", key), error))?;
        let upload = begun.upload_id().unwrap_or_default();
        let done = self.pieces(key, upload, &mut source, piece, file).await;
        if done.is_err() {
            // Pieces that nobody asks for any more cost money; a rule of the bucket is for those that stay all the same.
            let _ = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload).send().await;
        }
        done
    }

    /// Copies an object to the end of an open file, a piece at a time.
    ///
    /// # Errors
    /// When it is not there, does not come whole, or cannot be written.
    pub async fn download(&self, key: &str, to: &mut File) -> Result<(), QueueError> {
        let found = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let mut body = found.map_err(|error| judge(&self.what("GetObject", key), error))?.body;
        loop {
            match body.try_next().await {
                Ok(Some(bytes)) => std::io::Write::write_all(to, &bytes).map_err(|error| {
                    let message = format!("cannot write what comes from {key}: {error}");
                    QueueError::new(QueueErrorClass::Permanent, message)
                })?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.ended_early(key, &error)),
            }
        }
    }

    async fn pieces(
        &self,
        key: &str,
        upload: &str,
        source: &mut File,
        piece: u64,
        file: &Path,
    ) -> Result<(), QueueError> {
        let mut parts = Vec::new();
        for number in 1.. {
            let mut bytes = Vec::new();
            source.by_ref().take(piece).read_to_end(&mut bytes).map_err(|error| {
                QueueError::new(QueueErrorClass::Permanent, format!("cannot read {}: {error}", file.display()))
            })?;
            if bytes.is_empty() {
                break;
            }
            let put = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload).part_number(number);
            let put = put.body(ByteStream::from(bytes)).send().await;
            let put = put.map_err(|error| judge(&self.what("UploadPart", key), error))?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(put.e_tag).build());
        }
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let end = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        let end = end.multipart_upload(all).send().await;
        end.map(|_| ()).map_err(|error| judge(&self.what("CompleteMultipartUpload", key), error))
    }

    fn what(&self, call: &str, key: &str) -> String {
        format!("s3 {call} {}/{key}", self.name)
    }

    fn ended_early(&self, key: &str, error: &dyn std::fmt::Display) -> QueueError {
        let message = format!("{}: the body ended early: {error}", self.what("GetObject", key));
        QueueError::new(QueueErrorClass::Transient, message)
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>, QueueError> {
        let found = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let found = found.map_err(|error| judge(&self.what("GetObject", key), error))?;
        match found.body.collect().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(self.ended_early(key, &error)),
        }
    }

    async fn write(&self, key: &str, bytes: Vec<u8>, only_new: bool) -> Result<(), QueueError> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).content_type(content_type(key));
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

fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        Some((_, "jsonl" | "jl")) => "application/x-ndjson",
        Some((_, "csv")) => "text/csv",
        Some((_, "xml")) => "application/xml",
        Some((_, "toml")) => "application/toml",
        _ => "application/octet-stream",
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
