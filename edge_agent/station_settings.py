"""What a line engineer writes about a station (pydantic models of the line's YAML)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from drivers.udi import check_digit
from edge_agent.chart_parts import FromTag, TextOrTag
from records.model import Purpose, SubjectKind
from records.yaml import Duration, Settings, fault


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression that must fit the whole scan."""

Ai = Annotated[str, Field(pattern=r"^[0-9]{2,4}$")]


GTIN_AI, LOT_AI, SERIAL_AI = "01", "10", "21"
"""The GS1 elements of a label that name the product, our manufacturing lot (and by it the order), and the unit."""

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]


class Source(Settings):
    """Where a station learns something: a scan recognised by pattern, by the field of a label, or a tag.

    ``ai`` is a field of a GS1 label, ``field`` one of another (HIBC, or a pattern of ``schemes``).
    """

    scan: str | None = None
    """The scanner."""
    pattern: Pattern | None = None
    """The scan must fit this regular expression as a whole."""
    ai: Ai | None = None
    """Or: the GS1 element that holds it."""
    field: FieldName | None = None
    """Or: the field of another code that holds it, such as a group of a scheme's pattern."""
    tag: str | None = None
    """The tag that holds it."""

    @model_validator(mode="after")
    def _one(self) -> Source:
        if (self.scan is None) == (self.tag is None):
            raise ValueError("give either scan (a scanner) or tag")
        said = [name for name in ("pattern", "ai", "field") if getattr(self, name) is not None]
        if self.scan is not None and len(said) != 1:
            raise ValueError("a scan is recognised by either pattern or ai (of a GS1 label) or field (of another)")
        if self.tag is not None and said:
            raise ValueError("pattern, ai and field belong to a scan, not to a tag")
        return self


class Collect(Settings):
    """Units are scanned one after another into containers until the machine runs them as one load."""

    container: Pattern
    """What the label of a container looks like."""


def _gtin(code: str) -> str:
    if code[-1] == (digit := check_digit(code[:-1])):
        return code
    raise ValueError(f"the check digit of {code} is wrong: no label can hold it (it would be {code[:-1]}{digit})")


class Match(Settings):
    """The product that a label names: one of the three."""

    gtin: Annotated[str, Field(pattern=r"^[0-9]{14}$"), AfterValidator(_gtin)] | None = None
    """The GTIN with its 14 digits."""
    hibc: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{3}[A-Z0-9]{1,18}$")] | None = None
    """Labeller (LIC) and product (PCN) of an HIBC label, without the unit of measure."""
    di: Annotated[str, Field(min_length=1)] | None = None
    """What the group ``di`` of a pattern of ``schemes`` holds."""

    @model_validator(mode="after")
    def _one(self) -> Match:
        if sum(code is not None for code in (self.gtin, self.hibc, self.di)) != 1:
            raise ValueError("give one of gtin, hibc and di")
        return self


class Product(Settings):
    """An item that this station makes, and the product code on its labels."""

    item: str
    """The product, as the ERP calls it."""
    match: Match
    """What its label says."""


class SubjectSource(Settings):
    """How the station knows the piece: from a tag (a carrier's reader), or from a scanned label.

    A GS1 label names the piece by ``ai``. Another ``scheme`` (hibc, or a pattern of ``schemes``) names it by
    ``field``; which item its product code means stands in ``products``, since work orders name GTINs only.
    ``carrier`` names the tag of the carrier that the scanned unit sits on: the record then marries the two
    (``identified_as``). ``collect`` makes one run of many units.
    """

    kind: SubjectKind
    """What a run is about."""
    scan: str | None = None
    """The scanner that reads its label."""
    scheme: FieldName = "gs1"
    """What kind of code the label is: gs1, hibc, or one of ``schemes``."""
    ai: Ai | None = None
    """The GS1 element with its identity; a serial is "21"."""
    field: FieldName | None = None
    """The field with its identity, of a code that is not GS1."""
    products: tuple[Product, ...] = ()
    """Which item each product code on the labels is."""
    tag: str | None = None
    """The tag with its identity, such as a carrier's reader."""
    carrier: str | None = None
    """The tag of the carrier that the scanned unit sits on."""
    collect: Collect | None = None
    """Units are scanned into containers and run as one load."""

    @model_validator(mode="after")
    def _one(self) -> SubjectSource:
        if (self.scan is None) == (self.tag is None):
            raise ValueError("give either scan (a scanner) or tag")
        if self.tag is not None and (self.carrier or self.collect or self.ai or self.field or self.products):
            raise ValueError("carrier, collect, ai, field and products belong to a scanned subject")
        if self.scan is not None and self.scheme == "gs1" and (self.ai is None or self.field or self.products):
            raise ValueError('a scanned subject needs ai, the GS1 element that holds it (a serial is "21")')
        if self.scan is not None and self.scheme != "gs1" and (self.ai or not self.field or not self.products):
            raise ValueError(
                f"a subject of {self.scheme} needs field (serial) and products (which item a product code is)"
            )
        return self

    @property
    def serial_field(self) -> str:
        """The field of a label that names the piece."""
        return self.ai or self.field or SERIAL_AI


