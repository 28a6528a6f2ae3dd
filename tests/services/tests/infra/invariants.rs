//! Safety, durability and timing of what is deployed.

use crate::template::Template;
use serde_json::Value;

/// The longest request that a job may ask for without saying so (`weir-fetch`'s default), and what the function keeps
/// back at its end for answers and reports (`FunctionSettings::new`): both in seconds.
const REQUEST_SECONDS: i64 = 30;
const RESERVE_SECONDS: i64 = 14;

fn number(value: &Value) -> i64 {
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.unwrap_or_else(|| panic!("a number is expected, found {value}"))
}

/// One entry, or all of a list.
fn each(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |entries| entries.iter().collect())
}

/// Every policy statement of a template, those behind a condition too, as (where, statement).
fn statements(template: &Template) -> Vec<(String, Value)> {
    fn collect(value: &Value, found: &mut Vec<Value>) {
        if value.get("Effect").is_some() {
            found.push(value.clone());
        }
        match value {
            Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, found)),
            Value::Object(entries) => entries.values().for_each(|entry| collect(entry, found)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for (name, resource) in template.value["Resources"].as_object().expect("resources") {
        let mut found = Vec::new();
        collect(resource, &mut found);
        all.extend(
            found.into_iter().map(|statement| (format!("{} {name} {}", template.name, statement["Sid"]), statement)),
        );
    }
    all
}

#[test]
fn queue_keeps_a_message_from_others_for_as_long_as_the_function_may_work() {
    let fleet = Template::load("fleet.yaml");
    let function = fleet.resource("FetchParse");
    let source = fleet.resource("FetchSource");
    let timeout = number(&function["Timeout"]);
    let idle = number(&function["Environment"]["Variables"]["WEIR_IDLE_MS"]) / 1000;
    let batching = source.get("MaximumBatchingWindowInSeconds").map_or(0, number);
    assert!(timeout >= REQUEST_SECONDS + idle + RESERVE_SECONDS, "{timeout} s are too short for a late slot's request");
    assert!(timeout <= 900);
    let visibility = number(&fleet.resource("FetchQueue")["VisibilityTimeout"]);
    assert!(visibility >= 6 * timeout + batching, "{visibility} s against {timeout} s");
    assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures");
    assert_eq!(source["BatchSize"], 1);
}

#[test]
fn claim_outlives_the_message_it_stands_for() {
    let fleet = Template::load("fleet.yaml");
    let hours = number(&fleet.resource("FetchParse")["Environment"]["Variables"]["WEIR_CLAIM_TTL_HOURS"]);
    assert!(hours * 3600 > number(&fleet.resource("FetchQueue")["MessageRetentionPeriod"]));
    let table = fleet.resource("ClaimTable");
    assert_eq!(table["KeySchema"][0]["AttributeName"], "id");
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], "expires");
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true);
}

#[test]
fn queues_are_encrypted_and_each_has_dead_letters_that_are_kept_longest() {
    let mut working = 0;
    for template in Template::all() {
        for (name, queue) in template.resources("AWS::SQS::Queue") {
            let place = format!("{} {name}", template.name);
            assert_eq!(queue["SqsManagedSseEnabled"], true, "{place}");
            let Some(redrive) = queue.get("RedrivePolicy") else {
                assert_eq!(number(&queue["MessageRetentionPeriod"]), 1_209_600, "{place}: dead letters");
                continue;
            };
            working += 1;
            let target = redrive["deadLetterTargetArn"]["Fn::GetAtt"].as_str().expect("a queue of this template");
            let target = template.resource(target.trim_end_matches(".Arn"));
            assert!(target.get("RedrivePolicy").is_none(), "{place}");
            assert!(number(&target["MessageRetentionPeriod"]) >= number(&queue["MessageRetentionPeriod"]), "{place}");
            assert!(number(&redrive["maxReceiveCount"]) >= 5, "{place}: throttled functions give messages back");
        }
    }
    assert_eq!(working, 4, "fetch, requests, reports, control");
}

#[test]
fn stage_queues_keep_a_crawl_for_14_days_and_leave_poison_to_the_stage() {
    let stage = Template::load("stage.yaml");
    for name in ["Requests", "Reports", "Control"] {
        let queue = stage.resource(name);
        assert_eq!(number(&queue["MessageRetentionPeriod"]), 1_209_600, "{name}");
        assert!(number(&queue["RedrivePolicy"]["maxReceiveCount"]) >= 100, "{name}");
    }
}

