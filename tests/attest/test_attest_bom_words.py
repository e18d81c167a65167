"""The BOM's small rooms: what may stand in it, licences, papers, VEX, the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.attest.bom.declared import Ancestor, read_paper
from assay.attest.bom.environment import THIS, environment
from assay.attest.bom.hashing import digests
from assay.attest.bom.licences import Licence, is_licence_file, licence_choices, licence_in, named_licence
from assay.attest.bom.vex import Statement, read_vex
from assay.attest.bom.words import clean, package_url, value_of
from assay.core.errors import InputError
from assay.core.finding import Severity
from assay.formats.dependencies.advisories import Advisory

TOKEN = "hf_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3x"


# Words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("meta-llama/Llama-2", "meta-llama/Llama-2"),
        ("/data/models/bert", "(local path) bert"),
        ("C:\\Users\\alice\\bert", "(local path) bert"),
        ("~/models/bert", "(local path) bert"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("https://me:pass@example.org/a", "https://example.org/a"),
        ("two\nlines\x1b[31m", "two\\nlines\\x1b[31m"),
        (f"token: {TOKEN}", "(redacted: it looks like a secret)"),
    ],
)
def test_what_may_stand_in_a_bom(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(shown) == shown or "://" in text


def test_values_become_text_that_says_the_same_each_time() -> None:
    assert value_of({"b": [1, 2], "a": "/etc/x"}) == '{"a":"(local path) x","b":[1,2]}'
    assert [value_of(v) for v in (True, 3, 0.5, "x")] == ["true", "3", "0.5", "x"]
    assert len(value_of(["long"] * 10_000)) <= 8001


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_value_can_be_written(value: Any) -> None:
    assert isinstance(value_of(value).encode(), bytes)  # no lone surrogate is left in it


def test_package_urls_are_escaped() -> None:
    assert package_url("pypi", "torch", "2.1.0+cu118") == "pkg:pypi/torch@2.1.0%2Bcu118"
    assert package_url("conda", "x", "") == "pkg:conda/x"


def test_both_digests(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "abc").write_bytes(b"abc")
    empty, abc = digests(tmp_path / "empty", "empty"), digests(tmp_path / "abc", "abc")
    assert empty.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert empty.blake3 == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert abc.blake3 == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    assert (abc.size, abc.head) == (3, b"abc")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        digests(tmp_path / "pipe", "pipe")
    with pytest.raises(InputError, match="no such file"):
        digests(tmp_path / "absent", "absent")


# Licences


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("apache-2.0", Licence(id="Apache-2.0")),
        ("MIT", Licence(id="MIT")),
        ("gpl-3.0", Licence(id="GPL-3.0-only")),
        ("mit or apache-2.0", Licence(expression="MIT OR Apache-2.0")),
        ("llama3", Licence(name="llama3")),
        ("other", None),
        ("", None),
    ],
)
def test_licences_by_name(said: str, found: Licence | None) -> None:
    assert named_licence(said) == found


@pytest.mark.parametrize(
    ("text", "id_", "name"),
    [
        ("\n   Apache License\n     Version 2.0, January 2004", "Apache-2.0", ""),
        ("MIT License\n\nCopyright (c) 2024", "MIT", ""),
        ("Copyright (c) X\n\nPermission is hereby granted, free of charge, to any person obtaining a copy", "MIT", ""),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "GPL-3.0-only", ""),
        ("BSD 3\nRedistribution and use in source and binary forms … endorse or promote products", "BSD-3-Clause", ""),
        ("Redistribution and use in source and binary forms", "BSD-2-Clause", ""),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT", "", "LLAMA 2 COMMUNITY LICENSE"),
    ],
)
def test_licences_by_text(text: str, id_: str, name: str) -> None:
    assert licence_in(text) == Licence(id=id_, name=name, concluded=True)


def test_a_text_that_nobody_knows_is_no_licence() -> None:
    assert licence_in("All rights reserved. The MIT campus is nice.") is None
    assert is_licence_file("a/LICENSE.txt")
    assert not is_licence_file("licensed_model.bin")


def test_an_expression_stands_alone_in_cyclonedx() -> None:
    one, two = Licence(expression="MIT OR ISC"), Licence(id="MIT")
    assert licence_choices((one,)) == [{"expression": "MIT OR ISC", "acknowledgement": "declared"}]
    assert [sorted(item) for item in licence_choices((one, two))] == [["license"], ["license"]]


# Papers


def paper(tmp_path: Path, name: str, text: str | bytes) -> Any:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_paper(path, name)


def test_a_card_without_front_matter_describes_nothing(tmp_path: Path) -> None:
    found = paper(tmp_path, "README.md", "# Hello\n")
    assert not found.found
    assert not found.gaps


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "---\nlicense: [mit\n---\n"),
        ("README.md", "---\nlicense: mit\n"),
        ("config.json", '{"model_type": '),
        ("adapter_config.json", "\xff"),
        ("MLmodel", "flavors: {"),
    ],
)
def test_torn_papers_are_gaps(tmp_path: Path, name: str, text: str) -> None:
    assert list(paper(tmp_path, name, text).gaps) == [name]


def test_a_merge_names_all_its_models(tmp_path: Path) -> None:
    text = "base_model: a/x\nmerge_method: ties\nmodels:\n- model: b/y\n- model: {model: {path: c/z}}\n"
    found = paper(tmp_path, "mergekit_config.yml", text)
    assert found.ancestors == (Ancestor("a/x", "merge"), Ancestor("b/y", "merge"), Ancestor("c/z", "merge"))
    assert found.facts == {"merge.method": "ties"}


def test_an_mlflow_model_says_its_flavor(tmp_path: Path) -> None:
    found = paper(tmp_path, "MLmodel", "flavors:\n  python_function: {env: x}\n  sklearn: {a: b}\nrun_id: r1\n")
    assert (found.family, found.facts["mlflow.run_id"]) == ("sklearn", "r1")


def test_other_files_are_no_papers(tmp_path: Path) -> None:
    assert paper(tmp_path, "weights.bin", b"x") is None


# VEX

ADVISORY = Advisory(id="CVE-2026-1", aliases=("GHSA-1",), package="x", version="1", severity=Severity.HIGH)


def vex(tmp_path: Path, value: Any) -> tuple[Statement, ...]:
    path = tmp_path / "vex.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_vex(path)


def openvex(**more: Any) -> dict[str, Any]:
    statement = {"vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:pypi/X@1"}], **more}
    return {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}


def test_openvex_becomes_an_analysis(tmp_path: Path) -> None:
    why = "vulnerable_code_not_in_execute_path"
    (found,) = vex(tmp_path, openvex(status="not_affected", justification=why))
    assert found.speaks_of(ADVISORY, "pkg:pypi/x@1")
    assert not found.speaks_of(ADVISORY, "pkg:pypi/x@2")
    assert found.analysis() == {"state": "not_affected", "justification": "code_not_reachable", "detail": why}


def test_openvex_subcomponents_are_what_is_meant(tmp_path: Path) -> None:
    product = {"@id": "pkg:oci/app@1", "subcomponents": [{"@id": "pkg:pypi/x"}]}
    (found,) = vex(tmp_path, openvex(status="fixed", products=[product]))
    assert (found.state, found.products) == ("resolved", frozenset({"pkg:pypi/x"}))
    assert found.speaks_of(ADVISORY, "pkg:pypi/x@1")


def test_a_statement_without_a_product_is_about_none(tmp_path: Path) -> None:
    (found,) = vex(tmp_path, openvex(status="fixed", products=[]))
    assert not found.speaks_of(ADVISORY, "pkg:pypi/x@1")


def test_cyclonedx_vex(tmp_path: Path) -> None:
    said = {"state": "false_positive", "response": ["update"]}
    value = {
        "bomFormat": "CycloneDX",
        "components": [{"bom-ref": "c1", "purl": "pkg:pypi/x@1"}],
        "vulnerabilities": [
            {
                "id": "GHSA-1",
                "analysis": said,
                "affects": [{"ref": "c1"}],
            },
            {"id": "GHSA-2", "affects": [{"ref": "c1"}]},
        ],
    }
    (found,) = vex(tmp_path, value)
    assert found.speaks_of(ADVISORY, "pkg:pypi/x@1")
    assert found.analysis() == {"state": "false_positive", "response": ["update"]}


@pytest.mark.parametrize(
    "value",
    [
        "", "[]", "{", "{}", openvex(status="sure"), openvex(status="not_affected"),
        openvex(status="fixed", justification="because"),
        {"bomFormat": "CycloneDX", "vulnerabilities": [{"id": "x", "analysis": {"state": "fine"}}]},
    ],
)  # fmt: skip
def test_what_is_no_sound_vex_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InputError):
        vex(tmp_path, value)


# Environment


def test_this_environment_lists_what_is_installed() -> None:
    found = environment(THIS)
    by = {item.name: item for item in found.packages}
    assert by["msgspec"].version
    assert by["click"].licences == (Licence(id="BSD-3-Clause"),)
    assert found.python


def test_a_folder_of_packages_is_read_without_importing(tmp_path: Path) -> None:
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    (site / "boom").mkdir(parents=True)
    (site / "boom" / "__init__.py").write_text("raise SystemExit('imported')")
    for name, more in (
        ("Boom", "Requires-Dist: other>1\nRequires-Dist: x; extra == 'y'\n"),
        ("other", "License: MIT\n"),
    ):
        info = site / f"{name.lower()}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{more}")
    (site / "torn-1.0.dist-info").mkdir()
    found = environment(str(tmp_path / "env"))
    assert [(item.name, item.needs) for item in found.packages] == [("boom", ("other",)), ("other", ())]
    assert found.packages[1].licences == (Licence(id="MIT"),)
    assert found.gaps == ("holds a package whose metadata cannot be read",)


def test_a_folder_without_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no installed package"):
        environment(str(tmp_path))
