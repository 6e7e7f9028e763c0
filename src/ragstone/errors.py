"""Everything Ragstone raises on purpose.

    RagstoneError                       code internal
    ├── InvalidRequest                  invalid_request        the caller's words are off
    │   ├── InvalidFilter               invalid_filter
    │   └── InvalidSetting              invalid_setting
    ├── NotFound                        not_found
    │   ├── DocumentNotFound            document_not_found
    │   ├── CollectionNotFound          collection_not_found
    │   ├── ChunkNotFound               chunk_not_found
    │   ├── AnswerNotFound              answer_not_found
    │   ├── JobNotFound                 job_not_found
    │   ├── PathNotFound                path_not_found
    │   └── SourceNotFound              source_not_found
    ├── DocumentRejected                document_rejected      this document cannot be taken in
    │   ├── InvalidFileType             invalid_file_type
    │   ├── FileTooLarge                file_too_large
    │   ├── EmptyDocument               empty_document
    │   ├── EncryptedDocument           encrypted_document
    │   ├── BrokenDocument              broken_document
    │   └── ParserLimitExceeded         parser_limit_exceeded
    ├── Conflict                        conflict
    │   ├── ModelMismatch               model_mismatch
    │   ├── HomeMismatch                home_mismatch
    │   ├── SourceBusy                  source_busy            retryable
    │   └── TooManyVanished             too_many_vanished
    ├── Refused                         refused                allowed by nobody here
    │   └── FetchRefused                fetch_refused
    ├── NotReady                        not_ready              an extra or a part is missing
    ├── DeadlineExceeded                deadline_exceeded      retryable
    ├── Overloaded                      overloaded             retryable
    │   └── QueueFull                   queue_full
    ├── ShuttingDown                    shutting_down          retryable
    └── DependencyFailed                dependency_failed      retryable
        ├── BreakerOpen                 breaker_open           not asked: it failed a moment ago
        ├── StoreFailed                 store_failed
        │   └── StoreFull               store_full
        ├── IndexFailed                 index_failed
        ├── EmbeddingFailed             embedding_failed
        ├── GeneratorFailed             generator_failed
        │   └── PromptRefused           prompt_refused         not retryable
        ├── FetchFailed                 fetch_failed
        ├── SourceFailed                source_failed
        └── CacheFailed                 cache_failed

A message holds the offending value and the fix. A code is stable: clients may switch on it.
HTTP statuses, exit codes and JSON-RPC numbers are the doors' business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


class RagstoneError(Exception):
    """The root: `code` is stable, `retryable` says whether the same call may work later."""

    code: str = "internal"
    retryable: bool = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class InvalidRequest(RagstoneError):
    """A value in the request is missing, unknown or out of range."""

    code = "invalid_request"


class InvalidFilter(InvalidRequest):
    """A filter does not follow the grammar."""

    code = "invalid_filter"


class InvalidSetting(InvalidRequest):
    """A setting is unknown, misspelt or out of range."""

    code = "invalid_setting"


class NotFound(RagstoneError):
    """The thing named does not exist, or is not visible to the caller."""

    code = "not_found"


class DocumentNotFound(NotFound):
    """No live document has this id."""

    code = "document_not_found"

    def __init__(self, document_id: str) -> None:
        super().__init__(
            f"No document has the id {document_id!r}. `ragstone docs list` shows the ids there are.",
            document_id=document_id,
        )


class CollectionNotFound(NotFound):
    """No collection has this name."""

    code = "collection_not_found"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        there = f" There are: {', '.join(known)}." if known else ""
        super().__init__(
            f"There is no collection {name!r}; adding a document to it creates it.{there}",
            collection=name,
        )


class ChunkNotFound(NotFound):
    """No live chunk has this id."""

    code = "chunk_not_found"

    def __init__(self, chunk_id: str) -> None:
        super().__init__(f"No live chunk has the id {chunk_id!r}.", chunk_id=chunk_id)


class AnswerNotFound(NotFound):
    """No trace of such an answer is kept."""

    code = "answer_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No trace of an answer {name!r} is kept: it was never given, was erased, or is older or further "
            "back than telemetry.answer_trace_days and telemetry.answer_traces keep.",
            answer_id=name,
        )


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job has the id {job_id!r}.", job_id=job_id)


class PathNotFound(NotFound):
    """A path named on the command line or in a setting does not exist."""

    code = "path_not_found"


class SourceNotFound(NotFound):
    """The catalogue has no source of this name."""

    code = "source_not_found"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        there = f"there are: {', '.join(known)}" if known else "it is empty"
        super().__init__(f"The catalogue names no source {name!r}; {there}.", source=name)


class DocumentRejected(RagstoneError):
    """The document cannot be taken in; the documents next to it can."""

    code = "document_rejected"


class InvalidFileType(DocumentRejected):
    """No parser reads this kind of file."""

    code = "invalid_file_type"


class FileTooLarge(DocumentRejected):
    """The file is over the size limit."""

    code = "file_too_large"


class EmptyDocument(DocumentRejected):
    """Nothing readable is in the document."""

    code = "empty_document"


class EncryptedDocument(DocumentRejected):
    """The document needs a password."""

    code = "encrypted_document"


class BrokenDocument(DocumentRejected):
    """The bytes are not what their type says, or are damaged."""

    code = "broken_document"


class ParserLimitExceeded(DocumentRejected):
    """Parsing ran over its time or memory wall."""

    code = "parser_limit_exceeded"


class Conflict(RagstoneError):
    """The stored state and the request cannot both be right."""

    code = "conflict"


class ModelMismatch(Conflict):
    """Stored vectors come from another model than the configured one."""

    code = "model_mismatch"


class HomeMismatch(Conflict):
    """The home folder was written by another version, or is not a Ragstone home."""

    code = "home_mismatch"


class SourceBusy(Conflict):
    """The source is being synced already, here or by another process."""

    code = "source_busy"
    retryable = True


class TooManyVanished(Conflict):
    """So many documents of a source are gone at once that none was removed."""

    code = "too_many_vanished"


class Refused(RagstoneError):
    """The operation is not allowed in this configuration."""

    code = "refused"


class FetchRefused(Refused):
    """The address is not one that this server fetches from."""

    code = "fetch_refused"


class NotReady(RagstoneError):
    """Something that must be installed or configured first is missing."""

    code = "not_ready"


class DeadlineExceeded(RagstoneError):
    """The time given to the request is used up."""

    code = "deadline_exceeded"
    retryable = True


class Overloaded(RagstoneError):
    """A bounded queue is full; try again in a moment."""

    code = "overloaded"
    retryable = True


class QueueFull(Overloaded):
    """As many jobs wait as may; `retry_after_s` of the details says when to come again."""

    code = "queue_full"


class ShuttingDown(RagstoneError):
    """The server is ending and takes no new requests; another one, or this one in a moment, may."""

    code = "shutting_down"
    retryable = True


class DependencyFailed(RagstoneError):
    """A part that Ragstone leans on did not do its work."""

    code = "dependency_failed"
    retryable = True


class BreakerOpen(DependencyFailed):
    """A part failed again and again and is left alone for a while; it was not asked."""

    code = "breaker_open"


class StoreFailed(DependencyFailed):
    """The SQL database failed."""

    code = "store_failed"


class StoreFull(StoreFailed):
    """There is no room for what was to be written; nothing of it was, and reading goes on."""

    code = "store_full"


class IndexFailed(DependencyFailed):
    """A derived index failed."""

    code = "index_failed"


class EmbeddingFailed(DependencyFailed):
    """The embedding model failed."""

    code = "embedding_failed"


class GeneratorFailed(DependencyFailed):
    """The language model failed, was unreachable or spoke garbage."""

    code = "generator_failed"

    def __init__(
        self, message: str, *, retryable: bool = True, reason: str = "failed", **details: object
    ) -> None:
        """`reason` says what happened without a word of the server: its message may quote the prompt."""
        super().__init__(message, **details)
        self.retryable = retryable
        self.reason = reason


class PromptRefused(GeneratorFailed):
    """The language model refuses this prompt, such as one that is too long for it; it is well itself."""

    code = "prompt_refused"
    retryable = False

    def __init__(self, message: str, *, reason: str = "refuses this prompt", **details: object) -> None:
        super().__init__(message, retryable=False, reason=reason, **details)


class FetchFailed(DependencyFailed):
    """A page could not be fetched."""

    code = "fetch_failed"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SourceFailed(DependencyFailed):
    """A source of documents could not be listed."""

    code = "source_failed"


class CacheFailed(DependencyFailed):
    """A place for cached entries did not answer; the product goes on without it."""

    code = "cache_failed"


def error_of(code: str, message: str) -> RagstoneError:
    """The error that stands behind a code, as a failed answer or a failed job keeps it."""
    kinds = [RagstoneError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    found = next((kind for kind in kinds if kind.code == code), DependencyFailed)
    # Past the constructors of those that word their message themselves.
    error = found.__new__(found)
    RagstoneError.__init__(error, message)
    return error


def nearest_hint(word: str, known: Collection[str]) -> str:
    """For whoever misspelt a word, behind the sentence that says so: the nearest known one, else all."""
    close = _nearest(word, known)
    return f" Did you mean {close!r}?" if close else f" There are: {', '.join(known)}."


def no_such(name: str, known: Collection[str], noun: str = "") -> str:
    """The sentence about an unknown name: the nearest known one, and all that there are."""
    close = _nearest(name, known)
    hint = f"; did you mean {close!r}?" if close else "."
    return f"There is no {noun}{name[:80]!r}{hint} There are: {', '.join(known)}."


def _nearest(word: str, known: Collection[str]) -> str | None:
    from difflib import get_close_matches  # only a mistake needs it

    return next(iter(get_close_matches(word, list(known), 1, 0.4)), None)
