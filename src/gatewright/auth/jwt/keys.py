"""Keys that verify signatures. The only module that imports joserfc, which reads them and judges signatures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gatewright._core.keys import key_bytes
from gatewright._core.tokens import TokenError, from_base64url
from gatewright.auth.jwt.algorithms import Algorithms
from gatewright.auth.jwt.compact import MAX_NAME, SignedToken, UnknownKey
from gatewright.errors import ConfigurationError

__all__ = ["KeySet", "VerifyingKey", "given", "published"]

_Check = Callable[[bytes, bytes], bool]
_Material = OctKey | RSAKey | ECKey | OKPKey

_KINDS: Mapping[str, type[_Material]] = {"oct": OctKey, "RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
# What a key is made of (RFC 7518, section 6): the private half is nobody's business here.
_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_FOR_SIGNATURES = (["verify"], ["sign", "verify"], ["verify", "sign"])
_CURVES = {
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "ES512": ("P-521",),
    "EdDSA": ("Ed25519", "Ed448"),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
}
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True, eq=False)
class VerifyingKey:
    """A key, and what it verifies.

    Args:
        kid: its name, where it has one.
        checks: by algorithm, what says whether a message has a signature.
    """

    kid: str | None
    checks: Mapping[str, _Check]


class KeySet:
    """Keys by what they are for and what they are called.

    A token that names a key is tried with keys of that name, else with those that have none. One that names no key is
    tried with those that have no name, else with the one that there is.
    """

    __slots__ = ("_by_name", "_kids", "_only")

    def __init__(self, keys: Iterable[VerifyingKey]) -> None:
        by_name: dict[tuple[str, str | None], list[_Check]] = defaultdict(list)
        by_algorithm: dict[str, list[_Check]] = defaultdict(list)
        for key in keys:
            for algorithm, check in key.checks.items():
                by_name[algorithm, key.kid].append(check)
                by_algorithm[algorithm].append(check)
        self._by_name = dict(by_name)
        self._only = {algorithm: checks for algorithm, checks in by_algorithm.items() if len(checks) == 1}
        self._kids = frozenset(kid for _, kid in by_name if kid is not None)

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def verify(self, token: SignedToken) -> None:
        """Let a token pass that one of the keys signed.

        Raises:
            UnknownKey: for one that they did not sign, and that names no key of these.
            TokenError: for any other that they did not sign.
        """
        for check in self._fitting(token.algorithm, token.kid):
            if _fits(check, token):
                return
        if token.kid not in self._kids:
            raise UnknownKey("signed with none of the keys, and by none that has its kid")
        raise TokenError("not signed with the key that it names")

    def _fitting(self, algorithm: str, kid: str | None) -> Sequence[_Check]:
        named = self._by_name.get((algorithm, kid), ()) or self._by_name.get((algorithm, None), ())
        return named if named or kid is not None else self._only.get(algorithm, ())


def _fits(check: _Check, token: SignedToken) -> bool:
    try:
        return check(token.message, token.signature)
    except ValueError:
        # What a library says of a signature that is none; it is not worth a traceback.
        return False


def given(keys: object, algorithms: Algorithms) -> KeySet:
    """Return the keys of a configuration.

    Args:
        keys: a key, several, or a key set (RFC 7517, section 5). A key is a secret, or a text or bytes in PEM or DER,
            by what *algorithms* want; or a JWK.
        algorithms: what they are for.

    Raises:
        ConfigurationError: for a key that is none, is too weak, is of another kind, or is for something else.
    """
    if isinstance(keys, Mapping) and "keys" in keys:
        return _given_set(cast("Mapping[str, object]", keys), algorithms)
    several = [cast("object", keys)] if isinstance(keys, (str, bytes, Mapping)) else keys
    if not isinstance(several, Sequence) or not several:
        raise ConfigurationError("BearerJWT(keys=...): write a key, a list of keys, a JWKS, or JwksUrl(...)")
    made: list[VerifyingKey] = []
    for number, key in enumerate(cast("Sequence[object]", several)):
        try:
            made.append(_key(key, algorithms))
        except ValueError as why:
            raise ConfigurationError(f"BearerJWT(keys=...): key {number} cannot be used, {why}") from why
    return KeySet(made)


def _given_set(document: Mapping[str, object], algorithms: Algorithms) -> KeySet:
    try:
        found = published(document, algorithms, secrets=True)
    except ValueError as why:
        raise ConfigurationError(f"BearerJWT(keys=...): {why}") from why
    if not found:
        raise ConfigurationError(f"BearerJWT(keys=...): no key of the set is for {', '.join(algorithms.names)}")
    return found


def published(document: Mapping[str, object], algorithms: Algorithms, *, secrets: bool = False) -> KeySet:
    """Return the keys of a key set that are for *algorithms*; others are left out (RFC 7517, section 5).

    Args:
        document: the set.
        algorithms: what the keys are for.
        secrets: whether it may hold secrets; what was fetched holds none, and no private key that is still one.

    Raises:
        ValueError: for what is no key set.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("a key set has a list of keys (RFC 7517, 5.1)")
    made: list[VerifyingKey] = []
    for entry in cast("list[object]", entries):
        if not isinstance(entry, Mapping) or (not secrets and ("d" in entry or algorithms.family.symmetric)):
            continue
        try:
            made.append(_jwk(cast("Mapping[str, object]", entry), algorithms))
        except ValueError:
            continue
    return KeySet(made)


