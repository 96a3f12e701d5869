"""docs/rights.md, generated from the tables of rights and roles (`python -m infra.rights_page --check|--write`)."""

import sys
from pathlib import Path

from infra.migrations import roles
from tapewatch import generated
from tapewatch.access.services import SERVICES, Service, seen
from tapewatch.settings import Settings

MODULE = "infra.rights_page"
PAGE = Path("docs/rights.md")

_HEAD = """# The least rights of each service

Generated from `tapewatch/access/services.py` and `infra/migrations/roles.py`; `python -m infra.rights_page --write`
rewrites it. How to give them: [security](security.md).

## Kafka

`*` ends a name that stands for all that begin so; `{engine.group}` is that setting; `{feed}` is a feed that rights were
given for (`tapewatch acl apply --feed NAME`), and every feed without one: then whoever may write dead letters of a feed
may write the feed too. Reading, writing and making a topic include looking it up. Transactions need `write` on their
id, working in a group `read` on it.
"""
_SEEN = """
Every service may look up (`describe`) the names and partitions of our topics, `market.*` among them, and the group
`{group}`: {names}.

## PostgreSQL

Each role begins with a prefix, `tapewatch_` unless another is chosen. `sink_postgres` owns the tables that are parted
by day, since it makes their partitions and feature columns: {owned}. Whoever migrates is a member of it.

| role | for | reads and writes | reads |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = "".join(_section(name, service) for name, service in SERVICES.items())
    found = seen(Settings())
    names = ", ".join(f"`{right.name}`" for right in found if right.kind == "topic" and not right.prefix)
    group = next(right.name for right in found if right.kind == "group")
    owned = _listed(roles.OWNED)
    return _HEAD + rows + _SEEN.format(group=group, names=names, owned=owned) + "".join(map(_role, roles.ROLES.items()))


def _role(item: tuple[str, roles.Role]) -> str:
    """One line of the table."""
    name, role = item
    reads = ", ".join(filter(None, (_listed(role.reads), "all views" if role.views else "")))
    return f"| `{name}` | {role.does} | {_listed(role.writes)} | {reads} |\n"


def _section(name: str, service: Service) -> str:
    """One service."""
    lines = [
        ("reads", service.reads),
        ("writes", service.writes),
        ("makes", service.makes),
        ("works in the groups", service.groups),
        ("looks up the groups", service.looks),
        ("transactional ids", service.ids),
    ]
    told = "".join(f"- {what}: {_listed(names)}\n" for what, names in lines if names)
    return f"\n### {name}\n\n`tapewatch` {service.runs}\n\n{told}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def main(words: list[str] | None = None) -> int:
    """Check the page or write it; 1 where --check finds it out of step."""
    args = generated.options(MODULE, "The page of rights.").parse_args(words)
    return generated.settle({PAGE: page()}, MODULE, args.write)


if __name__ == "__main__":
    sys.exit(main())
