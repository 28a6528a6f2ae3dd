#!/usr/bin/env python3
"""A million items through the geocoder: whether each address is asked for once, and the provider's rate is kept.

    python3 tests/bench/geocoder.py                     1,000,020 items at 500 calls a second, result into docs/geocoding.md
    python3 tests/bench/geocoder.py --pages 1000 --weir target/debug/weir --no-write

`weir crawl` takes thirty items from each index page of a practice site, whose geocoder is the provider, and the site writes its
access log. The judges are that log and the feed, and addresses are normalised here by other code than weir's: as many calls as
distinct addresses; never more calls than the rate in any second, wherever it begins; every item with the location of its address.
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
import unicodedata

from run import ROOT, Peak, Site, machine

DOC = ROOT / "docs" / "geocoding.md"
BEGIN, END = "<!-- begin: written by tests/bench/geocoder.py -->", "<!-- end: written by tests/bench/geocoder.py -->"

# The site's listings have 13,000 addresses, so each gets one by its number: 20,000 in all, in two spellings.
SPIDER = r"""name = "homes"
start = ["%(base)s/properties/index_{00000..%(last)05d}.html"]
start_parse = "home"

[item.home]
key = "url"
scope = '//*[@itemtype="http://schema.org/Product"]'

[item.home.fields]
url      = { xpath = './/*[@itemprop="url"][1]/@href', map = ["absolute_url"] }
price    = { xpath = './/*[@itemprop="price"][1]/text()', regex = '[,.0-9]+', map = [{ remove = "," }], type = "float" }
address  = { xpath = 'concat(substring-before(substring-after(.//@href, "property_"), ".html") mod 20000, " ", substring("High StreetHIGH-STREET", 1 + 11 * (floor(substring-before(substring-after(.//@href, "property_"), ".html") div 20000) mod 2), 11), ", Leeds")' }
location = { geocode = "address", type = "geo_point" }
"""


def main():
    options = arguments()
    weir = pathlib.Path(options.weir).resolve()
    load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        folder = pathlib.Path(folder)
        with Site({"weir": weir}, options.pages, "--log", str(folder / "access.log")) as site:
            one = crawl(weir, options, site, folder)
        items, addresses = judge_items(folder / "items.jsonl", options.pages * 30)
        busiest = judge_calls(folder / "access.log", addresses, options.rate)
    if one["stats"].get("geocode/calls") != len(addresses):
        sys.exit(f"weir says {one['stats'].get('geocode/calls')} calls, there are {len(addresses)} addresses")
    text = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}, load {load} when it began. Command: `python3 tests/bench/geocoder.py "
        f"{' '.join(sys.argv[1:])}`".rstrip("` ") + "`.\n\n"
        "| items | distinct addresses | calls to the provider | rate, calls a second | most calls in any second | items a second | CPU s | peak memory, MB |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| {items:,} | {len(addresses):,} | {len(addresses):,} | {options.rate} | {busiest} | {items / one['wall']:,.0f} | {one['cpu']:.1f} | {one['rss']:.0f} |"
    )
    print(text)
    if not options.no_write:
        document = DOC.read_text()
        before, rest = document.split(BEGIN, 1)
        DOC.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")
        print(f"written: {DOC.relative_to(ROOT)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=33334, help="index pages of the site, 30 items each (default 33,334)")
    parser.add_argument("--rate", type=int, default=500, help="calls a second that the provider allows (default 500)")
    parser.add_argument("--weir", default=str(ROOT / "target" / "release" / "weir"), help="the binary (default target/release/weir)")
    parser.add_argument("--no-write", action="store_true", help="print only; leave docs/geocoding.md")
    return parser.parse_args()


def crawl(weir, options, site, folder):
    spider = folder / "homes.toml"
    spider.write_text(SPIDER % {"base": site.origin, "last": options.pages - 1})
    provider = "geocode.providers.site"
    settings = [f"{provider}.kind=google", f"{provider}.url={site.origin}/maps/api/geocode/json", f"{provider}.rate={options.rate}", f"{provider}.parallel=50"]
    command = [str(weir), "crawl", str(spider), "--quiet", "--json", "--state", "state", "-o", "items.jsonl"]
    command += [part for setting in settings for part in ("-s", setting)]
    with open(folder / "stats", "w") as stats, open(folder / "said", "w") as said:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=stats, stderr=said)
        peak = Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"weir: exit code {process.returncode}\n{(folder / 'said').read_text()[-3000:]}")
    stats = json.loads((folder / "stats").read_text())["stats"]
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": peak.megabytes(), "stats": stats}


def normal(address):
    """Folded letters, marks and digits, one space between words."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address).casefold())
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split())


def judge_items(feed, meant):
    """Every item once, all of one address with one location."""
    places, urls = {}, set()
    for line in open(feed):
        item = json.loads(line)
        address = normal(item["address"])
        if item["location"] is None or places.setdefault(address, item["location"]) != item["location"]:
            sys.exit(f"{item['url']}: {item['location']}, others of {address} have {places.get(address)}")
        urls.add(item["url"])
    if len(urls) != meant:
        sys.exit(f"{len(urls)} items, {meant} were meant")
    return len(urls), places.keys()


def judge_calls(log, addresses, rate):
    """The provider's log: returns the most calls in any second."""
    arrivals = sorted(int(re.match(r"\d+", line)[0]) for line in open(log) if "/maps/api/geocode/" in line)
    if len(arrivals) != len(addresses):
        sys.exit(f"{len(arrivals)} calls for {len(addresses)} addresses")
    busiest, first = 0, 0
    for last, arrived in enumerate(arrivals):
        while arrived - arrivals[first] >= 1_000_000:
            first += 1
        busiest = max(busiest, last - first + 1)
    if busiest > rate:
        sys.exit(f"{busiest} calls in a second, {rate} are allowed")
    return busiest


if __name__ == "__main__":
    main()
