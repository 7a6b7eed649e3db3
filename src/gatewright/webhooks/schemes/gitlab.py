"""GitLab: a signing token, which is Standard Webhooks, or the old token that signs nothing."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from gatewright.webhooks.scheme import Covered, Delivery, Path, WebhookRejected
from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.standard import StandardWebhooks
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["StaticToken", "gitlab", "gitlab_token"]

_HEADER = b"x-gitlab-token"


def gitlab(*, tolerance: float = 300) -> StandardWebhooks:
    """Verify GitLab's webhooks with their signing token, `whsec_...`
    (https://docs.gitlab.com/user/project/integrations/webhooks/).

    These are Standard Webhooks. `X-Gitlab-Event` is not signed; the body's `object_kind` is.

    Args:
        tolerance: seconds that the time of signing may be off, either way.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return StandardWebhooks(name="gitlab", tolerance=tolerance, event_type=("object_kind",))


def gitlab_token() -> StaticToken:
    """Compare GitLab's `X-Gitlab-Token`, the old secret token, which comes with each delivery as it is.

    Nothing is signed: who has seen one delivery can write any other, so `verify_webhook` wants
    `allow_unsigned_body=True`. Give the webhook a signing token instead, and write `gitlab()`.
    """
    return StaticToken()


@dataclass(frozen=True, repr=False)
class StaticToken(SignedScheme):
    """Compare a token, and believe nothing of the delivery."""

    name = "gitlab_token"
    event_type: Path | None = field(default=("object_kind",), init=False)

    def __repr__(self) -> str:
        return "gitlab_token()"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return nothing, because nothing is signed."""
        return frozenset()

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the one comparison."""
        return (_Same(),)

    def read(self, delivery: Delivery) -> Signed:
        """Return the token of *delivery*.

        The message is the body, so that a delivery that comes once more is known again; no signature is of it.
        """
        token = delivery.header(_HEADER)
        if not token:
            raise WebhookRejected("signature_missing")
        return Signed([Candidate(_Same(), delivery.body, [token])])

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as GitLab would deliver it, with its token."""
        return Delivery(body, [(_HEADER, _Same().sign(secret, body))], method, url)


class _Same:
    """Take a token for its own signature, whatever the message."""

    def check(self, secret: Secret) -> None:
        """Refuse a secret that is empty."""
        secret_bytes(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is the token."""
        # Hashed, they are of one length, and the time says nothing of the token's.
        expected = sha256(secret_bytes(secret)).digest()
        return sum([hmac.compare_digest(expected, sha256(token).digest()) for token in signatures]) > 0

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the token."""
        return secret_bytes(secret)
