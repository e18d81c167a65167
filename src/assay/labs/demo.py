"""The demo's story, played by the real command line in folders that share no disk; only named files are carried."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from assay.core.errors import InputError
from assay.labs.project import POLICY, State, write_project

Say = Callable[[str], None]
WANTED = "payments-release"


class _StepError(Exception):
    """A step of the story did not hold."""


class Story:
    """Three teams, each in a folder of its own, and what each step must show."""

    def __init__(self, root: Path, say: Say) -> None:
        self.root, self.say = root, say
        self.science, self.security, self.compliance = (root / n for n in ("data-science", "security", "compliance"))
        self.production = root / "production"

    def run(self, folder: Path, words: str, *, code: int, shows: tuple[str, ...] = ()) -> str:
        """One command as a person would type it. Raises _StepError unless it ends with `code` and shows every text."""
        self.say(f"  {folder.name}$ assay {words}")
        done = subprocess.run(
            [sys.executable, "-P", "-m", "assay.cli.main", *words.split()],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        output = done.stdout + done.stderr
        missing = [text for text in shows if text not in output]
        if done.returncode != code or missing:
            tail = "\n".join(output.splitlines()[-30:])
            raise _StepError(f"exit {done.returncode}, expected {code}; not shown: {missing}\n{tail}")
        for text in shows:
            self.say(f"      {next(line for line in output.splitlines() if text in line).strip()}")
        return output

    def carry(self, source: Path, *targets: Path) -> None:
        """What one team hands to another, by name: a file or a folder is copied, nothing is shared."""
        for target in targets:
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".assay", "*.key"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / source.name)

    def step(self, title: str) -> None:
        """Say what comes next."""
        self.say(f"\n{title}")


def play(root: Path, seed: int, say: Say) -> bool:
    """Play the story in `root`; True only if every step held. Raises InputError for a folder that is in use."""
    story = Story(root, say)
    for folder in (story.science, story.security, story.compliance, story.production):
        if folder.exists():
            raise InputError("holds an earlier demo", where=str(folder), fix="give an empty --dir")
        folder.mkdir(parents=True)
    say("Simulated card payments with a fraud ring. Three teams, three folders, no shared disk.")
    try:
        _people(story)
        _compromised(story, seed)
        _fragile(story, seed)
        _robust(story, seed)
        _approved(story)
        _deployed(story)
    except _StepError as broken:
        say(f"\nTHE STORY BROKE: {broken}")
        return False
    say("\nEvery step held.")
    say(f"report: {story.compliance / 'report.html'}")
    return True


def _people(s: Story) -> None:
    s.step("1. Everyone makes a key. Compliance writes and signs the roster and the policy.")
    keys = {}
    homes = {"dana": s.science, "sam": s.security, "cleo": s.compliance, "owner": s.compliance, "gate": s.compliance}
    for name, folder in homes.items():
        keys[name] = s.run(folder, f"key new {name}", code=0).splitlines()[1]
    people = (("dana", "data-science"), ("sam", "security"), ("cleo", "compliance"))
    lines = [f"  - {{name: {n}, roles: [{role}], keys: ['{keys[n]}']}}" for n, role in people]
    (s.compliance / "roster.yaml").write_text("roster: payments\npeople:\n" + "\n".join(lines) + "\n", "utf-8")
    (s.compliance / "policy.yaml").write_text(POLICY, "utf-8")
    s.run(s.compliance, "sign roster.yaml --key owner.key", code=0)
    s.run(s.compliance, "sign policy.yaml --key owner.key", code=0)


def _project(s: Story, state: State, seed: int) -> None:
    """A new state of the project: data science writes it, security gets a copy."""
    for folder in (s.science / "project", s.security / "project"):
        shutil.rmtree(folder, ignore_errors=True)
    write_project(s.science / "project", state, seed)
    s.run(s.science, f"sign project/models/{_model(state)} --key dana.key", code=0)
    s.carry(s.science / "project", s.security / "project")


def _model(state: State) -> str:
    return "model.pkl" if state == "compromised" else "model.txt"


def _evidence(s: Story, state: State, codes: tuple[int, int], shows: tuple[str, ...]) -> None:
    """Both teams examine their own copy and sign what they saw; compliance gets the papers only."""
    s.run(
        s.science,
        "run project --skip robustness.* --skip artifact.* --key dana.key --evidence-out dana.json",
        code=codes[0],
    )
    s.run(
        s.security,
        "run project --only robustness.* --only artifact.* --key sam.key --evidence-out sam.json",
        code=codes[1],
        shows=shows,
    )
    papers = s.compliance / "papers"
    shutil.rmtree(papers, ignore_errors=True)
    s.carry(s.science / "dana.json", papers)
    s.carry(s.security / "sam.json", papers)
    s.carry(s.science / f"project/models/{_model(state)}.sig", papers)


GATE = (
    "gate --evidence papers --policy policy.yaml --roster roster.yaml --policy-key owner.pub --ledger ledger.db"
    " --key gate.key --verdict-out verdict.json --checkpoint-out checkpoint.txt --format html --output report.html"
)


def _compromised(s: Story, seed: int) -> None:
    s.step("2. A compromised project: planted code, flipped labels, leakage. It is denied, with the reasons.")
    _project(s, "compromised", seed)
    s.run(s.security, "scan project/models/model.pkl", code=1, shows=("critical[artifact.pickle-code]",))
    _evidence(s, "compromised", (1, 1), ("refused to load",))
    s.run(
        s.compliance,
        GATE,
        code=1,
        shows=("data.label-flips", "data.target-leakage", "data.split-leakage", "DENY  release"),
    )


def _fragile(s: Story, seed: int) -> None:
    s.step("3. Clean file, clean data; but the model leans on what the ring can change. Denied again.")
    _project(s, "fragile", seed)
    _evidence(s, "fragile", (3, 1), ("robustness.evasion.recall_under_attack",))
    s.run(s.compliance, GATE, code=1, shows=("DENY  release",))


def _robust(s: Story, seed: int) -> None:
    s.step("4. A model on what the ring cannot change quickly. Nothing denies; nobody has approved yet.")
    _project(s, "robust", seed)
    _evidence(s, "robust", (3, 3), ("robustness.evasion.recall_under_attack",))
    s.run(s.compliance, GATE, code=3, shows=("no valid approval by security, compliance", "INDETERMINATE  release"))


def _approved(s: Story) -> None:
    s.step("5. The author cannot approve; security and compliance do. Allowed, signed, in the ledger.")
    s.run(s.science, "approve project --role data-science --key dana.key --out dana-approval.json", code=0)
    s.run(s.security, "approve project --role security --key sam.key --out sam-approval.json", code=0)
    s.run(
        s.compliance, "approve papers/sam.json --role compliance --key cleo.key --out papers/cleo-approval.json", code=0
    )
    s.carry(s.science / "dana-approval.json", s.compliance / "papers")
    s.run(s.compliance, GATE, code=3, shows=("no valid approval by security",))
    s.carry(s.security / "sam-approval.json", s.compliance / "papers")
    s.run(s.compliance, GATE, code=0, shows=("ALLOW  release",))
    s.run(s.compliance, "log verify --ledger ledger.db --against checkpoint.txt", code=0, shows=("holds:",))


def _deployed(s: Story) -> None:
    s.step("6. Production has the model, the manifest, the verdict and two public keys. It verifies, or refuses.")
    site = s.production
    for name in ("assay.yaml", "models/model.txt"):
        s.carry(s.science / "project" / name, (site / name).parent)
    s.carry(s.compliance / "verdict.json", site)
    s.carry(s.compliance / "gate.pub", site)
    verify = f"verify verdict.json --key gate.pub --policy {WANTED} --at ."
    s.run(site, verify, code=0, shows=("ALLOW holds",))
    model = site / "models/model.txt"
    whole = model.read_bytes()
    model.write_bytes(whole.replace(b"leaf_value=", b"leaf_value=-", 1))
    s.run(site, verify, code=1, shows=("models/model.txt",))
    model.write_bytes(whole)
    manifest = site / "assay.yaml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace("threshold: 0.", "threshold: 0.9", 1), "utf-8")
    s.run(site, verify, code=1, shows=("threshold of model",))
    manifest.write_text(text, "utf-8")
    s.run(site, verify, code=0, shows=("ALLOW holds",))
