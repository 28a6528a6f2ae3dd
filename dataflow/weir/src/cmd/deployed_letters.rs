//! `weir dead-letters` of a deployment: what its stages keep (pages in the bucket) and what lies on its dead-letter queues.
//!
//! Looking changes nothing: a message that was looked at is given back at once, and comes back by itself after half a minute should this process
//! die meanwhile. A message leaves its dead-letter queue only when it lies on the queue that it came from.

use crate::cmd::dead_letters::{line, shown};
use crate::cmd::deployment::{Deployment, runtime, ticketed};
use crate::cmd::enqueue::told;
use crate::cmd::{Usage, replay};
use crate::exit;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use weir_aws::Aws;
use weir_driver::remote::client::Client;
use weir_driver::{DeadLetters, Settings, SystemClock};
use weir_model::Clock;
use weir_model::json::JobHeader;
use weir_queue::{ArtifactStore, MessageQueue, Receipt, Received, Ticketed, Tickets};

/// How long a message that is looked at is hidden from others, at most.
const HIDDEN: Duration = Duration::from_secs(30);
/// An empty answer after so long is the end of a queue.
const WAIT: Duration = Duration::from_secs(1);
/// Messages of one queue that are looked at.
const MESSAGES_MAX: usize = 1_000;
/// Digits of a message's id that are shown.
const ID_SHOWN: usize = 8;

/// A dead-letter queue and what lies on it.
struct Grave {
    /// `fetch` or `stage-N`.
    name: String,
    queue: Arc<dyn MessageQueue>,
    messages: Vec<Received>,
    /// More lies there.
    is_cut: bool,
}

/// A message as people see it.
struct Told {
    /// The queue it came from; unknown when it says nothing that tells.
    from: Option<String>,
    why: String,
    /// As it was sent.
    body: Option<String>,
}

/// All of a deployment.
struct Found {
    letters: BTreeMap<u32, DeadLetters>,
    without_room: u64,
    graves: Vec<Grave>,
}

pub fn list(deployment: &Deployment, as_json: bool) -> anyhow::Result<u8> {
    let found = look(deployment)?;
    let letters = || found.letters.iter().flat_map(|(stage, all)| all.letters.values().map(move |kept| (*stage, kept)));
    let messages = || found.graves.iter().flat_map(|grave| grave.messages.iter().map(move |message| (grave, message)));
    if as_json {
        let letters: Vec<Json> = letters()
            .map(|(stage, kept)| {
                let mut json = shown(kept);
                json["id"] = format!("{stage}/{}", kept.letter.id).into();
                json["stage"] = stage.into();
                json
            })
            .collect();
        let messages: Vec<Json> = messages().map(|(grave, message)| message_json(grave, message)).collect();
        crate::out::line!("{}", json!({"letters": letters, "messages": messages, "beyond": found.without_room}));
        return Ok(exit::FINISHED);
    }
    crate::out::line!("dead letters of the deployment {}", deployment.stack);
    for (stage, kept) in letters() {
        crate::out::line!("{}", line(&format!("{stage}/{}", kept.letter.id), kept));
    }
    for (grave, message) in messages() {
        let told = explained(grave, message);
        crate::out::line!(
            "{:>16}  {}  received {} times\n       {}",
            format!("{}/{}", grave.name, short(&message.id)),
            told.from.map_or_else(|| "from an unknown queue".to_owned(), |from| format!("from {from}")),
            message.receive_count,
            told.why
        );
    }
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    crate::out::line!("{}, {}", of(letters().count(), "dead letter"), of(messages().count(), "message"));
    for grave in found.graves.iter().filter(|grave| grave.is_cut) {
        crate::out::line!("{}: more lies there; the first {MESSAGES_MAX} are shown", grave.name);
    }
    if found.without_room > 0 {
        crate::out::line!("{} more found no room (setting dead_letters.bytes_max)", found.without_room);
    }
    Ok(exit::FINISHED)
}

pub fn show(deployment: &Deployment, id: &str) -> anyhow::Result<u8> {
    let found = look(deployment)?;
    let json = match chosen(&found, &[id.to_owned()])?.pop().expect("one was asked for") {
        Chosen::Letter(stage, number) => {
            let mut json = shown(&found.letters[&stage].letters[&number]);
            json["id"] = id.into();
            json["stage"] = stage.into();
            json
        }
        Chosen::Message(grave, message) => message_json(&found.graves[grave], &found.graves[grave].messages[message]),
    };
    crate::out::line!("{}", serde_json::to_string_pretty(&json)?);
    Ok(exit::FINISHED)
}

