"""BGP and BFD by BIRD: a VRF becomes bird.conf, one daemon per namespace runs it, its socket is read.

`config` and `policy` write (pure); `parse`, `routes` and `diagnosis` read (pure) into what `state` holds.
`control` talks to one daemon, `daemon` runs one whose `files` lie together, `process` runs all of a
sandbox, `md5` asks the kernel about TCP MD5.
"""
