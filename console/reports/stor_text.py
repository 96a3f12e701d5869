"""A suspicious transaction and order report as XML (console/reports/stor.xsd) and as the blocks of a document."""

import re
from xml.etree import ElementTree

import msgspec

from console.reports.blocks import Block, Fields, Heading, Table, Text
from console.reports.stor import Item, Person, Stor, missing

NAMESPACE = "urn:tapewatch:stor:1"

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def as_xml(stor: Stor, report: str, revision: int, at: str) -> bytes:
    """The report as XML. report, revision : of the draft; at : RFC 3339, when this revision was made"""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(_tag("Stor"), {"id": report, "revision": str(revision), "at": at})
    _fill(root, stor)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _fill(parent: ElementTree.Element, content: msgspec.Struct) -> None:
    """An element for each field; for each entry of a list, under the list's own."""
    for field in msgspec.structs.fields(content):
        value = getattr(content, field.name)
        child = ElementTree.SubElement(parent, _tag(_camel(field.name)))
        if isinstance(value, msgspec.Struct):
            _fill(child, value)
        elif isinstance(value, list):
            for each in value:
                entry = ElementTree.SubElement(
                    child, _tag("Document" if isinstance(each, str) else type(each).__name__)
                )
                if isinstance(each, str):
                    entry.text = _text(each)
                else:
                    _fill(entry, each)
        else:
            child.text = _text(str(value))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def blocks(stor: Stor, report: str, revision: int, told: str) -> list[Block]:
    """The report section by section. told : who made this revision, and when"""
    lacks = missing(stor)
    one = stor.submitter
    two = stor.trading
    return [
        Text("Suspicious transaction and order report after Delegated Regulation (EU) 2016/957.", "small"),
        Text(f"Report {report}, revision {revision}. {told}", "small"),
        *([Text(f"Not complete: {', '.join(lacks)}.", "bad")] if lacks else []),
        Heading("1. Entity or person submitting the report"),
        Fields(
            [
                ("Person in charge", one.person),
                ("Position", one.position),
                ("Reporting entity", one.entity),
                ("LEI", one.lei),
                ("Address", one.address),
                ("Acting capacity", one.capacity),
                ("Trading activity", one.activity),
                ("Relationship with the suspected person", one.relationship),
                ("Contact", "\n".join(filter(None, (one.contact_name, one.contact_position)))),
                ("Telephone, e-mail", "\n".join(filter(None, (one.contact_phone, one.contact_email)))),
            ]
        ),
        Heading("2. Transactions and orders"),
        Fields(
            [
                ("Financial instrument", two.instrument),
                ("Identifier", two.identifier),
                ("Type", two.classification),
                ("Underlying, terms", two.underlying),
                ("Trading venue", " ".join(filter(None, (two.venue, f"({two.mic})" if two.mic else "")))),
                ("Country: given, executed", ", ".join(filter(None, (two.country_given, two.country_executed)))),
                ("Description", two.description),
            ]
        ),
        *(_item(number, item) for number, item in enumerate(two.items, start=1)),
        Heading("3. Nature of the suspicion"),
        Fields([("Breach", stor.suspicion.breach.replace("_", " ")), ("Reasons", stor.suspicion.reasons)]),
        Heading("4. Persons suspected"),
        *(_person(person) for person in stor.persons),
        *([] if stor.persons else [Text("None named.")]),
        Heading("5. Additional information"),
        *(Text(line or " ") for line in stor.additional.split("\n")),
        Heading("6. Documents attached"),
        Table(("document",), [(document,) for document in stor.documents]),
    ]


def _item(number: int, item: Item) -> Fields:
    by = (item.placed_by, item.received_by, item.transmitted)
    given = [
        (f"{item.kind.capitalize()} {number}", item.reference),
        ("At, settlement", ", ".join(filter(None, (item.at, item.settlement)))),
        ("Side, price, quantity", ", ".join(filter(None, (item.side, item.price, item.quantity)))),
        ("Order type, way placed", ", ".join(filter(None, (item.order_type, item.placed)))),
        (
            "Placed by, received by, means",
            ", ".join(filter(None, by)),
        ),
        ("Cancelled or altered", item.changes),
    ]
    return Fields(given)


def _person(person: Person) -> Fields:
    return Fields(
        [
            ("Name", person.name),
            ("Date of birth", person.date_of_birth),
            ("National identification number", person.national_id),
            ("Address", person.address),
            ("Employment", person.employment),
            ("Accounts", person.accounts),
            ("Client code", person.client_code),
            ("Relationship with the issuer", person.issuer),
        ]
    )
