"""Traffic in a lab, and what it went through.

emodel    how a call sounds: transmission rating R and MOS (ITU-T G.107). Pure.
quality   what a receiver makes of a stream: loss, bursts, jitter, reordering, delay. Pure.
outage    probes and the gaps between them: how long nothing came through. Pure.
"""
