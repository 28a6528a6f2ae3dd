//! `weir dead-letters` of a deployment: what its stages keep (pages in the bucket) and what lies on its dead-letter queues.
//!
//! Decides which of them are meant, and puts letters of one kind into one job. Looking changes nothing.

use crate::cmd::dead_letters::{line, shown};
use crate::cmd::dead_queues::{self, Grave, MESSAGES_MAX, explained, give_back, message_json, send_back, short};
use crate::cmd::deployment::{Deployment, runtime};
use crate::cmd::enqueue::told;
use crate::cmd::{Usage, replay};
use crate::exit;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use weir_aws::Aws;
use weir_driver::remote::client::Client;
use weir_driver::{DeadLetters, Settings, SystemClock};
use weir_model::Clock;
use weir_model::json::JobHeader;

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
        let failures = send_back(deployment, &aws, &mut found.graves, &messages).await;
        give_back(&found.graves).await;
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
    let graves = dead_queues::read(deployment, aws).await?;
    Ok(Found { letters, without_room, graves })
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
    use crate::cmd::dead_queues::tests::{grave, message};
    use weir_queue::Received;

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
