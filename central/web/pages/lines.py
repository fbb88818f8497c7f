"""Lines and agents: whether records arrive, up to where, and what could not be read."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Response

from central.web.desk import AgentLine
from central.web.i18n import N_
from central.web.visit import Enter
from records.trouble import trouble_text

router = APIRouter(include_in_schema=False)


def advice(agent: AgentLine) -> list[tuple[str, bool]]:
    """What to do about an agent, and whether it is urgent, the worst first; empty when all is well."""
    found: list[tuple[str, bool]] = []
    if agent.ahead:
        text = N_(
            "It was told that central has records which central has no more, so it does not send them again. "
            "Was an older copy of the database put back? lotkeeper-central doctor says what to do."
        )
        found.append((text, True))
    if agent.conflicts:
        text = N_(
            "Two contents for one record: a disk was rolled back or a record was changed. "
            "Verify the agent's buffer."
        )
        found.append((text, True))
    if agent.quarantined:
        found.append((N_("Messages in quarantine. Nothing was dropped; look at the reasons."), True))
    of_state = {
        "revoked": (
            N_("Revoked: nothing more is taken from it. Enrol it again where the line still runs."),
            False,
        ),
        "offline": (N_("Not connected. It keeps its records; check the line PC, network and broker."), True),
        "waiting": (N_("Has records that central does not have yet. They are on their way."), False),
        "silent": (N_("Enrolled, but nothing has been received from it yet. Start it on the line PC."), False),
    }
    return [*found, of_state[agent.state]] if agent.state in of_state else found


@router.get("/lines")
def lines(visit: Enter) -> Response:
    return visit.page(
        "lines.html",
        agents=visit.desk.agents(),
        erp=visit.desk.erp(),
        quarantine=[
            replace(line, detail=trouble_text(line.trouble, visit.words.language) or line.detail)
            for line in visit.desk.quarantine()
        ],
        advice=advice,
        trended=visit.desk.telemetry_agents(),
    )
