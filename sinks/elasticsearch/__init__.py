"""The Elasticsearch sink: every document once, by deterministic ids and external versions."""

from sinks.elasticsearch.sink import ElasticsearchSink
from sinks.elasticsearch.summary import Progress, Summary

__all__ = ["ElasticsearchSink", "Progress", "Summary"]
