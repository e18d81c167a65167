"""The HTML report: one well-formed, deterministic, offline page that says what the dossier says and no more."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from html.parser import HTMLParser

import pytest
import render_samples as samples
from msgspec.structs import replace

from assay.config.policy_file import policy_from
from assay.core.decision import Facts, RuleTrace, Verdict
from assay.core.dossier import Dossier
from assay.core.exhibit import Bars, Curve, Exhibit, Histogram, IntervalRow, Intervals, Series, Table
from assay.core.finding import Measure, Outcome, Severity, Status
from assay.core.release import Terms
from assay.core.report import Report
from assay.core.subject import Contract, Feature
from assay.policy.decide import decide
from assay.render.html import render_html

VOID = {"meta", "link", "br", "wbr", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """The page's elements, ids, links and text; raises on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.stack: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not self.stack or self.stack[-1] != "style":
            self.words.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    @property
    def text(self) -> str:
        """All words of the page, spaces collapsed."""
        return " ".join(" ".join(self.words).split())


def page(name: str) -> Page:
    """A sample's page, parsed."""
    return Page(render_html(samples.SAMPLES[name]()))


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_page_is_well_formed_offline_and_complete(name: str) -> None:
    html = render_html(samples.SAMPLES[name]())
    parsed = Page(html)
    assert parsed.stack == []
    assert html.startswith("<!doctype html>")
    assert "default-src 'none'" in html
    assert not {"script", "img", "iframe", "object", "form"} & set(parsed.tags)
    assert not [a for a in parsed.attributes if a.startswith("on")]
    assert [i for i, n in Counter(parsed.ids).items() if n > 1] == []
    outside = [link for link in parsed.links if not link.startswith("#") and link != "data:,"]
    assert outside == []
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_same_dossier_same_bytes(name: str) -> None:
    assert render_html(samples.SAMPLES[name]()) == render_html(samples.SAMPLES[name]())


def test_denial_says_why_in_order_and_links_the_chain() -> None:
    text = page("deny").text
    why = text.index("It may not ship.")
    assert why < text.index("calls os.system while loading", why) < text.index("Recall under attack is 34.0%", why)
    assert "where the policy asks for at least 40.0%" in text
    assert "Besides, compliance has not approved it." in text
    assert "4 rules deny" in text
    assert "1 could not be judged" in text
    assert "What blocks it" in text
    assert "assay approve . --role compliance" in text
    for link in ("Data", "Training", "Model", "Package", "Approval", "Live"):
        assert link in text


def test_preview_is_marked_and_never_reads_as_a_verdict() -> None:
    text = page("indeterminate").text
    assert "would be INDETERMINATE" in text
    assert "Preview, not signed" in text
    assert "Only assay gate decides" in text
    assert "It may not ship yet" in text


def test_allowed_page_has_no_red_and_names_the_proof() -> None:
    html = render_html(samples.allow())
    main = html[html.index("<main>") :]
    assert "fail" not in re.findall(r'class="(?:st|node|g) (\w+)"', main)
    assert 'id="blocks"' not in main
    text = Page(html).text
    assert "It may ship. All eight rules of the policy are met." in text
    assert "assay verify verdict.json --key gate.pub --at ." in text
    assert "18,442" in text
    assert "not looked at" in text  # Live stays a hollow ring


def test_scan_without_release_counts_files_and_shows_no_chain() -> None:
    html = render_html(samples.scan())
    text = Page(html).text
    assert '<h2 class="word plain">1 critical finding</h2>' in html
    assert "3 files" in text
    assert "No policy was asked, so nothing is decided." in text
    assert "One file could not be judged to the end." in text
    assert 'class="chain"' not in html
    assert 'id="gate"' not in html
    assert 'id="people"' not in html


