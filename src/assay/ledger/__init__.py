"""The append-only evidence log: salted payloads, an RFC 9162 Merkle tree, signed checkpoints, in one SQLite file."""
