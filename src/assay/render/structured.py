"""JSON: the report as it is (body and run), the decision beside it. `assay schema report` describes it."""

from __future__ import annotations

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.decision import Decision
from assay.core.dossier import Dossier, Proof, SignedMaterial, Vouch
from assay.core.report import Body, Run


class JsonReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `--format json` writes. `body` is deterministic; `run` and `vouches` hold times.

    `holders` are the roster's people by role, `owner` whoever signed the policy, as far as a roster was at hand.
    """

    schema: Schema = SCHEMA
    body: Body
    run: Run
    decision: Decision | None = None
    vouches: tuple[Vouch, ...] = ()
    signatures: tuple[SignedMaterial, ...] = ()
    holders: dict[str, tuple[str, ...]] = {}
    owner: str = ""
    proof: Proof | None = None


def render_json(dossier: Dossier) -> str:
    """The report as indented JSON, in an order that depends on nothing but its content."""
    report = dossier.report
    value = JsonReport(
        body=report.body,
        run=report.run,
        decision=dossier.decision,
        vouches=dossier.vouches,
        signatures=dossier.signatures,
        holders=dossier.holders,
        owner=dossier.owner,
        proof=dossier.proof,
    )
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2).decode() + "\n"
