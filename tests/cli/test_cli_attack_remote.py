"""`assay attack http://…` and models behind an address in assay.yaml: cut off and resumed, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_tools import Done, assay, one_line, outcomes, report, start

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

import pyarrow.parquet as pq  # noqa: E402
from served_models import Site  # noqa: E402

pytestmark = pytest.mark.usefixtures("here")
NAMES = ("amount", "hour", "claims")
TOKEN = "s3cret-token-of-ours"
THREAT = """features:
  amount: {min: 0, max: 600, direction: down, cost: 1}
  hour: {min: 0, max: 23, integer: true}
  claims: {order: [0, 1, 2, 3, 4, 5]}
"""


def rule(columns: dict[str, Any]) -> Any:
    amount, hour, claims = (np.asarray(columns[n], float) for n in NAMES)
    return 1 / (1 + np.exp(-(amount / 60 + claims - (hour > 8) - 4)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    table = {
        "amount": rng.gamma(2, 50, 400).round(2), "hour": rng.integers(0, 24, 400) * 1.0,
        "claims": rng.integers(0, 6, 400) * 1.0,
    }  # fmt: skip
    fraud = (rule(table) + rng.normal(0, 0.1, 400) > 0.5).astype(int)
    pq.write_table(pa.table({**table, "fraud": fraud}), folder / "rows.parquet")
    (folder / "threat.yaml").write_text(THREAT)
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FRAUD_TOKEN", TOKEN)
    site = Site(NAMES, rule)
    site.token = TOKEN
    yield site
    site.close()


def words(shop: Path, address: str, *more: Any) -> tuple[Any, ...]:
    return (
        "attack", address, "--data", shop / "rows.parquet", "--label", "fraud", "--threat", shop / "threat.yaml",
        "--rows", "12", "--queries", "120", "--endpoint", "token_env=FRAUD_TOKEN", "--only", "robustness.evasion",
        "-f", "json", *more,
    )  # fmt: skip


def attack(shop: Path, address: str, *more: Any) -> Done:
    done = assay(*words(shop, address, *more))
    assert TOKEN not in done.out + done.err
    return done


def evasion(done: Done) -> Any:
    return outcomes(done)["robustness.evasion", "endpoint"]


def told(done: Done) -> Any:
    return {m["name"]: m["value"] for m in evasion(done)["measures"]}


def test_an_address_is_attacked_cut_off_and_goes_on(shop: Path, site: Site, tmp_path: Path) -> None:
    whole = attack(shop, site.oip)
    assert whole.code == 0, whole
    assert any("declared, not digested" in n and "version 7" in n for n in evasion(whole)["notes"])
    assert report(whole)["body"]["subjects"][1]["uri"] == site.oip
    needed = site.rows
    assert not list((tmp_path / "state" / "assay" / "endpoints").glob("*.answers")), "a whole run is not replayed"
    site.rows, site.after = 0, needed // 2
    cut = attack(shop, site.oip)
    assert cut.code == 3, "what was not looked at is no pass"
    assert "answers are kept" in evasion(cut)["reason"]
    before, site.rows, site.after = site.rows, 0, None
    again = attack(shop, site.oip)
    assert again.code == 0
    assert told(again) == told(whole)
    rest = needed - (before - 32)
    assert rest + 16 <= site.rows <= rest + 16 + (before - 32) // 20, "the rest, and a few to see that it still holds"
    assert any("are ones that were kept from before" in n for n in evasion(again)["notes"])
    for done in (whole, cut, again):
        assert "Bearer" not in done.out


def test_a_run_that_is_killed_goes_on_too(shop: Path, site: Site) -> None:
    whole = attack(shop, site.oip, "--endpoint", "batch=50")
    needed, site.rows = site.rows, 0
    site.version = "8"  # another journal
    running = start(*words(shop, site.oip, "--endpoint", "batch=50"))
    import os
    import signal
    import time

    until = time.monotonic() + 60
    while site.rows < needed // 3 and time.monotonic() < until:
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    while (sent := site.rows) and (time.sleep(0.3) or site.rows != sent):
        pass  # its workers end with it
    assert 0 < sent < needed
    site.rows = 0
    again = attack(shop, site.oip, "--endpoint", "batch=50")
    assert told(again) == told(whole)
    assert site.rows <= needed - sent + 32 + 16 + 32 + 50 + sent // 20, (
        "at most the batch that was on its way is asked again"
    )


@pytest.mark.heavy
def test_copies_are_attacked_by_method_transfer(shop: Path, site: Site) -> None:
    done = attack(shop, site.mlflow, "--method", "transfer", "--access", "score")
    assert done.code == 0, done
    assert evasion(done)["parameters"]["method"] == "transfer"
    assert (
        0 <= told(done)["robustness.evasion.recall_under_attack"] < told(done)["robustness.evasion.recall_unattacked"]
    )


def test_labels_only_refuse_a_score_attack_in_one_line(shop: Path, site: Site) -> None:
    site.shown = "ints"
    done = attack(shop, site.mlflow, "--access", "score")
    assert done.code == 3
    assert "labels only" in evasion(done)["reason"]
    assert attack(shop, site.mlflow).code == 0


def test_noise_is_no_pass(shop: Path, site: Site) -> None:
    site.switches = {"noise"}
    done = attack(shop, site.oip)
    assert done.code == 3
    assert "the sanity test failed: " in evasion(done)["reason"]  # whichever row is asked again first


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--endpoint", "token_env=hf_abc!def"), "no name of an environment variable"),
        (("--endpoint", "token_env=hf_abcdef"), "names a variable that is not set"),
        (("--endpoint", "speed=9"), "none that is known"),
        (("--endpoint", "rate=fast"), "no positive number"),
        (("--endpoint", "batch=0"), "no positive number"),
        (("--endpoint", "protocol=grpc"), "choose oip or mlflow"),
        (("--endpoint", "rate=1", "--endpoint", "rate=2"), "given twice"),
    ],
    ids=["token", "unset", "unknown", "word", "zero", "protocol", "twice"],
)
def test_what_the_options_get_wrong(shop: Path, more: tuple[str, ...], said: str) -> None:
    base = ("attack", "http://127.0.0.1:1/v2/models/x", "--data", shop / "rows.parquet", "--label", "fraud")
    assert "hf_abc" not in one_line(assay(*base, "--norm", "linf", *more), said, code=2)


@pytest.mark.parametrize(
    "address", ["http://me:pw@127.0.0.1:1/v2/models/x", "https://h.example/v2/models/x?sig=pw", "http://h.example"],
    ids=["login", "query", "server"],
)  # fmt: skip
def test_addresses_that_would_show_a_secret_are_refused(shop: Path, address: str) -> None:
    done = assay("attack", address, "--data", shop / "rows.parquet", "--label", "fraud", "--norm", "linf")
    assert "pw" not in one_line(done, "address", code=2)


MANIFEST = """system: {{name: shop, owner: a@example.com, purpose: test}}
subjects:
  rows: {{dataset: rows.parquet, label: fraud}}
  model: {{model: "{address}", holdout: rows, token_env: FRAUD_TOKEN}}
{threat}
checks:
  robustness.evasion: {{rows: 12, queries: 120}}
