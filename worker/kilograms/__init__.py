"""From an event to kg CO2e: published emission factors, and where each input came from.

`calculate` is the entry; everything below it is pure but for `factors.load`, which reads CSV files.
"""
