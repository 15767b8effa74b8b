"""How many boards a server carries: their requests replayed against it until the deadline breaks.

load
search
"""
