"""Write docs/checks.md and docs/glossary.md from the code; with --check only say whether they are stale.

python tools/build_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from assay.core.glossary import GLOSSARY
from assay.engine.registry import check_ids, load
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
    lines += ["", "## Frameworks", "", "| prefix | framework | edition | entries |", "| --- | --- | --- | --- |"]
    lines += [f"| `{f.prefix}` | [{f.name}]({f.url}) | {f.edition} | {len(f.entries)} |" for f in frameworks()]
    return "\n".join(lines) + "\n"


def glossary() -> str:
    """The glossary."""
    rows = [f"**{word}.** {text}\n" for word, text in sorted(GLOSSARY.items())]
    return "\n".join(["# Glossary", "", NOTE, *rows])


def main() -> int:
    """Write, or check: 1 when a file is stale."""
    stale = []
    for name, text in (("checks.md", checks()), ("glossary.md", glossary())):
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
