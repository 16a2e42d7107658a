"""What processes tell of themselves on their admin ports."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client.parser import text_string_to_metric_families

from tests.rig import Fleet


def metrics(fleet: Fleet, names: Iterable[str]) -> dict[str, float]:
    """The sums over these processes, by the sample's name and its labels."""
    sums: dict[str, float] = defaultdict(float)
    for name in names:
        url = f"http://127.0.0.1:{fleet.processes[name].admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                sums[f"{sample.name}{{{labels}}}"] += sample.value
    return dict(sums)


def total(read: dict[str, float], name: str, wanted: Callable[[str], bool] = lambda _labels: True) -> float:
    """Of all samples of that name whose labels are wanted."""
    return sum(
        value for sample, value in read.items() if sample.startswith(f"{name}{{") and wanted(sample[len(name) + 1 : -1])
    )


def share_below(read: dict[str, float], histogram: str, bound: float) -> float:
    """The share of what a histogram has counted that is not above one of its bounds."""
    count = total(read, f"{histogram}_count")
    return total(read, f"{histogram}_bucket", lambda labels: f"le={bound}" in labels.split(",")) / count
