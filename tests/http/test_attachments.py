"""Attachments of e-mail over HTTP: documents of their own that come, change and go with their message."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import quote

import httpx2
import pytest

from tests.fixtures.parsing.small_files import pdf
from tests.http.test_documents import add, hits
from tests.requirements import verifies

Wire = dict[str, object]
Part = bytes | EmailMessage


def mail(subject: str, body: str, **parts: Part) -> EmailMessage:
    """A message; `notes_md=b"..."` attaches `notes.md`, a message attaches as one."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "ann@example.com", "bob@example.com"
    message.set_content(body)
    for name, part in parts.items():
        if isinstance(part, EmailMessage):
            message.add_attachment(part)
        else:
            filename = name.replace("_", ".")
            message.add_attachment(part, maintype="application", subtype="octet-stream", filename=filename)
    return message


def send(client: httpx2.Client, collection: str, message: EmailMessage, **fields: str) -> Wire:
    """Upload it as `report.eml`; what was written."""
    response = client.post(
        "/v1/documents",
        files={"file": ("report.eml", message.as_bytes())},
        data={"collection": collection, "source": "mail/report.eml", **fields},
    )
    assert response.status_code in (200, 201), response.text
    written: Wire = response.json()
    return written


def texts(client: httpx2.Client, collection: str, query: str) -> str:
    """All that a search finds, in one string."""
    return "\n".join(str(hit["text"]) for hit in hits(client, collection, query))


def listed(client: httpx2.Client, collection: str) -> list[dict[str, object]]:
    """The collection's documents."""
    documents: list[dict[str, object]] = client.get(
        "/v1/documents", params={"collection": collection}
    ).json()["documents"]
    return documents


def parts_of(written: Wire) -> dict[str, str]:
    """Ids of the attachments by name."""
    parts = written["attachments"]
    assert isinstance(parts, list)
    return {part["name"]: part["id"] for part in parts}


@verifies("ING-06", "ING-23")
def test_each_attachment_is_found_as_a_document_of_its_own(client: httpx2.Client, collection: str) -> None:
    """Text, PDF, and the file in a message within: with their own title, page, section and span; what cannot
    be read is a warning of the message.
    """
    inner = mail("Heron letter", "Herons wade.", plan_pdf=pdf("Newts on one.", "Kingfishers on two."))
    written = send(
        client,
        collection,
        mail("Outer", "See below.", notes_md=b"# Wells\n\nZebras drink.", junk_bin=bytes(99), inner=inner),
        metadata='{"year": 2024}',
    )

    parts = parts_of(written)
    assert list(parts) == ["notes.md", "Heron letter.eml", "Heron letter.eml/plan.pdf"]
    assert any("junk.bin" in warning for warning in written["warnings"])  # type: ignore[attr-defined]
    zebra = hits(client, collection, "zebras drink")[0]
    assert (zebra["document_id"], zebra["section"]) == (parts["notes.md"], ["Wells"])
    bird = hits(client, collection, "kingfishers")[0]
    assert (bird["document_id"], bird["page"]) == (parts["Heron letter.eml/plan.pdf"], 1)
    assert bird["source"] == "mail/report.eml#Heron letter.eml/plan.pdf"
    assert bird["metadata"]["parent_id"] == written["id"]  # type: ignore[index]
    assert bird["metadata"]["year"] == 2024  # type: ignore[index]
    span = bird["span"]
    passage = client.get(f"/v1/documents/{bird['document_id']}/text", params=span).json()  # type: ignore[arg-type]
    assert passage["text"] == bird["text"]
    start = span["start"] + str(bird["text"]).index("Kingfishers")  # type: ignore[index]
    second = {"start": start, "end": start + len("Kingfishers on two.")}
    passage = client.get(f"/v1/documents/{bird['document_id']}/text", params=second).json()
    assert (passage["text"], passage["page"]) == ("Kingfishers on two.", 2)
    assert {document["parent_id"] for document in listed(client, collection)} == {None, written["id"]}
    whole = [hit for hit in hits(client, collection, "herons wade") if hit["document_id"] == written["id"]]
    assert "Herons wade." not in "".join(str(hit["text"]) for hit in whole)


@verifies("ING-18", "ING-19")
def test_attachments_change_with_their_message(client: httpx2.Client, collection: str) -> None:
    """After a replace the old ones' text is out of reach; one that stayed keeps its id and its vectors."""
    send(client, collection, mail("Outer", "See.", old_txt=b"Quokkas hop.", kept_txt=b"Zebras drink."))
    before = {document["title"]: document["id"] for document in listed(client, collection)}

    written = send(client, collection, mail("Outer", "See.", kept_txt=b"Zebras drink.", new_txt=b"Emus run."))

    assert written["status"] == "replaced"
    assert list(parts_of(written)) == ["kept.txt", "new.txt"]
    assert parts_of(written)["kept.txt"] == before["kept.txt"]
    assert written["embedded_count"] == 2  # the body names its attachments; the new one
    assert "Quokkas" not in texts(client, collection, "quokkas hop")
    assert "Emus" in texts(client, collection, "emus run")
    assert client.get(f"/v1/documents/{before['old.txt']}").status_code == 404


@verifies("ING-22")
@pytest.mark.parametrize("by", ["id", "filter"])
def test_attachments_go_with_their_message(client: httpx2.Client, collection: str, by: str) -> None:
    """The receipt names each, and none is found when the call returns."""
    written = send(client, collection, mail("Outer", "See.", a_txt=b"Quokkas hop.", b_txt=b"Emus run."))
    add(client, collection, "Zebras drink.")

    if by == "id":
        receipt = client.delete(f"/v1/documents/{written['id']}").json()["receipt"]
    else:
        wanted = '{"type": "eq", "key": "$source", "value": "mail/report.eml"}'
        receipt = client.delete(f"/v1/documents?collection={collection}&filter={quote(wanted)}").json()[
            "receipt"
        ]

    assert receipt["document_count"] == 3
    assert {document["id"] for document in receipt["documents"]} == {
        written["id"],
        *parts_of(written).values(),
    }
    assert [document["title"] for document in listed(client, collection)] == ["Zebras drink."]
    assert texts(client, collection, "quokkas emus") == "Zebras drink."


@verifies("ING-20")
def test_metadata_of_a_message_holds_for_its_attachments(client: httpx2.Client, collection: str) -> None:
    """An edit reaches them: the old value finds nothing any more, the new one finds the attachment."""
    written = send(client, collection, mail("Outer", "See.", a_txt=b"Quokkas hop."), metadata='{"team": "a"}')

    client.patch(f"/v1/documents/{written['id']}", json={"metadata": {"team": "b"}})

    def found(team: str) -> list[object]:
        wanted = {"type": "eq", "key": "team", "value": team}
        return [hit["source"] for hit in hits(client, collection, "quokkas", filters=wanted)]

    assert found("a") == []
    assert "mail/report.eml#a.txt" in found("b")


def test_an_attachment_cannot_be_replaced_by_itself(client: httpx2.Client, collection: str) -> None:
    """It says what to replace instead; removing it alone is allowed and lasts until the message changes."""
    written = send(client, collection, mail("Outer", "See.", a_txt=b"Quokkas hop."))
    part = parts_of(written)["a.txt"]

    refused = client.put(f"/v1/documents/{part}", json={"text": "Other."})
    same = add(client, collection, "Quokkas hop.")
    removed = client.delete(f"/v1/documents/{part}")

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert str(written["id"]) in refused.json()["detail"]
    assert same["id"] != part
    assert removed.status_code == 200
    assert client.get(f"/v1/documents/{written['id']}").status_code == 200
