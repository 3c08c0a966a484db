"""Charts: all pictures of one report are drawn by one short-lived child process, so that the daemon stays small.

A report is never held up by its pictures: where the child fails or takes too long, there are none.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import structlog

from alerts.reports.pictures import Drawing, Picture
from daemon.limits import CHARTS_BYTES, CHARTS_DEADLINE_S, CHARTS_PER_REPORT

log = structlog.get_logger("brimful.charts")

_CHILD = Path(__file__).with_name("charts_child.py")


async def draw(drawings: Mapping[str, Drawing]) -> dict[str, Picture]:
    """Return the pictures by the same keys; none at all where drawing failed. At most `CHARTS_PER_REPORT` are drawn."""
    wanted = dict(list(drawings.items())[:CHARTS_PER_REPORT])
    if not wanted:
        return {}
    try:
        pngs = await _in_child(list(wanted.values()))
    except (OSError, ValueError, TimeoutError) as error:
        log.warning("charts_failed", error=f"{type(error).__name__}: {error}")
        return {}
    return {key: Picture(d.cid, png, d.alt) for (key, d), png in zip(wanted.items(), pngs, strict=True)}


async def _in_child(drawings: Sequence[Drawing]) -> list[bytes]:
    """Raises OSError, ValueError or TimeoutError; leaves no process and no folder behind."""
    with tempfile.TemporaryDirectory(prefix="brimful-charts-") as folder:
        environment = {"MPLCONFIGDIR": folder, "MPLBACKEND": "Agg", "PATH": os.environ.get("PATH", os.defpath)}
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_CHILD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        try:
            async with asyncio.timeout(CHARTS_DEADLINE_S):
                order = json.dumps([asdict(drawing) for drawing in drawings]).encode()
                out, err = await child.communicate(order)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode:
        raise ValueError(f"the child ended with {child.returncode}: {err.decode(errors='replace').strip()[-300:]}")
    return _decode(out, len(drawings))


def _decode(out: bytes, expected: int) -> list[bytes]:
    if len(out) > CHARTS_BYTES:
        raise ValueError("the pictures are too large for a mail")
    try:
        pngs = [base64.b64decode(text, validate=True) for text in json.loads(out)]
    except (TypeError, binascii.Error) as error:
        raise ValueError("the child answered something else than pictures") from error
    if len(pngs) != expected:
        raise ValueError(f"{len(pngs)} pictures instead of {expected}")
    return pngs