pub fn replay(deployment: &Deployment, args: &replay::Args) -> anyhow::Result<u8> {
    let given = args.settings()?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let aws = deployment.aws().await?;
        let client = deployment.client(&aws);
        let mut found = read(deployment, &aws, &client).await?;
        let picked = match args.ids() {
            Some(ids) => chosen(&found, ids),
            None => Ok(all(&found)),
        };
        let picked = match picked {
            Ok(picked) => picked,
            Err(error) => {
                give_back(&found.graves).await;
                return Err(error.into());
            }
        };
        if picked.is_empty() {
            crate::out::line!("no dead letters");
            return Ok(exit::FINISHED);
        }
        let mut letters: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let mut messages: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for one in picked {
            match one {
                Chosen::Letter(stage, id) => letters.entry(stage).or_default().push(id),
                Chosen::Message(grave, message) => {
                    messages.entry(grave).or_default().insert(message);
                }
            }
        }
        let sent = send_back(deployment, &aws, &mut found, &messages).await;
        give_back(&found.graves).await;
        let failures = sent?;
        for (header, ids) in groups(&client, &found, letters).await? {
            let count: usize = ids.values().map(Vec::len).sum();
            let mut header = header;
            header.settings.remove("follow");
            if !args.follow() {
                header.settings.insert("follow".into(), "false".into());
            }
            header.settings.extend(given.clone());
            let opened = client.replay(header, ids, SystemClock::start().now().unix_ms()).await.map_err(told)?;
            let job = opened.job.0;
            crate::out::line!("job {job}: {count} dead letter(s) enter again; weir jobs show {job} says how that goes");
        }
        match failures.is_empty() {
            true => Ok(exit::FINISHED),
            false => Err(anyhow::anyhow!("{}", failures.join("\n"))),
        }
    })
}

/// Letters with the header of the job that carries them: one for all that have the same spider, arguments and settings.
async fn groups(
    client: &Client,
    found: &Found,
    letters: BTreeMap<u32, Vec<u64>>,
) -> anyhow::Result<Vec<(JobHeader, BTreeMap<u32, Vec<u64>>)>> {
    let mut headers = BTreeMap::new();
    let mut groups: BTreeMap<String, (JobHeader, BTreeMap<u32, Vec<u64>>)> = BTreeMap::new();
    for (stage, ids) in letters {
        for id in ids {
            let job = found.letters[&stage].letters[&id].letter.job;
            if let std::collections::btree_map::Entry::Vacant(entry) = headers.entry(job) {
                entry.insert(client.header(job).await.map_err(told)?);
            }
            let header: &JobHeader = &headers[&job];
            let mut settings = header.settings.clone();
            settings.remove("follow");
            let key = serde_json::to_string(&(&header.hash, &header.args, &settings))?;
            let group = groups.entry(key).or_insert_with(|| (header.clone(), BTreeMap::new()));
            group.1.entry(stage).or_default().push(id);
        }
    }
    Ok(groups.into_values().collect())
}

fn look(deployment: &Deployment) -> anyhow::Result<Found> {
    runtime()?.block_on(async {
        let aws = deployment.aws().await?;
        let found = read(deployment, &aws, &deployment.client(&aws)).await?;
        give_back(&found.graves).await;
        Ok(found)
    })
}

async fn read(deployment: &Deployment, aws: &Aws, client: &Client) -> anyhow::Result<Found> {
    let letters = client.letters().await.map_err(told)?;
    for damaged in letters.values().flat_map(|all| &all.damaged) {
        crate::out::err!("weir: a dead letter is lost: {damaged}");
    }
    let without_room = client.letters_without_room().await.map_err(told)?;
    let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&deployment.bucket));
    let mut names = vec![("fetch".to_owned(), deployment.fetch_dead_letters.clone())];
    let of_stage = |(at, stage): (usize, &crate::cmd::deployment::StageAddresses)| {
        (format!("stage-{at}"), stage.dead_letters.clone())
    };
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
            Ok::<_, weir_queue::QueueError>(Grave { name, queue, messages, is_cut })
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
        return Err(error.into());
    }
    graves.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(Found { letters, without_room, graves })
}

