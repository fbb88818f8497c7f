"""What the command line asks about the evidence as a whole: backups, imports, gap certificates, retention."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from central.access import Actor
from central.backup import Backups
from central.certificates import Certificates
from central.importing import Importer
from central.requests import BackupMake, CertificateAsk, ExportImport, RetentionApply
from central.retention import Retention


class Keeping:
    """Does what these requests ask."""

    def __init__(
        self, backups: Backups, importer: Importer, certificates: Certificates, retention: Retention
    ) -> None:
        self._backups = backups
        self._importer = importer
        self._certificates = certificates
        self._retention = retention

    def do(self, request: BackupMake | CertificateAsk | ExportImport | RetentionApply, by: Actor) -> JsonValue:
        """The answer as JSON. Raises what the parts raise."""
        match request:
            case BackupMake():
                out = None if request.out is None else Path(request.out)
                return self._backups.make(out, by=by).to_json()
            case ExportImport():
                return self._importer.take(Path(request.file), by=by, reason=request.reason).to_json()
            case RetentionApply():
                if request.reason is None:
                    return self._retention.look().to_json()
                return self._retention.apply(by=by, reason=request.reason).to_json()
            case CertificateAsk(agent=str(agent)):
                return self._certificates.of_agent(agent)
            case _:
                return self._certificates.of_lot(request.lot or "", request.product)
