"""The peer without conveniences: a plain spider, XPaths on the response, a dictionary. The fastest Scrapy we could write."""
import datetime
import re

import scrapy

PRICE = re.compile("[,.0-9]+")


class Plain(scrapy.Spider):
    name = "plain"

    def __init__(self, base, pages, **kwargs):
        super().__init__(**kwargs)
        self.start_urls = [f"{base}/properties/index_{page:05}.html" for page in range(int(pages))]

    def parse(self, response):
        for href in response.xpath('//*[contains(@class,"next")]//@href').getall():
            yield scrapy.Request(response.urljoin(href))
        for href in response.xpath('//*[@itemprop="url"]/@href').getall():
            yield scrapy.Request(response.urljoin(href), callback=self.parse_item)

    def parse_item(self, response):
        first = lambda path: next((text.strip() for text in response.xpath(path).getall() if text.strip()), None)
        yield {
            "title": first('//*[@itemprop="name"][1]/text()').title(),
            "price": float(PRICE.search(first('//*[@itemprop="price"][1]/text()'))[0].replace(",", "")),
            "description": " ".join(t.strip() for t in response.xpath('//*[@itemprop="description"][1]/text()').getall()),
            "address": first('//*[@itemtype="http://schema.org/Place"][1]/text()'),
            "image_urls": [response.urljoin(src) for src in response.xpath('//*[@itemprop="image"][1]/@src').getall()],
            "url": response.url,
            "date": datetime.datetime.now().isoformat(),
        }
