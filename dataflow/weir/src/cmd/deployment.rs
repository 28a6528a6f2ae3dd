//! Which deployment a command is about: `.weir/deployment.toml`, written by `make deploy` and `make local`, and its queues.

use crate::cmd::{Usage, files};
use clap::Args as ClapArgs;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_aws::Aws;
use weir_driver::remote::client::Client;
use weir_queue::{ArtifactStore, MessageQueue, Ticketed, Tickets};

/// Where the file lies, from the folder in which the deployment was made.
const FILE: &str = ".weir/deployment.toml";

/// Which deployment.
#[derive(ClapArgs)]
pub struct Which {
    /// The deployment's name; refused when the file describes another
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// What make deploy or make local wrote. Default: .weir/deployment.toml, or the variable WEIR_DEPLOYMENT
    #[arg(long, value_name = "FILE")]
    pub deployment: Option<PathBuf>,
}

/// A deployment as its file describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Deployment {
    pub stack: String,
    pub region: String,
    /// Of an emulator.
    pub endpoint: Option<String>,
    pub bucket: String,
    pub fetch_queue: String,
    /// Where fetch messages are claimed.
    pub claim_table: Option<String>,
    /// What functions failed on.
    pub fetch_dead_letters: Option<String>,
    #[serde(rename = "stage", default)]
    pub stages: Vec<StageAddresses>,
}

/// The queues of one stage.
#[derive(Clone, Debug, Deserialize)]
pub struct StageAddresses {
    pub requests: String,
    pub reports: Option<String>,
    pub control: String,
    /// What the stage could not use.
    pub dead_letters: Option<String>,
}

impl Which {
    /// Reads the file; none when there is none.
    pub fn find(&self) -> Result<Option<Deployment>, Usage> {
        let named = self.deployment.clone().or_else(|| variable("WEIR_DEPLOYMENT").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| FILE.into());
        if named.is_none() && !path.exists() {
            return Ok(None);
        }
        let deployment = read(&path)?;
        match &self.stack {
            Some(stack) if *stack != deployment.stack => Err(Usage(format!(
                "--stack {stack}: {} describes the deployment {:?}; name the other one's file with --deployment, or write it anew: \
                 infra/deploy --stack {stack}",
                path.display(),
                deployment.stack
            ))),
            _ => Ok(Some(deployment)),
        }
    }

    /// Reads the file, which must be there.
    pub fn read(&self) -> Result<Deployment, Usage> {
        self.find()?.ok_or_else(|| {
            Usage(format!(
                "{FILE} is not here, which says where the deployment is; make deploy or make local write it. Go to the folder where they \
                 ran, or name the file with --deployment"
            ))
        })
    }
}

fn read(path: &Path) -> Result<Deployment, Usage> {
    let text = files::read(path, "what make deploy wrote")?;
    let deployment: Deployment = toml::from_str(&text).map_err(|error| {
        Usage(format!("{}: {}; write it anew by make deploy or make local", path.display(), error.message()))
    })?;
    if deployment.stages.is_empty() {
        return Err(Usage(format!(
            "{}: no [[stage]] in it; write it anew by make deploy or make local",
            path.display()
        )));
    }
    Ok(deployment)
}

/// A variable of the environment that says something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Deployment {
    /// Clients of its account and region. Those of an emulator need no credentials.
    pub async fn aws(&self) -> anyhow::Result<Aws> {
        match &self.endpoint {
            Some(endpoint) => Ok(Aws::at(endpoint, &self.region)),
            None => Ok(Aws::load_in(&self.region).await?),
        }
    }

    /// What jobs are opened and looked at with.
    pub fn client(&self, aws: &Aws) -> Client {
        let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&self.bucket));
        Client {
            requests: self.stages.iter().map(|stage| ticketed(aws, &stage.requests, &store)).collect(),
            control: self.stages.iter().map(|stage| ticketed(aws, &stage.control, &store)).collect(),
            artifacts: store,
        }
    }
}

/// A queue for messages of any size.
pub fn ticketed(aws: &Aws, url: &str, store: &Arc<dyn ArtifactStore>) -> Arc<dyn MessageQueue> {
    Arc::new(Ticketed::new(aws.queue(url), Tickets::new(Arc::clone(store))))
}

/// A runtime for commands that ask and wait.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