def test_a_scanned_folder_is_not_called_a_file() -> None:
    dossier = samples.scan()
    inside = samples.finding(
        "artifact.pickle-code", "models", "calls os.system", "models/a.pkl", Severity.CRITICAL, "9a"
    )
    said = samples.outcome("artifact.pickle-code", "models", samples.A, Status.FAIL, findings=(inside,), complete=False)
    subjects = (replace(dossier.report.body.subjects[0], name="models", uri="models"),)
    body = replace(dossier.report.body, subjects=subjects, outcomes=(said,))
    text = Page(render_html(replace(dossier, report=replace(dossier.report, body=body)))).text
    assert "1 path" in text
    assert "1 could not be judged to the end" in text


def test_the_heading_says_nothing_found_only_where_all_was_judged() -> None:
    dossier = samples.scan()
    passed = samples.outcome("artifact.pickle-code", "models", samples.A, Status.PASS)

    def heading(*outcomes: Outcome) -> str:
        body = replace(dossier.report.body, outcomes=outcomes)
        html = render_html(replace(dossier, report=replace(dossier.report, body=body)))
        return html.partition('<h2 class="word plain">')[2].partition("<")[0]

    assert heading(passed) == "Nothing found"
    assert heading(passed, replace(passed, complete=False)) == "Not judged to the end"
    assert heading(replace(passed, status=Status.NOT_APPLICABLE)) == "Nothing to look at"
    assert heading() == "Nothing examined"


def test_a_check_that_only_notes_something_is_not_green() -> None:
    dossier = samples.scan()
    note = samples.finding("artifact.pickle-code", "models", "looks odd", "models/a.pkl", Severity.INFO, "9b")
    noted = samples.outcome(
        "artifact.pickle-code",
        "models",
        samples.A,
        Status.PASS,
        findings=(note,),
        measures=(Measure(name="n", value=1),),
    )
    body = replace(dossier.report.body, outcomes=(noted,))
    html = render_html(replace(dossier, report=replace(dossier.report, body=body)))
    section = html[html.index('id="c-artifact-pickle-code"') :].partition("</section>")[0]
    assert "1 note" in section
    assert 'class="st pass"' not in section


def test_empty_dossier_claims_nothing() -> None:
    text = page("empty").text
    assert "Nothing examined" in text
    assert "nothing is known" in text
    assert "pass" not in text.replace("passed", "")


def test_observe_mode_says_would() -> None:
    dossier = samples.deny()
    assert dossier.decision is not None
    text = Page(render_html(replace(dossier, decision=replace(dossier.decision, mode="observe")))).text
    assert "would DENY" in text
    assert "Observed, not enforced." in text
    assert "Exit code 0" in text


def test_open_rules_of_one_cause_are_one_block() -> None:
    html = render_html(samples.indeterminate())
    blocks = html[html.index('id="blocks"') : html.index("</section>", html.index('id="blocks"'))]
    assert blocks.count("<article") == 3
    for line in (6, 7, 13, 10, 16):
        assert f"policy.yaml</code>:{line}" in blocks or f"policy.yaml:{line}" in blocks


def test_a_waived_finding_is_marked_and_red_only_where_the_gate_denies() -> None:
    dossier = samples.deny()
    assert dossier.decision is not None
    trace = tuple(
        replace(r, verdict=Verdict.ALLOW, fingerprints=(), waived=r.fingerprints, reason="")
        if r.asks == "findings"
        else r
        for r in dossier.decision.trace
    )
    html = render_html(replace(dossier, decision=replace(dossier.decision, trace=trace)))
    rows = html[html.index('id="findings"') : html.index('id="files"')]
    assert rows.count("waived</span>") >= 2
    assert "class=hit" not in rows


def test_hatching_only_where_a_rule_reads_the_measure() -> None:
    dossier = samples.deny()
    with_rule = render_html(dossier)
    assert "Hatched: where <code>policy.yaml:10</code> denies." in with_rule
    assert "Hatched: where <code>policy.yaml:8</code> denies." in with_rule
    assert "Hatched: where <code>policy.yaml:9</code> denies." in with_rule
    assert dossier.decision is not None
    bare = tuple(r for r in dossier.decision.trace if r.asks != "measure")
    without = render_html(replace(dossier, decision=replace(dossier.decision, trace=bare)))
    assert 'fill="url(#hatch)"' not in without