#[test]
fn nobody_may_do_everything_or_something_to_everything() {
    let mut allowed = 0;
    for template in Template::all() {
        for (place, statement) in statements(&template) {
            if statement["Effect"] == "Deny" {
                continue;
            }
            allowed += 1;
            assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none(), "{place}");
            for action in each(&statement["Action"]) {
                let action = action.as_str().unwrap_or_else(|| panic!("{place}: {action}"));
                assert!(!action.contains('*'), "{place}: {action}");
            }
            for resource in each(&statement["Resource"]).into_iter().filter(|resource| !resource.is_null()) {
                // The registry's log-in is the one action that has no resource.
                let log_in = each(&statement["Action"]) == ["ecr:GetAuthorizationToken"];
                let text = resource.as_str().unwrap_or_default();
                assert!(log_in || !text.contains('*'), "{place}: {resource}");
                if let Some(text) = resource["Fn::Sub"].as_str() {
                    assert!(
                        !text.trim_end_matches('*').contains('*') && text.starts_with("${")
                            || text.starts_with("arn:${AWS::Partition}:") && text.matches('*').count() <= 1,
                        "{place}: {text}"
                    );
                    assert!(!text.ends_with(":*"), "{place}: {text}");
                }
            }
            if statement.get("Principal").is_some() {
                let service = statement["Principal"]["Service"].as_str().unwrap_or_default();
                assert!(
                    service.ends_with(".amazonaws.com"),
                    "{place}: only services take roles, not {}",
                    statement["Principal"]
                );
            }
        }
    }
    assert!(allowed > 15, "{allowed} statements were read");
}

#[test]
fn nothing_listens_to_the_world() {
    for template in Template::all() {
        for (name, group) in template.resources("AWS::EC2::SecurityGroup") {
            for rule in group.get("SecurityGroupIngress").map(each).unwrap_or_default() {
                assert!(rule.get("SourceSecurityGroupId").is_some(), "{} {name}: {rule}", template.name);
                assert!(
                    rule.get("CidrIp").is_none() && rule.get("CidrIpv6").is_none(),
                    "{} {name}: {rule}",
                    template.name
                );
            }
        }
        for kind in ["AWS::EC2::SecurityGroupIngress", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::Lambda::Url"]
        {
            assert!(template.resources(kind).is_empty(), "{} has a {kind}", template.name);
        }
    }
    let stage = Template::load("stage.yaml");
    for container in each(&stage.resource("Task")["ContainerDefinitions"]) {
        assert!(container.get("PortMappings").is_none());
    }
}

#[test]
fn buckets_are_private_encrypted_and_tidy_themselves() {
    let mut count = 0;
    for template in Template::all() {
        for (name, bucket) in template.resources("AWS::S3::Bucket") {
            count += 1;
            let place = format!("{} {name}", template.name);
            for block in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
                assert_eq!(bucket["PublicAccessBlockConfiguration"][block], true, "{place}: {block}");
            }
            assert!(bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0].is_object(), "{place}");
            assert!(bucket.get("AccessControl").is_none() && bucket.get("WebsiteConfiguration").is_none(), "{place}");
            assert!(!each(&bucket["LifecycleConfiguration"]["Rules"]).is_empty(), "{place}");
            let policies = template.resources("AWS::S3::BucketPolicy");
            assert!(
                policies.iter().any(|(_, policy)| policy["Bucket"]["Ref"] == name.as_str()),
                "{place}: only by TLS"
            );
        }
    }
    assert_eq!(count, 2);
    let fleet = Template::load("fleet.yaml");
    let rules = fleet.resource("ArtifactBucket")["LifecycleConfiguration"]["Rules"].clone();
    for prefix in ["tickets/", "census/"] {
        let objects = each(&rules).into_iter().find(|rule| rule["Prefix"] == prefix).expect("they age");
        assert!(
            number(&objects["ExpirationInDays"]) > 14,
            "{prefix}: an object outlives the message that it belongs to"
        );
    }
}

