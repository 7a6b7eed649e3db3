"""What attackers send: each of it is a 401 that says nothing but that the token is not valid."""

from __future__ import annotations

import json

import pytest
from joserfc.jwk import RSAKey

from gatewright._core.tokens import base64url
from gatewright.auth.authenticator import Rejected
from gatewright.auth.jwt import BearerJWT
from tests.auth.jwt.kit import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER_EC,
    OTHER_SECRET,
    RSA,
    SECRET,
    by,
    by_secret,
    claims,
    gate_at,
    header,
    hs,
    make,
    mint,
    secretive,
    sent,
    verdict,
)

pytestmark = pytest.mark.anyio

ES, RS, HS = make(), make(keys=RSA.as_pem(private=False), algorithms=("RS256", "PS256")), secretive()
FROM_SET = make(keys={"keys": [EC.as_dict(private=False), OTHER_EC.as_dict(private=False), RSA.as_dict(private=False)]})

PEM, DER = RSA.as_pem(private=False), RSA.as_der(private=False)
JWK = json.dumps(RSA.as_dict(private=False)).encode()
JWK_COMPACT = json.dumps(RSA.as_dict(private=False), separators=(",", ":"), sort_keys=True).encode()
EVIL = RSAKey.generate_key(2048, {"kid": "rsa-1"})

GOOD = mint()
HEAD, PAYLOAD, SIGNATURE = GOOD.split(b".")
TWICE = b'{"alg":"ES256","typ":"JWT","kid":"ec-1",'


def unsigned(alg: object) -> bytes:
    head = {"alg": alg, "typ": "JWT"} if alg is not ... else {"typ": "JWT"}
    return mint(head=head, sign=lambda _: b"")


# 64 bytes leave four bits of the last character unused: the next one in the alphabet spells the same signature.
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
RESPELLED = GOOD[:-1] + ALPHABET[(at := ALPHABET.index(GOOD[-1:]) + 1) : at + 1]


