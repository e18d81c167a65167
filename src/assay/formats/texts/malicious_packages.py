"""Packages that were published to do harm and were taken down by their index, known without any threat pack.

Only cases with a public account of the index or of the project itself: names that never were anything else, and single
releases of honest projects that were stolen.
"""

from __future__ import annotations

import re

from assay.formats.known import current, normal

_DEEPSEEK = "stole keys from the environment in January 2025 (Positive Technologies)"
# PyPI names whose every release was harmful.
_NAMES = {
    "torchtriton": "took the name of a dependency of PyTorch's nightly builds in December 2022 (pytorch.org)",
    "deepseeek": _DEEPSEEK,
    "deepseekai": _DEEPSEEK,
    "colourama": "replaced addresses in the clipboard (2017)",
    "jeilyfish": "stole SSH and GPG keys (2019)",
    "python3-dateutil": "imported jeilyfish, which stole keys (2019)",
    "colorslib": "fetched and ran a stealer of passwords (January 2023, Fortinet)",
    "httpslib": "fetched and ran a stealer of passwords (January 2023, Fortinet)",
    "libhttps": "fetched and ran a stealer of passwords (January 2023, Fortinet)",
}
# Single releases of honest projects, which their publishers withdrew.
_RELEASES = {
    "ultralytics": ({"8.3.41", "8.3.42", "8.3.45", "8.3.46"}, "held a miner of coins (December 2024)"),
    "ctx": ({"0.1.2", "0.2.2", "0.2.6"}, "sent the environment away after its author's domain was taken (May 2022)"),
    "num2words": ({"0.5.15", "0.5.16"}, "was published with a stolen account (July 2025)"),
}
_EXACT = re.compile(r"===?\s*v?([\w.!+-]+)")


def why_malicious(name: str, rest: str = "") -> str:
    """Why a package, at the version that `rest` ("==8.3.41") asks for, is known to do harm; "" where it is not."""
    plain = normal(name)
    if said := current().malicious.get(plain):
        return f"{said} (threat pack {current().name})"
    if said := _NAMES.get(plain):
        return said
    releases, said = _RELEASES.get(plain, (set[str](), ""))
    asked = _EXACT.search(rest)
    return f"release {asked[1]} {said}" if asked and asked[1] in releases else ""