def test_unverified_lists_and_missing_entries_are_told() -> None:
    text = page("deny").text
    assert "Evidence for 12 of 18 requirements; 2 missing" in text
    assert "list not verified" in text
    assert "It does not say that any of them is met." in text
    assert "compliant" not in text


def test_people_shows_who_is_missing_and_what_expired() -> None:
    text = page("deny").text
    assert "One signature is missing" in text
    assert "waiting" in text
    assert "ended 10 Nov 2026" in text
    assert "29 d left" in text


def test_refused_approval_denies_in_words() -> None:
    dossier = samples.deny()
    assert dossier.decision is not None
    refusal = samples.approval(samples.OKAFOR, 2, "refuse", "the label problem is not understood")
    rule = replace(
        dossier.decision.trace[-1],
        verdict=Verdict.DENY,
        saw="M. Okafor (compliance) refused",
        reason="the label problem is not understood",
        fix="",
    )
    decision = replace(dossier.decision, trace=(rule,), approvals=(refusal,))
    text = Page(render_html(replace(dossier, decision=decision))).text
    assert "M. Okafor (compliance) refused: the label problem is not understood." in text
    assert "Approval was refused" in text
    assert "One thing, what denies first. Clear it and" in text


def test_training_is_hollow_without_signature_or_commit() -> None:
    dossier = samples.deny()
    body = replace(dossier.report.body, release=replace(samples.RELEASE, code=""))
    html = render_html(replace(dossier, signatures=(), report=replace(dossier.report, body=body)))
    chain = html[html.index('class="chain"') : html.index("</ol>")]
    training = chain[chain.index("<h3>Training") : chain.index(">Model")]
    assert "not looked at" in training
    assert "nobody signed the model" in training


