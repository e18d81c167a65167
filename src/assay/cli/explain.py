"""`assay explain`: what a check or a word means, from the same text as the docs."""

from __future__ import annotations

import click


@click.command("explain")
@click.argument("word", required=False)
def command(word: str | None) -> None:
    """Say what WORD means: a check (artifact.pickle-code), a measure (performance.recall), a noun (Release), a
    framework's entry (eu-ai-act:Art.15), or an option of `assay harden --try` (adversarial).

    Without WORD it lists checks and nouns.
    """
    from assay.core.glossary import GLOSSARY, SOURCES
    from assay.engine.registry import check_ids, load
    from assay.taxonomy.frameworks import resolve

    if word is None:
        for check_id in check_ids():
            click.echo(f"{check_id:<30} {load(check_id).info.summary}")
        click.echo(f"\nWords: {', '.join(GLOSSARY)}")
        return
    words = {k.lower(): k for k in GLOSSARY}
    giving = {key: i for i in reversed(check_ids()) for key in load(i).spec.measures}
    giving |= {name: i for name, i in _short(giving).items() if name not in giving}
    if word in check_ids():
        click.echo(explain_check(word))
    elif word.lower() in words:
        noun = words[word.lower()]
        click.echo(f"{noun}\n\n{GLOSSARY[noun]}")
    elif word in giving:
        click.echo(explain_check(giving[word]))
    elif word in SOURCES:
        click.echo("\n".join([word, "", SOURCES[word], "", *_evidence_for(word)]))
    elif resolve(word) is not None:
        click.echo(_explain_tag(word))
    elif len(last := [c for c in check_ids() if c.rpartition(".")[2] == word.lower()]) == 1:
        click.echo(explain_check(last[0]))
    elif word in (ways := _ways()):
        click.echo("\n".join([word, "", *ways[word]]))
    else:
        _unknown(word, (*check_ids(), *giving, *GLOSSARY, *SOURCES, *ways))


def _short(giving: dict[str, str]) -> dict[str, str]:
    """By the last part of a measure's name its check, where no other check has a measure called so."""
    found: dict[str, set[str]] = {}
    for key, check_id in giving.items():
        found.setdefault(key.rpartition(".")[2], set()).add(check_id)
    return {name: min(ids) for name, ids in found.items() if len(ids) == 1}


def _ways() -> dict[str, list[str]]:
    """By name what everything is that `assay harden` compares; nothing without the extra that it needs."""
    try:
        from assay.harden.hardening.copying import AGAIN, AGAIN_SAID, OUTPUTS
        from assay.harden.hardening.options import WAYS
        from assay.harden.hardening.regular import LEAK_WAYS
    except ImportError:
        return {}
    told = [(way.name, way.role, way.said, "evasion") for way in WAYS]
    told += [(way.name, way.role, way.said, "membership") for way in LEAK_WAYS]
    told += [(AGAIN, "control", AGAIN_SAID, "theft"), *((o.name, "option", o.said, "theft") for o in OUTPUTS)]
    found: dict[str, list[str]] = {}
    for name, role, said, against in told:
        a = "An option" if role == "option" else "A control"
        found.setdefault(name, []).append(f"{a} of `assay harden --against {against}`: {said}.")
    return found


def _unknown(word: str, known: tuple[str, ...]) -> None:
    from assay.core.errors import UsageError
    from assay.core.text import nearest, visible

    guess = nearest(word, known)
    fix = f"did you mean {guess}?" if guess else "`assay explain` lists checks and words"
    raise UsageError(f"nothing is called {visible(word)!r}", fix=fix)


def explain_check(check_id: str) -> str:
    """A check's documentation as plain text: the docstring, what it asks, its parameters and its frameworks."""
    from assay.engine.registry import load

    check = load(check_id)
    spec = check.spec
    lines = [f"{spec.id}  (version {spec.version})", "", check.doc, ""]
    lines.append(f"Asks       a {spec.kind.value}, for the link {spec.stage.value.title()}")
    lines.append(f"Severity   at most {spec.severity.value}")
    lines.append(f"Needs      {'pip install ' + repr(f'assay[{spec.needs}]') if spec.needs else 'nothing more'}")
    lines += [f"Measures   {key}" for key in spec.measures]
    for parameter in check.parameters:
        lines.append(f"Parameter  {parameter.name}: {parameter.text} = {parameter.default!r}")
    return "\n".join([*lines, *_evidence_for(check_id, spec.tags)])


def _evidence_for(source: str, own: tuple[str, ...] = ()) -> list[str]:
    """The framework entries that a check, a rule of the gate or a part of the manifest gives evidence for."""
    from assay.taxonomy.frameworks import crosswalk, resolve

    lines = []
    for tag in dict.fromkeys((*own, *crosswalk(source))):
        info = resolve(tag)
        if info is not None:
            note = "" if info.verified else "  (label not verified)"
            lines.append(f"Evidence   {tag}  {info.name}{note}")
    return lines


def _explain_tag(tag: str) -> str:
    """A framework's entry, and what can give evidence for it."""
    from assay.flow.coverage import sources_by_tag
    from assay.taxonomy.frameworks import resolve

    info = resolve(tag)
    assert info is not None
    lines = [f"{tag}  {info.name}", "", f"{info.framework}, {info.edition}", info.url]
    if not info.verified:
        lines.append("This label was not verified against the publisher's text.")
    sources = sources_by_tag().get(tag, ())
    said = [f"Evidence   {source}" for source in sources] or ["Nothing in this version gives evidence for it."]
    return "\n".join([*lines, "", *said])
