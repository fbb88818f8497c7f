"""The agent's numbers as Prometheus reads them: overload, loss and what waits are seen before anybody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drivers.poll import PollMeter
from edge_agent.holds import station_is_held
from edge_agent.report import Parts
from edge_agent.uplink import UplinkStatus
from records.logs import lines_dropped

PREFIX = "lotkeeper_edge"

_COUNTS = {
    "values_captured": "Values read for runs.",
    "telemetry_values": "Readings of telemetry tags that devices gave.",
    "telemetry_thinned": "Readings left out by their tags' own settings.",
    "telemetry_committed": "Readings in committed chunks.",
    "telemetry_lost": "Readings that could not be kept.",
    "telemetry_bytes": "Bytes of committed chunks.",
    "chunks_committed": "Telemetry chunks committed.",
    "chunks_acknowledged": "Telemetry chunks that central has committed.",
    "chunks_thinned": "Telemetry chunks of which only the extremes were kept, since the buffer ran low.",
    "chunks_given_up": "Telemetry chunks that gave way to newer ones at the buffer's cap.",
}
_POLLS = {
    "polls": "Polls.",
    "late": "Polls that began late.",
    "skipped": "Polls left out since the one before took too long.",
    "values": "Readings that polls gave.",
}


def metrics(parts: Parts, way: UplinkStatus) -> bytes:
    """The exposition text. ``way`` reads the disk, so it is asked for by the caller, in a thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(parts, way))
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, parts: Parts, way: UplinkStatus) -> None:
        self._parts, self._way = parts, way

    def collect(self) -> Iterator[Metric]:
        counts = self._parts.counts()
        for name, text in _COUNTS.items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=counts[name])
        text = "Lines of the log that could not be written."
        yield CounterMetricFamily(f"{PREFIX}_log_lines_dropped", text, value=lines_dropped())
        yield from self._devices()
        yield from self._stations()
        yield from self._uplink()
        yield from self._room()
        yield from self._clock()

    def _clock(self) -> Iterator[Metric]:
        """Where it was not measured there is no number."""
        offset = self._parts.clock_offset()
        if offset is None:
            return
        text = "The agent's clock less central's, seconds."
        yield GaugeMetricFamily(f"{PREFIX}_clock_offset_seconds", text, value=offset.seconds)
        text = "Seconds since that was measured."
        yield GaugeMetricFamily(f"{PREFIX}_clock_offset_age_seconds", text, value=offset.age_s)

    def _devices(self) -> Iterator[Metric]:
        supervisors = self._parts.supervisors()
        connected = GaugeMetricFamily(
            f"{PREFIX}_device_connected", "1 while the device answers.", labels=["device"]
        )
        for device, supervisor in supervisors.items():
            connected.add_metric([device], float(supervisor.connected))
        yield connected
        for name, text in _POLLS.items():
            polled = CounterMetricFamily(f"{PREFIX}_device_{name}", text, labels=["device"])
            for device, supervisor in supervisors.items():
                polled.add_metric([device], _number(supervisor.meter, name))
            yield polled

    def _stations(self) -> Iterator[Metric]:
        """What signals left standing: somebody has to see to it."""
        held = GaugeMetricFamily(f"{PREFIX}_station_held", "1 while a signal holds it.", labels=["station"])
        alarms = GaugeMetricFamily(f"{PREFIX}_alarms", "Alarms nobody has acknowledged.", labels=["station"])
        units = GaugeMetricFamily(f"{PREFIX}_units_held", "Units held after signals.", labels=["station"])
        for runner in self._parts.runners():
            standing = runner.holds
            held.add_metric([runner.name], float(station_is_held(standing)))
            alarms.add_metric([runner.name], sum(hold.kind == "alarm" for hold in standing))
            units.add_metric([runner.name], len({unit for hold in standing for unit in hold.units}))
        yield from (held, alarms, units)

    def _room(self) -> Iterator[Metric]:
        """For how long records find room without central. Where it is not known there is no number."""
        standing = self._parts.room()
        stopped = GaugeMetricFamily(
            f"{PREFIX}_line_stopped", "1 while nothing may begin for want of room.", labels=["why"]
        )
        stopped.add_metric(["records"], float(standing.full))
        stopped.add_metric(["disk"], float(standing.disk))
        yield stopped
        yield GaugeMetricFamily(
            f"{PREFIX}_buffer_low", "1 while the room lasts too short.", value=float(standing.low)
        )
        fill = standing.fill
        if fill is None or fill.cap is None or fill.room is None:
            return
        yield GaugeMetricFamily(f"{PREFIX}_buffer_cap_bytes", "What records may take.", value=fill.cap)
        yield GaugeMetricFamily(f"{PREFIX}_buffer_room_bytes", "What of it is left.", value=fill.room)
        if fill.hours is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}_buffer_hours_left", "Hours that it lasts at the rate of late.", value=fill.hours
            )

    def _uplink(self) -> Iterator[Metric]:
        way = self._way
        yield GaugeMetricFamily(
            f"{PREFIX}_uplink_connected", "1 while the broker is there.", value=float(way.connected)
        )
        pending = GaugeMetricFamily(
            f"{PREFIX}_pending", "Records that central has not committed.", labels=["stream"]
        )
        age = GaugeMetricFamily(
            f"{PREFIX}_oldest_pending_seconds", "Age of the oldest of them.", labels=["stream"]
        )
        pending.add_metric(["records"], way.pending)
        age.add_metric(["records"], way.oldest_pending_age_s or 0.0)
        if way.telemetry is not None:
            pending.add_metric(["telemetry"], way.telemetry.pending)
            age.add_metric(["telemetry"], way.telemetry.oldest_pending_age_s or 0.0)
        yield pending
        yield age


def _number(meter: PollMeter, name: str) -> int:
    numbers = {"polls": meter.polls, "late": meter.late, "skipped": meter.skipped, "values": meter.values}
    return numbers[name]
