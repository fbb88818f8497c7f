"""Settings of the ERP: the ``erp:`` and ``items:`` parts of ``central.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from records.yaml import Duration, Secret, Settings


class ItemSettings(Settings):
    """What the ERP does not tell of an item: its GTIN (14 digits) and its drawing revision."""

    gtin: Annotated[str, Field(pattern=r"^[0-9]{14}$")] | None = None
    revision: str | None = None


class _ErpSettings(Settings):
    url: Annotated[str, Field(pattern=r"^https?://[^/]")]
    poll_interval: Duration = 30.0
    timeout: Duration = 60.0


class RestErpSettings(_ErpSettings):
    """An ERP, or a gateway before it, that speaks Lotkeeper's own REST contract."""

    kind: Literal["rest"]
    token: Secret


class TrytonSettings(_ErpSettings):
    """Tryton 8.2 over JSON-RPC; ``url`` is the server's, without the database.

    ``quality_control`` names the control whose points are filled from the confirmation's inspections (None: the
    ERP asks for none). With ``confirm_warnings`` what Tryton asks a person to confirm (a quantity outside the
    bill's tolerance) is confirmed, since a person has signed that deviation here; otherwise it is a refusal.
    """

    kind: Literal["tryton"]
    database: str
    user: str
    password: Secret
    quality_control: str | None = None
    confirm_warnings: bool = False


ErpSettings = Annotated[RestErpSettings | TrytonSettings, Field(discriminator="kind")]
