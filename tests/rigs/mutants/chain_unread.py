"""Loaded into an agent or central it breaks a rule: ``verify`` does not look at the records."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

if "edge_agent.app" in sys.modules:
    of_agent: Any = import_module("edge_agent.outbox.verify")  # the package has a function of that name
    of_agent.fault = lambda row, link: None
else:
    of_central: Any = import_module("central.verify")
    of_central._verify_all = lambda *_: None
