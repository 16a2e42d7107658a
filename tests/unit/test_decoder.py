"""The program that decodes images keeps its own limits, whoever started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from services.guilds import decoder
from tests import pictures
from tests.pictures import flag, saved

ENOUGH = 384 << 20


def run(data: bytes, *, seconds: int = 10, memory: int = ENOUGH) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-I", decoder.__file__, str(seconds), str(memory)]
    return subprocess.run(argv, input=data, capture_output=True, env={}, timeout=60, check=False)


def test_it_is_killed_when_it_has_used_up_its_processor_time() -> None:
    assert run(pictures.slow_jpeg(), seconds=1).returncode in {-signal.SIGKILL, -signal.SIGXCPU}


def test_it_gets_no_more_memory_than_it_was_given() -> None:
    image = pictures.empty_png(4096, 4096)
    assert json.loads(run(image, memory=96 << 20).stdout)["why"] == "too_large"
    assert b"sizes" in run(image).stdout


def test_it_answers_with_all_sizes_and_their_lengths() -> None:
    head, _, images = run(saved(flag(300, 200), "PNG")).stdout.partition(b"\n")
    lengths = json.loads(head)["sizes"]
    assert list(lengths) == ["512", "256", "128", "64"]
    assert len(images) == sum(lengths.values())
    assert images.count(b"WEBP") == 4
