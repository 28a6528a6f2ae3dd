//! A bucket as a place for feeds: the asynchronous client behind the feed's blocking calls.

use std::fs::File;
use std::path::Path;
use tokio::runtime::Runtime;
use weir_aws::{Aws, S3Artifacts};
use weir_connector::{ErrorClass, SinkError};
use weir_feed::Remote;
use weir_queue::{ArtifactStore, QueueError, QueueErrorClass};

/// A bucket of the account and region that the environment or a profile names.
pub struct Bucket {
    runtime: Runtime,
    artifacts: S3Artifacts,
    /// The first call shows whether bucket and credentials are right.
    seen: bool,
}

impl Bucket {
    /// Nothing is asked for yet.
    pub fn open(bucket: &str) -> Result<Bucket, SinkError> {
        let place = format!("s3://{bucket}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| SinkError::io("start a runtime for", Path::new(&place), &error))?;
        let aws = block(&runtime, Aws::load()).map_err(|error| judge(&place, &error, ErrorClass::Configuration))?;
        Ok(Bucket { runtime, artifacts: aws.bucket(bucket), seen: false })
    }

    fn call<T: Send>(&mut self, call: impl Future<Output = Result<T, QueueError>> + Send) -> Result<T, SinkError> {
        let permanent = if self.seen { ErrorClass::Permanent } else { ErrorClass::Configuration };
        let result = block(&self.runtime, call).map_err(|error| judge(self.artifacts.name(), &error, permanent));
        self.seen |= result.is_ok();
        result
    }
}

/// Waits on a thread of its own: the caller's may be driving a runtime already.
fn block<T: Send>(runtime: &Runtime, call: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(call)).join().expect("the client's calls return errors, they do not panic")
    })
}

fn judge(place: &str, error: &QueueError, permanent: ErrorClass) -> SinkError {
    let (class, todo) = match error.class {
        QueueErrorClass::Transient => (ErrorClass::Transient, "It is tried again"),
        _ => (permanent, "Correct the bucket's name, AWS_REGION, the credentials, or what they may do"),
    };
    SinkError::new(class, error.to_string(), place, "a bucket that may be listed and written to", todo)
}

impl Remote for Bucket {
    fn place(&self) -> String {
        self.artifacts.name().to_owned()
    }

    fn exists(&mut self, name: &str) -> Result<bool, SinkError> {
        let artifacts = self.artifacts.clone();
        // Of the names that begin with it, itself is the first.
        Ok(self.call(artifacts.list(name, 1))?.iter().any(|found| found == name))
    }

    fn put(&mut self, name: &str, file: &Path) -> Result<(), SinkError> {
        let artifacts = self.artifacts.clone();
        self.call(artifacts.upload(name, file))
    }

    fn get(&mut self, name: &str, to: &mut File) -> Result<(), SinkError> {
        let artifacts = self.artifacts.clone();
        self.call(artifacts.download(name, to))
    }

    fn remove(&mut self, name: &str) -> Result<(), SinkError> {
        let artifacts = self.artifacts.clone();
        self.call(artifacts.remove(name))
    }
}
