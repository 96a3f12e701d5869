"""Wall time is data; what has passed or is due is told by the clock that nobody sets. Read from the syntax trees."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("tapewatch", "producers", "streams", "sinks", "console", "infra", "evaluation", "benchmarks")
READS = {"now": "wall", "elapsed": "elapsed"}
TIMES = {"now": "wall", "now_ns": "wall", "elapsed": "elapsed", "elapsed_ns": "elapsed"}
"""Parameters that are times by their names: who calls may stand in another module."""
KEEPS = {"max", "min", "int", "float", "round", "abs"}
"""Functions whose answer is a time where they are given one."""
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

DATA = {
    "benchmarks/idle_seconds.py": ("now // NANOS not in self.sent",),  # seconds of a feed
    "benchmarks/builds.py": ("done - begun",),  # told beside the times of stalls
    "console/accounts/attempts.py": ("locked_ns > now", "now - locked_ns"),  # of the database
    "console/spans.py": ("start >= end",),  # of rows
    "infra/chaos/stall.py": ("now - last",),  # laid beside the times of differing rows
    "infra/doctor/postgres.py": ("after - before",),  # the clock itself is measured
    "producers/base/runner.py": (  # a SteadyClock, beside times of rows and of the calendar
        "self._clock.now() - max(self.metrics.newest_ns, self._begun)",
        "at - self._clock.now()",
        "max(at, now - MAX_SKEW_NS)",
    ),
    "producers/base/state.py": ("max(self._clock.now(), self._epoch + 1)",),  # an epoch
    "producers/feed/live.py": (  # seconds of a feed
        "self._beaten < min(now_ns // NANOS, self._closed_by)",
        "second <= self._beaten",
        "max(self.newest_ns, second * NANOS)",
        "min(now_ns // NANOS, self._closed_by)",
    ),
    "producers/live.py": ("upto >= self._sent_ns", "max(self._worst_behind, behind)"),  # a SteadyClock, beside rows
    "producers/simulators/kiwoom.py": ("now >= self._valid_until",),  # the venue's time
    "producers/venues/bridge/process.py": (  # times of records, seconds of a feed
        "max(received, min(stamped if stamped > 0 else now, now))",
        "now // NANOS <= self._beaten",
        "min(stamped if stamped > 0 else now, now)",
    ),
    "producers/venues/twse/arbiter.py": (  # of a SteadyClock, beside times of rows
        "now - self._yahoo_good",
        "now - self._unwatched_since",
        "now - batch.good",
        "now - self._well_since",
        "now - worst.good",
    ),
    "producers/venues/yahoo/history.py": (  # dates that are asked for
        "begin < now",
        "min(begin + INTRADAY_DAYS[interval] * DAY_NS, now)",
    ),
    "streams/engine/accounts.py": (  # seconds of rows
        "second <= self._second",
        "0 <= one.second < second",
        "one.stepped + 1 < second",
        "closes < second",
    ),
    "streams/news/process.py": ("max(totals.slowest_ms, totals.latency_ms)",),  # since the broker's time stamp
    "tapewatch/clock.py": ("wall >= self._newest",),  # the SteadyClock itself
}
"""Where wall times are compared because they are data, and why."""


class Times:
    """Which names of a module hold readings of which clock, as far as its own text tells.

    Names of locals go with their function, attributes by their name alone, functions by what they return.
    """

    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        self._known: dict[str, set[str]] = {}
        nodes = list(ast.walk(self._tree))
        self._parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
        self._functions = {node.name: node for node in nodes if isinstance(node, FUNCTION)}
        for function in self._functions.values():
            for each in [*function.args.args, *function.args.kwonlyargs]:
                if each.arg in TIMES and isinstance(each.annotation, ast.Name) and each.annotation.id == "int":
                    self._add(f"{function.name}:{each.arg}", {TIMES[each.arg]})
        size = -1
        while size != (size := sum(map(len, self._known.values()))):
            for node in nodes:
                self._learn(node)

    def slips(self) -> Iterator[ast.expr]:
        """Where two times are compared or subtracted, and not both are of the clock that nobody sets."""
        for node in ast.walk(self._tree):
            pairs: Iterable[tuple[ast.expr, ast.expr]] = ()
            match node:
                case ast.BinOp(left=left, op=ast.Sub(), right=right):
                    pairs = [(left, right)]
                case ast.Call(func=ast.Name(id="max" | "min"), args=[left, right]):
                    pairs = [(left, right)]
                case ast.Compare(left=left, comparators=others):
                    pairs = zip([left, *others], others, strict=False)
            if isinstance(node, ast.expr) and any(self._differ(left, right) for left, right in pairs):
                yield node

    def _differ(self, left: ast.expr, right: ast.expr) -> bool:
        one, other = self._of(left), self._of(right)
        return bool(one and other) and "wall" in one | other

    def _of(self, node: ast.AST) -> set[str]:
        """The clocks whose readings an expression's value is, or holds."""
        match node:
            case ast.Attribute(value=value, attr=name):
                clock = name in READS and ("clock" in ast.unparse(value).lower() or ast.unparse(value) == "WALL")
                return {READS[name]} if clock else self._known.get(f".{name}", set())
            case ast.Name(id=name):
                return self._known.get(f"{self._scope(node)}:{name}", set())
            case ast.Call(func=function, args=given):
                return self._of_call(function, given)
            case ast.BinOp(left=left, op=operator, right=right):
                length = isinstance(operator, ast.Sub) and self._of(left) and self._of(right)
                return set() if length or isinstance(operator, ast.Mod) else self._of_any([left, right])
            case ast.IfExp(body=body, orelse=other):
                return self._of_any([body, other])
            case ast.BoolOp(values=values) | ast.Tuple(elts=values) | ast.List(elts=values):
                return self._of_any(values)
            case ast.Subscript(value=value) | ast.NamedExpr(value=value) | ast.DictComp(value=value):
                return self._of(value)
        return set()

    def _of_any(self, nodes: Iterable[ast.AST]) -> set[str]:
        return {clock for node in nodes for clock in self._of(node)}

    def _of_call(self, function: ast.expr, given: list[ast.expr]) -> set[str]:
        match function:
            case ast.Name(id=name) if name in KEEPS:
                return self._of_any(given)
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name) if name in self._functions:
                return self._known.get(f"{name}()", set())
            case ast.Attribute(attr=name) if name in READS:
                return self._of(function)
            case ast.Attribute(value=value, attr="get" | "pop" | "setdefault" | "fromkeys" | "values"):
                return self._of_any([value, *given])
        return set()

    def _scope(self, node: ast.AST) -> str:
        """The name of the function that a node stands in."""
        scope: ast.AST | None = self._parents.get(node)
        while scope is not None and not isinstance(scope, FUNCTION):
            scope = self._parents.get(scope)
        return scope.name if isinstance(scope, FUNCTION) else ""

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value)
            case (
                ast.AnnAssign(target=target, value=ast.expr() as value)
                | ast.NamedExpr(target=target, value=value)
                | ast.AugAssign(target=target, value=value)
            ):
                self._assign(target, value)
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                self._assign(target, value)
            case ast.Return(value=ast.expr() as value):
                self._add(f"{self._scope(node)}()", self._of(value))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in self._functions:
                self._hand_over(name, node)

    def _hand_over(self, name: str, call: ast.Call) -> None:
        """What a function of the module is called with."""
        parameters = [each.arg for each in self._functions[name].args.args if each.arg != "self"]
        for parameter, value in zip(parameters, call.args, strict=False):
            self._add(f"{name}:{parameter}", self._of(value))
        for named in call.keywords:
            self._add(f"{name}:{named.arg}", self._of(named.value))

    def _assign(self, target: ast.AST, value: ast.AST) -> None:
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                for each, its in zip(targets, values, strict=True):
                    self._assign(each, its)
            case ast.Name(id=name), _:
                self._add(f"{self._scope(target)}:{name}", self._of(value))
            case ast.Attribute(attr=name), _:
                self._add(f".{name}", self._of(value))
            case ast.Subscript(value=held), _:
                self._assign(held, value)

    def _add(self, name: str, clocks: set[str]) -> None:
        if clocks:
            self._known.setdefault(name, set()).update(clocks)


