#!/usr/bin/env python3
"""weir into Elasticsearch, MySQL (MariaDB), Redis and JSON Lines at once, with geocoding, beside the book's Scrapy pipelines.

    python3 tests/bench/sinks.py                     50,000 listings, three rounds, results into docs/benchmarks.md
    python3 tests/bench/sinks.py --pages 100 --slow-pages 20 --rounds 1 --weir target/debug/weir --no-write

One set of servers of `infra/services`, and in each round, one after the other: weir on the whole portal (all is new; nothing has
changed; another day, on which some prices have changed and some listings have come or gone), weir on a smaller portal, and Scrapy
with the pipelines of tests/bench/scrapy_pipelines on that smaller one (all is new; nothing has changed). Everybody has an index, a
table and keys of their own in each round. CPU seconds are user + system time of the crawler's process tree (wait4), without those
of the servers and of the site, which is the geocoder, too. After each crawl the servers are asked by their own means, and what
they hold is compared with the feeds: a difference ends the benchmark.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from run import DOC, HERE, ROOT, TARGET, Peak, Site, machine, run, scrapy

SERVICES = ROOT / "infra" / "services"
PROJECT = HERE / "scrapy_pipelines"
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

# What the book makes by hand beforehand: an index whose locations are places, and a table.
MAPPING = {"mappings": {"properties": {"location": {"type": "geo_point"}}}}
TABLE = """CREATE TABLE %s (url VARCHAR(100) NOT NULL, number VARCHAR(10), title VARCHAR(200), price DOUBLE, description TEXT,
address VARCHAR(200), lat DOUBLE, lon DOUBLE, PRIMARY KEY (url)) CHARACTER SET utf8mb4"""


class Server:
    """A service as a plain process in a folder of its own."""

    def __init__(self, kind, folder, *options):
        self.script, self.folder = str(SERVICES / kind), str(folder / kind)
        subprocess.run([self.script, "install"], check=True)
        started = subprocess.run([self.script, "start", self.folder, "0", *options], check=True, stdout=subprocess.PIPE, text=True)
        self.url = started.stdout.strip()
        self.port = int(re.search(r":(\d+)(/|$)", self.url)[1])
        self.options = options

    def kill(self):
        """SIGKILL; port and data stay."""
        subprocess.run([self.script, "kill", self.folder], check=True, stderr=subprocess.DEVNULL)

    def restart(self):
        """Again on the same port and data, ready when it returns."""
        subprocess.run([self.script, "start", self.folder, str(self.port), *self.options], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.script, "kill", self.folder], stderr=subprocess.DEVNULL)


def main():
    options = arguments()
    weir = pathlib.Path(options.weir)
    python = None if options.no_scrapy else peer()
    load = f"{os.getloadavg()[0]:.1f}"
    results = {}
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        folder = pathlib.Path(folder)
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        with Server("elasticsearch", folder) as elastic, Server("mariadb", folder) as mysql, Server("redis", folder, *durable) as redis:
            servers = (elastic, mysql, redis)
            with Site({"weir": weir}, options.pages) as whole, Site({"weir": weir}, options.slow_pages) as part:
                for turn in range(options.rounds):
                    crawlers = [lambda: one_round(weir, python, part, options.slow_pages, servers, folder, turn, results)]
                    crawlers.append(lambda: with_weir(weir, whole, options.pages, servers, folder / f"whole{turn}", 3, results))
                    # Every round begins with the other one: what a machine does over time hits both alike.
                    for crawl in crawlers if turn % 2 else reversed(crawlers):
                        crawl()
    text = table(results, options)
    print(text)
    if not options.no_write:
        write(text, weir, load, options)
        print(f"written: {DOC.relative_to(ROOT)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=1667, help="index pages of the site, 30 listings each (1,667 hold 50,000)")
    parser.add_argument("--slow-pages", type=int, default=100, help="index pages of the smaller site, for Scrapy (default 100)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each crawls (default 3)")
    parser.add_argument("--weir", default=str(ROOT / "target" / "release" / "weir"), help="the binary (default target/release/weir)")
    parser.add_argument("--no-scrapy", action="store_true", help="weir alone")
    parser.add_argument("--no-write", action="store_true", help="print only; leave docs/benchmarks.md")
    return parser.parse_args()


def one_round(weir, python, site, pages, servers, folder, turn, results):
    """The smaller portal, by weir and by Scrapy."""
    feed = with_weir(weir, site, pages, servers, folder / f"part{turn}", 2, results)
    if python is not None:
        with_scrapy(python, site, pages, servers, folder / f"scrapy{turn}", feed, results)


def told(results, name, one):
    results.setdefault(name, []).append(one)
    print(f"  {' '.join(name)}: {one['listings']} listings, {one['cpu']:.2f} CPU s, {one['listings'] / one['cpu']:.0f} a CPU s, "
          f"{one['wall']:.1f} s, {one['rss']:.0f} MB, {one['written']} written, {one['calls']} geocoder calls", flush=True)


def account(mysql):
    """User, password, and host, port and database."""
    who, place = mysql.url.removeprefix("mysql://").split("@")
    return *who.split(":"), place


def watched(command, folder, env):
    """Runs to the end; returns CPU seconds of the process tree, time and memory."""
    with open(folder / "said", "w") as said, open(folder / "stdout", "w") as stdout:
        started = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=stdout, stderr=said, env={**os.environ, **env})
        peak = Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    said = (folder / "said").read_text()
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit code {process.returncode}\n{said[-3000:]}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": peak.megabytes(), "said": said}


def items_of(feed, name):
    """The feed's items by number: each once, with a location."""
    items = {}
    for line in open(feed):
        item = json.loads(line)
        if item.get("location") is None or items.setdefault(item["number"], item) is not item:
            sys.exit(f"{name}: no location, or twice: {item}")
    return items


