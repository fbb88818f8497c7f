"""What asyncua raises, in words that say what happened and what to do."""

from __future__ import annotations

from asyncua.ua import uaerrors
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.opcua.security import Party
from drivers.opcua.values import status_text
from drivers.tags import OpcUaSecurity
from records.errors import LotkeeperError, Refused, Unreachable


class LoginRefused(Refused):
    """The server does not let this user in; asking again and again would lock the account."""


TOO_LARGE = (
    uaerrors.BadTooManyOperations,
    uaerrors.BadRequestTooLarge,
    uaerrors.BadResponseTooLarge,
    uaerrors.BadTcpMessageTooLarge,
    uaerrors.BadEncodingLimitsExceeded,
)
"""A request, or the answer to it, is more than the server takes."""

_LOGIN = (
    uaerrors.BadUserAccessDenied,
    uaerrors.BadIdentityTokenRejected,
    uaerrors.BadIdentityTokenInvalid,
    uaerrors.BadUserSignatureInvalid,
)
_CHANNEL = (
    uaerrors.BadSecurityChecksFailed,
    uaerrors.BadCertificateUntrusted,
    uaerrors.BadCertificateInvalid,
    uaerrors.BadCertificateTimeInvalid,
    uaerrors.BadCertificateUriInvalid,
    uaerrors.BadCertificateUseNotAllowed,
    uaerrors.BadCertificateChainIncomplete,
    uaerrors.BadCertificateRevoked,
)
_POLICY = (
    uaerrors.BadSecurityModeRejected,
    uaerrors.BadSecurityPolicyRejected,
    uaerrors.BadSecurityModeInsufficient,
)
_FULL = (
    uaerrors.BadTooManySessions,
    uaerrors.BadMaxConnectionsReached,
    uaerrors.BadTcpNotEnoughResources,
    uaerrors.BadTcpServerTooBusy,
)
_ENDED = (
    uaerrors.BadSessionIdInvalid,
    uaerrors.BadSessionClosed,
    uaerrors.BadSessionNotActivated,
    uaerrors.BadSecureChannelIdInvalid,
    uaerrors.BadSecureChannelClosed,
    uaerrors.BadSecureChannelTokenUnknown,
    uaerrors.BadTcpSecureChannelUnknown,
)


def reason(error: BaseException) -> str:
    """Why a request failed, in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(error, _ENDED):
        return f"the server has ended the session ({status_text(error.code)})"
    if isinstance(error, UaStatusCodeError):
        return f"the server answers {status_text(error.code)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def of_connect(where: str, error: Exception, security: OpcUaSecurity, party: Party, offers: str) -> LotkeeperError:
    """What a failed connect is to people.

    Args:
        where: the device and its address.
        error: what was raised.
        security: what was asked for.
        party: whom was met so far; with a judged server, our side of the channel was being opened.
        offers: what the server offers, when that is known.
    """
    if isinstance(error, Unreachable):
        return error
    if isinstance(error, LotkeeperError):
        return Refused(f"{where}: {error.message}", hint=error.hint)
    if isinstance(error, _LOGIN):
        user = security.auth
        who = "anonymous" if user is None else user.username or "the user's certificate"
        return LoginRefused(
            f"{where} does not let {who} in: {reason(error)}", hint="check auth, and the user there"
        )
    if isinstance(error, _FULL):
        hint = "end another client, or allow more sessions there"
        return Refused(f"{where} takes no more sessions: {reason(error)}", hint=hint)
    if isinstance(error, _POLICY) or (isinstance(error, UaError) and "No matching endpoints" in str(error)):
        return Refused(
            f"{where} offers no endpoint with {security.policy} {security.mode}".replace(" None None", " None"),
            hint=f"it offers {offers}" if offers else None,
        )
    if party.opening and party.own is not None:
        # many answer with a fault that asyncua does not read there, or hang up
        said = reason(error) if isinstance(error, UaStatusCodeError) else "it ended the connection at its sight"
        hint = f"trust the certificate {party.own.fingerprint} at the server; it often lies among the rejected"
        return Refused(f"{where} does not take our certificate: {said}", hint=hint)
    if isinstance(error, _CHANNEL):
        return Refused(f"{where} refuses the session: {reason(error)}")
    if isinstance(error, OSError | UaError):
        hint = "check cable, address and port, and that the server runs"
        return Unreachable(f"{where}: {reason(error)}", hint=hint)
    return Unreachable(f"{where}: does not answer as an OPC UA server ({type(error).__name__}: {error})")
