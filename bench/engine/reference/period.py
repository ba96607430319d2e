"""The period series: whole days of a key as observations for `prototype.step`, a fold in order of arrival.

A day (UTC, or the tenant's zone: pass local seconds) is closed when the key's newest event time is a day of grace
beyond its end; closed days are added up, in order, until they hold FEWEST events; then they are one observation.
What arrives for a closed day is counted as late and only goes into rollups. A key that falls silent is closed by
`close(p, now - GRACE - 7 days)`, called by the pass that watches for silence; that call is an input like an event,
stored in its order. State: a few numbers for each day that is open.
"""
import json
from bench.engine.reference.prototype import new_state, step

DAY, GRACE, FEWEST, LONGEST = 86400, 86400, 5, 14  # LONGEST: days after which fewer events than FEWEST are dropped
# A meter without activity is judged day by day: FEWEST = 1.


def new_period(): return dict(days={}, done=-1, sum=[0., 0., 0, 0], newest=0., late=0, detector=new_state())


def add(p, t, kg, act):
    """One usable event; gives the verdicts of the observations that it completes."""
    day = int(t // DAY)
    if day <= p['done']: p['late'] += 1; return []
    s = p['days'].setdefault(str(day), [0., 0., 0]); s[0] += kg; s[1] += act; s[2] += 1
    p['newest'] = max(p['newest'], t)
    return close(p, p['newest'] - GRACE)


def close(p, until):
    """Closes the days that end before `until` seconds."""
    out = []
    for day in sorted(map(int, p['days'])):
        if (day + 1) * DAY > until: break
        kg, act, n = p['days'].pop(str(day)); p['done'] = day; s = p['sum']
        if s[2] and day - s[3] > LONGEST: s[:] = [0., 0., 0, 0]
        if not s[2]: s[3] = day
        s[0] += kg; s[1] += act; s[2] += n
        if s[2] >= FEWEST:
            v = step(p['detector'], dict(t=(day + .9) * DAY, kg=s[0], act=s[1], x=None, cls=None))
            out.append(dict(v, since=s[3], until=day, events=s[2])); p['sum'] = [0., 0., 0, 0]
    return out


def to_json(p): return json.dumps(dict(p, detector={k: v for k, v in p['detector'].items() if k[0] != '_'}), separators=(',', ':'))
