"""What the timings share: two sides in turn, the machine's name, and the last results on disk.

    python tools/bench/timing.py    prints the tables of what is in speed.json

Seconds of one machine say little, and machines are noisy: so the sides of a comparison run in turn within one run, and
ratios of their medians are what to read.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

RESULTS = Path(__file__).with_name("speed.json")


def in_turn(sides: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of each side over `rounds` rounds, in each of which every side runs once."""
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine() -> str:
    """The processor, its sgemm rate now, and what computes on it."""
    return f"{cpu()}, {torch.get_num_threads()} threads, sgemm {sgemm() / 1e9:.0f} GFLOP/s, torch {torch.__version__}"


def sgemm(n: int = 1024, seconds: float = 0.3) -> float:
    """The best rate of a float32 matrix product of n × n, floating-point operations per second."""
    a, b, c = torch.randn(3, n, n)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, b, out=c)
        best = max(best, 2 * n**3 / (time.perf_counter() - start))
    return best


def keep(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table and make it the last result of this name."""
    results = load() | {name: {"machine": machine(), "note": note, "head": list(head), "rows": [list(r) for r in rows]}}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    print(table({name: results[name]}), flush=True)


def load() -> dict:
    """{name: {"machine", "note", "head", "rows"}}."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def table(results: dict) -> str:
    """The tables, each below the script that made it and its machine."""
    parts = []
    for name, entry in results.items():
        rows = [entry["head"], ["---"] * len(entry["head"]), *entry["rows"]]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        note = f" {entry['note']}" if entry["note"] else ""
        parts.append(f"`tools/bench/{name.split()[0]}.py` on {entry['machine']}.{note}\n\n{lines}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(table(load()))
