"""Write docs/checks.md, docs/frameworks.md and docs/glossary.md from the code; with --check say which are stale.

python tools/build_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from assay.core.glossary import GLOSSARY, SOURCES
from assay.engine.registry import check_ids, load
from assay.flow.coverage import SHOWN, sources_by_tag
from assay.taxonomy.frameworks import crosswalk, frameworks, resolve

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Written by tools/build_docs.py from the code; edit the docstrings instead. -->\n"


def checks() -> str:
    """The check catalogue."""
    lines = ["# Checks", "", NOTE, "| check | asks a | at most | needs | question |", "| --- | --- | --- | --- | --- |"]
    for check_id in check_ids():
        c = load(check_id)
        needs = f"`[{c.spec.needs}]`" if c.spec.needs else "base"
        row = (f"[{check_id}](#{check_id.replace('.', '')})", c.spec.kind, c.spec.severity, needs, c.info.summary)
        lines.append("| " + " | ".join(row) + " |")
    for check_id in check_ids():
        c = load(check_id)
        lines += ["", f"## {check_id}", "", c.doc, ""]
        if c.parameters:
            lines += ["| parameter | type | default |", "| --- | --- | --- |"]
            lines += [f"| `{p.name}` | `{p.text.replace('|', ' or ')}` | `{p.default!r}` |" for p in c.parameters]
            lines.append("")
        if c.spec.measures:
            lines += ["Measures: " + ", ".join(f"`{m}`" for m in c.spec.measures) + ".", ""]
        tags = dict.fromkeys((*c.spec.tags, *crosswalk(check_id)))
        shown = [
            f"{i.framework} {i.id} ({i.name}{'' if i.verified else ', not verified'})" for i in map(resolve, tags) if i
        ]
        lines.append("Evidence for: " + "; ".join(shown) + ".")
    return "\n".join(lines) + "\n"


def framework_tables() -> str:
    """What gives evidence for which entry: every framework, and each entry of those that the report shows."""
    lines = ["# Frameworks", "", NOTE]
    lines += ["Evidence *for* an entry, never compliance with it. `assay explain PREFIX:ID` tells of one.", ""]
    lines += ["| prefix | framework | edition | entries |", "| --- | --- | --- | --- |"]
    known = {f.prefix: f for f in frameworks()}
    lines += [f"| `{f.prefix}` | [{f.name}]({f.url}) | {f.edition} | {len(f.entries)} |" for f in known.values()]
    lines += ["", "Beside the checks:", ""]
    lines += [f"- `{source}`: {text}" for source, text in SOURCES.items()]
    sources = sources_by_tag()
    for prefix in SHOWN:
        one = known[prefix]
        given = [(i, name, sources.get(f"{prefix}:{i}", ())) for i, name in one.entries]
        speaks = [row for row in given if row[2]]
        outside = len(given) - len(speaks)
        lines += ["", f"## {one.name}", "", "| entry | name | evidence from |", "| --- | --- | --- |"]
        lines += [f"| {i} | {name} | {', '.join(f'`{s}`' for s in said)} |" for i, name, said in speaks]
        lines += ["", f"{outside} more entries: nothing in this version gives evidence for them."]
    return "\n".join(lines) + "\n"


def glossary() -> str:
    """The glossary."""
    rows = [f"**{word}.** {text}\n" for word, text in sorted(GLOSSARY.items())]
    return "\n".join(["# Glossary", "", NOTE, *rows])


def main() -> int:
    """Write, or check: 1 when a file is stale."""
    stale = []
    for name, text in (
        ("checks.md", checks()),
        ("frameworks.md", framework_tables()),
        ("glossary.md", glossary()),
    ):
        path = DOCS / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
