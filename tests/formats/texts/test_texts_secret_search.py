"""Secrets are found by structure and by key, never quoted; placeholders, digests and special tokens are none."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.formats.texts.secret_search import judge_secrets

_RANDOM = random.Random(7)
_ALL = string.ascii_letters + string.digits


def made(length: int, alphabet: str = _ALL) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


_HEX = "0123456789abcdef"
SECRETS = [
    ('token = "{}"', "ghp_" + made(36)),
    ("{}", "hf_" + made(34)),
    ('{{"api_key": "{}"}}', made(32)),
    ("password: {}", made(14) + "!9a"),
    ("{}", "AKIA" + made(16, string.ascii_uppercase + string.digits)),
    ("url: postgresql://admin:{}@db.corp/x", made(12)),
    ("OPENAI_API_KEY={}", "sk-proj-" + made(48)),
    ("key {} here", "sk-" + made(48)),
    ("key {} here", "sk-ant-api03-" + made(80)),
    ("export WANDB_API_KEY={}", made(40, _HEX)),
    ("{}", "xoxb-" + made(11, string.digits) + "-" + made(24)),
    ('"aws_secret_access_key": "{}"', made(40)),
    ("{}", "AIza" + made(35)),
    ('SECRET_KEY="{}"', made(50)),
    ("-----BEGIN RSA PRIVATE KEY-----\n{}", "\n".join(made(64) for _ in range(5))),
]
NONE = [
    'api_key = "<YOUR_KEY>"',
    "password: changeme",
    "token: ${TOKEN}",
    'os.environ["API_KEY"]',
    '"bos_token": "<s>"',
    '"pad_token_id": 0',
    '"eos_token": "<|im_end|>"',
    'api_key = os.getenv("OPENAI_API_KEY")',
    "password = getpass.getpass()",
    "secret_key: str = Field(...)",
    f'"sha256": "{made(64, _HEX)}"',
    f'"commit": "{made(40, _HEX)}"',
    "max_new_tokens: 128",
    '"special_tokens_map_file": "x/y"',
    "hf_token=hf_token",
    'token = "hf_' + "x" * 34 + '"',
    "AKIAIOSFODNN7EXAMPLE",
    "postgres://user:password@localhost/db",
    "redis://:${PW}@h/0",
    '"tokenizer_class": "LlamaTokenizerFast"',
    "hf_hub_download_with_a_long_name_which_is_long",
    "secret_name: my-app-secret-v2",
    '"token": "Ġhello"',
    "passwd: test1234",
    "access_token = response.json()['access_token']",
    "api_key=settings.openai_api_key",
    f'"embedding": "{made(400)}"',
    "-----BEGIN PUBLIC KEY-----\n" + made(200),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_found_and_not_quoted(text: str, secret: str) -> None:
    said = judge_secrets("a = 1\n" + text.format(secret))
    assert said
    assert said[0].line == 2
    assert not any(secret[at : at + 6] in repr(said) for at in range(4, len(secret) - 6))


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_secret_is_none(text: str) -> None:
    assert judge_secrets(text) == []


def test_prose_is_only_searched_for_structures() -> None:
    assert judge_secrets(f"password: {made(14)}!9a", strict=False) == []
    assert judge_secrets("ghp_" + made(36), strict=False) != []


@given(st.text(max_size=300))
def test_any_text_is_searched(text: str) -> None:
    assert isinstance(judge_secrets(text), list)


@pytest.mark.parametrize("mark", ["password=", "ghp_", "://", "token: a", "-----BEGIN PRIVATE KEY-----", "eyJ"])
def test_many_marks_end(mark: str) -> None:
    assert isinstance(judge_secrets(mark * 20_000), list)
