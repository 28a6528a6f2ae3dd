#!/usr/bin/env python3
"""weir against its peers: the same site, the same fields, JSON Lines from all, runs interleaved.

    python3 tests/bench/run.py                       everything, results into docs/benchmarks.md
    python3 tests/bench/run.py --rounds 1 --pages 100 --only weir,bare --no-write

CPU seconds are user + system time of a crawler's whole process tree (wait4), without the site's. Every output is compared,
item by item, with what the site's generator says; a run that differs is no result and ends the benchmark.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target" / "bench"
VENV = TARGET / "scrapy-venv"
DOC = ROOT / "docs" / "benchmarks.md"
FIELDS = ["title", "price", "description", "address", "image_urls", "url"]

# name -> (what it is, whether it is one of the slow ones that crawl a smaller site)
CRAWLERS = {
    "weir": ("weir crawl, all of it on: robots, address guard, limits, journal", False),
    "scrapy": ("Scrapy, CrawlSpider and ItemLoader", True),
    "scrapy-plain": ("Scrapy, plain spider without rules and loader", True),
    "spider-rs": ("the `spider` crate, links by itself, fields by `scraper`", False),
    "bare": ("a loop of reqwest and `scraper`, nothing else", False),
    "fetch": ("the same loop, fetching alone", False),
}


def main():
    options = arguments()
    only = options.only.split(",") if options.only else list(CRAWLERS)
    for name in only:
        if name not in CRAWLERS:
            sys.exit(f"--only {name}: not one of {', '.join(CRAWLERS)}")
    tools = build(only, options.no_build)
    # After building: what else the machine does while it measures.
    load = f"{os.getloadavg()[0]:.1f}"
    sections = []
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        folder = pathlib.Path(folder)
        for size, prefix, pages, slow_pages in [
            ("small", "", options.pages, options.slow_pages),
            ("31 kB", "/large", options.large_pages, options.slow_large_pages),
        ]:
            if size.split()[0] not in options.sizes.split(","):
                continue
            results = compare(only, tools, folder, prefix, pages, min(slow_pages, pages), options.rounds)
            sections.append((size, pages, min(slow_pages, pages), results))
            print(table(size, results))
        nginx_results = None if options.no_nginx else behind_nginx(tools, folder, options)
    if not options.no_write:
        write(sections, nginx_results, options, tools, load)
        print(f"written: {DOC.relative_to(ROOT)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each crawler runs (default 5)")
    parser.add_argument("--pages", type=int, default=1667, help="index pages of the small site, 30 listings each")
    parser.add_argument("--large-pages", type=int, default=300, help="index pages of the site with 31 kB listings")
    parser.add_argument("--slow-pages", type=int, default=200, help="index pages of the small site for Scrapy")
    parser.add_argument("--slow-large-pages", type=int, default=60, help="index pages of the large site for Scrapy")
    parser.add_argument("--sizes", default="small,31", help="which sites: small, 31 or both")
    parser.add_argument("--only", help="which crawlers, by comma: " + ", ".join(CRAWLERS))
    parser.add_argument("--no-build", action="store_true", help="take the weir that lies in target/release")
    parser.add_argument("--no-nginx", action="store_true", help="leave out the run against nginx")
    parser.add_argument("--no-write", action="store_true", help="print only; leave docs/benchmarks.md")
    return parser.parse_args()


# --- building ---------------------------------------------------------------------------------------------------------


def build(only, as_it_is):
    if not as_it_is:
        run(["cargo", "build", "--release", "--quiet", "-p", "weir"])
        run(["cargo", "build", "--release", "--quiet", "-p", "weir-site", "--example", "truth"])
    release = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    tools = {"weir": release / "weir", "truth": release / "examples" / "truth"}
    if "bare" in only or "fetch" in only:
        tools["bare"] = peer("bare", "bench-bare")
    if "spider-rs" in only:
        tools["spider-rs"] = peer("spider-rs", "bench-spider-rs")
    if any(name.startswith("scrapy") for name in only):
        tools["scrapy"] = scrapy()
    return tools


def peer(folder, binary):
    """Builds a program that is no part of the workspace, by its own lock file."""
    target = TARGET / folder
    run(["cargo", "build", "--release", "--quiet", "--locked"], cwd=HERE / folder, env={"CARGO_TARGET_DIR": str(target)})
    return target / "release" / binary


def scrapy(folder="scrapy_peer", venv=VENV):
    """A Python with exactly what a peer's requirements.txt names."""
    python = venv / "bin" / "python"
    pinned = HERE / folder / "requirements.txt"
    mark = venv / "installed"
    if not mark.exists() or mark.read_text() != pinned.read_text():
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(venv)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pinned)])
        mark.write_text(pinned.read_text())
    return python


