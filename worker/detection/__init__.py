"""How hotspots are found: two series for each key, pure folds over its events in order of arrival.

The event series asks whether a job was done badly, the period series whether the whole run is bad.
Both judge by the same `Detector`: `screening` says what cannot be used, `expectation` what the
inputs explain, `spread` what is usual scatter, `point_rule` whether one event is hot, `slow_rule`
whether many slightly high ones add up, `episode` how a hotspot lives. `periods` adds events up to
days; `reason` says it in a sentence. docs/detection.md tells operators and statisticians the same.
"""
