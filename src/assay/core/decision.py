"""What the gate reads (facts), the people who speak (roster, approvals, waivers), and what it decides."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.finding import Json, Outcome, Severity
from assay.core.release import Terms
from assay.core.threats import PackRef, Packs

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone: one without cannot be compared, so it is refused when read."""


class Verdict(StrEnum):
    """What the gate decides. Only `allow` lets a release ship."""

    ALLOW = "allow"
    DENY = "deny"
    INDETERMINATE = "indeterminate"


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Someone whose signed word may count. `keys` are public keys as text, `p256:<base64>` or `ed25519:…`."""

    name: str
    roles: tuple[str, ...]
    keys: tuple[str, ...]
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    revoked_keys: tuple[str, ...] = ()


class Roster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who people are. Signed apart from the policy."""

    schema: Schema = SCHEMA
    roster: str
    version: int = 1
    people: tuple[Person, ...]


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's signed word on one release. A refusal is a word too: it denies."""

    schema: Schema = SCHEMA
    release: str
    role: str
    decision: Literal["approve", "refuse"] = "approve"
    comment: str = ""
    at: Moment
    expires: Moment


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's signed, reasoned, expiring acceptance of one finding on one release."""

    schema: Schema = SCHEMA
    release: str
    fingerprint: str
    role: str
    reason: str
    at: Moment
    expires: Moment


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed, after verification: a person of the roster, with the key that was used."""

    person: str
    key: str
    roles: tuple[str, ...]


class OutcomeFact(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome, with who vouches for it and when it was obtained."""

    outcome: Outcome
    signer: Signer
    at: datetime
    bundle: str


class Standing(StrEnum):
    """What became of a person's word at the gate."""

    COUNTS = "counts"
    REFUSES = "refuses"
    SET_ASIDE = "set-aside"
    NOT_NEEDED = "not-needed"


class ApprovalFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An approval, with who signed it. The gate adds what became of it, and why where it was set aside."""

    approval: Approval
    signer: Signer
    standing: Standing | None = None
    why: str = ""


class WaiverFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A waiver, with who signed it. The gate adds what became of it, and why where it was set aside."""

    waiver: Waiver
    signer: Signer
    standing: Standing | None = None
    why: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gate reads, all signatures verified before.

    `expected` says, for each check id that applies to this release, which subjects it must have been asked of: a check
    that never ran is missing, not silent. Of each check, `gives` are the keys of the measures that it may give,
    `versions` its version here, `severities` its highest severity, `defaults` its parameters when nobody sets any.
    `conflicts` are facts that contradict each other; `erased` are words on this Release that nobody can read any more;
    `authors` signed the model; `terms` are those of the Release,
    `materials` the digests of what judges it, by role; `packs` are the threat packs that outcomes may be judged by.
    """

    release: str
    terms: Terms | None = None
    materials: dict[str, tuple[str, ...]] = {}
    outcomes: tuple[OutcomeFact, ...] = ()
    approvals: tuple[ApprovalFact, ...] = ()
    waivers: tuple[WaiverFact, ...] = ()
    authors: tuple[Signer, ...] = ()
    conflicts: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()
    expected: dict[str, tuple[str, ...]] = {}
    gives: dict[str, tuple[str, ...]] = {}
    versions: dict[str, int] = {}
    severities: dict[str, Severity] = {}
    defaults: dict[str, dict[str, Json]] = {}
    packs: Packs = Packs()


Asks = Literal["evidence", "findings", "outcome", "measure", "contract", "approvals"]
"""What a rule speaks of; `evidence` is the one that always holds: that the evidence agrees."""


class RuleTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How one rule was decided: what it asks, what was seen, and why.

    `check` is the pattern of an outcome or findings rule, or the check that gave the measure; `covers` are the checks
    that the rule reads, `decided_by` those that decided it (where it stops, those that stop it). `value`, `low`,
    `high`, `n`, `bound`, `versus` are a measure's; `unsure`: only the end of its interval lies outside the bound.
    `roles` are those that an approvals rule asks for, `missing` those without a valid approval.
    """

    line: int
    rule: str
    asks: Asks
    verdict: Verdict
    saw: str
    reason: str = ""
    fix: str = ""
    check: str = ""
    covers: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()
    measure: str = ""
    versus: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    bound: float | None = None
    better: Literal["higher", "lower", ""] = ""
    reads: Literal["value", "lower95", "upper95", ""] = ""
    unsure: bool = False
    fingerprints: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    vouched: tuple[str, ...] = ()


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy decided. `signed_by` is the owner's key id, "" for a policy that nobody signed."""

    name: str
    version: int
    digest: str
    uri: str = ""
    signed_by: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Allow, deny or indeterminate, with the trace of every rule. `preview` when unsigned facts or policy were read.

    `counted` are the checks whose outcomes were admitted, fresh, for every subject; `aside` says, by check, why others
    were not; `threats` are the threat packs in force, by whose `supersedes:` outcomes were found stale.
    """

    schema: Schema = SCHEMA
    verdict: Verdict
    release: str
    policy: PolicyRef
    mode: Literal["enforce", "observe"]
    at: datetime
    trace: tuple[RuleTrace, ...]
    approvals: tuple[ApprovalFact, ...] = ()
    waivers: tuple[WaiverFact, ...] = ()
    counted: tuple[str, ...] = ()
    aside: dict[str, tuple[str, ...]] = {}
    threats: tuple[PackRef, ...] = ()
    preview: bool = False
    preview_reason: str = ""
