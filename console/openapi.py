"""The OpenAPI 3.1 document, made from the routes and the types of what goes in and comes out."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from console.routing import EmptyQuery, Route

PAGE = "docs/openapi.json"
PATH = "/api/v1/openapi.json"
TEMPLATE = "#/components/schemas/{name}"
STREAMS = ("text/event-stream", "websocket")

_PLACE = re.compile(r"\{(\w+)(?::([^{}]|\{[^{}]*\})*)?\}")
_ABOUT = """Everything that the console's pages do, for programs. Call it with an API token
(`Authorization: Bearer tw_...`) that a person makes on the page Profile. Times are RFC 3339 in UTC. Lists are cut at
`limit`. Errors say what to do next."""


class Problem(msgspec.Struct, frozen=True):
    """What went wrong, in words, and what to do next."""

    error: str
    next: str


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of these routes."""
    types = [each for route in routes for each in (route.query, route.body, route.answer) if each is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=TEMPLATE)
    found = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        query = next(found)
        body = next(found) if route.body is not None else None
        answer = next(found) if route.answer is not None else None
        operation = _operation(route, _properties(query, components), body, answer)
        paths.setdefault(_PLACE.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
    kept = _reached(paths, components) | {"Problem": components["Problem"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "tapewatch console", "version": "1.0", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(kept.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "API token, `tw_` and 43 characters"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "tapewatch",
                    "description": "a person's session (`__Host-tapewatch` with TLS); what changes something says the "
                    "session's `csrf` in the header X-CSRF-Token too",
                },
            },
        },
    }


def text(routes: Sequence[Route]) -> str:
    """The document as it lies in docs/."""
    return msgspec.json.format(msgspec.json.encode(document(routes)), indent=1).decode() + "\n"


def _operation(route: Route, parameters: dict[str, Any], body: Any, answer: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": _name(route),
        "tags": [route.path.split("/")[3].partition(".")[0]],
        "summary": route.summary,
        "description": _rights(route),
        "parameters": [*_places(route), *_queries(parameters)],
        "responses": _responses(route, answer),
    }
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    made["security"] = [] if route.role is None else [{"session": []}] + ([] if route.person else [{"token": []}])
    return made


def _rights(route: Route) -> str:
    """Who may call it."""
    if route.role is None:
        return "For everybody."
    who = f"Role {route.role}" + (f", page {route.page}" if route.page else "")
    how = "people alone" if route.person else f"scope {route.needs_scope}"
    audited = " Written into the audit log." if route.audit else ""
    return f"{who}; {how}.{audited}"


def _responses(route: Route, answer: Any) -> dict[str, Any]:
    problem = {"application/json": {"schema": {"$ref": TEMPLATE.format(name="Problem")}}}
    told: dict[str, Any] = {}
    if route.redirects:
        place = {"Location": {"schema": {"type": "string"}, "description": "where to go"}}
        told["303"] = {"description": route.summary, "headers": place}
    elif route.media == "websocket":
        told["101"] = {"description": "a WebSocket"}
    elif route.media == "application/json":
        told["200"] = {"description": "done", "content": {route.media: {"schema": answer}}}
    else:
        schema = {"type": "string"} if route.media.startswith("text/") else {"type": "string", "format": "binary"}
        told["200"] = {"description": route.summary, "content": {route.media: {"schema": schema}}}
    reasons = {"404": "there is no such thing, or it is not part of the seat", "429": "too many requests"}
    reasons["422"] = "parameters or body are not as described"
    if route.role is not None:
        reasons |= {"401": "not logged in", "403": "not allowed"}
    if route.body is not None:
        reasons |= {"413": "the body is too large", "415": "the body is not JSON"}
    told |= {status: {"description": why, "content": problem} for status, why in sorted(reasons.items())}
    return told | {"default": {"description": "refused or failed, and why", "content": problem}}


def _places(route: Route) -> list[dict[str, Any]]:
    """The path's parameters."""
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return [
        {"name": match[1], "in": "path", "required": True, "schema": schema} for match in _PLACE.finditer(route.path)
    ]


def _queries(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The query's parameters; a list is the same name several times."""
    needed = found.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": schema}
        for name, schema in found.get("properties", {}).items()
    ]


def _properties(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """A query struct's schema."""
    found: dict[str, Any] = components[schema["$ref"].rpartition("/")[2]]
    return {} if found.get("title") == EmptyQuery.__name__ else found


def _name(route: Route) -> str:
    """Such as get_cases_id."""
    words = re.findall(r"\w+", _PLACE.sub(r"\1", route.path.removeprefix("/api/v1/")))
    return "_".join([route.method.lower(), *words])


def _reached(paths: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The components that the paths refer to, and what those refer to."""
    kept: dict[str, Any] = {}
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = components[name]
            waiting.extend(_references(components[name]))
    return kept


def _references(tree: Any) -> Iterable[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"].rpartition("/")[2]
        for value in tree.values():
            yield from _references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _references(value)
