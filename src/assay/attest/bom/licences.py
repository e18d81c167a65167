"""Licences: what a model card or a package says, and what the text of a licence file begins with, as SPDX names."""

from __future__ import annotations

import re
from email.message import Message
from typing import Any

import msgspec

from assay.core.text import visible

# Identifiers that every edition of SPDX's list knows; others are given by name.
_IDS = {
    i.lower(): i
    for i in (
        *("Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib", "BSL-1.0"),
        *("Unlicense", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"),
        *("CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only"),
        *("GPL-3.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"),
        *("AGPL-3.0-only", "AGPL-3.0-or-later", "MPL-2.0", "EPL-2.0", "EUPL-1.2", "AFL-3.0", "Artistic-2.0"),
        *("ECL-2.0", "PSF-2.0", "Python-2.0", "HPND", "WTFPL", "PDDL-1.0", "ODbL-1.0", "ODC-By-1.0", "MS-PL"),
        *("PostgreSQL", "OFL-1.1", "LPPL-1.3c"),
    )
}
_OTHER_WORDS = {
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "",
    "mit license": "MIT",
    "the mit license": "MIT",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "cc0": "CC0-1.0",
    "psf": "PSF-2.0",
}
# How well-known licence texts begin; the first that fits within the file's first lines counts.
_TEXTS = (
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3", "AGPL-3.0-only"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3", "LGPL-3.0-only"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1", "LGPL-2.1-only"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 3", "GPL-3.0-only"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2", "GPL-2.0-only"),
    (r"Mozilla Public License,?\s+(?:Version|v\.?) ?2\.0", "MPL-2.0"),
    (r"Creative Commons Attribution-NonCommercial-ShareAlike 4\.0", "CC-BY-NC-SA-4.0"),
    (r"Creative Commons Attribution-NonCommercial-NoDerivatives 4\.0", "CC-BY-NC-ND-4.0"),
    (r"Creative Commons Attribution-NonCommercial 4\.0", "CC-BY-NC-4.0"),
    (r"Creative Commons Attribution-ShareAlike 4\.0", "CC-BY-SA-4.0"),
    (r"Creative Commons Attribution 4\.0", "CC-BY-4.0"),
    (r"CC0 1\.0 Universal", "CC0-1.0"),
    (r"This is free and unencumbered software released into the public domain", "Unlicense"),
    (r"Boost Software License - Version 1\.0", "BSL-1.0"),
    (r"(?:CreativeML|BigScience|BigCode)[\w .-]*Open ?RAIL[\w.-]*", ""),
    (r"LLAMA [\d.]+ COMMUNITY LICENSE", ""),
    (r"Gemma Terms of Use", ""),
    (r"MIT License\b|Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    (r"ISC License|Permission to use, copy, modify, and(?:/or)? distribute this software for any purpose", "ISC"),
)
_BSD = "Redistribution and use in source and binary forms"
_NAME = re.compile(r"(?i)(?:licen[cs]e|copying|unlicense|use_policy)(?:[-_.][\w.-]*)?")
LOOKED_AT = 16_384


class Licence(msgspec.Struct, frozen=True, order=True):
    """A licence: its SPDX `id`, or an SPDX `expression`, or only a `name`; `concluded` from a text, else declared."""

    id: str = ""
    expression: str = ""
    name: str = ""
    concluded: bool = False


def named_licence(said: str) -> Licence | None:
    """The licence that somebody declares in words or by an SPDX identifier or expression; None for no word at all."""
    text = " ".join(visible(said, 300).split())
    if not text or text.lower() in ("unknown", "none", "other", "null"):
        return None
    known = _IDS.get(text.lower()) or _OTHER_WORDS.get(text.lower())
    if known:
        return Licence(id=known)
    if re.search(r"(?i)\s(?:and|or|with)\s", text):
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

        try:
            return Licence(expression=str(canonicalize_license_expression(text)))
        except (InvalidLicenseExpression, ValueError):
            pass
    return Licence(name=text[:120])


def is_licence_file(name: str) -> bool:
    """Whether a file of this base name holds the text of a licence."""
    return _NAME.fullmatch(name.rpartition("/")[2]) is not None


def licence_in(text: str) -> Licence | None:
    """The licence whose text this is, by how it begins; None where none is known."""
    head = " ".join(text[:LOOKED_AT].split())
    begin = head[:1500]
    for pattern, known in _TEXTS:
        found = re.search(pattern, begin, re.IGNORECASE)
        if found is not None:
            return Licence(id=known, concluded=True) if known else Licence(name=found[0][:120], concluded=True)
    if _BSD in head[:2500]:
        third = "endorse or promote" in head
        return Licence(id="BSD-3-Clause" if third else "BSD-2-Clause", concluded=True)
    return None


def package_licences(metadata: Message | Any) -> tuple[Licence, ...]:
    """What an installed package says: its License-Expression (PEP 639), else its classifiers, else its License line."""
    said = metadata.get("License-Expression")
    if said and (found := named_licence(str(said))) is not None:
        return (found,)
    classified = [
        str(c).rpartition("::")[2].strip() for c in metadata.get_all("Classifier") or () if str(c).startswith("License")
    ]
    licences = {known for c in classified if c not in ("OSI Approved", "") and (known := named_licence(c)) is not None}
    line = str(metadata.get("License") or "").strip()
    if line and (not licences or all(not item.id for item in licences)):
        told = named_licence(line) if "\n" not in line and len(line) <= 120 else licence_in(line)
        if told is not None and (told.id or not licences):
            licences = {told}
    return tuple(sorted(licences))


def licence_choices(licences: tuple[Licence, ...]) -> list[dict[str, Any]]:
    """CycloneDX's `licenses`: a list of licences, or the one expression."""
    unique = sorted(set(licences))
    if len(unique) == 1 and unique[0].expression:
        return [{"expression": unique[0].expression, "acknowledgement": "declared"}]
    return [
        {
            "license": {
                **({"id": item.id} if item.id else {"name": item.name or item.expression}),
                "acknowledgement": "concluded" if item.concluded else "declared",
            }
        }
        for item in unique
    ]
