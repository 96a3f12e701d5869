"""The JSON messages: bytes that do not vary, readers that tolerate additions, ids that agree everywhere."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewatch.contract import messages
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339

ONSET = 1_700_000_000_000_000_001


def alert(**changes: object) -> messages.Alert:
    whole = messages.Alert(
        id=messages.alert_id("pump_and_dump", "AST.BINANCE", ONSET),
        scenario="pump_and_dump",
        instrument="AST.BINANCE",
        onset=to_rfc3339(ONSET),
        decided=to_rfc3339(ONSET),
        updated=to_rfc3339(ONSET),
        state="open",
        revision=0,
        severity="high",
        score=87.5,
        probability=0.93,
        sentence="Price rose 12 % within 30 s on 40 times the usual volume.",
        data_tier="trades",
        evidence=(messages.Evidence("volume_z_60", 41.0, 8.0, ">="), messages.Evidence("spread", None, None, "", "bp")),
        provenance=messages.Provenance("market.binance", 2, 10, 12, 12, "c0", {"kmeans": "m0", "a": "m1"}, "b0"),
    )
    return msgspec.structs.replace(whole, **changes)


def test_alert_survives_the_round_trip() -> None:
    assert messages.decode(messages.Alert, messages.encode(alert())) == alert()


def test_same_message_gives_the_same_bytes_whatever_the_order_of_its_dicts() -> None:
    one = alert()
    turned = msgspec.structs.replace(one.provenance, models=dict(reversed(one.provenance.models.items())))
    assert messages.encode(msgspec.structs.replace(one, provenance=turned)) == messages.encode(one)


def test_field_of_a_later_minor_version_is_ignored() -> None:
    later = json.loads(messages.encode(alert())) | {"version": "1.7", "mood": {"a": [1]}}
    assert messages.decode(messages.Alert, json.dumps(later).encode()).version == "1.7"


def test_unknown_major_version_is_refused_even_where_the_rest_differs() -> None:
    with pytest.raises(ContractError, match=r"2\.0") as refused:
        messages.decode(messages.Alert, b'{"version":"2.0","entirely":"different"}')
    assert refused.value.reason == "unsupported_version"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"version":1}',
        b'{"version":"1.0"}',
        b'{"version":"1.0","id":"\xc3"}',
        b'{"version":"1.0","x":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    ],
)
def test_bytes_that_are_no_such_message_are_refused(value: bytes) -> None:
    with pytest.raises(ContractError) as refused:
        messages.decode(messages.Alert, value)
    assert refused.value.reason == "malformed_message"


def test_score_out_of_range_is_refused() -> None:
    with pytest.raises(ContractError):
        messages.decode(messages.Alert, messages.encode(alert(score=101.0)))


def test_nan_in_evidence_becomes_null() -> None:
    cold = alert(evidence=(messages.Evidence("x", float("nan"), 1.0, ">="),))
    assert messages.decode(messages.Alert, messages.encode(cold)).evidence[0].value is None


def test_alert_id_is_the_documented_hash() -> None:
    text = f"pump_and_dump|AST.BINANCE|{ONSET}"
    assert messages.alert_id("pump_and_dump", "AST.BINANCE", ONSET) == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_every_kind_has_a_topic_of_its_own_and_describes_every_field() -> None:
    assert len(messages.BY_TOPIC) == len(messages.KINDS)
    _, parts = msgspec.json.schema_components(messages.KINDS.values())
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part["properties"].items()
        if "description" not in field
    ]
    assert silent == []


@given(st.integers(min_value=-(2**60), max_value=2**62))
def test_time_survives_the_round_trip_to_the_nanosecond(ns: int) -> None:
    assert from_rfc3339(to_rfc3339(ns)) == ns


def test_time_with_fewer_decimals_is_read() -> None:
    assert from_rfc3339("1970-01-01T00:00:01.5Z") == 1_500_000_000


@pytest.mark.parametrize("text", ["2024-01-31", "2024-01-31T09:00:00+08:00", "2024-13-01T00:00:00Z"])
def test_text_that_is_no_utc_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)
