#!/usr/bin/env python3
"""Each server killed with `kill -9` during a crawl, away for a while, and started again: is anything lost, is anything twice?

    python3 tests/bench/outages.py                      50,000 listings, 20 seconds each, result into docs/benchmarks.md
    python3 tests/bench/outages.py --pages 200 --rate 150 --seconds 5 --weir target/debug/weir --no-write

One crawl of the practice site into Elasticsearch, MariaDB, Redis and JSON Lines, held to a rate so that it lasts; one server after
the other gets a SIGKILL in the middle of it. In the end `weir audit` must hold, and the servers' own clients must count what the
feed holds, every listing once.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from run import DOC, ROOT, Site, machine
from sinks import SPIDER, Server, account, ask, items_of, keys_of, sql

BEGIN, END = "<!-- begin: written by tests/bench/outages.py -->", "<!-- end: written by tests/bench/outages.py -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=1667, help="index pages of the site, 30 listings each (1,667 hold 50,000)")
    parser.add_argument("--rate", type=int, default=500, help="requests a second (default 500)")
    parser.add_argument("--seconds", type=float, default=20, help="how long each server is away (default 20)")
    parser.add_argument("--weir", default=str(ROOT / "target" / "release" / "weir"), help="the binary (default target/release/weir)")
    parser.add_argument("--no-write", action="store_true", help="print only; leave docs/benchmarks.md")
    options = parser.parse_args()
    weir, load = pathlib.Path(options.weir).resolve(), f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        folder = pathlib.Path(folder)
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        with Server("elasticsearch", folder) as elastic, Server("mariadb", folder) as mysql, Server("redis", folder, *durable) as redis:
            with Site({"weir": weir}, options.pages) as site:
                lines, listings = play(weir, options, site, elastic, mysql, redis, folder)
    text = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}, load {load} when it began. Command: `python3 tests/bench/outages.py "
        f"{' '.join(sys.argv[1:])}`".rstrip("` ") + "`.\n\n"
        "| killed | away, s | listings in the other servers when it was killed | when it answered again | in the end in each server and the feed |\n|---|---|---|---|---|\n"
    ) + "\n".join(f"| {name} | {away:.1f} | {before:,} | {after:,} | {listings:,} |" for name, away, before, after in lines)
    print(text)
    if not options.no_write:
        before, rest = DOC.read_text().split(BEGIN, 1)
        DOC.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")
        print(f"written: {DOC.relative_to(ROOT)}")


def play(weir, options, site, elastic, mysql, redis, folder):
    (folder / "portal.toml").write_text(SPIDER % {"base": site.origin, "last": options.pages - 1})
    (folder / "law.toml").write_text(f'[default]\nhits = {options.rate}\nwindow = "1s"\n')
    user, password, rest = account(mysql)
    provider = "geocode.providers.site"
    settings = [f"{provider}.kind=google", f"{provider}.url={site.origin}/maps/api/geocode/json", f"{provider}.rate=100000", f"{provider}.parallel=100"]
    outputs = ["items.jsonl", f"elasticsearch://127.0.0.1:{elastic.port}/homes", f"mysql://{user}@{rest}/homes", f"{redis.url}?prefix=homes:"]
    sinks = [part for output in outputs for part in ("-o", output)]
    env = {**os.environ, "WEIR_MYSQL_PASSWORD": password}
    command = [weir, "crawl", "portal.toml", "--quiet", "--json", "--state", "state", "--policy", "law.toml", *sinks]
    command += [part for setting in settings for part in ("-s", setting)]
    rows = lambda: int(sql(mysql, "SELECT COUNT(*) FROM homes"))
    keys = lambda: len(keys_of(redis, "homes:home:*"))
    # When a server is away, another one tells how far the crawl is.
    turns = [("Elasticsearch", elastic, rows), ("MariaDB", mysql, keys), ("Redis", redis, rows)]
    lines = []
    with open(folder / "said", "w") as said:
        crawl = subprocess.Popen([str(part) for part in command], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=said)
        try:
            for number, (name, server, other) in enumerate(turns):
                wait_until(crawl, lambda: stored(other) >= (number * 3 + 1) * options.pages * 30 // 10, name)
                before = stored(other)
                server.kill()
                killed = time.monotonic()
                time.sleep(options.seconds)
                server.restart()
                lines.append((name, time.monotonic() - killed, before, stored(other)))
                if crawl.poll() is not None:
                    sys.exit(f"{name}: the crawl ended ({crawl.returncode}) while it was away\n{(folder / 'said').read_text()[-3000:]}")
                print(f"  {name} was away for {lines[-1][1]:.1f} s, {lines[-1][2]} to {lines[-1][3]} listings in the others", flush=True)
            code = crawl.wait(600)
        finally:
            crawl.kill()
            crawl.wait()
    if code != 0:
        sys.exit(f"weir: exit code {code}\n{(folder / 'said').read_text()[-3000:]}")
    audit = subprocess.run([str(weir), "audit", "--state", "state", *sinks], cwd=folder, env=env, capture_output=True, text=True)
    print(audit.stdout)
    if audit.returncode != 0:
        sys.exit(f"weir audit: exit code {audit.returncode}\n{audit.stderr}")
    feed = items_of(folder / "items.jsonl", "the feed")
    ask(elastic, "homes/_refresh", "POST")
    hashes = [key for key in keys_of(redis, "homes:home:*") if len(key.rsplit(":")[-1]) == 32]
    counts = {"elasticsearch": ask(elastic, "homes/_count")["count"], "mysql": rows(), "redis": len(hashes), "feed": len(feed)}
    if len(set(counts.values())) != 1 or (options.pages == 1667 and len(feed) != 50_000):
        sys.exit(f"not the same everywhere: {counts}")
    return lines, len(feed)


def stored(count):
    """A table or a server may not be there yet."""
    try:
        return count()
    except subprocess.CalledProcessError:
        return 0


def wait_until(crawl, holds, name):
    deadline = time.monotonic() + 300
    while not holds():
        if crawl.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{name}: its turn did not come; the crawl's exit code is {crawl.poll()}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
