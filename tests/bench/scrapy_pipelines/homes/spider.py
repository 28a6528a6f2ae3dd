"""The spider: two rules and an item loader, the fields of the spider that weir crawls with."""
import json
import pathlib

from itemloaders.processors import Join, MapCompose, TakeFirst
from scrapy import Field, Item
from scrapy.linkextractors import LinkExtractor
from scrapy.loader import ItemLoader
from scrapy.spiders import CrawlSpider, Rule


class Home(Item):
    number = Field()
    title = Field()
    price = Field()
    description = Field()
    address = Field()
    location = Field()
    url = Field()


class Loader(ItemLoader):
    default_output_processor = TakeFirst()
    description_out = Join()


class Homes(CrawlSpider):
    name = "homes"
    rules = (
        Rule(LinkExtractor(restrict_xpaths='//*[contains(@class,"next")]')),
        Rule(LinkExtractor(restrict_xpaths='//*[@itemprop="url"]'), callback="parse_item"),
    )

    def __init__(self, base, pages, **kwargs):
        super().__init__(**kwargs)
        self.start_urls = [f"{base}/properties/index_{page:05}.html" for page in range(int(pages))]

    def parse_item(self, response):
        loader = Loader(item=Home(), response=response)
        loader.add_value("number", response.url, re=r"property_(\d+)")
        loader.add_xpath("title", '//*[@itemprop="name"][1]/text()', MapCompose(str.strip, str.title))
        loader.add_xpath("price", '//*[@itemprop="price"][1]/text()', MapCompose(lambda text: text.replace(",", ""), float), re="[,.0-9]+")
        loader.add_xpath("description", '//*[@itemprop="description"][1]/text()', MapCompose(str.strip))
        loader.add_xpath("address", '//*[@itemtype="http://schema.org/Place"][1]/text()', MapCompose(str.strip))
        loader.add_value("url", response.url)
        return loader.load_item()

    def closed(self, reason):
        """The closing stats, for the benchmark to compare with what the servers hold."""
        file = self.settings.get("STATS_FILE")
        if file:
            stats = {name: value for name, value in self.crawler.stats.get_stats().items() if isinstance(value, int)}
            pathlib.Path(file).write_text(json.dumps(stats))
