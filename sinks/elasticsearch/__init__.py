"""The Elasticsearch sink: every document once, by deterministic ids and external versions."""

from sinks.elasticsearch.bulk import Progress, Summary
from sinks.elasticsearch.sink import ElasticsearchSink

__all__ = ["ElasticsearchSink", "Progress", "Summary"]
