"""What `tapewatch doctor` looks at in Elasticsearch: reached, its version, its templates, its health."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from sinks.elasticsearch import mappings
from sinks.elasticsearch.client import connect, server_errors
from sinks.elasticsearch.templates import installed
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.settings.stack import Addresses

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PATIENCE_S = 8.0


def checks(asked: CheckContext) -> Iterator[Check]:
    """Nothing where the settings name no server and the embedded stack has none."""
    settings = asked.settings
    if not settings.elasticsearch.url and not _runs_here(asked):
        yield good("elasticsearch", "none is named and none runs here: the product works without")
        return
    client = connect(settings).options(request_timeout=PATIENCE_S)
    try:
        yield _version(client)
        yield _health(client)
        yield _templates(client, settings.elasticsearch.prefix)
    except server_errors() as error:
        yield failing(
            "elasticsearch", f"{settings.elasticsearch_url()}: {str(error)[:200]}",
            "Check elasticsearch.url, its API key and certificates (docs/elasticsearch.md).",
        )  # fmt: skip
    finally:
        client.close()


def _runs_here(asked: CheckContext) -> bool:
    """Whether the embedded stack has one."""
    data = asked.settings.data_path
    return Addresses.is_running(data) and bool(Addresses.running(data).elasticsearch_url)


def _version(client: Elasticsearch) -> Check:
    """Server beside client: the same major version."""
    server, ours = str(client.info()["version"]["number"]), metadata.version("elasticsearch")
    found = f"server {server}, client {ours}"
    if server.partition(".")[0] != ours.partition(".")[0]:
        return warning("elasticsearch", found, "Use a client of the server's major version.")
    return good("elasticsearch", found)


def _health(client: Elasticsearch) -> Check:
    """Red: some documents cannot be read or written."""
    found = client.cluster.health()
    told = f"{found['status']}, {found['number_of_nodes']} nodes, {found['unassigned_shards']} shards unassigned"
    if found["status"] == "red":
        return failing("elasticsearch health", told, "Bring the nodes back that have its shards.")
    if found["status"] == "yellow" and found["number_of_nodes"] > 1:
        return warning("elasticsearch health", told, "See why replicas are not assigned.")
    return good("elasticsearch health", told)


def _templates(client: Elasticsearch, prefix: str) -> Check:
    """The indices' templates, against this build's."""
    there = installed(client, prefix)
    if there == mappings.VERSION:
        return good("elasticsearch templates", f"version {there}")
    if there > mappings.VERSION:
        return warning(
            "elasticsearch templates", f"version {there} is of a later build; this one's is {mappings.VERSION}",
            "Right while a later build is rolled out or back; else start that build.",
        )  # fmt: skip
    return warning(
        "elasticsearch templates", f"version {there or 'none'}, this build's is {mappings.VERSION}",
        "Start `tapewatch sink elasticsearch`: it brings them up to date.",
    )  # fmt: skip
