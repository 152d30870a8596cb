"""What a good lab looks like, recorded, and how a lab differs from that later.

`picture` says what is recorded (pure), `reading` reads it from a running lab, `drift` compares two (pure).
"""
