"""Each open thing names who answers for it, how old it is and when a signature ends; nobody known is said so."""

from __future__ import annotations

import re

import render_samples as samples
from msgspec.structs import replace
from test_render_html import Page

from assay.core.decision import Standing, Verdict
from assay.core.dossier import Dossier
from assay.render.html import render_html
from assay.render.page.owner import entry_owner, policy_owner
from assay.render.page.view import View


def nameless(dossier: Dossier) -> Dossier:
    """The same, with a manifest that names no owner."""
    body = dossier.report.body
    assert body.system is not None
    return replace(dossier, report=replace(dossier.report, body=replace(body, system=replace(body.system, owner=""))))


def cards(dossier: Dossier) -> list[str]:
    """The text of each blocking card's left side."""
    return [Page(part).text for part in re.findall(r'<dl class="own">.*?</dl>', render_html(dossier))]


def test_every_card_names_an_owner_and_how_old_the_evidence_is() -> None:
    found = cards(samples.deny())
    assert len(found) == render_html(samples.deny()).count('<article class="blk">') == 5
    assert all(text.startswith("Owner ") for text in found)
    assert found[0] == "Owner risk-ml@example.com Seen 2 h ago by release-ci"


def test_a_missing_approval_names_the_role_and_who_signed_until_when() -> None:
    last = cards(samples.deny())[-1]
    assert last == "Owner not named (compliance) Signed R. Haddad (security) until 20 Dec 2026"


def test_the_roster_names_who_can_sign_and_who_owns_the_policy() -> None:
    given = replace(samples.deny(), holders={"compliance": ("M. Okafor", "J. <b>"), "security": ("R. Haddad",)})
    assert cards(given)[-1].startswith("Owner M. Okafor or J. <b> (compliance) Signed")
    page = Page(render_html(replace(given, owner="P. Lind")))
    assert "Owner of the policy: P. Lind." in page.text
    assert "M. Okafor or J. <b> compliance" in page.text


def test_a_refusal_names_who_refused_and_when() -> None:
    given = samples.deny()
    assert given.decision is not None
    refusal = replace(samples.approval(samples.OKAFOR, 2, "refuse", "no"), standing=Standing.REFUSES)
    rule = replace(given.decision.trace[-1], verdict=Verdict.DENY, missing=(), saw="refused", reason="no")
    decision = replace(given.decision, trace=(rule,), approvals=(refusal,))
    assert cards(replace(given, decision=decision)) == ["Owner M. Okafor (compliance) on 20 Nov 2026"]


def test_an_ended_waiver_of_what_denies_is_told() -> None:
    given = samples.deny()
    ended = samples.waiver(samples.MOREAU, "3fe2", 80, -10, "fixed since")
    decision = samples.decision(samples.outcomes(), 0.4, waivers=(ended,))
    first = cards(replace(given, decision=decision))[0]
    assert "Waiver J. Moreau, ended 10 Nov 2026, does not count" in first


def test_nobody_known_is_said() -> None:
    text = Page(render_html(nameless(samples.deny()))).text
    assert "owner: not named" in text
    assert "Owner of the system: not named." in text
    assert all(text.startswith("Owner not named") for text in cards(nameless(samples.deny())))


def test_the_policys_owner_is_a_key_or_not_named() -> None:
    given = samples.deny()
    assert given.decision is not None
    assert "f3a8c1d2" in policy_owner(View(given))
    unsigned = replace(given.decision, policy=replace(given.decision.policy, signed_by=""))
    assert policy_owner(View(replace(given, decision=unsigned))) == "not named, nobody signed it"


def test_each_missing_requirement_has_an_owner_of_its_own() -> None:
    given = samples.deny()
    html = render_html(given)
    section = html[html.index('<section id="frameworks"') :]
    section = section[: section.index("</section>")]
    rows = re.findall(r'<tr><th scope="row".*?</tr>', section)
    assert len(rows) == 2
    assert "roles security, compliance" in rows[0]
    assert "risk-ml@example.com" in rows[1]
    missing = [e for c in given.coverage for e in c.entries if e.state == "missing"]
    assert entry_owner(View(nameless(given)), missing[1]) == "owner: not named"
