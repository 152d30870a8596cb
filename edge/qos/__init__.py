"""Quality of service: classes, rules and profiles as data; compiled for the fast path. Pure.

model         traffic classes, rules, policies: read this first
names         names of DSCP values and protocols
expressroute  which DSCP values the service knows, and what becomes of others (facts 6.1)
profiles      teams, skype-online, skype-server (facts 6.2)
policyfile    a user's own rules in YAML, every problem at once (policykeys: its keys, policyvalues: scalars,
              policytext: a policy as YAML again, reference: the tables of docs/qos.md)
overlap       rules that can never match, and rules that compete (boxes: sets of packets)
table         a policy compiled to the flat table of csrc/policy.h
              (classes: values no rule tells apart; tableplan: the structure; tableareas, lanerows and
              lanefilter: octets)
capacity      whether a policy fits that table, and where it becomes too large
recognise     which policy a compiled table is
packets       a packet in words (`udp 10.1.0.10:50005 > 52.112.0.10:3479`) to octets and back
hexdump       octets from hexadecimal as people have it
dissect       what a frame shows of itself, in words where it shows nothing
steering      what routers add to a policy: their own protocols, queues by DSCP, the MSEE at its ingress
explain       why a packet gets its verdict, and why no other rule took it (explainreport: as table and JSON)
"""
