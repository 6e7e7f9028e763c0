"""E-mail to Markdown with the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage, MIMEPart

from ragstone.ingest.extraction import Enclosure, Extraction
from ragstone.ingest.fallback_html import html_to_markdown

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def mail_to_markdown(
    message: EmailMessage, enclosed: Sequence[Enclosure] = (), warnings: Sequence[str] = ()
) -> Extraction:
    """The subject as title, the headers a reader sees, and the body; attachments go along as they are."""
    headers = {name: " ".join(str(message[name]).split()) for name in _HEADERS if message[name]}
    lines = [f"**{name}**: {value}" for name, value in headers.items()]
    body = message.get_body(("plain", "html"))
    text = "\n\n".join(["\n\n".join(lines), _text(body) if body else ""])
    metadata: dict[str, str | list[str]] = {
        name.lower(): value for name, value in headers.items() if name in ("From", "To", "Cc", "Date")
    }
    if enclosed:
        metadata["attachments"] = [part.name for part in enclosed]
    return Extraction(
        (text,),
        title=headers.get("Subject"),
        metadata=metadata,
        warnings=tuple(warnings),
        enclosed=tuple(enclosed),
    )


def _text(part: MIMEPart) -> str:
    text = str(part.get_content())
    return html_to_markdown(text)[1] if part.get_content_subtype() == "html" else text
