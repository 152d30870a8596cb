"""Answers to commands: plain functions from (state, command) to Accepted or Refusal, one for each command.

Each finds what the command names, asks the rules (tables and `refuse_` functions of `lab.service`) in the
order in which an operator would notice, and makes the new state. The first no is the answer.
"""
