"""Policy and roster files: what is well written is read, a mistake is told at its line, and no bytes do more."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.config.manifest import project_from
from assay.config.policy_file import KINDS, load_policy, policy_from, roster_from
from assay.config.strict_yaml import parse
from assay.core.canonical import digest_bytes
from assay.core.errors import AssayError, UsageError

POLICY = """\
policy: release
version: 2
mode: enforce
max_age: 30d
verdict_valid: 14d
evidence:
- {check: "data.*", roles: [data-science]}
waivers: {roles: [security], longest: 60d}
require:
- findings: {severity: critical, unwaived_max: 0}
- measure: {name: performance.recall, min: 0.6, bound: lower95}
- measure:
    name: performance.recall
    versus: champion
    min_change: -0.01
- outcome: {check: "artifact.*", status: pass, max_age: 7d}
- approvals: {roles: [security, compliance], distinct: 2, exclude: author}
parameters: {performance.holdout: {draws: 2000}}
"""
KEY = "ed25519:" + "A" * 43 + "="
ROSTER = f"""\
roster: team
version: 1
people:
- {{name: ann, roles: [security], keys: ['{KEY}'], valid_until: '2027-01-01T00:00:00Z'}}
- {{name: bob, roles: [compliance], keys: ['ed25519:{"B" * 43}=']}}
"""
MANIFEST = """\
system: {name: claims}
subjects:
  train: {dataset: t.csv, label: y}
  model: {model: m.onnx, data: train, threshold: 0.3}
