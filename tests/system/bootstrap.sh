#!/bin/sh
# What Lambda starts in an execution environment: its own runtime, by way of a script of the function's where it asks.
# docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
export PYTHONPATH="$LAMBDA_RUNTIME_DIR${PYTHONPATH:+:$PYTHONPATH}"
exec ${AWS_LAMBDA_EXEC_WRAPPER:+"$AWS_LAMBDA_EXEC_WRAPPER"} /var/lang/bin/python3.13 -m awslambdaric "$_HANDLER"
