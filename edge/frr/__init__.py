"""FRRouting as a user's own router (edge.own): `kind` is the door, the rest behind it.

programs  where the distribution has the programs, which of them one router runs
files     the directories of one router, and which of the system's they stand in for
view      a thread that sees them there (a mount namespace of its own), to start programs from
vty       a client of a daemon's vty socket, as vtysh is one
answers   the daemons' JSON as the states and routes that BIRD's answers become, too        pure
words     vtysh's words about a file, lines of the log                                       pure
daemon    the life of one router's processes
"""
