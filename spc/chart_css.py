"""The look of a chart: one stylesheet for `spc.svg`, light and dark."""

from typing import Final

__all__ = ["CHART_CSS"]

CHART_CSS: Final = """\
.lk-chart {
  --lk-paper: #ffffff; --lk-ink: #1d2732; --lk-muted: #5a6672; --lk-grid: #eceff2; --lk-rule: #c5cdd5;
  --lk-data: #2f6690; --lk-limit-ink: #66727f; --lk-spec-ink: #2b3742; --lk-outside: #5a667214;
  --lk-alarm: #b3261e; --lk-warn: #9a5800;
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme="light"]) .lk-chart, svg.lk-chart:root {
    --lk-paper: #12171d; --lk-ink: #e4e9ee; --lk-muted: #9ca8b4; --lk-grid: #1f2730; --lk-rule: #3b4651;
    --lk-data: #86b6de; --lk-limit-ink: #93a0ad; --lk-spec-ink: #d5dce3; --lk-outside: #9ca8b417;
    --lk-alarm: #ff8f85; --lk-warn: #f0b45c;
  }
}
:root[data-theme="dark"] .lk-chart {
  --lk-paper: #12171d; --lk-ink: #e4e9ee; --lk-muted: #9ca8b4; --lk-grid: #1f2730; --lk-rule: #3b4651;
  --lk-data: #86b6de; --lk-limit-ink: #93a0ad; --lk-spec-ink: #d5dce3; --lk-outside: #9ca8b417;
  --lk-alarm: #ff8f85; --lk-warn: #f0b45c;
}
.lk-chart { display: block; max-width: 100%; height: auto; color: var(--lk-ink);
  font: 12px/1 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif;
  font-variant-numeric: tabular-nums; }
.lk-grid { stroke: var(--lk-grid); stroke-opacity: 1; }
.lk-axis { stroke: var(--lk-rule); stroke-opacity: 1; }
.lk-tick, .lk-unit, .lk-version { fill: var(--lk-muted); fill-opacity: 1; }
.lk-version { font-size: 11px; }
.lk-panel { fill: var(--lk-ink); fill-opacity: 1; font-size: 13px; font-weight: 600; }
.lk-paper { fill: var(--lk-paper); }
.lk-phase { fill: var(--lk-outside); fill-opacity: 1; }
.lk-outside { fill: var(--lk-outside); fill-opacity: 1; }
.lk-centre { stroke: var(--lk-limit-ink); stroke-opacity: .75; }
.lk-limit { stroke: var(--lk-limit-ink); stroke-opacity: 1; }
.lk-spec { stroke: var(--lk-spec-ink); stroke-opacity: 1; }
.lk-change { stroke: var(--lk-rule); stroke-opacity: 1; }
.lk-leader { stroke: var(--lk-rule); stroke-opacity: 1; }
.lk-line { stroke: var(--lk-data); stroke-opacity: .9; }
.lk-dense { stroke-opacity: .55; }
.lk-point { fill: var(--lk-data); stroke: var(--lk-paper); }
.lk-point.lk-noted { stroke: var(--lk-data); stroke-width: 4; stroke-opacity: .4; }
.lk-point.lk-excluded { fill: var(--lk-paper); stroke: var(--lk-data); stroke-width: 1.5; }
.lk-bar { fill: var(--lk-data); fill-opacity: .35; }
.lk-curve { stroke: var(--lk-ink); stroke-opacity: .8; }
.lk-gap { stroke: var(--lk-muted); stroke-opacity: 1; }
.lk-run { stroke: var(--lk-warn); stroke-opacity: .22; }
.lk-point-signal { stroke: var(--lk-paper); stroke-opacity: 1; }
.lk-diamond { fill: var(--lk-alarm); }
.lk-square { fill: var(--lk-warn); }
.lk-diamond.lk-excluded { fill: var(--lk-paper); stroke: var(--lk-alarm); }
.lk-square.lk-excluded { fill: var(--lk-paper); stroke: var(--lk-warn); }
.lk-signal:hover .lk-point-signal, .lk-signal:target .lk-point-signal { stroke: currentColor; }
.lk-chart a:focus-visible { outline: 2px solid var(--lk-data); outline-offset: 2px; }
.lk-label { fill: var(--lk-muted); fill-opacity: 1; }
.lk-label-spec, .lk-number { fill: var(--lk-ink); fill-opacity: 1; }
.lk-label-spec { font-weight: 600; }
@media (forced-colors: active) {
  .lk-chart { --lk-paper: Canvas; --lk-ink: CanvasText; --lk-muted: CanvasText; --lk-grid: Canvas;
    --lk-rule: GrayText; --lk-data: CanvasText; --lk-limit-ink: CanvasText; --lk-spec-ink: CanvasText;
    --lk-outside: Canvas; --lk-alarm: Highlight; --lk-warn: Highlight; }
}
@media print {
  :root .lk-chart, svg.lk-chart:root {
    --lk-paper: #ffffff; --lk-ink: #000000; --lk-muted: #444444; --lk-grid: #eeeeee; --lk-rule: #bbbbbb;
    --lk-data: #1f4f78; --lk-limit-ink: #555555; --lk-spec-ink: #000000; --lk-outside: #00000010;
    --lk-alarm: #a3170f; --lk-warn: #8a4b00;
  }
}
"""
"""Served as a file or pasted into the page's own stylesheet; a chart without it is drawn in currentColor.

Light by default, dark where the system or ``<html data-theme="dark">`` asks for it, ink on white in print.
Every colour is a variable, so a page may set its own on ``.lk-chart``. Text and markers meet WCAG AA on
`--lk-paper` in both themes. ``svg:root`` is a drawing that is a file of its own.
"""