# --- weir -------------------------------------------------------------------------------------------------------------


def with_weir(weir, site, pages, servers, folder, crawls, results):
    """So many crawls with one state; returns what the first one found."""
    base, day = site.origin, f"{site.origin}/date:{DAY}"
    folder.mkdir()
    held, first = {}, None
    days = [("all is new", base), ("nothing has changed", base), ("another day", day)]
    for number, (name, place) in enumerate(days[:crawls]):
        one = weir_once(weir, pages, site, place, servers, folder, number)
        feed = items_of(one["feed"], name)
        first = first or feed
        bare = {number: {key: value for key, value in item.items() if key != "url"} for number, item in feed.items()}
        changed = sum(held.get(number) != item for number, item in bare.items())
        held.update(bare)
        counted = count(servers, folder.name)
        if set(counted.values()) != {len(held)}:
            sys.exit(f"{name}: {len(held)} listings were seen, the servers hold {counted}")
        # Every item of a feed is written to it, and what has changed to three servers.
        stored, meant = one["stats"].get("items/stored", 0), len(feed) + 3 * changed
        if stored != meant:
            sys.exit(f"{name}: {stored} writes, {changed} of {len(feed)} have changed, which makes {meant}")
        one.update(listings=len(feed), written=changed, calls=one["stats"].get("geocode/calls", 0))
        told(results, ("weir", folder.name.rstrip("0123456789"), name), one)
    return first


def weir_once(weir, pages, site, place, servers, folder, number):
    elastic, mysql, redis = servers
    (folder / "portal.toml").write_text(SPIDER % {"base": place, "last": pages - 1})
    feed, mine = folder / f"{number}.jsonl", folder.name
    user, password, rest = account(mysql)
    provider = "geocode.providers.site"
    settings = [f"{provider}.kind=google", f"{provider}.url={site.origin}/maps/api/geocode/json", f"{provider}.rate=100000", f"{provider}.parallel=100"]
    outputs = [feed, f"elasticsearch://127.0.0.1:{elastic.port}/{mine}", f"mysql://{user}@{rest}/{mine}", f"{redis.url}?prefix={mine}:"]
    command = [weir.resolve(), "crawl", "portal.toml", "--quiet", "--json", "--state", "state"]
    command += [part for setting in settings for part in ("-s", setting)] + [part for output in outputs for part in ("-o", output)]
    one = watched(command, folder, {"WEIR_MYSQL_PASSWORD": password})
    return {**one, "stats": json.loads((folder / "stdout").read_text())["stats"], "feed": feed}


