"""What a deployment costs while nobody calls, in dollars of us-east-1, as read in November 2026: those of
aws.amazon.com/vpc/pricing. Other regions differ by some percent. What calls cost is in `measure/cost.py`.

Does not ship to Lambda.
"""

HOURS = 730  # of a month, as AWS's own calculator has it
NAT_HOUR = 0.045  # a NAT gateway; each GB that goes through it costs as much again
ADDRESS_HOUR = 0.005  # a public IPv4 address, which a NAT gateway has
