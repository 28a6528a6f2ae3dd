"""What the pipelines share: a throttler, and a cache whose look-ups are made once however many wait for them."""
from collections import deque

from twisted.internet import task
from twisted.internet.defer import Deferred


class Throttler:
    """Lets so many waiters a second go on, first come first served; a rate of 0 holds nobody up."""

    def __init__(self, rate):
        self.waiters = deque()
        self.loop = task.LoopingCall(self.release) if rate else None
        if self.loop:
            self.loop.start(1.0 / rate)

    def wait(self):
        waiter = Deferred()
        if self.loop:
            self.waiters.append(waiter)
        else:
            waiter.callback(None)
        return waiter

    def release(self):
        if self.waiters:
            self.waiters.popleft().callback(None)

    def stop(self):
        if self.loop:
            self.loop.stop()


class DeferredCache:
    """Remembers what a look-up came to, value or failure; whoever asks meanwhile waits for the same one."""

    def __init__(self, look_up):
        self.look_up, self.known, self.waiting = look_up, {}, {}

    def find(self, key):
        answer = Deferred()
        if key in self.known:
            answer.callback(self.known[key])
        elif key in self.waiting:
            self.waiting[key].append(answer)
        else:
            self.waiting[key] = [answer]
            self.look_up(key).addBoth(self.tell, key)
        return answer

    def tell(self, value, key):
        self.known[key] = value
        for answer in self.waiting.pop(key):
            answer.callback(value)
