"""Settings of the server, the store and the models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ragstone.settings.section import Section


class ServerSettings(Section):
    """Where the HTTP server listens."""

    host: str = Field("127.0.0.1", description="Address to listen on; only loopback until there are keys.")
    port: int = Field(8321, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    shutdown_grace_s: float = Field(
        10.0,
        gt=0,
        description="Seconds that requests and jobs under way get to end when the server is stopped.",
    )


class StoreSettings(Section):
    """The SQL database, source of truth."""

    busy_timeout_s: float = Field(
        30.0, gt=0, description="Seconds a write waits for another process's write."
    )
    pool_size: int = Field(20, ge=1, le=200, description="Connections kept open for reading.")
    max_overflow: int = Field(10, ge=0, le=200, description="Connections opened beyond the pool under load.")
    pool_recycle_s: int = Field(3600, ge=1, description="Age at which a connection is replaced.")
    pool_timeout_s: float = Field(
        5.0, gt=0, le=300, description="Seconds a read waits for a free connection before it is answered 429."
    )


class IndexSettings(Section):
    """The derived lexical and vector indexes."""

    writer_memory_mb: int = Field(32, ge=15, le=2048, description="Memory of one lexical index writer.")


class ModelsSettings(Section):
    """The embedding model."""

    embedding_path: Path | None = Field(
        None, description="Folder with model.onnx and tokenizer.json; the bundled model when unset."
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        "auto", description="What runs the model; auto takes OpenVINO where installed and the CPU has bf16."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where the model runs; auto takes a CUDA GPU that gives the processor's vectors."
    )
    threads: int = Field(0, ge=0, le=256, description="Threads of the model; 0 takes the cores there are.")
    waiting_queries: int = Field(1024, ge=1, description="Query embeddings that may wait before 429.")
    bulk_callers: int = Field(64, ge=1, description="Documents that may wait for embedding before 429.")


class FallbackSettings(Section):
    """Another language model, asked when those before it do not answer."""

    base_url: str
    model: str
    api_key: SecretStr = SecretStr("")
    timeout_s: float = Field(120.0, gt=0)


class GeneratorSettings(Section):
    """The language model; without a base_url answers are extractive."""

    base_url: str | None = Field(
        None, description="An OpenAI-compatible server, such as http://127.0.0.1:11434/v1."
    )
    model: str = Field("", description="Name of the model at that server.")
    api_key: SecretStr = Field(SecretStr(""), description="Key sent to that server.")
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(1024, ge=1, le=131072, description="Longest answer, in tokens.")
    timeout_s: float = Field(120.0, gt=0, description="Longest wait for the whole answer of the model.")
    max_concurrent: int = Field(
        32,
        ge=1,
        le=10_000,
        description="Answers that one model writes at once; beyond, the next one is asked.",
    )
    fallbacks: tuple[FallbackSettings, ...] = Field(
        (),
        description="Models asked in this order when the first does not answer: tables with base_url, model, "
        "api_key, timeout_s; in the environment as JSON.",
    )
    probe_every_s: float = Field(
        30.0, ge=0, description="Least time between two looks of /health at that server; 0 never looks."
    )
