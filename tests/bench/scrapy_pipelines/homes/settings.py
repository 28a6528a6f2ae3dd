"""What the book's project sets, except limits that exist to be gentle: addresses and rates come from the benchmark by `-s`."""

BOT_NAME = "homes"
SPIDER_MODULES = ["homes.spider"]
ROBOTSTXT_OBEY = True
CONCURRENT_REQUESTS = 64
CONCURRENT_REQUESTS_PER_DOMAIN = 64
DOWNLOAD_DELAY = 0
TELNETCONSOLE_ENABLED = False
LOG_LEVEL = "WARNING"
# What an item goes through, in the book's order and with its numbers.
ITEM_PIPELINES = {
    "homes.pipelines.TidyUp": 100,
    "homes.pipelines.RedisCache": 300,
    "homes.pipelines.Geocode": 400,
    "homes.pipelines.Mysql": 700,
    "homes.pipelines.Elasticsearch": 800,
}
