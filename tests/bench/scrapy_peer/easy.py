"""The peer as its users write it: a CrawlSpider with two rules, an ItemLoader with processors. What examples/properties.toml
says, in Scrapy's words."""
import datetime
from urllib.parse import urljoin

import scrapy
from itemloaders.processors import Identity, Join, MapCompose, TakeFirst
from scrapy.linkextractors import LinkExtractor
from scrapy.loader import ItemLoader
from scrapy.spiders import CrawlSpider, Rule


class Property(scrapy.Item):
    title = scrapy.Field()
    price = scrapy.Field()
    description = scrapy.Field()
    address = scrapy.Field()
    image_urls = scrapy.Field()
    url = scrapy.Field()
    date = scrapy.Field()


class Loader(ItemLoader):
    default_output_processor = TakeFirst()
    description_out = Join()
    image_urls_out = Identity()


class Easy(CrawlSpider):
    name = "easy"
    rules = (
        Rule(LinkExtractor(restrict_xpaths='//*[contains(@class,"next")]')),
        Rule(LinkExtractor(restrict_xpaths='//*[@itemprop="url"]'), callback="parse_item"),
    )

    def __init__(self, base, pages, **kwargs):
        super().__init__(**kwargs)
        self.start_urls = [f"{base}/properties/index_{page:05}.html" for page in range(int(pages))]

    def parse_item(self, response):
        loader = Loader(item=Property(), response=response)
        loader.add_xpath("title", '//*[@itemprop="name"][1]/text()', MapCompose(str.strip, str.title))
        loader.add_xpath("price", '//*[@itemprop="price"][1]/text()', MapCompose(lambda text: text.replace(",", ""), float), re="[,.0-9]+")
        loader.add_xpath("description", '//*[@itemprop="description"][1]/text()', MapCompose(str.strip))
        loader.add_xpath("address", '//*[@itemtype="http://schema.org/Place"][1]/text()', MapCompose(str.strip))
        loader.add_xpath("image_urls", '//*[@itemprop="image"][1]/@src', MapCompose(lambda src: urljoin(response.url, src)))
        loader.add_value("url", response.url)
        loader.add_value("date", datetime.datetime.now().isoformat())
        return loader.load_item()
