"""Statistical process control: control charts, their rules and limits, capability, run lengths, and the drawings.

Pure functions and values; nothing here reads a file, a clock or a network, and nothing of the other rooms is
imported. In reading order:

**What a chart is.** `limits`: the kinds of charts, and `LimitSet`, by which a chart of any kind is judged.
`rules`: Western Electric's and Nelson's, over a whole series. `constants`: d2, c4 and their kin. `exact`,
`statistics`: sums and statistics that come out the same to the bit wherever they are taken.

**How limits are come by.** `estimate`: from the points of phase I, by `sigma`. `fixed`: from the few figures that
people write down in a line file. Both end in `given`, which turns known parameters (centre, sigma, vectors) into a
`LimitSet` and asks nobody where these are from. `hotelling`, `mewma_arl`: limits of charts of several variables.

**A whole series** (studies, proofs): `charts` has what all kinds share, `variables`, `attributes`, `weighted`
(EWMA, CUSUM) and `multivariate` the kinds.

**Point by point** (the line, and central's recomputation): `plan` is what is asked of a chart, `stream` judges a
reading, `state` is what is remembered and said. `points` makes a point of readings, `windows` takes it through the
rules, `weighing` through the charts that know only their limits. `selection` chooses the stream, limits and
specification of a reading, `renewal` what stays of a chart under another plan. `bank` is `windows` for many charts
at once.

**What it is worth.** `capability`, by `within` and `normality`. `arl`: run lengths, by `arl_shewhart` (Markov
chain), `arl_simulation`, `arl_weighted` (EWMA, CUSUM), which share `run_length`. `false_alarms`: what rules cost
a day.

**Requests of people.** `request` reads them, `study` answers, kind by kind in `study_variables`, `study_counts`,
`study_weighted`, `study_vectors` and `study_capability` with what they share in `study_parts`; `study_result` is
what comes out, `study_drawing` its drawing. `fields` reads stored JSON back.

**Drawings.** `series` is what is shown, `svg` draws it: by `panel` (frame, axes, limits), `marks` (points),
`histogram`, `scale` (ticks, thinning), `markup` (elements, escaping) and `chart_css`.
"""
