"""Templates, lifecycle policy and aliases: installed at start, upgraded in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinks.elasticsearch import mappings
from tapewatch import logs
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_NO_SUCH_API = {400, 404, 405}
_log = logs.get("sink.elasticsearch")


def install(client: Elasticsearch, settings: Settings) -> None:
    """Bring the server to this build's templates; templates of a later build are left as they are.

    Existing indices get the fields that are new; what they have stays.
    """
    prefix = settings.elasticsearch.prefix
    present = installed(client, prefix)
    if present < mappings.VERSION:
        policy = _policy(client, settings)
        name, body = mappings.component(prefix)
        client.cluster.put_component_template(name=name, **body)
        for kind in mappings.OWN:
            name, body = mappings.template(prefix, kind, policy)
            meta = {"meta": body.pop("_meta")}
            client.indices.put_index_template(name=name, **body, **meta)
        _bring_along(client, prefix)
        _log.info("templates installed", before=present, now=mappings.VERSION, lifecycle=policy or "none")
    elif present > mappings.VERSION:
        _log.warning("the server has templates of a later build", version=present, ours=mappings.VERSION)
    for kind in mappings.LASTING:
        _alias(client, prefix, kind)


def installed(client: Elasticsearch, prefix: str) -> int:
    """Version of the templates that the server has, the least of all of them; 0 where one is missing."""
    # The component comes first and the indices' mappings last: the kinds' templates tell how far an upgrade has come.
    answer = client.options(ignore_status=404).indices.get_index_template(name=f"{prefix}-*")
    found = {each["name"]: int(each["index_template"].get("version", 0)) for each in answer.get("index_templates", ())}
    return min(found.get(f"{prefix}-{kind}", 0) for kind in mappings.OWN)


def _policy(client: Elasticsearch, settings: Settings) -> str:
    """Put the lifecycle policy of the daily indices; empty where the server has no lifecycle management."""
    name = f"{settings.elasticsearch.prefix}-daily"
    days = settings.elasticsearch.retention_days
    phases = {"hot": {"actions": {}}, "delete": {"min_age": f"{days}d", "actions": {"delete": {}}}}
    answer = client.options(ignore_status=list(_NO_SUCH_API)).ilm.put_lifecycle(name=name, policy={"phases": phases})
    return "" if answer.meta.status in _NO_SUCH_API else name


def _bring_along(client: Elasticsearch, prefix: str) -> None:
    """Add new fields to the indices that exist."""
    common = mappings.component(prefix)[1]["template"]["mappings"]
    for kind in mappings.OWN:
        indices = mappings.pattern(prefix, kind)
        if client.indices.exists(index=indices, allow_no_indices=False):
            client.indices.put_mapping(index=indices, **common)
            client.indices.put_mapping(index=indices, **mappings.properties(kind))


def _alias(client: Elasticsearch, prefix: str, kind: str) -> None:
    """Make a lasting index with its alias, unless there is one."""
    alias = f"{prefix}-{kind}"
    if client.indices.exists_alias(name=alias):
        return
    # Somebody else may make it at the same moment.
    client.options(ignore_status=400).indices.create(
        index=mappings.lasting_index(prefix, kind), aliases={alias: {"is_write_index": True}}
    )
