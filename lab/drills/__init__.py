"""Drills: a fault under the outage meter, healed again, and a row of figures for it.

model        Drill, what it aims at, the row that comes of it. Pure
topologies   the labs that drills run in, most of them made from the gallery. Pure
table        all drills. Pure
generic      drills for a topology or a running lab of the user's own. Pure
run          deploys, injects, measures, heals, destroys
"""
