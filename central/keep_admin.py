"""What the command line asks about the evidence as a whole: backups, imports, gap certificates, retention."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from central.access import Actor, Capability, User
from central.backup import Backups
from central.certificates import Certificates
from central.importing import Importer
from central.requests import BackupMake, CertificateAsk, ExportImport, RetentionShow
from central.retention import Retention
from records.errors import Refused
from records.progress import Tell


class Keeping:
    """Does what these requests ask."""

    def __init__(
        self, backups: Backups, importer: Importer, certificates: Certificates, retention: Retention
    ) -> None:
        self._backups = backups
        self._importer = importer
        self._certificates = certificates
        self._retention = retention

    def do(
        self, request: BackupMake | CertificateAsk | ExportImport | RetentionShow, by: Actor, tell: Tell
    ) -> JsonValue:
        """The answer as JSON. Raises what the parts raise."""
        match request:
            case BackupMake():
                out = None if request.out is None else Path(request.out)
                return self._backups.make(out, by=by, tell=tell).to_json()
            case ExportImport():
                file = Path(request.file)
                return self._importer.take(file, by=by, reason=request.reason, tell=tell).to_json()
            case RetentionShow():
                return self._retention.look().to_json()
            case CertificateAsk(agent=str(agent)):
                return self._certificates.of_agent(agent)
            case _:
                return self._certificates.of_lot(request.lot or "", request.product)

    def give_up(self, user: User, origin: str, reason: str) -> JsonValue:
        """A person gives up what is past its retention, who may decide about device history records.

        Raises:
            Refused: no right. Else as ``Retention.apply``.
        """
        if not user.may(Capability.RELEASE):
            raise Refused(f"{user.id} may not give up records", hint="who may release lots may")
        return self._retention.apply(by=Actor(user.id, origin), reason=reason).to_json()