def run(command, cwd=ROOT, env=None):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}")


# --- serving ----------------------------------------------------------------------------------------------------------


class Site:
    """`weir site` on a free port."""

    def __init__(self, tools, pages, *more):
        command = [str(tools["weir"]), "site", "--port", "0", "--pages", str(pages), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"(http://localhost:\d+)/", line)
        if not found:
            sys.exit(f"weir site said: {line!r}")
        self.origin = found[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


# --- crawling ---------------------------------------------------------------------------------------------------------


def command_of(name, tools, base, pages, listings, out, folder):
    if name == "weir":
        spider = folder / "properties.toml"
        text = (ROOT / "examples" / "properties.toml").read_text()
        # The example itself at 1,667 pages; a smaller site has fewer start pages.
        spider.write_text(text.replace("{00000..01666}", "{00000..%05d}" % (pages - 1)))
        state = folder / "state"
        return [tools["weir"], "crawl", spider, "-a", f"base={base}", "-o", out, "--state", state, "--quiet"]
    if name in ("scrapy", "scrapy-plain"):
        spider = HERE / "scrapy_peer" / ("easy.py" if name == "scrapy" else "plain.py")
        settings = {
            "LOG_LEVEL": "ERROR",
            "ROBOTSTXT_OBEY": "True",
            "CONCURRENT_REQUESTS": "64",
            "CONCURRENT_REQUESTS_PER_DOMAIN": "64",
            "DOWNLOAD_DELAY": "0",
            "TELNETCONSOLE_ENABLED": "False",
        }
        flags = [flag for key, value in settings.items() for flag in ("-s", f"{key}={value}")]
        return [tools["scrapy"], "-m", "scrapy", "runspider", spider, "-O", f"{out}:jsonlines", "-a", f"base={base}", "-a", f"pages={pages}", *flags]
    if name == "spider-rs":
        return [tools["spider-rs"], base, str(pages), out]
    return [tools["bare"], *([f"--fetch-only={listings}"] if name == "fetch" else []), base, str(pages), out]


def crawl(name, tools, base, pages, listings, folder):
    """One run in an empty folder; returns its measures and where its items are."""
    work = folder / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    out = work / "items.jsonl"
    command = [str(part) for part in command_of(name, tools, base, pages, listings, out, work)]
    with open(work / "said", "w") as said:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=work, stdout=said, stderr=subprocess.STDOUT)
        peak = Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{name}: exit code {process.returncode}\n{(work / 'said').read_text()[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "wall": wall, "rss": peak.megabytes(), "command": command}, out


class Peak(threading.Thread):
    """The high-water mark of a process's memory, read until it ends. (`ru_maxrss` would begin with that of this script.)"""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.kilobytes = f"/proc/{pid}/status", 0
        self.start()

    def run(self):
        try:
            while True:
                found = re.search(r"VmHWM:\s+(\d+)", open(self.status).read())
                if found is None:
                    return
                self.kilobytes = int(found[1])
                time.sleep(0.005)
        except (FileNotFoundError, ProcessLookupError):
            return

    def megabytes(self):
        self.join()
        return self.kilobytes / 1024


def verify(name, out, truth):
    """Every listing once, each field as the generator says."""
    seen = set()
    for line in out.read_text().splitlines():
        item = json.loads(line)
        url = item["url"]
        expected = truth.get(url)
        if expected is None or url in seen:
            sys.exit(f"{name}: {'twice' if url in seen else 'not on the site'}: {url}")
        found = {key: item.get(key) for key in FIELDS}
        if found != expected:
            sys.exit(f"{name}: {url}\n  found    {found}\n  expected {expected}")
        seen.add(url)
    if len(seen) != len(truth):
        sys.exit(f"{name}: {len(seen)} items of {len(truth)}")


def truth_of(tools, pages, base):
    text = subprocess.run([tools["truth"], str(pages), base], check=True, capture_output=True, text=True).stdout
    return {item["url"]: item for item in map(json.loads, text.splitlines())}


def compare(only, tools, folder, prefix, pages, slow_pages, rounds):
    results = {name: [] for name in only}
    with Site(tools, pages) as whole, Site(tools, slow_pages) as part:
        sites = {False: (whole.origin + prefix, pages), True: (part.origin + prefix, slow_pages)}
        truths = {slow: truth_of(tools, count, base) for slow, (base, count) in sites.items()}
        for turn in range(rounds):
            # Interleaved, and every round begins with another one: what a machine does over time hits all alike.
            for name in only[turn % len(only):] + only[: turn % len(only)]:
                slow = CRAWLERS[name][1]
                base, count = sites[slow]
                measures, out = crawl(name, tools, base, count, len(truths[slow]), folder)
                if name != "fetch":
                    verify(name, out, truths[slow])
                fetched = len(truths[slow]) + count
                measures["rate"] = fetched / measures["cpu"]
                measures["pages"] = fetched
                results[name].append(measures)
                print(f"  round {turn + 1}: {name:13} {fetched} pages, {measures['cpu']:7.2f} CPU s, {measures['rate']:8.0f} a CPU s, "
                      f"{measures['wall']:6.2f} s, {measures['rss']:5.0f} MB", flush=True)
    return results


# --- nginx ------------------------------------------------------------------------------------------------------------

NGINX = """worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type text/html; charset utf-8;
  types {{ text/html html; application/json json; text/plain txt; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""


def behind_nginx(tools, folder, options):
    """The saved pages of a smaller site, served by nginx: nothing of weir on the other side."""
    nginx = shutil.which("nginx")
    if nginx is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "nginx-light"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        nginx = shutil.which("nginx")
    if nginx is None:
        print("nginx is not installed and cannot be: that part is left out (apt-get install nginx-light)")
        return None
    pages, results = min(options.slow_pages, options.pages), {}
    only = [name for name in ("weir", "bare", "fetch") if not options.only or name in options.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="weir-nginx-") as home:
        home = pathlib.Path(home)
        os.chmod(home, 0o755)
        save(tools, pages, home / "www")
        port = free_port()
        (home / "nginx.conf").write_text(NGINX.format(folder=home, port=port))
        server = subprocess.Popen([nginx, "-c", str(home / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            for prefix in ("", "/large"):
                base = f"http://localhost:{port}{prefix}"
                truth = truth_of(tools, pages, base)
                for _ in range(options.rounds):
                    for name in only:
                        measures, out = crawl(name, tools, base, pages, len(truth), folder)
                        if name != "fetch":
                            verify(name, out, truth)
                        measures["pages"] = len(truth) + pages
                        measures["rate"] = measures["pages"] / measures["cpu"]
                        results.setdefault((prefix, name), []).append(measures)
        finally:
            server.terminate()
            server.wait()
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr.strip().removeprefix("nginx version: ")
    for prefix, size in (("", "small"), ("/large", "31 kB")):
        print(table(f"{size}, served by {version}", {name: results[(prefix, name)] for name in only}))
    return version, only, results


def save(tools, pages, www):
    import http.client

    with Site(tools, pages) as site:
        host = site.origin.removeprefix("http://")
        connection = http.client.HTTPConnection(host)
        paths = ["/robots.txt"]
        for prefix in ("", "/large"):
            paths += [f"{prefix}/properties/index_{page:05}.html" for page in range(pages)]
            paths += [f"{prefix}/properties/property_{number:06}.html" for number in range(pages * 30)]
        for path in paths:
            connection.request("GET", path, headers={"Host": "localhost"})
            body = connection.getresponse().read()
            file = www / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    import socket

    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("nginx did not start")


# --- telling ----------------------------------------------------------------------------------------------------------


def table(size, results):
    """Median rates, with the range; how many times the peer weir is, from the ratio of each round."""
    lines = [
        f"| {size} pages | pages | pages per CPU second, median (range) | weir is | wall, s | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        if not runs:
            continue
        rates = [one["rate"] for one in runs]
        ratio = ""
        if name != "weir" and results.get("weir"):
            each = [ours["rate"] / theirs for ours, theirs in zip(results["weir"], rates)]
            ratio = f"{statistics.median(each):.1f} times"
        lines.append(
            f"| {CRAWLERS[name][0]} | {runs[0]['pages']:,} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {ratio} | {statistics.median(one['wall'] for one in runs):.1f} | {max(one['rss'] for one in runs):.0f} |"
        )
    return "\n".join(lines)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())[1]) / 1024 / 1024
    return f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GB, Linux {platform.release()}"


def versions(tools, as_it_is):
    told = lambda *command: subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    lock = lambda folder, crate: re.search(rf'name = "{crate}"\nversion = "([^"]+)"', (HERE / folder / "Cargo.lock").read_text())[1]
    pinned = dict(re.findall(r"^([\w-]+)==(.+)$", (HERE / "scrapy_peer" / "requirements.txt").read_text(), re.M))
    commit = told("git", "describe", "--always", "--dirty", "--exclude=*")
    if as_it_is:
        built = time.strftime("%Y-%m-%d %H:%M", time.gmtime(tools["weir"].stat().st_mtime))
        commit = f"{commit}, but built {built} UTC, perhaps from another state"
    return (
        f"weir at {commit}; {told('rustc', '--version')}; Scrapy {pinned['Scrapy']} (Twisted {pinned['Twisted']}, lxml {pinned['lxml']}) on Python "
        f"{platform.python_version()}; spider {lock('spider-rs', 'spider')}; reqwest {lock('bare', 'reqwest')}, scraper {lock('bare', 'scraper')}"
    )


def write(sections, nginx_results, options, tools, load):
    begin, end = "<!-- begin: written by tests/bench/run.py -->", "<!-- end: written by tests/bench/run.py -->"
    parts = [
        begin,
        "",
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}, load {load} when it began. {versions(tools, options.no_build)}. Command: `python3 tests/bench/run.py {' '.join(sys.argv[1:])}`".rstrip("` ") + "`.",
        f"Rounds: {options.rounds}, interleaved. CPU seconds are user + system of the crawler's whole process tree, without the site's. "
        "Every output was compared with the generator's listings, item by item. Scrapy crawls a smaller part of the same portal.",
    ]
    for size, _, _, results in sections:
        parts += ["", f"### {size} pages", "", table(size, results)]
    if nginx_results:
        version, only, results = nginx_results
        for prefix, size in (("", "small"), ("/large", "31 kB")):
            parts += ["", f"### {size} pages, saved, served by {version}", "", table(size, {name: results[(prefix, name)] for name in only})]
    parts += ["", "Commands of one run (of the last section):", "", "```"]
    if sections:
        for name, runs in sections[-1][3].items():
            if runs:
                parts.append(" ".join(part.replace(str(ROOT) + "/", "") for part in runs[-1]["command"]))
    parts += ["```", "", end]
    text = DOC.read_text() if DOC.exists() else f"# Benchmarks\n\n{begin}\n{end}\n"
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    head, rest = text.split(begin, 1)
    DOC.parent.mkdir(exist_ok=True)
    DOC.write_text(head + "\n".join(parts) + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()
