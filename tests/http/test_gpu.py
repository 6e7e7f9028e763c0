"""Which devices there are and what they are worth, over HTTP."""

from __future__ import annotations

import httpx2

from tests.requirements import verifies


@verifies("EMB-07")
def test_devices_and_what_the_embedder_uses_are_told(client: httpx2.Client) -> None:
    """In a sentence for people and in fields for machines; a machine without a GPU says so."""
    found = client.get("/v1/gpu").json()

    used = found["embedder"]
    assert found["wanted"] == "auto"
    assert used["provider"] in found["providers"] or used["runtime"] == "openvino"
    assert used["threads"] > 0 or used["device"] == "cuda"
    if not found["devices"]:
        assert found["verdict"].startswith("No GPU was found. The embedding model runs on the processor")
        assert (used["device"], used["fallbacks"]) == ("cpu", 0)


@verifies("EMB-07")
def test_the_processor_is_measured_by_batch_size(client: httpx2.Client) -> None:
    """The texts per second and the time of each agree; where no GPU is measured, the reason stands there."""
    found = client.post("/v1/gpu/benchmark", json={"limit_s": 20}).json()

    assert [row["batch_size"] for row in found["results"]][:1] == [1]
    for row in found["results"]:
        assert row["texts_per_s"] > 0
        assert abs(row["ms_per_text"] * row["texts_per_s"] / 1000 - 1) < 0.05
    devices = {row["device"] for row in found["results"]}
    assert ("cuda" in devices) == (found["gpu_problem"] is None)


def test_the_time_of_a_measurement_is_bounded(client: httpx2.Client) -> None:
    """Beyond two minutes it is refused."""
    refused = client.post("/v1/gpu/benchmark", json={"limit_s": 1000})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
