"""What the command line asks about the evidence as a whole: backups, imports, gap certificates."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from central.access import Actor
from central.backup import Backups
from central.certificates import Certificates
from central.importing import Importer
from central.requests import BackupMake, CertificateAsk, ExportImport


class Keeping:
    """Does what these requests ask."""

    def __init__(self, backups: Backups, importer: Importer, certificates: Certificates) -> None:
        self._backups = backups
        self._importer = importer
        self._certificates = certificates

    def do(self, request: BackupMake | CertificateAsk | ExportImport, by: Actor) -> JsonValue:
        """The answer as JSON. Raises what the parts raise."""
        match request:
            case BackupMake():
                out = None if request.out is None else Path(request.out)
                return self._backups.make(out, by=by).to_json()
            case ExportImport():
                return self._importer.take(Path(request.file), by=by, reason=request.reason).to_json()
            case CertificateAsk(agent=str(agent)):
                return self._certificates.of_agent(agent)
            case _:
                return self._certificates.of_lot(request.lot or "", request.product)
