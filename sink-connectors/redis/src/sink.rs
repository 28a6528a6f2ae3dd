//! Redis as a sink: a pipeline of guarded writes a batch.
//!
//! Invariant: each item is written whole or not at all; a batch that failed may be repeated.

use crate::error::{self, Meaning};
use crate::link::Link;
use crate::place::RedisPlace;
use crate::readback::Walk;
use crate::row::{self, Spot};
use crate::schema::{Keys, places_key, types_key};
use crate::script::{DELIST, MARK, TRIAL, WRITE};
use redis::{Pipeline, ServerError, Value as Answer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_connector::{
    BatchPolicy, BoxFuture, Bridge, ErrorClass, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind,
    SinkMark, StoredItem,
};
use weir_connector::{fields, text};
use weir_model::{Item, ItemId, ItemSchema, Outcome, crash};

/// Items a pipeline: a few megabytes of answers and requests in flight at most.
const PIPELINE_ITEMS_MAX: usize = 512;
/// Bytes a pipeline, about.
const PIPELINE_BYTES_MAX: usize = 4 << 20;

/// Keys of a Redis server.
#[derive(Debug)]
pub struct RedisSink {
    place: RedisPlace,
    env: fn(&str) -> Option<String>,
    open: Option<OpenSink>,
}

#[derive(Debug)]
struct OpenSink {
    state: Arc<Mutex<State>>,
    bridge: Bridge,
}

#[derive(Debug)]
struct State {
    link: Link,
    types: Vec<(Arc<ItemSchema>, Keys)>,
    spider: String,
    /// The server's name for the script.
    script: String,
}

impl RedisSink {
    /// By URL; the password's variable, if it needs one, is read at `open`.
    pub fn from_url(url: &str) -> Result<RedisSink, SinkError> {
        Ok(RedisSink::new(RedisPlace::parse(url)?))
    }

    /// A place whose password's variable is read from the process's environment.
    #[must_use]
    pub fn new(place: RedisPlace) -> RedisSink {
        RedisSink { place, env: |name| std::env::var(name).ok(), open: None }
    }

    fn opened(&self) -> Result<&OpenSink, SinkError> {
        self.open.as_ref().ok_or_else(|| SinkError::not_open(&self.place.shown))
    }

    fn bad_name(&self, why: String) -> SinkError {
        SinkError::new(
            ErrorClass::Configuration,
            why,
            self.place.shown.clone(),
            "letters, digits, underscores and hyphens, and no field named like weir's own",
            "Rename it in the spider file",
        )
    }

    fn start(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.open = None;
        let mut types = Vec::new();
        for schema in &job.schemas {
            let keys = Keys::new(&self.place, schema).map_err(|why| self.bad_name(why))?;
            types.push((schema.clone(), keys));
        }
        let link = Link::new(self.place.clone(), &self.place.password(self.env)?)?;
        let bridge = Bridge::start("redis")?;
        let mut state = State { link, types, spider: job.spider.clone(), script: String::new() };
        crash::point("redis: open");
        let (state, generation) = bridge.wait(async move {
            let generation = state.prepare().await;
            (state, generation)
        });
        self.open = Some(OpenSink { state: Arc::new(Mutex::new(state)), bridge });
        generation.map(|generation| Opened { generation })
    }
}

impl State {
    /// The marks of all types, made where there is none; says which places there are.
    async fn prepare(&mut self) -> Result<u64, SinkError> {
        let place = self.link.place.clone();
        // An item that is seen again at least this often never expires: a new generation gets every item, which renews it.
        let age_max_s = place.ttl.map_or(0, |ttl| (ttl.as_secs() / 2).max(1));
        let mut generation = 0u64;
        for (schema, keys) in &self.types {
            let mut command = redis::cmd("EVAL");
            command.arg(MARK).arg(1).arg(&keys.mark).arg(age_max_s);
            let mark: String = self.link.ask("open", command).await?;
            let number = mark.split(':').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
            generation = generation.rotate_left(5) ^ number.unwrap_or_default();
            let mut command = redis::cmd("HSET");
            command.arg(types_key(&place.prefix)).arg(&schema.name).arg(fields::remembered(schema));
            self.link.ask::<i64>("open", command).await?;
            for spot in &keys.places {
                let mut command = redis::cmd("SADD");
                let field = &schema.fields[spot.field].name;
                command.arg(places_key(&place.prefix)).arg(format!("{} {field}", schema.name));
                self.link.ask::<i64>("open", command).await?;
            }
        }
        self.load().await?;
        self.try_rights().await?;
        Ok(generation)
    }

    async fn load(&mut self) -> Result<(), SinkError> {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(WRITE);
        self.script = self.link.ask("open", command).await?;
        Ok(())
    }

    /// Does once what writing does, and leaves nothing.
    async fn try_rights(&mut self) -> Result<(), SinkError> {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(TRIAL);
        let trial: String = self.link.ask("open", command).await?;
        for (_, keys) in &self.types {
            let mut pipe = redis::pipe();
            pipe.cmd("MGET").arg(&keys.mark);
            pipe.cmd("EVALSHA").arg(&trial).arg(1).arg(&keys.trial);
            self.link.all::<Answer>("open", pipe).await?;
        }
        Ok(())
    }

    async fn write(&mut self, items: &[Arc<Item>]) -> Result<Vec<ItemOutcome>, SinkError> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take(PIPELINE_ITEMS_MAX).take_while(|item| {
                bytes += item.bytes();
                bytes <= PIPELINE_BYTES_MAX
            });
            let (part, behind) = rest.split_at(fit.count().max(1));
            match self.write_part(part).await? {
                Some(more) => outcomes.extend(more),
                None => {
                    // Only a server that forgets scripts as fast as they are loaded gets here twice.
                    self.load().await?;
                    let again = self.write_part(part).await?;
                    let lost = || {
                        error::by_meaning(
                            "write",
                            &self.link.place.shown,
                            Meaning::NoScript,
                            "",
                            "the script is gone again",
                        )
                    };
                    outcomes.extend(again.ok_or_else(lost)?);
                }
            }
            rest = behind;
        }
        Ok(outcomes)
    }

    /// One pipeline; `None` when the server does not know the script, and then nothing was written.
    async fn write_part(&mut self, items: &[Arc<Item>]) -> Result<Option<Vec<ItemOutcome>>, SinkError> {
        let mut pipe = redis::pipe();
        let marks: Vec<&String> = self.types.iter().map(|(_, keys)| &keys.mark).collect();
        pipe.cmd("MGET").arg(&marks);
        let mut outcomes: Vec<Option<ItemOutcome>> = Vec::with_capacity(items.len());
        for item in items {
            let refused = match self.types.get(usize::from(item.schema)) {
                None => Some(format!("the item is of type {}, which the job does not have", item.schema)),
                Some((schema, keys)) => row::misfit(schema, item).or_else(|| {
                    self.put(&mut pipe, schema, keys, item);
                    None
                }),
            };
            outcomes.push(refused.map(|reason| ItemOutcome::Refused { reason }));
        }
        crash::point("redis: write");
        let answers = self.link.run("write", &mut pipe).await?;
        let mut answers = answers.into_iter();
        self.check_marks(answers.next())?;
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *outcome = Some(match answers.next() {
                Some(Answer::Int(1)) => ItemOutcome::Stored,
                Some(Answer::Int(0)) => ItemOutcome::Unchanged,
                Some(Answer::Int(-1)) => ItemOutcome::Stale,
                Some(Answer::ServerError(error)) => match error::code_meaning(error::code_of(&error)) {
                    Meaning::NoScript => return Ok(None),
                    Meaning::Row => ItemOutcome::Refused {
                        reason: format!(
                            "the server refuses it: {} {}",
                            error.code(),
                            error.details().unwrap_or_default()
                        ),
                    },
                    meaning => return Err(self.failed(meaning, &error)),
                },
                other => return Err(self.unexpected(&other)),
            });
        }
        Ok(Some(outcomes.into_iter().flatten().collect()))
    }

    async fn delist(&mut self, schema: u16, ids: &[ItemId], at: u64) -> Result<Vec<ItemOutcome>, SinkError> {
        let Some((_, keys)) = self.types.get(usize::from(schema)) else {
            return Ok(vec![ItemOutcome::Unchanged; ids.len()]);
        };
        let mut outcomes = Vec::with_capacity(ids.len());
        for part in ids.chunks(PIPELINE_ITEMS_MAX) {
            let mut pipe = redis::pipe();
            for id in part {
                let keys = keys.of_item(*id);
                let command = pipe.cmd("EVAL").arg(DELIST).arg(keys.len()).arg(keys);
                command.arg(at).arg(text::version_as_time(at)).arg(id.to_hex());
            }
            let answers: Vec<i64> = self.link.all("delist", pipe).await?;
            outcomes.extend(answers.into_iter().map(|answer| match answer {
                1 => ItemOutcome::Stored,
                -1 => ItemOutcome::Stale,
                _ => ItemOutcome::Unchanged,
            }));
        }
        Ok(outcomes)
    }

    fn put(&self, pipe: &mut Pipeline, schema: &ItemSchema, keys: &Keys, item: &Item) {
        let id = item.id.to_hex();
        let hash = format!("{:016x}", item.hash);
        let life_ms = self.link.place.ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let names = keys.of_item(item.id);
        let command = pipe.cmd("EVALSHA").arg(&self.script).arg(names.len()).arg(names);
        command.arg(item.version).arg(&hash).arg(life_ms).arg(&id);
        for place in &keys.places {
            match row::spot(item.values.get(place.field)) {
                Spot::Cell { lat, lon } => command.arg(lon).arg(lat),
                Spot::Beyond => command.arg("beyond").arg(""),
                Spot::None => command.arg("").arg(""),
            };
        }
        for (field, value) in schema.fields.iter().zip(&item.values) {
            if let Some(cell) = row::cell(field.kind, value) {
                command.arg(&field.name).arg(cell);
            }
        }
        command.arg("_job").arg(item.job.0).arg("_spider").arg(&self.spider).arg("_version").arg(item.version);
        command.arg("_hash").arg(&hash).arg("_fetched_at").arg(text::version_as_time(item.version));
    }

    /// A mark that is gone while the sink is open: the server was emptied, or came back without its data.
    fn check_marks(&self, answer: Option<Answer>) -> Result<(), SinkError> {
        match answer {
            Some(Answer::Array(marks)) if !marks.contains(&Answer::Nil) => Ok(()),
            Some(Answer::Array(_)) => Err(SinkError::new(
                ErrorClass::Permanent,
                "the server has lost what was written",
                self.link.place.shown.clone(),
                "a server that keeps its data",
                "Run the same command again: every item is written anew. To keep data over a restart set appendonly yes and \
                 appendfsync always on the server",
            )),
            Some(Answer::ServerError(error)) => Err(self.failed(error::code_meaning(error::code_of(&error)), &error)),
            other => Err(self.unexpected(&other)),
        }
    }

    fn failed(&self, meaning: Meaning, error: &ServerError) -> SinkError {
        let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
        error::by_meaning("write", &self.link.place.shown, meaning, error::code_of(error), &said)
    }

    fn unexpected(&self, answer: &Option<Answer>) -> SinkError {
        let said = format!("an unexpected answer: {answer:?}");
        error::by_meaning("write", &self.link.place.shown, Meaning::Broken, "", &said)
    }
}