"""


@pytest.fixture
def project(shop: Path, site: Site, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "rows.parquet").write_bytes((shop / "rows.parquet").read_bytes())
    (folder / "assay.yaml").write_text(MANIFEST.format(address=site.oip, threat=THREAT))
    return folder


ONLY = [w for c in ("artifact.*", "data.schema", "performance.*", "robustness.evasion") for w in ("--only", c)]


def test_a_project_names_an_address(project: Path, site: Site) -> None:
    done = assay("run", project, *ONLY, "-f", "json")
    assert TOKEN not in done.out + done.err
    found = outcomes(done)
    artifact = {o["status"]: o["reason"] for (c, s), o in found.items() if c.startswith("artifact.") and s == "model"}
    assert set(artifact) == {"not-applicable"}
    assert "behind an address" in artifact["not-applicable"]
    assert found["performance.holdout", "model"]["status"] == "pass"
    assert found["robustness.evasion", "model"]["complete"]
    assert found["robustness.evasion", "model"]["subject_digest"] == ""
    first = site.requests
    again = assay("run", project, *ONLY, "-f", "json")
    assert site.requests > first, "what has no digest is never remembered as a whole"
    assert (
        outcomes(again)["robustness.evasion", "model"]["measures"] == found["robustness.evasion", "model"]["measures"]
    )
    assert report(again)["run"]["cached"] > 0, "the table is"
    (project / "assay.yaml").write_text(
        (project / "assay.yaml").read_text().replace("token_env:", "wait: 1, token_env:")
    )
    site.close()
    gone = outcomes(assay("run", project, *ONLY, "-f", "json"))
    assert gone["robustness.evasion", "model"]["status"] == "open"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("token_env: FRAUD_TOKEN", "token_env: hf_abc!def", "environment variable"),
        ("token_env: FRAUD_TOKEN", "rate: 0", "not a positive number"),
        ("token_env: FRAUD_TOKEN", "protocol: grpc", "protocol"),
        ("token_env: FRAUD_TOKEN", "allow: [os.system]", "loaded here"),
        ("/v2/models/fraud", "/v2/models/fraud?sig=hf_abc", "query"),
        ("http://127", "http://me:hf_abc@127", "credentials"),
        ('"http', '"x/http', "is for a model behind an address"),
    ],
    ids=["token", "rate", "protocol", "allow", "query", "login", "file"],
)
def test_what_a_manifest_gets_wrong(project: Path, old: str, new: str, said: str) -> None:
    path = project / "assay.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert "hf_abc" not in one_line(assay("run", project), said, code=2)


def test_no_evidence_is_signed_of_what_has_no_digest(project: Path, site: Site) -> None:
    assert assay("key", "new", "dana", cwd=project).code == 0
    done = assay("run", ".", "--key", "dana.key", "--evidence-out", "dana.json", cwd=project)
    assert one_line(done, "behind an address", "no digest", code=2)
    assert site.rows == 0, "said before the work"
    assert not (project / "dana.json").exists()


def test_a_bom_names_the_model_and_asks_nobody(project: Path, site: Site) -> None:
    done = assay("bom", "-o", "bom.json", cwd=project)
    assert done.code == 0, done
    assert '"machine-learning-model"' in (project / "bom.json").read_text()
    assert (site.rows, site.metadata) == (0, 0)
