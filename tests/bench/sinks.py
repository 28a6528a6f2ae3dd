#!/usr/bin/env python3
"""weir into Elasticsearch, MySQL (MariaDB), Redis and JSON Lines at once, with geocoding: how much CPU time that takes.

    python3 tests/bench/sinks.py                     50,000 listings, results into docs/benchmarks.md
    python3 tests/bench/sinks.py --pages 100 --weir target/debug/weir --no-write

Three crawls of the practice site into fresh servers of `infra/services`: all is new; nothing has changed; another day, on which
some prices have changed and some listings have come or gone. CPU seconds are user + system time of weir's process (wait4), without
those of the servers and of the site, which is the geocoder, too. After each crawl the servers are counted by their own means and
what weir says it wrote is compared with what the feeds show to have changed: a difference ends the benchmark.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from run import DOC, ROOT, Peak, Site, machine

SERVICES = ROOT / "infra" / "services"
DAY = "2026-03-01"
BEGIN, END = "<!-- begin: written by tests/bench/sinks.py -->", "<!-- end: written by tests/bench/sinks.py -->"

SPIDER = r"""name = "portal"
allowed_domains = ["localhost"]
start = ["%(base)s/properties/index_{00000..%(last)05d}.html"]

[[follow]]
xpath = '//*[contains(@class,"next")]//@href'

[[follow]]
xpath = '//*[@itemprop="url"]/@href'
parse = "home"

[item.home]
key = "number"

