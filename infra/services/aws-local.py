"""The emulator, with one fault that tests switch on: while DIR/twice holds a number N, every Nth message of each queue lies on it twice
from the same instant, as SQS may do. For each, DIR/doubled gets a line with the queue's name. Dead-letter queues are spared: what lies
there is counted by people.
"""

import sys
from collections import Counter
from pathlib import Path

from ministack import app
from ministack.services import sqs

folder = Path(sys.argv.pop(1))
send = sqs._act_send_message
sent = Counter()


def every():
    try:
        return int((folder / "twice").read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def send_some_twice(data, url):
    answer = send(data, url)
    turn = every()
    queue = str(data.get("QueueUrl", url)).rsplit("/", 1)[-1]
    if turn == 0:
        sent.clear()
    elif not queue.endswith("-dead"):
        sent[queue] += 1
        if sent[queue] % turn == 0:
            # Nothing waits between the two: nobody receives one before the other is there.
            send(data, url)
            with (folder / "doubled").open("a") as log:
                log.write(queue + "\n")
    return answer


# Batches call it by its name in the module.
sqs._act_send_message = send_some_twice
sqs._HANDLERS["SendMessage"] = send_some_twice
app.main()
