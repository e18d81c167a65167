"""A decoder of LZ4 frames (modern, legacy and skippable) in plain Python, shaped like the standard library's codecs.

Source: the LZ4 frame format 1.6 and the LZ4 block format. Header checksums are verified; those of blocks and content
are skipped, since a reader hands on the bytes before it has seen them.
"""

from __future__ import annotations

MAGIC = 0x184D2204
LEGACY = 0x184C2102
WINDOW = 1 << 16
_LEGACY_BLOCK = 8 << 20
_MASK = 0xFFFFFFFF


class Lz4Decoder:
    """One frame: feed bytes to `decompress` until `eof`; `unused_data` is what lay behind it. ValueError if broken.

    `may_end` says that the input may stop here: a legacy frame has no end mark.
    """

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self.may_end = False
        self._input = bytearray()
        self._ready = bytearray()
        self._past = bytearray()
        self._state = self._head
        self._linked = self._block_sums = self._content_sum = self._legacy = False
        self._block_max = 0
        self._skip = 0

    @property
    def needs_input(self) -> bool:
        """Whether nothing comes out before more goes in."""
        return not self._ready and not self.eof

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Up to `max_length` bytes of what comes out."""
        self._input += data
        most = max_length if max_length >= 0 else 1 << 62
        while len(self._ready) < most and not self.eof and self._state():
            pass
        out = bytes(self._ready[:most])
        del self._ready[: len(out)]
        return out

    def _take(self, size: int) -> bytes:
        data = bytes(self._input[:size])
        del self._input[:size]
        return data

    def _end(self) -> bool:
        self.eof = True
        self.unused_data = bytes(self._input)
        self._input.clear()
        return False

    def _head(self) -> bool:
        if len(self._input) < 4:
            return False
        magic = int.from_bytes(self._input[:4], "little")
        if magic == LEGACY:
            self._take(4)
            self._legacy, self._block_max, self._state = True, _LEGACY_BLOCK, self._block
            self.may_end = not self._input
            return True
        if magic & ~0xF == 0x184D2A50:
            if len(self._input) < 8:
                return False
            self._skip = int.from_bytes(self._take(8)[4:], "little")
            self._state = self._skipped
            return True
        if magic != MAGIC:
            raise ValueError("no LZ4 frame")
        return self._descriptor()

    def _descriptor(self) -> bool:
        if len(self._input) < 6:
            return False
        flags, sizes = self._input[4], self._input[5]
        length = 2 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
        if len(self._input) < 4 + length + 1:
            return False
        descriptor = self._take(4 + length + 1)[4:]
        if flags >> 6 != 1 or flags & 0x02 or sizes & 0x8F:
            raise ValueError("the LZ4 frame is of another version")
        if flags & 0x01:
            raise ValueError("the LZ4 frame needs a dictionary")
        if sizes >> 4 < 4:
            raise ValueError("the LZ4 frame has no known block size")
        if xxh32(descriptor[:-1]) >> 8 & 0xFF != descriptor[-1]:
            raise ValueError("the LZ4 frame's header checksum is wrong")
        self._linked, self._block_sums, self._content_sum = not flags & 0x20, bool(flags & 0x10), bool(flags & 0x04)
        self._block_max = 1 << (8 + 2 * (sizes >> 4))
        self._state = self._block
        return True

    def _skipped(self) -> bool:
        gone = min(self._skip, len(self._input))
        del self._input[:gone]
        self._skip -= gone
        return False if self._skip else self._end()

    def _block(self) -> bool:
        self.may_end = self._legacy and not self._input
        if len(self._input) < 4:
            return False
        size = int.from_bytes(self._input[:4], "little")
        if self._legacy and (size in (MAGIC, LEGACY) or size & ~0xF == 0x184D2A50):
            return self._end()
        if size == 0 and not self._legacy:
            if len(self._input) < 4 + 4 * self._content_sum:
                return False
            self._take(4 + 4 * self._content_sum)
            return self._end()
        plain = bool(size >> 31) and not self._legacy
        size = size if self._legacy else size & 0x7FFFFFFF
        if size > self._block_max + (self._block_max >> 7 if self._legacy else 0) + 64:
            raise ValueError("an LZ4 block is larger than its frame allows")
        if len(self._input) < 4 + size + 4 * self._block_sums:
            return False
        block = self._take(4 + size + 4 * self._block_sums)[4 : 4 + size]
        if not self._linked:
            self._past.clear()
        elif len(self._past) > WINDOW * 16:
            del self._past[:-WINDOW]
        before = len(self._past)
        if plain:
            self._past += block
        else:
            decode_block(block, self._block_max, self._past)
        if len(self._past) - before > self._block_max:
            raise ValueError("an LZ4 block is larger than its frame allows")
        self._ready += memoryview(self._past)[before:]
        return True


def decode_block(block: bytes, most: int, out: bytearray) -> None:
    """Append the bytes of one LZ4 block, at most `most`, to `out`, into which its matches may reach back.

    Raises ValueError where the block is broken or holds more.
    """
    limit = len(out) + most
    at, end = 0, len(block)
    try:
        while at < end:
            token = block[at]
            at += 1
            length = token >> 4
            if length == 15:
                length, at = _extended(block, at, length)
            if length:
                if at + length > end:
                    raise ValueError("an LZ4 block ends too early")
                out += block[at : at + length]
                at += length
            if at >= end:
                break
            offset = block[at] | block[at + 1] << 8
            at += 2
            length = token & 15
            if length == 15:
                length, at = _extended(block, at, length)
            length += 4
            start = len(out) - offset
            if offset == 0 or start < 0 or len(out) + length > limit:
                raise ValueError("an LZ4 block copies from outside of it, or holds too much")
            if offset >= length:
                out += out[start : start + length]
            else:
                out += (out[start:] * (length // offset + 1))[:length]
    except IndexError:
        raise ValueError("an LZ4 block ends too early") from None
    if len(out) > limit:
        raise ValueError("an LZ4 block holds too much")


def _extended(block: bytes, at: int, length: int) -> tuple[int, int]:
    while True:
        more = block[at]
        at += 1
        length += more
        if more != 255:
            return length, at


def xxh32(data: bytes) -> int:
    """XXH32 with seed 0 of fewer than 16 bytes, which is all that a frame's header needs."""
    if len(data) >= 16:
        raise ValueError("too long for a frame's header")
    total = 374761393 + len(data) & _MASK
    at = 0
    while at + 4 <= len(data):
        total = total + int.from_bytes(data[at : at + 4], "little") * 3266489917 & _MASK
        total = _rotated(total, 17) * 668265263 & _MASK
        at += 4
    for byte in data[at:]:
        total = total + byte * 374761393 & _MASK
        total = _rotated(total, 11) * 2654435761 & _MASK
    total = (total ^ total >> 15) * 2246822519 & _MASK
    total = (total ^ total >> 13) * 3266489917 & _MASK
    return total ^ total >> 16


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _MASK
