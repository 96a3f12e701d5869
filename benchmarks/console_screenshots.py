"""Pictures of every page of a running console, light, dark and on a phone, for docs/images/console/.

`python -m benchmarks.console_screenshots --url http://127.0.0.1:8470 --name ann --password-file FILE`
PNG with a palette: colours are taken away until a picture is small enough.
"""

import argparse
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tapewatch.errors import TapewatchError

FOLDER = Path("docs/images/console")
PAGES = Path("console/web/pages/index.js")
LARGEST = 150_000
PATIENCE_MS = 90_000
COLOURS = (256, 128, 64, 32)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}
NEWEST: dict[str, tuple[str, Callable[[Any], str]]] = {
    "/instruments/:id": ("/signals/table", lambda found: found[0]["instrument"]),
    "/alerts/:id": ("/alerts?limit=1", lambda found: found["alerts"][0]["id"]),
    "/cases/:id": ("/cases?limit=1", lambda found: found["cases"][0]["id"]),
}
"""Where the thing of a page with a parameter is found."""


def addresses(request: Any, url: str) -> dict[str, str]:
    """Module name and path of every page; without a thing to show, a page is left out and said so."""
    found = {}
    for path, module in re.findall(r'\{ path: "([^"]+)", module: "([^"]+)"', PAGES.read_text(encoding="utf-8")):
        if ":" not in path:
            found[module] = path
        elif path in NEWEST:
            asked, pick = NEWEST[path]
            answer = request.get(f"{url}/api/v1{asked}")
            try:
                found[module] = re.sub(r":\w+", pick(answer.json()), path)
            except (LookupError, TypeError, ValueError):
                print(f"{path}: nothing to show", file=sys.stderr)
    return found


def picture(page: Any, address: str, target: Path, settle_ms: int) -> int:
    """Open a page, wait until it is drawn, and keep its picture; gives the bytes."""
    page.goto(address)
    page.wait_for_selector("main h1, main .problem")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.wait_for_timeout(settle_ms)
    data = reduced(page.screenshot())
    target.write_bytes(data)
    return len(data)


def reduced(data: bytes) -> bytes:
    """A PNG with as many colours as it may have to be small enough."""
    try:
        from PIL import Image
    except ImportError as error:
        raise TapewatchError("pictures need Pillow", "pip install 'tapewatch[plot]'") from error
    whole, small = Image.open(io.BytesIO(data)).convert("RGB"), data
    for colours in COLOURS:
        kept = io.BytesIO()
        whole.quantize(colours, dither=Image.Dither.NONE).save(kept, "PNG", optimize=True)
        small = kept.getvalue()
        if len(small) <= LARGEST:
            break
    return small


def main() -> int:
    """Take all pictures, or those of the pages named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console_screenshots", description=__doc__)
    parser.add_argument("--url", required=True, help="address of a running console")
    parser.add_argument("--name", required=True, help="account; it must see every page")
    parser.add_argument("--password-file", type=Path, required=True, help="file with its password")
    parser.add_argument("--to", type=Path, default=FOLDER, help=f"folder (default: {FOLDER})")
    parser.add_argument("--only", nargs="*", default=[], metavar="PAGE", help="modules of pages (default: all)")
    parser.add_argument("--look", nargs="*", default=list(LOOKS), choices=list(LOOKS), help="default: all")
    parser.add_argument("--settle-ms", type=int, default=2500, help="time for charts to be drawn (default: 2500)")
    args = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise TapewatchError("pictures need playwright", "pip install 'tapewatch[dev]'") from error
    args.to.mkdir(parents=True, exist_ok=True)
    url, sizes = args.url.rstrip("/"), {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for look in args.look:
            context = browser.new_context(**LOOKS[look], reduced_motion="reduce")
            said = {"name": args.name, "password": args.password_file.read_text(encoding="utf-8").strip()}
            if not context.request.post(f"{url}/api/v1/session", data=said).ok:
                raise TapewatchError("the console refuses the login", "Check name and password.")
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            for module, path in addresses(context.request, url).items():
                if not args.only or module in args.only:
                    target = args.to / f"{module}-{look}.png"
                    sizes[target.name] = picture(page, url + path, target, args.settle_ms)
            context.close()
        browser.close()
    print(json.dumps({"folder": str(args.to), "bytes": sizes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
