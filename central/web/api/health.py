"""For machines that watch: ``/healthz`` and ``/metrics``. Open to all, figures only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from central.web.api.problems import Problem
from central.web.desk import Desk
from central.web.sending import refuse_while_held_up
from records.clock import MICROSECONDS, iso_z
from records.logs import lines_dropped

router = APIRouter(include_in_schema=False)


class DeskFigures(Collector):
    """Reads its figures from central each time it is asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        agents = self._desk.agents()
        yield _each("agent_committed_records", "Last record of the agent that is committed", "agent",
                    {a.agent: a.committed for a in agents})  # fmt: skip
        yield _each("agent_head_records", "Last record that the agent has signed for", "agent",
                    {a.agent: a.head for a in agents if a.head is not None})  # fmt: skip
        yield _each("agent_healthy", "1 when the agent has no problem", "agent",
                    {a.agent: int(a.healthy) for a in agents})  # fmt: skip
        yield _each("agent_quarantined_messages", "Messages of the agent in quarantine", "agent",
                    {a.agent: a.quarantined for a in agents})  # fmt: skip
        yield _each("dropped_evidence", "Counted only since the start, for want of room", "kind",
                    self._desk.dropped())  # fmt: skip
        text = "Lines of the log that could not be written"
        yield CounterMetricFamily("lotkeeper_log_lines_dropped", text, value=lines_dropped())
        text = "How long the write that all others wait for has been under way"
        yield GaugeMetricFamily("lotkeeper_write_under_way_seconds", text, value=self._desk.write_under_way_s())
        text = "1 when the last write was refused, by a full disk say"
        refused = self._desk.write_refused() is not None
        yield GaugeMetricFamily("lotkeeper_writes_refused", text, value=int(refused))
        workers = self._desk.workers()
        yield _each("worker_writes_refused", "1 when what the worker is to store is refused", "worker",
                    {w.name: int(w.state == "refused") for w in workers})  # fmt: skip
        yield _each("worker_silent", "1 when the worker is not heard of any more", "worker",
                    {w.name: int(w.state == "silent") for w in workers})  # fmt: skip
        made_us = self._desk.last_backup_us()
        if made_us is not None:
            age_s = (self._desk.now_us() - made_us) / MICROSECONDS
            yield GaugeMetricFamily("lotkeeper_backup_age_seconds", "Since the last backup was made", value=age_s)
        open_: Counter[str] = Counter(f.kind for f in self._desk.findings() if f.open)
        kinds = ("exception", "discrepancy")
        yield _each("open_findings", "Findings that nobody has decided", "kind", {k: open_[k] for k in kinds})
        states = Counter(d.state.value for d in self._desk.queue())
        yield _each("device_history_records", "Records by state", "state", dict(states))


def _each(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"lotkeeper_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


@router.get("/healthz")
def healthz(request: Request) -> dict[str, str | dict[str, str | None] | None]:
    """Answers only when the database answers, and takes writes, also those of workers. ``last_backup``: null when
    none was ever made; ``silent_workers``: since when each was not heard of.
    """
    desk: Desk = request.app.state.desk
    own = desk.write_refused()
    refused = [] if own is None else [str(own)]
    for one in desk.workers_refused():
        refused.append(f"what worker {one.name} is to store is refused since {iso_z(one.since_us)}: {one.why}")
    if refused:
        raise Problem(503, "; ".join(refused))
    desk.agents()
    refuse_while_held_up(desk)
    return {
        "status": "ok",
        "version": desk.version,
        "last_backup": iso_z(desk.last_backup_us()),
        "silent_workers": {one.name: iso_z(one.since_us) for one in desk.workers() if one.state == "silent"},
    }


@router.get("/metrics")
def metrics(request: Request) -> Response:
    registry = CollectorRegistry()
    registry.register(DeskFigures(request.app.state.desk))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
