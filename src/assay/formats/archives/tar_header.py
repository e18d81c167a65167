"""A tar header's own mark: its checksum, by which archives without the later magic are known too."""

from __future__ import annotations

BLOCK = 512
SUM = slice(148, 156)


def looks_like_tar(head: bytes) -> bool:
    """Whether a file's first 512 bytes are a tar header by their checksum; V7 archives have no other mark."""
    if len(head) < BLOCK or not head[0]:
        return False
    block = head[:BLOCK]
    said = octal(block[SUM])
    if said is None:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return said in (sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest))


def octal(field: bytes) -> int | None:
    """The number in a field of octal digits; None where it holds none."""
    digits = field.strip(b" \0").partition(b"\0")[0].strip()
    if not digits or digits.strip(b"01234567"):
        return None
    return int(digits, 8)