class Trigger(Settings):
    """The four-phase handshake: tag rises, the run is captured and committed, acknowledge answers.

    ``cycle`` is the machine's own count of runs; without it a crash between commit and acknowledge cannot be
    told from a new run, so it may be missing only where ``repeat_possible`` says that this is accepted.
    """

    tag: str
    """True when the machine has done a cycle."""
    acknowledge: str | None = None
    """Set once the record is on disk, taken back when the trigger falls."""
    cycle: str | None = None
    """The machine's own count of cycles."""
    running: str | None = None
    """True while a cycle runs; its start is then recorded too."""
    timeout: Duration = 2.0
    """How long the captured tags may take to be read."""
    repeat_possible: bool = False
    """Says that a cycle may be recorded twice after a crash, because there is no count."""

    @model_validator(mode="after")
    def _provable(self) -> Trigger:
        if self.acknowledge is not None and self.cycle is None and not self.repeat_possible:
            raise ValueError(
                "acknowledge without cycle: after a crash the same run could be recorded twice; "
                "name the tag of the machine's cycle count, or accept it with repeat_possible: true"
            )
        return self


Need = Literal["order", "operator", "route", "material", "subject"]


class Permit(Settings):
    """The interlock: the tag is true only while everything that ``needs`` lists is there."""

    tag: str
    """The tag that lets the machine run."""
    needs: tuple[Need, ...] = Field(min_length=1)
    """What must be there before it is set; ``route``: the order is open and its routing has this operation."""


class HoldTag(Settings):
    """The tag that is told when the station is held after a signal, and taken back when the hold is lifted.

    Nothing else may write it: the agent keeps it true, also after a restart.
    """

    tag: str
    """The tag; written and read back."""
    value: bool = True
    """What holds the machine."""


class PurposeSource(Settings):
    tag: str
    """The machine's mode."""
    values: dict[int, Purpose]
    """Which of its values means what."""


Value = bool | int | str


class ResultSource(Settings):
    """Which values of the tag mean what; a value that is not listed means not judged."""

    tag: str
    """The machine's verdict."""
    passed: Value = Field(alias="pass")
    """The value of a good piece."""
    fail: Value | None = None
    """The value of a bad one."""
    scrap: Value | None = None
    """The value of one that cannot be mended."""
    aborted: Value | None = None
    """The value of a cycle that did not end."""

    @model_validator(mode="after")
    def _one_meaning(self) -> ResultSource:
        meanings: dict[Value, str] = {}
        for name in ("passed", "fail", "scrap", "aborted"):
            value = getattr(self, name)
            if value is None:
                continue
            key = "pass" if name == "passed" else name
            if (other := meanings.setdefault(value, key)) != key:
                raise fault(
                    f"{value!r} means {other} already", at=(key,), hint="each verdict needs a value of its own"
                )
        return self


Policy = Literal["warn", "refuse", "go_on"]
"""``warn``: the station goes on and says so; ``refuse``: neither scan nor start; ``go_on``: nothing is said."""


class Material(Settings):
    """A component: each run consumes ``per_unit`` of the lot that was last scanned for it."""

    item: str
    """The component, as the ERP calls it."""
    per_unit: Annotated[int, Field(ge=1)] = 1
    """How many a piece takes."""
    expired: Policy = "refuse"
    """What happens with a lot after its expiry date."""
    used_up: Policy = "warn"
    """What happens with a lot of which central knows too little to be left for a piece."""
    mode: Literal["loaded_lot"] = "loaded_lot"
    """The lot that was scanned last is consumed from then on."""
    match: Match
    """What its label says."""


