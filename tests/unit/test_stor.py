"""Suspicious transaction and order reports: drafted from an alert, valid XML whatever is written into them, PDF."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.reports import stor_text
from console.reports.pdf import pdf
from console.reports.stor import Item, Person, Stor, Submitter, Suspicion, Trading, draft, missing
from tests.unit.report_scene import AT, HOSTILE, alert, case, context

XSD = Path(stor_text.__file__).with_name("stor.xsd")
SCHEMA = "{http://www.w3.org/2001/XMLSchema}"
STRUCTS = {
    "Report": Stor,
    "Submitter": Submitter,
    "Trading": Trading,
    "Item": Item,
    "Suspicion": Suspicion,
    "Person": Person,
}
REPORT = "e" * 32


def drafted(text: str = "Pumped.") -> Stor:
    return draft(alert(text), text[:100], case(text), context(), ["f" * 64])


def tree(stor: Stor) -> ElementTree.Element:
    return ElementTree.fromstring(stor_text.as_xml(stor, REPORT, 3, AT))


def test_draft_says_what_surveillance_knows_and_leaves_the_rest_to_people() -> None:
    made = drafted("Price rose.")
    assert made.suspicion.reasons.startswith("Price rose.")
    assert "volume_z: 9.5 (threshold >= 4) sigma" in made.suspicion.reasons
    assert (made.trading.identifier, made.trading.mic) == ("2330.XTAI", "XTAI")
    assert "price from 104 to 106" in made.trading.description
    assert "ann: Price rose." in made.additional
    assert made.documents == [f"Evidence bundle {'f' * 64} (SHA-256)"]
    assert made.persons == []
    assert missing(made) == ["name of the person in charge", "name of the reporting entity", "contact"]


def test_schema_names_every_field_in_its_order() -> None:
    schema = ElementTree.parse(XSD).getroot()
    for name, kind in STRUCTS.items():
        sequence = schema.find(f"{SCHEMA}complexType[@name='{name}']/{SCHEMA}sequence")
        assert sequence is not None
        told = [element.get("name") for element in sequence]
        assert told == [stor_text._camel(field) for field in kind.__struct_fields__]


def test_xml_holds_everything_that_was_written() -> None:
    filled = msgspec.structs.replace(
        drafted(), persons=[Person(name="王小明", date_of_birth="1970-01-31")],
        trading=Trading(instrument="<&>", items=[Item(side="buy", price="10 TWD"), Item(kind="order")]),
    )  # fmt: skip
    root = tree(filled)
    told = {"s": stor_text.NAMESPACE}
    assert root.attrib == {"id": REPORT, "revision": "3", "at": AT}
    assert root.findtext("s:Persons/s:Person/s:Name", namespaces=told) == "王小明"
    assert root.findtext("s:Trading/s:Instrument", namespaces=told) == "<&>"
    assert len(root.findall("s:Trading/s:Items/s:Item", told)) == 2
    assert root.findtext("s:Suspicion/s:Breach", namespaces=told) == "market_manipulation"


@pytest.mark.parametrize("text", ["Pumped.", HOSTILE])
def test_xml_is_valid_by_its_schema(text: str) -> None:
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    made = msgspec.structs.replace(drafted(text), persons=[Person(name=text)])
    schema.assertValid(etree.fromstring(stor_text.as_xml(made, REPORT, 0, AT)))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_xml_or_pdf(text: str) -> None:
    made = Stor(additional=text, persons=[Person(name=text)], submitter=Submitter(entity=text), documents=[text])
    assert tree(made).tag.endswith("Stor")
    assert pdf("Report", stor_text.blocks(made, REPORT, 0, text), text).startswith(b"%PDF-")


def test_full_report_becomes_a_pdf() -> None:
    trading = Trading(items=[Item(reference=HOSTILE)] * 40, description="x" * 5000)
    made = msgspec.structs.replace(drafted(HOSTILE), trading=trading, persons=[Person(name=HOSTILE)] * 20)
    assert pdf("Report", stor_text.blocks(made, REPORT, 1, "ann"), "ann").count(b"/Type /Page\n") > 3
