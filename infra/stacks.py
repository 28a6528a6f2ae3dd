"""Stacks by change sets: what `aws cloudformation deploy` does, with quicker answers and whole reasons.

    stacks.py put NAME TEMPLATE [KEY=VALUE...]   deploys; parameters that are not named keep what they were
    stacks.py drop NAME                          deletes; nothing happens when there is none
    stacks.py outputs NAME                       KEY=VALUE a line: outputs, then status and parameters as Status, Parameter.KEY
"""

import sys
import time

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

TIME_MAX_S = 3600
FAILED_AT_BIRTH = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")

session = botocore.session.get_session()
cloudformation = session.create_client("cloudformation")
PAUSE_S = 0.2 if "amazonaws" not in cloudformation.meta.endpoint_url else 3


def say(words):
    print(words, file=sys.stderr, flush=True)


def describe(name):
    """The stack, or None. One that only has change sets to be looked at was never there."""
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as problem:
        if "does not exist" in str(problem):
            return None
        raise
    return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack


def settled(name, stack_id=None):
    """Waits until nothing is in progress."""
    deadline = time.monotonic() + TIME_MAX_S
    while time.monotonic() < deadline:
        stack = describe(stack_id or name)
        if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(PAUSE_S)
    sys.exit(f"{name}: still in progress after {TIME_MAX_S} s")


def reasons(stack_id):
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    events = [event for page in pages for event in page["StackEvents"]]
    for event in reversed(events[:200]):
        reason = event.get("ResourceStatusReason", "")
        if "FAILED" in event["ResourceStatus"] and "cancelled" not in reason:
            say(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}")


def put(name, template, *pairs):
    wanted = dict(pair.split("=", 1) for pair in pairs)
    with open(template, encoding="utf-8") as file:
        body = file.read()
    stack = settled(name)
    if stack and stack["StackStatus"] in FAILED_AT_BIRTH:
        say(f"{name}: its first deployment had failed; begun anew")
        drop(name)
        stack = None
    known = {each["ParameterKey"] for each in cloudformation.get_template_summary(TemplateBody=body)["Parameters"]}
    strange = sorted(wanted.keys() - known)
    if strange:
        sys.exit(f"{name}: {template} has no parameter {', '.join(strange)}; it has {', '.join(sorted(known))}")
    before = {each["ParameterKey"] for each in stack.get("Parameters", [])} if stack else set()
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in wanted.items()]
    parameters += [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(before & known - wanted.keys())]
    change = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"weir-{int(time.time() * 1000)}",
        ChangeSetType="UPDATE" if stack else "CREATE",
        TemplateBody=body,
        Parameters=parameters,
        Capabilities=["CAPABILITY_IAM"],
        Tags=[{"Key": "weir", "Value": name}],
    )
    while True:
        made = cloudformation.describe_change_set(ChangeSetName=change["Id"])
        if made["Status"] in ("CREATE_COMPLETE", "FAILED"):
            break
        time.sleep(PAUSE_S)
    if made["Status"] == "FAILED":
        cloudformation.delete_change_set(ChangeSetName=change["Id"])
        why = made.get("StatusReason", "")
        if any(words in why for words in NO_CHANGES):
            return say(f"{name}: nothing changes")
        sys.exit(f"{name}: the change could not be prepared: {why}")
    cloudformation.execute_change_set(ChangeSetName=change["Id"])
    stack = settled(name, change["StackId"])
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reasons(change["StackId"])
        sys.exit(f"{name}: {stack['StackStatus']}, for the reasons above; what was there before is there again")
    say(f"{name}: deployed, {len(made.get('Changes', []))} changes")


def drop(name):
    stack = settled(name)
    if stack is None:
        return
    cloudformation.delete_stack(StackName=name)
    stack = settled(name, stack["StackId"])
    if stack and stack["StackStatus"] != "DELETE_COMPLETE":
        reasons(stack["StackId"])
        sys.exit(f"{name}: {stack['StackStatus']}, for the reasons above")
    say(f"{name}: deleted")


def outputs(name):
    stack = describe(name)
    if stack is None:
        return
    for each in stack.get("Outputs", []):
        print(f"{each['OutputKey']}={each['OutputValue']}")
    print(f"Status={stack['StackStatus']}")
    for each in stack.get("Parameters", []):
        print(f"Parameter.{each['ParameterKey']}={each.get('ParameterValue', '')}")


commands = {"put": put, "drop": drop, "outputs": outputs}
if len(sys.argv) < 3 or sys.argv[1] not in commands:
    sys.exit(__doc__)
try:
    commands[sys.argv[1]](*sys.argv[2:])
except (ClientError, BotoCoreError) as problem:
    sys.exit(f"{sys.argv[2]}: {problem}")