impl Sink for RedisSink {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 2_048, bytes_max: 8 << 20, wait_max: Duration::from_millis(100) };
        SinkInfo { name: "redis", url: self.place.shown.clone(), kind: SinkKind::Keyed, batch }
    }

    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.start(job)
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        Box::pin(async move {
            outcomes.clear();
            let open = self.opened()?;
            if items.is_empty() {
                return Ok(SinkMark::default());
            }
            let (state, items) = (Arc::clone(&open.state), items.to_vec());
            *outcomes = open.bridge.run(async move { state.lock().await.write(&items).await }).await?;
            Ok(SinkMark::default())
        })
    }

    fn read_back<'a>(
        &'a mut self,
        job: &'a JobInfo,
        each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let link = Link::new(self.place.clone(), &self.place.password(self.env)?)?;
            let link = Arc::new(Mutex::new(link));
            let bridge = Bridge::start("redis")?;
            for (number, schema) in job.schemas.iter().enumerate() {
                let keys = Keys::new(&self.place, schema).map_err(|why| self.bad_name(why))?;
                let keys = Arc::new(keys);
                let walk = Arc::new(Mutex::new(Walk::default()));
                loop {
                    let (link, walk) = (Arc::clone(&link), Arc::clone(&walk));
                    let (schema, keys) = (Arc::clone(schema), Arc::clone(&keys));
                    let next = async move {
                        walk.lock().await.next(&mut *link.lock().await, number as u16, &schema, &keys).await
                    };
                    let Some(items) = bridge.run(next).await? else { break };
                    items.into_iter().for_each(&mut *each);
                }
            }
            Ok(())
        })
    }

    fn can_delist(&self) -> bool {
        true
    }

    fn delist<'a>(
        &'a mut self,
        schema: u16,
        ids: &'a [ItemId],
        at: u64,
    ) -> BoxFuture<'a, Result<Vec<ItemOutcome>, SinkError>> {
        Box::pin(async move {
            let open = self.opened()?;
            let (state, ids) = (Arc::clone(&open.state), ids.to_vec());
            open.bridge.run(async move { state.lock().await.delist(schema, &ids, at).await }).await
        })
    }

    fn finish<'a>(&'a mut self, _outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        // Nothing is held back: every write was confirmed.
        self.open = None;
        Box::pin(async { Ok(()) })
    }
}