# --- Scrapy -----------------------------------------------------------------------------------------------------------


def peer():
    """The Python of the peer. Its MySQL client is built from C, so it needs that library's headers."""
    if shutil.which("mariadb_config") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            sys.exit("the peer's MySQL client is built with libmariadb's headers, which are missing: apt-get install libmariadb-dev, "
                     "or leave the peer out with --no-scrapy")
        run(["apt-get", "install", "-y", "-qq", "libmariadb-dev"])
    return scrapy("scrapy_pipelines", TARGET / "pipelines-venv")


def with_scrapy(python, site, pages, servers, folder, meant, results):
    """The same portal twice; both times every item goes to every server, and is compared with what weir found."""
    elastic, mysql, redis = servers
    shutil.copytree(PROJECT, folder)
    mine = folder.name
    user, password, rest = account(mysql)
    ask(elastic, mine, "PUT", MAPPING)
    sql(mysql, TABLE % mine)
    settings = {
        "ES_PIPELINE_URL": f"http://127.0.0.1:{elastic.port}/{mine}/_doc",
        "MYSQL_PIPELINE_URL": f"mysql://{user}:{password}@{rest}",
        "MYSQL_PIPELINE_TABLE": mine,
        "REDIS_PIPELINE_URL": redis.url,
        "REDIS_PIPELINE_NAMESPACE": mine,
        "GEO_PIPELINE_URL": f"{site.origin}/maps/api/geocode/json",
        # weir's provider is not held up either.
        "GEO_PIPELINE_RATE": 0,
        "STATS_FILE": "stats.json",
    }
    flags = [flag for key, value in settings.items() for flag in ("-s", f"{key}={value}")]
    for number, name in enumerate(["all is new", "nothing has changed"]):
        feed = folder / f"{number}.jsonl"
        command = [python, "-m", "scrapy", "crawl", "homes", "-O", f"{feed}:jsonlines", "-a", f"base={site.origin}", "-a", f"pages={pages}", *flags]
        one = watched(command, folder, {})
        found = items_of(feed, f"scrapy, {name}")
        if found != meant:
            differ = [key for key in meant.keys() | found.keys() if meant.get(key) != found.get(key)]
            sys.exit(f"scrapy, {name}: {len(differ)} items differ, {differ[0]}: {found.get(differ[0])}, weir has {meant.get(differ[0])}\n{one['said'][-3000:]}")
        check_scrapy(servers, mine, found, number + 1, one["said"])
        one.update(listings=len(found), written=len(found), calls=json.loads((folder / "stats.json").read_text()).get("geo_pipeline/misses", 0))
        told(results, ("Scrapy", "part", name), one)


def check_scrapy(servers, mine, feed, times, said):
    """What the servers hold is the feed: in Elasticsearch as often as it was crawled, since the book's documents have no id."""
    elastic, mysql, redis = servers
    ask(elastic, f"{mine}/_refresh", "POST")
    held, after = {}, None
    while True:
        query = {"size": 5000, "sort": ["_doc"], "track_total_hits": True}
        answer = ask(elastic, f"{mine}/_search?scroll=1m", "POST", query) if after is None else ask(elastic, "_search/scroll", "POST", {"scroll": "1m", "scroll_id": after})
        after = answer["_scroll_id"]
        for hit in answer["hits"]["hits"]:
            held.setdefault(hit["_source"]["number"], []).append(hit["_source"])
        if not answer["hits"]["hits"]:
            break
    if held != {number: [item] * times for number, item in feed.items()}:
        sys.exit(f"scrapy: the index {mine} does not hold what was crawled {times} times\n{said[-3000:]}")
    rows = {}
    for row in sql(mysql, f"SELECT number, url, title, price, description, address, lat, lon FROM {mine}").splitlines():
        number, *row = row.split("\t")
        rows[number] = row
    for number, item in feed.items():
        url, title, price, description, address, lat, lon = rows.pop(number, [None] * 7)
        place = {"lat": float(lat or "nan"), "lon": float(lon or "nan")}
        if (url, title, float(price or "nan"), description, address, place) != tuple(
                item[key] for key in ("url", "title", "price", "description", "address", "location")):
            sys.exit(f"scrapy: the table {mine} does not hold {item}\n{said[-3000:]}")
    keys = len(keys_of(redis, f"{mine}:*"))
    addresses = len({item["address"] for item in feed.values()})
    if rows or keys != addresses:
        sys.exit(f"scrapy: {len(rows)} rows too many, {keys} keys for {addresses} addresses\n{said[-3000:]}")


