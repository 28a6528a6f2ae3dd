//! The law of a deployment from outside: a command for every stage, and what the stages say of it.
//!
//! Invariant: a command is told to all stages under one name and one time, so whichever stage hears it late or twice, all end with the
//! same law.

use super::client::{Client, ClientError};
use super::status::{StageStatus, status_key};
use std::time::Duration;
use weir_model::json::{ControlMessage, QueueMessage};
use weir_queue::{Backoff, QueueErrorClass, send_all};

/// Between two looks at the stages' status.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Client {
    /// Tells every stage a command.
    ///
    /// # Errors
    /// When a stage cannot be told.
    pub async fn tell(&self, message: &ControlMessage) -> Result<(), ClientError> {
        for queue in &self.control {
            for outcome in send_all(&**queue, vec![message.to_json()], Backoff::default()).await {
                outcome?;
            }
        }
        Ok(())
    }

    /// What each stage said last of itself.
    ///
    /// # Errors
    /// When the store does not answer, or holds what cannot be read.
    pub async fn statuses(&self) -> Result<Vec<Option<StageStatus>>, ClientError> {
        let mut found = Vec::new();
        for stage in 0..self.control.len() as u32 {
            let key = status_key(stage);
            found.push(match self.artifacts.get(&key).await {
                Ok(bytes) => Some(super::client::read(&key, &bytes)?),
                Err(error) if error.class == QueueErrorClass::NotFound => None,
                Err(error) => return Err(error.into()),
            });
        }
        Ok(found)
    }

    /// As `statuses`, when all stages have obeyed a command; after `patience` as they are. The flag says which.
    ///
    /// # Errors
    /// As `statuses`.
    pub async fn statuses_after(
        &self,
        id: &str,
        patience: Duration,
    ) -> Result<(Vec<Option<StageStatus>>, bool), ClientError> {
        let has = |status: &Option<StageStatus>| {
            status.as_ref().is_some_and(|status| status.obeyed.iter().any(|obeyed| obeyed == id))
        };
        let mut looks = patience.as_millis() / LOOK_EVERY.as_millis();
        loop {
            let statuses = self.statuses().await?;
            if statuses.iter().all(has) {
                return Ok((statuses, true));
            }
            if looks == 0 {
                return Ok((statuses, false));
            }
            looks -= 1;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
