"""Signed papers: evidence, approvals, waivers, signatures, policy, roster, threat pack; read by the gate."""

from __future__ import annotations

import os
import re
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from assay.attest import bundle
from assay.attest import statement as st
from assay.attest.keys import PrivateKey, PublicKey
from assay.attest.signature import read_signature, signature_path
from assay.config.policy_file import Policy, policy_from, roster_from
from assay.config.strict_yaml import parse, read_text
from assay.config.threats_file import threats_from
from assay.core.canonical import digest_bytes
from assay.core.decision import Approval, Person, Roster, Signer, Waiver
from assay.core.errors import InputError, UsageError, VerificationError, os_words
from assay.core.report import Report
from assay.core.subject import Attacker
from assay.core.text import nearest, visible
from assay.core.threats import ThreatPack
from assay.engine.registry import check_ids, load, resolve_parameters

_WORDS = {st.POLICY: "policy", st.ROSTER: "roster", st.THREATS: "threat pack"}
_MEANT = re.compile(rb"(?m)^(?:policy|roster|threats):[ \t]*\S")
MAX_BYTES = 128 * 1024**2
RELEASE_SUBJECT = "urn:assay:release"


class DocumentMark(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of a policy, roster or threat pack signs, beside the digest of its bytes."""

    name: str
    version: int
    signed_at: datetime


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """A signed paper that holds: its kind (predicate type), who signed, its bytes with their digest, its statement."""

    kind: str
    uri: str
    envelope: bytes
    digest: str
    signer: Signer
    statement: st.Statement


def read_paper(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a signed file, bounded. Raises InputError."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe must not hold us up
            data = file.read(most + 1) or b""
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check the path") from None
    if len(data) > most:
        raise InputError(f"is larger than {most // 1000**2} MB", where=str(path))
    return data


def release_subject(digest: str) -> st.Subject:
    """The in-toto subject that names a Release."""
    return st.Subject(RELEASE_SUBJECT, {"sha256": digest.removeprefix("sha256:")})


def sign_report(report: Report, key: PrivateKey) -> bytes:
    """Evidence: the report, bound to its Release and to every digest it looked at. UsageError without a Release."""
    release = report.body.release
    if release is None:
        raise UsageError("evidence needs a Release", fix="name a model in assay.yaml and use `assay run`")
    subjects = [release_subject(release.digest)]
    subjects += [st.Subject(s.name, {"sha256": s.digest.removeprefix("sha256:")}) for s in report.body.subjects]
    return st.sign(st.EVIDENCE, subjects, report, [key])


def sign_word(word: Approval | Waiver, key: PrivateKey) -> bytes:
    """A person's approval or waiver, bound to its Release."""
    kind = st.APPROVAL if isinstance(word, Approval) else st.WAIVER
    return st.sign(kind, [release_subject(word.release)], word, [key])


def sign_document(path: Path, key: PrivateKey, now: datetime) -> tuple[str, bytes]:
    """(what it is, envelope) for a policy, roster or threat pack, told apart by content. Raises UsageError for others.

    A version is signed once: other content under it, or an older version, is refused while its signature lies there.
    """
    data = read_text(path)
    name, version, kind = _document(data, path)
    hex_ = digest_bytes(data).removeprefix("sha256:")
    before = _signed_before(path, kind)
    if before is not None:
        mark, digest = before
        if mark.name == name and (mark.version > version or (mark.version == version and digest != hex_)):
            what = f"version {mark.version} was signed before, and this is version {version} with other content"
            raise UsageError(what, where=str(path), fix="raise `version:`, so that nobody mistakes one for the other")
    mark = DocumentMark(name=name, version=version, signed_at=now)
    return _WORDS[kind], st.sign(kind, [st.Subject(path.name, {"sha256": hex_})], mark, [key])


def _signed_before(path: Path, kind: str) -> tuple[DocumentMark, str] | None:
    """What the signature beside a document says that it signed: (mark, sha256 in hex); None where none lies."""
    try:
        statement = st.claimed(read_signature(path), where=str(path))
        if statement.predicate_type == kind and statement.subject:
            return statement.read(DocumentMark, where=str(path)), statement.subject[0].digest.get("sha256", "")
    except (VerificationError, InputError):
        pass  # a signature that is none holds nothing back
    return None


def _document(data: bytes, path: Path) -> tuple[str, int, str]:
    value = parse(data, str(path)).value
    if isinstance(value, dict) and "people" in value:
        roster = roster_from(data, str(path))
        for person in roster.people:
            for key in person.keys:
                try:
                    PublicKey.from_text(key)
                except InputError:
                    fix = "paste what `assay key show FILE.pub` prints"
                    raise UsageError(f"a key of {visible(person.name, 60)} is none", where=str(path), fix=fix) from None
        return roster.roster, roster.version, st.ROSTER
    if isinstance(value, dict) and "threats" in value:
        pack = read_threats(data, str(path)).ref
        return pack.name, pack.version, st.THREATS
    policy = policy_from(data, str(path))
    require_known(policy)
    return policy.file.policy, policy.file.version, st.POLICY


def is_document(path: Path) -> bool:
    """Whether a file means to be a policy, roster or threat pack, right or wrong: `assay sign` signs it as one."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    data = b""
    try:
        data = read_text(path)
        keys = set(parse(data, str(path)).value)
    except (UsageError, InputError, TypeError):
        return _MEANT.search(data) is not None
    return any(own <= keys for own in ({"policy", "require"}, {"roster", "people"}, {"threats", "version"}))


def require_known(policy: Policy) -> None:
    """Raises UsageError where `parameters:` of a policy names no check that there is, or what one does not take, or
    where `evidence:` is for no check or no role: it would ask for nothing, and nobody would see. So where parameters
    contradict each other, which no evidence can meet; terms that the policy pins may say the norm that is missing."""
    names = [*check_ids(), *(m for check in check_ids() for m in load(check).spec.measures)]
    for number, rule in enumerate(policy.file.evidence):
        where = f"{policy.uri}: evidence[{number}]"
        if not any(fnmatchcase(name, rule.check) for name in names):
            guess = nearest(rule.check, check_ids())
            fix = f"did you mean {guess}?" if guess else "see `assay explain`"
            raise UsageError(f"no check is called {visible(rule.check)!r}", where=where, fix=fix)
        if not rule.roles:
            raise UsageError("names no role, so that nobody may give it", where=where, fix="say who: roles: [security]")
    for check, given in policy.file.parameters.items():
        where = f"{policy.uri}: parameters"
        if check not in check_ids():
            guess = nearest(check, check_ids())
            fix = f"did you mean {guess}?" if guess else "name each check: patterns are not taken here"
            raise UsageError(f"no check is called {visible(check)!r}", where=where, fix=fix)
        if given.get("sandbox", "full") not in ("full", "weak"):
            raise UsageError("sandbox is full or weak", where=f"{where}.{check}", fix="say `sandbox: full`")
        own = {name: value for name, value in given.items() if name != "sandbox"}
        asks = resolve_parameters(load(check), own, where=where)
        if not policy.pinned and (why := Attacker().contradicts(asks)):
            raise UsageError(why, where=f"{where}.{check}", fix="say the `norm` too, or take it out")


def trusted_policy(path: Path, owner: PublicKey) -> Policy:
    """A policy that its owner signed, byte for byte. Raises VerificationError otherwise."""
    data = _owned(path, owner, st.POLICY)
    return policy_from(data, str(path))


def trusted_roster(path: Path, owner: PublicKey) -> Roster:
    """A roster that its owner signed, byte for byte. Raises VerificationError otherwise."""
    return roster_from(_owned(path, owner, st.ROSTER), str(path))


def trusted_threats(path: Path, owner: PublicKey) -> ThreatPack:
    """A threat pack that its publisher signed, byte for byte. Raises VerificationError otherwise."""
    return read_threats(_owned(path, owner, st.THREATS), str(path))


def threats_in(data: bytes, envelope: bytes, owner: PublicKey, where: str) -> ThreatPack:
    """As trusted_threats, of bytes that lie nowhere yet."""
    _require_signed(data, envelope, owner, st.THREATS, where)
    return read_threats(data, where)


def read_threats(data: bytes, where: str) -> ThreatPack:
    """A pack whose every row can be looked up. Raises UsageError for one that cannot."""
    from assay.formats.dependencies.osv import record_problem

    pack = threats_from(data, where)
    for number, record in enumerate(pack.content.advisories):
        if problem := record_problem(record):
            what = f"advisories[{number}] ({visible(str(record.get('id')), 60)}) {problem}"
            raise UsageError(what, where=where, fix="write it as OSV does, with quotes around versions")
    return pack


def _owned(path: Path, owner: PublicKey, kind: str) -> bytes:
    data = read_text(path)
    _require_signed(data, read_signature(path), owner, kind, str(path))
    return data


def _require_signed(data: bytes, envelope: bytes, owner: PublicKey, kind: str, where: str) -> None:
    signed = st.verify(envelope, [owner], kind, where=str(signature_path(Path(where))))
    promised = {s.digest.get("sha256", "") for s in signed.statement.subject}
    if digest_bytes(data).removeprefix("sha256:") not in promised or len(promised) != 1:
        raise VerificationError("was changed after its owner signed it", where=where, fix="have it signed again")


class People:
    """The roster as the gate asks it: whose key is this, and may it speak at this moment."""

    def __init__(self, roster: Roster, now: datetime) -> None:
        self._by_key: dict[str, tuple[Person, PublicKey]] = {}
        self._roster, self.now = roster, now
        for person in roster.people:
            for text in person.keys:
                key = PublicKey.from_text(text)
                self._by_key[key.id] = (person, key)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Every key on the roster, valid now or not."""
        return tuple(key for _, key in self._by_key.values())

    @property
    def holders(self) -> dict[str, tuple[str, ...]]:
        """By role, the names of those who are on the roster now."""
        found: dict[str, tuple[str, ...]] = {}
        for person in self._roster.people:
            begun = person.valid_from is None or self.now >= person.valid_from
            if begun and (person.valid_until is None or self.now < person.valid_until):
                for role in person.roles:
                    found[role] = (*found.get(role, ()), person.name)
        return found

    def name_of(self, key_id: str) -> str:
        """Whose key that is, "" for a key that the roster does not name."""
        return self._by_key[key_id][0].name if key_id in self._by_key else ""

    def signer(self, key_ids: tuple[str, ...], where: str) -> Signer:
        """Who signed. Raises VerificationError for a revoked key or a person who is not valid now."""
        person, key = self._by_key[key_ids[0]]
        if key.text in person.revoked_keys:
            raise VerificationError(f"the key of {person.name} was revoked", where=where, fix="sign with a valid key")
        if person.valid_from is not None and self.now < person.valid_from:
            raise VerificationError(f"{person.name} is not on the roster yet", where=where)
        if person.valid_until is not None and self.now >= person.valid_until:
            raise VerificationError(f"{person.name} is no longer on the roster", where=where)
        return Signer(person=person.name, key=key.id, roles=person.roles)


def kind_of(envelope: bytes, where: str) -> str:
    """The predicate type that an envelope claims, before any signature is checked. Raises VerificationError.

    A model's signature is of one kind, in whichever version of its format it is written.
    """
    if bundle.is_bundle(envelope):
        kind = bundle.claimed(envelope, where=where).predicate_type
        return st.SIGNATURE if kind == st.SIGNATURE_OLD else kind
    try:
        return st.claimed(envelope, where=where).predicate_type
    except VerificationError as error:
        fix = "give evidence, approvals, waivers or signatures written by assay"
        raise VerificationError("is not a signed paper", where=where, fix=fix) from error


def open_paper(path: Path, people: People) -> Paper:
    """A file that someone on the roster signed. Raises VerificationError for a stranger's, or a damaged one."""
    return paper_from(read_paper(path), str(path), people)


def paper_from(envelope: bytes, where: str, people: People) -> Paper:
    """A paper's bytes as `open_paper`. Raises VerificationError."""
    kind = kind_of(envelope, where)
    if kind not in (st.EVIDENCE, st.APPROVAL, st.WAIVER, st.SIGNATURE):
        raise VerificationError(f"is a {kind[:60]}, which is no evidence", where=where, fix="give it elsewhere")
    try:
        statement, key_ids = _verified(envelope, kind, people, where)
    except VerificationError as error:
        fix = error.fix or "ask who signed it, and whether the roster names their key"
        raise VerificationError(error.what, where=error.where or where, fix=fix) from None
    signer = people.signer(key_ids, where)
    return Paper(
        kind=kind,
        uri=where,
        envelope=envelope,
        digest=digest_bytes(envelope),
        signer=signer,
        statement=statement,
    )


def _verified(envelope: bytes, kind: str, people: People, where: str) -> tuple[st.Statement, tuple[str, ...]]:
    """The statement, and the ids of the roster's keys that signed it. A model's signature is a bundle, and no other."""
    if kind == st.SIGNATURE:
        opened = bundle.verify(envelope, people.keys, people.now, where=where)
        return opened.statement, (opened.key_id,)
    signed = st.verify(envelope, people.keys, kind, where=where)
    return signed.statement, signed.key_ids
