//! What `weir throttle` and `weir blacklist` have in common: which crawl is meant, how it is told, what it answers.

pub mod blacklist;
mod table;
pub mod throttle;

use crate::cmd::Usage;
use crate::cmd::deployment::{Deployment, Which, runtime};
use crate::cmd::enqueue::told;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_driver::SystemClock;
use weir_driver::law::{ChangeRow, LawClientError, LawStatus, SOCKET_FILE, ask};
use weir_driver::remote::StageStatus;
use weir_model::Clock;
use weir_model::json::{Control, ControlMessage};

/// How long the stages of a deployment are waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which crawl.
#[derive(Args)]
pub struct Target {
    /// State directory of a crawl that runs on this machine. Default: the only one that runs under .weir, or else the deployment
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stack", "deployment"])]
    state: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// A crawl that was found.
enum Place {
    State(PathBuf),
    Deployment(Box<Deployment>),
}

/// What a crawl, or each stage, says of its law.
pub struct Answer {
    /// `crawl`, or `stage 0`, with what it says.
    pub parts: Vec<(String, LawStatus)>,
    /// The command has changed something; in a deployment this is not told.
    pub changed: Option<bool>,
    /// Stages that have not answered.
    pub silent: Vec<usize>,
    /// How many there are.
    pub stages: usize,
}

impl Answer {
    /// Whether a command gave this domain a law of its own.
    fn has_command_for(&self, domain: &str) -> bool {
        let named = |row: &ChangeRow| matches!(row, ChangeRow::Domain(name, _) if name.eq_ignore_ascii_case(domain));
        self.parts.iter().any(|(_, law)| law.changes.iter().any(named))
    }
}

impl Target {
    fn find(&self) -> Result<Place, Usage> {
        if let Some(state) = &self.state {
            return Ok(Place::State(state.clone()));
        }
        let named = self.which.stack.is_some() || self.which.deployment.is_some();
        let running = if named { Vec::new() } else { running(Path::new(".weir")) };
        match running.as_slice() {
            [one] => Ok(Place::State(one.clone())),
            [] => match self.which.find()? {
                Some(deployment) => Ok(Place::Deployment(Box::new(deployment))),
                None => Err(Usage(
                    "which crawl? none runs under .weir here, and there is no deployment: name a state directory with --state, or a deployment \
                     with --deployment"
                        .into(),
                )),
            },
            several => {
                let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
                Err(Usage(format!("which crawl? name one with --state: {}", names.join(", "))))
            }
        }
    }

    /// Gives a command and waits for what comes of it.
    pub fn tell(&self, make: impl FnOnce(u64) -> Control) -> anyhow::Result<Answer> {
        let now = SystemClock::start().now().0;
        // The moment and the process: no two commands have both.
        let message = ControlMessage { id: format!("law-{now}-{}", std::process::id()), command: make(now) };
        weir_driver::law::check(&message).map_err(Usage)?;
        match self.find()? {
            Place::State(state) => ask_crawl(&state, &message),
            Place::Deployment(deployment) => ask_stages(&deployment, &message),
        }
    }

    /// The law as it is.
    pub fn look(&self) -> anyhow::Result<Answer> {
        self.tell(|_| Control::Status {})
    }
}

/// States under a folder whose socket somebody listens to.
fn running(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let listens = |path: &PathBuf| std::os::unix::net::UnixStream::connect(path.join(SOCKET_FILE)).is_ok();
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(listens).collect();
    found.sort();
    found
}

fn ask_crawl(state: &Path, message: &ControlMessage) -> anyhow::Result<Answer> {
    let answer = ask(state, message).map_err(|error| match error {
        LawClientError::Nobody { error, .. } => anyhow::Error::new(Usage(format!(
            "--state {}: no crawl runs there ({error}): commands change the law of a crawl that runs. Start it (weir crawl ... --state {} \
             --policy FILE), or write the law into its policy file",
            state.display(),
            state.display()
        ))),
        other => other.into(),
    })?;
    if let Some(error) = answer.error {
        return Err(Usage(error).into());
    }
    let law = answer
        .law
        .ok_or_else(|| anyhow::anyhow!("the crawl has answered without its law: is it another version of weir?"))?;
    Ok(Answer { parts: vec![("crawl".to_owned(), law)], changed: Some(answer.changed), silent: Vec::new(), stages: 1 })
}

fn ask_stages(deployment: &Deployment, message: &ControlMessage) -> anyhow::Result<Answer> {
    let (statuses, _) = runtime()?.block_on(async {
        let aws = deployment.aws().await?;
        let client = deployment.client(&aws);
        client.tell(message).await.map_err(told)?;
        client.statuses_after(&message.id, PATIENCE).await.map_err(told)
    })?;
    let obeyed = |status: &StageStatus| status.obeyed.contains(&message.id);
    let silent = (0..statuses.len()).filter(|at| !statuses[*at].as_ref().is_some_and(obeyed)).collect();
    let stages = statuses.len();
    let part = |status: StageStatus| Some((format!("stage {}", status.stage), status.law?));
    let parts = statuses.into_iter().flatten().filter_map(part).collect();
    Ok(Answer { parts, changed: None, silent, stages })
}

/// Says what came of a change.
pub fn say(answer: &Answer, what: &str) {
    match answer.changed {
        Some(true) => crate::out::line!("{what}: holds from now on"),
        Some(false) => crate::out::line!("{what}: as it was"),
        None if answer.silent.is_empty() => {
            crate::out::line!("{what}: holds on {} of {} stages", answer.stages, answer.stages)
        }
        None => {
            let silent: Vec<String> = answer.silent.iter().map(ToString::to_string).collect();
            crate::out::line!(
                "{what}: told; stages {} have not answered within {} s and take it when they run",
                silent.join(", "),
                PATIENCE.as_secs()
            );
        }
    }
}
