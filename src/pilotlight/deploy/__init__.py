"""A service on AWS: plain CloudFormation out of a project and its packages, and what puts it there."""
