"""Names of services: what they are called, which host answers, and what makes them work in a lab.

`table` says which name belongs to which place; `plan` is what of it a lab has, as data. `resolver`, `web`
and `certificates` turn that into configurations (all pure). `authority` signs, `nodes` gives the lab's nodes
their resolv.conf and trust, `servers` runs the DNS server and the web server.
"""
