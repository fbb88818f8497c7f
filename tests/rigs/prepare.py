"""Build and fetch the servers that are not Python, so that tests find them ready; the second time, do nothing.

Never fails: what cannot be had is said here, and its tests are skipped with that reason.
"""

from __future__ import annotations

import sys

from tests.rigs import libmodbus_server, opcua_server


def main() -> None:
    for module, what in ((libmodbus_server, "a Modbus server"), (opcua_server, "an OPC UA server")):
        reason = module.why_not()
        if reason is None:
            module.prepare()
        else:
            print(f"setup: tests go without {what}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
