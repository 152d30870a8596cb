"""What the pytest plugin (lab/plugins/edgelab_pytest) does, once a test takes the fixture `lab`.

wishes     a test's marker and the options -> which lab it wants, and what shall go wrong meanwhile. Pure
house      the labs of this process: made when first asked for, shared by tests that want the same, taken away
condition  what a lab is like; two of them compared, in words
meter      probes between two hosts during a test, judged against its budget
evidence   a folder with what somebody needs who was not there
course     one test's way: faults in, measured, faults out, the lab as before

Nothing here is imported before a test takes the fixture.
"""
