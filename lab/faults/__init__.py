"""Faults of a running lab: what goes wrong, said as data, and taken back by taking the data away.

    words of the operator --read--> Fault --+
    model (document, State) ----------------+--faulted--> the model as it is harmed --compile--> plan

`kinds` is the table of all kinds. A fault never is a list of steps and their inverses: the lab keeps its
active faults beside its model, and whatever is wanted of it (by `deploy`, by a command to the service) is
wanted with them. To heal is to want the same without them.

units     values of options: durations, parts, rates, counts, and how they are written
ranges    what a storm draws the value of an option from
model     Fault, Active, Kind, and their JSON
targets   links, peerings, daemons, sites by the names people use
wires, routers, sites   what a kind does to a model
kinds     the table
faulted   a model and its faults -> the harmed model; read -> a fault from an operator's words
objects   what devices that are down, and routers that do not forward, mean for kernel objects
processes, serving   the supervisor's side: signals to daemons; requests `fault`, `heal`, `faults`
calls     the clients' side: one function to inject, one to heal
"""
