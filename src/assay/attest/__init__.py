"""What is signed and how: keys, DSSE envelopes, in-toto statements, file signatures, verdicts, signed notes."""
