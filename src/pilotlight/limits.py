"""Every limit of AWS that the code uses, each with its source. Sizes in bytes, times in seconds, memory in MB.

Sources, as read in November 2026: [quotas] docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html,
[runtime] .../dg/lambda-runtime-environment.html, [memory] .../dg/configuration-memory.html, [http]
docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html, [rest] .../developerguide/
api-gateway-execution-service-limits-table.html, [create] docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html,
[async] docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html, [managed]
docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html, [snapstart] .../dg/snapstart.html, [scaling]
.../dg/lambda-concurrency.html, [url] .../dg/urls-configuration.html, [items]
docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html.
"""

MEMORY_MIN = 128  # [quotas]
MEMORY_MAX = 10_240  # [quotas]
MEMORY_OF_ONE_VCPU = 1_769  # [memory]
MEMORY_NEW_ACCOUNT = 3_008  # [quotas]: new accounts begin with less memory and concurrency; 3,008 is what they report
TIMEOUT_DEFAULT = 3  # [quotas]
TIMEOUT_MAX = 900  # [quotas]
INIT_TIMEOUT = 10.0  # [runtime]: on demand; then init is done again inside the first invocation
SNAPSTART_TIMEOUT = 900.0  # [snapstart]: of the init phase before a snapshot
TMP_MIN = 512  # [quotas]
TMP_MAX = 10_240  # [quotas]
ENVIRONMENT_VARIABLES = 4_096  # [quotas]: all of them together, as JSON
PAYLOAD = 6_291_556  # [quotas] says 6 MB; the value is what the service reports in its error: 6 MiB and 100 bytes
STREAMED_PAYLOAD = 209_715_200  # [quotas]: 200 MB since July 2025, 20 before
HTTP_PAYLOAD = 10_485_760  # [http] [rest]: 10 MB at the gateway, before Lambda's own limit
HTTP_HEAD = 65_536  # bytes that this server reads of one; API Gateway's own limits are lower, and answered as its own
HTTP_TIMEOUT = 30.0  # [http]
REST_TIMEOUT = 29.0  # [rest]
CONCURRENCY_ACCOUNT = 1_000  # [quotas]: 10 in a new account
CONCURRENCY_UNRESERVED = 100  # [scaling]: what reservations leave to other functions; all where an account has less
REQUESTS_PER_CONCURRENCY = 10  # [quotas] [scaling] [url]: synchronous ones, a second
LOG_TAIL = 4_096  # LogType=Tail of the Invoke API
FUNCTION_NAME = 64  # [create]: characters
STACK_RESOURCES = 500  # docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
STACK_OUTPUTS = 200  # ibid.
TEMPLATE = 1_048_576  # ibid.: bytes in S3; 51,200 in a request
STACK_NAME = 128  # docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html: characters
REQUEST_PAYLOAD = 6_291_456  # what the service reports in its error for a request: 100 bytes less than for an answer
EVENT_PAYLOAD = 1_048_576  # [quotas]: of an asynchronous invocation
CLIENT_CONTEXT = 3_583  # docs.aws.amazon.com/lambda/latest/api/API_Invoke.html: bytes, as base64
EVENT_RETRIES = 2  # [async]: by default, and at most
EVENT_AGE_MIN, EVENT_AGE_MAX = 60, 21_600  # [async]
ENVIRONMENT_CONCURRENCY = 64  # [managed]: invocations at once in one environment of Lambda Managed Instances, per vCPU
STREAM_RATE = 2_097_152  # [quotas] [stream]: bytes a second, when what is free of it has been sent
STREAM_FREE_URL = 6_291_456  # [quotas]: the first 6 MB of an answer
STREAM_FREE_REST = 10_485_760  # [stream]: the first 10 MB
STREAM_PRELUDE_REST = 16_384  # [prelude]: status and headers end within them
REST_STREAM_TIMEOUT = 900.0  # [stream]
REST_STREAM_IDLE = 300.0  # [stream]: between two pieces, of regional endpoints
GATEWAY_HEADERS = 10_240  # [http]: request line and header values together; [rest]: a URL, and the header values
URL_HEADERS = 1_048_576  # [quotas]: request line and header values of a function URL
API_KEY_MIN, API_KEY_MAX = 20, 128  # [key]: characters of an API key's value
ITEM = 409_600  # [items]: bytes, names and values together
RECORD_MIN = 2_048  # ours: bytes of a record, which has next to input and output some that it needs
ITEM_KEY = 2_048  # [items]: bytes of a partition key
ITEM_DEPTH = 32  # [items]: levels of lists and maps
BATCH_GET = 100  # docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html: keys
PICTURE = 10_000_000  # ours: bytes of a picture; those in a request are bounded by PAYLOAD
PICTURES = 16  # ours: pictures in one list of a request, each of which may be a fetch
PICTURE_PIXELS = 40_000_000  # ours: what large cameras take; decoded, they are 160 MB
PICTURE_SIDE = 65_535  # ours: what JPEG and GIF can have
PICTURE_BYTES_OF_PIXEL = 12  # ours: while one is decoded, turned and converted, as measured
PICTURE_SECONDS = 10.0  # ours: in which a picture behind a URL has to be there
ZIP_UNZIPPED = 262_144_000  # [quotas]: 250 MB, layers included
ZIP_UPLOAD = 52_428_800  # [quotas]: 50 MB in a request; a larger one goes by S3
BATCH_WRITE = 25  # .../API_BatchWriteItem.html: items
IMAGE = 10_737_418_240  # [quotas]: 10 GB, an image with all its layers uncompressed
IMAGE_LAYERS = 127  # github.com/moby/moby, layer/layer_store.go: maxLayerDepth, without its base
