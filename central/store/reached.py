"""SQL of how far central knows what an agent recorded: up to its last record here, or its newest proven head."""

from __future__ import annotations

from sqlalchemy import Connection, select

from central.store import agents, intake
from central.store.schema import envelope, fact_index, head, watermark

RECORDS = "records"


def through_us(connection: Connection, now_us: int) -> dict[str, int]:
    """Agent -> the time (its own clock, UTC microseconds) up to which all that it recorded is here.

    Every enrolled agent that is not revoked; 0 where nothing has come yet. A clock that is ahead, the agent's or
    central's own, tells of no time that has not come.
    """
    found = {each.id: 0 for each in agents.all_agents(connection) if each.revoked_us is None}
    newest: dict[str, tuple[int, str, int]] = {}
    rows = connection.execute(
        select(watermark.c.agent, watermark.c.opened, watermark.c.epoch, watermark.c.committed_through).where(
            watermark.c.stream == RECORDS
        )
    )
    for agent, opened, epoch, through in rows:
        if agent in found:
            newest[agent] = max(newest.get(agent, (0, "", 0)), (opened, epoch, through))
    heads = {
        (row.agent, row.epoch): (row.last, _told_us(row.at_us, row.received_us, now_us))
        for row in connection.execute(select(head).where(head.c.stream == RECORDS))
    }
    for agent, (_, epoch, through) in newest.items():
        last, stated_us = heads.get((agent, epoch), (through + 1, 0))
        found[agent] = max(_at_us(connection, agent, epoch, through, now_us), stated_us if last <= through else 0)
    return found


def _told_us(at_us: int, received_us: int, now_us: int) -> int:
    return 0 if received_us > now_us else intake.stated_us(at_us, received_us)


def _at_us(connection: Connection, agent: str, epoch: str, seq: int, now_us: int) -> int:
    query = (
        select(fact_index.c.at_us, envelope.c.received_us)
        .join(envelope, envelope.c.id == fact_index.c.envelope_id)
        .where(
            envelope.c.agent == agent,
            envelope.c.epoch == epoch,
            envelope.c.stream == RECORDS,
            envelope.c.seq == seq,
        )
    )
    row = connection.execute(query).one_or_none()
    return 0 if row is None else _told_us(row.at_us or 0, row.received_us, now_us)
