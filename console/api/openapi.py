"""The API's own description."""

from typing import Any

from console import openapi
from console.routing import Call, Route


async def described(call: Call) -> dict[str, Any]:
    """The OpenAPI document."""
    from console import api

    return openapi.document(api.routes())


ROUTES = [Route("GET", openapi.PATH, described, "This document", answer=dict[str, Any])]
