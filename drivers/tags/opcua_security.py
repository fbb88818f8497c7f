"""How an OPC UA channel is protected: what the tag map says, and what of it is refused at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema, model_validator

from records.yaml import Secret, Settings, did_you_mean, fault

CERTIFICATE, KEY = "certificate.der", "private_key.pem"
"""Names of the files of our application certificate in its folder."""

POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
INSECURE_POLICIES = ("None", "Basic128Rsa15", "Basic256")
"""No protection, and two that OPC 10000-7 withdrew with SHA-1."""

SECURE = (
    'write security: {policy: Basic256Sha256, server_fingerprint: "sha256:..."} (the first connection tells the'
    " fingerprint), or {policy: None, allow_insecure: true} where the network is trusted"
)
_INSECURE = "add allow_insecure: true where the network is trusted, or name " + ", ".join(POLICIES)

Fault = Literal["expired", "host_name", "application_uri", "key_usage", "weak"]
"""What may be wrong with a server's certificate and still be accepted when it is named."""


def _policy(value: object) -> object:
    known = (*POLICIES, *INSECURE_POLICIES)
    if value not in known:
        raise fault(f"{value!r} is no security policy here", hint=did_you_mean(str(value), known) or _INSECURE)
    return value


def _fingerprint(value: object) -> object:
    text = value.lower().replace(":", "").replace(" ", "") if isinstance(value, str) else ""
    digits = text.removeprefix("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        what = "a SHA-1 thumbprint does not name a certificate safely" if len(digits) == 40 else "64 hex digits"
        raise fault(f"{value!r} is no SHA-256 fingerprint", hint=f'write "sha256:..."; {what}')
    return f"sha256:{digits}"


def _beside(path: Path, info: ValidationInfo) -> Path:
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return path if folder is None else folder / path


def _anonymous(value: object) -> object:
    return None if value == "anonymous" else value


File = Annotated[Path, AfterValidator(_beside)]
"""A path; a relative one starts at the folder of the YAML file that names it."""


_Policy = Annotated[
    str,
    BeforeValidator(_policy),
    WithJsonSchema({"type": "string", "enum": [*POLICIES, *INSECURE_POLICIES]}),
]


class OpcUaUser(Settings):
    """Who logs in: a user name with its password, or a certificate with its private key."""

    username: str | None = None
    """The user's name."""
    password: Secret | None = None
    """``env:NAME`` or ``file:PATH``."""
    send_in_clear: bool = False
    """Says that the password may cross the network unencrypted, when the server takes it in no other way."""
    certificate: File | None = None
    """The user's certificate (DER or PEM)."""
    private_key: File | None = None
    """Its private key (DER or PEM)."""

    @model_validator(mode="after")
    def _one_kind(self) -> OpcUaUser:
        named, certified = self.username is not None, self.certificate is not None
        if named == certified:
            raise fault(
                "either username with password, or certificate with private_key",
                hint="or auth: anonymous",
            )
        if named and self.password is None:
            raise fault("`password` is missing", hint='password: "env:NAME" or "file:PATH"')
        if certified and self.private_key is None:
            raise fault("`private_key` is missing", hint="the key file of the user's certificate")
        if certified and self.send_in_clear:
            raise fault("only a password can be sent in clear", at="send_in_clear")
        return self


class OpcUaSecurity(Settings):
    """How the channel is protected, whom we trust at the other end, and who we are."""

    policy: _Policy
    """The security policy, as the server's endpoint names it; never another one."""
    mode: Literal["None", "Sign", "SignAndEncrypt"] = "SignAndEncrypt"
    """Sign, or SignAndEncrypt; None with policy None."""
    allow_insecure: bool = False
    """Says that policy None, or a withdrawn one, is meant."""
    server_fingerprint: Annotated[str, BeforeValidator(_fingerprint)] | None = None
    """``sha256:`` and the SHA-256 of the server's certificate: exactly this one is trusted."""
    trust_list: File | None = None
    """A folder with certificates (DER or PEM) of servers and authorities that are trusted, and their CRLs."""
    accept: tuple[Fault, ...] = ()
    """What may be wrong with the server's certificate and is accepted, each accepted fault is told."""
    certificate: File | None = None
    """Our application certificate; beside the agent's identity when left out."""
    private_key: File | None = None
    """Its private key; beside the agent's identity when left out."""
    auth: Annotated[
        OpcUaUser | None, BeforeValidator(_anonymous, json_schema_input_type=OpcUaUser | Literal["anonymous"])
    ] = None
    """Who logs in; ``anonymous`` when left out."""

    @model_validator(mode="before")
    @classmethod
    def _mode_of_none(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("policy") == "None":
            return {"mode": "None", **data}
        return data

    @model_validator(mode="after")
    def _deliberate(self) -> OpcUaSecurity:
        if self.policy in INSECURE_POLICIES and not self.allow_insecure:
            what = "a channel without security" if self.policy == "None" else f"policy {self.policy}, withdrawn,"
            raise fault(f"{what} must be allowed", at="policy", hint=_INSECURE)
        if (self.policy == "None") != (self.mode == "None"):
            raise fault(
                f"mode {self.mode} does not go with policy {self.policy}", at="mode", hint="leave mode out"
            )
        if self.server_fingerprint is not None and self.trust_list is not None:
            raise fault("give either server_fingerprint or trust_list", at="trust_list")
        if (self.certificate is None) != (self.private_key is None):
            raise fault("certificate and private_key go together", at=_given(self, "certificate", "private_key"))
        return self

    @model_validator(mode="after")
    def _password_is_safe(self) -> OpcUaSecurity:
        """Over policy None a password is encrypted for the server's certificate, which must then be known."""
        user, trusting = self.auth, self.trusting
        if self.policy == "None" and user is not None and user.password is not None:
            if not trusting and not user.send_in_clear:
                raise fault(
                    "over policy None the password would go to whoever answers",
                    at="auth",
                    hint="add server_fingerprint or trust_list, so that it is encrypted for that server only;"
                    " or send_in_clear: true",
                )
        elif self.policy == "None" and trusting:
            at = _given(self, "server_fingerprint", "trust_list")
            raise fault("with policy None no server proves its certificate", at=at, hint="take it out")
        return self

    @property
    def secure(self) -> bool:
        """Whether the channel is protected at all."""
        return self.policy != "None"

    @property
    def trusting(self) -> bool:
        """Whether the tag map says whom it trusts."""
        return self.server_fingerprint is not None or self.trust_list is not None


def _given(settings: OpcUaSecurity, *keys: str) -> str:
    return next(key for key in keys if getattr(settings, key) is not None)