class StationSettings(Settings):
    equipment: str
    """The machine, as the plant calls it."""
    operation: str
    """The operation of the ERP's routing."""
    order: Source
    """How the station knows the order."""
    trigger: Trigger
    """When a run is done, and how the machine is answered."""
    subject: SubjectSource
    """How the station knows the piece."""
    operator: Source | None = None
    """How the station knows who works there."""
    permit: Permit | None = None
    """The interlock."""
    earlier: Policy | None = None
    """What happens with a piece that has an earlier operation of its routing not behind it; left out: nothing is
    looked at."""
    hold: HoldTag | None = None
    """What is told that the station is held; without it the permit alone holds it."""
    purpose: PurposeSource | None = None
    """What the run is for; production when left out."""
    result: ResultSource | None = None
    """The machine's own verdict."""
    materials: tuple[Material, ...] = ()
    """Components that each run takes."""
    capture: tuple[str, ...] = ()
    """Tags that are read and kept with each run."""
    counters: dict[str, str] = Field(default_factory=dict)
    """The machine's counters of pieces, for reconciliation."""
    tool: TextOrTag | None = None
    """The tool in the machine: its name, or the tag that tells it."""
    runs_a_day: Annotated[float, Field(gt=0)] | None = None
    """How many runs a day usually has, to tell how often charts signal with nothing wrong; 1440 when left out."""

    @model_validator(mode="after")
    def _scans_have_a_field(self) -> StationSettings:
        """What would be read and never understood is refused here."""
        by_label = {"ai", "field"}
        if self.operator and (at := by_label & self.operator.model_fields_set):
            raise fault("an operator is recognised by pattern", at=("operator", *at), hint='pattern: "B[0-9]{6}"')
        if at := by_label & self.order.model_fields_set:
            lot = ("ai", LOT_AI) if self.subject.scheme == "gs1" else ("field", "lot")
            said = " ".join(lot)
            if (*at, self.order.ai or self.order.field) != lot or self.subject.scan != self.order.scan:
                raise fault(
                    f"an order is known by the lot ({said}) on the label of a scanned subject or by pattern",
                    at=("order", *at),
                    hint="give the order's barcode a pattern",
                )
        if self.subject.scan and self.subject.kind is not SubjectKind.UNIT:
            raise fault(f"a scanned label names a unit, not a {self.subject.kind.value}", at=("subject", "kind"))
        if self.materials and not self.scanners():
            raise fault("no scanner of this station can read a component's lot", at=("materials", 0))
        for n, material in enumerate(self.materials):
            if any(material.item == m.item or material.match == m.match for m in self.materials[:n]):
                raise fault(f"{material.item} or its GTIN stands here twice", at=("materials", n))
        return self

    @model_validator(mode="after")
    def _permit_can_be_given(self) -> StationSettings:
        """A need that nothing at the station can meet would keep the machine waiting for ever."""
        met_by_scan = {
            "order": self.order.scan,
            "operator": self.operator and self.operator.scan,
            "route": self.order.scan,
            "material": self.materials,
            "subject": self.subject.scan,
        }
        for n, need in enumerate(self.permit.needs if self.permit else ()):
            if not met_by_scan[need]:
                source = "order" if need == "route" else need
                hint = "take it out of needs" if need == "material" else f"give {source} a scan, or take it out"
                raise fault(f"no scan at this station gives the {source}", at=("permit", "needs", n), hint=hint)
        return self

    def scanners(self) -> tuple[str, ...]:
        """The scanners whose scans concern this station."""
        sources = (self.order.scan, self.operator.scan if self.operator else None, self.subject.scan)
        return tuple(dict.fromkeys(name for name in sources if name is not None))

    def watched(self) -> tuple[str, ...]:
        """Tags whose every change moves the station."""
        tags = [self.trigger.tag, self.trigger.running, self.subject.carrier]
        if self.earlier is not None:
            tags += [self.subject.tag, self.purpose.tag if self.purpose else None]
        return tuple(tag for tag in tags if tag is not None)

    def written(self) -> tuple[str, ...]:
        """Tags that answer, lock or free the machine."""
        locks = (self.permit, self.hold)
        tags = (self.trigger.acknowledge, *(lock.tag for lock in locks if lock is not None))
        return tuple(tag for tag in tags if tag is not None)

    def captured(self) -> tuple[str, ...]:
        """Tags that are read together once the machine says done."""
        tags = [
            self.trigger.cycle,
            self.subject.tag,
            self.subject.carrier,
            self.order.tag,
            self.operator.tag if self.operator else None,
            self.purpose.tag if self.purpose else None,
            self.result.tag if self.result else None,
            self.tool.tag if isinstance(self.tool, FromTag) else None,
            *self.counters.values(),
            *self.capture,
        ]
        return tuple(dict.fromkeys(tag for tag in tags if tag is not None))
