"""The coin desk's figures of one coin in constant memory: averages, volumes, lines, regimes, outcomes, minute by
minute.
"""
