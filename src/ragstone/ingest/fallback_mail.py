"""E-mail to Markdown with the standard library."""

from __future__ import annotations

import email
import email.policy
from email.message import MIMEPart

from ragstone.ingest.extraction import Extraction
from ragstone.ingest.fallback_html import html_to_markdown

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def mail_to_markdown(content: bytes) -> Extraction:
    """The subject as title, the headers a reader sees, the body, and attachments that are text."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    headers = {name: " ".join(str(message[name]).split()) for name in _HEADERS if message[name]}
    lines = [f"**{name}**: {value}" for name, value in headers.items()]
    body = message.get_body(("plain", "html"))
    parts = ["\n\n".join(lines), _text(body) if body else ""]
    names: list[str] = []
    for attachment in message.iter_attachments():
        names.append(attachment.get_filename() or "unnamed")
        if attachment.get_content_maintype() == "text":
            parts.append(f"## {names[-1]}\n\n{_text(attachment)}")
    metadata: dict[str, str | list[str]] = {
        name.lower(): value for name, value in headers.items() if name in ("From", "To", "Cc", "Date")
    }
    if names:
        metadata["attachments"] = names
    return Extraction(("\n\n".join(parts),), title=headers.get("Subject"), metadata=metadata)


def _text(part: MIMEPart) -> str:
    text = str(part.get_content())
    return html_to_markdown(text)[1] if part.get_content_subtype() == "html" else text
