"""Random traffic for the whole endpoint: what may happen, drawn in advance, done by a player, and cut down to little.

`operations` says what there is, `draw` chooses, `player` and its parts do it in the simulator; `epbell_tb.random_run`
is the command, `epbell_tb.ddmin` shrinks.
"""
