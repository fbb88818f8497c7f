"""Loaded into an agent it breaks a rule: in place of a value that is none stands a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivers.modbus import columns
from drivers.status import BAD_NOT_FINITE, GOOD_STATUS

honest = columns._Class.values


def invented(self: Any, image: Any) -> Any:
    values, status = honest(self, image)
    none = status == BAD_NOT_FINITE
    return np.where(none, 0, values).astype(values.dtype), np.where(none, GOOD_STATUS, status).astype(status.dtype)


columns._Class.values = invented  # type: ignore[method-assign]
