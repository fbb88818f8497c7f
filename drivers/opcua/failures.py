"""What asyncua raises, in words that say what happened and what to do."""

from __future__ import annotations

from asyncua.ua import uaerrors
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.opcua.security import Party
from drivers.opcua.values import status_text
from drivers.system_trouble import of_system
from drivers.tags import OpcUaSecurity
from records.errors import LotkeeperError, Refused, Unreachable
from records.trouble import Trouble


class LoginRefused(Refused):
    """The server does not let this user in; asking again and again would lock the account."""

    def again(self) -> LoginRefused:
        """The same error, to be raised anew."""
        same = LoginRefused(self.message, hint=self.hint)
        same.trouble = self.trouble
        return same


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


def reason(error: BaseException) -> Trouble:
    """Why a request failed."""
    if isinstance(error, TimeoutError):
        return Trouble.of("no-answer-in-time")
    if isinstance(error, _ENDED):
        return Trouble.of("session-ended", status=status_text(error.code))
    if isinstance(error, UaStatusCodeError):
        return Trouble.of("server-answers", status=status_text(error.code))
    return of_system(error)


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
        if error.trouble is None:
            return Refused(f"{where}: {error.message}", hint=error.hint)
        return Refused.of(Trouble.of("away", where=where, why=error.trouble).hinted(error.trouble.hint))
    if isinstance(error, _LOGIN):
        refused = Trouble.of("login-refused", where=where, user=_user(security), why=reason(error))
        return LoginRefused.of(refused.hinted(Trouble.of("check-login")))
    if isinstance(error, _FULL):
        full = Trouble.of("sessions-full", where=where, why=reason(error))
        return Refused.of(full.hinted(Trouble.of("fewer-sessions")))
    if isinstance(error, _POLICY) or (isinstance(error, UaError) and "No matching endpoints" in str(error)):
        channel = "None" if security.policy == "None" else f"{security.policy} {security.mode}"
        hint = Trouble.of("offers", offers=offers) if offers else None
        return Refused.of(Trouble.of("no-endpoint", where=where, channel=channel).hinted(hint))
    if party.opening and party.own is not None:
        # many answer with a fault that asyncua does not read there, or hang up
        why = reason(error) if isinstance(error, UaStatusCodeError) else Trouble.of("ended-at-its-sight")
        trust = Trouble.of("trust-ours", fingerprint=party.own.fingerprint)
        return Refused.of(Trouble.of("own-certificate-refused", where=where, why=why).hinted(trust))
    if isinstance(error, _CHANNEL):
        return Refused.of(Trouble.of("session-refused", where=where, why=reason(error)))
    if isinstance(error, OSError | UaError):
        away = Trouble.of("away", where=where, why=reason(error))
        return Unreachable.of(away.hinted(Trouble.of("check-server")))
    return Unreachable.of(Trouble.of("not-opcua", where=where, said=f"{type(error).__name__}: {error}"))


def _user(security: OpcUaSecurity) -> Trouble:
    """Who was not let in."""
    if security.auth is None:
        return Trouble.of("anonymous")
    name = security.auth.username
    return Trouble.of("named-user", name=name) if name else Trouble.of("certificate-of-user")