# By the reason in the log: each is to be refused for what is wrong with it, and not for an oversight of the test.
ATTACKS: dict[str, dict[str, tuple[BearerJWT, bytes]]] = {
    "its alg is not one of ours": {
        **{f"alg {alg!r}, no signature": (ES, unsigned(alg)) for alg in ("none", "None", "nOnE", "NONE", "", " none")},
        "alg none, with a signature": (ES, mint(head=header(alg="none"))),
        "alg none, for a secret": (HS, unsigned("none")),
        "alg in lower case": (ES, mint(head=header(alg="es256"))),
        "alg HS512 where HS256 is taken": (HS, mint(head=header(alg="HS512"), sign=by_secret(SECRET, "HS512"))),
        "alg ES384 with an ES256 signature": (ES, mint(head=header(alg="ES384"))),
        "alg RS512 where RS256 is taken": (RS, mint(head=header(alg="RS512"), sign=by(RSA, "RS512"))),
        "alg EdDSA for an EC key": (ES, mint(head=header(alg="EdDSA"), sign=by(ED, "EdDSA"))),
        "HS256 with the RSA public key, PEM": (RS, mint(head=header(alg="HS256"), sign=by_secret(PEM))),
        "HS256 with the RSA public key, PEM without the last line's end": (
            RS,
            mint(head=header(alg="HS256"), sign=by_secret(PEM.strip())),
        ),
        "HS256 with the RSA public key, DER": (RS, mint(head=header(alg="HS256"), sign=by_secret(DER))),
        "HS256 with the RSA public key, JWK": (RS, mint(head=header(alg="HS256"), sign=by_secret(JWK))),
        "HS256 with the RSA public key, canonical JWK": (
            RS,
            mint(head=header(alg="HS256"), sign=by_secret(JWK_COMPACT)),
        ),
        "HS256 with the EC public key, PEM": (
            ES,
            mint(head=header(alg="HS256"), sign=by_secret(EC.as_pem(private=False))),
        ),
    },
    "its header has no alg": {
        "alg a number": (ES, unsigned(0)),
        "alg missing": (ES, mint(head=header(alg=...))),
        "alg null": (ES, mint(head=header(alg=None))),
        "alg a list": (ES, mint(head=header(alg=["ES256"]))),
    },
    "signed with none of the keys, and by none that has its kid": {
        "alg PS256 with an RS256 signature": (RS, mint(head=header(alg="PS256"), sign=by(RSA, "RS256"))),
        "another key under our kid": (ES, mint(sign=by(OTHER_EC))),
        "a kid that is unknown": (FROM_SET, mint(head=header(kid="ec-3"))),
        "a kid of a key of another kind": (FROM_SET, mint(head=header(kid="rsa-1"))),
        "no kid where two keys fit": (FROM_SET, mint(head=header(kid=...))),
        "a kid that is a path": (FROM_SET, mint(head=header(kid="../../../dev/null"), sign=by_secret(b""))),
        "another secret": (HS, mint(head=header(alg="HS256"), sign=by_secret(OTHER_SECRET))),
        "a secret of one byte": (HS, mint(head=header(alg="HS256"), sign=by_secret(b"a"))),
        "an empty secret": (HS, mint(head=header(alg="HS256"), sign=by_secret(b""))),
        "no signature": (ES, HEAD + b"." + PAYLOAD + b"."),
        "a signature in DER": (ES, HEAD + b"." + PAYLOAD + b"." + base64url(b"\x30\x44\x02\x20" + b"\x01" * 66)),
        "a signature of zeros": (ES, HEAD + b"." + PAYLOAD + b"." + base64url(bytes(64))),
        "CVE-2022-21449: a signature of the curve's order": (
            ES,
            HEAD
            + b"."
            + PAYLOAD
            + b"."
            + base64url(bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") * 2),
        ),
        "a signature that is too short": (ES, HEAD + b"." + PAYLOAD + b"." + base64url(bytes(60))),
        "another payload": (ES, b".".join([HEAD, base64url(json.dumps(claims(sub="eve")).encode()), SIGNATURE])),
    },
    "jwk in its header": {
        "CVE-2026-27962: the key in the header": (
            RS,
            mint(head=header(alg="RS256", jwk=EVIL.as_dict(private=False)), sign=by(EVIL, "RS256")),
        ),
        "our key in the header": (ES, mint(head=header(jwk=EC.as_dict(private=False)))),
    },
    "jku in its header": {
        "jku": (ES, mint(head=header(jku="https://evil.example/jwks.json"))),
    },
    "x5u in its header": {
        "x5u": (ES, mint(head=header(x5u="https://evil.example/cert.pem"))),
    },
    "x5c in its header": {
        "x5c": (ES, mint(head=header(x5c=["MIIB"]))),
    },
    "not signed with the key that it names": {
        "another key of the set": (FROM_SET, mint(sign=by(OTHER_EC))),
    },
    "the kid in its header is no name": {
        "a kid that is a number": (ES, mint(head=header(kid=1))),
        "a kid that is null": (ES, mint(head=header(kid=None))),
        "a kid that is an object": (ES, mint(head=header(kid={"a": 1}))),
        "a kid of 256 characters": (ES, mint(head=header(kid="k" * 256))),
        "a kid of 100 kB": (make(max_bytes=1 << 20), mint(head=header(kid="k" * 100_000))),
    },
    "crit in its header": {
        "CVE-2026-32597: crit": (ES, mint(head=header(crit=["exp"], exp=NOW + 600))),
        "crit: []": (ES, mint(head=header(crit=[]))),
        "crit: null": (ES, mint(head=header(crit=None))),
    },
    "b64 in its header": {
        "b64: false": (ES, mint(head=header(b64=False))),
        "b64: true": (ES, mint(head=header(b64=True))),
    },
    "its typ is not one of ours": {
        "typ logout+jwt": (ES, mint(head=header(typ="logout+jwt"))),
        "typ dpop+jwt": (ES, mint(head=header(typ="dpop+jwt"))),
        "typ at+jwt where JWT is wanted": (make(typ=("JWT",)), mint(head=header(typ="at+jwt"))),
        "typ JWT where at+jwt is wanted": (make(typ=("at+jwt",)), GOOD),
        "typ missing": (ES, mint(head=header(typ=...))),
        "typ empty": (make(typ=("JWT", None)), mint(head=header(typ=""))),
    },
    "the typ in its header is no name": {
        "typ null": (make(typ=("JWT", None)), mint(head=header(typ=None))),
    },
    "not a strict JSON object": {
        "alg twice": (ES, mint(head=TWICE + b'"alg":"none"}')),
        "alg twice, the same": (ES, mint(head=TWICE + b'"alg":"ES256"}')),
        "alg twice, one in escapes": (ES, mint(head=TWICE + rb'"\u0061lg":"none"}')),
        "a member twice, two levels down": (ES, mint(head=TWICE + b'"x":[{"y":1,"y":2}]}')),
        "a header that is empty": (ES, b"." + PAYLOAD + b"." + SIGNATURE),
        "a header with a byte order mark": (ES, mint(head=b"\xef\xbb\xbf" + json.dumps(header()).encode())),
        "a header in UTF-16": (ES, mint(head=json.dumps(header()).encode("utf-16"))),
        "a header that is not UTF-8": (ES, mint(head=TWICE + b'"x":"\xff"}')),
        "a header with half a surrogate pair": (ES, mint(head=TWICE + rb'"x":"\ud800"}')),
        "a header with a comment": (ES, mint(head=TWICE + b'"x":1}//')),
        "a header of 100,000 brackets": (make(max_bytes=1 << 20), mint(head=b"[" * 100_000 + b"]" * 100_000)),
        "a header with a number of 5000 digits": (ES, mint(head=TWICE + b'"x":' + b"1" * 5000 + b"}")),
        "two dots only": (ES, b".."),
        "exp NaN": (ES, mint(claims(exp=float("nan")))),
        "exp Infinity": (ES, mint(claims(exp=float("inf")))),
        "exp 1e999": (ES, mint(json.dumps(claims()).replace(str(NOW + 600), "1e999").encode())),
        "exp of 5000 digits": (ES, mint(b'{"exp":' + b"9" * 5000 + b"}")),
        "sub with half a surrogate pair": (ES, mint(claims(sub="\ud800"))),
        "sub twice": (ES, mint(json.dumps(claims())[:-1].encode() + b',"sub":"root"}')),
        "roles twice, two levels down": (ES, mint(json.dumps(claims())[:-1].encode() + b',"x":{"y":{"z":1,"z":2}}}')),
        "claims that are nothing": (ES, mint(b"")),
        "claims that are a token": (ES, mint(GOOD)),
        "claims of 3000 brackets": (ES, mint(b"[" * 3000)),
        "claims that are not UTF-8": (ES, mint(json.dumps(claims())[:-1].encode() + b',"x":"\xff"}')),
        "claims that are compressed": (ES, mint(b"\x78\x9c" + bytes(20), header(zip="DEF"))),
    },
    "JSON, but not an object": {
        "a header that is a list": (ES, mint(head=b'["ES256"]')),
        "claims that are a list": (ES, mint(b"[]")),
    },
    "not three parts in canonical base64url": {
        "padding after the signature": (ES, GOOD + b"=="),
        "another last character": (ES, RESPELLED),
        "the alphabet of plain base64": (ES, HEAD + b"." + PAYLOAD + b"." + b"+" + SIGNATURE[1:]),
        "a slash": (ES, HEAD + b"." + PAYLOAD + b"." + b"/" + SIGNATURE[1:]),
        "a tilde": (ES, HEAD + b"." + PAYLOAD + b"." + b"~" + SIGNATURE[1:]),
        "a length that base64 cannot have": (ES, HEAD + b"." + PAYLOAD + b"." + SIGNATURE + b"AAA"),
        "no dots": (ES, b"abc"),
        "one dot": (ES, HEAD + b"." + PAYLOAD),
        "four parts": (ES, GOOD + b"." + SIGNATURE),
    },
    "encrypted": {
        "five parts, as an encrypted token has": (ES, b".".join([HEAD, b"", b"AAAA", PAYLOAD, SIGNATURE])),
    },
    "too long to be a token of ours": {
        "8193 bytes": (ES, mint(claims(filler="x" * 6000))),
    },
    "it has no exp": {
        "exp missing": (ES, mint(claims(exp=...))),
    },
    "expired": {
        "exp past": (ES, mint(claims(exp=NOW - 1))),
        "exp now": (ES, mint(claims(exp=NOW))),
        "too old": (make(max_age=60), mint(claims(iat=NOW - 60))),
    },
    "its exp is no date": {
        "exp null": (ES, mint(claims(exp=None))),
        "exp as digits": (ES, mint(claims(exp=str(NOW + 600)))),
        "exp true": (ES, mint(claims(exp=True))),
        "exp a list": (ES, mint(claims(exp=[NOW + 600]))),
        "exp of 400 digits": (ES, mint(claims(exp=10**400))),
    },
    "of the future": {
        "nbf future": (ES, mint(claims(nbf=NOW + 6))),
        "iat future": (ES, mint(claims(iat=NOW + 6))),
        "auth_time future": (ES, mint(claims(auth_time=NOW + 6))),
    },
    "its nbf is no date": {
        "nbf as digits": (ES, mint(claims(nbf=str(NOW)))),
        "nbf null": (ES, mint(claims(nbf=None))),
    },
    "its iat is no date": {
        "iat as digits": (ES, mint(claims(iat=str(NOW)))),
        "iat false": (ES, mint(claims(iat=False))),
    },
    "its auth_time is no date": {
        "auth_time as digits": (ES, mint(claims(auth_time=str(NOW)))),
    },
    "it has no iat, so its age is unknown": {
        "of unknown age": (make(max_age=60), mint(claims(iat=...))),
    },
    "it is from another issuer, or does not say": {
        "iss missing": (ES, mint(claims(iss=...))),
        "iss of somebody else": (ES, mint(claims(iss="https://evil.example"))),
        "iss with a slash more": (ES, mint(claims(iss=ISSUER + "/"))),
        "iss in a list": (ES, mint(claims(iss=[ISSUER]))),
    },
    "it is for another audience": {
        "aud missing": (ES, mint(claims(aud=...))),
        "aud of somebody else": (ES, mint(claims(aud="https://other.example.com"))),
        "aud of several others": (ES, mint(claims(aud=["https://other.example.com", AUDIENCE + "/"]))),
        "aud empty": (ES, mint(claims(aud=[]))),
        "aud null": (ES, mint(claims(aud=None))),
        "aud that contains ours": (ES, mint(claims(aud=AUDIENCE + ".evil.example"))),
    },
    "its aud is no list of names": {
        "aud with a number": (ES, mint(claims(aud=[AUDIENCE, 1]))),
        "aud with a list": (ES, mint(claims(aud=[[AUDIENCE]]))),
        "aud an object": (ES, mint(claims(aud={AUDIENCE: True}))),
    },
    "it has no sub": {
        "sub missing": (ES, mint(claims(sub=...))),
        "sub empty": (ES, mint(claims(sub=""))),
        "sub null": (ES, mint(claims(sub=None))),
    },
    "its sub is no name": {
        "sub a number": (ES, mint(claims(sub=1))),
        "sub of 256 characters": (ES, mint(claims(sub="a" * 256))),
    },
    "it has no tid": {
        "a claim of ours missing": (make(require=("tid",)), GOOD),
        "a claim of ours null": (make(require=("tid",)), mint(claims(tid=None))),
    },
    "its roles is no list of names": {
        "roles a number": (ES, mint(claims(roles=1))),
        "roles of numbers": (ES, mint(claims(roles=[1]))),
    },
    "its scope is no list of names": {
        "scope an object": (ES, mint(claims(scope={"a": 1}))),
    },
    "its scp is no list of names": {
        "scp of numbers": (ES, mint(claims(scp=[1]))),
    },
    "its sid is no name": {
        "sid a number": (ES, mint(claims(sid=1))),
    },
    "its jti is no name": {
        "jti of 256 characters": (ES, mint(claims(jti="j" * 256))),
    },
    "its tenant is no name": {
        "tenant a number": (ES, mint(claims(tenant=1))),
    },
}


@pytest.mark.parametrize(("reason", "attack"), [(reason, attack) for reason in ATTACKS for attack in ATTACKS[reason]])
async def test_every_attack_is_a_401_that_tells_nothing(reason: str, attack: str) -> None:
    """Status, challenge and body are those of any other token that is not valid, to the byte."""
    api, token = ATTACKS[reason][attack]
    assert await verdict(api, token, gate_at()) == Rejected("invalid_token", reason)
    reply, usual = await sent(api, token), await sent(ES, b"a.b.c")
    assert (reply.status, reply.json["code"]) == (401, "invalid_token")
    assert reply.headers["www-authenticate"] == 'Bearer realm="api", error="invalid_token"'
    assert (reply.body, reply.raw_headers) == (usual.body, usual.raw_headers)


@pytest.mark.parametrize(
    "token",
    [b"", b"a b", HEAD + b"." + PAYLOAD + b"=." + SIGNATURE, b"a.b.c, Basic x", b'"a.b.c"', b"a.b.c\t", b"?.?.?"],
)
async def test_what_is_not_one_token_is_a_400(token: bytes) -> None:
    """RFC 6750, section 3.1: a malformed request is told as one; it is the header that is wrong, not a token."""
    reply = await sent(ES, token)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("api", "token"),
    [
        (ES, GOOD),
        (ES, mint(head=header(kid=...))),
        (ES, mint(head=header(kid="whatever"))),
        (ES, mint(head=header(typ="jwt"))),
        (ES, mint(head=header(typ="AT+JWT"))),
        (ES, mint(head=header(typ="application/at+jwt"))),
        (make(typ=("application/at+JWT",)), mint(head=header(typ="at+jwt"))),
        (make(typ=("JWT", None)), mint(head=header(typ=...))),
        (ES, mint(head=header(x5t="abc", cty="json"))),
        (ES, mint(claims(aud=["https://other.example.com", AUDIENCE]))),
        (ES, mint(claims(exp=NOW + 0.5))),
        (ES, mint(claims(iat=NOW + 5, nbf=NOW + 5))),
        (ES, mint(claims(iat=...))),
        (make(max_age=60), mint(claims(iat=NOW - 59))),
        (make(require=()), GOOD),
        (make(require=("tid",)), mint(claims(tid="t"))),
        (ES, mint(claims(sub="a" * 255, aud=AUDIENCE))),
        (ES, mint(claims(name="\N{SNOWMAN} \N{GRINNING FACE}"))),
        (make(max_bytes=1 << 14), mint(claims(filler="x" * 6000))),
        (FROM_SET, GOOD),
        (FROM_SET, mint(head=header(kid="ec-2"), sign=by(OTHER_EC))),
        (RS, mint(head=header(alg="RS256"), sign=by(RSA, "RS256"))),
        (RS, mint(head=header(alg="PS256"), sign=by(RSA, "PS256"))),
        (HS, hs()),
    ],
)
async def test_what_is_not_an_attack_passes(api: BearerJWT, token: bytes) -> None:
    """A check that refuses everything proves nothing."""
    assert (await sent(api, token)).status == 200


async def test_why_it_was_refused_is_in_the_log() -> None:
    """Who runs the API learns the reason, and never the token."""
    gate = gate_at()
    await sent(ES, mint(claims(aud="x")), gate)
    event = gate._logger[-1]
    assert event["auth_rejected"] == "it is for another audience"
    assert PAYLOAD.decode() not in str(event)