/// Each message once, the flag says that there are more.
async fn all_of(queue: &dyn MessageQueue) -> Result<(Vec<Received>, bool), weir_queue::QueueError> {
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

async fn give_back(graves: &[Grave]) {
    for grave in graves {
        let receipts: Vec<Receipt> = grave.messages.iter().map(|message| message.receipt.clone()).collect();
        // One that could not be given back comes back by itself.
        let _ = grave.queue.extend(&receipts, Duration::ZERO).await;
    }
}

enum Chosen {
    Letter(u32, u64),
    /// Which queue, which message.
    Message(usize, usize),
}

fn all(found: &Found) -> Vec<Chosen> {
    let letters =
        found.letters.iter().flat_map(|(stage, all)| all.letters.keys().map(|id| Chosen::Letter(*stage, *id)));
    let messages = found.graves.iter().enumerate();
    let messages = messages.flat_map(|(at, grave)| (0..grave.messages.len()).map(move |one| Chosen::Message(at, one)));
    letters.chain(messages).collect()
}

fn chosen(found: &Found, ids: &[String]) -> Result<Vec<Chosen>, Usage> {
    ids.iter()
        .map(|id| {
            let missing = || {
                Usage(format!(
                    "there is no dead letter {id}; `weir dead-letters list` shows those that are there, as STAGE/NUMBER (0/12) or \
                     QUEUE/MESSAGE (fetch/4f2c9a01)"
                ))
            };
            let (place, name) = id.split_once('/').ok_or_else(missing)?;
            if let (Ok(stage), Ok(number)) = (place.parse::<u32>(), name.parse::<u64>()) {
                let there = found.letters.get(&stage).is_some_and(|all| all.letters.contains_key(&number));
                return if there { Ok(Chosen::Letter(stage, number)) } else { Err(missing()) };
            }
            let grave = found.graves.iter().position(|grave| grave.name == place).ok_or_else(missing)?;
            let messages = found.graves[grave].messages.iter().enumerate();
            let mut fits = messages.filter(|(_, message)| !name.is_empty() && message.id.starts_with(name));
            match (fits.next(), fits.next()) {
                (Some((at, _)), None) => Ok(Chosen::Message(grave, at)),
                (None, _) => Err(missing()),
                _ => Err(Usage(format!("{id}: several messages begin so; expected more of its id"))),
            }
        })
        .collect()
}

/// Sends messages to where they came from, and only then takes them off. Gives what could not be done; those messages stay.
async fn send_back(
    deployment: &Deployment,
    aws: &Aws,
    found: &mut Found,
    messages: &BTreeMap<usize, BTreeSet<usize>>,
) -> anyhow::Result<Vec<String>> {
    let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&deployment.bucket));
    let mut failures = Vec::new();
    for (grave, wanted) in messages {
        let grave = &mut found.graves[*grave];
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
    Ok(failures)
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

fn short(id: &str) -> &str {
    id.get(..ID_SHOWN).unwrap_or(id)
}

/// What a message says of itself: a stage writes where it came from and why; one that its queue gave up is as it was sent.
fn explained(grave: &Grave, message: &Received) -> Told {
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

fn message_json(grave: &Grave, message: &Received) -> Json {
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

/// Settings of a replay, as a job carries them.
pub fn settings(given: &[String]) -> Result<BTreeMap<String, String>, Usage> {
    let mut settings = BTreeMap::new();
    for assignment in given {
        Settings::default().set(assignment).map_err(|error| Usage(error.to_string()))?;
        if let Some((name, value)) = assignment.split_once('=') {
            settings.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_queue::MemoryQueue;

    fn grave(name: &str) -> Grave {
        let clock = Arc::new(SystemClock::start());
        let queue = Arc::new(MemoryQueue::new(name, clock, Duration::ZERO));
        Grave { name: name.to_owned(), queue, messages: Vec::new(), is_cut: false }
    }

    fn message(body: &str) -> Received {
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

    #[test]
    fn a_letter_is_named_by_its_stage_and_a_message_by_the_beginning_of_its_id() {
        let messages = vec![message("one"), Received { id: "4f2cffff".into(), ..message("two") }];
        let mut found = Found { letters: BTreeMap::new(), without_room: 0, graves: vec![grave("fetch")] };
        found.graves[0].messages = messages;
        let ask = |id: &str| chosen(&found, &[id.to_owned()]);
        assert!(ask("fetch/4f2c9").is_ok_and(|found| matches!(found[..], [Chosen::Message(0, 0)])));
        for (id, told) in
            [("fetch/4f2c", "several"), ("fetch/9", "no dead letter"), ("0/1", "no dead letter"), ("7", "0/12")]
        {
            assert!(ask(id).is_err_and(|error| error.to_string().contains(told)), "{id}");
        }
    }
}
