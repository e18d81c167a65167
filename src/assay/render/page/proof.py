"""Proof: digests, keys and the log's state, with the commands by which someone else checks them."""

from __future__ import annotations

from assay.core.canonical import short
from assay.core.dossier import Proof
from assay.render.page.escape import code, esc
from assay.render.page.parts import facts, section, status
from assay.render.page.view import View
from assay.render.page.words import day, moment, plural, seconds

MOST_INPUTS = 20
_RUN = "assay run --evidence-out evidence.json --key me.key"
_GATE = (
    "assay gate --evidence evidence.json --policy policy.yaml --roster roster.yaml --policy-key owner.pub "
    "--ledger ledger.db --key gate.key --verdict-out verdict.json"
)
_COMMENTS = (
    ("assay verify", "the signature, the policy, the expiry, and that these files are the Release"),
    ("assay log verify", "has the log been edited, cut or rolled back since the checkpoint you hold?"),
    ("assay key", "a key pair of your own; give others only the public half"),
    ("assay run", "the same checks again, signed by whoever runs them"),
    ("assay gate", "joins signed evidence, decides, and signs the verdict"),
    ("assay sign", "say who made the model"),
)


def proof(view: View) -> str:
    """The section. Without a signed verdict it says so, and how to get one."""
    known = view.dossier.proof
    return _signed(view, known) if known is not None else _unsigned(view)


def _rows(pairs: list[tuple[str, str]]) -> str:
    return '<dl class="proof">' + "".join(f"<dt>{t}</dt><dd>{v}</dd>" for t, v in pairs if v) + "</dl>"


def _commands(commands: tuple[str, ...]) -> str:
    lines = []
    for command in commands[:8]:
        why = next((text for start, text in _COMMENTS if command.startswith(start)), "")
        comment = f'<span class="k"># {esc(why)}</span>\n' if why else ""
        lines.append(f"{comment}{esc(command)}")
    text = "\n\n".join(lines)
    return f"<pre><code>{text}</code></pre>" if lines else ""


def _release(view: View) -> str:
    if view.decision is not None:
        return code(view.decision.release)
    return code(view.body.release.digest) if view.body.release is not None else ""


def _made(view: View) -> str:
    run = view.run
    return esc(
        f"{run.tool.replace('/', ' ')} · {plural(len(view.body.checks), 'check')} · seed {run.seed} · "
        f"Python {run.python} · {run.platform} · {seconds(run.seconds)}"
    )


def _signatures(view: View) -> str:
    signed = view.dossier.signatures
    return "<br>".join(
        f"{code(s.material)} by {esc(s.person)}, key {code(short(s.key) + '…')}, {esc(moment(s.at))}"
        for s in signed[:8]
    )


def _signed(view: View, known: Proof) -> str:
    inputs = "<br>".join(f"{code(name, 120)} {code(short(d, 12) + '…')}" for name, d in known.inputs[:MOST_INPUTS])
    if len(known.inputs) > MOST_INPUTS:
        inputs += f"<br>and {len(known.inputs) - MOST_INPUTS} more"
    decision = view.decision
    passed = "PASSED" if decision is not None and decision.verdict.value == "allow" else "FAILED"
    pairs = [
        ("Release", _release(view)),
        ("Verdict", f"{code(known.verdict)} · the summary says {passed} · key {code(short(known.key) + '…')}"),
        ("Evidence", inputs),
        ("Signed files", _signatures(view)),
        ("Ledger", f"{code(known.origin)} · tree size <b>{known.size:,}</b>" if known.origin else ""),
        ("Root", code(known.root)),
        ("Made by", _made(view)),
        ("Report body", code(view.body.digest)),
    ]
    about = facts(
        [
            ("Key", code(f"{short(known.key)}…") if known.key else ""),
            ("Expires", esc(day(known.expires)) if known.expires is not None else ""),
            ("Tree size", f"{known.size:,}" if known.origin else ""),
        ]
    )
    point = (
        f'<details class="fig-nums"><summary>The checkpoint</summary><pre><code>{_lines(known.checkpoint)}</code></pre>'
        "</details>"
    )
    note = (
        '<p class="note">Each works offline, from the files beside this page and your own copies of the keys. '
        "You need not trust the machine that made this report.</p>"
    )
    content = _rows(pairs) + _commands(known.commands) + (point if known.checkpoint else "") + note
    logged = "signed and logged" if known.origin else "signed"
    return section("proof", "Proof and how to check it", status("pass", logged), about, content)


def _lines(text: str) -> str:
    return "\n".join(esc(line) for line in text.splitlines()[:20])


def _unsigned(view: View) -> str:
    pairs = [
        ("Release", _release(view)),
        ("Signed files", _signatures(view)),
        ("Made by", _made(view)),
        ("Report body", code(view.body.digest)),
    ]
    gated = view.decision is not None and not view.decision.preview
    observed = view.decision is not None and view.decision.mode == "observe"
    commands: tuple[str, ...] = ()
    if (view.body.release is not None or view.decision is not None) and not observed:
        commands = (_GATE,) if gated else (_RUN, _GATE)
    if observed:
        why = "The policy only observes, so no verdict is signed."
    elif gated:
        why = "The verdict is not signed, so nobody else can check this decision."
    else:
        why = "Nothing here is signed: this page proves nothing to someone else."
    how = " To change that:" if commands else ""
    content = f'<p class="lead">{why}{how}</p>{_commands(commands)}<div class="gap">{_rows(pairs)}</div>'
    return section("proof", "Proof and how to check it", status("na", "not signed"), "", content)