#[test]
fn function_is_outside_a_vpc_and_its_size_is_a_parameter() {
    let fleet = Template::load("fleet.yaml");
    let function = &fleet.value["Resources"]["FetchParse"]["Properties"];
    assert!(function.get("VpcConfig").is_none(), "a VPC would need a NAT gateway, which costs more than the crawl");
    assert_eq!(function["Architectures"][0]["Ref"], "Architecture");
    assert_eq!(function["MemorySize"]["Ref"], "FunctionMemory");
    assert_eq!(function["Runtime"], "provided.al2023");
    let limit = &fleet.value["Resources"]["FetchSource"]["Properties"]["ScalingConfig"]["Fn::If"][1];
    assert_eq!(limit["MaximumConcurrency"]["Ref"], "FunctionConcurrency");
    assert_eq!(
        fleet.resource("FetchParse")["Environment"]["Variables"]["WEIR_ALLOW_HOSTS"],
        "",
        "the guard is strict by default"
    );
}

#[test]
fn state_has_one_owner_and_is_encrypted_at_rest_and_under_way() {
    let stage = Template::load("stage.yaml");
    let deployment = &stage.resource("Service")["DeploymentConfiguration"];
    assert_eq!(deployment["MinimumHealthyPercent"], 0);
    assert_eq!(deployment["MaximumPercent"], 100);
    let task = stage.resource("Task");
    let volume = &task["Volumes"][0]["EFSVolumeConfiguration"];
    assert_eq!(volume["TransitEncryption"], "ENABLED");
    assert_eq!(volume["AuthorizationConfig"]["IAM"], "ENABLED");
    let container = &task["ContainerDefinitions"][0];
    assert_eq!(container["ReadonlyRootFilesystem"], true);
    assert_eq!(container["User"], "10001:10001");
    let fleet = Template::load("fleet.yaml");
    assert_eq!(fleet.resource("States")["Encrypted"], true);
    assert_eq!(fleet.resource("States")["BackupPolicy"]["Status"], "ENABLED");
}

#[test]
fn every_log_group_forgets() {
    let groups: Vec<_> =
        Template::all().iter().flat_map(|template| template.resources("AWS::Logs::LogGroup")).collect();
    assert_eq!(groups.len(), 2);
    for (name, group) in groups {
        assert!((1..=365).contains(&number(&group["RetentionInDays"])), "{name}");
    }
}

#[test]
fn every_alarm_tells_somebody_and_the_needed_ones_are_there() {
    let mut watched = Vec::new();
    for template in Template::all() {
        for (name, alarm) in template.resources("AWS::CloudWatch::Alarm") {
            assert!(!each(&alarm["AlarmActions"]).is_empty(), "{name}");
            assert!(
                alarm["AlarmDescription"].as_str().is_some_and(|words| words.len() > 30),
                "{name} says what it means"
            );
            watched.push(format!(
                "{} {}",
                alarm["Namespace"].as_str().unwrap_or_default(),
                alarm["MetricName"].as_str().unwrap_or_default()
            ));
        }
    }
    for needed in [
        "AWS/SQS ApproximateAgeOfOldestMessage",
        "AWS/SQS ApproximateNumberOfMessagesVisible",
        "AWS/Lambda Errors",
        "weir Heartbeat",
    ] {
        assert!(watched.iter().any(|alarm| alarm == needed), "{needed} in {watched:?}");
    }
    assert_eq!(Template::load("stage.yaml").resource("Silent")["TreatMissingData"], "breaching");
    assert_eq!(Template::load("fleet.yaml").resources("AWS::Budgets::Budget").len(), 1);
}

#[test]
fn secrets_are_references() {
    let stage = Template::load("stage.yaml");
    let container = &stage.value["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0];
    assert_eq!(container["Secrets"]["Fn::If"][1][0]["ValueFrom"]["Ref"], "SinkSecretArn");
    for template in Template::all() {
        for name in template.value["Parameters"].as_object().map(|all| all.keys()).into_iter().flatten() {
            let name = name.to_lowercase();
            let reference = name.ends_with("arn");
            assert!(reference || !name.contains("password") && !name.contains("secret"), "{name}");
        }
    }
}

#[test]
fn dashboard_is_json_once_its_names_are_filled_in() {
    let fleet = Template::load("fleet.yaml");
    let body = fleet.value["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        .as_str()
        .expect("text")
        .to_owned();
    let mut filled = String::new();
    for (index, part) in body.split("${").enumerate() {
        filled.push_str(if index == 0 { part } else { part.split_once('}').expect("closed").1 });
    }
    let dashboard: Value = serde_json::from_str(&filled).expect("JSON");
    assert_eq!(dashboard["widgets"].as_array().map(Vec::len), Some(4));
}
