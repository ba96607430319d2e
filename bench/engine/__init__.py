"""How good the detector is, on labelled years that are made here: `python -m bench.engine`."""
