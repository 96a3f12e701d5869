"""Prometheus' text format."""

from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """The lines of a metric: help, type (counter, gauge) and its samples; none where there is no sample."""
    lines = [sample_line(name, labels, value) for labels, value in samples]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines] if lines else []


def sample_line(name: str, labels: Mapping[str, str], value: float) -> str:
    """One sample; label values are escaped."""
    inner = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
    number = str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
    return f"{name}{{{inner}}} {number}" if inner else f"{name} {number}"


def escaped(text: str) -> str:
    """A label's value as the format wants it: backslash, quote and line end escaped, lone surrogates replaced."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return plain.encode("utf-8", "replace").decode()
