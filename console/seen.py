"""The instruments of a seat as a statement's parameters, so that a limit counts only rows that the account may see."""

from console.routing import Call

SEEN = "(:everything OR i.name = ANY(:seen))"
"""The condition, where `i` is the table of instruments."""


async def seen(call: Call) -> dict[str, object]:
    """Values of `everything` and `seen` for the account."""
    if "*" in call.account.instruments:
        return {"everything": True, "seen": []}
    rows = await call.services.database.rows("SELECT name FROM instruments WHERE id > 0")
    return {"everything": False, "seen": [name for (name,) in rows if call.account.sees(name)]}
