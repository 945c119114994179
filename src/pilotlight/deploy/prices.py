"""What a deployment costs while nobody calls, in dollars of us-east-1, as read in November 2026.

Other regions differ by some percent. aws.amazon.com/vpc/pricing has all of these.
"""

HOURS = 730  # of a month, as AWS's own calculator has it
NAT_HOUR = 0.045  # a NAT gateway; each GB that goes through it costs as much again
ADDRESS_HOUR = 0.005  # a public IPv4 address, which a NAT gateway has
