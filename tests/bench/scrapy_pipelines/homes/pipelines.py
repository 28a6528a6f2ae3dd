"""The book's pipelines: tidy up, geocode cache in Redis, geocoder, a REPLACE an item into MySQL, a POST an item to Elasticsearch.

Their faults are the book's, too, and the benchmark does not use them: documents without an id, errors that are logged and
swallowed, and a key of a hundred characters. What the benchmark expects on the servers is checked after each run.
"""
import json
import logging
from urllib.parse import urlsplit

import treq
import txredisapi
from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred

from .waiting import DeferredCache, Throttler

# The book's five seconds for a server that has the machine for itself; here servers share two cores with everything.
PATIENCE_SECONDS = 60
log = logging.getLogger(__name__)


def address_of(crawler, name):
    """A server's address from the settings; without it the pipeline is left out."""
    found = crawler.settings.get(name)
    if not found:
        raise NotConfigured(f"{name} is not set")
    return found


class TidyUp:
    """One line of text for MySQL's sake."""

    def process_item(self, item):
        item["description"] = item["description"].replace("\r\n", " ")
        return item


class RedisCache:
    """Locations of addresses that some run before has looked up; written when an item has passed everything."""

    @classmethod
    def from_crawler(cls, crawler):
        pipeline = cls(address_of(crawler, "REDIS_PIPELINE_URL"), crawler.settings.get("REDIS_PIPELINE_NAMESPACE", "geo"))
        crawler.signals.connect(pipeline.item_scraped, signal=signals.item_scraped)
        return pipeline

    def __init__(self, url, namespace):
        place = urlsplit(url)
        self.namespace = namespace
        self.connection = txredisapi.lazyConnectionPool(
            host=place.hostname, port=place.port, dbid=int(place.path.strip("/") or 0), poolsize=4,
            connectTimeout=PATIENCE_SECONDS, replyTimeout=PATIENCE_SECONDS)

    def key(self, item):
        return f"{self.namespace}:{item['address']}"

    async def process_item(self, item):
        try:
            found = await maybe_deferred_to_future(self.connection.get(self.key(item)))
            if found:
                item["location"] = json.loads(found)
        except txredisapi.ConnectionError as error:
            log.error("redis: %s", error)
        return item

    def item_scraped(self, item):
        if "location" not in item:
            return None
        return self.connection.set(self.key(item), json.dumps(item["location"])).addErrback(
            lambda failure: log.error("redis: %s", failure.value))

    async def close_spider(self):
        await maybe_deferred_to_future(self.connection.disconnect())


class Geocode:
    """Asks the provider for an address once, not more often than the rate."""

    @classmethod
    def from_crawler(cls, crawler):
        return cls(address_of(crawler, "GEO_PIPELINE_URL"), crawler.settings.getint("GEO_PIPELINE_RATE", 5), crawler.stats)

    def __init__(self, url, rate, stats):
        self.url, self.stats = url, stats
        self.throttler = Throttler(rate)
        self.cache = DeferredCache(lambda address: Deferred.fromCoroutine(self.look_up(address)))

    async def look_up(self, address):
        self.stats.inc_value("geo_pipeline/misses")
        while True:
            await self.throttler.wait()
            response = await treq.get(self.url, params={"address": address}, timeout=PATIENCE_SECONDS)
            answer = await response.json()
            if answer["status"] == "OK":
                found = answer["results"][0]["geometry"]["location"]
                return {"lat": found["lat"], "lon": found["lng"]}
            if answer["status"] != "OVER_QUERY_LIMIT":
                self.stats.inc_value("geo_pipeline/errors")
                raise RuntimeError(f"no location of {address}: {answer['status']}")
            self.stats.inc_value("geo_pipeline/retries")

    async def process_item(self, item):
        if "location" in item:
            self.stats.inc_value("geo_pipeline/already_set")
        else:
            item["location"] = dict(await maybe_deferred_to_future(self.cache.find(item["address"])))
        return item

    def close_spider(self):
        self.throttler.stop()


class Mysql:
    """One REPLACE an item, by a pool of threads."""

    @classmethod
    def from_crawler(cls, crawler):
        return cls(address_of(crawler, "MYSQL_PIPELINE_URL"), crawler.settings.get("MYSQL_PIPELINE_TABLE", "homes"))

    def __init__(self, url, table):
        place = urlsplit(url)
        self.statement = (
            f"REPLACE INTO {table} (url, number, title, price, description, address, lat, lon) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)")
        self.pool = adbapi.ConnectionPool(
            "MySQLdb", charset="utf8mb4", use_unicode=True, connect_timeout=PATIENCE_SECONDS, cp_reconnect=True, host=place.hostname,
            port=place.port, user=place.username, passwd=place.password, db=place.path.strip("/"))

    async def process_item(self, item):
        location = item["location"]
        row = (item["url"][:100], item["number"], item["title"], item["price"], item["description"], item["address"],
               location["lat"], location["lon"])
        try:
            await maybe_deferred_to_future(self.pool.runInteraction(lambda cursor: cursor.execute(self.statement, row)))
        except Exception:
            log.exception("mysql")
        return item

    def close_spider(self):
        self.pool.close()


class Elasticsearch:
    """One POST an item."""

    @classmethod
    def from_crawler(cls, crawler):
        return cls(address_of(crawler, "ES_PIPELINE_URL"))

    def __init__(self, url):
        self.url = url

    async def process_item(self, item):
        body = json.dumps(dict(item), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        try:
            response = await maybe_deferred_to_future(treq.post(self.url, data=body, headers=headers, timeout=PATIENCE_SECONDS))
            # Read to its end, so that the connection is used again.
            answer = await maybe_deferred_to_future(treq.content(response))
            if response.code >= 400:
                log.error("elasticsearch: %s: %s", response.code, answer[:500])
        except Exception:
            log.exception("elasticsearch")
        return item
