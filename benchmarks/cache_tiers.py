"""What a look into each tier of the cache costs: SQLite, and Redis alone, with its claims.

    python benchmarks/cache_tiers.py [--quick]

Entries of three sizes, as answers have them (text, about half after compression) and as query vectors are
(1,536 bytes that do not shrink). One caller: a hit, a miss, ten keys at once, keeping one entry. Eight
callers at once: hits a second. Redis is a private server on loopback, started and ended here; once it is
gone, what a call costs while it is left alone. Raw figures go to benchmarks/results/cache_tiers.json.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import numpy as np
from rich.table import Table

from cache_codec import paragraphs, text_of
from ragstone.cache.claims import RedisClaims
from ragstone.cache.ports import Entry, Tier
from ragstone.cache.redis_tier import RedisTier
from ragstone.cache.sqlite_tier import SqliteTier
from ragstone.errors import CacheFailed
from ragstone.net.redis import RedisClient, RedisLimits, open_redis
from record import arguments, console, keep, quiet

Figures = dict[str, float]
ENTRIES = 5_000
CALLERS = 8
BATCH = 10
BULK = 250
FILE_BYTES = 256 * 2**20
# Patient: what is timed is the tier, and not how often a busy machine misses a limit.
LIMITS = RedisLimits(timeout_s=5.0)


def entries(count: int) -> dict[str, list[Entry]]:
    """The same number of each kind."""
    texts = paragraphs()
    choose = random.Random(3)
    payloads: dict[str, Callable[[], bytes]] = {
        "vector, 1,536 bytes": lambda: choose.randbytes(1_536),
        "text, 3 kB": lambda: text_of(texts, 3_000),
        "text, 30 kB": lambda: text_of(texts, 30_000),
    }
    return {
        kind: [Entry(f"answer:{number:032x}{place}", make(), 3_600, ("c",)) for number in range(count)]
        for place, (kind, make) in enumerate(payloads.items())
    }


async def timed(work: Callable[[int], Awaitable[object]], count: int, name: str) -> Figures:
    """Microseconds of `count` calls, one after the other."""
    times = []
    for number in range(count):
        start = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(np.asarray(times), [50, 99]) * 1e6
    return {f"{name}_p50_us": round(float(p50), 1), f"{name}_p99_us": round(float(p99), 1)}


async def hits_per_second(tier: Tier, kept: list[Entry]) -> Figures:
    """Of several callers at once."""
    rest = iter(kept)

    async def caller() -> None:
        for one in rest:
            await tier.get_many([one.key])

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return {"hits_per_second": round(len(kept) / (time.perf_counter() - start))}


async def measure(tier: Tier, kept: list[Entry], count: int) -> Figures:
    begin = time.perf_counter()
    for start in range(0, len(kept), BULK):
        await tier.set_many(kept[start : start + BULK])
        await tier.clear("nothing:*")  # what is queued is written; a queue that is full would drop
    elapsed_s = time.perf_counter() - begin
    keys = [one.key for one in kept]
    if await tier.get_many([keys[0], keys[-1]]) != [kept[0].payload, kept[-1].payload]:
        raise SystemExit("The tier does not hold what it was given.")
    random.Random(4).shuffle(keys)

    async def ten(number: int) -> object:
        return await tier.get_many(keys[number % len(keys) :][:BATCH])

    figures = {
        "kept_per_second": round(len(kept) / elapsed_s),
        **await timed(lambda number: tier.get_many([keys[number % len(keys)]]), count, "hit"),
        **await timed(lambda number: tier.get_many([f"answer:miss{number}"]), count, "miss"),
        **await timed(ten, count, "ten_hits"),
        **await timed(lambda number: tier.set_many([kept[number % len(kept)]]), count, "set"),
    }
    await tier.clear("nothing:*")
    return {**figures, **await hits_per_second(tier, kept)}


async def measure_claims(redis: RedisClient, count: int) -> Figures:
    """Claiming and releasing a key that nobody else wants."""
    claims = RedisClaims(redis)

    async def claim(number: int) -> None:
        held = await claims.claim(f"answer:{number}")
        if held is not None:
            await held.release()

    return await timed(claim, count, "claim_and_release")


async def measure_left_alone(url: str, count: int) -> Figures:
    """A call while Redis, which is gone, is left alone."""
    redis = open_redis(url, RedisLimits(retry_s=600))

    async def fail(_number: int) -> None:
        with suppress(CacheFailed):
            await redis.run([("GET", "answer:1")])

    await fail(0)
    found = await timed(fail, count, "call_while_left_alone")
    await redis.aclose()
    return found


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """A server of our own; its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not installed (Debian: sudo apt-get install redis-server).")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisClient]:
    """A client once the server answers."""
    redis = open_redis(url, RedisLimits(timeout_s=5.0, retry_s=0.05))
    for _ in range(200):
        with suppress(CacheFailed):
            await redis.run([("PING",)])
            break
        await asyncio.sleep(0.05)
    await redis.aclose()
    redis = open_redis(url, LIMITS)
    try:
        yield redis
    finally:
        await redis.aclose()


async def run(count: int, folder: Path) -> dict[str, object]:
    kinds = entries(count)
    figures: dict[str, object] = {}
    for number, (kind, kept) in enumerate(kinds.items()):
        tier = SqliteTier(folder / f"{number}.db", FILE_BYTES)
        figures[f"sqlite, {kind}"] = await measure(tier, kept, count)
        await tier.aclose()
    with running_redis(folder) as url:
        async with opened(url) as redis:
            for kind, kept in kinds.items():
                figures[f"redis, {kind}"] = await measure(RedisTier(redis), kept, count)
            figures["redis, claims"] = await measure_claims(redis, count)
    figures["redis, gone"] = await measure_left_alone(url, count)
    return figures


def main() -> None:
    options = arguments(__doc__).parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(200 if options.quick else ENTRIES, Path(folder)))
    table = Table("tier and value", "figures", title="A look into a tier")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("cache_tiers", {"entries": ENTRIES, "tiers": figures}, is_quick=options.quick)


if __name__ == "__main__":
    main()
