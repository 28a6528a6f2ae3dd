//! The dead-letter queues of a deployment: what lies on them, where it came from, and its way back.
//!
//! Invariants: a message that is looked at is given back, and comes back by itself after half a minute should this process die
//! meanwhile; one leaves its queue only when it lies on the queue that it came from.

use crate::cmd::deployment::{Deployment, StageAddresses, ticketed};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use weir_aws::Aws;
use weir_queue::{ArtifactStore, MessageQueue, QueueError, Receipt, Received, Ticketed, Tickets};

/// How long a message that is looked at is hidden from others, at most.
const HIDDEN: Duration = Duration::from_secs(30);
/// An empty answer after so long is the end of a queue.
const WAIT: Duration = Duration::from_secs(1);
/// Messages of one queue that are looked at.
pub const MESSAGES_MAX: usize = 1_000;
/// Digits of a message's id that are shown.
const ID_SHOWN: usize = 8;

/// A dead-letter queue and what lies on it.
pub struct Grave {
    /// `fetch` or `stage-N`.
    pub name: String,
    queue: Arc<dyn MessageQueue>,
    pub messages: Vec<Received>,
    /// More lies there.
    pub is_cut: bool,
}

/// A message as people see it.
pub struct Told {
    /// The queue it came from; unknown when it says nothing that tells.
    pub from: Option<String>,
    pub why: String,
    /// As it was sent.
    body: Option<String>,
}

/// Everything on all of them, held until it is given back.
pub async fn read(deployment: &Deployment, aws: &Aws) -> Result<Vec<Grave>, QueueError> {
    let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&deployment.bucket));
    let mut names = vec![("fetch".to_owned(), deployment.fetch_dead_letters.clone())];
    let of_stage = |(at, stage): (usize, &StageAddresses)| (format!("stage-{at}"), stage.dead_letters.clone());
    names.extend(deployment.stages.iter().enumerate().map(of_stage));
    let mut reading = JoinSet::new();
    for (name, url) in names {
        let Some(url) = url else {
            crate::out::err!(
                "weir: the deployment's file names no dead letters of {name}; write it anew by make deploy or make local"
            );
            continue;
        };
        let queue: Arc<dyn MessageQueue> =
            Arc::new(Ticketed::new(aws.queue(&url).hiding(HIDDEN), Tickets::new(Arc::clone(&store))));
        reading.spawn(async move {
            let (messages, is_cut) = all_of(&*queue).await?;
            Ok::<_, QueueError>(Grave { name, queue, messages, is_cut })
        });
    }
    let (mut graves, mut failure) = (Vec::new(), None);
    while let Some(done) = reading.join_next().await {
        match done.expect("reading a queue does not panic") {
            Ok(grave) => graves.push(grave),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        give_back(&graves).await;
        return Err(error);
    }
    graves.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(graves)
}

/// Each message once, the flag says that there are more.
async fn all_of(queue: &dyn MessageQueue) -> Result<(Vec<Received>, bool), QueueError> {
    let mut found: BTreeMap<String, Received> = BTreeMap::new();
    while found.len() < MESSAGES_MAX {
        let some = queue.receive(10, WAIT).await?;
        if some.is_empty() {
            return Ok((found.into_values().collect(), false));
        }
        // The newest reception has the receipt that counts.
        found.extend(some.into_iter().map(|message| (message.id.clone(), message)));
    }
    Ok((found.into_values().collect(), true))
}

/// Shows them to others again.
pub async fn give_back(graves: &[Grave]) {
    for grave in graves {
        let receipts: Vec<Receipt> = grave.messages.iter().map(|message| message.receipt.clone()).collect();
        // One that could not be given back comes back by itself.
        let _ = grave.queue.extend(&receipts, Duration::ZERO).await;
    }
}