def busy(findings: int = 600, points: int = 500, exhibits: int = 10) -> Dossier:
    """Many findings with long texts, exhibits as large as they may be, and fifty rules."""
    noisy = tuple(((i * 7919) % 1000) / 1000 for i in range(points // 2))
    shown: list[Exhibit] = []
    for i in range(exhibits):
        xs = tuple(float(j) for j in range(points // 2))
        lines = (
            Series(name="ours", x=xs, y=noisy, low=tuple(v - 0.1 for v in noisy), high=tuple(v + 0.1 for v in noisy)),
            Series(name="theirs", x=xs, y=noisy[::-1], role="other"),
        )
        kinds: tuple[Exhibit, ...] = (
            Curve(name=f"c{i}", title="A line", subtitle="of noise", x_label="x", y_label="y", series=lines),
            Histogram(
                name=f"h{i}",
                title="Bars",
                subtitle="s",
                x_label="x",
                edges=(*xs, 250.0),
                series=(Bars(name="n", counts=noisy), Bars(name="o", counts=noisy, role="other")),
            ),
            Table(
                name=f"t{i}",
                title="Rows",
                subtitle="s",
                columns=("a", "b", "c", "d"),
                rows=tuple((j, "word " * 20, 0.5, "w" * 80) for j in range(points)),
            ),
            Intervals(
                name=f"i{i}",
                title="Rows",
                subtitle="s",
                unit="u",
                rows=tuple(
                    IntervalRow(label=f"row {j}", value=v, low=v - 0.1, high=v + 0.1) for j, v in enumerate(noisy)
                ),
            ),
        )
        shown.append(kinds[i % 4])
    found = tuple(
        samples.finding(
            "data.label-flips",
            "train",
            f"finding {i} " + "with a long text " * 40,
            f"data/part-{i}.parquet",
            list(Severity)[i % 5],
            f"{i:04x}",
            "do this " * 60 + str(i),
        )
        for i in range(findings)
    )
    said = tuple(
        samples.outcome(
            "data.label-flips", f"train-{i}", samples.D, Status.FAIL, findings=found if not i else (), exhibits=(e,)
        )
        for i, e in enumerate(shown)
    )
    rules = tuple(
        RuleTrace(
            line=i,
            rule=f"findings: {{severity: high, unwaived_max: {i}}}",
            asks="findings",
            verdict=Verdict.DENY,
            saw="many",
            reason="many",
            fingerprints=tuple(f.fingerprint for f in found[:100]),
            value=100.0,
            bound=float(i),
            better="lower",
        )
        for i in range(1, 51)
    )
    return Dossier(
        report=Report(body=samples.body(said), run=samples.RUN),
        decision=replace(samples.decision(said, 0.4), trace=rules),
        coverage=samples.coverage(),
    )


def test_a_busy_page_stays_under_400_kilobytes() -> None:
    html = render_html(busy())
    assert len(html.encode()) <= 400_000
    text = Page(html).text
    assert "400 more findings, none graver than these" in text
    assert "more rules below, in the gate trace" in text


def test_a_large_page_never_hides_a_grave_finding_behind_light_ones() -> None:
    text = Page(render_html(busy())).text
    shown = re.findall(r"Finding (\d+) with", text)
    assert len(set(shown)) == 200
    assert {int(n) % 5 for n in shown} == {0, 1}  # all 120 critical, then high


def test_ages_count_to_the_decision() -> None:
    dossier = samples.deny()
    assert dossier.decision is not None
    later = replace(dossier.decision, at=samples.NOW + timedelta(days=4))
    text = Page(render_html(replace(dossier, decision=later))).text
    assert "Age 4 d" in text


def test_what_it_was_judged_on_is_shown_with_the_digest_to_pin() -> None:
    contract = Contract(
        features={"age": Feature(mutable=False), "sum": Feature(cost=1e6, scale=1e-6, direction="up", min=0.0)},
        constraints=("paid <= sum",),
    )
    terms = Terms(contract=contract, reads={"holdout": {"label": "fraud", "drop": ["id", "x<y"]}})
    given = samples.allow()
    release = replace(samples.RELEASE, terms=terms)
    body = replace(given.report.body, release=release)
    html = render_html(replace(given, report=replace(given.report, body=body)))
    section = html[html.index('<section id="terms"') :]
    section = section[: section.index("</section>")]
    for words in (
        "can change 1 of 2 declared columns: sum (only up, 0 to any, cost 1e+06", "paid &lt;= sum", "Held fixed",
        "label fraud, drop [id, x&lt;y]", terms.digest, "declared, not pinned",
    ):  # fmt: skip
        assert words in section


@pytest.mark.parametrize(
    ("rule", "state"), [("{mutable: [age]}", "not as the policy asks"), ("{mutable: [sum]}", "as the policy asks")]
)
def test_a_contract_rule_shows_beside_its_terms(rule: str, state: str) -> None:
    terms = Terms(contract=Contract(features={"age": Feature(mutable=False), "sum": Feature()}))
    release = replace(samples.RELEASE, terms=terms)
    said = samples.outcomes(bad=False, torn=False)
    facts = Facts(release=release.digest, terms=terms, outcomes=samples.vouched_facts(said))
    policy = policy_from(f"policy: p\nrequire:\n  - contract: {rule}\n".encode(), "policy.yaml")
    decision = decide(facts, policy, samples.NOW)
    given = samples.allow()
    body = replace(given.report.body, release=release)
    html = render_html(replace(given, report=replace(given.report, body=body), decision=decision))
    section = html[html.index('<section id="terms"') :]
    assert state in section[: section.index("</section>")]
    assert ("The contract is not what the policy asks for" in html) is (decision.verdict is Verdict.DENY)


def test_set_aside_words_say_why_and_notes_are_told() -> None:
    given = samples.deny()
    assert given.decision is not None
    author = samples.approval(samples.person("R. Haddad", "security", "e07c"), 1)
    decision = samples.decision(samples.outcomes(), 0.4, approvals=(author,))
    html = render_html(replace(given, decision=decision))
    people = html[html.index('<section id="people"') :]
    assert "R. Haddad is the author and cannot approve" in people[: people.index("</section>")]
    noted = replace(given.report.body.outcomes[-1], notes=("claims: sandbox weak, no namespaces",))
    body = replace(given.report.body, outcomes=(*given.report.body.outcomes[:-1], noted))
    assert "sandbox weak, no namespaces" in render_html(replace(given, report=replace(given.report, body=body)))