def slips(source: str) -> set[str]:
    return {ast.unparse(node) for node in Times(source).slips()}


def test_only_data_is_compared_with_wall_time() -> None:
    found = {
        str(path.relative_to(ROOT)): slips(path.read_text())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert {path: said for path, said in found.items() if said} == {path: set(said) for path, said in DATA.items()}


def test_deadline_of_wall_time_is_found_whichever_way_it_is_kept() -> None:
    assert slips("def f(clock):\n    until = clock.now() + 5\n    while clock.now() < until: pass")
    assert slips(
        "class A:\n  def a(self): self._due = WALL.now()\n  def b(self, now_ns: int): return now_ns >= self._due"
    )
    assert slips(
        "class A:\n  def a(self): self._d[1], x = clock.now(), 2\n  def b(self): return WALL.now() - self._d[1]"
    )
    assert slips("def f(kept):\n    kept = dict.fromkeys('ab', WALL.now())\n    return WALL.now() - kept.get('a', 0)")
    assert slips("def f():\n    return g(WALL.now())\ndef g(begun):\n    return (WALL.now() - begun) / 1e9")
    assert slips("def f():\n    return WALL.now()\ndef g(began):\n    began = f()\n    return max(f(), 0) - began")


def test_readings_of_two_clocks_are_not_mixed() -> None:
    assert slips("def f(began):\n    began = WALL.elapsed()\n    return WALL.now() - began")


def test_what_the_clock_that_nobody_sets_tells_is_free_to_compare() -> None:
    assert not slips("def f():\n    until = WALL.elapsed() + 5\n    while WALL.elapsed() < until: pass")
    assert not slips("def f(message):\n    return WALL.now() - message.timestamp()")
