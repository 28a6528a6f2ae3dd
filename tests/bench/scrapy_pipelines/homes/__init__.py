"""The peer of tests/bench/sinks.py: the pipelines that the book describes, written for today's Scrapy. One request an item and sink."""
