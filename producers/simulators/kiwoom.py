"""Kiwoom's REST interface on loopback: tokens, minute charts newest first with signs, continuation, lists, limits."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.bar_market import SimulatedBar, bar_at, openings
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.server import SimulatorServer
from tapewatch.clock import NANOS

SEOUL = timezone(timedelta(hours=9))
PAGE_ROWS = 900
_SIGNS = ("-", "+", "--", "")
_MARKETS = {"0": "거래소", "10": "코스닥"}


class KiwoomVenue:
    """The simulated venue. Every minute has a bar, around the clock; prices change sign form from row to row.

    symbols : codes by market (0 KOSPI, 10 KOSDAQ); begins : first bar there is, seconds since the epoch
    per_second : requests above which the venue says no, 0 for none; token_s : how long a token is valid
    tokens : given out so far; refusals : answers that said no, by code
    """

    name = "kiwoom"

    def __init__(
        self,
        symbols: Sequence[str],
        seed: int = 0,
        *,
        begins: int = 0,
        page_rows: int = PAGE_ROWS,
        per_second: int = 0,
        token_s: float = 86_400.0,
    ) -> None:
        self.symbols = list(symbols)
        self.begins = begins
        self.tokens: list[str] = []
        self.refusals: Counter[str] = Counter()
        self._seed, self._page_rows, self._per_second, self._token_s = seed, page_rows, per_second, token_s
        self._valid_until = 0
        self._asked: tuple[int, int] = (0, 0)
        self._folder = tempfile.TemporaryDirectory(prefix="kiwoom-")

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """The venue's settings, with files that hold the key and the secret it takes."""
        found = {"rest": http}
        for name in ("key", "secret"):
            path = Path(self._folder.name) / name
            path.write_text(f"simulated-{name}\n")
            found[f"{name}_file"] = str(path)
        return found

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """Tokens, charts and lists."""

        async def token(request: web.Request) -> web.StreamResponse:
            return self._token(await request.json(), server.now())

        async def chart(request: web.Request) -> web.StreamResponse:
            refusal = self._refusal(request, server.now())
            return refusal or self._chart(await request.json(), request.headers, server.now() // NANOS)

        async def listed(request: web.Request) -> web.StreamResponse:
            refusal = self._refusal(request, server.now())
            return refusal or self._listed(await request.json())

        return [
            web.post("/oauth2/token", token),
            web.post("/api/dostk/chart", chart),
            web.post("/api/dostk/stkinfo", listed),
        ]

    async def run(self, server: SimulatorServer) -> None:
        """Nothing is pushed."""

    def sent(self) -> dict[str, Any]:
        """Tokens given out, and answers that said no."""
        return {"tokens": len(self.tokens), "refusals": dict(self.refusals)}

    def bar(self, code: str, opened: int) -> SimulatedBar:
        """The true bar that opens then (seconds since the epoch), prices in won."""
        return bar_at(code, opened, self._seed)

    def expire(self) -> None:
        """No token is valid any more."""
        self._valid_until = 0

    def _token(self, body: dict[str, str], now: int) -> web.Response:
        if (body.get("appkey"), body.get("secretkey")) != ("simulated-key", "simulated-secret"):
            return json_answer({"return_code": 3, "return_msg": "[8001:App Key와 Secret Key 검증에 실패했습니다]"})
        self._valid_until = now + int(self._token_s * NANOS)
        self.tokens.append(f"token-{len(self.tokens) + 1}")
        expires = datetime.fromtimestamp(self._valid_until // NANOS, SEOUL)
        return json_answer(
            {
                "token_type": "bearer",
                "token": self.tokens[-1],
                "expires_dt": f"{expires:%Y%m%d%H%M%S}",
                "return_code": 0,
                "return_msg": "정상적으로 처리되었습니다",
            }
        )

    def _refusal(self, request: web.Request, now: int) -> web.Response | None:
        """The answer to a request without a valid token, or one too many."""
        offered = request.headers.get("authorization", "")
        if not self.tokens or offered != f"Bearer {self.tokens[-1]}" or now >= self._valid_until:
            self.refusals["8005"] += 1
            return json_answer({"return_code": 3, "return_msg": "인증에 실패했습니다[8005:Token이 유효하지 않습니다]"})
        second, count = self._asked
        count = count + 1 if second == now // NANOS else 1
        self._asked = (now // NANOS, count)
        if self._per_second and count > self._per_second:
            self.refusals["1700"] += 1
            return json_answer({"return_code": 5, "return_msg": "허용된 요청 개수를 초과하였습니다[1700:]"})
        return None

    def _chart(self, body: dict[str, str], headers: Any, now: int) -> web.Response:
        """A page of bars before the one that next-key names, newest first."""
        code, length = body.get("stk_cd", ""), 60 * int(body.get("tic_scope", "1"))
        if code not in self.symbols:
            return json_answer({"return_code": 2, "return_msg": "종목코드가 없습니다[1902:]"})
        continued = headers.get("cont-yn", "N") == "Y"
        before = int(headers["next-key"]) if continued else now + 1
        start = max(self.begins, before - length * (self._page_rows + 1))
        opened = list(openings(start, before, length))[-self._page_rows :]
        rows = [self._row(self.bar(code, at)) for at in reversed(opened)]
        more = bool(opened) and opened[0] > self.begins
        document = {"stk_cd": code, "stk_min_pole_chart_qry": rows, "return_code": 0, "return_msg": "정상"}
        answer = {"cont-yn": "Y" if more else "N", "next-key": str(opened[0]) if more else "", "api-id": "ka10080"}
        return json_answer(document, headers=answer)

    def _row(self, bar: SimulatedBar) -> dict[str, str]:
        sign = _SIGNS[bar.opened // 60 % len(_SIGNS)]
        at = datetime.fromtimestamp(bar.opened, SEOUL)
        return {
            "cur_prc": f"{sign}{bar.close}",
            "trde_qty": str(bar.volume),
            "cntr_tm": f"{at:%Y%m%d%H%M%S}",
            "open_pric": f"{sign}{bar.open}",
            "high_pric": f"{sign}{bar.high}",
            "low_pric": f"{sign}{bar.low}",
            "acc_trde_qty": "0",
            "pred_pre": "-600",
            "pred_pre_sig": "5",
        }

    def _listed(self, body: dict[str, str]) -> web.Response:
        market = body.get("mrkt_tp", "0")
        codes = self.symbols if market == "0" else []
        rows = [
            {"code": code, "name": f"시험 {code}", "marketName": _MARKETS[market], "state": "증거금20%"}
            for code in codes
        ]
        return json_answer(
            {"list": rows, "return_code": 0, "return_msg": "정상"}, headers={"cont-yn": "N", "next-key": ""}
        )


def made(options: SimulatorOptions) -> KiwoomVenue:
    """The venue from what every simulator understands."""
    return KiwoomVenue(options.symbols or [f"{number:06d}" for number in range(1, options.count + 1)], options.seed)