/// Sends messages to where they came from, and only then takes them off. Gives what could not be done; those messages stay.
pub async fn send_back(
    deployment: &Deployment,
    aws: &Aws,
    graves: &mut [Grave],
    messages: &BTreeMap<usize, BTreeSet<usize>>,
) -> Vec<String> {
    let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&deployment.bucket));
    let mut failures = Vec::new();
    for (grave, wanted) in messages {
        let grave = &mut graves[*grave];
        let mut by_queue: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        for at in wanted {
            let message = &grave.messages[*at];
            let told = explained(grave, message);
            match (told.from.as_deref().and_then(|from| address(deployment, &grave.name, from)), told.body) {
                (Some(url), Some(body)) => by_queue.entry(url).or_default().push((*at, body)),
                (_, None) => failures.push(format!(
                    "{}/{}: its content is lost ({}): it stays",
                    grave.name,
                    short(&message.id),
                    told.why
                )),
                (None, _) => failures.push(format!(
                    "{}/{}: it does not say which queue it came from: it stays. weir dead-letters show prints it",
                    grave.name,
                    short(&message.id)
                )),
            }
        }
        let mut gone = BTreeSet::new();
        for (url, bodies) in by_queue {
            let queue = ticketed(aws, &url, &store);
            let (places, bodies): (Vec<usize>, Vec<String>) = bodies.into_iter().unzip();
            let mut settled = Vec::new();
            for (at, outcome) in places.into_iter().zip(queue.send(&bodies).await) {
                let message = &grave.messages[at];
                match outcome {
                    Ok(()) => settled.push((at, message.receipt.clone())),
                    Err(error) => failures.push(format!("{}/{}: {error}: it stays", grave.name, short(&message.id))),
                }
            }
            let receipts: Vec<Receipt> = settled.iter().map(|(_, receipt)| receipt.clone()).collect();
            for ((at, _), outcome) in settled.iter().zip(grave.queue.settle(&receipts).await) {
                gone.insert(*at);
                if let Err(error) = outcome {
                    let id = short(&grave.messages[*at].id);
                    failures.push(format!("{}/{id}: it was sent back, and lies here as well: {error}", grave.name));
                }
            }
            crate::out::line!("{}: {} message(s) sent back to {url}", grave.name, settled.len());
        }
        let mut at = 0;
        grave.messages.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
    failures
}

/// The queue that a message came from.
fn address(deployment: &Deployment, grave: &str, from: &str) -> Option<String> {
    let Some(stage) = grave.strip_prefix("stage-") else { return Some(deployment.fetch_queue.clone()) };
    let stage = deployment.stages.get(stage.parse::<usize>().ok()?)?;
    match from {
        "requests" => Some(stage.requests.clone()),
        "reports" => stage.reports.clone(),
        "control" => Some(stage.control.clone()),
        _ => None,
    }
}

/// As much of a message's id as people need.
pub fn short(id: &str) -> &str {
    id.get(..ID_SHOWN).unwrap_or(id)
}

/// What a message says of itself: a stage writes where it came from and why; one that its queue gave up is as it was sent.
pub fn explained(grave: &Grave, message: &Received) -> Told {
    let body = match &message.body {
        Ok(body) => body,
        Err(error) => return Told { from: None, why: error.to_string(), body: None },
    };
    let json: Json = serde_json::from_str(body).unwrap_or(Json::Null);
    let kind = json["kind"].as_str().unwrap_or_default();
    if grave.name == "fetch" {
        let why = "functions failed on it more often than the queue allows".to_owned();
        return Told { from: Some("fetch".into()), why, body: Some(body.clone()) };
    }
    if kind == "dead_letter" {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let body = Some(text("body")).filter(|body| !body.is_empty());
        return Told { from: Some(text("queue")), why: text("why"), body };
    }
    let from = match kind {
        "shard" | "forward" | "tally" => Some("requests".to_owned()),
        "reports" => Some("reports".to_owned()),
        "control" => Some("control".to_owned()),
        _ => None,
    };
    Told { from, why: "it was received more often than its queue allows".into(), body: Some(body.clone()) }
}

/// A message as JSON.
pub fn message_json(grave: &Grave, message: &Received) -> Json {
    let told = explained(grave, message);
    let body = told.body.map_or(Json::Null, |body| serde_json::from_str(&body).unwrap_or(Json::String(body)));
    json!({
        "id": format!("{}/{}", grave.name, message.id),
        "queue": grave.queue.name(),
        "from": told.from,
        "why": told.why,
        "received": message.receive_count,
        "body": body,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use weir_driver::SystemClock;
    use weir_queue::MemoryQueue;

    pub fn grave(name: &str) -> Grave {
        let clock = Arc::new(SystemClock::start());
        let queue = Arc::new(MemoryQueue::new(name, clock, Duration::ZERO));
        Grave { name: name.to_owned(), queue, messages: Vec::new(), is_cut: false }
    }

    pub fn message(body: &str) -> Received {
        let (id, receipt) = ("4f2c9a01-0000".to_owned(), Receipt("r".into()));
        Received { id, body: Ok(body.to_owned()), receipt, receive_count: 6 }
    }

    #[test]
    fn a_message_says_where_it_came_from_or_nobody_knows() {
        let stage = grave("stage-0");
        for (body, from) in [
            ("{\"v\":1,\"kind\":\"dead_letter\",\"queue\":\"control\",\"why\":\"no\",\"body\":\"x\"}", Some("control")),
            ("{\"v\":1,\"kind\":\"tally\"}", Some("requests")),
            ("{\"v\":1,\"kind\":\"reports\"}", Some("reports")),
            ("no JSON", None),
        ] {
            assert_eq!(explained(&stage, &message(body)).from.as_deref(), from, "{body}");
        }
        assert_eq!(explained(&grave("fetch"), &message("no JSON")).from.as_deref(), Some("fetch"));
    }
}
