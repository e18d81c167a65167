"""Everyone's keys, a signed roster and policy, and a project, in one folder: the people of the release tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from cli_tools import Done, assay, report

from in_process import no_workers

PEOPLE = {"dana": "data-science", "sam": "security", "sue": "security", "cleo": "compliance"}
KEYS = (*PEOPLE, "owner", "gate", "stranger")
TRUST = "--policy policy.yaml --roster roster.yaml --policy-key owner.pub"


MODELS = " ".join(f"--only {room}.*" for room in ("fairness", "theft", "privacy", "explanation", "robustness"))
MODELS += " --skip robustness.evasion"


class Office:
    """One folder with everyone's keys, a signed roster and policy, and a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"

    def __call__(self, words: str) -> Done:
        return assay(*words.split(), cwd=self.folder)

    def fine(self, words: str) -> Done:
        done = self(words)
        assert done.code == 0, (words, done)
        return done

    def examine(self, who: str = "dana", out: str = "papers/dana.json") -> Done:
        words = f"run project --only artifact.* --only supply.* {MODELS} --key {who}.key --evidence-out {out}"
        with no_workers():
            return self(words)

    def gate(self, more: str = "") -> Done:
        return self(
            "gate --evidence papers --policy policy.yaml --roster roster.yaml --policy-key owner.pub"
            f" --ledger ledger.db --key gate.key --verdict-out verdict.json --checkpoint-out checkpoint.txt {more}"
        )

    def approve(self, who: str = "sam", role: str = "", more: str = "") -> Done:
        return self(
            f"approve project --role {role or PEOPLE[who]} --key {who}.key --out papers/{who}-approval.json {more}"
        )

    def waive(self, fingerprint: str, who: str, role: str = "security", more: str = "") -> Done:
        done = assay(
            *f"waive {fingerprint} project --role {role} --key {who}.key".split(),
            *f"--out papers/{who}-{fingerprint[:6]}.json {more} --reason".split(),
            "kept for one release",
            cwd=self.folder,
        )
        assert done.code == 0, done
        return done

    def fingerprints(self, check: str) -> list[str]:
        saved = report(self("report papers/dana.json -f json"))
        found = [o for o in saved["body"]["outcomes"] if o["check"] == check]
        return [f["fingerprint"] for o in found for f in o["findings"]]

    def allowed(self) -> None:
        """From nothing to a verdict."""
        assert self.examine().code == 0
        self.fine("sign project/model.safetensors --key dana.key")
        shutil.copy(self.project / "model.safetensors.sig", self.folder / "papers")
        assert self.approve().code == 0
        done = self.gate()
        assert done.code == 0, done


def flip(path: Path, at: float = 0.5) -> bytes:
    """Change one character of a file's inside; gives what it was."""
    whole = path.read_bytes()
    place = int(len(whole) * at)
    while not chr(whole[place]).isalnum():
        place += 1
    other = b"A" if whole[place : place + 1] != b"A" else b"B"
    path.write_bytes(whole[:place] + other + whole[place + 1 :])
    return whole
