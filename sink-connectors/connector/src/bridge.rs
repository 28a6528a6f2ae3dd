//! A runtime of its own on one thread: sockets stay with it, whoever drives the sink.
//!
//! Must not know: what it runs. Invariant: dropping it never blocks, and closes what it had open.

use crate::{ErrorClass, SinkError};
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Runtime};

/// The thread.
#[derive(Debug)]
pub struct Bridge {
    runtime: Option<Runtime>,
}

impl Bridge {
    /// Starts it under a sink's name.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(name: &str) -> Result<Bridge, SinkError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        let runtime = runtime.map_err(|error| {
            SinkError::new(
                ErrorClass::Permanent,
                format!("cannot start a thread ({error})"),
                name.to_owned(),
                "a system that gives a thread",
                "Raise the limit of threads, then run the same command again",
            )
        })?;
        Ok(Bridge { runtime: Some(runtime) })
    }

    /// Runs work on the thread; its result can be awaited anywhere. Dropped, the work goes on to its end.
    ///
    /// # Panics
    /// If the work panics.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let task = self.runtime.as_ref().expect("present until drop").spawn(work);
        async move { task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) }
    }

    /// Runs work on the thread and blocks this one until it is done.
    ///
    /// # Panics
    /// If the work panics.
    pub fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = sync_channel(1);
        self.runtime.as_ref().expect("present until drop").spawn(async move {
            // Received below, unless this thread was unwound meanwhile.
            let _ = sender.send(work.await);
        });
        receiver.recv().expect("the thread lives as long as the bridge, and work does not panic")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
