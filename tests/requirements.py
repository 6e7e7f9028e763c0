"""The ids of FEATURES.md that are done; `@verifies` marks the tests that prove them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

DONE: Mapping[str, str] = MappingProxyType(
    {
        "CAC-01": "A repeated query's embedding comes from memory, by model revision and text, for 24 hours.",
        "OBS-02": "Every declared metric (50+ families) is moved through a door; switch, own port.",
        "OBS-06": "Dashboards and alerts come from the registry; promtool and a real Prometheus read them.",
        "ANA-01": "Requests, accesses, errors, the machine: logged in batches, off the request path.",
        "ANA-02": "Statistics by time: counts, percentiles, features, questions without hits.",
        "ANA-03": "Documents by how many requests found them; how well hits fit.",
        "ANA-04": "Words, hours and lengths of questions, groups of similar ones, unanswered ones.",
        "ANA-06": "Exported as CSV, JSON lines, Parquet; old rows go; erased by question and user.",
        "ANA-07": "Tokens and what they cost, by model and by day.",
        "ANA-08": "Look-ups in the log take 10 ms, a report over 1,000 requests 100 ms, at a million.",
        "OPS-12": "Logs of other systems are taken in from JSON lines and CSV, each line once.",
        "ANA-05": "Popular questions, completions within 5 ms at a million, and similar ones, per tenant.",
        "CAC-02": "A repeated search is found until its collection changes.",
        "CAC-09": "What lies behind memory is packed where that pays; the ratio is told.",
        "CAC-11": "Popular results live longer; the least recently used go first.",
        "CAC-15": "Every cache tells hits, sizes and savings, and is cleared by glob or collection.",
        "CAC-16": "What usually comes next is answered ahead where that is turned on, at rest.",
        "CAC-17": "Programs keep values of their own: get, set, delete, clear, many at once.",
        "CAC-13": "Questions are counted in all and by day, bounded, over processes; erased without trace.",
        "CAC-14": "The top questions are asked again by hand, at start, on schedule and after a change.",
        "CAC-10": "Behind the process lies Redis or a file; without it requests are slower, never wrong.",
        "CAC-12": "Equal questions at once cost one answer, among processes, too; who dies hands over.",
        "CAC-08": "Another wording is served only for the same evidence; its unsafe rate is published.",
        "CAC-03": "A repeated question is answered from memory; the same evidence is generated from once.",
        "CAC-06": "A cached response is only for its reader and for what was asked, to the last setting.",
        "CAC-07": "No cache answers from before an acknowledged write, in any process, under kills.",
        "CHK-01": "Chunks keep to a token budget, with overlap, on structural boundaries, by collection.",
        "CHK-02": "The heading path of a chunk is embedded and indexed with it, once.",
        "CHK-03": "A collection may cut where the meaning of neighbouring sentences changes.",
        "CHK-04": "Source code is cut on its syntax tree; functions that fit stay whole.",
        "CHK-05": "Tables are cut between rows, and each piece is found by the table's header.",
        "CHK-06": "Chunks are previewed without storing, counted, and capped with a clear error.",
        "CHK-07": "Joining the chunks loses no character outside declared overlap.",
        "CHK-08": "A hit comes with its neighbours or its section when asked for.",
        "OBS-08": "Processor, memory, GPU (a pretended one), a summary for operators, slow requests logged.",
        "OBS-07": "Each process has percentiles of its operations, and counts of errors; reset and reported.",
        "OBS-05": "Sentry is told of errors, where it is configured: kinds and places, no words of anybody.",
        "OBS-04": "Events are JSON lines with time, place, environment and request, on stderr and in a file.",
        "OBS-03": "One trace from the door through every stage to model and database; content is off.",
        "EMB-04": "A GPU that agrees is used, one that fails is left; tried with a pretended one only.",
        "EMB-07": "Devices, what the model runs on, CPU and GPU measured by batch size; no GPU was at hand.",
        "EMB-01": "The embedding model is part of the install: it works in a network without a route.",
        "GEN-02": "Without a language model the best sentences are quoted, with citations, and it says so.",
        "GEN-04": "Citations carry document, page, section and a span that resolves in the stored text.",
        "ING-01": "Plain text, Markdown and reStructuredText are taken in.",
        "ING-03": "Source code is split on syntax, its language kept and filtered on.",
        "ING-02": "HTML is taken in without navigation, cookie bars, asides and footers.",
        "ING-05": "PDF: text, headings, tables as Markdown, page numbers.",
        "ING-06": "DOCX, PPTX, XLSX, ODS, EPUB, EML, MSG are taken in; attachments as documents.",
        "ING-07": "CSV and tables: each row is kept with its header.",
        "ING-04": "JSON, YAML, CSS, XML and log files are taken in as they are written.",
        "ING-08": "Images and pages without a legible text layer are read by Tesseract where installed.",
        "ING-09": "Encodings are detected; broken bytes never stop an ingest.",
        "ING-10": "Uploads: many files at once, sizes and types checked, the type sniffed from the content.",
        "ING-11": "Inline text with metadata is added over the API and searchable when the call returns.",
        "ING-17": "Uploads are durable jobs: they outlive kill -9, can be followed, cancelled, retried.",
        "ING-12": "A folder of the server below an allowed root, recursive, with globs and .gitignore.",
        "ING-13": "A page or a site is fetched: depth, caps, robots.txt, limits; private addresses never.",
        "ING-14": "A git repository: one commit deep, only the wanted files, and only new ones again.",
        "ING-15": "Sources are named in a catalogue; they are listed, and synced by hand or on a schedule.",
        "ING-16": "A watched folder: create, change, rename, delete are followed, by notice or by polling.",
        "ING-18": "The same bytes twice are one document, a re-upload replaces, a delete never blocks one.",
        "ING-19": "An edit embeds only the chunks whose text changed.",
        "ING-20": "Title and metadata are edited without embedding anything.",
        "ING-21": "Documents are listed, paged, filtered and sorted, and counted by any metadata key.",
        "ING-22": "A delete by id, filter or collection leaves no row, index entry or original behind.",
        "ING-23": "Page, section path and exact character span go from the parser to the citation.",
        "ING-24": "The command line does all of it, with a bar, a line per file and a telling exit code.",
        "ING-25": "Hostile files get a clear error; the server does not notice.",
        "RES-08": "Nothing that waits for a disk, a network or a process is called on the event loop.",
        "RES-01": "A part that fails again and again is left alone for a while; health and metrics say so.",
        "RES-02": "What fails in passing is tried again with growing pauses, inside the deadline.",
        "RES-03": "Work has places: whoever finds none is told at once when to come again.",
        "RES-04": "Each part in each kind of trouble: what still works is stated, tested and told.",
        "RES-05": "What comes back after a fault is used again by itself.",
        "RES-06": "SIGTERM drains, finishes or hands back jobs, stores what was noted; a second one ends it.",
        "OBS-01": "Alive within 1 ms at the median, ready within 50 ms for 95 of 100, loading no model.",
        "OPS-01": "One command, no service, no account, no download of models.",
        "OPS-08": "The doctor names what is wrong with its fix; the support bundle holds no secret.",
        "OPS-09": "Settings from file, environment and flags; unknown ones refused; origins explained.",
        "RES-07": "Connection pools of SQL and Redis have settings and metrics, and end waits in time.",
        "RET-03": "Identifiers are found whole, CJK is cut into bigrams, each collection has its language.",
        "RET-04": "Hybrid by default; fusion by scores or by reciprocal ranks (k = 60), weights per query.",
        "RET-07": "Metadata filters hold in both legs.",
        "RET-08": "Several collections are searched at once.",
        "SEC-06": "Sizes, paths and addresses are checked: no traversal, no request to private addresses.",
        "SEC-09": "The server listens on loopback only, as there are no secrets yet that could guard more.",
    }
)


def verifies(*ids: str) -> Callable[[Test], Test]:
    """Mark a test as a proof of these requirements; only tests that enter through a door may carry one."""

    def mark(test: Test) -> Test:
        test.requirement_ids = ids  # type: ignore[attr-defined]
        return test

    return mark
