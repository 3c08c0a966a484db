"""Pictures of mails, by a real headless Chromium: as wide as a window and as a telephone, light and dark.

A mail that is wider than its frame is an error: something would be cut off.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path

from PIL import Image

WIDTHS = (600, 360)
SCHEMES = ("light", "dark")
SCALE = 2
COLOURS = 128
TALLEST = 1500
"""A long mail is shown as far as this, in pixels of its own."""
WINDOW = 1000
"""Chromium's window is never narrower than some 500 pixels: the mail stands in a frame of its own width."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    f"--force-device-scale-factor={SCALE}",
)
_PAGE = """<!DOCTYPE html><html style="color-scheme: {scheme}"><body style="margin:0">
<iframe srcdoc="{mail}" style="width:{width}px;height:{height}px;border:0;display:block"></iframe>
<script>addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument.documentElement;
  document.title = page.scrollWidth + "x" + page.scrollHeight;
}})</script></body></html>"""


class TooWideError(Exception):
    """A mail does not fit into its frame."""


def take(mail: str, name: str, folder: Path) -> Iterator[Path]:
    """Write the four pictures of a mail and yield their paths. Raises TooWideError."""
    for width, scheme in product(WIDTHS, SCHEMES):
        wide, high = (int(number) for number in _measured(mail, width, scheme).split("x"))
        if wide > width:
            raise TooWideError(f"{name} is {wide} px wide in a frame of {width}")
        path = folder / f"{name}-{width}-{scheme}.png"
        shot = _shot(mail, width, high, scheme)
        _shrunk(shot, width, min(high, TALLEST)).save(path, optimize=True)
        yield path


def _measured(mail: str, width: int, scheme: str) -> str:
    dom = _chromium(mail, width, 100, scheme, "--dump-dom").decode()
    found = re.search(r"<title>(\d+x\d+)</title>", dom)
    if found is None:
        raise RuntimeError("Chromium measured nothing")
    return found[1]


def _shot(mail: str, width: int, height: int, scheme: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "shot.png"
        _chromium(mail, width, height, scheme, f"--screenshot={picture}", f"--window-size={WINDOW},{height + 200}")
        return picture.read_bytes()


def _chromium(mail: str, width: int, height: int, scheme: str, *flags: str) -> bytes:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise FileNotFoundError("Chromium is needed (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(
            _PAGE.format(scheme=scheme, mail=html.escape(mail, quote=True), width=width, height=height), "utf-8"
        )
        preferred = f"--blink-settings=preferredColorScheme={SCHEMES[::-1].index(scheme)}"
        command = [browser, *FLAGS, preferred, f"--user-data-dir={folder}/profile", *flags, page.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def _shrunk(picture: bytes, width: int, height: int) -> Image.Image:
    """The frame alone, with few colours: a page of text needs no more."""
    whole = Image.open(BytesIO(picture)).convert("RGB")
    return whole.crop((0, 0, width * SCALE, height * SCALE)).quantize(COLOURS)
