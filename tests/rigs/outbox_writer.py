"""A writer for tests that break its disk: ``python -m tests.rigs.outbox_writer FOLDER COUNT [MAX_BYTES]``.

It commits numbered facts one after the other, goes on from the last one that it finds, and writes a line for each
promise: ``kept N``. A refused commit is ``refused N`` and is tried again. Exit code 74 when the disk failed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from records.clock import SystemClock
from records.errors import Refused, StorageFailed
from tests.rigs.outboxes import batch, open_outbox

PAUSE_S = 0.05


def main(folder: Path, count: int) -> int:
    clock = SystemClock()
    try:
        outbox = open_outbox(folder, clock)
        last = outbox.state("last")
        number = int(last) if isinstance(last, int) else 0
        os.write(1, f"open {number}\n".encode())
        while number < count:
            try:
                outbox.commit(batch(number + 1, clock)).result()
            except Refused:
                os.write(1, f"refused {number + 1}\n".encode())
                time.sleep(PAUSE_S)
                continue
            number += 1
            os.write(1, f"kept {number}\n".encode())
        outbox.close()
    except StorageFailed as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
