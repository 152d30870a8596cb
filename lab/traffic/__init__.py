"""Traffic in a lab, and what it went through.

emodel    how a call sounds: transmission rating R and MOS (ITU-T G.107). Pure.
quality   what a receiver makes of a stream: loss, bursts, jitter, reordering, delay. Pure.
measured  from packets to quality, as a whole and second by second. Pure.
probes    a probe, and runs of millions of them, packed. Pure.
outage    probes and the gaps between them: how long nothing came through. Pure.

stun, media, ports             what a call is made of: STUN, packets of each medium, port ranges. Pure.
callplan, call, callresult     what a call is to be (pure), the call itself, how it was (pure).
iperf, load                    iperf3's words (pure), and bulk by it.
"""
