"""The gate's decision: 10,000 findings, 50 rules of every kind, 1,000 waivers, the full trace.

python benchmarks/bench_gate.py
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import UTC, datetime, timedelta

from assay.config.policy_file import Policy, policy_from
from assay.core.decision import Approval, ApprovalFact, Facts, OutcomeFact, Signer, Waiver, WaiverFact
from assay.core.finding import Finding, Location, Measure, Outcome, Severity, Status
from assay.policy.decide import decide

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RELEASE = "sha256:" + "ab" * 32
CHECKS, FINDINGS, WAIVERS, RUNS = 100, 100, 1000, 500
GRADES = (Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO)
PEOPLE = tuple(
    Signer(person=name, key=f"key-{name}", roles=(role,))
    for name, role in (("dana", "data-science"), ("sam", "security"), ("carol", "compliance"))
)


def fact(check: int, age: timedelta) -> OutcomeFact:
    """One failed check with its 100 findings and a measure."""
    name = f"x.c{check}"
    found = tuple(
        Finding(
            message="m",
            location=Location(uri="x"),
            severity=GRADES[i % 4],
            fingerprint=f"{check:04x}{i:028x}",
            check=name,
        )
        for i in range(FINDINGS)
    )
    number = Measure(name=f"{name}.m", value=0.7, low=0.6, high=0.8, n=100)
    said = Outcome(
        check=name,
        version=1,
        subject="model",
        subject_digest="d",
        status=Status.FAIL,
        findings=found,
        measures=(number,),
    )
    return OutcomeFact(outcome=said, signer=PEOPLE[check % 3], at=NOW - age, bundle=f"b{check % 3}")


def facts() -> Facts:
    """100 outcomes of differing age, 1,000 waivers, two approvals."""
    outcomes = tuple(fact(i, timedelta(hours=7 * i)) for i in range(CHECKS))
    marks = [f.fingerprint for o in outcomes for f in o.outcome.findings]
    later = NOW + timedelta(days=5)
    waivers = tuple(
        WaiverFact(
            waiver=Waiver(release=RELEASE, fingerprint=m, role="security", reason="known", at=NOW, expires=later),
            signer=PEOPLE[1],
        )
        for m in random.Random(0).sample(marks, WAIVERS)
    )
    approvals = tuple(
        ApprovalFact(approval=Approval(release=RELEASE, role=s.roles[0], at=NOW, expires=later), signer=s)
        for s in PEOPLE[1:]
    )
    return Facts(
        release=RELEASE, outcomes=outcomes, waivers=waivers, approvals=approvals, authors=PEOPLE[:1],
        expected={o.outcome.check: ("model",) for o in outcomes},
        severities={o.outcome.check: Severity.HIGH for o in outcomes},
    )  # fmt: skip


def policy() -> Policy:
    """50 rules: 24 on findings, each with an age limit of its own, 15 on measures, 10 on outcomes, one on approvals."""
    rules = [
        f"findings: {{severity: {GRADES[i % 4].value}, unwaived_max: {i}, check: 'x.c*', max_age: {i + 1}d}}"
        for i in range(24)
    ]
    rules += [f"measure: {{name: x.c{i}.m, min: 0.5, bound: lower95}}" for i in range(15)]
    rules += [f"outcome: {{check: 'x.c{i}*', status: pass}}" for i in range(10)]
    rules += ["approvals: {roles: [security, compliance], distinct: 2, exclude: author}"]
    head = "policy: p\nwaivers: {roles: [security]}\nevidence:\n- {check: 'y.*', roles: [security]}\nrequire:\n"
    return policy_from((head + "".join(f"- {r}\n" for r in rules)).encode(), "policy.yaml")


def main() -> None:
    """Print the table: milliseconds a decision."""
    given, written = facts(), policy()
    start = time.perf_counter()
    decision = decide(given, written, NOW)
    first = (time.perf_counter() - start) * 1000
    assert len(decision.trace) == 1 + len(written.file.require) == 51
    assert sum(len(o.outcome.findings) for o in given.outcomes) == 10_000
    assert sum(len(t.waived) for t in decision.trace) > 1000
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        decide(given, written, NOW)
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    p99 = taken[int(RUNS * 0.99) - 1]
    print(f"10,000 findings in 100 outcomes, 50 rules, 1,000 waivers, full trace; {RUNS} decisions after the first\n")
    print("| what | median | p99 | range | first | bound |\n| --- | --- | --- | --- | --- | --- |")
    middle = statistics.median(taken)
    print(
        f"| a decision | {middle:.2f} ms | {p99:.2f} ms | {taken[0]:.2f}–{taken[-1]:.2f} | {first:.2f} | p99 ≤ 10 ms |"
    )


if __name__ == "__main__":
    main()