[item.home.fields]
number      = { url = 'property_(\d+)' }
title       = { xpath = '//*[@itemprop="name"][1]/text()', map = ["trim", "title_case"] }
price       = { xpath = '//*[@itemprop="price"][1]/text()', regex = '[,.0-9]+', map = [{ remove = "," }], type = "float" }
description = { xpath = '//*[@itemprop="description"][1]/text()', map = ["trim"], join = " " }
address     = { xpath = '//*[@itemtype="http://schema.org/Place"][1]/text()', map = ["trim"] }
location    = { geocode = "address", type = "geo_point" }
url         = { value = "response.url", volatile = true }
"""


class Server:
    """A service as a plain process in a folder of its own."""

    def __init__(self, kind, folder, *options):
        self.script, self.folder = str(SERVICES / kind), str(folder / kind)
        subprocess.run([self.script, "install"], check=True)
        started = subprocess.run([self.script, "start", self.folder, "0", *options], check=True, stdout=subprocess.PIPE, text=True)
        self.url = started.stdout.strip()
        self.port = int(re.search(r":(\d+)(/|$)", self.url)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.script, "kill", self.folder], stderr=subprocess.DEVNULL)


def main():
    options = arguments()
    weir = pathlib.Path(options.weir)
    load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        folder = pathlib.Path(folder)
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        with Server("elasticsearch", folder) as elastic, Server("mariadb", folder) as mysql, Server("redis", folder, *durable) as redis:
            with Site({"weir": weir}, options.pages) as site:
                runs = measure(weir, options.pages, site, (elastic, mysql, redis), folder)
    text = table(runs)
    print(text)
    if not options.no_write:
        write(text, weir, load)
        print(f"written: {DOC.relative_to(ROOT)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=1667, help="index pages of the site, 30 listings each (1,667 hold 50,000)")
    parser.add_argument("--weir", default=str(ROOT / "target" / "release" / "weir"), help="the binary (default target/release/weir)")
    parser.add_argument("--no-write", action="store_true", help="print only; leave docs/benchmarks.md")
    return parser.parse_args()


def measure(weir, pages, site, servers, folder):
    base, day = site.origin, f"{site.origin}/date:{DAY}"
    runs, held = [], {}
    for name, place in [("all is new", base), ("nothing has changed", base), ("another day", day)]:
        one = crawl(weir, pages, site, place, servers, folder, len(runs))
        feed = {}
        for line in open(one["feed"]):
            item = json.loads(line)
            del item["url"]
            if item["location"] is None or feed.setdefault(item["number"], item) is not item:
                sys.exit(f"{name}: no location, or twice: {item}")
        one["listings"], one["changed"] = len(feed), sum(held.get(number) != item for number, item in feed.items())
        held.update(feed)
        counted = count(servers)
        if set(counted.values()) != {len(held)}:
            sys.exit(f"{name}: {len(held)} listings were seen, the servers hold {counted}")
        # Every item of a feed is written to it, and what has changed to three servers.
        stored, meant = one["stats"].get("items/stored", 0), len(feed) + 3 * one["changed"]
        if stored != meant:
            sys.exit(f"{name}: {stored} writes, {one['changed']} of {len(feed)} have changed, which makes {meant}")
        one["name"] = name
        runs.append(one)
        print(f"  {name}: {one['cpu']:.2f} CPU s, {one['wall']:.1f} s, {one['rss']:.0f} MB, {one['changed']} written, "
              f"{one['stats'].get('geocode/calls', 0)} geocoder calls", flush=True)
    return runs


def crawl(weir, pages, site, place, servers, folder, number):
    elastic, mysql, redis = servers
    (folder / "portal.toml").write_text(SPIDER % {"base": place, "last": pages - 1})
    feed = folder / f"{number}.jsonl"
    user, rest = mysql.url.removeprefix("mysql://").split("@")
    user, password = user.split(":")
    provider = "geocode.providers.site"
    settings = [f"{provider}.kind=google", f"{provider}.url={site.origin}/maps/api/geocode/json", f"{provider}.rate=100000", f"{provider}.parallel=100"]
    outputs = [feed, f"elasticsearch://127.0.0.1:{elastic.port}/homes", f"mysql://{user}@{rest}/homes", redis.url]
    command = [weir, "crawl", "portal.toml", "--quiet", "--json", "--state", "state"]
    command += [part for setting in settings for part in ("-s", setting)] + [part for output in outputs for part in ("-o", output)]
    with open(folder / "said", "w") as said, open(folder / "stats", "w") as stats:
        started = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=stats, stderr=said,
                                   env={**os.environ, "WEIR_MYSQL_PASSWORD": password})
        peak = Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    report = json.loads((folder / "stats").read_text() or "{}")
    if process.returncode != 0:
        sys.exit(f"weir: exit code {process.returncode}\n{(folder / 'said').read_text()[-3000:]}\n{report}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": peak.megabytes(), "stats": report["stats"], "feed": feed}


def ask(elastic, path):
    request = urllib.request.Request(f"http://127.0.0.1:{elastic.port}/{path}", method="POST" if path.endswith("_refresh") else "GET")
    return json.load(urllib.request.urlopen(request))


def count(servers):
    """How many listings each server holds, asked by its own client."""
    elastic, mysql, redis = servers
    ask(elastic, "homes/_refresh")
    account, place = mysql.url.removeprefix("mysql://").split("@")
    user, password = account.split(":")
    command = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{mysql.port}", f"-u{user}", f"-p{password}", "-N", "-B", place.split("/")[1]]
    rows = subprocess.run([*command, "-e", "SELECT COUNT(*) FROM homes"], check=True, capture_output=True, text=True).stdout
    keys = subprocess.run(["redis-cli", "-p", str(redis.port), "--scan", "--pattern", "*"], check=True, capture_output=True, text=True).stdout
    hashes = sum(re.search(r":[0-9a-f]{32}$", key) is not None for key in keys.splitlines())
    return {"elasticsearch": ask(elastic, "homes/_count")["count"], "mysql": int(rows), "redis": hashes}


def table(runs):
    lines = [
        "| crawl | listings | written to each server | geocoder calls | CPU s | listings per CPU second | wall, s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in runs:
        lines.append(
            f"| {one['name']} | {one['listings']:,} | {one['changed']:,} | {one['stats'].get('geocode/calls', 0):,} | {one['cpu']:.2f} "
            f"| {one['listings'] / one['cpu']:,.0f} | {one['wall']:.1f} | {one['rss']:.0f} |"
        )
    return "\n".join(lines)


def write(text, weir, load):
    built = time.strftime("%Y-%m-%d %H:%M", time.gmtime(weir.stat().st_mtime))
    head = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}, load {load} when it began. weir built {built} UTC. "
        f"Command: `python3 tests/bench/sinks.py {' '.join(sys.argv[1:])}`".rstrip("` ") + "`."
    )
    document = DOC.read_text()
    if BEGIN not in document:
        document += f"\n{BEGIN}\n{END}\n"
    before, rest = document.split(BEGIN, 1)
    DOC.write_text(f"{before}{BEGIN}\n\n{head}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
