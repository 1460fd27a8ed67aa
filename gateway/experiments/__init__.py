"""What experiments count: who saw which arm's answers, and what came of it.

policies/split.py  which arm a unit is in
phase.py           one experiment as long as its arms and weights stay as they are
exposures.py       answers that went out, noted as they go, written in batches
credits.py         events that name an answer, turned into clicks and conversions of its arm
results.py         the counts as ops read them, with intervals that say how sure they are
"""
