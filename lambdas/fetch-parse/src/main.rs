//! The Lambda function: composition only. What it does is `weir_fetch_parse::function`.

use lambda_runtime::{LambdaEvent, service_fn};
use std::rc::Rc;
use std::sync::Arc;
use weir_aws::{Aws, SqsBatchResponse, SqsEvent, batch_response, records};
use weir_fetch_parse::function::{Delivery, Function, FunctionParts, FunctionSettings, InvocationClock, Queues};
use weir_model::{Clock, Tick};
use weir_queue::MessageQueue;

struct Sqs(Aws);

impl Queues for Sqs {
    fn open(&self, address: &str) -> Arc<dyn MessageQueue> {
        Arc::new(self.0.queue(address))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = FunctionSettings::from_env(variable)?;
    let aws = Aws::from_env()?;
    let name = variable("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "weir-fetch-parse".into());
    let clock = Arc::new(InvocationClock::start());
    let function = Rc::new(Function::new(FunctionParts {
        artifacts: Arc::new(aws.bucket(&settings.bucket)),
        claims: Arc::new(aws.claims(&settings.claim_table)),
        queues: Box::new(Sqs(aws)),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        settings,
        server: name.clone(),
    }));
    let handler = service_fn(move |event: LambdaEvent<SqsEvent>| {
        let (function, clock, name) = (Rc::clone(&function), Arc::clone(&clock), name.clone());
        async move { invoke(&function, &clock, &name, event).await }
    });
    tokio::task::LocalSet::new().run_until(lambda_runtime::run(handler)).await
}

async fn invoke(
    function: &Function,
    clock: &InvocationClock,
    name: &str,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    clock.set();
    let ends_at = Tick(event.context.deadline.saturating_mul(1000));
    let records = records(event.payload)?;
    let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
    let deliveries = records.into_iter().map(|record| Delivery { id: record.id, body: record.body }).collect();
    let invoked = function.invoke(&event.context.request_id, deliveries, ends_at).await;
    println!("{}\n{}", invoked.figures.log_line(), invoked.figures.metrics(clock.now().unix_ms(), name));
    Ok(batch_response(&invoked.failed, &ids)?)
}