def _key(key: object, algorithms: Algorithms) -> VerifyingKey:
    if isinstance(key, Mapping):
        return _jwk(cast("Mapping[str, object]", key), algorithms)
    if not isinstance(key, (str, bytes)):
        raise ValueError(f"a {type(key).__name__}: write a str, bytes or a JWK; is the variable set that it is from?")
    raw = key.encode() if isinstance(key, str) else key
    if raw.startswith((b"https://", b"http://")):
        raise ValueError("it is an address; write keys=JwksUrl(...)")
    return _verifying(None, _material(raw, algorithms), algorithms)


def _jwk(jwk: Mapping[str, object], algorithms: Algorithms) -> VerifyingKey:
    """Return a JWK as a key, where all that it says of itself allows it (RFC 7517, section 4)."""
    kty, kid, alg = algorithms.family.kty, jwk.get("kid"), jwk.get("alg")
    if jwk.get("kty") != kty:
        raise ValueError(f"its kty is not {kty}")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("its use is not sig")
    if jwk.get("key_ops", ["verify"]) not in _FOR_SIGNATURES:
        raise ValueError("its key_ops are not for signatures")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_NAME):
        raise ValueError("its kid is no name")
    algorithms = Algorithms(tuple(name for name in algorithms.names if alg in (None, name)), algorithms.family)
    if not algorithms.names:
        raise ValueError("its alg is another one")
    if algorithms.family.symmetric:
        return _verifying(kid, _material(_bytes_of(jwk.get("k")), algorithms), algorithms)
    return _verifying(kid, _material({name: jwk.get(name) for name in _MEMBERS[kty]}, algorithms), algorithms)


def _bytes_of(k: object) -> bytes:
    return from_base64url(k.encode()) if isinstance(k, str) else b""


def _material(source: bytes | dict[str, object], algorithms: Algorithms) -> _Material:
    """Return what a key is made of, where it is strong enough."""
    if algorithms.family.symmetric and isinstance(source, bytes):
        return _secret(source, algorithms)
    kind = _KINDS[algorithms.family.kty]
    try:
        material = kind.import_key(cast("Any", source))
    except Exception as problem:  # whatever a parser makes of what is no key: KeyError, TypeError, binascii.Error ...
        raise ValueError(f"it is no {kind.key_type} key") from problem
    if isinstance(material, RSAKey) and material.public_key.key_size not in _RSA_BITS:
        raise ValueError(f"an RSA key has {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits (RFC 7518, 3.3)")
    return material


def _secret(raw: bytes, algorithms: Algorithms) -> OctKey:
    if _is_of_another_kind(raw):
        raise ValueError("it is a public key, or a text around one, and everybody may have that; write a random secret")
    size = max(int(name[2:]) // 8 for name in algorithms.names)
    if len(key_bytes(raw)) < size:
        raise ValueError(f"a secret for {', '.join(algorithms.names)} has {size} bytes or more (RFC 7518, 3.2)")
    return OctKey.import_key(raw)


def _is_of_another_kind(raw: bytes) -> bool:
    text = raw.strip()
    if text.startswith((b"{", b"ssh-", b"ecdsa-")) or b"-----BEGIN" in raw:
        return True
    try:
        unwrapped = from_base64url(text)
    except ValueError:
        unwrapped = raw
    return any(_parses(kind, one) for kind in (RSAKey, ECKey, OKPKey) for one in (raw, unwrapped))


def _parses(kind: type[RSAKey | ECKey | OKPKey], raw: bytes) -> bool:
    try:
        kind.import_key(raw)
    except Exception:
        return False
    return True


def _verifying(kid: str | None, material: _Material, algorithms: Algorithms) -> VerifyingKey:
    checks = {name: _check(name, material) for name in algorithms.names if _suits(name, material)}
    if not checks:
        raise ValueError(f"it is on another curve than {', '.join(algorithms.names)} want")
    return VerifyingKey(kid, checks)


def _suits(algorithm: str, material: _Material) -> bool:
    return isinstance(material, (OctKey, RSAKey)) or material.curve_name in _CURVES[algorithm]


def _check(algorithm: str, material: _Material) -> _Check:
    # Not through its registry's methods: they warn of what RFC 9864 renamed.
    return partial(JWSRegistry.algorithms[algorithm].verify, key=material)