features: {Age: {min: 0, max: 9, order: []}}
constraints: ["Age == 0 or Age >= 16"]
checks: {robustness.evasion: {cost: 3}}
"""


def test_a_whole_policy_opens_with_its_lines_and_words() -> None:
    policy = policy_from(POLICY.encode(), "policy.yaml")
    assert policy.lines == (10, 11, 12, 16, 17)
    assert policy.texts[0] == "findings: {severity: critical, unwaived_max: 0}"
    assert policy.texts[2] == "measure: {name: performance.recall, versus: champion, min_change: -0.01}"
    assert policy.texts[4] == "approvals: {roles: [security, compliance], distinct: 2, exclude: author}"
    assert policy.digest == digest_bytes(POLICY.encode())
    assert policy.verdict_valid.days == 14
    assert policy.file.require[1].measure is not None
    assert policy.file.parameters == {"performance.holdout": {"draws": 2000}}


def test_a_rule_that_names_an_empty_kind_beside_its_own_still_reads() -> None:
    policy = policy_from(b"policy: p\nrequire:\n- findings: null\n  outcome: {check: x}\n", "p")
    assert policy.texts == ("outcome: {check: x}",)


def changed(old: str, new: str) -> str:
    assert POLICY.count(old) == 1
    return POLICY.replace(old, new)


WRONG = [
    (changed("unwaived_max: 0", "unwaived_max: -1"), 10, "require[0].findings.unwaived_max"),
    (changed("unwaived_max: 0", "unwaived_max: true"), 10, "require[0].findings.unwaived_max"),
    (changed("unwaived_max: 0", "unwaved_max: 0"), 10, "unknown key 'unwaved_max'"),
    (changed("severity: critical", "severity: terrible"), 10, "require[0].findings.severity"),
    (changed("min: 0.6", "min: '0.6'"), 11, "require[1].measure.min"),
    (changed("min: 0.6", "min: .nan"), 11, "require[1].measure.min"),
    (changed("min: 0.6, bound: lower95", "max: 0.6, bound: lower95"), 11, "lower95 does not bound this side"),
    (changed("min: 0.6, bound: lower95", "min: 0.6, bound: upper95"), 11, "upper95 does not bound this side"),
    (changed("min: 0.6", "min: 0.6, max: 0.5"), 11, "asks for a minimum and a maximum"),
    (changed("min: 0.6, ", ""), 11, "asks for no bound"),
    (changed("    min_change: -0.01\n", ""), 12, "asks for no bound"),
    (changed("    min_change: -0.01\n", "    min: 0.5\n"), 12, "asks for no bound"),
    (changed("    versus: champion\n", ""), 12, "asks for no bound"),
    (changed("status: pass", "status: fail"), 16, "require[3].outcome.status"),
    (changed("max_age: 7d", "max_age: soon"), 16, "require[3].outcome.max_age: 'soon' is not a duration"),
    (changed("max_age: 30d", "max_age: 0d"), 4, "max_age: '0d' is not a duration"),
    (changed("verdict_valid: 14d", "verdict_valid: 1y"), 5, "is not a duration"),
    (changed("longest: 60d", "longest: ever"), 8, "waivers.longest"),
    (changed("distinct: 2", "distinct: 0"), 17, "require[4].approvals.distinct"),
    (changed("roles: [security, compliance], ", "roles: [], "), 17, "asks no role"),
    (changed("- outcome: {", "- outcome: {check: x}\n  measure: {"), 17, "unknown key 'check'"),
    (changed("- outcome:", "- findings: {severity: low}\n  outcome:"), 16, "needs exactly one of"),
    (changed("mode: enforce", "mode: maybe"), 3, "mode"),
    (changed("version: 2", "version: 0"), 2, "version"),
    (POLICY[: POLICY.index("require:")] + "require: []\n", 9, "asks for nothing"),
    (
        POLICY[: POLICY.index("require:")]
        + f"require:\n  - contract: {{digest: 'sha256:{'0' * 64}', materials: {{holdout: []}}}}\n",
        10,
        "a list of no files",
    ),
    (POLICY[: POLICY.index("require:")], 1, "needs the key 'require'"),
    (POLICY[: POLICY.index("require:")] + "require:\n- {}\n", 10, "needs exactly one of"),
    ("schema: assay/9\n" + POLICY, 1, "'assay/9' is not known"),
    (POLICY.replace("require:", "requires:"), 9, "unknown key 'requires'"),
]


@pytest.mark.parametrize(("text", "line", "what"), WRONG, ids=[w[2] + str(w[1]) for w in WRONG])
def test_a_mistake_is_told_at_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy_from(text.encode(), "policy.yaml")
    assert caught.value.where == f"policy.yaml:{line}"
    assert what in caught.value.what


ROSTERS = [
    (ROSTER.replace("name: bob", "name: ann"), 5, "'ann' is listed twice"),
    (ROSTER.replace("B" * 43, "A" * 43), 5, "a key is listed twice"),
    (ROSTER.replace("ed25519:" + "B" * 43, "rsa:" + "B" * 43), 5, "not in the form ed25519"),
    (ROSTER.replace("2027-01-01T00:00:00Z", "2027-01-01T00:00:00"), 4, "valid_until"),
    (ROSTER.replace("2027-01-01T00:00:00Z", "tomorrow"), 4, "valid_until"),
    (ROSTER.replace("roles: [security], ", ""), 4, "needs the key 'roles'"),
    (ROSTER.replace("roles: [security]", "role: [security]"), 4, "unknown key 'role'"),
]


@pytest.mark.parametrize(("text", "line", "what"), ROSTERS, ids=[w[2] for w in ROSTERS])
def test_a_mistake_in_a_roster_is_told_at_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        roster_from(text.encode(), "roster.yaml")
    assert caught.value.where == f"roster.yaml:{line}"
    assert what in caught.value.what


def test_a_policy_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    assert load_policy(tmp_path / "p.yaml").file.version == 2


# Fuzzing: whatever the bytes, an answer or one line

PARSERS: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "manifest": (MANIFEST, lambda data: project_from(parse(data, "f.yaml"), Path())),
    "policy": (POLICY, lambda data: policy_from(data, "f.yaml")),
    "roster": (ROSTER, lambda data: roster_from(data, "f.yaml")),
}
SPICE = st.sampled_from(
    ["&a ", "*a", "!!x ", "{", "}", "[", "]", "null", "- ", "\n", "\t", ": ", ".nan", "1e999", "9" * 30, "'", '"', "# ",
     "true", "<<: ", "--- ", "\x00", "\u202e", "é", "-1", "0", "[[]]", "{}", "? ", "|", ">", "%", "@", "`"]
)  # fmt: skip


def outcome(parser: Callable[[bytes], Any], data: bytes) -> str:
    try:
        parser(data)
    except AssayError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.binary(max_size=200) | st.text(max_size=120).map(str.encode))
@settings(max_examples=120, deadline=None)
def test_random_bytes_are_refused_in_one_line(name: str, data: bytes) -> None:
    said = outcome(PARSERS[name][1], data)
    assert said.startswith("f.yaml")
    assert "\n" not in said


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_a_bent_file_is_read_or_refused_in_one_line(name: str, data: st.DataObject) -> None:
    text, parser = PARSERS[name]
    assert outcome(parser, text.encode()) == "read"
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.sampled_from([0, 0, 1, 1, 5, 20, 9999]))
        put = data.draw(SPICE | st.just("") | st.text(max_size=3) | st.just(text[start : start + 40]))
        text = text[:start] + put + text[start + gone :]
    said = outcome(parser, text.encode("utf-8", "surrogatepass"))
    assert said == "read" or said.startswith("f.yaml")
    assert "\n" not in said


def test_the_policy_of_the_documentation_holds_together() -> None:
    text = (Path(__file__).parents[2] / "docs/policy.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(policy: .*?)```", text, re.DOTALL)
    policy = policy_from(block.encode(), "docs/policy.md")
    assert {kind for rule in policy.file.require for kind in KINDS if getattr(rule, kind) is not None} == set(KINDS)


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_ecdsa_keys_stand_on_rosters(kind: str) -> None:
    text = ROSTER.replace("ed25519:" + "B" * 43 + "=", f"{kind}:" + "B" * 44)
    assert text != ROSTER
    (key,) = next(p for p in roster_from(text.encode(), "r.yaml").people if p.name == "bob").keys
    assert key == f"{kind}:" + "B" * 44
