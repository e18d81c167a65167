"""Which packages a file lists, and what an OSV database says of them: bytes to facts, no index asked."""
