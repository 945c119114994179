#!/bin/sh
# What Lambda's base images do with the handler that CMD names: on Lambda the runtime, elsewhere the emulator with it.
# docs.aws.amazon.com/lambda/latest/dg/images-test.html
if [ $# -ne 1 ]; then
  echo "the first argument has to be the handler, and the only one" >&2
  exit 142
fi
export _HANDLER="$1"
[ -n "$AWS_LAMBDA_RUNTIME_API" ] && exec /var/runtime/bootstrap
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
