//! The cluster as a sink: opens on its own thread, writes a batch a call, keeps nothing between calls but connection and sizes.

use crate::bulk::Bulk;
use crate::gone;
use crate::index::{self, Index};
use crate::link::Link;
use crate::place::ElasticsearchPlace;
use crate::readback::Reading;
use crate::write::Batch;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_connector::{
    BatchPolicy, BoxFuture, Bridge, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
    StoredItem,
};
use weir_model::{Item, ItemId, Outcome};

/// Indices of an Elasticsearch or OpenSearch cluster.
#[derive(Debug)]
pub struct ElasticsearchSink {
    place: ElasticsearchPlace,
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
    bulk: Bulk,
    indices: Vec<Index>,
    spider: String,
}

impl ElasticsearchSink {
    /// By URL; the variables of its secrets are read at `open`.
    pub fn from_url(url: &str) -> Result<ElasticsearchSink, SinkError> {
        Ok(ElasticsearchSink::new(ElasticsearchPlace::parse(url)?))
    }

    /// A place whose secrets' variables are read from the process's environment.
    #[must_use]
    pub fn new(place: ElasticsearchPlace) -> ElasticsearchSink {
        ElasticsearchSink { place, env: |name| std::env::var(name).ok(), open: None }
    }

    fn start(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.open = None;
        let mut link = Link::new(self.place.clone(), self.place.authorization(self.env)?)?;
        let bulk = Bulk::new(self.place.bulk_bytes_max);
        let bridge = Bridge::start("elasticsearch")?;
        let (schemas, spider) = (job.schemas.clone(), job.spider.clone());
        let (state, generation) = bridge.wait(async move {
            let (indices, generation) = index::prepare(&mut link, &schemas).await?;
            Ok::<_, SinkError>((State { link, bulk, indices, spider }, generation))
        })?;
        self.open = Some(OpenSink { state: Arc::new(Mutex::new(state)), bridge });
        Ok(Opened { generation })
    }

    fn opened(&self) -> Result<&OpenSink, SinkError> {
        self.open.as_ref().ok_or_else(|| SinkError::not_open(&self.place.shown))
    }
}

impl Sink for ElasticsearchSink {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 5_000, bytes_max: 16 << 20, wait_max: Duration::from_millis(200) };
        SinkInfo { name: "elasticsearch", url: self.place.shown.clone(), kind: SinkKind::Keyed, batch }
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
            let work = async move {
                let State { link, bulk, indices, spider } = &mut *state.lock().await;
                Batch { indices, spider, items: &items }.write(link, bulk).await
            };
            *outcomes = open.bridge.run(work).await?;
            Ok(SinkMark::default())
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
            let work = async move {
                let State { link, bulk, indices, .. } = &mut *state.lock().await;
                match indices.get(usize::from(schema)) {
                    Some(index) => gone::mark(link, bulk, index, &ids, at).await,
                    None => Ok(vec![ItemOutcome::Unchanged; ids.len()]),
                }
            };
            open.bridge.run(work).await
        })
    }

    fn read_back<'a>(
        &'a mut self,
        job: &'a JobInfo,
        each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let bridge = Bridge::start("elasticsearch")?;
            for (number, schema) in job.schemas.iter().enumerate() {
                let link = Link::new(self.place.clone(), self.place.authorization(self.env)?)?;
                let reading = bridge.run(Reading::begin(link, number, Arc::clone(schema))).await?;
                let reading = Arc::new(Mutex::new(reading));
                loop {
                    let reading = Arc::clone(&reading);
                    let page = bridge.run(async move { reading.lock().await.page().await }).await?;
                    let Some(items) = page else { break };
                    items.into_iter().for_each(&mut *each);
                }
            }
            Ok(())
        })
    }

    fn finish<'a>(&'a mut self, _outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let Some(open) = self.open.take() else { return Ok(()) };
            let state = Arc::clone(&open.state);
            let work = async move {
                let State { link, indices, .. } = &mut *state.lock().await;
                for index in indices.iter() {
                    // What was written is durable already; searches see it within a second in any case.
                    if let Err(error) = crate::alias::refresh(link, &index.name).await {
                        tracing::warn!(%error, "what was written is there, and searches see it later");
                    }
                }
            };
            open.bridge.run(work).await;
            Ok(())
        })
    }
}
