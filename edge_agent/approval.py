"""Whether this agent may make production runs by a configuration: only central's signed word counts.

An agent enrolled as production works by approved configurations. That it is one says a document of kind
``agent-mode``, which came with the identity folder and comes again from the broker; which configurations are
approved says one of kind ``configuration``. Both are kept and ordered by version as all documents, so neither a
changed identity folder nor an old copy of a document takes anything back.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.documents import Documents
from records.errors import ConfigurationError, Damaged, Invalid
from records.keys import Identity
from records.wire import AGENT_MODE, CONFIGURATION, down_topic

Approval = Literal["not-required", "approved", "missing"]
"""What is known of a configuration."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Mode(_Content):
    mode: str


class _Approved(_Content):
    approved: frozenset[str] = frozenset()


class Approvals:
    """Asks the documents of one agent. Safe from any thread."""

    def __init__(self, documents: Documents, agent: str) -> None:
        self._documents, self._agent = documents, agent

    def enrolled(self, identity: Identity) -> None:
        """Take what the identity folder says, at the first start.

        Raises:
            ConfigurationError: it is not central's word.
        """
        payload = identity.mode
        if payload is None or self._documents.get(AGENT_MODE, self._agent) is not None:
            return  # what was believed once stays so until central says otherwise
        try:
            self._documents.take(down_topic(self._agent, AGENT_MODE, self._agent), self._agent, payload)
        except (Invalid, Damaged) as error:
            raise ConfigurationError(
                f"{identity.folder / 'mode.json'} is not central's: {error.message}", hint="enrol this agent again"
            ) from error

    @property
    def production(self) -> bool:
        """Whether central has bound this agent to approved configurations. What can't be understood binds."""
        document = self._documents.get(AGENT_MODE, self._agent)
        if document is None:
            return False
        try:
            return _Mode.model_validate(document.content).mode != "open"
        except ValidationError:
            return True

    def of(self, hash_: str) -> Approval:
        """What is known of the configuration with this hash now."""
        if not self.production:
            return "not-required"
        document = self._documents.get(CONFIGURATION, self._agent)
        try:
            known = _Approved() if document is None else _Approved.model_validate(document.content)
        except ValidationError:
            known = _Approved()
        return "approved" if hash_ in known.approved else "missing"
