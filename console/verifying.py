"""`tapewatch verify` as a process of its own, one at a time: the console itself computes nothing of the engine's."""

import asyncio
import os
import sys
from dataclasses import dataclass, field

import msgspec

from console.database import Database
from console.reports.proofs import VerificationResult
from tapewatch.clock import Clock
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings
from tapewatch.settings_environment import environment_of

TIMEOUT_S = 120.0
WAITING = 8
"""Verifications that wait for their turn, at most."""

_KEEP = """
INSERT INTO evidence_proofs (alert_id, at_ns, who, identical, proof)
VALUES (:alert, :at, :who, :identical, cast(:proof AS jsonb))
"""
_LAST = "SELECT proof FROM evidence_proofs WHERE alert_id = :alert ORDER BY id DESC LIMIT 1"


@dataclass(slots=True)
class Verifier:
    """Runs verifications and keeps their results. waiting : alerts that are being verified, with their results to be"""

    settings: Settings
    database: Database
    clock: Clock
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    waiting: dict[str, asyncio.Task[VerificationResult]] = field(default_factory=dict)

    async def verified(self, alert: str, who: str) -> VerificationResult:
        """The result of a verification; who asks while one runs gets the same. TapewatchError where too many wait."""
        task = self.waiting.get(alert)
        if task is None:
            if len(self.waiting) >= WAITING:
                raise TapewatchError("too many verifications wait", "Try again in a minute.")
            task = asyncio.create_task(self._verify(alert, who))
            self.waiting[alert] = task
            task.add_done_callback(lambda _: self.waiting.pop(alert, None))
        return await asyncio.shield(task)

    async def last(self, alert: str) -> VerificationResult | None:
        """The newest kept result."""
        rows = await self.database.rows(_LAST, {"alert": alert})
        return msgspec.convert(rows[0][0], VerificationResult) if rows else None

    async def end(self) -> None:
        """Stop what is running."""
        tasks = list(self.waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _verify(self, alert: str, who: str) -> VerificationResult:
        async with self.turn:
            proof = await self._run(alert)
        now = self.clock.now()
        proof = msgspec.structs.replace(proof, at=to_rfc3339(now), who=who)
        if not proof.problem:
            kept = {"alert": alert, "at": now, "who": who, "identical": proof.identical}
            text = msgspec.json.encode(proof).decode().replace("\\u0000", "?")
            await self.database.execute(_KEEP, kept | {"proof": text})
        return proof

    async def _run(self, alert: str) -> VerificationResult:
        """Run the command; what it says, or why it says nothing."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tapewatch", "verify", alert, "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | environment_of(self.settings),
        )  # fmt: skip
        try:
            said, complained = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError:
            return VerificationResult(alert, False, problem=f"no result within {TIMEOUT_S:g} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return msgspec.json.decode(said, type=VerificationResult)
        except msgspec.DecodeError:
            lines = complained.decode(errors="replace").strip().splitlines()
            problem = next((line for line in lines if line.startswith("tapewatch: ")), lines[-1] if lines else "")
            return VerificationResult(
                alert, False, problem=problem.removeprefix("tapewatch: ")[:500] or "the command failed"
            )
