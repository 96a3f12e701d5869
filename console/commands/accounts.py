"""`tapewatch accounts`: the console's accounts, from the command line."""

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

ROLES = ("viewer", "analyst", "approver", "admin")

_EPILOG = """examples:
  tapewatch accounts add ann --role admin
  tapewatch accounts add feed-reader --role viewer --generate
  tapewatch accounts set ann --instruments '*.XTAI' --pages tape,alerts
  tapewatch accounts tokens ann --make nightly --scopes read
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch accounts`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="add|list|set|disable|enable|password|tokens", required=True)
    add = acts.add_parser("add", help="make an account; its password is asked for")
    listing = acts.add_parser("list", help="every account")
    setting = acts.add_parser("set", help="change role or entitlements")
    disable = acts.add_parser("disable", help="an account may not enter any more; its sessions end")
    enable = acts.add_parser("enable", help="an account may enter again")
    password = acts.add_parser("password", help="give an account a new password; its sessions end")
    tokens = acts.add_parser("tokens", help="list, make or revoke an account's API tokens")
    for act in (add, setting, disable, enable, password, tokens):
        act.add_argument("name", metavar="NAME")
    for act in (add, password):
        act.add_argument("--password-file", type=Path, metavar="FILE", help="take the password from there")
        act.add_argument("--generate", action="store_true", help="generate a password and print it once")
    add.add_argument("--role", choices=ROLES, default="viewer", help="default: viewer")
    setting.add_argument("--role", choices=ROLES)
    for act in (add, setting):
        act.add_argument("--pages", metavar="A,B", help="pages it sees (* for all; `role`: as its role)")
        act.add_argument("--instruments", metavar="A,B", help="patterns of instruments it sees (`role`: as its role)")
    tokens.add_argument("--make", metavar="WHAT_FOR", help="make a token, printed once")
    tokens.add_argument("--scopes", default="read", metavar="A,B", help="read, write, admin (default: read)")
    tokens.add_argument("--days", type=int, default=90, help="it ends after so many days (default: 90)")
    tokens.add_argument("--revoke", metavar="ID", help="end a token")
    for act in (add, listing, setting, disable, enable, password, tokens):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked."""
    try:
        from console import opening
    except ImportError as error:
        raise TapewatchError(f"accounts need {error.name}", "pip install 'tapewatch[console]'") from error
    acts = {"add": _add, "list": _list, "password": _password, "tokens": _tokens}
    act = acts.get(args.act, _change)
    password = _asked(args) if args.act in ("add", "password") else ""
    with opening.connected(settings) as session:
        document, lines = act(args, session, password)
    if args.act != "list" and not (args.act == "tokens" and not (args.make or args.revoke)):
        opening.recorded(settings, f"account.{args.act}", args.name, **_told(args))
    if getattr(args, "generate", False):
        document, lines = {**document, "password": password}, [*lines, f"password {password}"]
    print(json.dumps(document) if args.json else "\n".join(printable(line) for line in lines))
    return 0


def _told(args: argparse.Namespace) -> dict[str, Any]:
    """What the audit log says of the arguments."""
    kept = ("role", "pages", "instruments", "make", "scopes", "revoke")
    return {key: value for key in kept if (value := getattr(args, key, None))}


def _asked(args: argparse.Namespace) -> str:
    """The password: generated, from a file, or typed twice."""
    from console.accounts import passwords

    if args.generate:
        return passwords.generated()
    if args.password_file:
        try:
            return str(args.password_file.read_text()).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise TapewatchError(f"{args.password_file} cannot be read: {error}", "Name another file.") from error
    if not sys.stdin.isatty():
        raise TapewatchError("there is no terminal to ask for a password", "Use --password-file or --generate.")
    first = getpass.getpass(f"password of {args.name}: ")
    if first != getpass.getpass("again: "):
        raise TapewatchError("the two passwords differ", "Try again.")
    return first


def _words(text: str | None) -> Any:
    """A comma-separated list; None for `role`; unset where nothing was said."""
    if text is None:
        return msgspec.UNSET
    return None if text == "role" else [word.strip() for word in text.split(",") if word.strip()]


def _entitled(args: argparse.Namespace) -> dict[str, Any]:
    """What to change, checked as the API checks it."""
    from console.api.accounts import UpdateAccountRequest

    wanted = {"pages": _words(args.pages), "instruments": _words(args.instruments), "role": args.role or msgspec.UNSET}
    given = {key: value for key, value in wanted.items() if value is not msgspec.UNSET}
    try:
        msgspec.convert(given, UpdateAccountRequest)
    except msgspec.ValidationError as error:
        raise TapewatchError(f"account: {error}", "See docs/console.md for pages and patterns.") from error
    return given


def _add(args: argparse.Namespace, session: Any, password: str) -> tuple[dict[str, Any], list[str]]:
    from console.accounts import store

    store.make_with_password(session, args.name, args.role, password, WALL.now())
    store.change(session, args.name, _entitled(args), WALL.now())
    return {"name": args.name, "role": args.role}, [f"{args.name} is {args.role}"]


def _change(args: argparse.Namespace, session: Any, _: str) -> tuple[dict[str, Any], list[str]]:
    from console.accounts import store

    values = _entitled(args) if args.act == "set" else {"disabled": args.act == "disable"}
    store.change(session, args.name, values, WALL.now())
    return {"name": args.name, **values}, [f"{args.name}: " + ", ".join(f"{k} {v}" for k, v in values.items())]


def _password(args: argparse.Namespace, session: Any, password: str) -> tuple[dict[str, Any], list[str]]:
    from console.accounts import passwords, store

    store.set_password(session, args.name, passwords.hashed(password, args.name), WALL.now())
    return {"name": args.name}, [f"{args.name} has a new password; its sessions have ended"]


def _list(args: argparse.Namespace, session: Any, _: str) -> tuple[dict[str, Any], list[str]]:
    from console.accounts import store

    found = store.entries(session)
    lines = [
        f"{each.name:<24} {each.role:<9}{'disabled ' if each.disabled else ''}"
        f"pages {','.join(each.pages) if each.pages is not None else 'of the role'}  "
        f"instruments {','.join(each.instruments) if each.instruments is not None else 'of the role'}"
        for each in found
    ]
    return {"accounts": msgspec.to_builtins(found)}, lines or [
        "no accounts yet: tapewatch accounts add NAME --role admin"
    ]


def _tokens(args: argparse.Namespace, session: Any, _: str) -> tuple[dict[str, Any], list[str]]:
    from console.accounts import store, tokens

    store.entry(session, args.name)
    if args.make:
        end = WALL.now() + args.days * 24 * 3600 * NANOS
        number, secret = tokens.make(session, args.name, args.make, _words(args.scopes), WALL.now(), end)
        return {"id": number, "token": secret, "expires": to_rfc3339(end)}, [secret]
    if args.revoke:
        tokens.revoke(session, args.name, args.revoke)
        return {"revoked": args.revoke}, [f"{args.revoke} is revoked"]
    found = tokens.of(session, args.name)
    lines = [
        f"{each.id}  {','.join(each.scopes):<16} until {to_rfc3339(each.expires_ns)[:10]}  {each.name}"
        for each in found
    ]
    return {"tokens": msgspec.to_builtins(found)}, lines or ["no tokens"]
