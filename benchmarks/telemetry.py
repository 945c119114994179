"""What tracing adds to a cold start: our spans beside OpenTelemetry's SDK with its OTLP exporter.

    python benchmarks/telemetry.py [--rounds 15]

opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http are installed at first use, as their lock file in
`benchmarks/peers` says. Fresh processes, in turn; what is told is the time of a whole process that imports and ends.
"""

import argparse
import subprocess
import time
from pathlib import Path

import machine
from peers.servers import locked, virtual_environment

SOURCES = Path(__file__).parents[1] / "src"
OURS = "import pilotlight.function.runtime"
SDK = (
    "from opentelemetry.sdk.trace import TracerProvider; "
    "from opentelemetry.sdk.trace.export import SimpleSpanProcessor; "
    "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter; "
    "provider = TracerProvider(); provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))"
)
TRACED = f"{OURS}, pilotlight.function.told"
CASES = {
    "the runtime, not traced": OURS,
    "the runtime, traced: before the first answer": TRACED,
    "the runtime, traced: with what is imported after it": f"{TRACED}, pilotlight.function.otlp",
    "the runtime and the SDK": f"{OURS}; {SDK}",
}


def seconds(python: str, source: str) -> float:
    environ = {**machine.environ(), "PYTHONPATH": str(SOURCES), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    began = time.perf_counter()
    subprocess.run([python, "-c", f"{source}\nimport os; os._exit(0)"], env=environ, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    python = str(virtual_environment("opentelemetry") / "bin" / "python")
    measured: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(arguments.rounds + 1):
        for name, source in CASES.items():
            taken = seconds(python, source)
            if number:  # the first compiles
                measured[name].append(taken)
    head = ["| process that imports | ms | least | most |", "|---|---|---|---|"]
    rows = [machine.row(name, taken) for name, taken in measured.items()]
    about = f"{arguments.rounds} fresh processes of each, in turn."
    lines = ["# What tracing adds to a cold start", "", about, "", *head, *rows]
    machine.write("telemetry", lines, [locked("opentelemetry-sdk", "opentelemetry")])


if __name__ == "__main__":
    main()
