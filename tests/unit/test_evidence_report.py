"""The evidence report: everything an alert rests on, as HTML and PDF, whatever the texts hold."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.reports.blocks import POLICY, page
from console.reports.evidence_report import RecordComparison, Report, VerificationResult, blocks, title
from console.reports.pdf import pdf
from tests.unit.report_scene import AT, HOSTILE, alert, case, context


def report(text: str = "Pumped.", seconds: int = 120) -> Report:
    proof = VerificationResult(
        "a" * 32, True, "bundle", "market.twse[2]", "b" * 16, findings=[RecordComparison(0, True, True)], at=AT
    )
    return Report(alert(text), text, [alert(text)], case(text), context(seconds), proof, (), "d" * 64, 12, AT, "ann")


def html(of: Report) -> str:
    return page(title(of), blocks(of))


def test_report_tells_evidence_case_provenance_and_proof() -> None:
    text = html(report("Price rose 20 % on 100 times the volume."))
    for wanted in (
        "Price rose 20 % on 100 times the volume.", "volume_z", "&gt;= 4", "not warm", "escalate", "market.twse[2]",
        "0123456789abcdef", "Proved: its evidence bundle gives this alert", "d" * 64, "2026-01-30 01:02:03.000 UTC",
    ):  # fmt: skip
        assert wanted in text


def test_pictures_show_price_volume_features_and_levels() -> None:
    text = html(report())
    assert text.count("<svg") == 5
    assert "threshold &gt;= 4" in text
    assert "Best levels" in text


def test_page_takes_nothing_from_elsewhere_and_keeps_hostile_text_as_text() -> None:
    text = html(report(HOSTILE))
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "style=" not in text
    assert "script" not in text
    assert "default-src 'none'" in POLICY


def test_alert_without_data_or_case_still_has_a_report() -> None:
    bare = report(seconds=0)
    bare = Report(bare.alert, "", [], None, bare.context, None)
    assert "Nobody has verified this alert yet." in html(bare)
    assert pdf("x", blocks(bare), "now").startswith(b"%PDF-")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
def test_pdf_can_be_read_back_and_names_fonts_for_chinese_and_korean(tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf(title(report()), blocks(report("台積電 rose, 삼성전자 fell")), "made now"))
    text = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, text=True, check=True).stdout
    for wanted in ("volume_z", "market.twse[2]", "page 1"):
        assert wanted in text
    # The reader brings these fonts: poppler only with the package poppler-data.
    assert b"MSung-Light" in file.read_bytes()
    assert b"HYSMyeongJo-Medium" in file.read_bytes()


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(), max_size=300))
def test_no_text_breaks_page_or_pdf(text: str) -> None:
    made = report(text, seconds=3)
    assert "</html>" in html(made)
    assert pdf(text, blocks(made), text).startswith(b"%PDF-")


def test_hostile_and_endless_texts_become_a_pdf() -> None:
    endless = report(HOSTILE * 20, seconds=3)
    assert pdf(HOSTILE, blocks(endless), HOSTILE).startswith(b"%PDF-")
    long = msgspec.structs.replace(alert(), sentence="x" * 5_000)
    assert pdf("x", blocks(Report(long, "", [], case("\n" * 200), endless.context, None)), "x").startswith(b"%PDF-")
