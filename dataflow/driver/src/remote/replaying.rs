//! Dead letters of a deployment's stages, from outside: what their pages say, and jobs in which letters enter again.

use super::client::{Client, ClientError, Opened};
use super::status::{StageStatus, status_key};
use super::telling::WITHOUT_ROOM;
use crate::letter_file::DeadLetters;
use crate::letter_pages::{PAGES_PREFIX, page_stage};
use std::collections::BTreeMap;
use weir_model::json::{JobHeader, ShardStart};
use weir_model::{JobId, UnixMs};
use weir_queue::QueueErrorClass;

/// Pages that are read.
const PAGES_MAX: usize = 100_000;
/// A page may go while it is looked for: then the list is old.
const LOOKS_MAX: usize = 5;

impl Client {
    /// The dead letters of all stages that ever had some, by stage.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn letters(&self) -> Result<BTreeMap<u32, DeadLetters>, ClientError> {
        for _ in 1..LOOKS_MAX {
            if let Some(letters) = self.look_at_letters(false).await? {
                return Ok(letters);
            }
        }
        Ok(self.look_at_letters(true).await?.unwrap_or_default())
    }

    async fn look_at_letters(&self, missing_are_gone: bool) -> Result<Option<BTreeMap<u32, DeadLetters>>, ClientError> {
        let mut found: BTreeMap<u32, DeadLetters> = BTreeMap::new();
        for key in self.artifacts.list(PAGES_PREFIX, PAGES_MAX).await? {
            let Some(stage) = page_stage(&key) else { continue };
            let bytes = match self.artifacts.get(&key).await {
                Ok(bytes) => bytes,
                Err(error) if error.class == QueueErrorClass::NotFound && missing_are_gone => continue,
                Err(error) if error.class == QueueErrorClass::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let page = DeadLetters::of_page(&format!("{}/{key}", self.artifacts.name()), &bytes);
            let all = found.entry(stage).or_default();
            all.letters.extend(page.letters);
            all.damaged.extend(page.damaged);
        }
        Ok(Some(found))
    }

    /// How many letters found no room, as the stages last said.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn letters_without_room(&self) -> Result<u64, ClientError> {
        let mut count = 0;
        for stage in 0..self.stages() {
            match self.artifacts.get(&status_key(stage)).await {
                Ok(bytes) => {
                    let status: Option<StageStatus> = serde_json::from_slice(&bytes).ok();
                    count += status.and_then(|status| status.figures.get(WITHOUT_ROOM).copied()).unwrap_or(0);
                }
                Err(error) if error.class == QueueErrorClass::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(count)
    }

    /// What the messages of a job carried.
    ///
    /// # Errors
    /// When there is no such job, or the store does not answer.
    pub async fn header(&self, job: JobId) -> Result<JobHeader, ClientError> {
        Ok(self.document(job).await?.header)
    }

    /// Opens a job in which letters enter again: `header` is that of the job they are from, `ids` their numbers by stage.
    ///
    /// # Errors
    /// Which of its messages could not be sent; a letter is among the dead letters until its stage has taken it.
    pub async fn replay(
        &self,
        header: JobHeader,
        mut ids: BTreeMap<u32, Vec<u64>>,
        opened_at: UnixMs,
    ) -> Result<Opened, ClientError> {
        if let Some(stage) = ids.keys().find(|stage| **stage >= self.stages()) {
            return Err(ClientError::Nothing(format!(
                "stage {stage} is gone: the deployment has {} stage(s) now, and only the stage that keeps a letter can let it enter again. \
                 Enqueue the URLs anew",
                self.stages()
            )));
        }
        let count = ids.values().map(|ids| ids.len() as u64).sum();
        // Each stage has a part in each job.
        let shards: Vec<_> = (0..self.stages())
            .map(|stage| (stage, ShardStart::Letters(ids.remove(&stage).unwrap_or_default())))
            .collect();
        let mut header = JobHeader { opened_at, ..header };
        // It sees its letters alone.
        header.settings.insert("delist".into(), "false".into());
        header.job = self.number(&header, shards.len() as u32, count).await?;
        self.send(header, shards, count).await
    }
}
