"""`tapewatch kibana`: write the dashboards' saved objects to a file, or put them into a Kibana."""

import argparse
import json
import sys
from pathlib import Path

from infra.kibana.content import ndjson
from infra.kibana.install import install as install_objects
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kibana`."""
    acts = parser.add_subparsers(dest="act", metavar="export|install", required=True)
    export = acts.add_parser("export", help="write the saved objects, one JSON document a line")
    export.add_argument("file", type=Path, nargs="?", help="file to write (default: standard output)")
    install = acts.add_parser("install", help="import them into a Kibana, in place of earlier ones")
    install.add_argument("--url", required=True, help="Kibana's address, https://host:5601")
    install.add_argument("--api-key-file", type=Path, metavar="FILE", help="file with an API key")
    install.add_argument("--ca-file", default="", metavar="FILE", help="certificates to trust beside the system's")
    install.add_argument("--space", default="", help="Kibana space (default: the default one)")
    install.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.epilog = "example: tapewatch kibana install --url https://kibana:5601 --api-key-file key"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Export or install, for the indices of elasticsearch.prefix."""
    content = ndjson(settings.elasticsearch.prefix)
    if args.act == "export":
        if args.file is None:
            sys.stdout.write(content)
        else:
            args.file.write_text(content, encoding="utf-8")
        return 0
    taken = install_objects(args.url, content, _key(args.api_key_file), args.space, args.ca_file)
    print(json.dumps({"objects": taken}) if args.json else f"{taken} objects installed")
    return 0


def _key(file: Path | None) -> str:
    """The API key in a file; empty without one."""
    if file is None:
        return ""
    try:
        return file.expanduser().read_text().strip()
    except OSError as error:
        raise TapewatchError(f"{file} cannot be read: {error.strerror}", "Name a readable file.") from error
