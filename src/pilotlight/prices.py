"""What costs by the hour, used or not, in dollars of us-east-1, as read in November 2026: [vpc]
aws.amazon.com/vpc/pricing, [fargate] aws.amazon.com/fargate/pricing, [alb] aws.amazon.com/elasticloadbalancing/pricing,
[sagemaker] aws.amazon.com/sagemaker/pricing. "(belief)" marks what was not seen on its page. Other regions differ by
some percent. What calls cost is in `measure/cost.py`.

Does not ship to Lambda.
"""

from collections.abc import Mapping
from typing import NamedTuple

HOURS = 730  # of a month, as AWS's own calculator has it
NAT_HOUR = 0.045  # [vpc]: a NAT gateway; each GB that goes through it costs as much again
ADDRESS_HOUR = 0.005  # [vpc]: a public IPv4 address, which a NAT gateway has
FARGATE: Mapping[str, tuple[float, float]] = {  # [fargate], told by vantage.sh/blog/fargate-pricing: a vCPU, a GB
    "x86_64": (0.04048, 0.004445),
    "arm64": (0.03238, 0.00356),
}
BALANCER_HOUR = 0.0225  # [alb] (belief): an Application Load Balancer
BALANCER_UNIT_HOUR = 0.008  # [alb] (belief): a capacity unit, which is 25 new connections a second


class Instance(NamedTuple):
    """Of a SageMaker endpoint. `memory` in GB."""

    name: str
    cpus: int
    memory: float
    hour: float


INSTANCES = (  # [sagemaker] (belief), all of them: real-time inference
    Instance("ml.c5.large", 2, 4, 0.102),
    Instance("ml.m5.large", 2, 8, 0.115),
    Instance("ml.c5.xlarge", 4, 8, 0.204),
    Instance("ml.m5.xlarge", 4, 16, 0.23),
    Instance("ml.c5.2xlarge", 8, 16, 0.408),
    Instance("ml.m5.2xlarge", 8, 32, 0.461),
)
ENDPOINT_GB_SECOND = 0.00002  # [sagemaker] (belief): serverless inference, by its memory, of 1 to 6 GB
ENDPOINT_GB = 0.016  # [sagemaker] (belief): what goes into an endpoint and comes out of it