# --- asking the servers -----------------------------------------------------------------------------------------------


def ask(elastic, path, method="GET", body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{elastic.port}/{path}", method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def sql(mysql, statement):
    """By the server's own client: tab-separated columns."""
    user, password, place = account(mysql)
    command = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{mysql.port}", f"-u{user}", f"-p{password}", "-N", "-B", "--default-character-set=utf8mb4"]
    return subprocess.run([*command, place.split("/")[1], "-e", statement], check=True, capture_output=True, text=True).stdout


def keys_of(redis, pattern):
    command = ["redis-cli", "-p", str(redis.port), "--scan", "--pattern", pattern]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def count(servers, mine):
    """How many listings each server holds, asked by its own client."""
    elastic, mysql, redis = servers
    ask(elastic, f"{mine}/_refresh", "POST")
    hashes = sum(re.search(r":[0-9a-f]{32}$", key) is not None for key in keys_of(redis, f"{mine}:*"))
    return {"elasticsearch": ask(elastic, f"{mine}/_count")["count"], "mysql": int(sql(mysql, f"SELECT COUNT(*) FROM {mine}")), "redis": hashes}


# --- telling ----------------------------------------------------------------------------------------------------------


def rate(one):
    return one["listings"] / one["cpu"]


def table(results, options):
    """Median rates with their range; how many times Scrapy's they are, from the ratio of each round."""
    lines = [
        "| crawl | listings | written to each server | geocoder calls | CPU s | listings per CPU second, median (range) | times Scrapy's | wall, s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(results, key=lambda name: (name[0] == "Scrapy", name[1] == "part")):
        who, size, what = name
        runs, peers = results[name], results.get(("Scrapy", "part", what), [])
        rates, times = [rate(one) for one in runs], ""
        if who == "weir" and peers:
            times = f"{statistics.median(rate(ours) / rate(theirs) for ours, theirs in zip(runs, peers)):.0f}"
        middle = sorted(runs, key=rate)[len(runs) // 2]
        who = "weir" if who == "weir" else "the book's pipelines on Scrapy"
        lines.append(
            f"| {who}: {what} | {middle['listings']:,} | {middle['written']:,} | {middle['calls']:,} | {middle['cpu']:.2f} "
            f"| {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | {times} | {middle['wall']:.1f} | {max(one['rss'] for one in runs):.0f} |"
        )
    return "\n".join(lines)


def write(text, weir, load, options):
    built = time.strftime("%Y-%m-%d %H:%M", time.gmtime(weir.stat().st_mtime))
    pinned = dict(re.findall(r"^([\w-]+)==(.+)$", (PROJECT / "requirements.txt").read_text(), re.M))
    versions = f"Scrapy {pinned['Scrapy']}, Twisted {pinned['Twisted']}, treq {pinned['treq']}, mysqlclient {pinned['mysqlclient']}, txredisapi {pinned['txredisapi']}"
    head = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}, load {load} when it began. weir built {built} UTC. {versions}. Rounds: "
        f"{options.rounds}. Command: `python3 tests/bench/sinks.py {' '.join(sys.argv[1:])}`".rstrip("` ") + "`."
    )
    document = DOC.read_text()
    if BEGIN not in document:
        document += f"\n{BEGIN}\n{END}\n"
    before, rest = document.split(BEGIN, 1)
    DOC.write_text(f"{before}{BEGIN}\n\n{head}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
